"""From what was seen to figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.contest.figures import (
    Figures,
    UnmeasurableError,
    at,
    compared,
    curves_by_place,
    measured,
    summary,
    table,
    total,
)
from tests.bench.contest.job import Due


def figures(speed: float) -> Figures:
    """A run of this speed."""
    return Figures(speed, 2e6 / speed, 100.0, 1_000, 1_000 / speed)


def test_outputs_tell_how_far_each_partition_was() -> None:
    """In the order of time; one that comes behind a later one tells nothing new."""
    seen = [(3.0, Due((0, 0), 29)), (1.0, Due((0, 0), 9)), (2.0, Due((1, 0), 4)), (3.5, Due((0, 0), 19))]

    assert curves_by_place(seen) == {(0, 0): [(1.0, 10.0), (3.0, 30.0)], (1, 0): [(2.0, 5.0)]}


@pytest.mark.parametrize(("second", "much"), [(0.0, 0.0), (1.0, 10.0), (2.0, 20.0), (3.0, 30.0), (9.0, 30.0)])
def test_between_two_points_lies_a_line(second: float, much: float) -> None:
    """Before the first nothing, after the last all."""
    assert at([(1.0, 10.0), (3.0, 30.0)], second) == much


def test_all_partitions_together() -> None:
    """One that says nothing at an instant is where its line says."""
    assert total({(0, 0): [(1.0, 10.0), (3.0, 30.0)], (0, 1): [(2.0, 5.0)]}) == [
        (1.0, 10.0),
        (2.0, 25.0),
        (3.0, 35.0),
    ]


_POINTS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50)), min_size=1, max_size=30)


@given(st.lists(_POINTS, min_size=1, max_size=4))
def test_the_whole_never_goes_back(drawn: list[list[tuple[int, int]]]) -> None:
    """And it ends with all that was done."""
    seen = [
        (float(second), Due((0, partition), offset))
        for partition, points in enumerate(drawn)
        for second, offset in points
    ]
    curve = total(curves_by_place(seen))

    assert [done for _, done in curve] == sorted(done for _, done in curve)
    assert curve[-1][1] == sum(max(offset for _, offset in points) + 1 for points in drawn)


def test_the_warm_up_is_not_measured() -> None:
    """Neither its events, nor its time, nor its CPU."""
    progress = [(0.0, 0.0), (10.0, 200.0), (12.0, 1_000.0)]
    cpu = [(0.0, 0.0), (10.0, 7.0), (12.0, 8.0), (15.0, 9.0)]

    assert measured(progress, cpu, 1_000, warm_share=0.2, memory_peak_mib=5.0) == Figures(
        events_per_second=400.0, cpu_seconds_per_million=1_250.0, memory_peak_mib=5.0, events=800, seconds=2.0
    )


@pytest.mark.parametrize("progress", [[], [(1.0, 100.0)], [(1.0, 1_000.0)]])
def test_what_came_at_once_or_not_at_all_has_no_speed(progress: list[tuple[float, float]]) -> None:
    """It is said, and no number made up."""
    with pytest.raises(UnmeasurableError):
        measured(progress, [(0.0, 0.0)], 1_000, warm_share=0.2, memory_peak_mib=5.0)


def test_a_ratio_is_that_of_runs_of_one_round() -> None:
    """A machine that was slow for a round was slow for both; a round without ours has none."""
    ours = {1: figures(100.0), 2: figures(50.0)}
    other = {1: figures(50.0), 2: figures(25.0), 3: figures(1.0)}

    found = summary("other", "at-least-once", other, ours)

    assert found.ours_is_times_as_fast == 2.0
    assert (found.events_per_second_least, found.events_per_second, found.events_per_second_most) == (
        1,
        25,
        50,
    )
    assert summary("other", "none", other, {}).ours_is_times_as_fast is None


def test_two_revisions_are_compared_round_by_round() -> None:
    """Least, median and most of the ratios; rounds in which only one ran do not count."""
    tree = {1: figures(100.0), 2: figures(50.0), 3: figures(30.0), 4: figures(1.0)}
    revision = {1: figures(50.0), 2: figures(50.0), 3: figures(10.0)}

    found = compared(tree, revision)

    assert found is not None
    assert found.rounds == 3
    assert found.events_per_second == (1.0, 2.0, 3.0)
    assert found.cpu == pytest.approx((1 / 3, 0.5, 1.0))
    assert compared(tree, {}) is None


def test_the_table_tells_who_is_absent_and_why() -> None:
    """The fastest stands first; nobody is left out in silence."""
    slow = summary("slow", "none", {1: figures(10.0)}, {})
    fast = summary("fast", "none", {1: figures(20.0)}, {1: figures(10.0)})

    lines = table([slow, fast], {"gone": "no such package"}).splitlines()

    assert [line.split(" ")[1] for line in lines[2:4]] == ["fast", "slow"]
    assert "| 0.50 |" in lines[2]
    assert lines[4] == "not measured: gone: no such package"
