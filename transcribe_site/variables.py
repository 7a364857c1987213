"""The environment variables that configure the site.

`environment.py` reads them for `settings.py`. The table in the README and `.env.example` hold the same names and
defaults, and a test compares them.
"""

from transcribe_site.parsers import Variable, flag, names, networks, number, one_of, origins, text, url, whole

VARIABLES = (
    Variable(
        "SECRET_KEY", "", text, "any long random text", "Signs sessions. Empty: made once and kept in the data folder."
    ),
    Variable("DEBUG", "0", flag, "0 or 1", "Django's debug pages. Never on a public address."),
    Variable(
        "ALLOWED_HOSTS",
        "localhost,127.0.0.1,[::1]",
        names,
        "host names, separated by commas",
        "The names that the site answers to.",
    ),
    Variable(
        "CSRF_TRUSTED_ORIGINS",
        "",
        origins,
        "origins with their scheme, as in https://example.org, separated by commas",
        "The origins, beside the site's own, from which it accepts forms and sockets.",
    ),
    Variable(
        "DATABASE_URL",
        "",
        url("sqlite", "postgres", "postgresql"),
        "sqlite:///… or postgres://… (a password's @ : / # ? % are written %40 %3A %2F %23 %3F %25)",
        "Empty: SQLite in the data folder.",
    ),
    Variable(
        "REDIS_URL",
        "",
        url("redis", "rediss", "unix"),
        "redis://…, rediss://… or unix://…",
        "The channel layer. Empty: in memory, for one process.",
    ),
    Variable("HOST", "127.0.0.1", text, "an address of this machine", "Where `manage.py serve` listens."),
    Variable(
        "PORT",
        "8000",
        whole(0, 65535),
        "a number from 0 to 65535",
        "The port of `manage.py serve`; 0 takes a free one.",
    ),
    Variable(
        "TRANSCRIBE_ENGINE",
        "local",
        one_of("local", "aws"),
        "local or aws",
        "The engine of a job that names none.",
    ),
    Variable(
        "TRANSCRIBE_DATA_DIR",
        "var",
        text,
        "a folder that can be written",
        "Database, recordings, secret key and the spools of running jobs.",
    ),
    Variable(
        "TRANSCRIBE_STATIC_DIR",
        "",
        text,
        "a folder",
        "Where `manage.py collectstatic` puts the files of the pages. Empty: in the data folder.",
    ),
    Variable("TRANSCRIBE_RUN_JOBS", "1", flag, "0 or 1", "Whether `manage.py serve` runs jobs too."),
    Variable(
        "TRANSCRIBE_MAX_JOBS", "2", whole(1, 1000), "a number from 1 to 1000", "How many jobs one process runs at once."
    ),
    Variable(
        "TRANSCRIBE_MAX_JOBS_A_PERSON",
        "0",
        whole(0, 10_000),
        "a number from 0 to 10000",
        "How many jobs of one person run at once, whatever is free. 0: any number.",
    ),
    Variable(
        "TRANSCRIBE_MAX_SOCKETS_A_PERSON",
        "500",
        whole(0, 1_000_000),
        "a number from 0 to 1000000",
        "How many sockets one person has open in one process. 0: any number.",
    ),
    Variable(
        "TRANSCRIBE_TRUSTED_PROXIES",
        "",
        networks,
        "networks, separated by commas, as in 10.0.0.0/8,fd00::/8",
        "The proxies whose X-Forwarded-For names the client. Empty: every client connects directly.",
    ),
    Variable(
        "TRANSCRIBE_AWS_PACE",
        "1.0",
        number(0.1, 100.0),
        "a number from 0.1 to 100",
        "How many seconds of audio the site sends to Amazon Transcribe per second. The service reads no faster than 1.",
    ),
    Variable(
        "TRANSCRIBE_AWS_MAX_STREAMS",
        "24",
        whole(1, 10_000),
        "a number from 1 to 10000",
        "How many streams the site opens to Amazon Transcribe at once. An account has 25 unless Amazon raises it.",
    ),
    Variable(
        "AWS_REGION",
        "",
        text,
        "the name of a region, as in eu-west-1",
        "The region of Amazon Transcribe. Empty: AWS_DEFAULT_REGION, or the one in AWS's own files.",
    ),
    Variable(
        "AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING",
        "",
        url("https"),
        "https://…",
        "Another address for Amazon Transcribe: a private endpoint. Empty: the region's own.",
    ),
    Variable(
        "AWS_CA_BUNDLE",
        "",
        text,
        "the path of a PEM file",
        "The authorities trusted there instead of the system's.",
    ),
    Variable(
        "TRANSCRIBE_S3_BUCKET",
        "",
        text,
        "the name of a bucket",
        "The bucket for the recordings. Empty: they are in the data folder.",
    ),
    Variable(
        "AWS_ENDPOINT_URL_S3",
        "",
        url("http", "https"),
        "http://… or https://…",
        "The address of a service with the API of S3. Empty: Amazon's own.",
    ),
    Variable(
        "TRANSCRIBE_MAX_UPLOAD_BYTES",
        str(4 * 1024**3),
        whole(1, 1024**5),
        "a number of bytes",
        "The largest recording. A file sent in one request is limited to 100 MiB besides.",
    ),
    Variable(
        "TRANSCRIBE_ADMIN_PASSWORD",
        "",
        text,
        "any text",
        "The password of the first account. Empty: a random one, shown once.",
    ),
    Variable(
        "TRANSCRIBE_LEASE_SECONDS",
        "20",
        whole(1, 3600),
        "a number from 1 to 3600",
        "A worker that has not extended a job's lease for so long loses the job.",
    ),
    Variable(
        "TRANSCRIBE_LOG_FORMAT",
        "line",
        one_of("line", "json"),
        "line or json",
        "Whether the log is for people or for programs.",
    ),
    Variable(
        "TRANSCRIBE_METRICS_TOKEN",
        "",
        text,
        "any long random text",
        "The bearer token that Prometheus sends to read /metrics. Empty: there is no /metrics.",
    ),
    Variable(
        "TRANSCRIBE_METRICS_PORT",
        "0",
        whole(0, 65535),
        "a number from 0 to 65535",
        "The port on which a worker serves metrics to Prometheus. 0: none.",
    ),
    Variable(
        "TRANSCRIBE_METRICS_HOST",
        "127.0.0.1",
        text,
        "an address of this machine",
        "The address of that port. It needs no token: keep it inside.",
    ),
)
