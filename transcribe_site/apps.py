from axes.apps import AppConfig as AxesConfig
from django.apps import AppConfig


class TranscribeSiteConfig(AppConfig):
    name = "transcribe_site"


class SignInsConfig(AxesConfig):
    """django-axes, under a name that people understand in the admin."""

    verbose_name = "Sign-ins"
