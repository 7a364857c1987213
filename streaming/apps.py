"""The Django app of jobs and transcripts."""

from django.apps import AppConfig


class StreamingConfig(AppConfig):
    name = "streaming"
    verbose_name = "Transcripts"
