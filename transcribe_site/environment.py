"""Reads the environment variables once at the start, for `settings.py`.

An invalid value stops the start with one sentence: the name, the value and the allowed values.
"""

import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from transcribe_site.variables import VARIABLES

PREFIX = "TRANSCRIBE_"
PASSWORD = re.compile(r"//.*@")  # and the user name before it, in a URL


def read(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the value of every variable, parsed.

    Raises `ImproperlyConfigured` for a value that is not allowed, and for an unknown name that begins with
    `TRANSCRIBE_` (a misspelt setting would otherwise have no effect).
    """
    known = {variable.name for variable in VARIABLES}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            ours = ", ".join(sorted(other for other in known if other.startswith(PREFIX)))
            raise ImproperlyConfigured(f"{name}={environ[name]!r}: there is no such setting. The settings are: {ours}.")
    values: dict[str, Any] = {}
    for variable in VARIABLES:
        given = environ.get(variable.name, variable.default)
        try:
            values[variable.name] = variable.kind.parse(given)
        except ValueError:
            shown = PASSWORD.sub("//…@", given)  # the message goes into logs
            raise ImproperlyConfigured(f"{variable.name}={shown!r}: allowed is {variable.kind.allowed}.") from None
    return values
