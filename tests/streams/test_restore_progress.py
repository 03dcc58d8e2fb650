"""What a restore says of itself adds up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.restore_progress import REPORTED_EVERY_MS, RestoreProgress


def test_half_of_it_in_ten_seconds_leaves_ten_more() -> None:
    """Rate by records, time left by offsets: what was compacted away costs no time."""
    progress = RestoreProgress(1_000, 21_000, began_ms=5_000)
    progress.add(4_000, last_offset=10_999)

    assert progress.remaining == 10_000
    assert progress.records_per_second(15_000) == pytest.approx(400)
    assert progress.seconds_left(15_000) == pytest.approx(10)
    assert progress.told(15_000) == "4,000 records read, offset 11,000 of 21,000, 400 records/s, 10 s left"


def test_nothing_is_claimed_before_anything_is_known() -> None:
    """No rate and no time left, instead of a division by nothing."""
    progress = RestoreProgress(0, 10, began_ms=0)

    assert progress.seconds_left(0) is None
    assert progress.seconds_left(1_000) is None
    assert progress.records_per_second(0) == 0
    assert "time left unknown" in progress.told(1_000)


def test_an_empty_changelog_is_done_at_once() -> None:
    """Also one that begins behind zero, because all of it was deleted."""
    progress = RestoreProgress(7, 7, began_ms=0)

    assert (progress.remaining, progress.seconds_left(0)) == (0, 0.0)


def test_a_line_comes_now_and_then() -> None:
    """Never twice within the interval, however many batches there are."""
    progress = RestoreProgress(0, 10, began_ms=0)
    moments_ms = range(0, 4 * REPORTED_EVERY_MS, 100)

    assert [at for at in moments_ms if progress.is_report_due(at)] == [
        REPORTED_EVERY_MS * n for n in (1, 2, 3)
    ]


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500)), min_size=1), st.integers(0, 500))
def test_it_ends_at_nothing_left(batches: list[tuple[int, int]], markers: int) -> None:
    """What is left never grows, and is what lies behind the last batch."""
    end = sum(records + gap for records, gap in batches) + markers
    progress, position, left = RestoreProgress(0, end, began_ms=0), 0, end
    for number, (records, gap) in enumerate(batches, start=1):
        position += records + gap
        progress.add(records, position - 1)
        assert progress.remaining <= left
        left = progress.remaining
        seconds = progress.seconds_left(number * 1000)
        assert seconds is not None
        assert (seconds == 0) == (left == 0)

    assert left == markers
    assert progress.records == sum(records for records, _ in batches)
