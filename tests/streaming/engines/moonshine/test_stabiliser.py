"""The stabiliser alone, and with the recogniser's updates of real speech."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.engines.moonshine.stabiliser import Stabiliser

UPDATES = st.lists(st.lists(st.sampled_from(["a", "b", "b.", "c,", "d", "d.", "…"]), max_size=14), max_size=12)


def shown(*updates: str) -> list[tuple[str, int]]:
    line = Stabiliser()
    return [line.show(update) for update in updates]


def test_the_first_update_of_a_line_shows_all_but_its_last_words() -> None:
    assert shown("one two three four five six seven.") == [("one two", 0)]
    assert shown("one two.") == [("one", 0)], "at least one word appears at once"


def test_a_word_appears_when_two_updates_agree_on_it() -> None:
    assert shown("one two three four five six.", "one two three four five seven eight.") == [
        ("one", 0),
        ("one two three four five", len("one")),
    ]


def test_a_partial_never_ends_with_punctuation_from_the_cut_audio() -> None:
    assert shown("one two three four five.", "one two three four five, six.", "one two three four five, six seven") == [
        ("one", 0),
        ("one two three four five", len("one")),
        ("one two three four five, six", len("one two")),
    ]


def test_an_update_that_contradicts_the_line_replaces_as_many_words_as_there_were() -> None:
    assert shown(
        "insure that the period was so far.",
        "in short the period was so far like the present",
    ) == [("insure that", 0), ("in short", 0)]


def test_the_stable_prefix_survives_a_contradicting_update() -> None:
    line = "one two three four five six seven eight"
    texts = shown(line, line, "on to three four five six seven nine ten")
    assert texts[1] == (line, len("one two three four"))
    assert texts[2] == ("one two three four five six seven", len("one two three four"))


def test_an_update_that_is_shorter_than_the_stable_prefix_shows_the_prefix() -> None:
    line = "one two three four five six seven eight"
    assert shown(line, line, "one two")[2] == ("one two three four", len("one two three four"))


@given(UPDATES)
def test_every_partial_begins_with_the_stable_prefixes_before_it(updates: list[list[str]]) -> None:
    line, promised = Stabiliser(), ""
    for update in updates:
        text, stable = line.show(" ".join(update))
        assert text.startswith(promised)
        assert stable >= len(promised)
        promised = text[:stable]
        assert len(promised) == stable


@pytest.mark.parametrize("text", ["", "  "])
def test_an_update_without_words_shows_none(text: str) -> None:
    assert shown(text) == [("", 0)]
