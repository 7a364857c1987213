"""The database models of recordings, and the access checks for them."""

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.urls import reverse

from uploads.tracks import ALL

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


def stored_name(upload: "Upload", _name: str) -> str:
    """Return the name of an upload's file in the storage: made from the id, never from the name that a client sent."""
    return f"uploads/{upload.id.hex[:2]}/{upload.id}"


class UploadQuerySet(models.QuerySet["Upload"]):
    def visible_to(self, user: "User | AnonymousUser") -> "UploadQuerySet":
        """Return the recordings that a person may see: their own, or all for staff with `uploads.view_upload`."""
        return self if sees_all(user) else self.filter(owner_id=user.pk)


def sees_all(user: "User | AnonymousUser") -> bool:
    """Return whether a person may see the recordings of all owners."""
    return user.is_staff and user.has_perm("uploads.view_upload")


def may(user: "User | AnonymousUser", action: str, upload: "Upload") -> bool:
    """Return whether a person may do `action`, which is `change` or `delete`, to a recording that they may see."""
    return upload.owner_id == user.pk or user.has_perm(f"uploads.{action}_upload")


class Upload(models.Model):
    """A stored recording. The decoder found the values of `container` to `is_playable`.

    `codec`, `duration`, `sample_rate`, `channels` and `peaks` are those of the chosen `track`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No index of its own: the compound index below begins with the owner.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads", db_index=False
    )
    name = models.CharField(max_length=255, help_text="As it was given. Never used as a path.")
    file = models.FileField(upload_to=stored_name, max_length=255)
    size = models.PositiveBigIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64)
    container = models.CharField(max_length=64)
    codec = models.CharField(max_length=64)
    duration = models.FloatField(help_text="Seconds.")
    sample_rate = models.PositiveIntegerField(help_text="Hz.")
    channels = models.PositiveSmallIntegerField()
    # The columns have defaults in the database too, because processes of the previous version insert rows without them
    # during a rolling upgrade. Rows older than the column have an empty list: the recording counts as a single track of
    # which nothing more is known.
    tracks = models.JSONField(
        default=list, db_default=[], blank=True, help_text="The audio tracks, as `uploads.tracks.Track` describes them."
    )
    track = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="The index of the track that jobs take by default."
    )
    undeclared_seconds = models.FloatField(
        default=0, db_default=0, help_text="Seconds that the file holds after the end that its header declares."
    )
    # False is the safe default for rows older than the column, and for rows that processes of the previous version
    # insert during a rolling upgrade: a listening copy always plays correctly.
    is_playable = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Browsers play the file itself, and at the times of the transcript. Otherwise a copy is made of it.",
    )
    peaks = models.BinaryField(
        null=True, help_text="The waveform: the loudest sample of each of equal parts, 0 to 255."
    )
    undecodable_seconds = models.FloatField(
        default=0, db_default=0, help_text="Seconds that could not be decoded and are silent, known with the waveform."
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

    @property
    def needs_copy(self) -> bool:
        """Return whether players get a listening copy. Browsers stop or skip at parts that can't be decoded."""
        return not self.is_playable or self.undecodable_seconds > 0

    def decoded_track(self, track: str) -> str:
        """Return the decoder's track for a job's `track`: an index, or `all`. An empty `track` is the chosen one."""
        return track or str(self.track)

    def audio_of(self, track: str) -> tuple[int, int]:
        """Return the sample rate (Hz) and number of channels of a job's `track`; for `all`, the maximum of each."""
        wanted = [
            each
            for index, each in enumerate(self.tracks)
            if each["is_decodable"] and self.decoded_track(track) in (ALL, str(index))
        ]
        if not wanted:  # the row is older than the column `tracks`
            return self.sample_rate, self.channels
        return max(each["sample_rate"] for each in wanted), max(each["channels"] for each in wanted)


class TrackWaveform(models.Model):
    """The waveform of a track that is not the chosen one, or of all tracks mixed. It is made at its first request."""

    # No index of its own: the index of the unique constraint begins with the recording.
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="track_waveforms", db_index=False)
    track = models.CharField(max_length=8, help_text="An index, or “all”.")
    peaks = models.BinaryField(help_text="As in `Upload.peaks`.")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("upload", "track"), name="waveform_once_a_track"),)

    def __str__(self) -> str:
        return f"{self.upload_id} track {self.track}"
