"""The admin: where a reviewer finds, reads, exports and clears away what people have had transcribed.

Recordings are registered here as well as jobs, because `uploads` knows nothing of transcription. The modules are
imported for their registrations; the page of the engines has an address of its own (`engines.py`).
"""

from django.contrib import admin

from streaming.admin import jobs, people, uploads

__all__ = ["jobs", "people", "uploads"]

admin.site.site_header = "Transcribe: review"
admin.site.site_title = "Transcribe"
admin.site.index_title = "Recordings and transcripts"
# There are four lists: a column of the page is better used for what is in them.
admin.site.enable_nav_sidebar = False
