"""PostgreSQL and SQLite."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="PostgreSQL restarts while it is idle: the next page works",
        of="DatabaseWrapper.get_new_connection",
        remove="self.pool.drain()",
        fails="test_every_page_works_at_once_after_a_restart_of_an_idle_database",
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
        fails="test_jobs_with_locked_rows_continue_after_the_lock_and_another_job_meanwhile",
    ),
    Mutation(
        fault="A client holds a lock on a job's row for long: another job continues meanwhile",
        of="settings",
        replace="'-c lock_timeout=3s -c idle_in_transaction_session_timeout=10s'",
        by="'-c idle_in_transaction_session_timeout=10s'",
        fails="test_jobs_with_locked_rows_continue_after_the_lock_and_another_job_meanwhile",
    ),
    Mutation(
        fault="A frozen process holds a lock on a row",
        of="settings",
        replace="'-c lock_timeout=3s -c idle_in_transaction_session_timeout=10s'",
        by="'-c lock_timeout=3s'",
        fails="test_database_sessions_have_timeouts_that_free_the_locks_of_a_frozen_process",
    ),
    Mutation(
        fault="A frozen process holds the lock of a person's claims",
        of="try_lock_until_commit",
        replace="'SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))'",
        by="'SELECT pg_advisory_xact_lock(hashtextextended(%s, 0)) IS NOT NULL'",
        fails="test_a_process_frozen_during_a_claim_does_not_block_jobs_of_other_owners",
    ),
    Mutation(
        fault="PostgreSQL is read-only",
        of="TRANSIENT",
        remove="InternalError",
        fails="test_a_job_waits_while_the_database_is_read_only",
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
        fails="test_clients_that_do_not_read_downloads_or_transcripts_do_not_block_pages",
    ),
    Mutation(
        fault="Requests wait for the storage: each releases its connection to PostgreSQL",
        of="recordings.store",
        remove="db_connections.release()",
        fails="test_requests_that_wait_for_the_storage_do_not_block_pages",
    ),
]
