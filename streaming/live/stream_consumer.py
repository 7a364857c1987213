"""The consumer of `/ws/stream/`: starts jobs for recordings and sends their events."""

import json
from uuid import UUID

from django.contrib.auth.models import User

from streaming.db import in_thread
from streaming.jobs import lifecycle, permissions
from streaming.jobs.lifecycle import JobRefused
from streaming.live.consumers import Message, ViewerConsumer, parse
from uploads.models import Upload


class StreamConsumer(ViewerConsumer):
    """`/ws/stream/`: starts jobs for uploads, one after the other, and sends the events of the newest."""

    async def answer(self, user: User, text: str) -> None:
        if not text.strip():
            await self.close(1000)  # a person at a terminal sends an empty line to quit
        elif not is_json(text):
            upload = await in_thread(newest_upload_named)(user, text.strip())
            await self._start(user, upload, {})
        elif (message := parse(text)).get("type") == "start":
            await self._start(user, await in_thread(visible_upload)(user, message.get("upload")), message)
        else:
            await super().answer(user, text)

    async def _start(self, user: User, upload: Upload | None, message: Message) -> None:
        if upload is None:
            raise JobRefused("not_found", "You don't have a recording with this name or id.")
        if not await in_thread(permissions.may_start)(user, upload):
            raise JobRefused("forbidden", "You don't have permission to transcribe this recording.")
        engine, language_code = message.get("engine", ""), message.get("language_code", "")
        options, request_id = message.get("options", {}), message.get("request_id")
        if not isinstance(engine, str) or not isinstance(language_code, str) or not isinstance(options, dict):
            raise JobRefused(
                "bad_message", "`engine` and `language_code` must be strings, `options` must be an object."
            )
        if not isinstance(request_id, str | None):
            raise JobRefused("bad_message", "`request_id` must be a string.")
        track = message.get("track")
        wanted: Message = {"engine": engine, "language_code": language_code, "options": options, "track": track}
        job, _ = await in_thread(lifecycle.start)(upload, **wanted, request_id=request_id)
        await self.watch(job.pk)


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def visible_upload(user: User, given: object) -> Upload | None:
    """Return the recording with this id, or None if the person may see none. Raises `JobRefused` for a malformed id."""
    try:
        pk = UUID(str(given))
    except ValueError:
        raise JobRefused("bad_message", "`upload` must be the id of a recording (a UUID).") from None
    return Upload.objects.visible_to(user).filter(pk=pk).first()


def newest_upload_named(user: User, name: str) -> Upload | None:
    """Return this person's newest recording of that name, or None."""
    # PostgreSQL refuses a query with a NUL character. No recording's name has one.
    return Upload.objects.filter(owner_id=user.pk, name=name.replace("\0", "")).order_by("-created_at").first()
