"""The decoder: `client.py` starts it as a process of its own, which runs `__main__.py` and all the rest here."""
