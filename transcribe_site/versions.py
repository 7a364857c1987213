"""A system check that stops every command if a package whose internals the site overrides has an untested version.

`transcribe_site/server` overrides internals of daphne, Twisted and autobahn; `streaming/engines/aws` those of h2
and the Amazon Transcribe SDK. With another version an override may silently do nothing, which would remove a limit.
"""

from importlib import metadata
from typing import Any

from django.core.checks import CheckMessage, Error, register

# A test compares them with requirements.txt.
OVERRIDDEN = {
    "amazon-transcribe": "0.6.4",
    "autobahn": "26.10.2",
    "daphne": "4.2.3",
    "h2": "4.4.1",
    "Twisted": "26.10.0",
}


@register
def check_versions(**kwargs: Any) -> list[CheckMessage]:
    """Return an error for each package in `OVERRIDDEN` that is missing or has another version."""
    errors: list[CheckMessage] = []
    for name, wanted in OVERRIDDEN.items():
        try:
            found = f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            found = f"no {name}"
        if found != f"{name} {wanted}":
            errors.append(
                Error(
                    f"Found {found}, but this version of the site overrides internals of {name} {wanted}.",
                    hint="Install the pinned packages: pip install --requirement requirements.txt",
                    id="transcribe_site.E001",
                )
            )
    return errors
