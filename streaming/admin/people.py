"""Accounts and groups in the admin, without privilege escalation. Deleting an account deletes its recordings' files.

With Django's own pages, staff with the permission to change accounts could make themselves superusers or set a
superuser's password.
"""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.decorators import method_decorator

from streaming.admin.lookups import OwnLookups
from streaming.jobs.lifecycle import delete_upload
from streaming.live.auth import rechecks_access
from streaming.models import Job
from uploads.models import Upload

admin.site.unregister([User, Group])
RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")


@admin.register(Group)
class RightsAdmin(OwnLookups, GroupAdmin):
    """Only superusers change the permissions of a group."""

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        return () if request.user.is_superuser else ("permissions",)


@admin.register(User)
@method_decorator(rechecks_access, name="changeform_view")  # a permission may have been revoked
@method_decorator(rechecks_access, name="user_change_password")
class PersonAdmin(OwnLookups, UserAdmin):
    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        return super().get_readonly_fields(request, obj) if request.user.is_superuser else RIGHTS

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and may_manage(request.user, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and may_manage(request.user, obj)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        for upload in obj.uploads.all():
            delete_upload(upload)
        obj.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for person in queryset:
            if not may_manage(request.user, person):
                raise PermissionDenied
        for person in queryset:
            self.delete_model(request, person)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list, dict[str, int], set[str], list]:
        """Count the rows that a deletion removes. Django's own method would load and list every segment."""
        uploads, jobs = (model.objects.filter(owner__in=objs).count() for model in (Upload, Job))
        lacking = set()
        if uploads and not request.user.has_perms(["uploads.delete_upload", "streaming.delete_job"]):
            lacking = {"recording"}
        return [str(person) for person in objs], {"people": len(objs), "recordings": uploads, "jobs": jobs}, lacking, []


def may_manage(user: User | AnonymousUser, person: User | None) -> bool:
    """Return whether `user` may change or delete an account. Staff accounts: only superusers and the account itself."""
    return person is None or user.is_superuser or user.pk == person.pk or not (person.is_staff or person.is_superuser)
