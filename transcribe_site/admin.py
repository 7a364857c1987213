"""The admin's list of failed sign-ins. Deleting a row unlocks its account for that address."""

from typing import Any

from axes.models import AccessAttempt
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from transcribe_site.sign_in import delay


@admin.register(AccessAttempt)
class FailedSignInAdmin(admin.ModelAdmin):
    list_display = ("username", "ip_address", "failures_since_start", "attempt_time", "is_locked", "user_agent")
    search_fields = ("username", "ip_address")
    fields = (*list_display, "path_info")
    readonly_fields = fields
    ordering = ("-attempt_time",)

    @admin.display(boolean=True, description="Locked")
    def is_locked(self, attempt: AccessAttempt) -> bool:
        return bool(attempt.attempt_time + delay(attempt.failures_since_start) > timezone.now())

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return False  # no filters here, and a regular expression in an address can occupy the process for minutes

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AccessAttempt | None = None) -> bool:
        return False
