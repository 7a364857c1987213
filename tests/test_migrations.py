"""Upgrades: rows survive migrations in both directions, and the previous version's code works on the new schema."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from streaming.models import Job, Segment
from uploads.models import TrackWaveform, Upload

RELEASED = [("uploads", "0001_initial"), ("streaming", "0002_waiting_and_resuming")]
Rows = dict[str, list[dict[str, Any]]]


def migrate(targets: list[tuple[str, str]]) -> Apps:
    """Migrate the database to these migrations and return the models at that point."""
    executor = MigrationExecutor(connection)
    state = executor.migrate(targets)
    apps: Apps = state.apps
    return apps


def newest() -> list[tuple[str, str]]:
    return [node for node in MigrationLoader(None).graph.leaf_nodes() if node[0] in dict(RELEASED)]


def states() -> tuple[ProjectState, ProjectState]:
    """Return the states of the models in the release and now, according to the migrations."""
    loader = MigrationLoader(None)  # without a connection it reads only the migration files
    return loader.project_state(RELEASED), loader.project_state(newest())


def released_models() -> Apps:
    """Return the models of the release. The database may have a newer schema."""
    apps: Apps = states()[0].apps
    return apps


def insert(apps: Apps, name: str) -> None:
    """Insert a person with a recording, a job and a final."""
    person = apps.get_model("auth", "User").objects.create(username=name, password="!")
    upload = apps.get_model("uploads", "Upload").objects.create(
        owner=person,
        name=f"{name}.wav",
        file=f"uploads/{uuid.uuid4()}",
        size=32_044,
        sha256="0" * 64,
        container="wav",
        codec="pcm_s16le",
        duration=1.0,
        sample_rate=16_000,
        channels=1,
    )
    job = apps.get_model("streaming", "Job").objects.create(upload=upload, owner=person, engine="scripted")
    apps.get_model("streaming", "Segment").objects.create(
        job=job, seq=1, start_time=0.0, end_time=1.0, text=f"The words of {name}."
    )


def stored(apps: Apps) -> Rows:
    """Return all rows of recordings, jobs and finals, with the columns of these models."""
    models = [apps.get_model("uploads", "Upload"), apps.get_model("streaming", "Job")]
    models.append(apps.get_model("streaming", "Segment"))
    return {model.__name__: [*model.objects.order_by("pk").values()] for model in models}


@pytest.fixture
def schema(transactional_db: None) -> Iterator[None]:
    """Restore the newest schema after the test."""
    yield
    migrate(newest())


def test_rows_survive_migrating_forwards_and_backwards(schema: None) -> None:
    before = migrate(RELEASED)
    insert(before, "alice")
    expected = stored(before)

    migrate(newest())
    assert stored(released_models()) == expected

    assert stored(migrate(RELEASED)) == expected


def test_the_previous_version_can_insert_rows_into_the_new_schema(schema: None) -> None:
    insert(released_models(), "alice")

    upload, job = Upload.objects.get(), Job.objects.get()
    assert (upload.tracks, upload.track, upload.is_playable, upload.undecodable_seconds) == ([], 0, False, 0)
    assert (job.track, job.is_final, job.took, job.is_waiting_for_room) == ("", False, None, False)


def test_columns_added_after_the_release_are_nullable_or_have_a_default_of_the_database() -> None:
    released, now = states()
    lacking = [
        f"{app}.{model}.{name}"
        for (app, model), state in now.models.items()
        if (app, model) in released.models and app in dict(RELEASED)
        for name, field in state.fields.items()
        if name not in released.models[app, model].fields
        if not (field.null or field.has_db_default() or field.many_to_many)
    ]
    assert lacking == []


def test_no_column_of_the_previous_version_is_removed_or_renamed() -> None:
    released, now = states()
    gone = [
        f"{app}.{model}.{name}"
        for (app, model), state in released.models.items()
        if app in dict(RELEASED)
        for name in state.fields
        if (app, model) not in now.models or name not in now.models[app, model].fields
    ]
    assert gone == []


def test_redundant_indexes_are_dropped_without_copying_tables_or_checking_foreign_keys(schema: None) -> None:
    migrate([("uploads", "0005_is_playable"), ("streaming", "0006_lost_workers")])
    with CaptureQueriesContext(connection) as queries:
        migrate([("uploads", "0006_redundant_indexes"), ("streaming", "0007_redundant_indexes")])
    found = [re.match(r"((?:CREATE|ALTER|DROP|SET) \w+)", query["sql"]) for query in queries]
    changes = [match[1] for match in found if match]
    assert changes == ["DROP INDEX"] * 4


@pytest.mark.django_db
@pytest.mark.parametrize("model", [Upload, TrackWaveform, Job, Segment])
def test_no_index_is_a_prefix_of_another_one(model: type[Model]) -> None:
    """A query can use the longer index instead of the shorter one, and each index costs time at every insert."""
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, model._meta.db_table).values()
    names = {tuple(found["columns"]) for found in constraints if found["index"] or found["unique"]}
    assert names
    assert [name for name in names if any(name == other[: len(name)] for other in names - {name})] == []
