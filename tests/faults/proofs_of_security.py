"""Who may do what, and who says where he comes from: each with its test, and the check it watches."""

from tests.faults.proof import Proof

RIGHTS = "tests/streaming/test_rights.py::"
WITHDRAWING = "tests/streaming/test_withdrawing.py::"
CONSUMERS = "tests/streaming/test_consumers.py::"

PROOFS: list[Proof] = [
    # Origins
    Proof(
        "origin: scheme and port",
        f"{CONSUMERS}test_a_page_of_another_site_is_refused",
        "streaming/origins.py",
        'origin == f"{scheme}://{host}" and',
        'origin.partition("://")[2] == host and',
    ),
    Proof(
        "origin: port",
        f"{CONSUMERS}test_a_page_of_another_site_is_refused",
        "streaming/origins.py",
        'origin == f"{scheme}://{host}" and',
        'origin.partition(":81")[0] == f"{scheme}://{host}" and',
    ),
    Proof(
        "origin: a trusted one",
        f"{CONSUMERS}test_a_trusted_origin_is_not_either",
        "streaming/origins.py",
        "return is_own or any(is_same(origin, trusted.lower()) for trusted in settings.CSRF_TRUSTED_ORIGINS)",
        "return bool(is_own)",
    ),
    Proof(
        "origin: http where people reach the site by https",
        "tests/test_https.py::test_refuses_a_socket_of_an_http_page_behind_tls",
        "streaming/origins.py",
        """ or is_https_only() else""",
        " else",
    ),
    Proof(
        "origin: forms of http pages where people reach the site by https",
        "tests/test_https.py::test_refuses_a_form_of_an_http_page_behind_tls",
        "transcribe_site/settings.py",
        '    "transcribe_site.middleware.SchemeMiddleware",\n',
        "",
    ),
    Proof(
        "origin: forms",
        "tests/streaming/test_views.py::test_a_form_of_another_site_does_nothing",
        "transcribe_site/settings.py",
        '    "transcribe_site.middleware.CsrfMiddleware",\n',
        "",
    ),
    Proof(
        "origin: a host that is not ours",
        f"{WITHDRAWING}test_a_host_that_is_not_ours_makes_no_origin_its_own",
        "streaming/origins.py",
        " and validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)",
        "",
    ),
    Proof(
        "origin: the scheme of a trusted one",
        f"{WITHDRAWING}test_what_only_resembles_a_trusted_origin_is_refused",
        "streaming/origins.py",
        "scheme == trusted_scheme and ",
        "",
    ),
    # Authorisation
    Proof(
        "authorisation: pages ask for a sign-in",
        "tests/test_people.py::test_every_page_asks_for_a_sign_in",
        "transcribe_site/settings.py",
        '    "transcribe_site.middleware.SignInMiddleware",\n',
        "",
    ),
    Proof(
        "authorisation at each later action: over HTTP",
        "tests/streaming/test_views.py::test_staff_who_may_only_look_change_nothing",
        "streaming/views.py",
        "if not jobs.may_change(request.user, found):",
        "if False:",
    ),
    Proof(
        "authorisation at subscribing",
        f"{CONSUMERS}test_nobody_sees_what_is_not_theirs",
        "streaming/consumers.py",
        "return Job.objects.visible_to(user).filter(pk=job_id).first()",
        "return Job.objects.filter(pk=job_id).first()",
    ),
    Proof(
        "authorisation at each later action",
        f"{CONSUMERS}test_staff_who_may_only_look_cannot_cancel",
        "streaming/consumers.py",
        "if to_change and not await in_thread(jobs.may_change)(user, job):",
        "if False:",
    ),
    Proof(
        "sign-out reaches open sockets",
        f"{RIGHTS}test_who_has_signed_out_gets_no_more",
        "streaming/feeds.py",
        "code = close_codes.NOT_SIGNED_IN",
        "continue",
    ),
    Proof(
        "sign-out and a new password reach open sockets at once",
        f"{RIGHTS}test_sockets_learn_at_once_of_a_sign_out_and_of_a_new_password",
        "streaming/feeds.py",
        "self._doubted.set()",
        "pass",
    ),
    Proof(
        "sign-out ends what is known of a session",
        f"{RIGHTS}test_an_answer_that_was_kept_for_those_who_join_together_ends_with_the_session",
        "streaming/feeds.py",
        "            forget_shared()\n            self._doubted.set()",
        "            self._doubted.set()",
    ),
    Proof(
        "withdrawn permission reaches open sockets",
        f"{RIGHTS}test_whose_right_is_taken_away_gets_no_more",
        "streaming/feeds.py",
        "code = close_codes.NOT_FOUND",
        "continue",
    ),
    Proof(
        "authorisation at each later action: who it is now",
        f"{WITHDRAWING}test_who_has_signed_out_does_nothing_more_over_an_open_socket",
        "streaming/consumers.py",
        "return await in_thread(current_user)(self.session_key)",
        "return await in_thread(User.objects.filter(pk=self._counted_for).first)()",
    ),
    Proof(
        "authorisation at each later action: a new snapshot",
        f"{WITHDRAWING}test_whose_permission_is_withdrawn_does_and_sees_nothing_more",
        "streaming/consumers.py",
        "job = await self._own_job(user, to_change=False)",
        "job = await Job.objects.aget(pk=self.job_id)",
    ),
    Proof(
        "authorisation at each later action: a start",
        f"{WITHDRAWING}test_whose_permission_to_start_is_withdrawn_starts_nothing_more",
        "streaming/consumers.py",
        "if not await in_thread(jobs.may_start)(user, upload):",
        "if False:",
    ),
    Proof(
        "other people's ids: recordings over a socket",
        f"{CONSUMERS}test_what_cannot_be_started_gets_an_error",
        "streaming/consumers.py",
        "return Upload.objects.visible_to(user).filter(pk=pk).first()",
        "return Upload.objects.filter(pk=pk).first()",
    ),
    Proof(
        "other people's ids: names over a socket",
        f"{CONSUMERS}test_a_bare_line_is_the_name_of_the_newest_recording_of_that_name",
        "streaming/consumers.py",
        "Upload.objects.filter(owner_id=user.pk, name=",
        "Upload.objects.filter(name=",
    ),
    Proof(
        "other people's ids: recordings",
        "tests/uploads/test_views.py::test_for_a_stranger_it_is_not_there",
        "uploads/models.py",
        "else self.filter(owner_id=user.pk)",
        "else self",
    ),
    Proof(
        "other people's ids: jobs",
        "tests/streaming/test_views.py::test_a_stranger_finds_nothing",
        "streaming/transitions.py",
        "return self.filter(owner_id=user.pk)",
        "return self",
    ),
    Proof(
        "other people's ids: jobs, by starting one",
        "tests/streaming/test_withdrawing.py::test_whose_permission_to_start_is_withdrawn_starts_nothing_more",
        "streaming/jobs.py",
        'needed = ("streaming.add_job", "streaming.view_job")',
        'needed = ("streaming.add_job",)',
    ),
    Proof(
        "other people's ids: staff",
        "tests/streaming/test_views.py::test_staff_without_the_permission_are_strangers",
        "streaming/transitions.py",
        'if user.is_staff and user.has_perm("streaming.view_job"):',
        "if user.is_staff:",
    ),
    # Starts
    Proof(
        "start is idempotent",
        "tests/streaming/test_starting.py::test_the_same_request_is_answered_with_the_same_job",
        "streaming/jobs.py",
        "same = mine.first() if request_id is not None else None",
        "same = None",
    ),
    Proof(
        "start is idempotent: two tabs at once",
        "tests/streaming/test_two_tabs.py::test_tabs_that_start_at_the_same_moment_get_the_same_job",
        "streaming/jobs.py",
        "same = mine.first() if request_id is not None else None",
        "same = None",
    ),
    Proof(
        "start is idempotent: over a socket",
        "tests/streaming/test_two_tabs.py::test_a_start_that_is_sent_again_over_another_socket_is_the_same_job",
        "streaming/consumers.py",
        "**wanted, request_id=request_id)",
        "**wanted)",
    ),
    # Forwarded headers
    Proof(
        "forwarded headers: the server's own",
        "tests/test_server.py::test_no_header_of_a_client_moves_the_site",
        "transcribe_site/http.py",
        'self.requestHeaders.removeHeader(b"daphne-root-path")',
        "pass",
    ),
    Proof(
        "forwarded headers: those of proxies",
        "tests/test_server.py::test_no_header_of_a_client_moves_the_site",
        "transcribe_site/settings.py",
        "USE_TZ = True\n",
        "USE_TZ = USE_X_FORWARDED_HOST = True\n",
    ),
    # Logs
    Proof(
        "no transcript in a log",
        "tests/streaming/test_logs.py::test_no_line_has_the_words_of_a_transcript",
        "streaming/logs.py",
        'return DETAIL.sub("DETAIL: (withheld)", text)',
        "return text",
    ),
]
