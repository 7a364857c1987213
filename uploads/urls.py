"""The addresses of the views that upload and rename recordings and serve their files."""

from django.urls import path

from uploads import views

urlpatterns = [
    path("uploads/", views.create, name="upload-create"),
    path("uploads/<uuid:pk>/rename/", views.rename, name="upload-rename"),
    path("uploads/<uuid:pk>/audio/", views.audio, name="upload-audio"),
    path("uploads/<uuid:pk>/listen/", views.listen, name="upload-listen"),
    path("uploads/<uuid:pk>/waveform.svg", views.waveform, name="upload-waveform"),
]
