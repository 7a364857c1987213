"""AWS's SDK for JavaScript against the stand-in: it receives every word, every option and the right error class.

The SDK differs from ours in three ways: it signs `:authority` instead of `host`, sends a graceful GOAWAY once the
answer has begun, and sends an empty audio event if a program ends its audio in that way.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.interop.conftest import RunJavaScript
from tests.standin import Fault, Habits, Service
from tests.standin.conftest import speech
from tests.standin.model import LANGUAGES

Outcome = dict[str, Any]
NUMBERS = range(1, 21)
IDENTIFY = {"LanguageCode": None, "LanguageOptions": "en-US,de-DE"}


@pytest.fixture
def pcm(tmp_path: Path) -> Path:
    """Ten seconds of mono."""
    path = tmp_path / "mono.pcm"
    path.write_bytes(speech(*NUMBERS))
    return path


def job(pcm: Path, service: Service, *, channels: int = 1, config: dict[str, Any] | None = None, **options: Any) -> Any:
    known = {"LanguageCode": "en-US", "MediaEncoding": "pcm", "MediaSampleRateHertz": 16_000}
    return {
        "options": {name: value for name, value in (known | options).items() if value is not None},
        "pcm": str(pcm),
        "chunkBytes": 3200,
        "bytesPerSecond": 32_000 * channels * service.rate,
        "config": config or {},
    }


def results(outcome: Outcome) -> list[dict[str, Any]]:
    assert "error" not in outcome, outcome["error"]
    return [
        result for event in outcome["events"] for result in event["TranscriptEvent"]["Transcript"].get("Results") or []
    ]


def finals(outcome: Outcome) -> list[dict[str, Any]]:
    return [result for result in results(outcome) if not result["IsPartial"]]


def items(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the words of all finals, without punctuation."""
    return [
        item
        for final in finals(outcome)
        for item in final["Alternatives"][0]["Items"]
        if item["Type"] == "pronunciation"
    ]


def words(outcome: Outcome) -> list[str]:
    return [item["Content"] for item in items(outcome)]


SAID = [f"w{number}" for number in NUMBERS]


async def test_every_word_arrives_with_its_time(service: Service, javascript: RunJavaScript, pcm: Path) -> None:
    (outcome,) = await javascript(service, [job(pcm, service)])
    assert [(item["Content"], item["StartTime"], item["EndTime"]) for item in items(outcome)] == [
        (word, place / 2, place / 2 + 0.5) for place, word in enumerate(SAID)
    ]
    assert (
        " ".join(final["Alternatives"][0]["Transcript"] for final in finals(outcome)).replace(".", "").split() == SAID
    )
    (record,) = service.requests
    assert outcome["answer"]["SessionId"] == record.session_id
    assert outcome["answer"]["RequestId"]
    assert (record.end, record.exception, record.audio_seconds) == ("end_stream", "", 10.0)
    # The differences of this client; without them the test would prove nothing.
    assert "SignedHeaders=:authority;" in record.headers["authorization"]
    assert record.has_client_goaway


@pytest.mark.parametrize("at", [0.0, 4.0, math.inf])
@pytest.mark.parametrize("kind", ["drain", "drain_twice"])
async def test_a_graceful_goaway_loses_no_word(
    service: Service, javascript: RunJavaScript, pcm: Path, kind: str, at: float
) -> None:
    service.faults = [Fault(kind, at=at)]
    (outcome,) = await javascript(service, [job(pcm, service)])
    assert words(outcome) == SAID
    assert [record.end for record in service.requests] == ["end_stream"]


async def test_an_empty_audio_event_before_the_end_loses_no_word(
    service: Service, javascript: RunJavaScript, pcm: Path
) -> None:
    (outcome,) = await javascript(service, [job(pcm, service) | {"emptyEvent": True}])
    assert (words(outcome), service.requests[0].end) == (SAID, "end_stream")


async def test_reads_the_forms_of_results_that_published_samples_show(javascript: RunJavaScript, pcm: Path) -> None:
    async with Service(rate=20, habits=Habits(True, True, 0.15)) as service:
        (outcome,) = await javascript(service, [job(pcm, service)])
    assert words(outcome) == SAID
    assert {result["ChannelId"] for result in results(outcome)} == {"ch_0"}


async def test_starts_a_stream_in_every_language(service: Service, javascript: RunJavaScript, tmp_path: Path) -> None:
    languages = await javascript(service, "languages")
    assert (len(languages), frozenset(languages)) == (99, LANGUAGES)
    short = tmp_path / "short.pcm"
    short.write_bytes(speech(7))
    outcomes = await javascript(service, [job(short, service, LanguageCode=code) for code in languages])
    assert [(outcome["answer"]["LanguageCode"], words(outcome)) for outcome in outcomes] == [
        (code, ["w7"]) for code in languages
    ]


async def test_the_javascript_sdk_reads_every_option_back(
    service: Service, javascript: RunJavaScript, pcm: Path, tmp_path: Path
) -> None:
    stereo = tmp_path / "stereo.pcm"
    left, right = (np.frombuffer(speech(*numbers), "<i2") for numbers in (range(1, 11), range(101, 111)))
    stereo.write_bytes(np.column_stack((left, right)).tobytes())
    speakers, channels, language, languages, identified, redacted, filtered, stable, spoken = await javascript(
        service,
        [
            job(pcm, service, ShowSpeakerLabel=True),
            job(stereo, service, channels=2, EnableChannelIdentification=True, NumberOfChannels=2),
            job(pcm, service, IdentifyLanguage=True, PreferredLanguage="de-DE", **IDENTIFY),
            job(pcm, service, IdentifyMultipleLanguages=True, **IDENTIFY),
            job(pcm, service, ContentIdentificationType="PII", PiiEntityTypes="NAME,PASSPORT_NUMBER"),
            job(pcm, service, ContentRedactionType="PII"),
            job(pcm, service, VocabularyFilterName="rude", VocabularyFilterMethod="tag"),
            job(pcm, service, EnablePartialResultsStabilization=True, PartialResultsStability="high"),
            job(pcm, service, TranscriptFormat="spoken", SessionResumeWindow=5),
        ],
    )
    assert [(item["Content"], item["Speaker"]) for item in items(speakers)] == [
        (f"w{number}", str(number // 5 % 2)) for number in NUMBERS
    ]
    by_channel = {
        name: [
            item["Content"]
            for final in finals(channels)
            if final["ChannelId"] == name
            for item in final["Alternatives"][0]["Items"]
            if item["Type"] == "pronunciation"
        ]
        for name in ("ch_0", "ch_1")
    }
    assert by_channel == {
        "ch_0": [f"w{number}" for number in range(1, 11)],
        "ch_1": [f"w{number}" for number in range(101, 111)],
    }
    assert channels["answer"]["NumberOfChannels"] == 2
    assert {final["LanguageCode"] for final in finals(language)} == {"de-DE"}
    assert finals(language)[0]["LanguageIdentification"] == [
        {"LanguageCode": "de-DE", "Score": 0.9},
        {"LanguageCode": "en-US", "Score": 0.1},
    ]
    assert {final["LanguageCode"] for final in finals(languages)} == {"en-US", "de-DE"}
    assert words(language) == words(languages) == words(identified) == words(stable) == words(spoken) == SAID
    entities = [entity for final in finals(identified) for entity in final["Alternatives"][0]["Entities"]]
    assert [(entity["Content"], entity["Category"], entity["Type"]) for entity in entities] == [
        (word, "PII", "NAME") for word in ("w7", "w14")
    ]
    assert words(redacted) == ["[PII]" if number % 7 == 0 else f"w{number}" for number in NUMBERS]
    assert [item["Content"] for item in items(filtered) if item["VocabularyFilterMatch"]] == ["w11"]
    assert all(item["Stable"] for item in items(stable))
    assert (spoken["answer"]["TranscriptFormat"], spoken["answer"]["SessionResumeWindow"]) == ("spoken", 5)


@pytest.mark.parametrize(
    ("credentials", "key", "expected"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, {}, "UnrecognizedClientException"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, {}, "InvalidSignatureException"),
        ({"AWS_SESSION_TOKEN": "unknown"}, {}, "UnrecognizedClientException"),
        ({}, {"is_expired": True}, "ExpiredTokenException"),
        ({}, {"may_transcribe": False}, "AccessDeniedException"),
    ],
)
async def test_a_refused_key_becomes_the_sdks_error(
    service: Service,
    javascript: RunJavaScript,
    pcm: Path,
    credentials: dict[str, str],
    key: dict[str, bool],
    expected: str,
) -> None:
    for each in service.keys.values():
        vars(each).update(key)
    (outcome,) = await javascript(service, [job(pcm, service)], **credentials)
    assert (outcome["error"]["name"], outcome["error"]["status"]) == (expected, 403)
    assert outcome["error"]["message"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"LanguageCode": "tlh-QX"}, "'tlh-QX' at 'languageCode'"),
        ({"EnableChannelIdentification": True, "NumberOfChannels": 1}, "'1' at 'numberOfChannels'"),
        ({"LanguageCode": None}, "exactly one"),
        ({"IdentifyLanguage": True}, "exactly one"),
        ({"VocabularyName": "missing-terms"}, "couldn't be found"),
        ({"SessionId": "mine"}, "UUID"),
    ],
)
async def test_a_bad_option_becomes_a_bad_request(
    service: Service, javascript: RunJavaScript, pcm: Path, options: dict[str, Any], said: str
) -> None:
    (outcome,) = await javascript(service, [job(pcm, service, **options)])
    error = outcome["error"]
    assert (error["name"], error["status"], error["isModelled"]) == ("BadRequestException", 400, True)
    assert said in error["message"]


MODELLED = {
    "BadRequestException": 400,
    "ConflictException": 409,
    "LimitExceededException": 429,
    "InternalFailureException": 500,
    "ServiceUnavailableException": 503,
}


@pytest.mark.parametrize("form", ["{name}:", "com.amazon.coral.service#{name}:http://internal.amazon.com/coral/", ""])
async def test_every_exception_response_becomes_the_sdks_class(javascript: RunJavaScript, pcm: Path, form: str) -> None:
    async with Service(rate=20, error_type=form) as service:
        for name, status in MODELLED.items():
            service.faults = [Fault(f"refuse:{name}", message="Oh.")]
            (outcome,) = await javascript(service, [job(pcm, service)])
            assert outcome["error"] == {"name": name, "message": "Oh.", "status": status, "isModelled": True}


async def test_every_exception_mid_stream_becomes_the_sdks_class(
    service: Service, javascript: RunJavaScript, pcm: Path
) -> None:
    for name in MODELLED:
        service.faults = [Fault(f"exception:{name}", at=3.0, message="Oh.")]
        (outcome,) = await javascript(service, [job(pcm, service)])
        assert (outcome["error"]["name"], outcome["error"]["isModelled"]) == (name, True)
        partials = [
            event["TranscriptEvent"]["Transcript"]["Results"][0]["Alternatives"][0]["Transcript"]
            for event in outcome["events"]
        ]
        assert partials[-1] == "w5 w6"  # the results before it are not lost


async def test_a_client_corrects_its_clock_by_the_date_of_a_refusal(javascript: RunJavaScript, pcm: Path) -> None:
    async with Service(rate=1) as service:
        offset_ms = -3_600_000
        late = job(pcm, service, config={"systemClockOffset": offset_ms}) | {"times": 2, "bytesPerSecond": 1e9}
        late["chunkBytes"] = 32_000
        first, second = await javascript(service, [late])
    assert (first["error"]["name"], first["error"]["status"]) == ("InvalidSignatureException", 403)
    assert "Signature expired" in first["error"]["message"]
    assert service.requests[1].end == "end_stream", second
    assert words(second) == SAID


async def test_more_streams_than_the_quota_become_limit_exceeded(javascript: RunJavaScript, pcm: Path) -> None:
    async with Service(rate=5, quota=1) as service:
        outcomes = await javascript(service, [job(pcm, service), job(pcm, service)])
    served, refused = sorted(outcomes, key=lambda outcome: "error" in outcome)
    assert words(served) == SAID
    assert (refused["error"]["name"], refused["error"]["status"]) == ("LimitExceededException", 429)
