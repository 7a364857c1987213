"""The decoder reads media files in a child process, so that a hostile file can harm only that process.

The site calls `client.py`, which limits concurrent decoders (`slots.py`) and ends them (`subprocesses.py`). The child
process runs `__main__.py`; all other modules here run only in it.
"""
