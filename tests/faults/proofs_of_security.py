"""What must not be possible, from origins to decoders: each with its test, and the check it watches."""

from tests.faults.proof import Proof

WITHDRAWING = "tests/streaming/test_withdrawing.py::"
CONSUMERS = "tests/streaming/test_consumers.py::"
SOUND = "tests/uploads/test_sound.py::"

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
        "origin: forms",
        "tests/streaming/test_views.py::test_a_form_of_another_site_does_nothing",
        "transcribe_site/settings.py",
        '    "django.middleware.csrf.CsrfViewMiddleware",\n',
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
        f"{CONSUMERS}test_who_has_signed_out_gets_no_more",
        "streaming/consumers.py",
        "            await self.close(NOT_SIGNED_IN)\n        elif await",
        "            return True\n        elif await",
    ),
    Proof(
        "withdrawn permission reaches open sockets",
        f"{CONSUMERS}test_whose_right_is_taken_away_gets_no_more",
        "streaming/consumers.py",
        "elif await in_thread(visible_job)(user, job_id) is None:",
        "elif False:",
    ),
    Proof(
        "authorisation at each later action: who it is now",
        f"{WITHDRAWING}test_who_has_signed_out_does_nothing_more_over_an_open_socket",
        "streaming/consumers.py",
        'return await in_thread(current_user)(self.scope["session"].session_key)',
        "self.known = getattr(self, 'known', None) or await in_thread(current_user)("
        'self.scope["session"].session_key)\n        return self.known',
    ),
    Proof(
        "authorisation at each later action: a new snapshot",
        f"{WITHDRAWING}test_whose_permission_is_withdrawn_does_and_sees_nothing_more",
        "streaming/consumers.py",
        "                await self._own_job(user, to_change=False)\n",
        "",
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
        "return self.filter(owner_id=user.pk)",
        "return self",
    ),
    Proof(
        "other people's ids: jobs",
        "tests/streaming/test_views.py::test_a_stranger_finds_nothing",
        "streaming/models.py",
        "return self.filter(owner_id=user.pk)",
        "return self",
    ),
    Proof(
        "other people's ids: staff",
        "tests/streaming/test_views.py::test_staff_without_the_permission_are_strangers",
        "streaming/models.py",
        'if user.is_staff and user.has_perm("streaming.view_job"):',
        "if user.is_staff:",
    ),
    Proof(
        "media ranges with authorisation",
        "tests/uploads/test_media.py::test_staff_with_the_permission_hear_it_and_strangers_do_not",
        "uploads/views.py",
        "    upload = _visible(request, pk)\n    try:\n        return media",
        "    upload = get_object_or_404(Upload, pk=pk)\n    try:\n        return media",
    ),
    Proof(
        "media: a browser takes it for nothing else",
        "tests/uploads/test_media.py::test_the_whole_is_what_was_sent",
        "uploads/media.py",
        '    response["X-Content-Type-Options"] = "nosniff"\n    response["Content-Security-Policy"] = '
        "\"sandbox; default-src 'none'\"\n",
        "",
    ),
    Proof(
        "names as text: in headers",
        "tests/uploads/test_media.py::test_a_download_keeps_its_name_and_no_name_makes_a_header",
        "uploads/media.py",
        'content_disposition_header("download" in request.GET, upload.name) or "inline"',
        "f'attachment; filename=\"{upload.name}\"'",
    ),
    # Starts
    Proof(
        "start is idempotent",
        "tests/streaming/test_job_views.py::test_the_same_request_is_answered_with_the_same_job",
        "streaming/jobs.py",
        "same = mine.first() if request_id is not None else None",
        "same = None",
    ),
    # Logs
    Proof(
        "no transcript in a log",
        "tests/streaming/test_logs.py::test_no_line_has_the_words_of_a_transcript",
        "streaming/logs.py",
        'return DETAIL.sub("DETAIL: (withheld)", text)',
        "return text",
    ),
    # Names
    Proof(
        "names as text: in pages",
        "tests/streaming/test_job_views.py::test_what_was_said_and_named_is_shown_as_text",
        "templates/streaming/job.html",
        "<h1>{{ upload.name }}</h1>",
        "<h1>{{ upload.name|safe }}</h1>",
    ),
    Proof(
        "names as text: speakers in pages",
        "tests/streaming/test_job_views.py::test_what_was_said_and_named_is_shown_as_text",
        "templates/streaming/job.html",
        '<b class="speaker">{{ voice }}</b>',
        '<b class="speaker">{{ voice|safe }}</b>',
    ),
    Proof(
        "names as text: in WebVTT",
        "tests/streaming/test_exports.py::test_hostile_words_stay_words",
        "streaming/exports.py",
        "said = html.escape(two_lines(cue.text), quote=False)",
        "said = two_lines(cue.text)",
    ),
    Proof(
        "names as text: in SRT",
        "tests/streaming/test_exports.py::test_hostile_names_of_speakers_stay_names",
        "streaming/exports.py",
        'said.replace("-->", "→")',
        "said",
    ),
    Proof(
        "names as text: nothing that deceives",
        "tests/uploads/test_names.py::test_keeps_what_a_file_is_called_and_nothing_that_deceives",
        "uploads/names.py",
        "if letter in BIDI_CONTROLS or letter in LINE_ENDS:",
        "if letter in LINE_ENDS:",
    ),
    Proof(
        "names are never paths",
        "tests/uploads/test_recordings.py::test_no_name_leads_out_of_the_folder",
        "uploads/models.py",
        'return f"uploads/{upload.id.hex[:2]}/{upload.id}"',
        'return f"uploads/{upload.id.hex[:2]}/{upload.id}-{_name}"',
    ),
    # Decoders
    Proof(
        "SSRF: playlists",
        f"{SOUND}test_tries_no_demuxer_that_is_not_listed",
        "uploads/sound.py",
        '            "format_whitelist": DEMUXERS,\n',
        "",
    ),
    Proof(
        "decoder bomb: at the upload",
        "tests/uploads/test_recordings.py::test_refuses_what_is_too_long",
        "uploads/recordings.py",
        "if found.duration > settings.MAX_AUDIO_SECONDS:",
        "if False:",
    ),
    Proof(
        "decoder bomb: at the decoding",
        "tests/uploads/test_decoder.py::test_pcm_stops_at_the_longest_that_is_allowed",
        "uploads/decoder.py",
        "min(len(waiting) // frame_bytes, max_seconds * rate - report.samples)",
        "len(waiting) // frame_bytes",
    ),
    Proof(
        "decoder bomb: bytes that a size did not tell",
        "tests/uploads/test_recordings.py::test_does_not_believe_a_size",
        "uploads/recordings.py",
        "if size > settings.MAX_UPLOAD_BYTES:",
        "if False:",
    ),
    Proof(
        "decoder in a limited process: its limits",
        "tests/uploads/test_decoder.py::test_limits_itself",
        "uploads/decoder.py",
        "resource.setrlimit(getattr(resource",
        "print(getattr(resource",
    ),
    Proof(
        "decoder in a limited process: its secrets",
        "tests/uploads/test_decoding.py::test_a_decoder_gets_none_of_our_secrets",
        "uploads/decoding.py",
        "for name in ENVIRONMENT if name in os.environ}",
        "for name in os.environ}",
    ),
    Proof(
        "decoder in a limited process: its parent's end",
        "tests/uploads/test_decoder.py::test_ends_with_its_parent",
        "uploads/decoder.py",
        "    die_with(given.parent)\n",
        "",
    ),
    Proof(
        "decoder in a limited process: one that hangs",
        "tests/uploads/test_decoding.py::test_a_decoder_that_hangs_is_an_error",
        "uploads/decoding.py",
        "asyncio.timeout(STALL_SECONDS)",
        "asyncio.timeout(None)",
    ),
    Proof(
        "decoder in a limited process: no decoder of pictures",
        f"{SOUND}test_opens_no_decoder_of_pictures",
        "uploads/sound.py",
        '            "codec_whitelist": ",".join(sound_decoders()),  # a decoder of pictures is never opened\n',
        "",
    ),
]
