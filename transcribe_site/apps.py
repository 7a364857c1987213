"""The app of the site itself, and django-axes under a readable name."""

from axes.apps import AppConfig as AxesConfig
from django.apps import AppConfig


class TranscribeSiteConfig(AppConfig):
    name = "transcribe_site"
    default = True  # of the two configurations in this module

    def ready(self) -> None:
        from transcribe_site import versions  # noqa: F401 registers its system check


class SignInsConfig(AxesConfig):
    """django-axes, which the admin lists as “Sign-ins”."""

    verbose_name = "Sign-ins"
