"""The network to Amazon Transcribe: endpoints, connections and proxies."""

from tests.mutations.mutation import Mutation

MUTATIONS = [
    Mutation(
        fault="One of the service's addresses does not answer",
        of="network.connect",
        remove="happy_eyeballs_delay=NEXT_ADDRESS_SECONDS",
        fails="test_engine_connects_to_the_next_address_if_one_does_not_answer",
    ),
    Mutation(
        fault="The connection to the service is cut",
        of="Connection.connection_lost",
        remove="""self.fail(
    StreamInterrupted(f'the connection was cut ({reason})' if reason else 'the connection was closed'))""",
        fails="test_engine_notices_a_cut_connection_at_once",
    ),
    Mutation(
        fault="The connection to the service is cut within a frame",
        of="Connection.chunks",
        remove="""if self._error is not None:
    raise self._error""",
        fails="test_engine_notices_an_answer_cut_within_a_frame_at_once",
    ),
    Mutation(
        fault="The connection to the service goes silent",
        of="Connection._check_liveness",
        replace="self._pinged_at is not None and now - self._pinged_at >= PING_SECONDS",
        by="False",
        fails="test_engine_notices_a_half_open_connection_by_its_silence",
    ),
    Mutation(
        fault="The network to the service is slow",
        of="Stream.send",
        remove="await self._connection.wait_for_room(most_unsent_bytes, seconds)",
        fails="test_a_slow_network_applies_back_pressure_to_the_audio",
    ),
    Mutation(
        fault="The network to the service passes one byte at a time",
        of="Connection._handle_event",
        remove="self._h2.acknowledge_received_data(event.flow_controlled_length, STREAM_ID)",
        fails="test_answers_that_arrive_byte_by_byte_lose_no_word",
    ),
    Mutation(
        fault="A proxy asks for a password (407)",
        of="network._check",
        replace="status == '407'",
        by="False",
        fails="test_a_refused_proxy_password_is_not_shown_in_the_error",
    ),
    Mutation(
        fault="A region of the European Sovereign Cloud or of an isolated partition is used",
        of="account.endpoint",
        replace="found['hostname'] if found else f'{SERVICE}.{region}.amazonaws.com'",
        by="f'{SERVICE}.{region}.amazonaws.com'",
        fails="test_endpoint_has_the_suffix_of_its_partition",
    ),
    Mutation(
        fault="A region that AWS's list does not have yet is used",
        of="account.endpoint",
        replace="found['hostname'] if found else f'{SERVICE}.{region}.amazonaws.com'",
        by="found['hostname']",
        fails="test_endpoint_has_the_suffix_of_its_partition",
    ),
    Mutation(
        fault="The environment asks for a FIPS endpoint",
        of="account.endpoint",
        remove="'use_fips_endpoint'",
        fails="test_environment_variables_select_an_endpoint_variant",
    ),
    Mutation(
        fault="The environment asks for a dual-stack endpoint",
        of="account.endpoint",
        remove="'use_dualstack_endpoint'",
        fails="test_environment_variables_select_an_endpoint_variant",
    ),
    Mutation(
        fault="The region's partition has no FIPS or dual-stack endpoint",
        of="account.endpoint",
        replace="not found and any(wanted.values())",
        by="False",
        fails="test_a_missing_endpoint_variant_is_an_error_with_advice",
    ),
    Mutation(
        fault="The environment names a proxy",
        of="network.connect",
        replace="_proxy_of(endpoint)",
        by="''",
        fails="test_audio_goes_through_the_proxy_that_the_environment_names",
    ),
    Mutation(
        fault="NO_PROXY names the host of the service",
        of="_proxy_of",
        replace="get_environ_proxies(endpoint)",
        by="__import__('urllib.request').request.getproxies()",
        fails="test_engine_bypasses_the_proxy_for_hosts_in_no_proxy",
    ),
    Mutation(
        fault="The proxy's address has a name and a password",
        of="_request_for",
        remove="lines.append(f'Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}')",
        fails="test_a_proxy_receives_the_user_name_and_password_of_its_address",
    ),
    Mutation(
        fault="The proxy's address has percent-encoded characters in its password",
        of="_request_for",
        replace="unquote(proxy.password or '')",
        by="proxy.password or ''",
        fails="test_a_proxy_receives_the_user_name_and_password_of_its_address",
    ),
    Mutation(
        fault="The proxy speaks TLS",
        of="_connect_through_proxy",
        replace="parts.scheme == 'https'",
        by="False",
        fails="test_engine_uses_a_proxy_over_tls",
    ),
    Mutation(
        fault="An error names a proxy: its password is not shown",
        of="_connect_through_proxy",
        replace="parts.netloc.rpartition('@')[2]",
        by="parts.netloc",
        fails="test_a_refused_proxy_password_is_not_shown_in_the_error",
    ),
    Mutation(
        fault="The proxy refuses the connection",
        of="network._check",
        replace="not status.startswith('2')",
        by="False",
        fails="test_an_error_of_the_proxy_is_reported[403]",
    ),
]
