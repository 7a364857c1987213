"""WebSockets that show jobs while they run: feeds, consumers, access checks, and limits on sockets."""
