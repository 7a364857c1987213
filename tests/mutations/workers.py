"""Workers that are killed, frozen or stopped."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="A worker is killed after it claimed a job",
        of="Runner.look_for_work",
        replace="await in_thread(lifecycle.free_jobs_of)(dead)",
        by="0",
        fails="test_a_worker_that_is_killed_at_any_step_costs_no_word_and_leaves_nothing[claimed]",
    ),
    Mutation(
        fault="A worker is killed while it decodes",
        of="liveness.forget",
        remove="shutil.rmtree(folder_of(name), ignore_errors=True)",
        fails="test_a_worker_that_is_killed_at_any_step_costs_no_word_and_leaves_nothing[decoding]",
    ),
    Mutation(
        fault="A worker is killed: its decoder ends too",
        of="die_with",
        remove="ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGKILL))",
        fails="test_ends_with_its_parent",
    ),
    Mutation(
        fault="A worker is killed while it streams to Amazon: the next worker resumes after the last final",
        of="lifecycle.remaining",
        remove="start_time=job.resume_time",
        fails="test_a_worker_that_is_killed_while_it_streams_to_amazon_sends_nothing_again_that_is_final",
    ),
    Mutation(
        fault="A worker is killed in the middle of a final's transaction",
        of="store_final",
        replace="transaction.atomic()",
        by="__import__('contextlib').nullcontext()",
        fails="test_a_worker_that_is_killed_at_any_step_costs_no_word_and_leaves_nothing[storing]",
    ),
    Mutation(
        fault="A worker is killed between a final's commit and its message",
        of="Feeds._look",
        replace="feed.is_behind(row)",
        by="False",
        fails="test_a_final_whose_worker_was_killed_before_it_told_anybody_reaches_the_viewers",
    ),
    Mutation(
        fault="A worker is killed before it ends the job",
        of="store_final",
        replace="Greatest('resume_time', Value(result.next_time))",
        by="F('resume_time')",
        fails="test_a_worker_that_is_killed_at_any_step_costs_no_word_and_leaves_nothing[ending]",
    ),
    Mutation(
        fault="A worker is frozen until another worker has taken over its job: its writes are rejected",
        of="JobQuerySet.held",
        remove="attempt=attempt",
        fails="test_a_worker_that_was_frozen_until_another_had_its_job_changes_nothing_any_more",
    ),
    Mutation(
        fault="A worker is frozen until another worker has taken over its job: viewers ignore its messages",
        of="Feed.apply",
        remove="message['attempt'] < self._attempt",
        fails="test_a_worker_that_was_frozen_until_another_had_its_job_changes_nothing_any_more",
    ),
    Mutation(
        fault="A worker receives SIGTERM under load: it releases its jobs",
        of="Runner._stop",
        remove="news += await in_thread(lifecycle.hand_back)(job.pk, job.attempt)",
        fails="test_a_worker_that_is_stopped_under_load_hands_every_job_back_within_ten_seconds[everything]",
    ),
    Mutation(
        fault="A worker receives SIGTERM in the middle of a claim",
        of="Runner._claim",
        remove="self._claimed_late.append(job)",
        fails="test_a_job_that_is_claimed_while_the_runner_stops_is_handed_back",
    ),
    Mutation(
        fault="A worker receives SIGTERM under load while Redis does not answer: it ends within 10 s",
        of="Runner._stop",
        replace="await asyncio.gather(*(publisher.send(group, message) for group, message in news))",
        by="""for group, message in news:
    await broadcast.send(group, message)""",
        fails="test_a_worker_that_is_stopped_under_load_hands_every_job_back_within_ten_seconds[nothing]",
    ),
    Mutation(
        fault="A worker receives SIGTERM while the database is locked: it ends within 10 s",
        of="Command.run.stop",
        remove="end_soon()",
        fails="test_a_worker_that_is_stopped_while_somebody_holds_the_database_ends_and_another_goes_on",
    ),
    Mutation(
        fault="The storage is away: later jobs of the same engine start",
        of="JobQuerySet.postpone",
        replace="is_waiting_for_room=is_for_room",
        by="is_waiting_for_room=True",
        fails="test_a_job_that_waits_for_the_storage_holds_back_no_later_job_of_its_engine",
    ),
    Mutation(
        fault="The storage refuses a recording for good",
        of="s3.translated",
        replace="is_permanent(error)",
        by="False",
        fails="test_a_recording_that_the_bucket_refuses_fails_its_job_with_a_sentence",
    ),
    Mutation(
        fault="The storage is away for too long",
        of="lifecycle.postpone",
        replace="count >= (MOST_WAITS_FOR_ROOM if is_for_room else MOST_WAITS_FOR_STORAGE)",
        by="False",
        fails="test_a_job_that_has_waited_too_long_for_the_storage_fails_and_can_be_resumed",
    ),
    Mutation(
        fault="A process has run for a day on the in-memory channel layer",
        of="CHANNEL_LAYERS",
        remove="'group_expiry'",
        fails="test_after_a_day_a_cancel_a_start_and_a_late_viewer_are_noticed_at_once",
    ),
    Mutation(
        fault="A message waited in the in-memory channel layer while the machine slept",
        of="CHANNEL_LAYERS",
        remove="'expiry'",
        fails="test_a_message_that_waited_while_the_machine_slept_ends_no_subscription",
    ),
    Mutation(
        fault="A job's decoder is cancelled: the spool's readers end",
        of="Spool.fill",
        remove="await self._grow(self.samples, is_complete=True)",
        fails="test_a_reader_ends_when_the_decoder_is_cancelled",
    ),
    Mutation(
        fault="A spool is cut short",
        of="Spool.chunks",
        replace="len(block) < count * frame",
        by="False",
        fails="test_a_reader_raises_when_the_spool_is_cut_short",
    ),
    Mutation(
        fault="Workers of another machine share the data folder",
        of="dead_workers",
        replace="not boot_id() or file.read() != boot_id().encode()",
        by="False",
        fails="test_jobs_of_a_living_worker_on_another_machine_are_not_taken_over",
    ),
]
