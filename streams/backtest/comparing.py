"""Two policies on the same past: one after the other goes through it, then what they said is held against each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from models.comparing import Run, compare
from models.comparison import Comparison, Difference, Sides
from models.judging import CAPACITY_PER_DAY
from models.policy import Policy
from models.rulebook import SINCE_EVER_MS
from streams.backtest.learning import LearningLimits
from streams.backtest.page import comparison_page
from streams.backtest.processes import crew
from streams.backtest.run import (
    COMPARISON_FILE,
    DIFFERENCES_FILE,
    PAGE_FILE,
    Course,
    Gone,
    Hire,
    Progress,
    go_through,
    judged_by,
    make_room,
    open_past,
)

FOLDERS: Final = ("a", "b")
"""Within the folder for what comes out: what each policy wrote, as if it had been alone."""

_encode = msgspec.json.Encoder().encode


class NamedPolicy(NamedTuple):
    """A policy, and what people call it."""

    name: str
    policy: Policy


def compare_policies(
    folder: Path,
    out: Path,
    a: NamedPolicy,
    b: NamedPolicy,
    *,
    now_ms: int,
    scores: bool = False,
    until: date | None = None,
    learning: LearningLimits | None = None,
    processes: int | None = None,
    capacity_per_day: int = CAPACITY_PER_DAY,
    progress: Progress | None = None,
    hire: Hire = crew,
) -> Comparison:
    """Let each policy judge the events of `folder`, and tell how what they said differs.

    `out` gets `comparison.json`, `differences.jsonl` (the alerts that differ) and `report.html`; its folders `a` and `b` get what
    a run of either policy alone writes. All is the same for any number of processes.

    Args:
        folder: as for `run`, and so is what is not named here.
        out: created where it is missing; files of an earlier run are replaced.
        a: the policy on the one side.
        b: the policy on the other.
        now_ms: the time of the run, for both.
        scores: write `scores.jsonl` of either.
        until: set every feed's watermark at the end to the midnight that ends this date, local to each policy.
        learning: as for `run`; each policy learns for itself, for another one observes and labels otherwise.
        processes: among which the borrowers are parted.
        capacity_per_day: borrowers that the team whose precision is told calls a day.
        progress: told now and then; each line counts twice.
        hire: where the shards work.

    Raises:
        EventFilesError: the folder holds no events, or what is there cannot be read.
        BacktestError: a process ended before its work was done.
    """
    past = open_past(folder, now_ms, processes)
    make_room(out)
    gone: list[Gone] = []
    for number, (name, judging) in enumerate(zip(FOLDERS, (a, b), strict=True)):
        told = None if progress is None else _part_of(progress, number, len(FOLDERS))
        course = Course(
            now_ms=now_ms,
            scores=scores,
            until=until,
            learning=learning,
            capacity_per_day=capacity_per_day,
            progress=told,
            hire=hire,
        )
        policies = [(SINCE_EVER_MS, judging.policy)]
        gone.append(go_through(past, out / name, policies, course, keep_alerts=True))
    comparison, differences = compare(_run_of(a, gone[0]), _run_of(b, gone[1]))
    _write(out, comparison, differences, gone)
    return comparison


def _part_of(progress: Progress, number: int, parts: int) -> Progress:
    """Lines done of one part, told as lines done of all parts."""
    return lambda done, total: progress(number * total + done, parts * total)


def _run_of(judging: NamedPolicy, gone: Gone) -> Run:
    assert gone.judge is not None, "its alerts were to be kept"
    return Run(
        judging.name,
        judging.policy,
        gone.judge,
        gone.summary.judgement,
        gone.summary.score,
        gone.summary.learning,
    )


def _write(
    out: Path, comparison: Comparison, differences: Sequence[Difference], gone: Sequence[Gone]
) -> None:
    (out / COMPARISON_FILE).write_bytes(msgspec.json.format(_encode(comparison), indent=2) + b"\n")
    with (out / DIFFERENCES_FILE).open("wb") as lines:
        for difference in differences:
            lines.write(_encode(difference) + b"\n")
    a, b = (judged_by(one.summary) for one in gone)
    (out / PAGE_FILE).write_text(comparison_page(comparison, Sides(a, b)), encoding="utf-8")
