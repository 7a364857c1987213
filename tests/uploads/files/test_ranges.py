"""Parsing the Range header of requests for recordings."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from uploads.files.ranges import Range, Unsatisfiable, parse

SIZE = 1_000


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-499", Range(0, 500)),
        ("bytes=500-999", Range(500, 1_000)),
        ("bytes=999-999", Range(999, 1_000)),
        ("bytes=0-0", Range(0, 1)),
        ("bytes=500-5000", Range(500, 1_000)),
        ("bytes=0-", Range(0, 1_000)),
        ("bytes=999-", Range(999, 1_000)),
        ("bytes=-1", Range(999, 1_000)),
        ("bytes=-500", Range(500, 1_000)),
        ("bytes=-5000", Range(0, 1_000)),
        ("Bytes=0-1", Range(0, 2)),
        ("bytes= 0-1 , ", Range(0, 2)),
        ("bytes=,0-1", Range(0, 2)),
        ("bytes=007-008", Range(7, 9)),
    ],
)
def test_parses_a_range_header(header: str, part: Range) -> None:
    assert parse(header, SIZE) == part


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "bytes", "bytes=", "bytes=-", "bytes=,", "bytes=a-b", "bytes=1", "bytes=1-2-3", "bytes=--1"),
        *("bytes=5-4", "bytes=1.5-2", "bytes=+1-2", "bytes=0x1-2", "bytes=1 -2", "bytes 0-1", "items=0-1", "0-1"),
        *("bytes=0-1,5-6", "bytes=0-0,-1", "bytes=٣-٤", "bytes=" + "9" * 5_000 + "-"),
    ],
)
def test_ignores_a_header_that_is_not_a_single_valid_range(header: str | None) -> None:
    assert parse(header, SIZE) is None


@pytest.mark.parametrize(
    "header", ["bytes=1000-", "bytes=1000-1001", "bytes=5000-", "bytes=-0", "bytes=" + "9" * 30 + "-"]
)
def test_raises_unsatisfiable_for_a_range_outside_the_file(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse(header, SIZE)


def test_formats_the_content_range_header() -> None:
    assert Range(500, 1_000).content_range(SIZE) == "bytes 500-999/1000"


numbers = st.integers(0, 3_000)


@given(st.one_of(numbers, st.none()), st.one_of(numbers, st.none()), st.integers(0, 2_000))
@example(0, None, 0)
@example(None, 1, 0)
def test_parsing_agrees_with_the_definition_of_rfc_9110(first: int | None, last: int | None, size: int) -> None:
    """Compare with the definition in RFC 9110, written as a list of the requested positions."""
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    if first is None:
        wanted = None if last is None else list(range(size))[-last:] if last else []
    elif last is not None and last < first:
        wanted = None
    else:
        wanted = [position for position in range(size) if first <= position and (last is None or position <= last)]
    try:
        part = parse(header, size)
    except Unsatisfiable:
        assert wanted == []
    else:
        assert wanted != []
        assert (None if part is None else list(range(part.start, part.stop))) == wanted


@given(st.text(max_size=60) | st.from_regex(r"bytes=[0-9, -]{0,20}", fullmatch=True), st.integers(0, 100))
def test_no_range_header_causes_an_error_or_a_part_outside_the_file(header: str, size: int) -> None:
    try:
        part = parse(header, size)
    except Unsatisfiable:
        return
    assert part is None or (0 <= part.start < part.stop <= size and part.length <= size)
