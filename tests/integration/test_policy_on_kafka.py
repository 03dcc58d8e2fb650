"""A policy published, and gone back from, by the command line while a worker on a real Kafka replays: no restart."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.alerts import Alert
from models.policy import default_policy, parse_policy
from streams import backtest
from streams.bootstrap import build_pipeline
from streams.clock import SystemClock
from streams.kafka.local import Broker
from streams.metrics import PlainMetrics
from streams.pipeline import Pipeline
from streams.settings import Settings
from streams.topics import TopicNames
from tests.support.equality import by_borrower
from tests.support.events import at
from tests.support.late_payers import late_payers, records, write_book
from tests.support.workload import Produced, alerts_of
from tests.support.world import KafkaWorld, read_kafka, settings_for

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120.0
STRICTER = "[signals.missed_payment]\nseverity = { warning = 3 }\n"
SEVERITY = "signals.missed_payment.severity.warning"


async def command(settings: Settings, *arguments: str | Path, fails: bool = False) -> str:
    """Run a command as an operator does; return what it says."""
    environment = {
        "FOREWARN_BROKER": settings.broker,
        "FOREWARN_TOPIC_PREFIX": settings.topic_prefix,
        "PYTHONPATH": str(ROOT),
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "streams.cli", *map(str, arguments)],
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


async def command_json(settings: Settings, *arguments: str | Path) -> Any:
    """Run a command that prints one JSON document."""
    return json.loads(await command(settings, *arguments, "--json"))


async def produce(world: KafkaWorld, produced: list[Produced]) -> None:
    """Write records, each partition in order."""
    for record in produced:
        topic = world.names.inputs[record.feed]
        await world.produce(topic, record.partition, [record.value], key=record.key)


async def taken(metrics: PlainMetrics, count: int) -> None:
    """Wait until the worker has taken up so many publications."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while metrics.counters["policies", "taken"] < count:  # noqa: ASYNC110 - a figure, and no event, tells
            await asyncio.sleep(0.05)


async def processed_up_to(pipeline: Pipeline, tasks: int, end_ms: int) -> None:
    """Wait until every task has passed an instant on every feed, and committed."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(pipeline.tasks) < tasks or not all(  # noqa: ASYNC110 - where it stands is all it shows
            min(task.engine.progress().watermarks_ms) >= end_ms and not task.dirty
            for task in pipeline.tasks.values()
        ):
            await asyncio.sleep(0.05)


def test_a_policy_is_published_and_rolled_back_while_a_worker_replays(broker: Broker, tmp_path: Path) -> None:
    """Diff, dry run, history, refusal; the alerts bear the versions, and are those of a backtest with the same switches."""
    settings = settings_for(
        "policy", broker.bootstrap_servers, clock="event", policy_poll_interval_ms=100, commit_interval_ms=20
    )
    world = KafkaWorld(settings)
    parts = late_payers(("2025-03-30", "2025-05-30"))
    default, stricter = default_policy(), parse_policy(STRICTER, "stricter.toml")
    file, bad_file = tmp_path / "stricter.toml", tmp_path / "bad.toml"
    file.write_text(STRICTER)
    bad_file.write_text("[signals.missed_payment]\ngrace_dayz = 1\n")
    shipped = tmp_path / "shipped.toml"
    shipped.write_text("")
    began_ms, ended_ms = at("2025-04-01", "00:00"), at("2025-06-01", "00:00")

    async def main() -> PlainMetrics:
        metrics = PlainMetrics()
        published = await command_json(settings, "policy", "publish", shipped, "--yes")
        assert (published["version"], published["effective_from_ms"]) == (default.version, None)
        pipeline = build_pipeline(settings, metrics)
        run = asyncio.create_task(pipeline.run())
        await produce(world, records(parts.events[0], parts.ends_ms[0], settings.partitions))
        await taken(metrics, 1)

        assert "did you mean signals.missed_payment.grace_days?" in await command(
            settings, "policy", "publish", bad_file, "--yes", fails=True
        )
        effective = ("--effective-from", "2025-04-01")
        dry = await command(settings, "policy", "publish", file, *effective, "--dry-run")
        assert f"{SEVERITY}: 7 -> 3" in dry
        assert "nothing published" in dry
        await command(settings, "policy", "publish", file, *effective, "--yes")
        await taken(metrics, 2)
        await produce(world, records(parts.events[1], parts.ends_ms[1], settings.partitions))

        back = await command_json(settings, "policy", "rollback", "--effective-from", str(ended_ms), "--yes")
        assert back["version"] == default.version
        assert back["changes"] == [{"key": SEVERITY, "old": 3, "new": 7}]
        await taken(metrics, 3)
        await produce(world, records(parts.events[2], parts.ends_ms[2], settings.partitions))
        await produce(world, records([], parts.ends_ms[2] + 1, settings.partitions))
        await processed_up_to(pipeline, settings.partitions, parts.ends_ms[2])
        pipeline.stop()
        await run
        return metrics

    async def history() -> list[dict[str, Any]]:
        told: dict[str, list[dict[str, Any]]] = await command_json(settings, "policy", "history")
        return told["publications"]

    metrics = asyncio.run(main())
    told = asyncio.run(history())
    assert [(one["number"], one["version"], one["effective_from_ms"], one["phase"]) for one in told] == [
        (1, default.version, None, "past"),
        (2, stricter.version, began_ms, "past"),
        (3, default.version, ended_ms, "in force"),
    ]
    assert metrics.counters["policies", "refused"] == 0
    alerts = [
        alert
        for of_partition in alerts_of(
            asyncio.run(read_kafka(settings, TopicNames(settings.topic_prefix).alerts))
        )
        for alert in of_partition
    ]
    backtest.run(
        write_book(parts, tmp_path / "book"),
        tmp_path / "out",
        default,
        now_ms=SystemClock().now_ms(),
        switches=[(began_ms, stricter), (ended_ms, default)],
    )
    decode = msgspec.json.Decoder(Alert).decode
    expected = [decode(line) for line in (tmp_path / "out" / "alerts.jsonl").read_bytes().splitlines()]
    assert by_borrower(alerts) == by_borrower(expected)
    assert {alert.severity for alert in alerts if alert.policy_version == stricter.version} == {
        "watch",
        "warning",
    }
    assert {alert.severity for alert in alerts if alert.policy_version == default.version} == {"watch"}
    assert {alert.policy_version for alert in alerts if alert.event_time_ms >= ended_ms} == {default.version}
