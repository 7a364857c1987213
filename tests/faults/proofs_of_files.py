"""What strangers' files and names must not do: each with its test, and the check it watches."""

from tests.faults.proof import Proof

SOUND = "tests/uploads/test_sound.py::"
MEDIA = "tests/uploads/test_media.py::"

PROOFS: list[Proof] = [
    # Media
    Proof(
        "media ranges with authorisation",
        f"{MEDIA}test_staff_with_the_permission_hear_it_and_strangers_do_not",
        "uploads/views.py",
        "    upload = _visible(request, pk)\n    try:\n        return media",
        "    upload = get_object_or_404(Upload, pk=pk)\n    try:\n        return media",
    ),
    Proof(
        "media: a browser takes it for nothing else",
        f"{MEDIA}test_the_whole_is_what_was_sent",
        "uploads/media.py",
        '    response["X-Content-Type-Options"] = "nosniff"\n    response["Content-Security-Policy"] = '
        "\"sandbox; default-src 'none'\"\n",
        "",
    ),
    Proof(
        "names as text: in headers",
        f"{MEDIA}test_a_download_keeps_its_name_and_no_name_makes_a_header",
        "uploads/media.py",
        'content_disposition_header("download" in request.GET, name) or "inline"',
        "f'attachment; filename=\"{name}\"'",
    ),
    Proof(
        "media: no other site shows it",
        f"{MEDIA}test_the_whole_is_what_was_sent",
        "uploads/media.py",
        '    response["Cross-Origin-Resource-Policy"] = "same-origin"\n',
        "",
    ),
    Proof(
        "media: the type is what decoding found",
        f"{MEDIA}test_the_type_is_what_decoding_found",
        "uploads/media.py",
        "kinds.content_type(upload.container)",
        '"text/html"',
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
        "names as text: on the live page",
        "tests/browser/test_marks.py::test_what_is_said_can_not_mark_up_the_page",
        "static/js/segment.js",
        "node.textContent = text;",
        "node.innerHTML = text;",
    ),
    Proof(
        "names as text: in WebVTT",
        "tests/streaming/test_exports.py::test_hostile_words_stay_words",
        "streaming/exports.py",
        'said = html.escape("\\n".join(cue.lines), quote=False)',
        'said = "\\n".join(cue.lines)',
    ),
    Proof(
        "names as text: in SRT",
        "tests/streaming/test_exports.py::test_hostile_names_of_speakers_stay_names",
        "streaming/exports.py",
        'text.replace("-->", "→")',
        "text",
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
        "SSRF of av.open: a name, and every protocol",
        "tests/uploads/test_tricks.py::test_asks_no_address_that_a_file_names",
        "uploads/demux.py",
        'return av.open("fd:", options=options, metadata_errors="replace")',
        'return av.open(os.readlink(f"/proc/self/fd/{descriptor}"), options={"protocol_whitelist": "file,http,tcp", '
        '"allowed_extensions": "ALL"})',
    ),
    Proof(
        "SSRF of av.open: other files",
        "tests/uploads/test_tricks.py::test_opens_no_other_file_that_a_file_names",
        "uploads/demux.py",
        'return av.open("fd:", options=options, metadata_errors="replace")',
        'return av.open(os.readlink(f"/proc/self/fd/{descriptor}"), options={"safe": "0", '
        '"allowed_extensions": "ALL"})',
    ),
    Proof(
        "SSRF: playlists",
        "tests/uploads/test_tricks.py::test_tries_no_demuxer_that_is_not_listed",
        "uploads/demux.py",
        '        "format_whitelist": DEMUXERS,\n',
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
        "tests/uploads/test_tricks.py::test_opens_no_decoder_of_pictures",
        "uploads/demux.py",
        '        "codec_whitelist": ",".join(sound_decoders()),  # a decoder of pictures is never opened\n',
        "",
    ),
]
