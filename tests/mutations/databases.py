"""PostgreSQL and SQLite."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="PostgreSQL restarts while it is idle: the next page works",
        of="DatabaseWrapper.get_new_connection",
        remove="self.pool.drain()",
        fails="test_after_a_restart_of_an_idle_database_every_page_works_at_once",
    ),
    Mutation(
        fault="PostgreSQL restarts while a job runs",
        of="TRANSIENT",
        remove="OperationalError, InterfaceError",
        fails="test_jobs_wait_out_a_restart_of_the_database_and_viewers_catch_up",
    ),
    Mutation(
        fault="A client holds a lock on a job's row for long",
        of="TRANSIENT",
        remove="OperationalError",
        fails="test_a_job_whose_row_somebody_holds_goes_on_after_and_another_meanwhile",
    ),
    Mutation(
        fault="A client holds a lock on a job's row for long: another job continues meanwhile",
        of="settings",
        replace="'-c lock_timeout=3s -c idle_in_transaction_session_timeout=10s'",
        by="'-c idle_in_transaction_session_timeout=10s'",
        fails="test_a_job_whose_row_somebody_holds_goes_on_after_and_another_meanwhile",
    ),
    Mutation(
        fault="A frozen process holds a lock on a row",
        of="settings",
        replace="'-c lock_timeout=3s -c idle_in_transaction_session_timeout=10s'",
        by="'-c lock_timeout=3s'",
        fails="test_a_process_that_froze_keeps_no_row",
    ),
    Mutation(
        fault="A frozen process holds the lock of a person's claims",
        of="try_lock_until_commit",
        replace="'SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))'",
        by="'SELECT pg_advisory_xact_lock(hashtextextended(%s, 0)) IS NOT NULL'",
        fails="test_who_froze_in_the_middle_of_a_claim_holds_up_nobody_elses_jobs",
    ),
    Mutation(
        fault="PostgreSQL is read-only",
        of="TRANSIENT",
        remove="InternalError",
        fails="test_a_job_waits_while_the_database_takes_no_writes",
    ),
    Mutation(
        fault="SQLite is locked while a job runs",
        of="TRANSIENT",
        remove="OperationalError",
        fails="test_job_waits_while_another_process_locks_the_database",
    ),
    Mutation(
        fault="Clients do not read their downloads: each releases its connection to PostgreSQL",
        of="Handler._respond_and_release",
        remove="db_connections.release()",
        fails="test_clients_that_read_no_download_and_no_transcript_leave_the_pages_alone",
    ),
    Mutation(
        fault="Requests wait for the storage: each releases its connection to PostgreSQL",
        of="recordings.store",
        remove="db_connections.release()",
        fails="test_requests_that_wait_for_a_storage_leave_the_pages_alone",
    ),
]
