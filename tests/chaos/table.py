"""The finished cycles as a table in Markdown, a line for each fault."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.chaos.journal import Finished

_HEAD = ("fault", "cycles", "events", "missing", "doubled", "longest pause (s)", "restarts")


def markdown_table(cycles: Iterable[Finished], faults: Sequence[str]) -> str:
    """Cycles summed up by fault, in the order of `faults`; those that did not run have no line."""
    by_fault: dict[str, list[Finished]] = {fault: [] for fault in faults}
    for cycle in cycles:
        by_fault.setdefault(cycle.fault, []).append(cycle)
    rows = [_row(fault, own) for fault, own in by_fault.items() if own]
    everything = [cycle for own in by_fault.values() for cycle in own]
    if everything:
        rows.append(_row("**all**", everything))
    lines = [_line(_HEAD), "|---" + "|--:" * (len(_HEAD) - 1) + "|", *map(_line, rows)]
    return "\n".join(lines)


def _row(fault: str, cycles: Sequence[Finished]) -> tuple[str, ...]:
    failed = sum(not cycle.passed for cycle in cycles)
    return (
        fault,
        f"{len(cycles)}" + (f" ({failed} failed)" if failed else ""),
        f"{sum(cycle.events for cycle in cycles):,}",
        f"{sum(cycle.missing for cycle in cycles)}",
        f"{sum(cycle.doubled for cycle in cycles)}",
        f"{max(cycle.pause_ms for cycle in cycles) / 1000:.1f}",
        f"{sum(cycle.restarts for cycle in cycles)}",
    )


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
