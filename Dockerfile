# The image of the site and the workers: no compiler, no tests, no tools, not root. `docker-compose.yml` starts its
# processes with the commands of docs/operations.md. `requirements.txt` has hashes, which pip checks.
FROM python:3.11.14-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /site
COPY requirements.txt .
RUN pip install --requirement requirements.txt \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin site \
    && install --directory --owner=site --group=site /data
COPY manage.py LICENSE NOTICE ./
COPY transcribe_site transcribe_site
COPY uploads uploads
COPY streaming streaming
COPY templates templates
COPY static static

# Collected here and not at the start, so that pages and static files are of one version. The key signs nothing.
# COPY keeps the modes of the checkout, which a umask of 077 makes unreadable for the user that the site runs as.
ENV TRANSCRIBE_STATIC_DIR=/site/collected
RUN SECRET_KEY=build TRANSCRIBE_DATA_DIR=/tmp/build python manage.py collectstatic --noinput --verbosity 0 \
    && rm -r /tmp/build \
    && chmod -R a+rX .

USER site
ENV TRANSCRIBE_DATA_DIR=/data HOST=0.0.0.0 PORT=8000
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
CMD ["python", "manage.py", "serve"]
