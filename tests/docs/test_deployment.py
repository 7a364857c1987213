"""The Dockerfile, docker-compose.yml, the Caddyfile and docs/operations.md agree with the code."""

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from transcribe_site import environment, settings
from transcribe_site.variables import VARIABLES

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
OURS = ("migrate", "web", "worker")
KNOWN = {variable.name for variable in VARIABLES}
CREDENTIALS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}  # botocore reads these
OF_AWS = CREDENTIALS | {"AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT", "HTTPS_PROXY", "NO_PROXY"}  # and these


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return found


def instructions(name: str) -> list[str]:
    """Return the arguments of each instruction of this name in the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.partition(" ")[2].strip() for line in text.splitlines() if line.startswith(f"{name} ")]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_every_collected_file_is_readable_by_others(tmp_path: Path, umask: int) -> None:
    """Root collects them in the image, and the site that serves them runs as another user."""
    environ = os.environ | {"TRANSCRIBE_DATA_DIR": str(tmp_path / "data"), "SECRET_KEY": "build"}
    environ |= {
        "TRANSCRIBE_STATIC_DIR": str(tmp_path / "collected"),
        "DJANGO_SETTINGS_MODULE": "transcribe_site.settings",
    }
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=environ, check=True, umask=umask)
    paths = [tmp_path / "collected", *(tmp_path / "collected").rglob("*")]
    assert tmp_path / "collected" / "staticfiles.json" in paths
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in paths}
    assert modes == {(True, 0o755), (False, 0o644)}


def test_the_compose_file_has_the_documented_services(services: dict[str, Any]) -> None:
    assert set(services) == {"migrate", "web", "worker", "proxy", "redis", "postgres"}
    assert {name: services[name].get("deploy", {}).get("replicas", 1) for name in services} == {
        "migrate": 1, "web": 2, "worker": 2, "proxy": 1, "redis": 1, "postgres": 1
    }  # fmt: skip
    for name, service in services.items():
        is_watched = "healthcheck" in service or name == "web"  # which has the image's
        assert is_watched, name
        assert ("ports" in service) == (name == "proxy"), "nothing else is reached from outside"


def test_the_services_run_the_documented_commands(services: dict[str, Any]) -> None:
    by_hand = set(re.findall(r"^(?:[A-Z_]+=\S+ )*\.venv/bin/(python manage\.py .+)$", OPERATIONS, re.MULTILINE))
    commands = {name: services[name]["command"] for name in OURS}
    assert commands.pop("migrate") == ["sh", "-c", "python manage.py migrate && python manage.py ensure_admin"]
    run = {"python manage.py migrate", "python manage.py ensure_admin"} | {shlex.join(c) for c in commands.values()}
    at_build = {"python manage.py collectstatic --noinput"}
    assert run == {"python manage.py " + name for name in ("migrate", "ensure_admin", "serve", "run_jobs")}
    assert by_hand == run | at_build
    assert "python manage.py collectstatic --noinput" in " ".join(instructions("RUN"))


def test_each_command_and_variable_of_the_operations_exists() -> None:
    commands = set(re.findall(r"manage\.py ([a-z_]+)", OPERATIONS))
    assert commands >= {"serve", "run_jobs", "migrate", "sweep_files"}
    assert commands <= set(get_commands())
    written = set(re.findall(r"\b(?:TRANSCRIBE|AWS)_[A-Z0-9_]+[A-Z0-9]", OPERATIONS))
    assert written <= KNOWN | OF_AWS


def test_the_compose_file_sets_only_known_variables(services: dict[str, Any]) -> None:
    for name in OURS:
        assert set(services[name]["environment"]) <= KNOWN | OF_AWS, name
    image = {pair.split("=", 1)[0] for line in instructions("ENV") for pair in line.split()}
    assert {name for name in image if not name.startswith(("PYTHON", "PIP_"))} <= KNOWN
    values = {key: str(value) for key, value in services["worker"]["environment"].items() if value and "$" not in value}
    environment.read(values)  # raises for a value that is not allowed


def test_each_variable_of_the_compose_file_can_be_overridden(services: dict[str, Any]) -> None:
    image = {pair.split("=", 1)[0] for line in instructions("ENV") for pair in line.split()}
    never = {"DEBUG"}  # never set on a public address
    paths = {"AWS_CA_BUNDLE"}  # its file would have to be in the image
    of_workers = {"TRANSCRIBE_METRICS_HOST", "TRANSCRIBE_METRICS_PORT"}
    assert set(services["web"]["environment"]) >= KNOWN - image - never - paths - of_workers | OF_AWS


def test_the_compose_file_has_no_secrets_and_requires_them(services: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD"):
        uses = re.findall(rf"\${{{name}[^}}]*}}", text)
        assert uses
        assert all(use.startswith(f"${{{name}:?") for use in uses), "it fails, with a sentence, where there is none"
    for name in OURS:
        for variable, value in services[name]["environment"].items():
            if variable in CREDENTIALS | {"TRANSCRIBE_ADMIN_PASSWORD", "TRANSCRIBE_METRICS_TOKEN"}:
                assert value is None, f"{variable} is handed on, and not made up"


def test_all_our_services_share_database_redis_and_files(services: dict[str, Any]) -> None:
    for variable in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "TRANSCRIBE_S3_BUCKET", "AWS_ENDPOINT_URL_S3"):
        assert len({services[name]["environment"][variable] for name in OURS}) == 1
    assert all(services[name]["volumes"] == ["data:/data"] for name in OURS)
    assert all(services[name]["environment"]["TRANSCRIBE_RUN_JOBS"] == "0" for name in OURS)
    for name in ("web", "worker"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_all_our_services_use_one_image(services: dict[str, Any]) -> None:
    assert {services[name]["image"] for name in OURS} == {"${COMPOSE_PROJECT_NAME}-site"}, "no project shares another's"
    assert [name for name in services if "build" in services[name]] == ["web"]
    assert {services[name]["pull_policy"] for name in OURS} == {"never"}


def test_containers_start_after_their_dependencies(services: dict[str, Any]) -> None:
    needed = {"migrate": {"condition": "service_completed_successfully"}, "redis": {"condition": "service_healthy"}}
    assert {name: service.get("depends_on") for name, service in services.items()} == {
        "migrate": {"postgres": {"condition": "service_healthy"}},
        "web": needed,
        "worker": needed,
        "proxy": {"web": {"condition": "service_healthy"}},
        "redis": None,
        "postgres": None,
    }
    for name, service in services.items():
        if "test" in (health := service.get("healthcheck", {})):
            assert {"interval", "timeout"} <= health.keys(), f"{name}: Compose's own are 30 s"


def test_containers_restart_and_have_time_to_stop(services: dict[str, Any]) -> None:
    restarts = {name: service["restart"] for name, service in services.items()}
    assert restarts == dict.fromkeys(services, "unless-stopped") | {"migrate": "on-failure"}
    for name in OURS:
        assert services[name]["stop_grace_period"] == "15s", "a worker hands its jobs back within 10 s"
        assert services[name]["init"] is True, "reaps decoders whose parent was killed"
    assert instructions("STOPSIGNAL") == ["SIGTERM"]


def test_a_worker_is_healthy_while_its_metrics_answer(services: dict[str, Any]) -> None:
    worker = services["worker"]
    assert worker["environment"]["TRANSCRIBE_METRICS_HOST"] == "0.0.0.0", "Prometheus reaches it from another container"
    address = f"http://127.0.0.1:{worker['environment']['TRANSCRIBE_METRICS_PORT']}/metrics"
    assert f"'{address}'" in worker["healthcheck"]["test"][-1]
    assert worker["healthcheck"]["start_period"] == "60s"


def test_read_only_containers_write_to_memory_or_to_a_named_volume(services: dict[str, Any]) -> None:
    assert {name: service.get("tmpfs", []) for name, service in services.items()} == {
        **{name: ["/tmp"] for name in OURS},
        "proxy": ["/config"],
        "redis": ["/data"],
        "postgres": ["/tmp", "/var/run/postgresql"],
    }
    mounted = {volume for service in services.values() for volume in service.get("volumes", []) if volume[0] != "."}
    assert mounted == {"data:/data", "certificates:/data", "database:/var/lib/postgresql/data"}
    declared = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["volumes"]
    assert set(declared) == {volume.partition(":")[0] for volume in mounted}
    assert instructions("VOLUME") == ["/data"]


def test_the_site_and_postgresql_agree_on_the_account(services: dict[str, Any]) -> None:
    account = services["postgres"]["environment"]
    address = (
        f"postgres://{account['POSTGRES_USER']}:{account['POSTGRES_PASSWORD']}@postgres/{account['POSTGRES_USER']}"
    )
    assert services["web"]["environment"]["DATABASE_URL"] == address


def test_redis_stores_nothing(services: dict[str, Any]) -> None:
    assert services["redis"]["command"] == ["redis-server", "--save", "", "--appendonly", "no"]


def test_no_container_writes_outside_of_its_volumes_or_logs_without_end(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert (service.get("cap_drop") == ["ALL"]) == (name in OURS), "the others change their user or open port 80"
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}, name
    assert instructions("WORKDIR") == ["/site"]
    assert {"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"} <= set(" ".join(instructions("ENV")).split())
    text = (ROOT / "deploy" / "Caddyfile").read_text()
    port = services["proxy"]["healthcheck"]["test"][-1].removeprefix("http://127.0.0.1:").rstrip("/")
    assert f'http://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n\trespond "ok"\n}}\n' in text, (
        "not the API, which logs each request"
    )


def test_postgresql_is_healthy_only_when_its_last_server_answers(services: dict[str, Any]) -> None:
    """At its first start the image runs a server without TCP, creates the database, and stops that server."""
    health = services["postgres"]["healthcheck"]
    assert health["test"] == ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "transcribe"]
    assert health["start_period"] == "60s"


def test_images_of_the_compose_file_are_pinned(services: dict[str, Any]) -> None:
    theirs = [service["image"] for name, service in services.items() if name not in OURS]
    images = [*instructions("FROM"), *theirs]
    assert len(images) == 4
    for image in images:
        assert re.search(r":\d+\.\d+", image), image


def test_the_image_copies_existing_and_all_required_files() -> None:
    sources = [source for line in instructions("COPY") for source in line.split()[:-1]]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert {"transcribe_site", "uploads", "streaming", "templates", "static", "manage.py"} <= set(sources)
    assert not {"tests", ".", "requirements-dev.txt"} & set(sources)
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert let_in == set(sources)
    assert "requirements-dev" not in (ROOT / "Dockerfile").read_text()
    last_copy = (ROOT / "Dockerfile").read_text().rindex("\nCOPY ")
    assert "chmod -R a+rX ." in (ROOT / "Dockerfile").read_text()[last_copy:], "a checkout under umask 077 is private"


def test_the_image_is_not_root_when_it_runs() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    (user,) = instructions("USER")
    assert user not in {"root", "0"}
    assert f" {user}" in " ".join(line for line in instructions("RUN") if "useradd" in line)
    last_run = max(number for number, line in enumerate(lines) if line.startswith("RUN "))
    assert lines.index(f"USER {user}") > last_run
    assert instructions("CMD") == ['["python", "manage.py", "serve"]']
    (health,) = instructions("HEALTHCHECK")
    assert "http://127.0.0.1:8000/healthz" in health


def test_the_proxy_accepts_the_sites_upload_size_and_forwards_to_it(services: dict[str, Any]) -> None:
    text = (ROOT / "deploy" / "Caddyfile").read_text()
    assert services["proxy"]["environment"] == {"SITE_ADDRESS": "${SITE_ADDRESS:-:80}"}
    assert "\n{$SITE_ADDRESS::80} {\n" in text
    assert text.count("{") == text.count("}")
    (most,) = re.findall(r"\trequest_body {\n\t\tmax_size (\d+)MiB\n\t}\n", text)
    assert int(most) * 1024**2 == settings.MAX_BODY_BYTES
    (proxied,) = re.findall(r"^\treverse_proxy web:8000 {\n(.*?)^\t}$", text, re.MULTILINE | re.DOTALL)
    # The proxy tries another process while one is replaced, forwards data at once, and connects for each request.
    options = ["lb_try_duration 10s", "flush_interval -1", "transport http {", "keepalive off", "}"]
    assert [line.strip() for line in proxied.splitlines()] == options
    assert instructions("EXPOSE") == ["8000"]
    assert re.search(r"@inside path /metrics /readyz\n\s+respond @inside 404", text)
    assert "./deploy/Caddyfile:/etc/caddy/Caddyfile:ro" in services["proxy"]["volumes"]


def test_the_compose_test_reports_a_missing_container_engine() -> None:
    environ = os.environ | {"COMPOSE": "/nowhere/docker compose"}
    command = [sys.executable, "-m", "tests.compose"]
    ran = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert re.fullmatch(
        r"make compose-test needs a Docker engine with Compose\. None could be reached: .+\n", ran.stderr
    )
