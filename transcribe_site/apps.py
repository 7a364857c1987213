from django.apps import AppConfig


class TranscribeSiteConfig(AppConfig):
    name = "transcribe_site"
