"""What came of a demo: everything read back as a collections service would, and judged."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from msgspec import Struct

from models.judging import Judge
from models.report import Report
from streams.backtest import judged_alert
from streams.clock import Clock
from streams.codec import Reject
from streams.demo.options import DemoOptions, Ran
from streams.event_files import EventFolder, read_outcomes, read_truth


class DemoSummary(Struct, frozen=True, kw_only=True):
    """What came of it."""

    kafka: str
    """Bootstrap servers, or "memory"."""
    topic_prefix: str
    group_id: str
    partitions: int
    workers: int
    events: int
    """Lines sent, those that were rejected included."""
    heartbeats: int
    seconds: float
    """From the first record in Kafka until everything was processed and committed."""
    events_per_second: float
    alerts: dict[str, dict[str, int]]
    """Revisions by signal and status, read back `read_committed`."""
    dead_letters: int
    judgement: Report | None
    """Against outcomes.jsonl and truth.jsonl, where the folder has them."""


def summarise(ran: Ran, options: DemoOptions, clock: Clock) -> DemoSummary:
    """Count and judge the alerts.

    Raises:
        EventFilesError: outcomes.jsonl or truth.jsonl cannot be read.
    """
    counts: dict[str, Counter[str]] = {}
    judge = _judge_of(ran, clock)
    for alert in ran.alerts():
        counts.setdefault(alert.signal, Counter())[alert.status] += 1
        if judge is not None:
            judge.add(judged_alert(alert))
    return DemoSummary(
        kafka=ran.kafka,
        topic_prefix=ran.topic_prefix,
        group_id=ran.group_id,
        partitions=options.partitions,
        workers=ran.workers,
        events=ran.lines,
        heartbeats=ran.heartbeats,
        seconds=round(ran.seconds, 1),
        events_per_second=round(ran.lines / ran.seconds, 1) if ran.seconds else 0.0,
        alerts={signal: dict(sorted(statuses.items())) for signal, statuses in sorted(counts.items())},
        dead_letters=ran.dead_letters(),
        judgement=None if judge is None else judge.report(),
    )


def _judge_of(ran: Ran, clock: Clock) -> Judge | None:
    outcomes = read_outcomes(ran.folder)
    if outcomes is None:
        return None
    return Judge(outcomes, read_truth(ran.folder), observed_from_ms=_first_event_ms(ran.folder, clock))


def _first_event_ms(folder: Path, clock: Clock) -> int | None:
    """When the observation began: the first event that was delivered and accepted."""
    for line in EventFolder(folder, clock.now_ms()):
        if not isinstance(line.content, Reject):
            return line.content.event_time_ms
    return None
