"""The shared base of the admin's lists of jobs and recordings: search, columns, and no adding or editing."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import smart_split, unescape_string_literal

from streaming.admin.lookups import OwnLookups
from streaming.models import Job, Segment
from uploads.models import Upload
from uploads.templatetags.formats import clock, moment

OWNER_FIELDS = ("owner__username", "owner__first_name", "owner__last_name", "owner__email")
TERMS = 20  # a search ignores further terms: each adds a condition, and databases limit their number


def player(upload: Upload, track: str = "") -> SafeString:
    """Return an audio element for a recording. `track` is in the form that a job stores."""
    query = f"?track={track}" if track else ""
    address = reverse("upload-listen", args=[upload.pk])
    return format_html('<audio controls preload="none" src="{}{}"></audio>', address, query)


class Columns:
    """The columns that recordings and jobs share."""

    @admin.display(description="duration", ordering="duration")
    def length(self, row: Upload | Job) -> str:
        return clock(row.duration)

    @admin.display(ordering="created_at")
    def created(self, row: Upload | Job) -> str:
        return moment(row.created_at)


class JobColumns(Columns):
    @admin.display(description="status", ordering="status")
    def state(self, job: Job) -> str:
        return job.get_status_display()

    @admin.display(ordering="language_code")
    def language(self, job: Job) -> str:
        return job.language_code

    @admin.display(description="processing time", ordering=F("worked") + F("finished_at") - F("started_at"))
    def took(self, job: Job) -> str:
        return clock(job.took.total_seconds() if job.took else None)


class ReviewAdmin(OwnLookups):
    """A list whose rows reviewers read, export and delete, but never add or edit."""

    transcript_of = ""  # the lookup from a segment to a row of this list

    list_per_page = 50
    # Counting all rows would scan the table for a number that a search does not need.
    show_full_result_count = False
    date_hierarchy = "created_at"

    class Media:
        css: ClassVar = {"all": ("css/admin.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        for row in queryset:
            self.delete_model(request, row)  # one by one: each deletion notifies viewers and the worker

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Select the rows that have every term in a search field or in the transcript, without duplicates."""
        for term in [*smart_split(search_term)][:TERMS]:
            if len(term) > 1 and term[0] in "\"'" and term[0] == term[-1]:
                term = unescape_string_literal(term)
            condition = Q()
            if request.user.has_perm("streaming.view_job"):  # otherwise a search would reveal transcripts
                matching = Segment.objects.filter(**{self.transcript_of: OuterRef("pk")}, text__icontains=term)
                condition |= Q(Exists(matching))
            for field in self.get_search_fields(request):
                condition |= Q(**{f"{field}__icontains": term})
            queryset = queryset.filter(condition)
        return queryset, False

    def view_on_site(self, obj: Any) -> str:
        address: str = obj.get_absolute_url()
        return address
