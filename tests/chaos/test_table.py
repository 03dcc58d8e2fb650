"""The table sums up cycles by fault."""

from __future__ import annotations

from tests.chaos.journal import Finished, Parameters
from tests.chaos.table import markdown_table

FAULTS = ("kill -9", "zombie", "leader change")


def finished(number: int, fault: str, pause_ms: int, problems: list[str]) -> Finished:
    """A cycle of a thousand events."""
    return Finished(
        parameters=Parameters(3, 1, FAULTS),
        cycle=number,
        fault=fault,
        events=1_000,
        alerts=10,
        missing=len(problems),
        doubled=0,
        different=0,
        pause_ms=pause_ms,
        restarts=2,
        seconds=20.0,
        problems=problems,
        evidence=None,
    )


def test_a_line_for_each_fault_that_ran_and_one_for_all() -> None:
    """Sums, but of the pauses the longest; a failed cycle is told."""
    cycles = [
        finished(0, "zombie", 900, []),
        finished(1, "kill -9", 6_120, []),
        finished(2, "kill -9", 7_480, ["lost"]),
    ]

    assert markdown_table(cycles, FAULTS).splitlines() == [
        "| fault | cycles | events | missing | doubled | longest pause (s) | restarts |",
        "|---|--:|--:|--:|--:|--:|--:|",
        "| kill -9 | 2 (1 failed) | 2,000 | 1 | 0 | 7.5 | 4 |",
        "| zombie | 1 | 1,000 | 0 | 0 | 0.9 | 2 |",
        "| **all** | 3 (1 failed) | 3,000 | 1 | 0 | 7.5 | 6 |",
    ]
