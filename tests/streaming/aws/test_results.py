"""What the service says, as results of ours: the cases that sound would be long in making."""

from typing import Any

from amazon_transcribe.model import Alternative, Entity, Item
from amazon_transcribe.model import Result as Heard

from streaming.engines.aws_results import Interpreter, Timeline
from streaming.engines.base import Request
from streaming.transcripts import Result


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
    return Interpreter(request, Timeline(request.start_time))


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
