"""What the lists of jobs and of recordings share: how they are searched, and that nothing is written by hand."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import smart_split, unescape_string_literal

from streaming.admin.lookups import OwnLookups
from streaming.models import Job, Segment
from uploads.models import Upload
from uploads.templatetags.durations import clock

OWNER_FIELDS = ("owner__username", "owner__first_name", "owner__last_name", "owner__email")
TERMS = 20  # that a search takes: each is a condition of its own, and a database allows only so many


def moment(at: datetime | None) -> str:
    return date_format(timezone.localtime(at), "Y-m-d H:i") if at else ""


def player(upload: Upload, track: str = "") -> SafeString:
    """Return a player of a recording; `track` as a job stores it."""
    query = f"?track={track}" if track else ""
    address = reverse("upload-listen", args=[upload.pk])
    return format_html('<audio controls preload="none" src="{}{}"></audio>', address, query)


class Columns:
    """The columns and facts that recordings and jobs share."""

    @admin.display(description="duration", ordering="duration")
    def length(self, row: Upload | Job) -> str:
        return clock(row.duration)

    @admin.display(ordering="created_at")
    def created(self, row: Upload | Job) -> str:
        return moment(row.created_at)


class JobColumns(Columns):
    @admin.display(ordering="status")
    def state(self, job: Job) -> str:
        return job.get_status_display()

    @admin.display(ordering="language_code")
    def language(self, job: Job) -> str:
        return job.language_code

    @admin.display(ordering=F("worked") + F("finished_at") - F("started_at"))
    def took(self, job: Job) -> str:
        return clock(job.took.total_seconds() if job.took else None)


class ReviewAdmin(OwnLookups):
    """A list whose rows are read, exported and deleted, but never added or changed by hand."""

    transcript_of = ""  # the way from a segment to a row of this list

    list_per_page = 50
    # The number of all rows says nothing about the search that was made, and costs a walk over the table.
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
            self.delete_model(request, row)  # one by one: viewers and workers of each job are told

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Find each term in one of the `search_fields` or in what was said; no row comes twice."""
        for term in [*smart_split(search_term)][:TERMS]:
            if len(term) > 1 and term[0] in "\"'" and term[0] == term[-1]:
                term = unescape_string_literal(term)
            condition = Q()
            if request.user.has_perm("streaming.view_job"):  # else a search would tell what was said
                said = Segment.objects.filter(**{self.transcript_of: OuterRef("pk")}, text__icontains=term)
                condition |= Q(Exists(said))
            for field in self.get_search_fields(request):
                condition |= Q(**{f"{field}__icontains": term})
            queryset = queryset.filter(condition)
        return queryset, False

    def view_on_site(self, obj: Any) -> str:
        address: str = obj.get_absolute_url()
        return address
