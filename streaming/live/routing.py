"""The addresses of the WebSockets. `transcribe_site/asgi.py` uses them."""

from django.urls import path, re_path

from streaming.live.consumers import JobConsumer, NowhereConsumer
from streaming.live.library_consumer import LibraryConsumer
from streaming.live.stream_consumer import StreamConsumer

websocket_urlpatterns = [
    path("ws/jobs/<uuid:job_id>/", JobConsumer.as_asgi()),
    path("ws/library/", LibraryConsumer.as_asgi()),
    path("ws/stream/", StreamConsumer.as_asgi()),
    re_path("", NowhereConsumer.as_asgi()),
]
