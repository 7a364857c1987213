"""The codes with which the server closes a WebSocket. `docs/protocol.md` lists them for clients."""

BAD_ORIGIN = 1008
TRY_AGAIN = 1013  # the database is unavailable, the viewer reads too slowly, or the person has too many sockets
NOT_SIGNED_IN = 4401
NOT_FOUND = 4404
