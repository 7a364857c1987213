"""A person's recordings. What is stored under which name, and who may see it."""

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.urls import reverse

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


def stored_name(upload: "Upload", _name: str) -> str:
    """Return the name of an upload's file in the storage: made of its id, never of the name that was sent."""
    return f"uploads/{upload.id.hex[:2]}/{upload.id}"


class UploadQuerySet(models.QuerySet["Upload"]):
    def visible_to(self, user: "User | AnonymousUser") -> "UploadQuerySet":
        """Return what this person may see: their own, or all with the permission `uploads.view_upload` as staff."""
        return self if sees_all(user) else self.filter(owner_id=user.pk)


def sees_all(user: "User | AnonymousUser") -> bool:
    """Tell whether this person may see everybody's recordings."""
    return user.is_staff and user.has_perm("uploads.view_upload")


def may(user: "User | AnonymousUser", action: str, upload: "Upload") -> bool:
    """Tell whether this person may `change` or `delete` a recording that they can see. Seeing alone is not enough."""
    return upload.owner_id == user.pk or user.has_perm(f"uploads.{action}_upload")


class Upload(models.Model):
    """A stored recording. `container` to `channels` is what decoding found, `duration` is in seconds."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    name = models.CharField(max_length=255, help_text="As it was given. Never used as a path.")
    file = models.FileField(upload_to=stored_name, max_length=255)
    size = models.PositiveBigIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64)
    container = models.CharField(max_length=64)
    codec = models.CharField(max_length=64)
    duration = models.FloatField(help_text="Seconds.")
    sample_rate = models.PositiveIntegerField(help_text="Hz.")
    channels = models.PositiveSmallIntegerField()
    peaks = models.BinaryField(
        null=True, help_text="The waveform: the loudest sample of each of equal parts, 0 to 255."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = UploadQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "id")
        indexes = (models.Index(fields=("owner", "-created_at"), name="upload_of_owner"),)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("upload", args=[self.pk])
