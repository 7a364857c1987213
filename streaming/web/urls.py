"""The addresses of the pages and their forms."""

from django.urls import path

from streaming.web import jobs, library

urlpatterns = [
    path("", library.library, name="library"),
    path("sample/", library.add_sample, name="sample"),
    path("uploads/<uuid:pk>/", library.upload, name="upload"),
    path("uploads/<uuid:pk>/delete/", library.delete_upload, name="upload-delete"),
    path("uploads/<uuid:pk>/jobs/", library.create_job, name="job-create"),
    path("jobs/", jobs.history, name="jobs"),
    path("jobs/<uuid:pk>/", jobs.job, name="job"),
    path("jobs/<uuid:pk>/cancel/", jobs.cancel, name="job-cancel"),
    path("jobs/<uuid:pk>/retry/", jobs.retry, name="job-retry"),
    path("jobs/<uuid:pk>/delete/", jobs.delete, name="job-delete"),
    path("jobs/<uuid:pk>/transcript.<str:format>", jobs.transcript, name="job-transcript"),
]
