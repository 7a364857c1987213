"""Amazon Transcribe, and the network to it."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="The service closes the stream early, without an error",
        of="Session._hear",
        replace="not stream.has_sent_end",
        by="False",
        fails="test_what_breaks_off_in_the_middle_costs_no_word[close]",
    ),
    Mutation(
        fault="The service closes the stream while our end of the audio is on its way",
        of="Session.run",
        remove="not was_stopped",
        fails="test_a_service_that_says_that_it_missed_the_end_is_asked_again",
    ),
    Mutation(
        fault="The service sends a graceful GOAWAY before the last final",
        of="Wire._receive_goaway_frame",
        replace="([], [event])",
        by="super()._receive_goaway_frame(frame)",
        fails="test_legal_frames_do_not_interrupt_a_stream[graceful_goaway-last]",
    ),
    Mutation(
        fault="The service sends a graceful GOAWAY and answers no PING after it",
        of="Connection.was_stopped",
        remove="self._goaway",
        fails="test_a_server_that_announced_its_end_need_not_answer_a_ping",
    ),
    Mutation(
        fault="The answer ends within a message",
        of="read_results",
        replace="buffer._data",
        by="False",
        fails="test_an_end_that_is_not_good_costs_no_word[end_within_a_message-last]",
    ),
    Mutation(
        fault="A result of a mono stream names a channel",
        of="Interpreter._slot",
        replace="return MONO",
        by="return channel",
        fails="test_a_channel_on_mono_results_is_ignored",
    ),
    Mutation(
        fault="The service answers with a ConflictException (409)",
        of="_reported",
        replace="EngineError(f'{place} failed: {error.message or code}', permanent=False)",
        by="EngineError(f'{place} failed: {error.message or code}', permanent=True)",
        fails="test_what_breaks_off_in_the_middle_costs_no_word[exception:ConflictException]",
    ),
    Mutation(
        fault="The service refuses a stream with a LimitExceededException (429): the job waits",
        of="_reported",
        remove="""if code == 'LimitExceededException' and (not is_open):
    return EngineBusy(WAITING)""",
        fails="test_no_free_stream_is_told_at_once",
    ),
    Mutation(
        fault="The service ends an open stream with a LimitExceededException (429)",
        of="_reported",
        remove="not is_open",
        fails="test_what_breaks_off_in_the_middle_costs_no_word[exception:LimitExceededException]",
    ),
    Mutation(
        fault="The service is unavailable (503)",
        of="hearing.hear",
        replace="error.permanent or failures > MOST_FAILURES",
        by="True",
        fails="test_a_refusal_that_passes_is_tried_again",
    ),
    Mutation(
        fault="A message has a wrong checksum",
        of="GARBAGE",
        remove="ParserError",
        fails="test_what_breaks_off_in_the_middle_costs_no_word[bad_checksum]",
    ),
    Mutation(
        fault="The audio arrives late: silence is sent before the 15 s are over",
        of="Session._watch",
        replace="since is not None and loop.time() - since >= STARVED_SECONDS / self._pace",
        by="False",
        fails="test_sound_that_comes_late_is_made_up_for_with_silence_and_times_stay_right",
    ),
    Mutation(
        fault="The audio arrived too late: the service ended the stream after 15 s",
        of="PASSING_REFUSALS",
        remove="'no new audio was received'",
        fails="test_sound_that_came_too_late_is_sent_again",
    ),
    Mutation(
        fault="Audio is sent ahead of its time, so that its signature expires",
        of="Session._send",
        remove="""if early > 0:
    await asyncio.sleep(early)""",
        fails="test_no_sound_is_sent_more_than_a_second_before_its_time",
    ),
    Mutation(
        fault="The service's results are 10 s late",
        of="Session._watch",
        replace="STUCK_SECONDS",
        by="0.0",
        fails="test_results_that_pause_are_waited_for",
    ),
    Mutation(
        fault="The service never sends results",
        of="Session._watch",
        replace="self._interpreter.has_open and self._timeline.sent_seconds - self._answered_at > STUCK_SECONDS",
        by="False",
        fails="test_a_service_that_hears_and_does_not_answer_is_given_up",
    ),
    Mutation(
        fault="The service cuts segments differently after a resume",
        of="Interpreter._settled",
        replace="max(0.0, min([end, *begun, *lagging]))",
        by="end + 0.5",
        fails="test_cut_at_random_points_every_word_comes_once[1]",
    ),
    Mutation(
        fault="The service cuts the segments of two channels differently after a resume",
        of="Interpreter._read",
        remove="(time(piece.start_time) + time(piece.end_time)) / 2 >= known_until",
        fails="test_what_a_slot_had_finished_before_is_not_said_again",
    ),
    Mutation(
        fault="One of the service's addresses does not answer",
        of="aws_network.connect",
        remove="happy_eyeballs_delay=NEXT_ADDRESS_SECONDS",
        fails="test_an_address_that_does_not_answer_is_passed_over",
    ),
    Mutation(
        fault="The connection to the service is cut",
        of="Connection.connection_lost",
        remove="self.fail(CutOff(f'the connection was cut ({reason})' if reason else 'the connection was closed'))",
        fails="test_a_connection_that_is_cut_is_noticed_at_once",
    ),
    Mutation(
        fault="The connection to the service is cut within a frame",
        of="Connection.chunks",
        remove="""if self._error is not None:
    raise self._error""",
        fails="test_an_answer_that_is_cut_within_a_frame_is_noticed_at_once",
    ),
    Mutation(
        fault="The connection to the service goes silent",
        of="Connection._look_for_life",
        replace="self._asked_at is not None and now - self._asked_at >= PING_SECONDS",
        by="False",
        fails="test_a_connection_that_is_half_open_is_noticed_by_its_silence",
    ),
    Mutation(
        fault="The network to the service is slow",
        of="Stream.send",
        remove="await self._connection.room(most_unsent_bytes, seconds)",
        fails="test_a_slow_network_holds_the_sound_back",
    ),
    Mutation(
        fault="The network to the service passes one byte at a time",
        of="Connection._take",
        remove="self._h2.acknowledge_received_data(event.flow_controlled_length, STREAM_ID)",
        fails="test_answers_that_come_byte_by_byte_are_heard_as_any_other",
    ),
]
