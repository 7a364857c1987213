"""Logs and versions."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="A part of the site is away for long: one line every ten seconds",
        of="Outage.failed",
        replace="now - self._logged_at < REPEAT_SECONDS",
        by="False",
        fails="test_a_part_that_is_away_has_a_line_for_each_change_and_every_ten_seconds",
    ),
    Mutation(
        fault="Requests that fail with a 4xx status have no traceback",
        of="OutageFilter.filter",
        replace="400 <= getattr(record, 'status_code', 0) < 500",
        by="False",
        fails="test_a_refused_request_has_a_line_without_a_traceback_and_a_fault_keeps_its_own",
    ),
    Mutation(
        fault="A library reports an outage with a traceback",
        of="OutageFilter.filter",
        replace="outage is not None and error is not None",
        by="False",
        fails="test_an_outage_costs_web_process_and_idle_worker_a_few_lines",
    ),
    Mutation(
        fault="A package whose internals are overridden has another version",
        of="check_versions",
        replace="found != f'{name} {wanted}'",
        by="False",
        fails="test_no_command_starts_with_another_version_of_an_overridden_package",
    ),
]
