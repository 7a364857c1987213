"""Settings for sites that tests start: the site's own, with the test engine `scripted`, which needs no model."""

from transcribe_site.settings import *  # noqa: F403

TRANSCRIBE_ENGINES = ["local", "scripted"]
TRANSCRIBE_DEFAULT_ENGINE = "scripted"
