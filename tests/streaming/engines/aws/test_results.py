"""What the service says, as results of ours: the cases that sound would be long in making."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from amazon_transcribe.model import Alternative, Entity, Item
from amazon_transcribe.model import Result as Heard

from streaming.engines.aws.messages import Oddities, results_of
from streaming.engines.aws.results import Interpreter, Timeline
from streaming.engines.base import Request
from streaming.results import Result


def heard(text: str, start_time: float, *, is_partial: bool = False, result_id: str = "r", **fields: Any) -> Heard:
    """Return a result that says each word of `text` in half a second; `word/1` is said by the speaker 1."""
    items, time = [], start_time
    for part in text.split():
        content, _, speaker = part.partition("/")
        items.append(Item(time, time + 0.5, "pronunciation", content.rstrip(".,"), speaker=speaker or None))
        if content[-1] in ".,":
            items.append(Item(time + 0.5, time + 0.5, "punctuation", content[-1]))
        time += 0.5
    entities = fields.pop("entities", None)
    spoken = " ".join(part.partition("/")[0] for part in text.split())
    return Heard(result_id, start_time, time, is_partial, [Alternative(spoken, items, entities)], **fields)


def hearing(request: Request | None = None) -> Interpreter:
    request = request or Request("en-US")
    timeline = Timeline(request.start_time)
    timeline.add(100.0)
    return Interpreter(request, timeline)


def read(**result: Any) -> Heard:
    """Return a result as the service's JSON has it, changed by `result`; None leaves a field out."""
    items: list[dict[str, Any]] = [
        {"Content": word, "StartTime": start, "EndTime": start + 0.5, "Type": "pronunciation", "Confidence": 0.9}
        for word, start in (("We", 1.0), ("went", 1.5))
    ]
    items.append({"Content": ".", "StartTime": 2.0, "EndTime": 2.0, "Type": "punctuation"})
    plain: dict[str, Any] = {"ResultId": "r", "StartTime": 1.0, "EndTime": 2.0, "IsPartial": False}
    plain["Alternatives"] = [{"Transcript": "We went.", "Items": items}]
    fields = {name: value for name, value in (plain | result).items() if value is not None}
    payload = json.dumps({"Transcript": {"Results": [fields]}}).encode()
    (found,) = results_of({":message-type": "event", ":event-type": "TranscriptEvent"}, payload, Oddities())
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
def test_a_field_of_a_result_that_is_unexpected_or_missing_costs_no_word(fields: dict[str, Any]) -> None:
    assert timed(hearing().take(read(**fields))) == AS_EVER


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
def test_a_field_of_a_transcript_that_is_unexpected_or_missing_costs_no_word(alternatives: list[Any]) -> None:
    assert timed(hearing().take(read(Alternatives=alternatives))) == AS_EVER


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
def test_words_that_no_item_describes_keep_their_text_and_get_a_time(items: Any) -> None:
    alternative = {"Transcript": "We went here.", "Items": items}
    (final,) = hearing().take(read(Alternatives=[alternative], EndTime=3.0))
    assert (final.text, final.start_time, final.end_time) == ("We went here.", 1.0, 3.0)
    assert [word.text for word in final.words] == ["We", "went", "here."]
    times = [time for word in final.words for time in (word.start_time, word.end_time)]
    assert times == sorted(times)
    assert 1.0 <= times[0] < times[-1] <= 3.0


def test_a_final_that_comes_twice_is_one_line() -> None:
    ear = hearing()
    assert timed([*ear.take(read()), *ear.take(read()), *ear.take(read(IsPartial=True))]) == AS_EVER
    assert not ear.has_open


def test_a_final_without_a_transcript_keeps_the_words_of_its_last_partial() -> None:
    ear = hearing()
    partial = [*ear.take(read(IsPartial=True))]
    kept = [*ear.take(read(Alternatives=None))]
    assert timed(partial) == timed(kept) == AS_EVER
    assert [result.is_provisional for result in kept] == [True]
    assert not ear.is_unreadable


def test_only_results_without_any_text_are_unreadable() -> None:
    ear = hearing()
    assert [*ear.take(read(Alternatives=[{"Text": "We went."}]))] == []
    assert ear.is_unreadable
    assert [*ear.take(read(Alternatives=[]))] == [], "a vocabulary filter removed all words"


def test_with_two_channels_a_result_without_its_channel_keeps_its_words() -> None:
    ear = hearing(Request("en-US", {"enable_channel_identification": True}))
    results = [*ear.take(read(ChannelId="ch_1")), *ear.take(read(ChannelId="ch_2")), *ear.take(read(ResultId="s"))]
    assert timed(results) == AS_EVER * 3
    assert [result.slot for result in results] == ["ch_1", "0", "0"]


def test_unexpected_content_is_logged_once_a_stream_and_without_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ear = hearing()
    for number in range(5):
        [*ear.take(read(ChannelId="ch_0", ResultId=str(number)))]
    assert [record.getMessage() for record in caplog.records] == [
        "Amazon Transcribe sent a channel for mono audio. The engine ignores this for the rest of the stream."
    ]


def turns(results: list[Result]) -> list[tuple[str, str]]:
    return [(result.speaker, result.text) for result in results]


def test_a_slip_of_a_word_does_not_change_the_speaker() -> None:
    results = [*hearing().take(heard("We/0 went/0 to/0 the/1 sea/0 in/0 May./0", 0.0))]
    assert turns(results) == [("Speaker 1", "We went to the sea in May.")]


def test_a_short_turn_at_the_beginning_joins_the_next() -> None:
    results = [*hearing().take(heard("Well,/1 we/0 went/0 there./0", 0.0))]
    assert turns(results) == [("Speaker 1", "Well, we went there.")]


def test_turns_of_three_words_stand() -> None:
    results = [*hearing().take(heard("Did/0 you/0 go?/0 Yes,/1 I/1 did./1 With/0 whom/0 then?/0", 4.0))]
    assert turns(results) == [
        ("Speaker 1", "Did you go?"),
        ("Speaker 2", "Yes, I did."),
        ("Speaker 1", "With whom then?"),
    ]
    assert [(result.start_time, result.end_time) for result in results] == [(4.0, 5.5), (5.5, 7.0), (7.0, 8.5)]
    assert [result.resume_time for result in results] == [5.5, 7.0, 8.5]


def test_speakers_of_a_later_stream_have_numbers_of_their_own() -> None:
    request = Request("en-US", {"show_speaker_label": True}, speakers=("Speaker 1", "Speaker 2"))
    assert turns([*hearing(request).take(heard("I/0 was/0 there./0", 0.0))]) == [("Speaker 3", "I was there.")]


def test_times_are_those_of_the_recording() -> None:
    (final,) = hearing(Request("en-US", start_time=100.25)).take(heard("Here we are.", 1.0))
    assert (final.start_time, final.end_time, final.words[1].start_time) == (101.25, 102.75, 101.75)


def test_silence_of_our_own_is_not_in_the_recording() -> None:
    timeline = Timeline(10.0)
    timeline.add(5.0)
    timeline.add_silence(2.0)
    timeline.add(5.0)
    assert [timeline.recording_time(time) for time in (4.0, 5.0, 6.0, 7.0, 8.0)] == [14.0, 15.0, 15.0, 15.0, 16.0]


def test_what_a_slot_had_finished_before_is_not_said_again() -> None:
    request = Request("en-US", start_time=5.0, ended={"0": 6.0})
    ear = hearing(request)
    assert [*ear.take(heard("one two", 0.0, is_partial=True))] == []
    (partial,) = ear.take(heard("one two three", 0.0, is_partial=True))
    assert (partial.text, partial.start_time) == ("three", 6.0)
    (final,) = ear.take(heard("one two three.", 0.0))
    assert (final.text, final.start_time, final.end_time) == ("three.", 6.0, 6.5)


def test_a_language_without_spaces_is_cut_without_spaces() -> None:
    items = [Item(n * 0.5, n * 0.5 + 0.5, "pronunciation", part) for n, part in enumerate(("今日", "は", "晴れ"))]
    result = Heard("r", 0.0, 1.5, False, [Alternative("今日は晴れ", items, None)])
    (final,) = hearing(Request("ja-JP", ended={"0": 0.5})).take(result)
    assert final.text == "は晴れ"


def test_a_newer_partial_replaces_the_one_before_and_the_final_ends_it() -> None:
    ear = hearing()
    for text in ("one", "one two", "one two three"):
        [*ear.take(heard(text, 0.0, is_partial=True))]
    assert [result.text for result in ear.unconfirmed()] == ["one two three"]
    [*ear.take(heard("four", 1.5, is_partial=True, result_id="s"))]
    [*ear.take(heard("four five.", 1.5, result_id="s"))]
    assert not ear.has_open


def test_a_word_that_is_still_open_in_the_other_channel_is_asked_for_again() -> None:
    ear = hearing(Request("en-US", {"enable_channel_identification": True}))
    [*ear.take(heard("well", 3.0, is_partial=True, channel_id="ch_1", result_id="b"))]
    (final,) = ear.take(heard("one two three four five six seven eight.", 0.0, channel_id="ch_0", result_id="a"))
    assert (final.end_time, final.resume_time) == (4.0, 3.0)


def test_a_channel_that_has_said_nothing_may_lag_behind_for_as_long_as_results_pause() -> None:
    ear = hearing(Request("en-US", {"enable_channel_identification": True}))
    (early,) = ear.take(heard("one two.", 4.0, channel_id="ch_0", result_id="a"))
    (late,) = ear.take(heard("three four.", 100.0, channel_id="ch_0", result_id="b"))
    assert (early.resume_time, late.resume_time) == (0.0, 86.0)


def test_personal_data_is_marked_word_by_word() -> None:
    name = Entity(0.5, 1.5, "PII", "Ada Lovelace", 0.9, "NAME")
    (final,) = hearing().take(heard("I'm Ada Lovelace.", 0.0, entities=[name]))
    assert [word.pii for word in final.words] == [None, "NAME", "NAME"]


def test_a_result_without_words_says_nothing() -> None:
    assert [*hearing().take(Heard("r", 0.0, 1.0, False, [], None, None))] == []
    assert [*hearing().take(Heard("r", 0.0, 1.0, False, [Alternative("", [], None)], None, None))] == []


def test_a_result_without_items_keeps_its_text() -> None:
    (final,) = hearing().take(Heard("r", 1.0, 3.0, False, [Alternative("Hello there", [], None)], None, None))
    assert (final.text, [word.text for word in final.words]) == ("Hello there", ["Hello", "there"])
