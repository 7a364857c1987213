"""Jobs that transcribe recordings, their workers, and the pages and sockets that show the transcripts."""

import os

# By default aiofile reads through io_uring with a polling kernel thread, which uses 7 % of a core at one read a second.
# Threads sleep between reads and use almost nothing. Set here because aiofile reads the variable when first imported.
os.environ.setdefault("CAIO_IMPL", "thread")
