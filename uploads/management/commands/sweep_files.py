"""`manage.py sweep_files`: removes stored files that belong to no recording.

Such files stay if a process is killed after it stored a file and before it stored the row, or if the storage is
unavailable when a person deletes a recording. Run the command from time to time; it is safe while the site is running.
"""

import uuid
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.files.storage import Storage
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from uploads import listening_copies
from uploads.files.storage import StorageAway
from uploads.models import Upload

ROOT = "uploads"
AGE = timedelta(days=1)  # a younger file may belong to an upload whose row is not stored yet


class Command(BaseCommand):
    help = "Removes stored files that are older than a day and belong to no recording."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="list the files without removing them")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        storage: Storage = Upload._meta.get_field("file").storage
        try:
            for name in orphans(storage):
                if not dry_run:
                    storage.delete(name)
                self.stdout.write(f"{'would remove' if dry_run else 'removed'} {name}")
        except StorageAway as away:
            raise CommandError(str(away)) from away


def orphans(storage: Storage) -> Iterator[str]:
    """Yield the names of old files without a row: recordings, and listening copies, which have a folder for each."""
    for root, has_folders in ((ROOT, False), (listening_copies.ROOT, True)):
        for path in without_row(storage, root, has_folders):
            names = [f"{path}/{name}" for name in storage.listdir(path)[1]] if has_folders else [path]
            for name in names:
                if timezone.now() - storage.get_modified_time(name) > AGE:
                    yield name


def without_row(storage: Storage, root: str, has_folders: bool) -> Iterator[str]:
    """Yield the files (or folders) whose name is the id of no recording. Runs one query for each of 256 folders."""
    try:
        folders, _ = storage.listdir(root)
    except FileNotFoundError:
        return  # no file was ever stored
    for folder in sorted(folders):
        inner, files = storage.listdir(f"{root}/{folder}")
        ours = {name for name in (inner if has_folders else files) if is_id(name)}  # other programs' files are kept
        known = {str(pk) for pk in Upload.objects.filter(pk__in=ours).values_list("pk", flat=True)}
        for name in sorted(ours - known):
            yield f"{root}/{folder}/{name}"


def is_id(name: str) -> bool:
    """Return whether a name is a UUID in the form in which the site writes it."""
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
