"""Faults of workers, Redis, the database, the disk and the service: each with its test, and the check it watches."""

from tests.faults.proof import Proof

BREAKS_OFF = "tests/streaming/aws/test_failures.py::test_what_breaks_off_in_the_middle_costs_no_word"

OF_THE_SERVICE = [
    Proof(
        "AWS: clean early close",
        f"{BREAKS_OFF}[close]",
        "streaming/engines/aws_session.py",
        "        if not self._has_ended:\n            raise CutOff(",
        "        if False:\n            raise CutOff(",
    ),
    Proof(
        "AWS: 409",
        f"{BREAKS_OFF}[exception:ConflictException]",
        "streaming/engines/aws_failures.py",
        'return EngineError(f"{place} failed: {_message(error)}", permanent=False)',
        'return EngineError(f"{place} failed: {_message(error)}", permanent=True)',
    ),
    Proof(
        "AWS: 429, no stream is free",
        "tests/streaming/aws/test_failures.py::test_no_free_stream_is_told_at_once",
        "streaming/engines/aws_failures.py",
        "        case sdk.LimitExceededException() if not is_open:\n            return EngineBusy(WAITING)\n",
        "",
    ),
    Proof(
        "AWS: 429, in the middle of a stream",
        f"{BREAKS_OFF}[exception:LimitExceededException]",
        "streaming/engines/aws_failures.py",
        "case sdk.LimitExceededException() if not is_open:",
        "case sdk.LimitExceededException():",
    ),
    Proof(
        "AWS: 503",
        "tests/streaming/aws/test_failures.py::test_a_refusal_that_passes_is_tried_again",
        "streaming/hearing.py",
        "if error.permanent or failures > MOST_FAILURES:",
        "if True:",
    ),
    Proof(
        "AWS: bad checksum",
        f"{BREAKS_OFF}[bad_checksum]",
        "streaming/engines/aws_transport.py",
        "GARBAGE = (ParserError, struct.error,",
        "GARBAGE = (struct.error,",
    ),
    Proof(
        "AWS: 15 s idle, the sound comes late",
        "tests/streaming/aws/test_stream.py"
        "::test_sound_that_comes_late_is_made_up_for_with_silence_and_times_stay_right",
        "streaming/engines/aws_session.py",
        "if since is not None and loop.time() - since >= STARVED_SECONDS / self._pace:",
        "if False:",
    ),
    Proof(
        "AWS: 15 s idle, the service ends the stream",
        "tests/streaming/aws/test_failures.py::test_sound_that_came_too_late_is_sent_again",
        "streaming/engines/aws_failures.py",
        '("no new audio was received", "Signature expired")',
        '("Signature expired",)',
    ),
    Proof(
        "AWS: stale signature, nothing is signed too early",
        "tests/streaming/aws/test_stream.py::test_no_sound_is_sent_more_than_a_second_before_its_time",
        "streaming/engines/aws_session.py",
        "                if early > 0:\n                    await asyncio.sleep(early)\n",
        "",
    ),
    Proof(
        "AWS: results 10 s late",
        "tests/streaming/aws/test_stream.py::test_results_that_pause_are_waited_for",
        "streaming/engines/aws_session.py",
        "self._timeline.sent_seconds - self._answered_at > STUCK_SECONDS:",
        "self._timeline.sent_seconds - self._answered_at > 0.0:",
    ),
    Proof(
        "AWS: results that never come",
        "tests/streaming/aws/test_failures.py::test_a_service_that_hears_and_does_not_answer_is_given_up",
        "streaming/engines/aws_session.py",
        "if self._interpreter.has_open and self._timeline.sent_seconds - self._answered_at > STUCK_SECONDS:",
        "if False:",
    ),
    Proof(
        "AWS: segments cut differently after a resume",
        "tests/streaming/aws/test_random_cuts.py::test_cut_at_random_points_every_word_comes_once[1]",
        "streaming/engines/aws_results.py",
        "return replace(final, resume_time=max(0.0, min([end, *begun, *lagging])))",
        "return replace(final, resume_time=end + 0.5)",
    ),
    Proof(
        "AWS: segments cut differently after a resume, in each of two channels",
        "tests/streaming/aws/test_results.py::test_what_a_slot_had_finished_before_is_not_said_again",
        "streaming/engines/aws_results.py",
        "if (time(piece.start_time) + time(piece.end_time)) / 2 >= known_until]",
        "]",
    ),
]

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
        "streaming/models.py",
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
        "news += await in_thread(jobs.hand_back)(attempt.job.pk, attempt.job.attempt)",
        "pass",
    ),
    Proof(
        "SIGTERM under load: within 10 s, while Redis says nothing",
        f"{STOPPED}[nothing]",
        "streaming/runner.py",
        "        await asyncio.gather(*(broadcast.send(group, message) for group, message in news))\n",
        "        for group, message in news:\n            await broadcast.send(group, message)\n",
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

NETWORK = "tests/streaming/aws/test_network.py"
POSTGRES = "tests/test_postgres.py"
SQLITE = "tests/streaming/test_sqlite.py"
PASSING = "PASSING = (OperationalError, InterfaceError, InternalError)"

OF_THE_NETWORK = [
    Proof(
        "network between worker and AWS: cut",
        f"{NETWORK}::test_a_connection_that_is_cut_is_noticed_at_once",
        "streaming/engines/aws_connection.py",
        '        self.fail(CutOff(f"the connection was cut ({error})" if error else "the connection was closed"))',
        "        pass",
    ),
    Proof(
        "AWS: mid-frame cut",
        f"{NETWORK}::test_an_answer_that_is_cut_within_a_frame_is_noticed_at_once",
        "streaming/engines/aws_connection.py",
        "            if self._error is not None:\n                raise self._error\n",
        "",
    ),
    Proof(
        "network between worker and AWS: half open",
        f"{NETWORK}::test_a_connection_that_is_half_open_is_noticed_by_its_silence",
        "streaming/engines/aws_connection.py",
        "if self._asked_at is not None and now - self._asked_at >= SIGN_OF_LIFE_SECONDS:",
        "if False:",
    ),
    Proof(
        "network between worker and AWS: slow",
        f"{NETWORK}::test_a_slow_network_holds_the_sound_back",
        "streaming/engines/aws_transport.py",
        "        await self._connection.room(most_unsent_bytes, seconds)\n",
        "",
    ),
    Proof(
        "network between worker and AWS: byte by byte",
        f"{NETWORK}::test_answers_that_come_byte_by_byte_are_heard_as_any_other",
        "streaming/engines/aws_connection.py",
        "                self._h2.acknowledge_received_data(event.flow_controlled_length, STREAM_ID)\n",
        "",
    ),
]

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
        "streaming/attempt.py",
        PASSING,
        "PASSING = (InternalError,)",
    ),
    Proof(
        "PostgreSQL: a lock held for long",
        f"{POSTGRES}::test_a_job_whose_row_somebody_holds_goes_on_after_and_another_meanwhile",
        "streaming/attempt.py",
        PASSING,
        "PASSING = (InterfaceError, InternalError)",
    ),
    Proof(
        "PostgreSQL: read-only",
        f"{POSTGRES}::test_a_job_waits_while_the_database_takes_no_writes",
        "streaming/attempt.py",
        PASSING,
        "PASSING = (OperationalError, InterfaceError)",
    ),
    Proof(
        "SQLite locked",
        f"{SQLITE}::test_a_job_waits_while_somebody_holds_the_database",
        "streaming/attempt.py",
        PASSING,
        "PASSING = (InterfaceError, InternalError)",
    ),
    Proof(
        "disk full: database",
        f"{SQLITE}::test_a_job_waits_while_the_disk_of_the_database_is_full",
        "streaming/attempt.py",
        PASSING,
        "PASSING = (InterfaceError, InternalError)",
    ),
    Proof(
        "disk full: database, at an upload",
        "tests/uploads/test_recordings.py::test_says_that_the_databases_disk_is_full",
        "uploads/recordings.py",
        'return full or (isinstance(error, OperationalError) and "disk is full" in str(error))',
        "return full",
    ),
    Proof(
        "disk full: spool",
        "tests/streaming/test_runner.py::test_a_disk_that_is_full_fails_the_job_with_a_sentence",
        "uploads/decoder.py",
        "    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:\n"
        '        return "The disk is full."\n',
        "",
    ),
    Proof(
        "disk full: upload, while the request is read",
        "tests/uploads/test_handlers.py::test_a_full_disk_ends_the_file_and_is_noted",
        "uploads/handlers.py",
        "            self.request.META[DISK_IS_FULL] = True",
        "            pass",
    ),
    Proof(
        "disk full: upload, while it is copied",
        "tests/uploads/test_recordings.py::test_says_that_the_disk_is_full_while_a_file_is_copied",
        "uploads/recordings.py",
        "        if not _is_full(error):\n            raise\n",
        "        raise\n",
    ),
    Proof(
        "disk full: a copy from a bucket",
        "tests/uploads/test_bucket.py::test_a_disk_that_is_full_leaves_no_copy",
        "uploads/contents.py",
        "        await in_thread(copy.flush)\n",
        "",
    ),
]

PROOFS: list[Proof] = [*OF_WORKERS, *OF_REDIS, *OF_THE_NETWORK, *OF_DATABASES, *OF_THE_SERVICE]
