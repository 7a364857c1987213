"""Fixtures and helpers for tests of stored files: a recording of one second, and a large object in a bucket."""

from collections.abc import Callable

import pytest
from django.urls import reverse

from tests import recordings as made
from tests.s3 import Bucket
from uploads.models import Upload

Stored = Callable[..., Upload]
CONTENT = made.tone(1.0).read_bytes()


@pytest.fixture
def upload(stored: Stored) -> Upload:
    return stored(made.tone(1.0), "Interview.wav")


@pytest.fixture
def large_object(upload: Upload, bucket: Bucket) -> bytes:
    """The content of `upload` in the bucket, made larger than several pieces."""
    content = bytes(range(256)) * (5 * 1024**2 // 256) + b"the end"
    bucket.client.put_object(Bucket=bucket.name, Key=upload.file.name, Body=content)
    Upload.objects.filter(pk=upload.pk).update(size=len(content))
    return content


def address(upload: Upload) -> str:
    return reverse("upload-audio", args=[upload.pk])
