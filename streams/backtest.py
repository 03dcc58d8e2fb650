"""`forewarn backtest`: the engine on a folder of events, without Kafka, in the order in which they were delivered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec import Struct

from models.alerts import Alert
from models.calendars import DAY_MS, day_of_date
from models.engine import RiskEngine
from models.events import TOPICS, Heartbeat
from models.judging import Judge, JudgedAlert
from models.policy import Policy
from models.report import Report
from models.risk.scorecard import expert_prior, tier_of
from models.rules import Rules
from streams.codec import Reject
from streams.event_files import EventFolder, Line, read_outcomes, read_truth

ALERTS_FILE: Final = "alerts.jsonl"
REJECTED_FILE: Final = "rejected.jsonl"
REPORT_FILE: Final = "report.json"
SCORES_FILE: Final = "scores.jsonl"

_NO_DAY: Final = -1
_LINES_PER_FLUSH: Final = 8192
"""Lines between two writes of what came of them: bounds what is held in memory."""

Progress = Callable[[int, int], None]
"""Called with lines done and lines in all."""

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
    judgement: Report | None
    """How good the alerts were, where the folder has `outcomes.jsonl`."""


class _Score(Struct, frozen=True, gc=False):
    event_id: str
    borrower_id: str
    event_time_ms: int
    probability: float
    tier: str
    model_version: str


class _Rejected(Struct, frozen=True, gc=False, omit_defaults=True):
    file: str
    line: int
    reason: str
    raw: str
    raw_base64: bytes | None = None
    """The exact bytes, where they are no UTF-8 and `raw` shows escapes instead."""


def run(
    folder: Path,
    out: Path,
    policy: Policy,
    *,
    now_ms: int,
    scores: bool = False,
    until: date | None = None,
    switches: Sequence[tuple[int, Policy]] = (),
    progress: Progress | None = None,
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
        progress: told now and then.

    Raises:
        EventFilesError: the folder holds no events, or what is there cannot be read.
    """
    lines = EventFolder(folder, now_ms)
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as files:
        alerts = files.enter_context((out / ALERTS_FILE).open("wb"))
        rejected = files.enter_context((out / REJECTED_FILE).open("wb"))
        score_lines = files.enter_context((out / SCORES_FILE).open("wb")) if scores else None
        backtest = _Backtest(folder, policy, now_ms, alerts, rejected, score_lines)
        for number, (effective_from_ms, following) in enumerate(switches, start=1):
            backtest.switch(number, following, effective_from_ms)
        for done, line in enumerate(lines, start=1):
            backtest.take(line)
            if done % _LINES_PER_FLUSH == 0:
                backtest.flush()
                if progress is not None:
                    progress(done, len(lines))
        if until is not None:
            backtest.advance_until(until)
        backtest.finish()
        backtest.flush()
    if progress is not None:
        progress(len(lines), len(lines))
    summary = backtest.summary(lines.unknown_words)
    (out / REPORT_FILE).write_bytes(msgspec.json.format(_encode(summary), indent=2) + b"\n")
    return summary


class _Backtest:
    """One run: the engine, what it is judged by, and where its output goes."""

    def __init__(
        self,
        folder: Path,
        policy: Policy,
        now_ms: int,
        alerts: IO[bytes],
        rejected: IO[bytes],
        scores: IO[bytes] | None,
    ) -> None:
        self._rules = Rules(policy)
        self._card = expert_prior()
        self._engine = RiskEngine(self._rules, self._card)
        self._now_ms = now_ms
        self._alerts, self._rejected, self._scores = alerts, rejected, scores
        self._offsets = [0] * len(TOPICS)
        self._first_event_ms: int | None = None
        self._day = _NO_DAY
        """Of delivery (UTC): at its turn linked borrowers hear of each other."""
        self._heard = 0
        self._reject_counts: Counter[str] = Counter()
        self._alert_counts: dict[str, Counter[str]] = {}
        self._lines = self._events = 0
        outcomes = read_outcomes(folder)
        self._truth = read_truth(folder)
        self._outcomes = outcomes
        self._published: list[JudgedAlert] = []

    def switch(self, number: int, policy: Policy, effective_from_ms: int) -> None:
        """Have another policy judge from an instant on."""
        self._rules = Rules(policy)
        self._engine.adopt(number, self._rules, effective_from_ms)

    def take(self, line: Line) -> None:
        """Feed one delivered line to the engine."""
        self._lines += 1
        day = line.place_ms // DAY_MS
        if day > self._day:
            self._exchange()
            self._day = day
        feed = line.topic_index
        offset = self._offsets[feed]
        self._offsets[feed] = offset + 1
        content = line.content
        if isinstance(content, Reject):
            self._reject(line, content.reason)
            if content.borrower_id is not None:
                self._engine.note_reject(
                    feed, content.borrower_id, content.event_id, content.event_time_ms, offset
                )
            return
        duplicates_before = self._engine.counts["duplicates"]
        refused = self._engine.process(content, feed, offset)
        if refused is not None:
            self._reject(line, refused)
        elif self._engine.counts["duplicates"] == duplicates_before:
            self._events += 1
            if self._first_event_ms is None:
                self._first_event_ms = content.event_time_ms
            if self._scores is not None and not isinstance(content, Heartbeat):
                self._write_score(content.event_id, content.borrower_id, content.event_time_ms)

    def advance_until(self, until: date) -> None:
        """The world has told us everything up to the end of this date."""
        midnight_ms = self._rules.calendar.midnight_ms(day_of_date(until) + 1)
        self._engine.advance_together(dict.fromkeys(range(len(TOPICS)), midnight_ms))

    def finish(self) -> None:
        """Let linked borrowers hear what is left to say."""
        self._exchange()

    def _exchange(self) -> None:
        """Deliver what linked borrowers tell each other, and their answers, until nobody has anything to say."""
        while messages := self._engine.take_messages():
            for told in messages:
                self._engine.hear(told.receiver, told.message, self._heard)
                self._heard += 1

    def flush(self) -> None:
        """Write the alerts so far."""
        for alert in self._engine.take_alerts(self._now_ms):
            self._alerts.write(_encode(alert) + b"\n")
            self._alert_counts.setdefault(alert.signal, Counter())[alert.status] += 1
            if self._outcomes is not None:
                self._published.append(judged_alert(alert))

    def summary(self, unknown_words: Counter[str]) -> BacktestSummary:
        """What came of it all."""
        noticed = {
            name: count for name, count in self._engine.counts.items() if name != "duplicates" and count
        }
        noticed |= {f"unknown_word.{field}": count for field, count in unknown_words.items()}
        return BacktestSummary(
            lines=self._lines,
            events=self._events,
            duplicates=self._engine.counts["duplicates"],
            rejected=dict(sorted(self._reject_counts.items())),
            noticed=dict(sorted(noticed.items())),
            borrowers=self._engine.borrower_count,
            alerts={
                signal: dict(sorted(counts.items())) for signal, counts in sorted(self._alert_counts.items())
            },
            policy_version=self._rules.policy_version,
            model_version=self._card.version,
            judgement=self._judge(),
        )

    def _judge(self) -> Report | None:
        if self._outcomes is None:
            return None
        judge = Judge(self._outcomes, self._truth, observed_from_ms=self._first_event_ms)
        for alert in self._published:
            judge.add(alert)
        return judge.report()

    def _reject(self, line: Line, reason: str) -> None:
        self._reject_counts[reason] += 1
        try:
            rejected = _Rejected(line.file, line.number, reason, line.raw.decode())
        except UnicodeDecodeError:
            shown = line.raw.decode(errors="backslashreplace")
            rejected = _Rejected(line.file, line.number, reason, shown, line.raw)
        self._rejected.write(_encode(rejected) + b"\n")

    def _write_score(self, event_id: str, borrower_id: str, event_time_ms: int) -> None:
        assert self._scores is not None
        if self._engine.borrower(borrower_id) is None:
            return  # erased by this very event: there is nobody left to score
        probability = self._engine.probability(borrower_id, event_time_ms)
        score = _Score(
            event_id,
            borrower_id,
            event_time_ms,
            probability,
            tier_of(probability, self._engine.rules_at(event_time_ms)),
            self._card.version,
        )
        self._scores.write(_encode(score) + b"\n")


def judged_alert(alert: Alert) -> JudgedAlert:
    """What judging needs to know of an alert."""
    return JudgedAlert(
        alert_id=alert.alert_id,
        revision=alert.revision,
        status=alert.status,
        signal=alert.signal,
        severity=alert.severity,
        borrower_id=alert.borrower_id,
        event_time_ms=alert.event_time_ms,
        opened_at_ms=alert.opened_at_ms,
        days_past_due=alert.exposure.days_past_due,
        priority=alert.priority,
    )
