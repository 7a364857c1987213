"""`manage.py ensure_admin` creates the first account, so that a new installation can be used at once."""

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Creates the account `admin` if there is no account yet, and shows its password once."

    def handle(self, *args: Any, **options: Any) -> None:
        if User.objects.exists():
            return
        password = settings.TRANSCRIBE_ADMIN_PASSWORD or secrets.token_urlsafe(9)
        User.objects.create_superuser("admin", password=password)
        shown = "as in TRANSCRIBE_ADMIN_PASSWORD" if settings.TRANSCRIBE_ADMIN_PASSWORD else password
        self.stdout.write(
            f"\n  The first account: user admin, password {shown}\n  (shown only once; change it after signing in)\n"
        )
