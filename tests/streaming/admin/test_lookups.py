"""Admin lists accept only the lookups of their own filters, and staff cannot grant rights in the admin."""

from urllib.parse import quote

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.views.main import IGNORED_PARAMS
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from streaming.models import Job
from tests.streaming.factories import make_job, make_staff, make_upload
from tests.streaming.pages import JOBS, UPLOADS, ClientOf

pytestmark = pytest.mark.django_db
VALUES = ("x", "(", "", "1", "\0", "9" * 40, "-1", "(a+)+$")


@pytest.fixture
def root(client_of: ClientOf) -> Client:
    return client_of(User.objects.create_superuser("root"))


def models() -> list[type[Model]]:
    return list(admin.site._registry)


def address(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_the_admin_refuses_lookups_that_no_filter_uses(root: Client, alice: User, model: type[Model]) -> None:
    make_job(make_upload(alice))
    options = admin.site._registry[model]
    own = {each if isinstance(each, str) else each[0] for each in options.list_filter}
    for field in model._meta.get_fields():
        for lookup in ("__regex", "__iregex", "__contains", "__startswith", "__gt", "__pk__in", "__in", ""):
            if lookup == "" and field.name in own | set(IGNORED_PARAMS):
                continue
            status = root.get(address(model), {f"{field.name}{lookup}": "x"}).status_code
            assert status == 400, f"{field.name}{lookup}"


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
@pytest.mark.parametrize("value", VALUES)
def test_no_value_of_a_filter_is_an_error(root: Client, alice: User, model: type[Model], value: str) -> None:
    make_job(make_upload(alice))
    options = admin.site._registry[model]
    own = {each if isinstance(each, str) else each[0] for each in options.list_filter}
    given = {
        f"{name}{suffix}" for name in own for suffix in ("", "__exact", "__isnull", "__id__exact", "__gte", "__lt")
    }
    if options.date_hierarchy:
        given |= {f"{options.date_hierarchy}__{part}" for part in ("year", "month", "day")}
    for name in sorted(given | {"q", "p", "o", "all", "_facets", "e", "_popup", "_to_field"}):
        response = root.get(address(model), {name: value}, follow=True)
        assert response.status_code in (200, 400), (name, value)


@pytest.mark.parametrize("value", VALUES)
def test_no_value_of_an_address_beside_the_lists_is_an_error(root: Client, alice: User, value: str) -> None:
    make_job(make_upload(alice))
    value = quote(value)
    types = [ContentType.objects.get_for_model(model).pk for model in models()]
    addresses = [f"/admin/r/{each}/{value}/" for each in [*types, value]]
    for model in models():
        name = f"{model._meta.app_label}/{model._meta.model_name}"
        addresses += [f"/admin/{name}/{value}/{page}/" for page in ("change", "history", "delete", "password")]
        for field in ("owner", "upload", "groups"):
            search = f"app_label={model._meta.app_label}&model_name={model._meta.model_name}&field_name={field}"
            addresses += [f"/admin/autocomplete/?{search}&term={value}", f"/admin/autocomplete/?{search}&page={value}"]
    for each in addresses:
        assert root.get(each).status_code in (200, 302, 400, 403, 404), each


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_no_row_that_an_action_names_is_an_error(root: Client, model: type[Model]) -> None:
    for value in VALUES:
        for action in ("delete_selected", "cancel", "retry", "x"):
            for more in ({}, {"post": "yes"}, {"select_across": "1"}, {"index": value}):
                given = {"action": action, "_selected_action": value, "index": "0", **more}
                assert root.post(address(model), given).status_code in (200, 302, 400), given


def test_autocompletion_of_any_field_is_refused_unless_a_form_has_it(root: Client, alice: User) -> None:
    make_job(make_upload(alice))
    for model in apps.get_models():
        for field in model._meta.get_fields(include_hidden=True):
            own = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": field.name}
            assert root.get("/admin/autocomplete/", own | {"term": "a"}).status_code == 403, own
    for value in VALUES:
        for name in ("app_label", "model_name", "field_name", "term", "page"):
            given = {"app_label": "streaming", "model_name": "job", "field_name": "owner", "term": "a", name: value}
            assert root.get("/admin/autocomplete/", given).status_code == 403, given
    assert root.get("/admin/autocomplete/").status_code == 403


def test_a_field_that_a_form_autocompletes_is_completed(
    root: Client, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin.site._registry[Job], "autocomplete_fields", ["owner"])
    given = {"app_label": "streaming", "model_name": "job", "field_name": "owner", "term": "ali"}
    assert [row["text"] for row in root.get("/admin/autocomplete/", given).json()["results"]] == ["alice"]


def test_the_admin_hides_the_last_status_from_staff_who_may_not_view_jobs(alice: User, client_of: ClientOf) -> None:
    make_job(make_upload(alice))
    dora = client_of(make_staff("dora", "view_upload"))
    assert dora.get(UPLOADS).status_code == 200
    for lookup in ("last_status", "last_status__exact", "job__status", "job__status__exact"):
        assert dora.get(UPLOADS, {lookup: "completed"}).status_code == 400


def test_the_admin_accepts_lookups_of_its_own_filters(root: Client, alice: User) -> None:
    job = make_job(make_upload(alice))
    year = {"created_at__year": str(job.created_at.year)}
    for given in ({"status__exact": "completed"}, {"owner__id__exact": str(alice.pk)}, {"engine": "scripted"}, year):
        assert [*root.get(JOBS, given).context["cl"].result_list] == [job]
    assert [*root.get(JOBS, {"status__exact": "failed"}).context["cl"].result_list] == []
    assert Job.objects.count() == 1


# Rights


def change(client: Client, person: User, **fields: str | list[str]) -> int:
    given: dict[str, str | list[str]] = {"username": person.username, "is_active": "on"} | fields
    for part in ("last_login", "date_joined"):
        value = getattr(person, part)
        given |= {f"{part}_0": f"{value:%Y-%m-%d}" if value else "", f"{part}_1": f"{value:%H:%M:%S}" if value else ""}
    return client.post(reverse("admin:auth_user_change", args=[person.pk]), given).status_code


@pytest.fixture
def dora(db: None) -> User:
    """Return a staff user who manages accounts and is no superuser."""
    return make_staff("dora", "change_user", "view_user", "add_user", "delete_user", "change_group", "view_group")


def test_staff_can_not_give_themselves_permissions(dora: User, client_of: ClientOf) -> None:
    group = Group.objects.create(name="all")
    every = [str(permission.pk) for permission in Permission.objects.all()]
    wanted = {"is_superuser": "on", "is_staff": "on", "user_permissions": every, "groups": [str(group.pk)]}
    before = set(dora.user_permissions.values_list("codename", flat=True))
    assert change(client_of(dora), dora, first_name="Dora", **wanted) == 302
    dora = User.objects.get(pk=dora.pk)
    assert (dora.first_name, dora.is_superuser, dora.is_staff, dora.groups.count()) == ("Dora", False, True, 0)
    assert set(dora.user_permissions.values_list("codename", flat=True)) == before


def test_staff_can_not_give_permissions_to_others(dora: User, alice: User, client_of: ClientOf) -> None:
    assert change(client_of(dora), alice, is_superuser="on", is_staff="on") == 302
    alice = User.objects.get(pk=alice.pk)
    assert (alice.is_superuser, alice.is_staff) == (False, False)


def test_staff_add_no_permission_to_a_group(dora: User, client_of: ClientOf) -> None:
    group = Group.objects.create(name="reviewers")
    every = [str(permission.pk) for permission in Permission.objects.all()]
    given = {"name": "renamed", "permissions": every}
    assert client_of(dora).post(reverse("admin:auth_group_change", args=[group.pk]), given).status_code == 302
    group.refresh_from_db()
    assert (group.name, group.permissions.count()) == ("renamed", 0)


@pytest.mark.parametrize("kind", ["superuser", "staff"])
def test_staff_can_not_change_accounts_of_other_staff(dora: User, client_of: ClientOf, kind: str) -> None:
    other = User.objects.create_superuser("root") if kind == "superuser" else make_staff("eve", "view_job")
    other.set_password("wonderland")
    other.save()
    client = client_of(dora)
    assert change(client, other, username="mine") == 403
    new = {"password1": "chocolate-37", "password2": "chocolate-37", "usable_password": "true"}
    assert client.post(reverse("admin:auth_user_password_change", args=[other.pk]), new).status_code == 403
    assert client.post(reverse("admin:auth_user_delete", args=[other.pk]), {"post": "yes"}).status_code == 403
    selected = {"action": "delete_selected", "_selected_action": [str(other.pk)], "post": "yes"}
    client.post(reverse("admin:auth_user_changelist"), selected)
    other.refresh_from_db()
    assert other.check_password("wonderland")
