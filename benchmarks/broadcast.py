"""The upper limit for `viewers.py`: a server that passes the messages from Redis to `websockets.broadcast`, no more.

`python -m benchmarks.broadcast PORT` runs it. It has no sessions, snapshots or numbers, and ignores slow viewers.
"""

import asyncio
import os
import sys
from urllib.parse import urlsplit
from uuid import UUID

from channels_redis.pubsub import RedisPubSubChannelLayer
from redis.asyncio import Redis
from websockets.asyncio.server import ServerConnection, broadcast, serve


async def main(port: int) -> None:
    layer = RedisPubSubChannelLayer()  # only for its encoding
    subscription = Redis.from_url(os.environ["REDIS_URL"], socket_timeout=None).pubsub()
    viewers: dict[str, set[ServerConnection]] = {}

    async def watch(socket: ServerConnection) -> None:
        assert socket.request is not None
        channel = f"asgi__group__job.{UUID(urlsplit(socket.request.path).path.split('/')[-2]).hex}"
        if channel not in viewers:
            viewers[channel] = set()
            await subscription.subscribe(channel)
        viewers[channel].add(socket)
        await socket.wait_closed()
        viewers[channel].discard(socket)

    async with serve(watch, "127.0.0.1", port, compression=None):
        while True:
            if not subscription.subscribed:
                await asyncio.sleep(0.05)
                continue
            message = await subscription.get_message(ignore_subscribe_messages=True, timeout=None)
            if message is not None:
                broadcast(viewers[message["channel"].decode()], layer.deserialize(message["data"])["text"])


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
