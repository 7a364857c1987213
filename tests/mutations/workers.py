"""Workers that are killed, frozen or stopped."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="A worker is killed after it claimed a job",
        of="Runner.look_for_work",
        replace="await in_thread(jobs.free_jobs_of)(dead)",
        by="0",
        fails="test_a_worker_that_is_killed_at_any_step_costs_no_word_and_leaves_nothing[claimed]",
    ),
    Mutation(
        fault="A worker is killed while it decodes",
        of="workers.forget",
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
        of="jobs.remaining",
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
        remove="news += await in_thread(jobs.hand_back)(job.pk, job.attempt)",
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
        replace="await asyncio.gather(*(broadcast.send(group, message) for group, message in news))",
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
]
