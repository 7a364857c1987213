"""Faults of Amazon's service and the network to it: each with its test, and the check it watches."""

from tests.faults.proof import Proof

BREAKS_OFF = "tests/streaming/aws/test_failures.py::test_what_breaks_off_in_the_middle_costs_no_word"
NETWORK = "tests/streaming/aws/test_network.py"
RAW = "tests/interop/raw"

OF_THE_SERVICE = [
    Proof(
        "AWS: clean early close",
        f"{BREAKS_OFF}[close]",
        "streaming/engines/aws_session.py",
        "        if not stream.has_sent_end:\n            raise CutOff(",
        "        if False:\n            raise CutOff(",
    ),
    Proof(
        "AWS: clean early close while our end is on its way",
        "tests/streaming/aws/test_failures.py::test_a_service_that_says_that_it_missed_the_end_is_asked_again",
        "streaming/engines/aws_session.py",
        "not self._interpreter.has_open and not was_stopped",
        "not self._interpreter.has_open",
    ),
    Proof(
        "AWS: graceful GOAWAY before the last final",
        f"{RAW}/test_frames.py::test_legal_frames_do_not_interrupt_a_stream[graceful_goaway-last]",
        "streaming/engines/aws_http2.py",
        "        return [], [event]",
        "        return super()._receive_goaway_frame(frame)",
    ),
    Proof(
        "AWS: graceful GOAWAY, and no answer to a PING after it",
        f"{RAW}/test_frames.py::test_a_server_that_announced_its_end_need_not_answer_a_ping",
        "streaming/engines/aws_connection.py",
        "if not self._is_complete or self._goaway or self._transport is None",
        "if not self._is_complete or self._transport is None",
    ),
    Proof(
        "AWS: an answer that ends within a message",
        f"{RAW}/test_frames.py::test_an_end_that_is_not_good_costs_no_word[end_within_a_message-last]",
        "streaming/engines/aws_messages.py",
        "    if buffer._data:",
        "    if False:",
    ),
    Proof(
        "AWS: the channel of a mono result",
        f"{RAW}/test_messages.py::test_a_channel_on_mono_results_is_ignored",
        "streaming/engines/aws_results.py",
        "        return MONO\n",
        "        return channel\n",
    ),
    Proof(
        "AWS: 409",
        f"{BREAKS_OFF}[exception:ConflictException]",
        "streaming/engines/aws_failures.py",
        'return EngineError(f"{place} failed: {error.message or code}", permanent=False)',
        'return EngineError(f"{place} failed: {error.message or code}", permanent=True)',
    ),
    Proof(
        "AWS: 429, no stream is free",
        "tests/streaming/aws/test_refusals.py::test_no_free_stream_is_told_at_once",
        "streaming/engines/aws_failures.py",
        '    if code == "LimitExceededException" and not is_open:\n        return EngineBusy(WAITING)\n',
        "",
    ),
    Proof(
        "AWS: 429, in the middle of a stream",
        f"{BREAKS_OFF}[exception:LimitExceededException]",
        "streaming/engines/aws_failures.py",
        'if code == "LimitExceededException" and not is_open:',
        'if code == "LimitExceededException":',
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
        '("no new audio was received", "signature expired", "stream is too big")',
        '("signature expired", "stream is too big")',
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

OF_THE_NETWORK = [
    Proof(
        "network between worker and AWS: one of two addresses does not answer",
        f"{RAW}/test_network.py::test_an_address_that_does_not_answer_is_passed_over",
        "streaming/engines/aws_network.py",
        "        ssl_shutdown_timeout=CLOSE_SECONDS,\n        happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,\n",
        "        ssl_shutdown_timeout=CLOSE_SECONDS,\n",
    ),
    Proof(
        "network between worker and AWS: cut",
        f"{NETWORK}::test_a_connection_that_is_cut_is_noticed_at_once",
        "streaming/engines/aws_connection.py",
        '        self.fail(CutOff(f"the connection was cut ({reason})" if reason else "the connection was closed"))',
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
        "if self._asked_at is not None and now - self._asked_at >= PING_SECONDS:",
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

PROOFS: list[Proof] = [*OF_THE_SERVICE, *OF_THE_NETWORK]
