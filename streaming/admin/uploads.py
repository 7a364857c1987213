"""Recordings in the admin: the list, a page with the player and the jobs, deletion, and the export of transcripts."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.safestring import SafeString

from streaming.admin import archive
from streaming.admin.review import OWNER_FIELDS, Columns, JobColumns, ReviewAdmin, player
from streaming.jobs import lifecycle
from streaming.models import Job, Status
from uploads import tracks
from uploads.models import Upload
from uploads.templatetags.formats import file_format, size


class JobsOfUpload(JobColumns, admin.TabularInline):
    model = Job
    fields = readonly_fields = ("state", "engine", "language", "word_count", "created", "took")
    extra = 0
    can_delete = False
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        # `Job.__str__` reads the recording's name.
        return super().get_queryset(request).select_related("upload").defer("upload__peaks")

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def view_on_site(self, job: Job) -> str:
        return job.get_absolute_url()


@admin.register(Upload)
class UploadAdmin(Columns, ReviewAdmin):
    transcript_of = "job__upload"
    list_display = ("name", "owner", "length", "file_size", "kind", "created", "last_job")
    list_filter = ("container", "codec", "created_at", ("owner", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("owner",)
    search_fields = ("name", *OWNER_FIELDS)
    search_help_text = "Search names, owners and transcript text. Use “quotes” for an exact phrase."
    inlines = (JobsOfUpload,)
    actions = ("export",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Upload]:
        newest = Job.objects.filter(upload=OuterRef("pk")).order_by("-created_at")
        uploads = super().get_queryset(request).defer("peaks")
        return uploads.annotate(last_status=Subquery(newest.values("status")[:1]))

    def get_fields(self, request: HttpRequest, obj: Upload | None = None) -> Any:
        assert obj is not None  # recordings are never added in the admin
        audio_tracks = ["audio_tracks"] if tracks.rows(obj.tracks, obj.track) else []
        sizes, kinds = ("length", "file_size", "created"), ("kind", "sample_rate", "channels")
        return ["owner", "player", sizes, kinds, *audio_tracks, "sha256"]

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        # The status of the last job needs the permission to view jobs.
        sees_jobs = request.user.has_perm("streaming.view_job")
        return self.list_display if sees_jobs else tuple(name for name in self.list_display if name != "last_job")

    # Columns, and the facts on a recording's page

    @admin.display(description="size", ordering="size")
    def file_size(self, upload: Upload) -> str:
        return size(upload.size)

    @admin.display(description="format", ordering="container")
    def kind(self, upload: Upload) -> str:
        return file_format(upload.container, upload.codec)

    @admin.display(ordering="last_status")
    def last_job(self, upload: Upload) -> str:
        status = upload.last_status  # type: ignore[attr-defined]  # annotated in get_queryset
        return Status(status).label if status else ""

    def audio_tracks(self, upload: Upload) -> str:
        rows = tracks.rows(upload.tracks, upload.track)
        return "; ".join(", ".join([row.label, file_format(row.codec, row.codec), *row.notes]) for row in rows)

    def player(self, upload: Upload) -> SafeString:
        return player(upload)

    # Deleting

    def delete_model(self, request: HttpRequest, obj: Upload) -> None:
        lifecycle.delete_upload(obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list, dict[str, int], set[str], list]:
        """Count the rows that a deletion removes. Django's own method would load and list every segment."""
        count = Job.objects.filter(upload__in=objs).count()
        lacking = {"job"} if count and not request.user.has_perm("streaming.delete_job") else set()
        return [str(upload) for upload in objs], {"recordings": len(objs), "jobs": count}, lacking, []

    # Actions

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("streaming.view_job")

    @admin.action(description="Export newest transcripts as a ZIP", permissions=["export"])
    def export(self, request: HttpRequest, queryset: QuerySet[Upload]) -> StreamingHttpResponse:
        completed = Job.objects.filter(upload=OuterRef("pk"), status=Status.COMPLETED).order_by("-created_at")
        newest = queryset.order_by().annotate(newest=Subquery(completed.values("pk")[:1])).values("newest")
        return archive.response(Job.objects.filter(pk__in=newest))
