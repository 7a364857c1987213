"""Hostile files: the decoder opens no other file or address that a file names, and trusts no declared length."""

import http.server
import shutil
import struct
import threading
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from tests import recordings
from tests.uploads.decoder.test_audio_track import RATE, samples_of
from uploads.decoder.audio_track import Recording
from uploads.decoder.demux import Refused
from uploads.decoder.resampling import pcm


class Bait(http.server.BaseHTTPRequestHandler):
    """Serves a recording, and records the requested paths."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = recordings.encode(recordings.speech(), "aac").read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def bait() -> Iterator[tuple[str, list[str]]]:
    """The address of a recording on a server, and a list of the paths that were requested there."""
    asked: list[str] = []
    handler = type("Handler", (Bait,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/bait.aac", asked
        server.shutdown()
        thread.join()


def hls(address: str) -> str:
    return f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{address}\n#EXT-X-ENDLIST\n"


def concat(address: str) -> str:
    return f"ffconcat version 1.0\nfile '{address}'\n"


def sdp(address: str) -> str:
    return "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"


def dash(address: str) -> str:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT10S">'
        f'<Period><AdaptationSet mimeType="audio/aac"><Representation id="1"><BaseURL>{address}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>"
    )


def test_unrestricted_ffmpeg_opens_the_address_in_the_hostile_file(bait: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = bait
    path = tmp_path / "list.m3u8"
    path.write_text(hls(address))
    with av.open(str(path), options={"protocol_whitelist": "file,http,tcp", "allowed_extensions": "ALL"}) as seen:
        assert seen.format.name == "hls"
    assert asked


@pytest.mark.parametrize("playlist", [hls, concat, sdp, dash])
@pytest.mark.parametrize("name", ["list.m3u8", "list", "list.wav"])
def test_a_decoder_requests_no_address_that_a_file_names(
    playlist: Callable[[str], str], name: str, bait: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = bait
    path = tmp_path / name
    path.write_text(playlist(address))
    with pytest.raises(Refused, match="We couldn't read"):
        Recording(str(path))
    assert asked == []


@pytest.mark.parametrize("playlist", [hls, concat])
def test_a_decoder_opens_no_other_file_that_a_file_names(playlist: Callable[[str], str], tmp_path: Path) -> None:
    shutil.copy(recordings.encode(recordings.speech(), "aac"), tmp_path / "secret.aac")
    path = tmp_path / "list"
    path.write_text(playlist("secret.aac"))
    options = {"allowed_extensions": "ALL", "safe": "0"}
    with av.open(str(path), format=playlist.__name__, options=options) as seen:
        assert seen.streams.audio[0].codec_context.name == "aac"  # PyAV's default opens the other file
    with pytest.raises(Refused, match="We couldn't read"):
        Recording(str(path))


def test_a_decoder_uses_no_demuxer_that_is_not_listed(tmp_path: Path) -> None:
    path = tmp_path / "sound"
    with av.open(str(recordings.tone(1.0))) as reader, av.open(str(path), "w", format="nut") as writer:
        stream = writer.add_stream_from_template(reader.streams.audio[0])
        for packet in reader.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                writer.mux(packet)
    with av.open(str(path)) as seen:
        assert len(seen.streams.audio) == 1  # PyAV's default uses the demuxer
    with pytest.raises(Refused):
        Recording(str(path))


def test_a_decoder_opens_no_video_codec() -> None:
    path = recordings.encode(recordings.tone(1.0), "mp4")
    with av.open(str(path)) as seen:
        assert seen.streams.video[0].codec_context.pix_fmt == "yuv420p"  # PyAV's default opens the video codec
    recording = Recording(str(path))
    assert recording.container.streams.video[0].codec_context.pix_fmt is None
    assert sum(map(len, pcm(recording, RATE, 1))) == pytest.approx(2 * RATE, rel=0.1)


def test_a_wav_that_declares_more_than_memory_is_decoded_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "boast.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(2 * RATE))
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(content)
    assert len(samples_of(path)) == RATE
