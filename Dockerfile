FROM python:3.11-slim

WORKDIR /site
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt && useradd --create-home site && install -d -o site /data
COPY manage.py ./
COPY transcribe_site transcribe_site
COPY uploads uploads
COPY streaming streaming
COPY templates templates
COPY static static

USER site
ENV TRANSCRIBE_DATA_DIR=/data HOST=0.0.0.0 PORT=8000 PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
CMD ["sh", "-c", "python manage.py migrate --verbosity 0 && python manage.py collectstatic --noinput --verbosity 0 && python manage.py ensure_admin && exec python manage.py serve"]
