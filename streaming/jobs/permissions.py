"""Which of the jobs and recordings that a person can see they may change, delete or transcribe.

Views and socket consumers call these functions. `visible_to` of the query sets decides which rows a person can see.
The person is the owner, or staff with Django's permission of the same kind.
"""

from typing import TYPE_CHECKING

from streaming.models import Job
from uploads.models import Upload, may

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


def may_change(user: "User | AnonymousUser", job: Job) -> bool:
    """Return whether this person may cancel and retry a job that they may see."""
    return job.owner_id == user.pk or (user.is_staff and user.has_perm("streaming.change_job"))


def may_delete(user: "User | AnonymousUser", job: Job) -> bool:
    """Return whether this person may delete a job that they may see."""
    return job.owner_id == user.pk or (user.is_staff and user.has_perm("streaming.delete_job"))


def may_delete_upload(user: "User | AnonymousUser", upload: Upload) -> bool:
    """Return whether this person may delete a recording that they may see, and with it all its jobs."""
    return may(user, "delete", upload) and (upload.owner_id == user.pk or user.has_perm("streaming.delete_job"))


def may_start(user: "User | AnonymousUser", upload: Upload) -> bool:
    """Return whether this person may start jobs for a recording that they may see.

    Staff need the permission to view jobs too, because starting a job shows its transcript.
    """
    needed = ("streaming.add_job", "streaming.view_job")
    return upload.owner_id == user.pk or (user.is_staff and user.has_perms(needed))
