"""Faults between viewers, uploads and the web processes: each with its test, and the check it watches."""

from tests.faults.proof import Proof

SERVER = "tests/test_server.py::"
UPLOADS = "tests/faults/test_uploads.py::"
SILENCE = "tests/browser/test_silence.py::"
VIEWERS = "tests/faults/test_viewers.py::"
CONNECTIONS = "tests/faults/test_connections.py::"
BODIES = "tests/faults/test_bodies.py::"

PROOFS: list[Proof] = [
    # Processes
    Proof(
        "SIGTERM",
        "tests/test_site.py::test_a_server_that_is_stopped_hands_its_job_back_and_tells_the_viewers_to_come_again",
        "transcribe_site/server.py",
        "protocol.serverClose(RESTARTING)",
        "pass",
    ),
    Proof(
        "SIGTERM under load",
        f"{VIEWERS}test_who_watches_under_load_is_told_that_the_server_restarts",
        "transcribe_site/server.py",
        "protocol.serverClose(RESTARTING)",
        "pass",
    ),
    Proof(
        "SIGTERM: what is still sent to sockets that are told",
        "tests/test_server_alone.py::test_what_is_sent_on_a_socket_that_is_closing_is_dropped",
        "transcribe_site/server.py",
        "in message and protocol.state != Socket.STATE_CONNECTING:",
        "in message and protocol.is_connected:",
    ),
    Proof(
        "SIGTERM while requests are half sent",
        "tests/test_server_alone.py::test_a_server_that_ends_waits_for_all_applications_also_where_a_request_has_none",
        "transcribe_site/server.py",
        'details.get("application_instance")',
        'details["application_instance"]',
    ),
    Proof(
        "kill -9 of a web process: viewers come again",
        "tests/browser/test_live.py::test_a_page_goes_on_by_itself_after_the_server_was_killed",
        "static/js/socket.js",
        "this.#timer = setTimeout(() => this.open(), longest * (0.5 + Math.random() / 2));",
        "",
    ),
    # The network between viewer and server
    Proof(
        "network cut between viewer and server",
        f"{VIEWERS}test_a_viewer_who_is_cut_off_comes_back_to_what_he_missed",
        "streaming/consumers.py",
        "int(given) if given.isascii()",
        "0 if given.isascii()",
    ),
    Proof(
        "network half open between viewer and server",
        f"{VIEWERS}test_a_viewer_who_is_gone_without_a_word_is_forgotten_and_one_who_is_silent_is_not",
        "transcribe_site/management/commands/serve.py",
        "ping_timeout=PONG_SECONDS",
        "ping_timeout=0",
    ),
    Proof(
        "network half open between server and viewer: the page asks",
        f"{SILENCE}test_a_page_that_hears_nothing_asks_and_comes_again_without_an_answer",
        "static/js/socket.js",
        "this.#timer = setTimeout(() => this.#ask(), this.quietMs);",
        "",
    ),
    Proof(
        "network half open between server and viewer: the page comes again",
        f"{SILENCE}test_a_page_that_hears_nothing_asks_and_comes_again_without_an_answer",
        "static/js/socket.js",
        "this.sync();\n    this.#timer = setTimeout(() => this.#lost(socket), ANSWER_MS);",
        "this.sync();",
    ),
    Proof(
        "network slow between viewer and server: partials are skipped",
        "tests/streaming/test_feed.py::test_a_slow_viewer_skips_partials_that_are_out_of_date",
        "streaming/feed.py",
        'self._partials[message["slot"]] = ',
        "self._partials[text] = ",
    ),
    Proof(
        "network byte by byte between viewer and server",
        f"{VIEWERS}test_a_viewer_byte_by_byte_sees_all_of_it",
        "transcribe_site/management/commands/serve.py",
        "websocket_timeout=-1,",
        "websocket_timeout=0,",
    ),
    # Viewers who mean no good
    Proof(
        "viewers that read 1 byte a second",
        f"{VIEWERS}test_a_viewer_who_reads_a_byte_a_second_costs_no_memory_and_slows_nobody",
        "transcribe_site/flow.py",
        "await self._has_room.wait()",
        "pass",
    ),
    Proof(
        "viewers that never read",
        "tests/faults/test_slow_viewers.py::"
        "test_who_never_reads_is_cut_after_a_mebibyte_and_the_others_get_what_is_newest",
        "streaming/feed.py",
        "cursor.send_away(close_codes.TRY_AGAIN)",
        "pass",
    ),
    Proof(
        "viewers that ask anew in the middle of a long message",
        f"{SERVER}test_a_long_message_ends_what_it_began_though_the_viewer_asks_for_another",
        "transcribe_site/sockets.py",
        "await asyncio.shield(asyncio.ensure_future(self._send_fragments(text)))",
        "await self._send_fragments(text)",
    ),
    Proof(
        "viewers that ask for every snapshot there is",
        "tests/streaming/test_feed.py::test_snapshots_of_every_length_are_not_kept",
        "streaming/feed.py",
        "            self._newest_snapshot = after, self._snapshot(min(after, self.seq))",
        "            self._newest_snapshot = after, self._snapshot(min(after, self.seq))\n"
        "            self.kept = [*getattr(self, 'kept', []), self._newest_snapshot]",
    ),
    Proof(
        "viewers that send and never read",
        "tests/faults/test_slow_viewers.py::"
        "test_who_sends_and_does_not_read_is_read_no_further_and_has_all_answers_when_he_does",
        "transcribe_site/sockets.py",
        "self.transport.pauseProducing()",
        "pass",
    ),
    Proof(
        "viewers that connect and leave very many times: the subscription of the process",
        "tests/streaming/test_withdrawing.py::"
        "test_a_thousand_who_come_and_leave_at_any_moment_leave_no_cursor_task_or_feed",
        "streaming/feeds.py",
        "await self._unsubscribe(broadcast.WATCHERS)",
        "pass",
    ),
    Proof(
        "viewers that connect and leave very many times: their sockets",
        f"{VIEWERS}test_a_thousand_viewers_who_come_and_are_cut_off_leave_nothing_behind",
        "streaming/consumers.py",
        "crowd.leave(self._counted_for)\n            await self.unwatch()",
        "crowd.leave(self._counted_for)",
    ),
    Proof(
        "viewers that connect and leave very many times: their cursors and feeds",
        "tests/streaming/test_withdrawing.py::test_a_thousand_who_come_and_leave_at_any_moment_leave_no_cursor_task_or_feed",
        "streaming/feeds.py",
        "feed.leave(cursor)",
        "pass",
    ),
    Proof(
        "viewers that connect and leave very many times: their tasks",
        "tests/streaming/test_withdrawing.py::test_a_thousand_who_come_and_leave_at_any_moment_leave_no_cursor_task_or_feed",
        "streaming/consumers.py",
        "watching.cancel()\n            await asyncio.wait({watching})",
        "pass",
    ),
    Proof(
        "viewers that open very many sockets",
        "tests/streaming/test_crowd.py::test_one_socket_too_many_is_sent_away_and_nobody_else",
        "streaming/crowd.py",
        "if most and _sockets[person_id] >= most:",
        "if False:",
    ),
    Proof(
        "viewers that open very many sockets: who has left is not counted",
        "tests/streaming/test_withdrawing.py::test_a_thousand_who_come_and_leave_at_any_moment_leave_no_cursor_task_or_feed",
        "streaming/crowd.py",
        "del _sockets[person_id]",
        "pass",
    ),
    Proof(
        "viewers that open very many sockets: who is cancelled is not counted",
        "tests/streaming/test_crowd.py::test_a_connection_that_is_ended_while_it_opens_is_not_counted_any_more",
        "streaming/consumers.py",
        "crowd.leave(self._counted_for)",
        "pass",
    ),
    Proof(
        "half handshakes, HTTP request half sent",
        f"{VIEWERS}test_half_a_handshake_or_request_is_not_awaited",
        "transcribe_site/http.py",
        "protocol.timeOut = IDLE_SECONDS",
        "protocol.timeOut = None",
    ),
    Proof(
        "an HTTP request's head byte by byte, for ever",
        f"{VIEWERS}test_a_head_that_comes_a_byte_at_a_time_has_its_time_and_a_body_a_longer_one",
        "transcribe_site/http.py",
        "if not self._is_in_head:\n            super().resetTimeout()",
        "super().resetTimeout()",
    ),
    Proof(
        "1 MiB frames",
        f"{VIEWERS}test_a_message_of_a_mebibyte_ends_its_socket",
        "transcribe_site/management/commands/serve.py",
        "MESSAGE_BYTES = 256 * 1024",
        "MESSAGE_BYTES = 16 * 1024 * 1024",
    ),
    Proof(
        "1 MiB frames, invalid UTF-8: the reason is said",
        f"{VIEWERS}test_a_message_of_a_mebibyte_ends_its_socket",
        "transcribe_site/sockets.py",
        "self.sendCloseFrame(code=code)",
        "self.dropConnection(abort=True)",
    ),
    Proof(
        "frames that are none",
        f"{VIEWERS}test_what_is_no_websocket_any_more_ends_it_and_nothing_after_is_kept",
        "transcribe_site/sockets.py",
        "if not self.failedByMe:",
        "if True:",
    ),
    Proof(
        "invalid UTF-8",
        f"{VIEWERS}test_what_is_no_utf_8_ends_its_socket_at_most",
        "streaming/origins.py",
        'headers[b"origin"].decode("latin-1")',
        'headers[b"origin"].decode()',
    ),
    # Uploads
    Proof(
        "kill -9 of a web process during an upload",
        f"{UPLOADS}test_what_a_killed_process_had_received_is_swept_when_it_is_old",
        "transcribe_site/management/commands/serve.py",
        "path.unlink()",
        "pass",
    ),
    Proof(
        "uploads cut at any byte: while they are read",
        f"{UPLOADS}test_who_leaves_when_all_was_sent_harms_nobody",
        "transcribe_site/server.py",
        "if not self._is_read and not self._content.closed:",
        "if not self._is_read:",
    ),
    Proof(
        "uploads byte by byte",
        f"{UPLOADS}test_an_upload_that_comes_byte_by_byte_is_whole",
        "transcribe_site/http.py",
        "self._left -= len(data)",
        "self._left -= 1024**2",
    ),
    Proof(
        "bodies too long",
        f"{SERVER}test_a_body_that_is_too_long_is_refused_before_it_is_sent",
        "transcribe_site/bodies.py",
        "if length is not None and length > max_bytes:",
        "if False:",
    ),
    Proof(
        "bodies too long, in chunks",
        f"{SERVER}test_a_body_that_does_not_say_how_long_it_is_is_refused_when_it_is_too_long",
        "transcribe_site/http.py",
        "if self._left < 0:",
        "if False:",
    ),
    Proof(
        "large bodies of anonymous senders",
        f"{BODIES}test_twelve_anonymous_senders_of_90_mib_write_nothing_to_disk",
        "transcribe_site/bodies.py",
        "if await is_signed_in(headers):",
        "if True:",
    ),
    Proof(
        "bodies that come too slowly",
        f"{BODIES}test_a_long_body_that_comes_too_slowly_is_not_awaited",
        "transcribe_site/bodies.py",
        "self._received_bytes < RATE_BYTES * RATE_SECONDS",
        "False",
    ),
    Proof(
        "short bodies that do not end",
        f"{BODIES}test_a_short_body_that_does_not_end_is_not_awaited",
        "transcribe_site/bodies.py",
        "else ANONYMOUS_SECONDS)",
        "else 3600.0)",
    ),
    Proof(
        "1,100 idle connections from one address",
        f"{CONNECTIONS}test_1100_idle_connections_from_one_address_lock_nobody_out",
        "transcribe_site/connections.py",
        "ADDRESS_CONNECTIONS or self._evict(address)",
        "ADDRESS_CONNECTIONS",
    ),
    Proof(
        "idle connections from many addresses",
        f"{CONNECTIONS}test_idle_connections_from_many_addresses_leave_room_for_signed_in_people",
        "transcribe_site/connections.py",
        "            longest.transport.abortConnection()",
        "            pass",
    ),
    Proof(
        "a low soft limit of descriptors",
        f"{CONNECTIONS}test_the_soft_limit_of_descriptors_is_raised",
        "transcribe_site/connections.py",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))",
        "pass",
    ),
    Proof(
        "one client of a proxy",
        f"{CONNECTIONS}test_behind_a_trusted_proxy_each_client_has_its_own_limit",
        "transcribe_site/http.py",
        'if addresses.is_trusted(host := getattr(peer, "host", "")):',
        'if host := "":',
    ),
]
