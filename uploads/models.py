"""A person's recordings: the name of each file in the storage, and the access check."""

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.urls import reverse

from uploads.tracks import ALL

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
    """A stored recording. `container` to `track` is what decoding found, `duration` is in seconds.

    `codec`, `duration`, `sample_rate`, `channels` and `peaks` are those of the chosen `track`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # The compound index below begins with the owner.
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
    # The database has the defaults too: processes of the version before go on inserting during a rolling upgrade.
    # Empty in rows from before the column: then the recording counts as one track of which nothing more is known.
    tracks = models.JSONField(
        default=list, db_default=[], blank=True, help_text="The audio tracks, as `uploads.tracks.Track` describes them."
    )
    track = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="The index of the track that jobs take by default."
    )
    undeclared_seconds = models.FloatField(
        default=0, db_default=0, help_text="Seconds that the file holds after the end that its header declares."
    )
    # The default is right for rows from before the column, and for those that processes of the version before insert
    # during a rolling upgrade: a copy is never wrong.
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
        """Tell whether players get a listening copy. Browsers stop, or leave out, where a file can't be decoded."""
        return not self.is_playable or self.undecodable_seconds > 0

    def decoded_track(self, track: str) -> str:
        """Return what the decoder is asked for a job's `track`: an index, or `all`."""
        return track or str(self.track)

    def audio_of(self, track: str) -> tuple[int, int]:
        """Return the sample rate (Hz) and the number of channels of a job's `track`; of all tracks, the most."""
        wanted = [
            each
            for index, each in enumerate(self.tracks)
            if each["is_decodable"] and self.decoded_track(track) in (ALL, str(index))
        ]
        if not wanted:  # a row from before tracks were stored
            return self.sample_rate, self.channels
        return max(each["sample_rate"] for each in wanted), max(each["channels"] for each in wanted)


class TrackWaveform(models.Model):
    """The waveform of another track than the chosen one, or of all of them mixed. Made when it is first shown."""

    # The unique constraint has an index that begins with the recording.
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="track_waveforms", db_index=False)
    track = models.CharField(max_length=8, help_text="An index, or “all”.")
    peaks = models.BinaryField(help_text="As in `Upload.peaks`.")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("upload", "track"), name="waveform_once_a_track"),)

    def __str__(self) -> str:
        return f"{self.upload_id} track {self.track}"
