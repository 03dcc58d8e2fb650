"""The leader of a backtest: days go by, shards work through them, and what they say is put in order and written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from models.alerts import ChainHead, link_encoded
from models.calendars import DAY_MS, Calendar, day_of_date
from models.judging import CAPACITY_PER_DAY, Judge, JudgedAlert, Outcome, Truth
from models.learning_report import LearningReport
from models.policy import Policy
from models.report import Report, ScoreReport
from models.rulebook import SINCE_EVER_MS
from models.score_judging import score_report
from streams.backtest.learning import Learning, LearningLimits
from streams.backtest.messages import (
    Advance,
    Ahead,
    Finish,
    Hear,
    Look,
    Output,
    Request,
    Setting,
    Step,
    TakeUp,
    Told,
    Totals,
)
from streams.backtest.page import Judged, page
from streams.backtest.processes import LINES_PER_PROCESS_MIN, Crew, cores, crew, index, shard_of
from streams.backtest.shard import judged_alert
from streams.event_files import EventFolder, read_outcomes, read_truth, require_event_files

__all__ = ["ALERTS_FILE", "BacktestSummary", "judged_alert", "run"]

ALERTS_FILE: Final = "alerts.jsonl"
REJECTED_FILE: Final = "rejected.jsonl"
REPORT_FILE: Final = "report.json"
PAGE_FILE: Final = "report.html"
SCORES_FILE: Final = "scores.jsonl"
CARDS_FILE: Final = "scorecards.jsonl"
COMPARISON_FILE: Final = "comparison.json"
DIFFERENCES_FILE: Final = "differences.jsonl"
_FILES: Final = (
    ALERTS_FILE,
    REJECTED_FILE,
    REPORT_FILE,
    PAGE_FILE,
    SCORES_FILE,
    CARDS_FILE,
    COMPARISON_FILE,
    DIFFERENCES_FILE,
)

_ROWS_PER_STEP_MAX: Final = 16_384
"""Of a day with more rows, so many are taken at a time: bounds what is held in memory."""
_BYTES_PER_LINE_MIN: Final = 100
"""About the shortest event there is, for a guess at the number of lines."""

Progress = Callable[[int, int], None]
"""Called with lines done and lines in all."""

Hire = Callable[[EventFolder, Setting], AbstractContextManager[Crew]]
"""Brings the shards of a run together."""

_encode = msgspec.json.Encoder().encode


class BacktestSummary(Struct, frozen=True, kw_only=True):
    """What `report.json` holds."""

    lines: int
    """Lines read, blank ones left out."""
    events: int
    """Events accepted, heartbeats included, duplicates left out."""
    duplicates: int
    rejected: dict[str, int]
    """Lines rejected, by reason."""
    noticed: dict[str, int]
    """What was accepted and not used, or used with a word replaced by `other`, by name."""
    borrowers: int
    alerts: dict[str, dict[str, int]]
    """Revisions by signal and status."""
    policy_version: str
    """Of the last policy, where there were several."""
    model_version: str
    """Of the scorecard in force at the end."""
    judgement: Report | None
    """How good the alerts were, where the folder has `outcomes.jsonl`."""
    score: ScoreReport | None = None
    """How good the probabilities were, where the folder has it."""
    learning: LearningReport | None = None
    """What was learnt on the way; None where the expert prior was to stay."""


def run(
    folder: Path,
    out: Path,
    policy: Policy,
    *,
    now_ms: int,
    scores: bool = False,
    until: date | None = None,
    switches: Sequence[tuple[int, Policy]] = (),
    learning: LearningLimits | None = None,
    processes: int | None = None,
    capacity_per_day: int = CAPACITY_PER_DAY,
    progress: Progress | None = None,
    hire: Hire = crew,
) -> BacktestSummary:
    """Run the engine over `folder`; write alerts, rejects, report and maybe scores to `out`.

    Args:
        folder: event files as the contract describes them.
        out: created where it is missing; files of an earlier run are replaced.
        policy: judges all of it, up to the first of `switches`.
        now_ms: the time of the run: what lies a day beyond it is rejected, and alerts are stamped with it.
        scores: write `scores.jsonl`, a line an accepted event.
        until: set every feed's watermark at the end to the local midnight that ends this date.
        switches: policies that take its place, each from an instant (event time) on, as if published in this order.
        learning: when a scorecard comes of what was learnt; without it the expert prior scores from the first day to the last.
        processes: among which the borrowers are parted, which changes no byte of what is written; without it all cores,
            or fewer where the folder is small.
        capacity_per_day: borrowers that the team whose precision is told calls a day.
        progress: told now and then.
        hire: where the shards work.

    Raises:
        EventFilesError: the folder holds no events, or what is there cannot be read.
        BacktestError: a process ended before its work was done.
    """
    course = Course(
        now_ms=now_ms,
        scores=scores,
        until=until,
        learning=learning,
        capacity_per_day=capacity_per_day,
        progress=progress,
        hire=hire,
    )
    past = open_past(folder, now_ms, processes)
    return go_through(past, out, [(SINCE_EVER_MS, policy), *switches], course).summary


class Course(NamedTuple):
    """How a past is gone through, whatever policy judges it; each as in `run`."""

    now_ms: int
    scores: bool
    until: date | None
    learning: LearningLimits | None
    capacity_per_day: int
    progress: Progress | None
    hire: Hire


class Past(NamedTuple):
    """The events of a folder, parted, and what became of the borrowers."""

    lines: EventFolder
    processes: int
    outcomes: list[Outcome] | None
    truths: list[Truth] | None


class Gone(NamedTuple):
    """What came of going through."""

    summary: BacktestSummary
    judge: Judge | None
    """Of the alerts; None where there are no outcomes and nobody else asked for it."""


def open_past(folder: Path, now_ms: int, processes: int | None) -> Past:
    """Index the folder and read the truth.

    Raises:
        EventFilesError: the folder holds no events, or what is there cannot be read.
    """
    processes = processes or _processes_for(folder)
    return Past(index(folder, now_ms, processes), processes, read_outcomes(folder), read_truth(folder))


def go_through(
    past: Past, out: Path, policies: list[tuple[int, Policy]], course: Course, *, keep_alerts: bool = False
) -> Gone:
    """Let the policies judge it, each from its instant on; write all there is to say of it.

    Raises:
        BacktestError: a process ended before its work was done.
    """
    lines = past.lines
    setting = Setting(
        folder=str(lines.folder),
        shelf="",
        now_ms=course.now_ms,
        policies=policies,
        scores=course.scores,
        learns=course.learning is not None,
        shards=past.processes,
        shard=0,
    )
    make_room(out)
    with ExitStack() as stack:
        writer = _Writer(
            stack.enter_context((out / ALERTS_FILE).open("wb")),
            stack.enter_context((out / REJECTED_FILE).open("wb")),
            stack.enter_context((out / SCORES_FILE).open("wb")) if course.scores else None,
            keep_published=keep_alerts or past.outcomes is not None,
        )
        learning = (
            Learning(course.learning, stack.enter_context((out / CARDS_FILE).open("wb")))
            if course.learning is not None
            else None
        )
        shards = stack.enter_context(course.hire(lines, setting))
        leader = _Leader(shards, past.processes, writer, learning)
        leader.go_through(lines, course.progress)
        if course.until is not None:
            calendar = Calendar(policies[-1][1].time_zone)
            leader.advance(calendar.midnight_ms(day_of_date(course.until) + 1))
        totals = leader.finish(len(lines))
        learnt = None if learning is None else learning.report(policies[0][1].risk)
    if course.progress is not None:
        course.progress(len(lines), len(lines))
    judge = _judge(past, writer, totals, course) if keep_alerts or past.outcomes is not None else None
    judgement = None if judge is None or past.outcomes is None else judge.report()
    summary = _summary(len(lines), writer, totals, policies[-1][1], judgement, learnt)
    (out / REPORT_FILE).write_bytes(msgspec.json.format(_encode(summary), indent=2) + b"\n")
    judged = judged_by(summary)
    if judged.is_anything:
        (out / PAGE_FILE).write_text(page(judged), encoding="utf-8")
    return Gone(summary, judge)


def judged_by(summary: BacktestSummary) -> Judged:
    """What a page can show of a run."""
    return Judged(summary.judgement, summary.score, summary.learning)


def make_room(out: Path) -> None:
    """Create the folder, or remove from it what an earlier run wrote: not all of it would be written again."""
    out.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        (out / name).unlink(missing_ok=True)


def _judge(past: Past, writer: _Writer, totals: Sequence[Totals], course: Course) -> Judge:
    first_events = [total.first_event for total in totals if total.first_event is not None]
    judge = Judge(
        past.outcomes or (),
        past.truths,
        observed_from_ms=min(first_events)[1] if first_events else None,
        capacity_per_day=course.capacity_per_day,
    )
    for alert in writer.published:
        judge.add(alert)
    return judge


def _processes_for(folder: Path) -> int:
    """As many as there are cores, if there are lines enough for each."""
    size = sum(path.stat().st_size for _, path in require_event_files(folder))
    return max(1, min(cores(), size // (_BYTES_PER_LINE_MIN * LINES_PER_PROCESS_MIN)))


class _Step(NamedTuple):
    """Rows of one day that are taken at once."""

    begin: int
    end: int
    begins_day: bool


def _steps(lines: EventFolder) -> Iterator[_Step]:
    """All rows, by the day of their delivery (UTC), in parts where a day has many."""
    days = lines.columns.places // DAY_MS
    turns = (np.flatnonzero(np.diff(days)) + 1).tolist()
    for first, last in pairwise([0, *turns, len(lines)]):
        for begin in range(first, last, _ROWS_PER_STEP_MAX):
            yield _Step(begin, min(begin + _ROWS_PER_STEP_MAX, last), begin == first)


class _Leader:
    """Has all shards take the same steps; between two days linked borrowers hear of each other, and scorecards are taken up."""

    def __init__(self, shards: Crew, count: int, writer: _Writer, learning: Learning | None) -> None:
        self._shards = shards
        self._all = range(count)
        self._shard_of = shard_of(count)
        self._writer = writer
        self._learning = learning
        self._told: list[Told] = []
        self._heard = 0

    def go_through(self, lines: EventFolder, progress: Progress | None) -> None:
        """Take all rows. While the shards take a step, what came of the one before is written and learnt from."""
        steps = list(_steps(lines))
        if not steps:
            return
        ahead = _joined(self._ask_all(Look(steps[0].end)))
        for step, following in zip(steps, [*steps[1:], steps[-1]], strict=True):
            if step.begins_day:
                self._turn_day(step.begin)
            for shard in self._all:
                self._shards.tell(shard, Step(ahead, following.end))
            self._writer.write()
            if self._learning is not None:
                self._learning.catch_up()
            ahead = _joined(self._taken(self._all))
            if progress is not None:
                progress(step.end, len(lines))

    def advance(self, watermark_ms: int) -> None:
        """Every feed is complete up to an instant."""
        self._ask_all(Advance(watermark_ms))

    def finish(self, rows: int) -> list[Totals]:
        """Let linked borrowers hear what is left to say, and write the rest."""
        self._let_hear(rows + 1)
        self._writer.write()
        for shard in self._all:
            self._shards.tell(shard, Finish())
        return [self._shards.totals_of(shard) for shard in self._all]

    def _turn_day(self, row: int) -> None:
        """Between two days all shards stand at the same row: what is to hold for all alike from then on is told here."""
        self._let_hear(row)
        if self._learning is not None:
            self._take_up_card(self._learning)

    def _take_up_card(self, learning: Learning) -> None:
        card = learning.turn_day()
        if card is not None:
            outputs = self._ask_all(TakeUp(card.number, card.card, card.effective_from_ms))
            starts_ms = {output.card_from_ms for output in outputs}
            (from_ms,) = starts_ms
            assert from_ms is not None, "a shard was asked to take a card up"
            learning.takes_effect(card.number, from_ms)

    def _let_hear(self, row: int) -> None:
        """Have linked borrowers hear what the others tell, and their answers, until nobody has anything to say."""
        while self._told:
            told = sorted(self._told, key=_place_of)
            self._told.clear()
            messages: dict[int, Hear] = {}
            for number, message in enumerate(told, start=self._heard):
                hear = messages.setdefault(self._shard_of(message.receiver), Hear(row, []))
                hear.messages.append((number, message.receiver, message.message))
            self._heard += len(told)
            for shard, hear in messages.items():
                self._shards.tell(shard, hear)
            self._taken(messages)

    def _ask_all(self, request: Request) -> list[Output]:
        for shard in self._all:
            self._shards.tell(shard, request)
        return self._taken(self._all)

    def _taken(self, asked: Iterable[int]) -> list[Output]:
        outputs = [self._shards.output_of(shard) for shard in asked]
        for output in outputs:
            self._told += output.told
            if self._learning is not None:
                self._learning.keep(output.examples)
            self._writer.take(output)
        return outputs


def _joined(outputs: Sequence[Output]) -> Ahead:
    return Ahead(
        [row for output in outputs for row in output.ahead.rejected],
        [row for output in outputs for row in output.ahead.nameless],
    )


def _place_of(said: Told) -> tuple[object, ...]:
    return said.place


class _Writer:
    """Puts what the shards say in order, chains the alerts, and writes."""

    def __init__(
        self, alerts: IO[bytes], rejected: IO[bytes], scores: IO[bytes] | None, *, keep_published: bool
    ) -> None:
        """`keep_published`: whether the alerts are to be judged at the end."""
        self._alerts, self._rejected, self._scores = alerts, rejected, scores
        self._waiting: list[Output] = []
        self._head = ChainHead()
        self._keep_published = keep_published
        self.published: list[JudgedAlert] = []
        self.reject_counts: Counter[str] = Counter()
        self.alert_counts: dict[str, Counter[str]] = {}

    def take(self, output: Output) -> None:
        """Keep what came of a request until `write`."""
        self._waiting.append(output)

    def write(self) -> None:
        """Write all that was taken; nothing that is taken later comes before it."""
        outputs, self._waiting = self._waiting, []
        emitted = [alert for output in outputs for alert in output.alerts]
        emitted.sort(key=lambda alert: alert.place)
        for alert in emitted:
            line, self._head = link_encoded(alert.alert, self._head)
            self._alerts.write(line + b"\n")
            self.alert_counts.setdefault(alert.judged.signal, Counter())[alert.judged.status] += 1
            if self._keep_published:
                self.published.append(alert.judged)
        for _, reason, line in sorted(refused for output in outputs for refused in output.rejected):
            self._rejected.write(line + b"\n")
            self.reject_counts[reason] += 1
        if self._scores is not None:
            for _, line in sorted(score for output in outputs for score in output.scores):
                self._scores.write(line + b"\n")


def _summary(
    lines: int,
    writer: _Writer,
    totals: Sequence[Totals],
    policy: Policy,
    judgement: Report | None,
    learning: LearningReport | None,
) -> BacktestSummary:
    """What came of it all."""
    noticed: Counter[str] = Counter()
    for total in totals:
        noticed.update(total.noticed)
    return BacktestSummary(
        lines=lines,
        events=sum(total.events for total in totals),
        duplicates=sum(total.duplicates for total in totals),
        rejected=dict(sorted(writer.reject_counts.items())),
        noticed={name: count for name, count in sorted(noticed.items()) if count},
        borrowers=sum(total.borrowers for total in totals),
        alerts={
            signal: dict(sorted(counts.items())) for signal, counts in sorted(writer.alert_counts.items())
        },
        policy_version=policy.version,
        model_version=totals[0].model_version,
        judgement=judgement,
        score=score_report((total.score_counts for total in totals), totals[0].horizon_days)
        if judgement is not None
        else None,
        learning=learning,
    )
