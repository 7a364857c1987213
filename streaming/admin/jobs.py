"""Jobs in the admin: the list with its search, a page with the transcript, and the actions for selected jobs."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from streaming.admin import archive
from streaming.admin.review import OWNER_FIELDS, JobColumns, ReviewAdmin, player
from streaming.jobs import lifecycle
from streaming.models import Job, Status
from uploads import tracks
from uploads.templatetags.formats import clock, moment


@admin.register(Job)
class JobAdmin(JobColumns, ReviewAdmin):
    transcript_of = "job"
    list_display = ("name", "owner", "engine", "language", "state", "length", "word_count", "created", "took")
    list_filter = ("status", "engine", "language_code", "created_at", ("owner", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("upload", "owner")
    search_fields = ("upload__name", *OWNER_FIELDS)
    search_help_text = "Search names, owners and transcript text. Use “quotes” for an exact phrase."
    actions = ("export", "retry", "cancel")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return super().get_queryset(request).defer("upload__peaks")  # large, and not shown here

    # Columns, and the facts on a job's page

    @admin.display(ordering="upload__name")
    def name(self, job: Job) -> str:
        return job.upload.name

    # A job's page

    def get_fieldsets(self, request: HttpRequest, obj: Job | None = None) -> Any:
        assert obj is not None  # jobs are never added in the admin
        may_listen = obj.owner_id == request.user.pk or request.user.has_perm("uploads.view_upload")
        facts = [
            ("upload", "owner"),
            *["player"] * may_listen,
            ("state", "engine", "language", *["track_name"] * bool(tracks.name(obj.upload.tracks, obj.track))),
            *["failure_reason"] * bool(obj.failure_reason),
            *["options"] * bool(obj.options),
            ("length", "words", "took"),
            ("created", "started", "finished"),
        ]
        return [(None, {"fields": facts}), ("Transcript", {"fields": ["transcript"]})]

    @admin.display(description="track")
    def track_name(self, job: Job) -> str:
        return tracks.name(job.upload.tracks, job.track)

    def words(self, job: Job) -> str:
        return f"{job.word_count:,} in {job.segment_count:,} segments"

    def started(self, job: Job) -> str:
        return moment(job.started_at)

    def finished(self, job: Job) -> str:
        return moment(job.finished_at)

    def player(self, job: Job) -> SafeString:
        return player(job.upload, job.track)

    def transcript(self, job: Job) -> SafeString | str:
        """Return the transcript as HTML. Each segment's time links to the segment on the job's page."""
        page, lines, last_speaker = job.get_absolute_url(), [], ""
        for segment in job.segments.only("job_id", "seq", "start_time", "speaker", "channel", "text"):
            voice = segment.voice
            name = format_html("<b>{}</b> ", voice) if voice and voice != last_speaker else ""
            last_speaker = voice
            lines.append((f"{page}#s{segment.seq}", clock(segment.start_time), name, segment.text))
        if not lines:
            return "No transcript."
        line = '<p><a href="{}">{}</a><span>{}{}</span></p>'
        return format_html('<div class="transcript">{}</div>', format_html_join("\n", line, lines))

    # Deleting

    def delete_model(self, request: HttpRequest, obj: Job) -> None:
        lifecycle.delete(obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list, dict[str, int], set[str], list]:
        """Count the rows that a deletion removes. Django's own method would load and list every segment."""
        counts = {"jobs": len(objs), "segments": sum(job.segment_count for job in objs)}
        return [str(job) for job in objs], counts, set(), []

    # Actions

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("streaming.change_job")

    @admin.action(description="Export selected jobs as a ZIP", permissions=["view"])
    def export(self, request: HttpRequest, queryset: QuerySet[Job]) -> StreamingHttpResponse:
        return archive.response(queryset)

    @admin.action(description="Resume selected jobs", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._change_each(
            request, queryset, lifecycle.retry, "resumed", "Only failed and cancelled jobs can be resumed."
        )

    @admin.action(description="Cancel selected jobs", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._change_each(
            request, queryset, lifecycle.cancel, "cancelled", "Only queued and running jobs can be cancelled."
        )

    def _change_each(
        self, request: HttpRequest, queryset: QuerySet[Job], change: Callable[[Job], Job], what: str, why: str
    ) -> None:
        """Apply `change` to each job, and show how many were changed and how many skipped, with the reason."""
        done, skipped = 0, Counter[str]()
        for job in queryset:
            try:
                change(job)
            except lifecycle.JobRefused:
                # Read again: the status may have changed since the reviewer loaded the list.
                status = Job.objects.filter(pk=job.pk).values_list("status", flat=True).first()
                skipped[Status(status).label.lower() if status else "deleted"] += 1
            else:
                done += 1
                self.log_change(request, job, f"{what.capitalize()}.")
        if done:
            messages.success(request, f"{counted(done)} {what}.")
        if skipped:
            found = ", ".join(f"{count} {status}" for status, count in skipped.items())
            messages.warning(request, f"{counted(skipped.total())} skipped ({found}). {why}")


def counted(number: int) -> str:
    return f"{number} job" if number == 1 else f"{number} jobs"
