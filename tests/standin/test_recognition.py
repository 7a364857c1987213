"""The stand-in's recognition: it reads numbers from any first sample on, and results contain the requested fields."""

import asyncio
import json
import wave
from typing import Any

import numpy as np
import pytest

from tests import recordings
from tests.standin.client import options
from tests.standin.conftest import speech
from tests.standin.recognition import LocalRecognition, NumberReader, NumberRecognition, Segment
from tests.standin.requests import parse
from tests.standin.results import USUAL, Habits, Writer


def read(pcm: bytes, rate: int = 16_000, step: int = 1600) -> tuple[list[tuple[int, float, float]], int]:
    """Return the words that a reader recognises in chunks of `step` samples, and its number of fragments."""
    reader = NumberReader(rate)
    samples = np.frombuffer(pcm, "<i2")
    words = []
    for place in range(0, len(samples), step):
        words += reader.read(samples[place : place + step])
    words += reader.read(samples[:0], is_end=True)
    return [(number, round(start, 4), round(end, 4)) for number, start, end in words], reader.fragments


def recognise(
    pcm: bytes, words_per_final: int = 4, seed: str = "", habits: Habits = USUAL, **values: Any
) -> list[dict[str, Any]]:
    """Return all results for an audio."""
    request = parse(options(**values))
    writer = Writer(request, habits)
    payloads: list[bytes | None] = []
    recognition = NumberRecognition(
        request, lambda segment: payloads.append(writer.event(segment)), [], words_per_final, seed
    )
    for place in range(0, len(pcm), 3200):
        recognition.add_audio(pcm[place : place + 3200])
    asyncio.run(recognition.finish())
    return [result for payload in payloads if payload for result in json.loads(payload)["Transcript"]["Results"]]


def finals(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [result for result in results if not result["IsPartial"]]


def texts(results: list[dict[str, Any]]) -> list[str]:
    return [result["Alternatives"][0]["Transcript"] for result in results]


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 48_000])
@pytest.mark.parametrize("step", [160, 1600, 7919])
def test_recognition_reads_numbers_and_silence(rate: int, step: int) -> None:
    words, fragments = read(speech(1, None, 65535, 0, sample_rate=rate), rate, step)
    assert [(number, round(start, 2), round(end, 2)) for number, start, end in words] == [
        (1, 0.0, 0.5),
        (65535, 1.0, 1.5),
        (0, 1.5, 2.0),
    ]
    assert fragments == 0


@pytest.mark.parametrize("cut", [1, 100, 159])
def test_a_word_cut_by_a_few_samples_is_recognised(cut: int) -> None:
    words, fragments = read(speech(5, 6)[2 * cut :])
    moved = round(cut / 16_000, 4)
    assert words == [(5, 0.0, pytest.approx(0.5 - moved)), (6, pytest.approx(0.5 - moved), pytest.approx(1 - moved))]
    assert fragments == 0


@pytest.mark.parametrize("cut", range(160, 5120, 173))
def test_a_cut_word_is_a_fragment_and_no_number(cut: int) -> None:
    pcm = speech(0b1010101010101010, 6, 0xF0F0)
    words, fragments = read(pcm[2 * cut :])
    assert [number for number, *_ in words] == [6, 0xF0F0]
    assert fragments == 1
    words, fragments = read(pcm[: 2 * (16_000 + cut)])  # two words and the start of the third
    # Half of the last bit is enough.
    assert ([number for number, *_ in words], fragments) == (
        ([0b1010101010101010, 6], 1) if cut <= 4960 else ([0b1010101010101010, 6, 0xF0F0], 0)
    )


def test_a_stream_that_begins_in_silence_has_no_fragment() -> None:
    words, fragments = read(speech(5, 6)[2 * 5200 :])
    assert (words, fragments) == ([(6, 0.175, 0.675)], 0)


def test_an_interrupted_word_is_no_number() -> None:
    pcm = speech(5)
    words, fragments = read(pcm[:3000] + bytes(6400) + pcm[3000:] + speech(7))
    assert [number for number, *_ in words] == [7]
    assert fragments == 2


def test_a_second_of_silence_ends_a_segment() -> None:
    results = recognise(speech(1, 2, None, None, 3, None))
    assert texts(finals(results)) == ["w1 w2.", "w3."]
    assert [(result["StartTime"], result["EndTime"]) for result in finals(results)] == [(0.0, 1.0), (2.0, 2.5)]


def test_a_seed_splits_each_stream_into_different_segments() -> None:
    cuts = {len(finals(recognise(speech(*range(24)), seed=f"1-{stream}"))) for stream in range(20)}
    assert len(cuts) > 3
    assert recognise(speech(*range(9)), seed="1-1") != recognise(speech(*range(9)), seed="1-4")


def test_channels_are_recognised_separately() -> None:
    left, right = speech(1, 2), speech(11, 12)
    both = b"".join(left[place : place + 2] + right[place : place + 2] for place in range(0, len(left), 2))
    results = finals(recognise(both, enable_channel_identification=True, number_of_channels=2))
    assert [(result["ChannelId"], text) for result, text in zip(results, texts(results), strict=True)] == [
        ("ch_0", "w1 w2."),
        ("ch_1", "w11 w12."),
    ]


def test_speakers_are_numbered_as_they_appear_and_only_in_finals() -> None:
    results = recognise(speech(8, 9, 10, 11), show_speaker_label=True)
    (final,) = finals(results)
    assert [item.get("Speaker") for item in final["Alternatives"][0]["Items"]] == ["0", "0", "1", "1", None]
    partials = [result for result in results if result["IsPartial"]]
    assert not any("Speaker" in item for result in partials for item in result["Alternatives"][0]["Items"])


def test_languages_alternate_and_cut_segments() -> None:
    identify = {"language_code": None, "identify_multiple_languages": True, "language_options": "en-US,de-DE"}
    results = finals(recognise(speech(6, 7, 8, 9, 16), **identify))
    assert [(result["LanguageCode"], text) for result, text in zip(results, texts(results), strict=True)] == [
        ("en-US", "w6 w7."),
        ("de-DE", "w8 w9."),
        ("en-US", "w16."),
    ]


def test_one_language_is_identified_as_the_preferred() -> None:
    identify = {"language_code": None, "identify_language": True, "language_options": "en-US,de-DE"}
    assert {result["LanguageCode"] for result in recognise(speech(1, 9), **identify)} == {"en-US"}
    (final,) = finals(recognise(speech(1, 9), preferred_language="de-DE", **identify))
    assert final["LanguageCode"] == "de-DE"
    assert "LanguageCode" not in recognise(speech(1))[0]


def test_stable_items_are_all_but_a_partials_last() -> None:
    results = recognise(speech(1, 2), enable_partial_results_stabilization=True)
    stable = [[item["Stable"] for item in result["Alternatives"][0]["Items"]] for result in results]
    assert stable == [[False], [True, False], [True, True, True]]


def test_names_are_identified_or_redacted_in_finals() -> None:
    identified = recognise(speech(6, 7), content_identification_type="PII")
    assert texts(identified) == ["w6", "w6 w7", "w6 w7."]
    assert [result["Alternatives"][0].get("Entities") for result in identified] == [
        None,
        None,
        [
            {
                "StartTime": 0.5,
                "EndTime": 1.0,
                "Category": "PII",
                "Type": "NAME",
                "Content": "w7",
                "Confidence": pytest.approx(0.97),
            }
        ],
    ]
    assert texts(recognise(speech(6, 7), content_redaction_type="PII")) == ["w6", "w6 w7", "w6 [PII]."]
    emails = recognise(speech(6, 7), content_redaction_type="PII", pii_entity_types="EMAIL")
    assert texts(finals(emails)) == ["w6 w7."]


@pytest.mark.parametrize(
    ("method", "text", "matches"),
    [
        ("remove", "w12.", [False, False]),
        ("mask", "*** w12.", [False, False, False]),
        ("tag", "w11 w12.", [True, False, False]),
    ],
)
def test_a_vocabulary_filter_removes_masks_or_tags_words(method: str, text: str, matches: list[bool]) -> None:
    results = recognise(speech(11, 12), vocabulary_filter_name="rude", vocabulary_filter_method=method)
    (final,) = finals(results)
    assert texts([final]) == [text]
    assert [item["VocabularyFilterMatch"] for item in final["Alternatives"][0]["Items"]] == matches
    assert (final["StartTime"], final["EndTime"]) == (0.0, 1.0)


async def test_real_speech_is_recognised_by_the_built_in_recogniser() -> None:
    with wave.open(str(recordings.speech("beckett"))) as recording:
        pcm = recording.readframes(recording.getnframes())
        request = parse(options(sample_rate=recording.getframerate()))
    segments: list[Segment] = []
    recognition = LocalRecognition(request, segments.append)
    for place in range(0, len(pcm), 3200):
        recognition.add_audio(pcm[place : place + 3200])
    await recognition.finish()
    words = [word for segment in segments if not segment.is_partial for word in segment.words]
    assert len(words) > 10
    assert [word.start for word in words] == sorted(word.start for word in words)
    assert 0 <= words[0].start < words[-1].end < 11


def test_results_vary_as_published_samples_do() -> None:
    habits = Habits(names_channel=True, punctuates_partials=True, end_padding=0.148)
    partial, final = recognise(speech(1, 2), 2, habits=habits)
    assert [result["ChannelId"] for result in (partial, final)] == ["ch_0", "ch_0"]
    assert texts([partial, final]) == ["w1.", "w1 w2."]
    assert [result["EndTime"] for result in (partial, final)] == [0.648, 1.148]
    assert final["Alternatives"][0]["Items"][-2]["EndTime"] == 1.0


def test_every_language_option_has_a_score() -> None:
    (final,) = finals(
        recognise(
            speech(1),
            language_code=None,
            identify_language=True,
            language_options="en-US,de-DE,fr-FR",
            preferred_language="de-DE",
        )
    )
    assert final["LanguageIdentification"] == [
        {"LanguageCode": "de-DE", "Score": 0.9},
        {"LanguageCode": "en-US", "Score": 0.05},
        {"LanguageCode": "fr-FR", "Score": 0.05},
    ]
