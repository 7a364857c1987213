"""Two parts of the admin: the list of failed sign-ins and the autocomplete view.

Deleting a row of the list unlocks its account for that address.
"""

from axes.models import AccessAttempt
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from streaming.admin.lookups import OwnLookups
from transcribe_site.sign_in import delay


@admin.register(AccessAttempt)
class FailedSignInAdmin(OwnLookups):
    list_display = ("username", "ip_address", "failures_since_start", "attempt_time", "is_locked", "user_agent")
    search_fields = ("username", "ip_address")
    fields = (*list_display, "path_info")
    readonly_fields = fields
    ordering = ("-attempt_time",)

    @admin.display(boolean=True, description="Locked")
    def is_locked(self, attempt: AccessAttempt) -> bool:
        return bool(attempt.attempt_time + delay(attempt.failures_since_start) > timezone.now())

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AccessAttempt | None = None) -> bool:
        return False


def autocomplete(request: HttpRequest) -> HttpResponseBase:
    """Answer only for the fields that forms of this admin autocomplete. `urls.py` replaces Django's view by this one.

    Django's view answers for any field of any model, and with status 500 for the reverse side of a relation.
    """
    given = tuple(request.GET.get(name) for name in ("app_label", "model_name", "field_name"))
    own = {
        (model._meta.app_label, model._meta.model_name, field)
        for model, options in admin.site._registry.items()
        for field in options.get_autocomplete_fields(request)
    }
    if given not in own:
        raise PermissionDenied
    return autocomplete_view(request)


autocomplete_view = admin.site.autocomplete_view
