from axes.apps import AppConfig as AxesConfig
from django.apps import AppConfig


class TranscribeSiteConfig(AppConfig):
    name = "transcribe_site"
    default = True  # of the two here

    def ready(self) -> None:
        from transcribe_site import versions  # noqa: F401 registers its system check


class SignInsConfig(AxesConfig):
    """django-axes, under a name that people understand in the admin."""

    verbose_name = "Sign-ins"
