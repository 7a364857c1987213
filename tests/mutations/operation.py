"""Logs, versions and deployment."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="A part of the site is unavailable for long: one line every ten seconds",
        of="Outage.failed",
        replace="now - self._logged_at < REPEAT_SECONDS",
        by="False",
        fails="test_outage_logs_its_start_its_end_and_a_line_every_ten_seconds",
    ),
    Mutation(
        fault="Requests that fail with a 4xx status have no traceback",
        of="OutageFilter.filter",
        replace="400 <= getattr(record, 'status_code', 0) < 500",
        by="False",
        fails="test_refused_request_logs_no_traceback_but_a_bug_does",
    ),
    Mutation(
        fault="A library reports an outage with a traceback",
        of="OutageFilter.filter",
        replace="outage is not None and error is not None",
        by="False",
        fails="test_a_web_process_and_an_idle_worker_log_an_outage_in_a_few_lines",
    ),
    Mutation(
        fault="A package whose internals are overridden has another version",
        of="check_versions",
        replace="found != f'{name} {wanted}'",
        by="False",
        fails="test_no_command_starts_with_another_version_of_an_overridden_package",
    ),
    Mutation(
        fault="PostgreSQL starts for the first time: its temporary server is not healthy",
        of="docker-compose.yml",
        remove='"-h", "127.0.0.1",',
        fails="test_postgresql_is_healthy_only_when_its_last_server_answers",
    ),
    Mutation(
        fault="A container with a read-only file system writes a temporary file",
        of="docker-compose.yml",
        remove="tmpfs: [/tmp]\n",
        fails="test_read_only_containers_write_to_memory_or_to_a_named_volume",
    ),
    Mutation(
        fault="The log of a container grows",
        of="docker-compose.yml",
        remove='options: {max-size: 10m, max-file: "5"}',
        fails="test_no_container_writes_outside_of_its_volumes_or_logs_without_end",
    ),
    Mutation(
        fault="A worker is stopped: it has time to return its jobs to the queue",
        of="docker-compose.yml",
        remove="stop_grace_period: 15s",
        fails="test_containers_restart_and_have_time_to_stop",
    ),
    Mutation(
        fault="The proxy starts before a web process is healthy",
        of="docker-compose.yml",
        replace="web: {condition: service_healthy}",
        by="web: {condition: service_started}",
        fails="test_containers_start_after_their_dependencies",
    ),
    Mutation(
        fault="A web process is replaced: the proxy tries another one",
        of="Caddyfile",
        remove="lb_try_duration 10s",
        fails="test_the_proxy_accepts_the_sites_upload_size_and_forwards_to_it",
    ),
    Mutation(
        fault="A checkout is made under umask 077",
        of="Dockerfile",
        remove="&& chmod -R a+rX .",
        fails="test_the_image_copies_existing_and_all_required_files",
    ),
]
