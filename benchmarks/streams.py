"""Real-time streams in one process, through our engine or as in the SDK's own example; prints the CPU that they used.

`python -m benchmarks.streams ours|sdk STREAMS SECONDS FILE`. The environment names a stand-in. FILE holds raw audio,
16-bit at 16 kHz.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

RATE, SAMPLE_BYTES, CHUNK_BYTES = 16_000, 2, 3200
TICK_SECONDS = 0.01
START_SECONDS = 4.0  # not measured: connections and keys are set up once


async def ours(path: Path, seconds: int) -> int:
    """Transcribe the file with our engine; return the number of words."""
    from streaming.engines.aws.engine import AwsEngine
    from streaming.engines.base import Request
    from streaming.spool import Spool

    spool = Spool(path, RATE, 1)
    spool.samples, spool.is_complete = seconds * RATE, True
    results = AwsEngine().transcribe(spool, Request("en-US"))
    return sum([len(result.words) async for result in results if not result.is_partial])


async def sdk(path: Path, seconds: int) -> int:
    """Transcribe the file as the SDK's own example does; return the number of words."""
    from amazon_transcribe.auth import StaticCredentialResolver
    from amazon_transcribe.client import TranscribeStreamingClient
    from amazon_transcribe.endpoints import StaticEndpointResolver
    from amazon_transcribe.handlers import TranscriptResultStreamHandler
    from amazon_transcribe.utils import apply_realtime_delay
    from awscrt import io

    class Handler(TranscriptResultStreamHandler):
        words = 0

        async def handle_transcript_event(self, transcript_event: Any) -> None:
            for result in transcript_event.transcript.results:
                if not result.is_partial:
                    self.words += len(result.alternatives[0].transcript.split())

    client = TranscribeStreamingClient(
        region=os.environ["AWS_REGION"],
        endpoint_resolver=StaticEndpointResolver(os.environ["AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING"]),
        credential_resolver=StaticCredentialResolver(
            os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        ),
    )
    trust = io.TlsContextOptions()
    trust.override_default_trust_store_from_path(None, os.environ["AWS_CA_BUNDLE"])
    client._session_manager._tls_ctx = io.ClientTlsContext(trust)  # changed in the example: trust the stand-in
    stream = await client.start_stream_transcription(
        language_code="en-US", media_sample_rate_hz=RATE, media_encoding="pcm"
    )

    async def chunks():  # type: ignore[no-untyped-def]
        with open(path, "rb") as file:  # noqa: ASYNC230 the example reads like this, with a library around it
            for _ in range(seconds * RATE * SAMPLE_BYTES // CHUNK_BYTES):
                yield file.read(CHUNK_BYTES)

    async def write() -> None:
        await apply_realtime_delay(stream, chunks(), SAMPLE_BYTES, RATE, 1)
        await stream.input_stream.end_stream()

    handler = Handler(stream.output_stream)
    await asyncio.gather(write(), handler.handle_events())
    return handler.words


async def main(transcribe: Any, streams: int, seconds: int, path: Path) -> None:
    lags: list[float] = []

    async def sample_lag() -> None:
        while True:
            due = time.monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            lags.append(time.monotonic() - due)

    async def one(number: int) -> int:
        await asyncio.sleep(number * 1.0 / streams)  # the streams start evenly within a second
        return await transcribe(path, seconds)

    sampling = asyncio.create_task(sample_lag() if streams > 1 else asyncio.sleep(0))  # costs as much as a stream
    began = time.monotonic()
    running = asyncio.gather(*(one(number) for number in range(streams)))
    await asyncio.sleep(START_SECONDS)
    lags.clear()
    used, settled = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds - START_SECONDS - 1)
    used, settled = time.process_time() - used, time.monotonic() - settled
    words = await running
    took = time.monotonic() - began
    sampling.cancel()
    lags.sort()
    figures = {
        "cores": used / settled,
        "ms_a_stream_second": 1000 * used / (streams * settled),
        "lag_p99_ms": 1000 * lags[int(len(lags) * 0.99)] if lags else 0.0,
        "words": min(words),
        "took": took,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
    if sys.argv[1] == "ours":
        import django

        django.setup()
        import streaming.engines.aws.session  # noqa: F401 imported now, so that the import is not measured
    asyncio.run(main({"ours": ours, "sdk": sdk}[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
