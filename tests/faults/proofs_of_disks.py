"""Disks that are full, or gone: the test of each, and the check that it watches."""

from tests.faults.proof import Proof

SQLITE = "tests/streaming/test_sqlite.py"
PASSING = "PASSING = (OperationalError, InterfaceError, InternalError)"

FAILURES = "tests/faults/test_failures.py::"

PROOFS = [
    Proof(
        "disk full: every action",
        f"{FAILURES}test_a_full_disk_refuses_every_action_with_507[application/json]",
        "transcribe_site/failures.py",
        "        if is_full(each):",
        "        if False:",
    ),
    Proof(
        "SQLite locked: every action",
        f"{FAILURES}test_a_locked_sqlite_refuses_every_action_with_503[application/json]",
        "transcribe_site/middleware.py",
        "return failures.answer(request, exception)",
        "return None",
    ),
    Proof(
        "PostgreSQL away: every action and page",
        f"{FAILURES}test_a_postgresql_that_is_away_refuses_every_action_and_page_with_503[application/json]",
        "transcribe_site/middleware.py",
        "        except Exception as error:  # the session or the account can't be read\n"
        "            if (answer := failures.answer(request, error)) is not None:\n"
        "                return answer\n"
        "            raise",
        "        except ZeroDivisionError:\n            raise",
    ),
    Proof(
        "disk full: database",
        f"{SQLITE}::test_a_job_waits_while_the_disk_of_the_database_is_full",
        "streaming/database.py",
        PASSING,
        "PASSING = (InterfaceError, InternalError)",
    ),
    Proof(
        "disk full: database, at an upload",
        "tests/uploads/test_recordings.py::test_says_that_the_databases_disk_is_full",
        "uploads/disks.py",
        ' or "disk is full" in str(error)',
        "",
    ),
    Proof(
        "disk full: spool",
        "tests/streaming/test_runner_failures.py::test_a_disk_that_is_full_fails_the_job_with_a_sentence",
        "uploads/decoder.py",
        '    if isinstance(error, OSError) and error.errno in FULL:\n        return "The disk is full."\n',
        "",
    ),
    Proof(
        "disk full: the spool can't be made",
        "tests/streaming/test_disk.py::test_a_spool_that_cannot_be_made_fails_the_job_and_trying_again_goes_on",
        "streaming/attempt.py",
        "except OSError as error:",
        "except ZeroDivisionError as error:",
    ),
    Proof(
        "disk full: upload, while the request is read",
        "tests/uploads/test_handlers.py::test_a_full_disk_ends_the_file_and_is_noted",
        "uploads/handlers.py",
        "            self.request.META[DISK_ERROR] = error",
        "            pass",
    ),
    Proof(
        "disk full: upload, while it is copied",
        "tests/uploads/test_recordings.py::test_says_that_the_disk_is_full_while_a_file_is_copied",
        "uploads/recordings.py",
        "        raise refused_by(error) from error\n",
        "        raise\n",
    ),
    Proof(
        "disk full: a request's body",
        "tests/test_server.py::test_a_body_for_which_there_is_no_room_is_refused_with_a_sentence",
        "transcribe_site/http.py",
        "        except OSError as error:  # there is no file to be had for it",
        "        except ZeroDivisionError as error:",
    ),
    Proof(
        "disk gone: the folder of the recordings",
        "tests/uploads/test_handlers.py::test_a_folder_that_is_gone_refuses_with_a_sentence_and_is_not_ready",
        "uploads/contents.py",
        "        os.makedirs(storage.location, exist_ok=True)  # which the first recording would do\n"
        "        _check_folder(storage.location)",
        "        pass",
    ),
    Proof(
        "disk full: a copy from a bucket",
        "tests/uploads/test_bucket.py::test_a_disk_that_is_full_leaves_no_copy",
        "uploads/contents.py",
        'prefix="copy-") as copy:',
        'prefix="copy-", delete=False) as copy:',
    ),
]
