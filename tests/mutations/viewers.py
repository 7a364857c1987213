"""Viewers, and the network between them and the server."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="A server that receives SIGTERM asks its viewers to reconnect",
        of="Server._stop",
        remove="protocol.serverClose(RESTARTING)",
        fails="test_a_stopped_server_requeues_its_job_and_closes_viewers_with_1012",
    ),
    Mutation(
        fault="A server that receives SIGTERM under load asks its viewers to reconnect",
        of="Server._stop",
        remove="protocol.serverClose(RESTARTING)",
        fails="test_viewers_under_load_are_closed_with_1012_when_the_server_stops",
    ),
    Mutation(
        fault="An application sends to a WebSocket that is already closing",
        of="Server.handle_reply",
        replace="protocol.state != Socket.STATE_CONNECTING",
        by="protocol.is_connected",
        fails="test_drops_data_for_a_closing_socket",
    ),
    Mutation(
        fault="A server receives SIGTERM while a client is still sending a request",
        of="Server._end_applications",
        replace="details.get('application_instance')",
        by="details['application_instance']",
        fails="test_a_stopping_server_waits_for_applications_although_a_request_has_none",
    ),
    Mutation(
        fault="A web process is killed: the page reconnects",
        of="socket.js",
        remove="this.#timer = setTimeout(() => this.open(), limit * (0.5 + Math.random() / 2));",
        fails="test_a_job_page_reconnects_after_the_server_was_killed",
    ),
    Mutation(
        fault="The network to a viewer is cut: the viewer reconnects and gets the finals that it missed",
        of="JobConsumer.open",
        replace="int(given)",
        by="0",
        fails="test_a_viewer_that_is_cut_off_gets_missed_finals_when_it_reconnects",
    ),
    Mutation(
        fault="A viewer's network goes silent: the server closes the WebSocket",
        of="Command.handle",
        replace="PONG_SECONDS",
        by="0",
        fails="test_a_viewer_that_answers_no_pings_is_disconnected_and_a_silent_one_is_not",
    ),
    Mutation(
        fault="The server goes silent: the page asks for an answer",
        of="socket.js",
        remove="this.#timer = setTimeout(() => this.#probe(), this.quietMs);",
        fails="test_a_page_probes_a_silent_socket_and_reconnects_without_an_answer",
    ),
    Mutation(
        fault="The server goes silent and does not answer: the page reconnects",
        of="socket.js",
        replace="""this.sync();
    this.#timer = setTimeout(() => this.#lost(socket), ANSWER_MS);""",
        by="this.sync();",
        fails="test_a_page_probes_a_silent_socket_and_reconnects_without_an_answer",
    ),
    Mutation(
        fault="A viewer reads slowly: the server skips outdated partials",
        of="Feed.apply",
        replace="self._partials[message['slot']] = Newest(self._next_version(text), text)",
        by="self._partials[text] = Newest(self._next_version(text), text)",
        fails="test_slow_viewer_skips_stale_partials",
    ),
    Mutation(
        fault="A viewer's network passes one byte at a time",
        of="Command.handle",
        replace="websocket_timeout=-1",
        by="websocket_timeout=0",
        fails="test_a_viewer_that_sends_byte_by_byte_gets_the_whole_transcript",
    ),
    Mutation(
        fault="A viewer reads one byte a second",
        of="Flow.drained",
        remove="await self._has_room.wait()",
        fails="test_a_viewer_that_reads_a_byte_a_second_uses_no_memory_and_slows_no_other_viewer",
    ),
    Mutation(
        fault="A viewer never reads",
        of="Feed.evict_stalled",
        remove="subscriber.evict(close_codes.TRY_AGAIN)",
        fails="test_a_viewer_that_never_reads_is_evicted_after_a_mebibyte_and_others_get_the_newest_partial",
    ),
    Mutation(
        fault="A viewer asks for a resync in the middle of a long message",
        of="Socket.send_text",
        replace="asyncio.shield(asyncio.ensure_future(self._send_fragments(text)))",
        by="self._send_fragments(text)",
        fails="test_a_long_message_is_sent_completely_although_the_viewer_requests_another",
    ),
    Mutation(
        fault="A viewer asks for snapshots of every length",
        of="Feed.resync",
        replace="self._newest_snapshot = (after, self._snapshot(min(after, self.seq)))",
        by="""self._newest_snapshot = (after, self._snapshot(min(after, self.seq)))
self.kept = [*getattr(self, 'kept', []), self._newest_snapshot]""",
        fails="test_feed_caches_one_snapshot_only",
    ),
    Mutation(
        fault="A viewer sends messages and never reads the answers",
        of="Socket.onMessage",
        remove="self.transport.pauseProducing()",
        fails="test_a_client_that_sends_without_reading_is_not_read_until_it_reads_its_answers",
    ),
    Mutation(
        fault="Viewers connect and leave very often: the process unsubscribes from the channel layer",
        of="Hub._close",
        remove="await self._unsubscribe(publisher.WATCHERS)",
        fails="test_a_thousand_connects_and_disconnects_leak_no_subscriber_task_or_feed",
    ),
    Mutation(
        fault="Viewers connect and leave very often: their sockets are released",
        of="ViewerConsumer.__call__",
        remove="await self.unwatch()",
        fails="test_a_thousand_viewers_that_are_cut_off_leave_no_subscription_and_no_connection",
    ),
    Mutation(
        fault="Viewers connect and leave very often: their subscribers and feeds are released",
        of="Hub.watch",
        remove="feed.remove(subscriber)",
        fails="test_a_thousand_connects_and_disconnects_leak_no_subscriber_task_or_feed",
    ),
    Mutation(
        fault="Viewers connect and leave very often: their tasks are cancelled",
        of="ViewerConsumer.unwatch",
        remove="""watching.cancel()
await asyncio.wait({watching})""",
        fails="test_a_thousand_connects_and_disconnects_leak_no_subscriber_task_or_feed",
    ),
    Mutation(
        fault="A person opens more sockets than allowed",
        of="limits.acquire",
        replace="most and _sockets[person_id] >= most",
        by="False",
        fails="test_rejects_one_socket_too_many_and_keeps_the_others_open",
    ),
    Mutation(
        fault="A viewer that has left no longer counts towards its person's sockets",
        of="limits.release",
        remove="del _sockets[person_id]",
        fails="test_a_thousand_connects_and_disconnects_leak_no_subscriber_task_or_feed",
    ),
    Mutation(
        fault="A connection that is cancelled while it opens no longer counts towards its person's sockets",
        of="ViewerConsumer.__call__",
        remove="limits.release(self._counted_for)",
        fails="test_socket_cancelled_while_it_opens_is_not_counted",
    ),
]
