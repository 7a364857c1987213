"""The peer in `viewers.py`: a consumer that joins the job's group itself, as in the documentation of Channels."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402


class GroupConsumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.group = f"job.{self.scope['url_route']['kwargs']['job']}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def feed_event(self, message: dict[str, str]) -> None:
        await self.send(text_data=message["text"])


application = ProtocolTypeRouter({"websocket": URLRouter([path("ws/jobs/<slug:job>/", GroupConsumer.as_asgi())])})
