"""From what was seen of runs to figures: how fast, how much CPU, how much memory. Pure: tested without a broker."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct

from tests.bench.contest.job import Due, Place

Curve = Sequence[tuple[float, float]]
"""(second, how much by then), neither ever falling."""


_CPU_LEAST = 1e-9
"""A run shorter than the kernel's clock ticks seems to cost nothing."""


class Figures(Struct, frozen=True):
    """One run of one system."""

    events_per_second: float
    cpu_seconds_per_million: float
    memory_peak_mib: float
    events: int
    """Measured: those of the warm-up are not in it."""
    seconds: float


class Summary(Struct, frozen=True):
    """All rounds of one system: medians, and the range of the speed."""

    system: str
    guarantee: str
    rounds: int
    events_per_second: float
    events_per_second_least: float
    events_per_second_most: float
    ours_is_times_as_fast: float | None
    """Median of the ratios of the rounds: both sides of each were measured within minutes. None without ours."""
    cpu_seconds_per_million: float
    memory_peak_mib: float


class UnmeasurableError(Exception):
    """What was seen does not tell a speed: the message says why."""


def curves_by_place(seen: Iterable[tuple[float, Due]]) -> dict[Place, list[tuple[float, float]]]:
    """How far each partition was at which second, from outputs in any order."""
    curves: dict[Place, list[tuple[float, float]]] = {}
    for second, due in sorted(seen):
        curve = curves.setdefault(due.place, [])
        done = float(due.offset + 1)
        if curve and curve[-1][0] == second:  # a batch has one time for all its records
            curve[-1] = (second, max(done, curve[-1][1]))
        elif not curve or done > curve[-1][1]:
            curve.append((second, done))
    return curves


def at(curve: Curve, second: float) -> float:
    """How much by then: on the line between the points before and after; before the first nothing, after the last all."""
    index = bisect_right(curve, (second, float("inf")))
    if index == 0:
        return 0.0
    left, low = curve[index - 1]
    if index == len(curve) or left == second:
        return low
    right, high = curve[index]
    return low + (high - low) * (second - left) / (right - left)


def total(curves: Mapping[Place, Curve]) -> list[tuple[float, float]]:
    """The curve of all partitions together."""
    seconds = sorted({second for curve in curves.values() for second, _ in curve})
    return [(second, sum(at(curve, second) for curve in curves.values())) for second in seconds]


def measured(
    progress: Curve, cpu: Curve, records: int, *, warm_share: float, memory_peak_mib: float
) -> Figures:
    """The figures of a run.

    Args:
        progress: records done by which second.
        cpu: CPU seconds used by which second.
        records: in the log.
        warm_share: of the records, done before the measuring begins.
        memory_peak_mib: as the kernel remembers it.

    Raises:
        UnmeasurableError: all was done at once.
    """
    warm = records * warm_share
    began = next((second for second, done in progress if done >= warm), None)
    if began is None:
        raise UnmeasurableError(f"it came no further than {progress[-1][1] if progress else 0:,.0f} records")
    ended, done = progress[-1]
    events, seconds = round(done - at(progress, began)), ended - began
    if seconds <= 0 or events <= 0:
        raise UnmeasurableError("everything behind the warm-up came at one instant: take more --events")
    return Figures(
        events_per_second=events / seconds,
        cpu_seconds_per_million=max(0.0, at(cpu, ended) - at(cpu, began)) / events * 1e6,
        memory_peak_mib=memory_peak_mib,
        events=events,
        seconds=seconds,
    )


def summary(
    system: str, guarantee: str, by_round: Mapping[int, Figures], ours_by_round: Mapping[int, Figures]
) -> Summary:
    """Of all rounds of a system; a ratio is that of two runs of the same round."""
    runs = list(by_round.values())
    speeds = [run.events_per_second for run in runs]
    ratio = compared(ours_by_round, by_round)
    return Summary(
        system=system,
        guarantee=guarantee,
        rounds=len(runs),
        events_per_second=median(speeds),
        events_per_second_least=min(speeds),
        events_per_second_most=max(speeds),
        ours_is_times_as_fast=None if ratio is None else ratio.events_per_second[1],
        cpu_seconds_per_million=median(run.cpu_seconds_per_million for run in runs),
        memory_peak_mib=median(run.memory_peak_mib for run in runs),
    )


class Comparison(Struct, frozen=True):
    """One system beside another, over the rounds in which both ran: (least, median, most) of the ratios."""

    rounds: int
    events_per_second: tuple[float, float, float]
    cpu: tuple[float, float, float]


def compared(one: Mapping[int, Figures], other: Mapping[int, Figures]) -> Comparison | None:
    """How many times as fast `one` is, and as expensive; None where they have no round in common."""
    both = [(one[number], other[number]) for number in one if number in other]
    if not both:
        return None
    return Comparison(
        len(both),
        _spread(left.events_per_second / right.events_per_second for left, right in both),
        _spread(
            left.cpu_seconds_per_million / max(right.cpu_seconds_per_million, _CPU_LEAST)
            for left, right in both
        ),
    )


def _spread(ratios: Iterable[float]) -> tuple[float, float, float]:
    ordered = sorted(ratios)
    return ordered[0], median(ordered), ordered[-1]


def table(summaries: Iterable[Summary], absent: Mapping[str, str]) -> str:
    """A table of all systems, the fastest first; below it who is absent, and why."""
    lines = [
        "| system | guarantee | rounds | events/s (least–most) | ours is × as fast | CPU s a million events | peak MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in sorted(summaries, key=lambda each: -each.events_per_second):
        ratio = "–" if one.ours_is_times_as_fast is None else f"{one.ours_is_times_as_fast:.2f}"
        lines.append(
            f"| {one.system} | {one.guarantee} | {one.rounds} | {one.events_per_second:,.0f} "
            f"({one.events_per_second_least:,.0f}–{one.events_per_second_most:,.0f}) | {ratio} "
            f"| {one.cpu_seconds_per_million:.1f} | {one.memory_peak_mib:,.0f} |"
        )
    lines += [f"not measured: {system}: {why}" for system, why in absent.items()]
    return "\n".join(lines)
