"""Faults of workers, Redis, the database and the disk: each with its test, and the check it watches."""

from tests.faults import proofs_of_disks, proofs_of_the_service
from tests.faults.proof import Proof
from tests.faults.proofs_of_disks import PASSING, SQLITE

KILLED = (
    "tests/streaming/test_dying_workers.py::test_a_worker_that_is_killed_at_any_step_costs_no_word_and_leaves_nothing"
)
FROZEN = (
    "tests/streaming/test_dying_workers.py"
    "::test_a_worker_that_was_frozen_until_another_had_its_job_changes_nothing_any_more"
)
STOPPED = (
    "tests/streaming/test_dying_workers.py"
    "::test_a_worker_that_is_stopped_under_load_hands_every_job_back_within_ten_seconds"
)


OF_WORKERS = [
    Proof(
        "kill -9 of a worker: when it has claimed a job",
        f"{KILLED}[claimed]",
        "streaming/runner.py",
        "freed = await in_thread(jobs.free_jobs_of)(dead)",
        "freed = 0",
    ),
    Proof(
        "kill -9 of a worker: while it decodes",
        f"{KILLED}[decoding]",
        "streaming/workers.py",
        "        shutil.rmtree(folder_of(name), ignore_errors=True)",
        "        pass",
    ),
    Proof(
        "kill -9 of a worker: its decoder ends with it",
        "tests/uploads/test_decoder.py::test_ends_with_its_parent",
        "uploads/decoder.py",
        "        ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGKILL))  # PR_SET_PDEATHSIG",
        "        pass",
    ),
    Proof(
        "kill -9 of a worker: while its engine is connected",
        "tests/streaming/aws/test_jobs.py"
        "::test_a_worker_that_is_killed_while_it_streams_to_amazon_sends_nothing_again_that_is_final",
        "streaming/jobs.py",
        "        start_time=job.resume_time,\n",
        "",
    ),
    Proof(
        "kill -9 of a worker: in the middle of a final's transaction",
        f"{KILLED}[storing]",
        "streaming/jobs.py",
        "    with transaction.atomic():\n        # The update is fence, counter and row lock in one.",
        "    if True:",
    ),
    Proof(
        "kill -9 of a worker: between a final's commit and its message",
        "tests/streaming/test_dying_workers.py"
        "::test_a_final_whose_worker_was_killed_before_it_told_anybody_reaches_the_viewers",
        "streaming/feeds.py",
        "elif feed.is_behind(row):",
        "elif False:",
    ),
    Proof(
        "kill -9 of a worker: before it ends the job",
        f"{KILLED}[ending]",
        "streaming/jobs.py",
        '            "resume_time": Greatest("resume_time", Value(result.next_time)),\n',
        "",
    ),
    Proof(
        "SIGSTOP, takeover, SIGCONT: in the database",
        FROZEN,
        "streaming/transitions.py",
        "return self.filter(status=Status.RUNNING, attempt=attempt)",
        "return self.filter(status=Status.RUNNING)",
    ),
    Proof(
        "SIGSTOP, takeover, SIGCONT: at the viewers",
        FROZEN,
        "streaming/feed.py",
        'self.is_gone or message["attempt"] < self._attempt',
        "self.is_gone",
    ),
    Proof(
        "SIGTERM under load: handed back",
        f"{STOPPED}[everything]",
        "streaming/runner.py",
        "news += await in_thread(jobs.hand_back)(job.pk, job.attempt)",
        "pass",
    ),
    Proof(
        "SIGTERM in the middle of a claim",
        "tests/streaming/test_runner.py::test_a_job_that_is_claimed_while_the_runner_stops_is_handed_back",
        "streaming/runner.py",
        "                self._claimed_late.append(job)\n",
        "                pass\n",
    ),
    Proof(
        "SIGTERM under load: within 10 s, while Redis says nothing",
        f"{STOPPED}[nothing]",
        "streaming/runner.py",
        "        await asyncio.gather(*(broadcast.send(group, message) for group, message in news))\n",
        "        for group, message in news:\n            await broadcast.send(group, message)\n",
    ),
    Proof(
        "SIGTERM under load: within 10 s, while the database is held",
        f"{SQLITE}::test_a_worker_that_is_stopped_while_somebody_holds_the_database_ends_and_another_goes_on",
        "streaming/management/commands/run_jobs.py",
        "            end_soon()\n",
        "",
    ),
]

REDIS = "tests/streaming/test_redis.py::test_whatever_redis_does_the_job_goes_on_and_its_viewers_get_all_of_it"
WAY_TO_REDIS = (
    "tests/streaming/test_redis.py::test_whatever_the_way_to_redis_does_the_job_goes_on_and_its_viewers_get_all_of_it"
)
SILENT_REDIS = "tests/streaming/test_redis.py::test_a_redis_that_says_nothing_holds_nobody_up"
NO_MESSAGE_IS_WORTH_A_JOB = (
    "except Exception as error:  # whatever the layer's client raises: the message is not worth a job"
)
PUBSUB, CORE = "channels_redis.pubsub.RedisPubSubChannelLayer", "channels_redis.core.RedisChannelLayer"

OF_REDIS = [
    Proof(
        "Redis: restart",
        f"{REDIS}[restart]",
        "streaming/broadcast.py",
        NO_MESSAGE_IS_WORTH_A_JOB,
        "except ValueError as error:",
    ),
    Proof(
        "Redis: DEBUG SLEEP",
        f"{SILENT_REDIS}[asleep]",
        "streaming/broadcast.py",
        "asyncio.timeout(SEND_TIMEOUT_SECONDS)",
        "asyncio.timeout(None)",
    ),
    Proof("Redis: FLUSHALL", f"{REDIS}[forget]", "transcribe_site/settings.py", PUBSUB, CORE),
    Proof(
        "Redis: killed pub/sub clients",
        f"{REDIS}[kill_subscribers]",
        "streaming/feeds.py",
        "if feed is not None and feed.loaded.is_set() and not feed.apply(message):\n            self._catch_up(feed)",
        "if feed is not None and feed.loaded.is_set():\n            feed.apply(message)",
    ),
    Proof("Redis: out of memory", f"{REDIS}[fill]", "transcribe_site/settings.py", PUBSUB, CORE),
    Proof(
        "network between server and Redis: cut",
        f"{WAY_TO_REDIS}[cut]",
        "streaming/broadcast.py",
        NO_MESSAGE_IS_WORTH_A_JOB,
        "except ValueError as error:",
    ),
    Proof(
        "network between server and Redis: half open, for who starts, cancels and ends jobs",
        f"{SILENT_REDIS}[half_open]",
        "streaming/broadcast.py",
        "asyncio.timeout(SEND_TIMEOUT_SECONDS)",
        "asyncio.timeout(None)",
    ),
    Proof(
        "network between server and Redis: half open, for who watches",
        f"{SILENT_REDIS}[half_open]",
        "streaming/feeds.py",
        "elif feed.is_behind(row):",
        "elif False:",
    ),
    Proof(
        "network between server and Redis: slow",
        f"{WAY_TO_REDIS}[slow]",
        "streaming/outbox.py",
        "        if self._messages.full():\n            self._messages.get_nowait()\n",
        "",
    ),
    Proof(
        "network between server and Redis: byte by byte",
        f"{WAY_TO_REDIS}[crumble]",
        "streaming/feeds.py",
        "self._dispatch(await layer.receive(self._channel))",
        "await layer.receive(self._channel)",
    ),
]

POSTGRES = "tests/test_postgres.py"


OF_DATABASES = [
    Proof(
        "PostgreSQL: restart, pages",
        f"{POSTGRES}::test_after_a_restart_of_an_idle_database_every_page_works_at_once",
        "transcribe_site/postgresql/base.py",
        "            self.pool.drain()\n",
        "",
    ),
    Proof(
        "PostgreSQL: restart, jobs",
        f"{POSTGRES}::test_jobs_wait_out_a_restart_of_the_database_and_viewers_catch_up",
        "streaming/database.py",
        PASSING,
        "PASSING = (InternalError,)",
    ),
    Proof(
        "PostgreSQL: a lock held for long",
        f"{POSTGRES}::test_a_job_whose_row_somebody_holds_goes_on_after_and_another_meanwhile",
        "streaming/database.py",
        PASSING,
        "PASSING = (InterfaceError, InternalError)",
    ),
    Proof(
        "PostgreSQL: a lock held for long, and another job meanwhile",
        f"{POSTGRES}::test_a_job_whose_row_somebody_holds_goes_on_after_and_another_meanwhile",
        "transcribe_site/settings.py",
        "-c lock_timeout=3s ",
        "",
    ),
    Proof(
        "PostgreSQL: a process that was frozen holds a row",
        f"{POSTGRES}::test_a_process_that_froze_keeps_no_row",
        "transcribe_site/settings.py",
        " -c idle_in_transaction_session_timeout=10s",
        "",
    ),
    Proof(
        "PostgreSQL: a process that was frozen holds the claims of a person",
        f"{POSTGRES}::test_who_froze_in_the_middle_of_a_claim_holds_up_nobody_elses_jobs",
        "streaming/database.py",
        "pg_try_advisory_xact_lock(hashtextextended(%s, 0))",
        "pg_advisory_xact_lock(hashtextextended(%s, 0)) IS NOT NULL",
    ),
    Proof(
        "PostgreSQL: read-only",
        f"{POSTGRES}::test_a_job_waits_while_the_database_takes_no_writes",
        "streaming/database.py",
        PASSING,
        "PASSING = (OperationalError, InterfaceError)",
    ),
    Proof(
        "SQLite locked",
        f"{SQLITE}::test_a_job_waits_while_somebody_holds_the_database",
        "streaming/database.py",
        PASSING,
        "PASSING = (InterfaceError, InternalError)",
    ),
]

PROOFS: list[Proof] = [*OF_WORKERS, *OF_REDIS, *OF_DATABASES, *proofs_of_disks.PROOFS, *proofs_of_the_service.PROOFS]
