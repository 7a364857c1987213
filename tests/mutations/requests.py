"""HTTP requests, uploads, WebSocket frames and idle connections."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="A client never finishes its handshake or request",
        of="RequestFactory.buildProtocol",
        replace="IDLE_SECONDS",
        by="None",
        fails="test_half_a_handshake_or_request_is_not_awaited",
    ),
    Mutation(
        fault="A client sends HTTP headers one byte at a time and never finishes",
        of="Channel.resetTimeout",
        replace="""if not self._is_in_head:
    super().resetTimeout()""",
        by="super().resetTimeout()",
        fails="test_a_head_that_comes_a_byte_at_a_time_has_its_time_and_a_body_a_longer_one",
    ),
    Mutation(
        fault="A viewer sends a message of 1 MiB",
        of="serve.MESSAGE_BYTES",
        replace="256 * 1024",
        by="16 * 1024 * 1024",
        fails="test_a_message_of_a_mebibyte_ends_its_socket",
    ),
    Mutation(
        fault="A viewer sends a message of 1 MiB: the close frame has the reason",
        of="Socket._fail_connection",
        replace="self.sendCloseFrame(code=code)",
        by="self.dropConnection(abort=True)",
        fails="test_a_message_of_a_mebibyte_ends_its_socket",
    ),
    Mutation(
        fault="A viewer sends bytes that are not WebSocket frames",
        of="Socket.dataReceived",
        replace="not self.failedByMe",
        by="True",
        fails="test_what_is_no_websocket_any_more_ends_it_and_nothing_after_is_kept",
    ),
    Mutation(
        fault="A client sends an Origin header that is not UTF-8",
        of="is_allowed",
        replace="headers[b'origin'].decode('latin-1')",
        by="headers[b'origin'].decode()",
        fails="test_what_is_no_utf_8_ends_its_socket_at_most",
    ),
    Mutation(
        fault="A web process is killed during an upload: its temporary files are deleted later",
        of="sweep",
        remove="path.unlink()",
        fails="test_what_a_killed_process_had_received_is_swept_when_it_is_old",
    ),
    Mutation(
        fault="A client disconnects when its upload is complete but not yet read",
        of="Body.reader.read",
        remove="not self._content.closed",
        fails="test_who_leaves_when_all_was_sent_harms_nobody",
    ),
    Mutation(
        fault="An upload arrives one byte at a time",
        of="Request.handleContentChunk",
        replace="self._left -= len(data)",
        by="self._left -= 1024 ** 2",
        fails="test_an_upload_that_comes_byte_by_byte_is_whole",
    ),
    Mutation(
        fault="The Content-Length of a body is too long",
        of="permit",
        replace="length is not None and length > max_bytes",
        by="False",
        fails="test_a_body_that_is_too_long_is_refused_before_it_is_sent",
    ),
    Mutation(
        fault="A body in chunks is too long",
        of="Request.handleContentChunk",
        replace="self._left < 0",
        by="False",
        fails="test_a_body_that_does_not_say_how_long_it_is_is_refused_when_it_is_too_long",
    ),
    Mutation(
        fault="Anonymous senders send large bodies",
        of="permit",
        replace="await is_signed_in(headers)",
        by="True",
        fails="test_twelve_anonymous_senders_of_90_mib_write_nothing_to_disk",
    ),
    Mutation(
        fault="A long body arrives too slowly",
        of="Pace._look",
        replace="self._received_bytes < RATE_BYTES * RATE_SECONDS",
        by="False",
        fails="test_a_long_body_that_comes_too_slowly_is_not_awaited",
    ),
    Mutation(
        fault="A short body never ends",
        of="Pace.__init__",
        replace="ANONYMOUS_SECONDS",
        by="3600.0",
        fails="test_a_short_body_that_does_not_end_is_not_awaited",
    ),
    Mutation(
        fault="One address opens 1,100 idle connections",
        of="Connections._has_room_for",
        replace="self._anonymous[address] < ADDRESS_CONNECTIONS or self._evict(address)",
        by="self._anonymous[address] < ADDRESS_CONNECTIONS",
        fails="test_1100_idle_connections_from_one_address_lock_nobody_out",
    ),
    Mutation(
        fault="Many addresses open idle connections",
        of="Connections._evict",
        remove="longest.transport.abortConnection()",
        fails="test_idle_connections_from_many_addresses_leave_room_for_signed_in_people",
    ),
    Mutation(
        fault="The soft limit of file descriptors is low",
        of="raise_descriptor_limit",
        remove="resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))",
        fails="test_the_soft_limit_of_descriptors_is_raised",
    ),
    Mutation(
        fault="A trusted proxy forwards many clients: each has its own limit",
        of="Channel._refusal",
        replace="addresses.is_trusted((host := getattr(peer, 'host', '')))",
        by="(host := '')",
        fails="test_behind_a_trusted_proxy_each_client_has_its_own_limit",
    ),
]
