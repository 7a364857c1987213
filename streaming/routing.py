from django.urls import path

from streaming.consumers import JobConsumer, StreamConsumer

websocket_urlpatterns = [
    path("ws/jobs/<uuid:job_id>/", JobConsumer.as_asgi()),
    path("ws/stream/", StreamConsumer.as_asgi()),
]
