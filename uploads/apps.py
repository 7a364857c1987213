"""The configuration of the app `uploads`. The admin shows its name."""

from django.apps import AppConfig


class UploadsConfig(AppConfig):
    name = "uploads"
    verbose_name = "Recordings"
