"""Full and missing disks."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="The disk is full: every action answers 507",
        of="failures.answer",
        replace="is_full(each)",
        by="False",
        fails="test_every_action_is_refused_with_507_while_the_disk_is_full[application/json]",
    ),
    Mutation(
        fault="SQLite is locked: every action answers 503",
        of="FailuresMiddleware.process_exception",
        replace="failures.answer(request, exception)",
        by="None",
        fails="test_every_action_is_refused_with_503_while_sqlite_is_locked[application/json]",
    ),
    Mutation(
        fault="PostgreSQL is unavailable: every action and page answers 503",
        of="SignInMiddleware.process_view",
        replace="Exception",
        by="ZeroDivisionError",
        fails="test_every_action_and_page_is_refused_with_503_while_postgresql_is_down[application/json]",
    ),
    Mutation(
        fault="The database's disk is full while a job runs",
        of="TRANSIENT",
        remove="OperationalError",
        fails="test_job_waits_while_the_disk_of_the_database_is_full",
    ),
    Mutation(
        fault="The database's disk is full during an upload",
        of="disk_errors._is_full",
        remove="'disk is full' in str(error)",
        fails="test_refuses_a_recording_with_507_when_the_disk_of_the_database_is_full",
    ),
    Mutation(
        fault="The disk is full while the spool is written",
        of="__main__.sentence",
        remove="""if isinstance(error, OSError) and error.errno in FULL:
    return 'The disk is full.'""",
        fails="test_full_disk_fails_the_job_with_a_sentence",
    ),
    Mutation(
        fault="The spool cannot be created",
        of="Attempt._transcribe",
        replace="OSError",
        by="ZeroDivisionError",
        fails="test_job_fails_if_its_spool_cannot_be_created_and_completes_on_retry",
    ),
    Mutation(
        fault="The disk is full while an upload is received",
        of="DiskUploadHandler._noting_errors",
        remove="self.request.META[DISK_ERROR] = error",
        fails="test_a_full_disk_stops_an_upload_and_its_error_is_stored_in_the_request",
    ),
    Mutation(
        fault="The disk is full while an upload is copied",
        of="store",
        replace="raise disk_refusal(error) from error",
        by="raise",
        fails="test_refuses_a_recording_with_507_when_the_disk_fills_up_while_it_is_copied",
    ),
    Mutation(
        fault="The disk is full while a request's body is received",
        of="Request.gotLength",
        replace="OSError",
        by="ZeroDivisionError",
        fails="test_answers_507_when_the_server_cannot_store_the_body",
    ),
    Mutation(
        fault="The folder of the recordings is missing",
        of="storage.check",
        remove="""os.makedirs(storage.location, exist_ok=True)
_check_folder(storage.location)""",
        fails="test_a_missing_folder_refuses_uploads_with_503_and_fails_the_readiness_check",
    ),
    Mutation(
        fault="The disk is full while a recording is copied from a bucket",
        of="local_path",
        replace="prefix='copy-'",
        by="prefix='copy-', delete=False",
        fails="test_a_full_disk_leaves_no_local_copy_of_a_file_from_the_bucket",
    ),
    Mutation(
        fault="The disk is full while a listening copy is encoded",
        of="aac.encode",
        replace="output.error is None",
        by="True",
        fails="test_a_disk_that_becomes_full_breaks_off_the_growing_copy_and_refuses_the_next_with_507",
    ),
    Mutation(
        fault="The disk becomes full while a listening copy is sent",
        of="uploads.views.listen",
        replace="is_full(error)",
        by="False",
        fails="test_a_disk_that_becomes_full_breaks_off_the_growing_copy_and_refuses_the_next_with_507",
    ),
    Mutation(
        fault="The disk is full when a listening copy is stored",
        of="uploads.views._unavailable",
        replace="is_full(error)",
        by="False",
        fails="test_a_full_disk_refuses_a_listening_copy_with_507[the storage]",
    ),
]
