"""Placing the pieces of a recording on its timeline by their timestamps."""

import itertools

import pytest

from uploads.decoder.timeline import Piece, Timeline, zero


def place(pieces: list[tuple[float | None, float]], *, is_spliced: bool = False) -> list[tuple[float, float]]:
    """Place pieces (start, seconds). Returns the gap before each piece and the cut at its beginning."""
    placed = Timeline(0.0, is_spliced=is_spliced).place(Piece(start, seconds, None) for start, seconds in pieces)
    return [(pytest.approx(each.gap), pytest.approx(each.cut)) for each in placed]


def packets(*starts: float, seconds: float = 0.02) -> list[tuple[float | None, float]]:
    return [(start, seconds) for start in starts]


NOTHING = (0, 0)


@pytest.mark.parametrize(
    ("pieces", "places"),
    [
        ([(0.0, 1.0), (1.0, 1.0)], [NOTHING, NOTHING]),
        ([(5.0, 1.0), (9.0, 1.0)], [(5, 0), (3, 0)]),
        ([(0.0, 1.0), (None, 1.0), (5.0, 1.0)], [NOTHING, NOTHING, (3, 0)]),
        ([(0.0, 1.0), (1.2, 1.0), (2.4, 1.0)], [NOTHING, (0.2, 0), (0.2, 0)]),
        ([(-0.1, 1.0), (0.9, 1.0)], [(0, 0.1), NOTHING]),  # begins before the first sample
        ([(0.0, 1.0), (1.0, 1.0), (0.0, 1.0), (1.0, 1.0)], [NOTHING] * 4),  # timestamps restart at 0
        ([(0.0, 1.0), (8_000.0, 1.0), (8_001.0, 1.0)], [NOTHING] * 3),  # timestamps jump by hours
    ],
)
def test_fills_gaps_and_cuts_overlaps(
    pieces: list[tuple[float | None, float]], places: list[tuple[float, float]]
) -> None:
    assert place(pieces) == places


def test_fills_a_gap_of_one_packet() -> None:
    assert place(packets(0.0, 0.02, 0.06, 0.08)) == [NOTHING, NOTHING, (0.02, 0), NOTHING]


def test_fills_the_gap_before_each_packet_of_a_pause() -> None:
    assert place(packets(0.0, 0.4, 0.8, 1.2)) == [NOTHING, (0.38, 0), (0.38, 0), (0.38, 0)]


def test_small_gaps_between_timestamps_do_not_add_up() -> None:
    pieces = packets(*(number * 0.021 for number in range(1_000)))  # 1 ms is missing after each packet
    filled = sum(gap.expected for gap, _ in place(pieces))
    assert filled == pytest.approx(0.999, abs=0.006)


def test_small_overlaps_of_timestamps_do_not_add_up() -> None:
    pieces = packets(*(number * 0.019 for number in range(1_000)))
    left_out = sum(cut.expected for _, cut in place(pieces))
    assert left_out == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("seconds", [1024 / 48_000, 1152 / 44_100, 0.02])
def test_ignores_timestamps_rounded_to_milliseconds(seconds: float) -> None:
    pieces = packets(*(int(1000 * number * seconds) / 1000 for number in range(1_000)), seconds=seconds)
    assert place(pieces) == [NOTHING] * 1_000


def test_ignores_timestamps_that_jitter() -> None:
    jitter = itertools.cycle([0.0, 0.008, -0.008, 0.012, -0.012])
    places = place(packets(*(number * 0.02 + next(jitter) for number in range(1_000))))
    assert places[:-3] == [NOTHING] * 997  # the last pieces have too few pieces after them to disagree


@pytest.mark.parametrize("wrong", [0.0, 0.03, 5.0, 5_000.0])
def test_ignores_a_single_wrong_timestamp(wrong: float) -> None:
    assert place(packets(10.0, 10.02, wrong, 10.06, 10.08, 10.1, 10.12))[1:] == [NOTHING] * 6


def test_a_splice_of_a_broadcast_is_neither_a_gap_nor_an_overlap() -> None:
    pieces = [(start + second, 1.0) for start in (0.0, 500.0, 3.0) for second in range(5)]
    assert place(pieces, is_spliced=True) == [NOTHING] * 15
    assert place(pieces)[5] == (495, 0)


def test_a_broadcast_may_begin_with_video_alone() -> None:
    assert place([(30.0, 1.0), (31.0, 1.0)], is_spliced=True) == [(30, 0), NOTHING]


@pytest.mark.parametrize(
    ("starts", "is_absolute", "expected"),
    [
        ([(0.0, 0.0)], True, 0.0),
        ([(0.0, 0.0), (7.0, 7.0)], True, 0.0),
        ([(0.0, 0.0), (7.0, 7.0)], False, 0.0),
        ([(7.0, 7.02)], True, 0.0),
        ([(7.0, 7.02)], False, 7.02),
        ([(0.3, 0.32)], True, 0.0),
        ([(1_800.0, 1_800.0)], True, 1_800.0),  # cut from a live stream
        ([(1.4, 1.42), (1.48, 1.48)], False, 1.42),
        ([(0.0, 0.021), (0.021, 0.021)], True, 0.021),  # shifted by the priming samples
        ([(0.18, 0.2), (0.2, 0.2)], True, 0.2),  # shifted by reordered frames
        ([(5.0, 5.0), (5.0, 5.0)], True, 0.0),
        ([(-0.021, 0.0)], True, 0.0),
        ([(-0.021, 0.0), (0.08, 0.08)], True, 0.0),
        ([(-0.003, -0.003)], False, 0.0),
    ],
)
def test_finds_the_time_of_the_first_sample(
    starts: list[tuple[float, float]], is_absolute: bool, expected: float
) -> None:
    assert zero(starts, is_absolute=is_absolute) == expected
