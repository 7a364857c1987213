from django.apps import AppConfig


class TranscribeSiteConfig(AppConfig):
    name = "transcribe_site"

    def ready(self) -> None:
        from transcribe_site import versions  # noqa: F401 registers its system check
