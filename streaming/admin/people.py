"""Accounts in the admin: Django's own, but who is deleted takes the files of their recordings along."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from streaming import broadcast
from streaming.jobs import delete_upload
from streaming.models import Job
from uploads.models import Upload

admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(UserAdmin):
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._then_doubt(request, super().changeform_view(request, *args, **kwargs))

    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._then_doubt(request, super().user_change_password(request, *args, **kwargs))

    @staticmethod
    def _then_doubt(request: HttpRequest, answer: Any) -> Any:
        """Let every process look who may still watch: a right may have been taken away."""
        if request.method == "POST":
            broadcast.doubt()
        return answer

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        for upload in obj.uploads.all():
            delete_upload(upload)
        obj.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for person in queryset:
            self.delete_model(request, person)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list, dict[str, int], set[str], list]:
        """Say what would go. Django's own answer reads and lists every segment of every transcript."""
        uploads, jobs = (model.objects.filter(owner__in=objs).count() for model in (Upload, Job))
        lacking = set()
        if uploads and not request.user.has_perms(["uploads.delete_upload", "streaming.delete_job"]):
            lacking = {"recording"}
        return [str(person) for person in objs], {"people": len(objs), "recordings": uploads, "jobs": jobs}, lacking, []
