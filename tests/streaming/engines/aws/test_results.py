"""Conversion of the service's results into ours, for cases that are hard to produce with audio."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from amazon_transcribe.model import Alternative, Entity, Item
from amazon_transcribe.model import Result as SdkResult

from streaming.engines.aws.messages import UnexpectedContent, results_of
from streaming.engines.aws.results import Interpreter, Timeline
from streaming.engines.base import Request
from streaming.results import Result


def sdk_result(
    text: str, start_time: float, *, is_partial: bool = False, result_id: str = "r", **fields: Any
) -> SdkResult:
    """Return a result in which each word of `text` takes half a second; `word/1` belongs to speaker 1."""
    items, time = [], start_time
    for part in text.split():
        content, _, speaker = part.partition("/")
        items.append(Item(time, time + 0.5, "pronunciation", content.rstrip(".,"), speaker=speaker or None))
        if content[-1] in ".,":
            items.append(Item(time + 0.5, time + 0.5, "punctuation", content[-1]))
        time += 0.5
    entities = fields.pop("entities", None)
    spoken = " ".join(part.partition("/")[0] for part in text.split())
    return SdkResult(result_id, start_time, time, is_partial, [Alternative(spoken, items, entities)], **fields)


def new_interpreter(request: Request | None = None) -> Interpreter:
    request = request or Request("en-US")
    timeline = Timeline(request.start_time)
    timeline.add(100.0)
    return Interpreter(request, timeline)


def read(**result: Any) -> SdkResult:
    """Return a result parsed from JSON of the service, with fields changed by `result`; None removes a field."""
    items: list[dict[str, Any]] = [
        {"Content": word, "StartTime": start, "EndTime": start + 0.5, "Type": "pronunciation", "Confidence": 0.9}
        for word, start in (("We", 1.0), ("went", 1.5))
    ]
    items.append({"Content": ".", "StartTime": 2.0, "EndTime": 2.0, "Type": "punctuation"})
    plain: dict[str, Any] = {"ResultId": "r", "StartTime": 1.0, "EndTime": 2.0, "IsPartial": False}
    plain["Alternatives"] = [{"Transcript": "We went.", "Items": items}]
    fields = {name: value for name, value in (plain | result).items() if value is not None}
    payload = json.dumps({"Transcript": {"Results": [fields]}}).encode()
    (found,) = results_of({":message-type": "event", ":event-type": "TranscriptEvent"}, payload, UnexpectedContent())
    return found


def timed(results: Iterable[Result]) -> list[tuple[str, float, float, list[tuple[str, float, float]]]]:
    return [
        (result.text, result.start_time, result.end_time, [(w.text, w.start_time, w.end_time) for w in result.words])
        for result in results
    ]


AS_EVER = [("We went.", 1.0, 2.0, [("We", 1.0, 1.5), ("went.", 1.5, 2.0)])]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"ChannelId": "ch_0"},
        {"ChannelId": "ch_7"},
        {"ChannelId": 0},
        {"ChannelId": {"a": 1}},
        {"ResultId": None},
        {"ResultId": 17},
        {"IsPartial": None},
        {"IsPartial": "false"},
        {"LanguageCode": 5, "LanguageIdentification": "x", "Surprise": [{}]},
        {"StartTime": None},
        {"EndTime": None},
        {"StartTime": None, "EndTime": None},
        {"StartTime": "1.0", "EndTime": "2.0"},
        {"StartTime": float("nan"), "EndTime": float("inf")},
        {"StartTime": True, "EndTime": 10**400},
        {"EndTime": 1e9},
    ],
    ids=str,
)
def test_an_unexpected_or_missing_field_of_a_result_loses_no_word(fields: dict[str, Any]) -> None:
    assert timed(new_interpreter().interpret(read(**fields))) == AS_EVER


ITEMS: list[dict[str, Any]] = [
    {"Content": "We", "StartTime": 1.0, "EndTime": 1.5},
    {"Content": "went", "StartTime": 1.5, "EndTime": 2.0, "Type": "pronunciation"},
    {"Content": "."},
]


@pytest.mark.parametrize(
    "alternatives",
    [
        [{"Transcript": "We went.", "Items": ITEMS}],
        [{"Transcript": None, "Items": ITEMS}],
        [{"Items": ITEMS}],
        [{"Transcript": "", "Items": []}, {"Transcript": "We went.", "Items": ITEMS}],
        [None, 7, {}, {"Transcript": "We went.", "Items": ITEMS}],
        [{"Transcript": "We went.", "Items": [*ITEMS, None, 3, {}, {"Type": "pronunciation"}]}],
        [{"Transcript": "We went.", "Items": [ITEMS[0] | {"Confidence": "?", "Speaker": [], "Stable": 9}, *ITEMS[1:]]}],
        [{"Transcript": "We went.", "Items": [ITEMS[0], {"Content": "vent", "StartTime": 1.5, "EndTime": 2.0}]}],
        [{"Transcript": "We went.", "Items": ITEMS, "Entities": [None, {}, {"StartTime": "x"}, {"Type": 4}]}],
        [{"Transcript": "We went.", "Items": ITEMS, "Entities": 8}],
    ],
    ids=str,
)
def test_an_unexpected_or_missing_field_of_a_transcript_loses_no_word(alternatives: list[Any]) -> None:
    assert timed(new_interpreter().interpret(read(Alternatives=alternatives))) == AS_EVER


@pytest.mark.parametrize(
    "items",
    [
        None,
        "?",
        [],
        [{"Content": "We", "StartTime": 1.0, "Type": "pronunciation"}],
        [{"Content": "We"}, {"Content": "went"}, {"Content": "."}],
        [{"Content": "here", "StartTime": 2.5, "EndTime": 3.0}],
    ],
    ids=str,
)
def test_words_without_an_item_keep_their_text_and_get_a_time(items: Any) -> None:
    alternative = {"Transcript": "We went here.", "Items": items}
    (final,) = new_interpreter().interpret(read(Alternatives=[alternative], EndTime=3.0))
    assert (final.text, final.start_time, final.end_time) == ("We went here.", 1.0, 3.0)
    assert [word.text for word in final.words] == ["We", "went", "here."]
    times = [time for word in final.words for time in (word.start_time, word.end_time)]
    assert times == sorted(times)
    assert 1.0 <= times[0] < times[-1] <= 3.0


def test_a_repeated_final_is_published_once() -> None:
    interpreter = new_interpreter()
    assert (
        timed(
            [
                *interpreter.interpret(read()),
                *interpreter.interpret(read()),
                *interpreter.interpret(read(IsPartial=True)),
            ]
        )
        == AS_EVER
    )
    assert not interpreter.has_open


def test_a_final_without_a_transcript_keeps_the_words_of_its_last_partial() -> None:
    interpreter = new_interpreter()
    partial = [*interpreter.interpret(read(IsPartial=True))]
    kept = [*interpreter.interpret(read(Alternatives=None))]
    assert timed(partial) == timed(kept) == AS_EVER
    assert [result.is_provisional for result in kept] == [True]
    assert not interpreter.is_unreadable


def test_a_stream_is_unreadable_only_if_no_result_has_text() -> None:
    interpreter = new_interpreter()
    assert [*interpreter.interpret(read(Alternatives=[{"Text": "We went."}]))] == []
    assert interpreter.is_unreadable
    assert [*interpreter.interpret(read(Alternatives=[]))] == [], "a vocabulary filter removed all words"


def test_with_two_channels_a_result_without_a_channel_keeps_its_words() -> None:
    interpreter = new_interpreter(Request("en-US", {"enable_channel_identification": True}))
    results = [
        *interpreter.interpret(read(ChannelId="ch_1")),
        *interpreter.interpret(read(ChannelId="ch_2")),
        *interpreter.interpret(read(ResultId="s")),
    ]
    assert timed(results) == AS_EVER * 3
    assert [result.slot for result in results] == ["ch_1", "0", "0"]


def test_unexpected_content_is_logged_once_per_stream_without_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    interpreter = new_interpreter()
    for number in range(5):
        [*interpreter.interpret(read(ChannelId="ch_0", ResultId=str(number)))]
    assert [record.getMessage() for record in caplog.records] == [
        "Amazon Transcribe sent a channel for mono audio. The engine logs this once per stream."
    ]


def turns(results: list[Result]) -> list[tuple[str, str]]:
    return [(result.speaker, result.text) for result in results]


def test_a_single_word_of_another_speaker_does_not_start_a_turn() -> None:
    results = [*new_interpreter().interpret(sdk_result("We/0 went/0 to/0 the/1 sea/0 in/0 May./0", 0.0))]
    assert turns(results) == [("Speaker 1", "We went to the sea in May.")]


def test_a_short_turn_at_the_start_joins_the_next_turn() -> None:
    results = [*new_interpreter().interpret(sdk_result("Well,/1 we/0 went/0 there./0", 0.0))]
    assert turns(results) == [("Speaker 1", "Well, we went there.")]


def test_a_turn_of_three_words_is_kept() -> None:
    results = [
        *new_interpreter().interpret(sdk_result("Did/0 you/0 go?/0 Yes,/1 I/1 did./1 With/0 whom/0 then?/0", 4.0))
    ]
    assert turns(results) == [
        ("Speaker 1", "Did you go?"),
        ("Speaker 2", "Yes, I did."),
        ("Speaker 1", "With whom then?"),
    ]
    assert [(result.start_time, result.end_time) for result in results] == [(4.0, 5.5), (5.5, 7.0), (7.0, 8.5)]
    assert [result.resume_time for result in results] == [5.5, 7.0, 8.5]


def test_speakers_of_a_later_stream_get_new_numbers() -> None:
    request = Request("en-US", {"show_speaker_label": True}, speakers=("Speaker 1", "Speaker 2"))
    assert turns([*new_interpreter(request).interpret(sdk_result("I/0 was/0 there./0", 0.0))]) == [
        ("Speaker 3", "I was there.")
    ]


def test_result_times_are_relative_to_the_recording() -> None:
    (final,) = new_interpreter(Request("en-US", start_time=100.25)).interpret(sdk_result("Here we are.", 1.0))
    assert (final.start_time, final.end_time, final.words[1].start_time) == (101.25, 102.75, 101.75)


def test_inserted_silence_does_not_shift_result_times() -> None:
    timeline = Timeline(10.0)
    timeline.add(5.0)
    timeline.add_silence(2.0)
    timeline.add(5.0)
    assert [timeline.recording_time(time) for time in (4.0, 5.0, 6.0, 7.0, 8.0)] == [14.0, 15.0, 15.0, 15.0, 16.0]


def test_words_that_are_final_in_a_slot_are_not_published_again() -> None:
    request = Request("en-US", start_time=5.0, ended={"0": 6.0})
    interpreter = new_interpreter(request)
    assert [*interpreter.interpret(sdk_result("one two", 0.0, is_partial=True))] == []
    (partial,) = interpreter.interpret(sdk_result("one two three", 0.0, is_partial=True))
    assert (partial.text, partial.start_time) == ("three", 6.0)
    (final,) = interpreter.interpret(sdk_result("one two three.", 0.0))
    assert (final.text, final.start_time, final.end_time) == ("three.", 6.0, 6.5)


def test_words_of_a_language_without_spaces_are_joined_without_spaces() -> None:
    items = [Item(n * 0.5, n * 0.5 + 0.5, "pronunciation", part) for n, part in enumerate(("今日", "は", "晴れ"))]
    result = SdkResult("r", 0.0, 1.5, False, [Alternative("今日は晴れ", items, None)])
    (final,) = new_interpreter(Request("ja-JP", ended={"0": 0.5})).interpret(result)
    assert final.text == "は晴れ"


def test_a_newer_partial_replaces_the_previous_and_the_final_ends_it() -> None:
    interpreter = new_interpreter()
    for text in ("one", "one two", "one two three"):
        [*interpreter.interpret(sdk_result(text, 0.0, is_partial=True))]
    assert [result.text for result in interpreter.unconfirmed()] == ["one two three"]
    [*interpreter.interpret(sdk_result("four", 1.5, is_partial=True, result_id="s"))]
    [*interpreter.interpret(sdk_result("four five.", 1.5, result_id="s"))]
    assert not interpreter.has_open


def test_resume_time_precedes_a_partial_of_the_other_channel() -> None:
    interpreter = new_interpreter(Request("en-US", {"enable_channel_identification": True}))
    [*interpreter.interpret(sdk_result("well", 3.0, is_partial=True, channel_id="ch_1", result_id="b"))]
    (final,) = interpreter.interpret(
        sdk_result("one two three four five six seven eight.", 0.0, channel_id="ch_0", result_id="a")
    )
    assert (final.end_time, final.resume_time) == (4.0, 3.0)


def test_resume_time_allows_a_silent_channel_to_lag() -> None:
    interpreter = new_interpreter(Request("en-US", {"enable_channel_identification": True}))
    (early,) = interpreter.interpret(sdk_result("one two.", 4.0, channel_id="ch_0", result_id="a"))
    (late,) = interpreter.interpret(sdk_result("three four.", 100.0, channel_id="ch_0", result_id="b"))
    assert (early.resume_time, late.resume_time) == (0.0, 86.0)


def test_words_of_an_entity_are_marked_as_personal_data() -> None:
    name = Entity(0.5, 1.5, "PII", "Ada Lovelace", 0.9, "NAME")
    (final,) = new_interpreter().interpret(sdk_result("I'm Ada Lovelace.", 0.0, entities=[name]))
    assert [word.pii for word in final.words] == [None, "NAME", "NAME"]


def test_a_result_without_words_is_not_published() -> None:
    assert [*new_interpreter().interpret(SdkResult("r", 0.0, 1.0, False, [], None, None))] == []
    assert [
        *new_interpreter().interpret(SdkResult("r", 0.0, 1.0, False, [Alternative("", [], None)], None, None))
    ] == []


def test_a_result_without_items_keeps_its_text() -> None:
    (final,) = new_interpreter().interpret(
        SdkResult("r", 1.0, 3.0, False, [Alternative("Hello there", [], None)], None, None)
    )
    assert (final.text, [word.text for word in final.words]) == ("Hello there", ["Hello", "there"])
