"""The environment variables that configure the site.

`environment.py` reads them for `settings.py`. The table in the README describes them. A test compares its
names and defaults, and those of `.env.example`, with this list.
"""

from typing import NamedTuple

from transcribe_site.parsers import FLAG, HOSTS, NETWORKS, ORIGINS, Kind, number, one_of, url

RANDOM_TEXT, FOLDER, HOST = Kind("any long random text"), Kind("a folder"), Kind("an address of this machine")
DATABASES = " (a file is sqlite:///…; a password's @ : / # ? % are written %40 %3A %2F %23 %3F %25)"


class Variable(NamedTuple):
    """A variable. `default` is written as in the environment."""

    name: str
    default: str
    kind: Kind


VARIABLES = (
    Variable("SECRET_KEY", "", RANDOM_TEXT),
    Variable("DEBUG", "0", FLAG),
    Variable("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]", HOSTS),
    Variable("CSRF_TRUSTED_ORIGINS", "", ORIGINS),
    Variable("DATABASE_URL", "", url("sqlite", "postgres", "postgresql", note=DATABASES)),
    Variable("REDIS_URL", "", url("redis", "rediss", "unix")),
    Variable("HOST", "127.0.0.1", HOST),
    Variable("PORT", "8000", number(0, 65535)),
    Variable("TRANSCRIBE_ENGINE", "local", one_of("local", "aws")),
    Variable("TRANSCRIBE_DATA_DIR", "var", FOLDER),
    Variable("TRANSCRIBE_STATIC_DIR", "", FOLDER),
    Variable("TRANSCRIBE_RUN_JOBS", "1", FLAG),
    Variable("TRANSCRIBE_MAX_JOBS", "2", number(1, 1000)),
    Variable("TRANSCRIBE_MAX_JOBS_A_PERSON", "0", number(0, 10_000)),
    Variable("TRANSCRIBE_MAX_SOCKETS_A_PERSON", "500", number(0, 1_000_000)),
    Variable("TRANSCRIBE_TRUSTED_PROXIES", "", NETWORKS),
    Variable("TRANSCRIBE_AWS_PACE", "1.0", number(0.1, 100)),
    Variable("TRANSCRIBE_AWS_MAX_STREAMS", "24", number(1, 10_000)),
    Variable("AWS_REGION", "", Kind("the name of a region, as in eu-west-1")),
    Variable("AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING", "", url("https")),
    Variable("AWS_CA_BUNDLE", "", Kind("the path of a PEM file")),
    Variable("TRANSCRIBE_S3_BUCKET", "", Kind("the name of a bucket")),
    Variable("AWS_ENDPOINT_URL_S3", "", url("http", "https")),
    Variable("TRANSCRIBE_MAX_UPLOAD_BYTES", str(4 * 1024**3), number(1, 1024**5)),
    Variable("TRANSCRIBE_ADMIN_PASSWORD", "", Kind("any text")),
    Variable("TRANSCRIBE_LEASE_SECONDS", "20", number(1, 3600)),
    Variable("TRANSCRIBE_LOG_FORMAT", "line", one_of("line", "json")),
    Variable("TRANSCRIBE_METRICS_TOKEN", "", RANDOM_TEXT),
    Variable("TRANSCRIBE_METRICS_PORT", "0", number(0, 65535)),
    Variable("TRANSCRIBE_METRICS_HOST", "127.0.0.1", HOST),
)
