"""Django's settings. All values that differ between sites come from environment variables, listed in `variables.py`."""

import fcntl
import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from transcribe_site import environment

BASE_DIR = Path(__file__).resolve().parent.parent
ENV = environment.read(os.environ)

# The site's own settings.
DATA_DIR = BASE_DIR / ENV["TRANSCRIBE_DATA_DIR"]
TRANSCRIBE_ENGINES = ["local", "aws"]
TRANSCRIBE_DEFAULT_ENGINE = ENV["TRANSCRIBE_ENGINE"]
TRANSCRIBE_RUN_JOBS = ENV["TRANSCRIBE_RUN_JOBS"]
TRANSCRIBE_MAX_JOBS = ENV["TRANSCRIBE_MAX_JOBS"]
TRANSCRIBE_MAX_JOBS_A_PERSON = ENV["TRANSCRIBE_MAX_JOBS_A_PERSON"]
TRANSCRIBE_MAX_SOCKETS_A_PERSON = ENV["TRANSCRIBE_MAX_SOCKETS_A_PERSON"]
TRANSCRIBE_TRUSTED_PROXIES = ENV["TRANSCRIBE_TRUSTED_PROXIES"]
TRANSCRIBE_LEASE_SECONDS = ENV["TRANSCRIBE_LEASE_SECONDS"]
TRANSCRIBE_ADMIN_PASSWORD = ENV["TRANSCRIBE_ADMIN_PASSWORD"]
TRANSCRIBE_AWS_PACE = ENV["TRANSCRIBE_AWS_PACE"]
TRANSCRIBE_AWS_MAX_STREAMS = ENV["TRANSCRIBE_AWS_MAX_STREAMS"]
TRANSCRIBE_METRICS_TOKEN = ENV["TRANSCRIBE_METRICS_TOKEN"]
TRANSCRIBE_METRICS_HOST = ENV["TRANSCRIBE_METRICS_HOST"]
TRANSCRIBE_METRICS_PORT = ENV["TRANSCRIBE_METRICS_PORT"]
AWS_REGION = ENV["AWS_REGION"]
AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING = ENV["AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING"]
AWS_CA_BUNDLE = ENV["AWS_CA_BUNDLE"]
MAX_REQUEST_BYTES = 100 * 1024**2  # the maximum of a file in one request
MAX_BODY_BYTES = MAX_REQUEST_BYTES + 1024**2  # the other fields of the form
MAX_UPLOAD_BYTES = min(ENV["TRANSCRIBE_MAX_UPLOAD_BYTES"], MAX_REQUEST_BYTES)
MAX_AUDIO_SECONDS = 12 * 3600  # of decoded audio: a small file can hold days of silence
HOST, PORT = ENV["HOST"], ENV["PORT"]


def usable(folder: Path) -> Path:
    """Return a folder. Creates it if it is missing, accessible only to its owner."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for inner in ("static", "incoming"):
            (folder / inner).mkdir(exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"TRANSCRIBE_DATA_DIR={str(folder)!r}: can't be written: {error.strerror}."
        ) from error
    return folder


def kept_secret_key(path: Path) -> str:
    """Return the key in the file at `path`. The first start creates the file, readable only by its owner."""
    try:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # two processes that start at once must not create two keys
            key = file.read()
            if not key:
                key = secrets.token_urlsafe(50)
                file.write(key)
    except OSError as error:
        raise ImproperlyConfigured(f"{path} can't be written: {error.strerror}.") from error
    return key


# Django.
SECRET_KEY = ENV["SECRET_KEY"] or kept_secret_key(usable(DATA_DIR) / "secret_key")
DEBUG = ENV["DEBUG"]
ALLOWED_HOSTS = ENV["ALLOWED_HOSTS"]
CSRF_TRUSTED_ORIGINS = ENV["CSRF_TRUSTED_ORIGINS"]
ROOT_URLCONF = "transcribe_site.urls"
ASGI_APPLICATION = "transcribe_site.asgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "transcribe_site",
    "streaming",
    "uploads",
    "csp",
    "transcribe_site.apps.SignInsConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "transcribe_site.health.monitoring",
    "transcribe_site.middleware.SchemeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "transcribe_site.static.StaticFilesMiddleware",
    "transcribe_site.middleware.PrivateMiddleware",
    "csp.middleware.CSPMiddleware",
    "transcribe_site.middleware.JsonErrorsMiddleware",
    "transcribe_site.middleware.FailuresMiddleware",
    "transcribe_site.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "transcribe_site.middleware.CsrfMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "transcribe_site.middleware.SignInMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Database: SQLite, configured so that readers and one writer don't block each other, or PostgreSQL.
DATABASES = {"default": dj_database_url.parse(ENV["DATABASE_URL"] or f"sqlite:///{DATA_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    DATABASES["default"]["ENGINE"] = "transcribe_site.postgresql"
    DATABASES["default"]["OPTIONS"] = {
        # A pool, because threads come and go with requests. An idle process keeps one connection. A request that gets
        # none within `timeout` is answered with 503. Reconnecting gives up sooner, because the pool backs off between
        # attempts, whereas the next request starts a new attempt at once.
        "pool": {"min_size": 1, "max_size": 16, "timeout": 5.0, "reconnect_timeout": 3.0},
        # Detect an unreachable server within seconds (libpq and the system would take hours).
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        # Limit the wait for a locked row, and the time for which a frozen process can lock one.
        "options": "-c lock_timeout=3s -c idle_in_transaction_session_timeout=10s",
        **DATABASES["default"].get("OPTIONS", {}),  # from the URL, as in `?sslmode=require`
    }
elif DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }

# Channel layer. Feeds detect lost messages and read them from the database (see streaming/live/feed.py).
if ENV["REDIS_URL"]:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [{"address": ENV["REDIS_URL"], "socket_timeout": None}]},
        }
    }
else:
    # By default the layer removes a channel from its groups after a day, or when a message has waited for a minute, as
    # after a laptop's sleep. Runners and feeds live longer. `capacity` limits the waiting messages.
    never = 100 * 365 * 24 * 3600
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            "CONFIG": {"capacity": 10_000, "expiry": never, "group_expiry": never},
        }
    }

# Files.
MEDIA_ROOT = DATA_DIR / "media"
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / ENV["TRANSCRIBE_STATIC_DIR"] if ENV["TRANSCRIBE_STATIC_DIR"] else DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "transcribe_site.static.HashedStaticFilesStorage",
        # Readable by others, whatever FILE_UPLOAD_PERMISSIONS and the umask are: root collects them in the image, and
        # the site that serves them runs as another user.
        "OPTIONS": {"file_permissions_mode": 0o644, "directory_permissions_mode": 0o755},
    },
}
if ENV["TRANSCRIBE_S3_BUCKET"]:
    STORAGES["default"] = {
        "BACKEND": "uploads.files.s3.BucketStorage",
        "OPTIONS": {
            "bucket_name": ENV["TRANSCRIBE_S3_BUCKET"],
            "endpoint_url": ENV["AWS_ENDPOINT_URL_S3"] or None,
            "region_name": AWS_REGION or None,
        },
    }
FILE_UPLOAD_TEMP_DIR = DATA_DIR / "incoming"
usable(DATA_DIR)
FILE_UPLOAD_PERMISSIONS = 0o600  # recordings are read by the site only
FILE_UPLOAD_HANDLERS = ["uploads.files.upload_handler.DiskUploadHandler"]

# Accounts.
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "library"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["transcribe_site.passwords.PasswordHasher"]
# django-axes counts failed sign-ins, for each pair of account and address; `sign_in.py` decides how long they lock.
AXES_HANDLER = "transcribe_site.sign_in.SignInHandler"
AXES_CLIENT_IP_CALLABLE = "transcribe_site.client_address.of_request"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(days=1)  # failures expire after that
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "old_password", "new_password1", "new_password2"]  # never stored
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True  # the table would grow with every sign-in
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False  # `admin.py` registers the list of failures
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
# Secure cookies and HSTS if the site is reached by https only. Plain http on localhost must work too.
IS_HTTPS = bool(CSRF_TRUSTED_ORIGINS) and all(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SECURE_PROXY_SSL_HEADER = ("transcribe_site.scheme", "https")  # set by SchemeMiddleware, never by a client
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if IS_HTTPS else 0
SILENCED_SYSTEM_CHECKS = [
    "axes.W002",  # its middleware answers lockouts: `sign_in.py` does that
    "security.W003",  # it looks for Django's CsrfViewMiddleware by name; ours is a subclass of it
    "security.W005",  # HSTS for subdomains: these may belong to other sites
    "security.W008",  # the proxy redirects http to https
    "security.W021",  # HSTS preloading: the owner of the domain decides that
]
if not IS_HTTPS:
    # A site on plain http, on localhost or in a private network. A site behind TLS can't get here unnoticed: without
    # its https origin in CSRF_TRUSTED_ORIGINS it refuses all forms, including the sign-in.
    SILENCED_SYSTEM_CHECKS += ["security.W004", "security.W010", "security.W012", "security.W016"]
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "job": {"()": "streaming.log.JobFilter"},
        "outages": {"()": "streaming.outages.OutageFilter"},
        "seldom": {
            "()": "streaming.log.RateLimitFilter",
            "names": [
                "channels_redis.pubsub",
                "psycopg.pool",
                "streaming.publisher",
                "streaming.live.hub",
                "transcribe_site.failures",
            ],
        },
    },
    "formatters": {
        "line": {"()": "streaming.log.LineFormatter"},
        "json": {"()": "streaming.log.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": ENV["TRANSCRIBE_LOG_FORMAT"],
            "filters": ["job", "outages", "seldom"],
        }
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "axes": {"level": "WARNING"},
        "botocore": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
        "psycopg.pool": {"level": "ERROR"},  # callers that get no connection log the reason
    },
}
