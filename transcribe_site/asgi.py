"""The ASGI application: HTTP to Django, WebSockets to the consumers. Runs on daphne and on uvicorn."""

import os
from pathlib import Path

import dotenv

dotenv.load_dotenv(Path(__file__).parent.parent / ".env")  # variables of the environment take precedence
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")

import django  # noqa: E402

django.setup(set_prefix=False)  # the imports below need the apps

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.sessions import CookieMiddleware  # noqa: E402

from streaming.live.routing import websocket_urlpatterns  # noqa: E402
from transcribe_site.server.asgi_handler import Handler  # noqa: E402

application = ProtocolTypeRouter(
    # No authentication middleware: consumers check the session themselves, on connecting and again later.
    {"http": Handler(), "websocket": CookieMiddleware(URLRouter(websocket_urlpatterns))}
)
