from django.urls import path

from streaming.web import views

urlpatterns = [
    path("", views.library, name="library"),
    path("sample/", views.add_sample, name="sample"),
    path("uploads/<uuid:pk>/", views.upload, name="upload"),
    path("uploads/<uuid:pk>/delete/", views.delete_upload, name="upload-delete"),
    path("uploads/<uuid:pk>/jobs/", views.create_job, name="job-create"),
    path("jobs/", views.history, name="jobs"),
    path("jobs/<uuid:pk>/", views.job, name="job"),
    path("jobs/<uuid:pk>/cancel/", views.cancel, name="job-cancel"),
    path("jobs/<uuid:pk>/retry/", views.retry, name="job-retry"),
    path("jobs/<uuid:pk>/delete/", views.delete, name="job-delete"),
    path("jobs/<uuid:pk>/transcript.<str:format>", views.transcript, name="job-transcript"),
]
