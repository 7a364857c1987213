"""Sign-in limits: failures lock an account for the client's address, and each further one doubles the delay."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_network

import httpx
import pytest
from axes.models import AccessAttempt
from django.contrib.auth.hashers import check_password, identify_hasher, make_password
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.db.models import F
from django.test import Client, RequestFactory
from pytest_django import Settings

from tests.site import Site
from tests.visitor import Visitor
from transcribe_site import passwords, sign_in
from transcribe_site.sign_in import delay

pytestmark = pytest.mark.django_db
DOORS = ("/accounts/login/", "/admin/login/")
CHANGES = ("/accounts/password/", "/admin/password_change/")


def attempt(client: Client, door: str = DOORS[0], password: str = "wrong", **address: str) -> tuple[int, str | None]:
    answer = client.post(door, {"username": "alice", "password": password}, **address)  # type: ignore[arg-type]
    return answer.status_code, answer.get("Retry-After")


def pass_time(**time: float) -> None:
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(**time))


def is_free(account: str, address: str = "127.0.0.1") -> bool:
    """Return whether an attempt at the account from the address could start now, without waiting."""
    try:
        with sign_in.serialised(account, address):
            return True
    except passwords.TooManyHashes:
        return False


@pytest.mark.parametrize("door", DOORS)
def test_five_failures_lock_an_account_and_address_and_each_further_one_twice_as_long(
    client: Client, alice: User, door: str
) -> None:
    assert [attempt(client, door) for _ in range(4)] == [(200, None)] * 4
    assert attempt(client, door) == (429, "30")
    assert attempt(client, door, "wonderland")[0] == 429, "the right password is not tried while it is locked"
    pass_time(seconds=29)
    assert attempt(client, door)[0] == 429
    pass_time(seconds=2)
    assert attempt(client, door) == (429, "60"), "attempts while it was locked do not count"
    pass_time(seconds=61)
    assert attempt(client, door) == (429, "120")
    pass_time(seconds=121)
    assert attempt(client, door, "wonderland")[0] == (302 if door == DOORS[0] else 200)
    assert AccessAttempt.objects.exists() == (door == DOORS[1]), "a success forgets the failures"


def test_the_delay_grows_to_an_hour() -> None:
    seconds = [delay(failures).total_seconds() for failures in (0, 4, 5, 6, 7, 11, 12, 13, 10_000)]
    assert seconds == [0, 0, 30, 60, 120, 1920, 3600, 3600, 3600]


def test_a_lock_does_not_affect_other_addresses_and_accounts(client: Client, alice: User, charlie: User) -> None:
    for _ in range(6):
        attempt(client)
    assert attempt(client, REMOTE_ADDR="192.0.2.7", password="wonderland")[0] == 302
    assert client.post(DOORS[0], {"username": "charlie", "password": "chocolate"}).status_code == 302


def test_failed_sign_ins_count_for_the_address_from_a_trusted_proxy(
    client: Client, alice: User, settings: Settings
) -> None:
    settings.TRANSCRIBE_TRUSTED_PROXIES = [ip_network("127.0.0.0/8")]
    for number in range(6):
        attempt(client, HTTP_X_FORWARDED_FOR=f"198.51.100.{number}, 2001:db8:1:2::{number}")
    assert set(AccessAttempt.objects.values_list("ip_address", flat=True)) == {"2001:db8:1:2::"}
    assert attempt(client, HTTP_X_FORWARDED_FOR="2001:db8:1:2:ffff::", password="wonderland")[0] == 429
    assert attempt(client, HTTP_X_FORWARDED_FOR="2001:db8:1:3::1", password="wonderland")[0] == 302


def test_a_locked_account_is_told_the_delay_as_page_and_json(client: Client, alice: User) -> None:
    for _ in range(5):
        attempt(client)
    form = {"username": "alice", "password": "wrong"}
    page = client.post(DOORS[0], form, headers={"Accept": "text/html"}).content.decode()
    assert re.search(r"Too many failed attempts\. Try again in (30|29) seconds\.", page)
    answer = client.post(DOORS[0], form, headers={"Accept": "application/json"})
    assert answer.status_code == 429
    assert answer.json()["error"].startswith("Too many failed attempts. Try again in ")


def change(client: Client, door: str, old: str = "wrong", new: str = "looking-glass-7") -> tuple[int, str | None]:
    form = {"old_password": old, "new_password1": new, "new_password2": new}
    answer = client.post(door, form)
    return answer.status_code, answer.get("Retry-After")


@pytest.mark.parametrize("door", CHANGES)
def test_wrong_old_passwords_lock_the_account_as_failed_sign_ins_do(
    client: Client, bob: User, client_of: Callable[[User], Client], door: str
) -> None:
    page = client_of(bob)
    assert [change(page, door) for _ in range(4)] == [(200, None)] * 4
    assert change(page, door) == (429, "30")
    assert change(page, door, "builder")[0] == 429, "the right password is not tried while it is locked"
    assert client.post(DOORS[0], {"username": "bob", "password": "builder"}).status_code == 429
    assert not User.objects.get(pk=bob.pk).check_password("looking-glass-7")
    pass_time(seconds=31)
    assert change(page, door) == (429, "60")
    pass_time(seconds=61)
    assert change(page, door, "builder")[0] == 302
    assert User.objects.get(pk=bob.pk).check_password("looking-glass-7")
    assert not AccessAttempt.objects.exists(), "a success forgets the failures"


def test_failed_sign_ins_and_wrong_old_passwords_count_together(
    client: Client, alice: User, client_of: Callable[[User], Client]
) -> None:
    page = client_of(alice)
    assert [attempt(client)[0], change(page, CHANGES[0])[0]] * 2 == [200] * 4
    attempt(client), change(page, CHANGES[0])
    assert change(page, CHANGES[1])[0] == 302, "Alice is not staff, and is asked to sign in: nothing was checked"
    assert attempt(client)[0] == 429


@pytest.mark.parametrize("door", CHANGES)
def test_a_refused_new_password_does_not_count_as_failed_sign_in(
    bob: User, client_of: Callable[[User], Client], door: str
) -> None:
    page = client_of(bob)
    assert [change(page, door, "builder", "short")[0] for _ in range(6)] == [200] * 6
    assert [change(page, door, "")[0] for _ in range(6)] == [200] * 6
    assert not AccessAttempt.objects.exists()


@pytest.mark.parametrize("door", CHANGES)
def test_a_wrong_old_password_is_not_stored(bob: User, client_of: Callable[[User], Client], door: str) -> None:
    change(client_of(bob), door, "almost-builder", "new-secret-7")
    (kept,) = AccessAttempt.objects.values()
    assert not re.search("almost-builder|new-secret-7", str(kept))


@pytest.mark.parametrize("door", CHANGES)
def test_a_password_change_without_a_free_hash_slot_gets_503(
    bob: User, client_of: Callable[[User], Client], settings: Settings, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    page = client_of(bob)
    settings.PASSWORD_HASHERS = ["transcribe_site.passwords.PasswordHasher"]
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(passwords, "_slots", threading.BoundedSemaphore(1))
    passwords._slots.acquire()
    assert change(page, door) == (503, "10")


def test_the_password_of_a_failed_sign_in_is_not_stored(client: Client, alice: User) -> None:
    attempt(client, password="almost-wonderland")
    (kept,) = AccessAttempt.objects.values()
    assert "almost-wonderland" not in str(kept)


def test_staff_see_failed_sign_ins_and_unlock_by_deleting(client: Client, alice: User, admin_client: Client) -> None:
    for _ in range(6):
        attempt(client)
    page = admin_client.get("/admin/axes/accessattempt/").content.decode()
    assert "alice" in page
    assert 'alt="True"' in page, "locked"
    (row,) = AccessAttempt.objects.all()
    assert admin_client.get(f"/admin/axes/accessattempt/{row.pk}/change/").status_code == 200
    assert admin_client.get("/admin/axes/accessattempt/?username__regex=(a*)*b").status_code == 400
    admin_client.post(f"/admin/axes/accessattempt/{row.pk}/delete/", {"post": "yes"})
    assert attempt(client, password="wonderland")[0] == 302


def test_only_a_few_passwords_are_hashed_at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PASSWORD_HASHERS = ["transcribe_site.passwords.PasswordHasher"]
    running, most, lock = 0, 0, threading.Lock()
    hashed = passwords.PBKDF2PasswordHasher.encode

    def counted(*args: object, **kwargs: object) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return hashed(*args, **kwargs)  # type: ignore[arg-type]
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(passwords.PBKDF2PasswordHasher, "encode", counted)
    encoded = make_password("wonderland")
    assert identify_hasher(encoded).algorithm == "pbkdf2_sha256", "hashes of Django's default hasher stay valid"
    with ThreadPoolExecutor(12) as together:
        assert all(together.map(lambda _: check_password("wonderland", encoded), range(12)))
    assert most == passwords.MAX_HASHES


@pytest.mark.django_db(transaction=True)
def test_a_sign_in_that_waits_for_the_database_blocks_no_other_hash(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PASSWORD_HASHERS = ["transcribe_site.passwords.PasswordHasher"]
    monkeypatch.setattr(passwords, "_slots", threading.BoundedSemaphore(1))
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 1.0)  # less than PostgreSQL's `lock_timeout`
    has_hashed = threading.Event()
    hashed = passwords.PBKDF2PasswordHasher.encode

    def noted(*args: object, **kwargs: object) -> str:
        try:
            return hashed(*args, **kwargs)  # type: ignore[arg-type]
        finally:
            has_hashed.set()

    def fail() -> int:
        try:
            return attempt(Client())[0]
        finally:
            connections.close_all()

    monkeypatch.setattr(passwords.PBKDF2PasswordHasher, "encode", noted)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            lock_attempts()
            waiting = pool.submit(fail)
            assert has_hashed.wait(30)
            make_password("wonderland")  # raises TooManyHashes if no slot is free within WAIT_SECONDS
        assert waiting.result(30) in (200, 503), "503: it waited too long for the lock"


def lock_attempts() -> None:
    """Block inserts of failed attempts until the transaction ends. On SQLite each transaction locks all writes."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("lock table axes_accessattempt in exclusive mode")


def test_attempts_at_one_account_from_one_address_wait_for_each_other(
    rf: RequestFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.01)
    with sign_in.serialised("alice", "127.0.0.1"):
        for name in ("alice", " alice ", "\uff41lice"):
            account = sign_in.account_of_form(rf.post(DOORS[0], {"username": name}))
            assert not is_free(account), f"the form takes {name!r} for alice"
        assert is_free("charlie")
        assert is_free("alice", "192.0.2.7")
    assert is_free("alice")
    assert not sign_in._locks


@pytest.mark.parametrize("door", DOORS)
def test_a_sign_in_waits_for_other_attempts_at_its_account(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.05)
    with sign_in.serialised("alice", "127.0.0.1"):
        assert attempt(client, door) == (503, "10")
    assert attempt(client, door) == (200, None)


def test_a_sign_in_without_a_free_slot_gets_503_with_retry_after(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PASSWORD_HASHERS = ["transcribe_site.passwords.PasswordHasher"]
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(passwords, "_slots", threading.BoundedSemaphore(1))
    passwords._slots.acquire()
    assert attempt(client) == (503, "10")


def test_a_hundred_concurrent_guesses_check_at_most_five_passwords(new_site: Callable[..., Site]) -> None:
    """Meanwhile the site answers other clients; `python -m benchmarks strangers` measures its answer times."""
    site = new_site(DJANGO_SETTINGS_MODULE="tests.served", TRANSCRIBE_RUN_JOBS="0")
    site.start()

    def guess(number: int) -> int:
        with httpx.Client(base_url=site.url, timeout=60, verify=False) as client:
            client.get(DOORS[0])
            form = {"username": "admin", "password": f"guess-{number}"}
            return client.post(DOORS[0], data=form | {"csrfmiddlewaretoken": client.cookies["csrftoken"]}).status_code

    with Visitor(site) as visitor, ThreadPoolExecutor(100) as together:
        guesses = [together.submit(guess, number) for number in range(100)]
        while not all(guess.done() for guess in guesses):
            assert httpx.get(f"{site.url}/healthz", timeout=30).text == "ok\n"
            assert visitor.http.get("/jobs/", headers={"Accept": "text/html"}).status_code == 200
        codes = [guess.result() for guess in guesses]
    assert codes.count(200) == 4, "the fifth failure locks the account"
    assert codes.count(429) + codes.count(503) == 96, "503: no turn within half a minute"
