"""The example subscribers on a real Kafka: killed amid their work, sent everything twice, they decide once, and the same."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.alerts import Alert, Reason, Text
from streams.kafka.local import Broker
from streams.topics import TopicNames
from tests.support import alert_samples
from tests.support.processes import wait_until
from tests.support.publishing import publish
from tests.support.subscribers import java_subscriber, python_subscriber
from tests.support.world import KafkaWorld, settings_for

pytestmark = pytest.mark.kafka

ERASED = "b-erased"
SUBSCRIBERS: dict[str, Callable[..., list[str]]] = {"java": java_subscriber, "python": python_subscriber}


def revisions() -> list[Alert]:
    """Of every signal, each revision once; some held, some for a person, one that leaves a gap, and one borrower erased."""
    by_place = {(alert.alert_id, alert.revision): alert for alert in alert_samples.alerts()}
    made = list(by_place.values())
    held, asked, gap, kept = made[0], made[2], made[4], made[1]
    made[0] = with_advice(held, actionable=False, hold="dispute")
    made[2] = with_advice(asked, actionable=True, human_review_required=True)
    made[4] = msgspec.structs.replace(gap, revision=gap.revision + 7)
    theirs = msgspec.structs.replace(kept, borrower_id=ERASED, alert_id="e" * 32, revision=1)
    why = (Reason("ERASED", Text("Erased.", "已删除。"), {}),)
    return [*made, theirs, msgspec.structs.replace(theirs, revision=2, status="retracted", reasons=why)]


def with_advice(alert: Alert, **changes: Any) -> Alert:
    """Another recommendation."""
    return msgspec.structs.replace(
        alert, recommendation=msgspec.structs.replace(alert.recommendation, **changes)
    )


def expected_of(alerts: Sequence[Alert]) -> dict[str, list[tuple[Any, ...]]]:
    """What a collections service does about them, told by rules of the read-me alone."""
    tasks: dict[str, list[tuple[Any, ...]]] = {}
    highest: dict[str, int] = {}
    for alert in alerts:
        before = highest.get(alert.alert_id, 0)
        if alert.revision <= before:
            continue
        highest[alert.alert_id] = alert.revision
        todo, missed = alert.recommendation, alert.revision - before - 1
        decided = ("do", todo.hold)
        if todo.human_review_required:
            decided = ("ask", todo.hold)
        if not todo.actionable:
            decided = ("wait", todo.hold)
        if alert.status in ("resolved", "retracted"):
            decided = ("close", alert.status)
        row: tuple[Any, ...] = (alert.revision, missed, alert.borrower_id, *decided, todo.stage)
        if alert.borrower_id == ERASED:
            row = (alert.revision, 0, None, "erase", None, None)
        tasks.setdefault(alert.alert_id, []).append(row)
    return tasks


def decided(journal: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What a subscriber has written, whole lines only."""
    tasks: dict[str, list[tuple[Any, ...]]] = {}
    text = journal.read_text() if journal.exists() else ""
    for line in text[: text.rfind("\n") + 1].splitlines():
        task = json.loads(line)
        fields = ("revision", "missed", "borrower_id", "task", "why", "stage")
        tasks.setdefault(task["alert_id"], []).append(tuple(task[field] for field in fields))
    return tasks


@contextmanager
def running(lines: Sequence[list[str]], said: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes, killed at the end; what they say on standard error goes to a file."""
    with said.open("ab") as stream:
        processes = [subprocess.Popen(line, stderr=stream) for line in lines]
        try:
            yield processes
        finally:
            for process in processes:
                process.kill()
                process.wait()


def test_the_subscribers_decide_once_about_each_revision_and_both_the_same(
    broker: Broker, tmp_path: Path
) -> None:
    """SIGKILL amid the work and half a line at the end; then everything once more, and what was taken back is never seen."""
    settings = settings_for("subscriber", broker.bootstrap_servers)
    world = KafkaWorld(settings)
    alerts = revisions()
    half, expected = len(alerts) // 2, expected_of(alerts)
    never = msgspec.structs.replace(alerts[0], alert_id="f" * 32, revision=1)
    topic, said = TopicNames(settings.topic_prefix).alerts, tmp_path / "said"
    journals = {name: tmp_path / f"{name}.jsonl" for name in SUBSCRIBERS}
    lines = [make(broker.bootstrap_servers, topic, journals[name]) for name, make in SUBSCRIBERS.items()]

    def have(journals_say: Callable[[Path], bool], processes: Sequence[subprocess.Popen[bytes]]) -> bool:
        ended = any(process.poll() is not None for process in processes)
        return ended or all(journals_say(journal) for journal in journals.values())

    asyncio.run(publish(world, alerts[:half]))
    with running(lines, said) as processes:
        wait_until(lambda: have(lambda journal: bool(decided(journal)), processes), "the first decisions")
    for journal in journals.values():
        with journal.open("a") as torn:
            torn.write('{"alert_id": "to')

    asyncio.run(publish(world, [never], commits=False))
    asyncio.run(publish(world, [*alerts[half:], *alerts]))
    with running(lines, said) as processes:
        wait_until(lambda: have(lambda journal: decided(journal) == expected, processes), "every decision")
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=30)

    for journal in journals.values():
        assert decided(journal) == expected, said.read_text()
        assert ERASED not in journal.read_text()
    assert {row[3] for rows in expected.values() for row in rows} == {"do", "wait", "ask", "close", "erase"}
