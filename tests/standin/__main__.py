"""Serves the stand-in until SIGINT or SIGTERM.

First prints the environment variables that a client needs, one `NAME=value` per line, then an empty line.
"""

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.standin.recognition import Segment
from tests.standin.results import Habits
from tests.standin.service import Service


async def serve(service: Service) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with service:
        for name, value in service.environ.items():
            print(f"{name}={value}")
        print(flush=True)
        await stop.wait()


def note_into(path: Path) -> Callable[[Segment], None]:
    """Write a line for each event: the time on the clock that all processes share, and the last number in the event."""
    file = open(path, "w", buffering=1)  # noqa: SIM115 as long as the process

    def note(segment: Segment) -> None:
        file.write(f"{time.monotonic():.6f} {segment.words[-1].number}\n")

    return note


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.standin", description=__doc__)
    parser.add_argument("--local", action="store_true", help="recognise real words instead of written numbers")
    parser.add_argument("--rate", type=float, default=1.0, help="how many times faster than the wall's its clock runs")
    parser.add_argument("--quota", type=int, default=25, help="how many streams may be open at once")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--no-verify", action="store_true", help="look at no signature")
    parser.add_argument("--words-per-final", type=int, default=4, help="of numbers")
    parser.add_argument("--goaway-at", type=float, help="send graceful GOAWAYs after these seconds of audio, or at inf")
    parser.add_argument("--name-channel", action="store_true", help="give results of mono streams a ChannelId")
    parser.add_argument("--punctuate-partials", action="store_true", help="end partials in a full stop too")
    parser.add_argument("--end-padding", type=float, default=0.0, help="seconds from the last word to a result's end")
    parser.add_argument("--events", type=Path, help="a file for the moment and the last number of each event")
    options = parser.parse_args()
    recogniser = None
    if options.local:
        # Only the recognition of real speech needs Django, whose settings must be configured before.
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")
        django.setup()
        from tests.standin.recognition import LocalRecognition

        recogniser = LocalRecognition
    asyncio.run(
        serve(
            Service(
                options.rate,
                options.quota,
                recogniser=recogniser,
                words_per_final=options.words_per_final,
                verify=not options.no_verify,
                on_segment=note_into(options.events) if options.events else None,
                port=options.port,
                habits=Habits(options.name_channel, options.punctuate_partials, options.end_padding),
                goaway_at=options.goaway_at,
            )
        )
    )


if __name__ == "__main__":
    main()
