"""The admin site, where reviewers search, read, export and delete recordings and jobs.

Recordings are registered here too, because `uploads` must not import jobs. Importing the modules registers their
models. The engines' page has its own address (`engines.py`).
"""

from django.contrib import admin

from streaming.admin import jobs, people, uploads

__all__ = ["jobs", "people", "uploads"]

admin.site.site_header = "Transcribe · Review"
admin.site.site_title = "Transcribe"
admin.site.index_title = "Recordings and transcripts"
# With only four lists, the sidebar would take width from the tables and add no navigation.
admin.site.enable_nav_sidebar = False
