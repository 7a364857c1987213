"""Restricts the lookups in the query string of an admin list to those of the list's own filters.

Django allows every lookup of a model's own fields. A regular expression can then occupy the process for minutes, some
lookups fail with status 500, and lookups of annotations reveal columns that the reviewer may not see.
"""

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters, ModelAdmin
from django.core.exceptions import ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

# The suffixes that Django's filters of fields, relations and dates use in links.
OF_FILTERS = ("", "__exact", "__isnull", "__id__exact", "__gte", "__lt")
OF_DATE_HIERARCHIES = ("__year", "__month", "__day", "__gte", "__lt")


class OwnLookups(ModelAdmin):
    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        assert request is not None  # Django always passes it
        filters: list[Any] = [*self.get_list_filter(request)]  # names, or pairs of a name and a class
        filters = [each if isinstance(each, str) else each[0] for each in filters]
        allowed = {f"{name}{suffix}" for name in filters for suffix in OF_FILTERS}
        if self.date_hierarchy:
            allowed |= {f"{self.date_hierarchy}{suffix}" for suffix in OF_DATE_HIERARCHIES}
        return lookup in allowed

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect to the unfiltered list for a value that the database or the calendar rejects."""
        try:
            return super().changelist_view(request, extra_context)
        except (ValueError, OverflowError, DataError, ValidationError, IncorrectLookupParameters):
            if "e" in request.GET:
                raise  # already redirected, so the query string is not the cause
            return HttpResponseRedirect(f"{request.path}?e=1")
