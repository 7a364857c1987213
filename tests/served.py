"""The site's settings with the engine of the tests, for sites that tests serve: it needs no model and says numbers."""

from transcribe_site.settings import *  # noqa: F403

TRANSCRIBE_ENGINES = ["local", "scripted"]
TRANSCRIBE_DEFAULT_ENGINE = "scripted"
