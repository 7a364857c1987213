"""The ASGI application: HTTP to Django, WebSockets to the consumers. Runs on daphne and on uvicorn."""

import os
from pathlib import Path

import dotenv

dotenv.load_dotenv(Path(__file__).parent.parent / ".env")  # what is already in the environment wins
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "transcribe_site.settings")

from django.core.asgi import get_asgi_application  # noqa: E402

django_application = get_asgi_application()  # sets up the apps; what comes below needs them

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.sessions import CookieMiddleware  # noqa: E402

from streaming.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    # Consumers ask themselves who the session's person is, each time that it matters.
    {"http": django_application, "websocket": CookieMiddleware(URLRouter(websocket_urlpatterns))}
)
