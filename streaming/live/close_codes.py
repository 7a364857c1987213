"""Why a socket is closed, as `docs/protocol.md` tells programs and the page."""

BAD_ORIGIN = 1008
TRY_AGAIN = 1013  # the database is away, the viewer reads too little, or the person has too many sockets
NOT_SIGNED_IN = 4401
NOT_FOUND = 4404
