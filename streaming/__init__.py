"""Turning an upload into a live transcript."""

import os

# aiofile would read through io_uring with a kernel thread that polls: 7 % of a core for one read a second. Threads
# that sleep in between cost next to nothing. It looks at this when it is first imported.
os.environ.setdefault("CAIO_IMPL", "thread")
