"""Learning on a real Kafka: killed again and again, and gone back to an earlier card by the command line."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.risk.challengers import CARDS, CHALLENGERS, ChallengerLimits, Challengers
from models.risk.examples import Example
from models.risk.issuing import Issuing
from models.risk.learning import Learner
from models.risk.scorecard import expert_prior
from streams.bootstrap import build_pipeline
from streams.clock import SystemClock
from streams.kafka.local import Broker
from streams.kafka.ports import KafkaPorts
from streams.metrics import PlainMetrics
from streams.ports import OutputRecord
from streams.scorecards import step_records
from streams.settings import Settings
from streams.topics import TopicNames
from streams.trainer import TrainingLoop, trainer_inputs, trainer_settings
from tests.support.events import at
from tests.support.examples import weeks_of_examples
from tests.support.late_payers import late_payers, records
from tests.support.processes import wait_until
from tests.support.workload import alerts_of
from tests.support.world import KafkaWorld, read_kafka, settings_for

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120.0
STEPS = 6
BOOK = weeks_of_examples(1, weeks=STEPS + 1, a_week=600)


@contextmanager
def trainer(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """A trainer's process; killed when the block is left."""
    fields = ("broker", "topic_prefix", "session_timeout_ms", "heartbeat_interval_ms")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.support.trainer_process",
            *(f"{field}={getattr(settings, field)}" for field in fields),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def scorecards(settings: Settings) -> list[OutputRecord]:
    """Everything committed in the topic."""
    (records,) = asyncio.run(read_kafka(settings, TopicNames(settings.topic_prefix).scorecards))
    return [OutputRecord(record.key, record.value) for record in records]


def expected_of(examples: list[Example]) -> list[OutputRecord]:
    """What must be there: one trainer over the same offsets, which a producer without transactions leaves whole."""
    issuing = Issuing(Learner(expert_prior()))
    steps = [issuing.take(offset, example) for offset, example in enumerate(examples)]
    return [record for step in steps if step is not None for record in step_records(step)]


def forewarn(settings: Settings, *arguments: str) -> Any:
    """Run a command that prints one JSON document."""
    environment = {"FOREWARN_BROKER": settings.broker, "FOREWARN_TOPIC_PREFIX": settings.topic_prefix}
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "model", *arguments, "--json"],
        env=os.environ | environment | {"PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_trainer_killed_again_and_again_publishes_the_same_cards_and_goes_back_when_told(
    broker: Broker,
) -> None:
    """SIGKILL as soon as a step shows, until nothing is left; then history, compare, rollback, and the next step after it."""
    settings = settings_for("training", broker.bootstrap_servers)
    world = KafkaWorld(settings)
    topic = TopicNames(settings.topic_prefix).training_examples

    def produce(examples: list[Example]) -> None:
        asyncio.run(world.produce(topic, 0, [msgspec.json.encode(one) for one in examples], key=b"k"))

    expected = expected_of(BOOK[: 600 * STEPS + 1])
    for begin in range(0, STEPS, 2):
        produce(BOOK[600 * begin + bool(begin) : 600 * (begin + 2) + 1])
        ready = expected_of(BOOK[: 600 * (begin + 2) + 1])
        while len(scorecards(settings)) < len(ready):
            with trainer(settings) as process:
                assert process.stdout is not None
                # Of two steps that are due one has shown: the other one may be at any point when SIGKILL comes.
                assert process.stdout.readline().startswith("steps")
    assert scorecards(settings) == expected

    told = forewarn(settings, "history")
    assert [step["step"] for step in told["steps"]][:2] == ["refused", "refused"]
    assert [step["number"] for step in told["steps"]] == list(range(1, STEPS + 1))
    before = told["steps"][-2]["version"]
    compared = forewarn(settings, "compare")
    assert (compared["old"]["version"], compared["new"]["version"]) == (before, told["in_use"])
    assert compared["differences"]
    assert forewarn(settings, "compare", "--challengers") == {"challengers": None}
    dry = forewarn(settings, "rollback", "--dry-run")
    assert (dry["version"], dry["done"]) == (before, "nothing published (--dry-run)")
    assert scorecards(settings) == expected

    with trainer(settings) as process:
        # It learns already when it is fenced: it has to find the rollback by itself.
        back = forewarn(settings, "rollback", before[:6], "--yes", "--effective-from", "2030-01-01")
        assert (back["version"], back["done"]) == (before, f"gone back, step {STEPS + 1}")
        assert forewarn(settings, "show")["version"] == before
        produce([*BOOK[600 * STEPS + 1 :], *weeks_of_examples(2, 1, 1, first_week=STEPS + 1)])
        assert process.stdout is not None
        assert process.stdout.readline().startswith("steps")
    last = forewarn(settings, "history", "--last", "1")["steps"][0]
    assert (last["number"], last["refused"], last["replaces"]) == (STEPS + 2, "too_few_examples", before)


def test_challengers_learn_when_the_card_has_and_are_told_of(broker: Broker) -> None:
    """Examples end with the mark of a transaction, as tasks write them; behind it challengers learn, and the next step tells."""
    settings = settings_for("challengers", broker.bootstrap_servers)
    world = KafkaWorld(settings)
    own, metrics = trainer_settings(settings), PlainMetrics()
    ports = KafkaPorts(own, trainer_inputs(settings))
    limits = ChallengerLimits(sampled_one_in=8, warm_up=10, told_from=10)

    async def examine(examples: list[Example]) -> None:
        sink = world.ports.sink(0)
        try:
            await sink.open()
            await sink.begin()
            records = [OutputRecord(b"k", msgspec.json.encode(one)) for one in examples]
            await sink.send(TopicNames(settings.topic_prefix).training_examples, records, 0)
            await sink.flush()
            await sink.commit()
        finally:
            await sink.close()

    async def main() -> None:
        loop = TrainingLoop(ports, own, SystemClock(), metrics, partial(Challengers, limits))
        await examine(BOOK[:601])
        running = asyncio.create_task(loop.run())
        async with asyncio.timeout(180):
            while not running.done() and metrics.counters["challenger_examples", "learnt"] < 40:
                await asyncio.wait([running], timeout=0.2)
            await examine(BOOK[601:1_201])
            while not running.done() and loop.steps < 2:
                await asyncio.wait([running], timeout=0.2)
        loop.stop()
        await running

    asyncio.run(main())
    told = forewarn(settings, "compare", "--challengers")["challengers"]["compared"]
    assert told["judged"] >= 30
    assert set(told["models"]) == {*CARDS, *CHALLENGERS}
    assert len(forewarn(settings, "history")["steps"]) == 2


def test_a_worker_learns_and_stops_in_good_order(broker: Broker) -> None:
    """The app brings the trainer along: `forewarn worker` publishes a card beside its pipeline, and ends with status 0."""
    settings = settings_for("learning-worker", broker.bootstrap_servers)
    world = KafkaWorld(settings)
    examples = BOOK[:1_801]
    topic = TopicNames(settings.topic_prefix).training_examples
    asyncio.run(world.produce(topic, 0, [msgspec.json.encode(one) for one in examples], key=b"k"))
    expected = expected_of(examples)
    fields = ("broker", "topic_prefix", "group_id", "transactional_id_prefix", "session_timeout_ms")
    worker = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "worker", "--log-level", "WARNING"],
        cwd=ROOT,
        env=os.environ | {f"FOREWARN_{field.upper()}": str(getattr(settings, field)) for field in fields},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(
            lambda: len(scorecards(settings)) >= len(expected) or worker.poll() is not None, "three steps"
        )
        worker.terminate()
        _, said = worker.communicate(timeout=60)
    finally:
        worker.kill()
        worker.communicate()
    assert worker.returncode == 0, said
    assert scorecards(settings) == expected


def test_a_card_that_is_learnt_and_one_gone_back_to_are_followed_while_a_worker_replays(
    broker: Broker, tmp_path: Path
) -> None:
    """A worker replays, a trainer publishes beside it, an operator goes back: each alert names the card of its instant.

    The late payers are not observed: their examples would come between those of another book.
    """
    policy = tmp_path / "unobserved.toml"
    policy.write_text("[model]\nobserves = false\n")
    settings = settings_for(
        "cards",
        broker.bootstrap_servers,
        clock="event",
        policy_file=str(policy),
        policy_poll_interval_ms=100,
        commit_interval_ms=20,
    )
    world = KafkaWorld(settings)
    names = TopicNames(settings.topic_prefix)
    parts = late_payers(("2025-03-30", "2025-05-30"))
    back_ms = at("2025-06-01", "00:00")

    async def bring(part: int) -> None:
        end_ms = parts.ends_ms[part]
        made = records(parts.events[part], end_ms, settings.partitions)
        for record in [*made, *records([], end_ms + 1, settings.partitions)]:
            await world.produce(names.inputs[record.feed], record.partition, [record.value], key=record.key)

    async def holds(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():  # noqa: ASYNC110 - figures, and no event, tell
                await asyncio.sleep(0.05)

    async def main() -> tuple[str, str]:
        pipeline = build_pipeline(settings, PlainMetrics())
        run = asyncio.create_task(pipeline.run())

        def has_passed(end_ms: int) -> bool:
            return len(pipeline.tasks) == settings.partitions and all(
                min(task.engine.progress().watermarks_ms) >= end_ms and not task.dirty
                for task in pipeline.tasks.values()
            )

        def weighs_by(version: str) -> bool:
            return all(
                task.engine.adopted_cards.spans[-1].version == version for task in pipeline.tasks.values()
            )

        await bring(0)
        await holds(lambda: has_passed(parts.ends_ms[0]))
        encoded = [msgspec.json.encode(one) for one in BOOK[: 600 * 4 + 1]]
        await world.produce(names.training_examples, 0, encoded, key=b"k")
        with trainer(settings) as process:
            assert process.stdout is not None
            told: dict[str, Any] = {"steps": []}
            while len(told["steps"]) < 4:
                await asyncio.to_thread(process.stdout.readline)
                told = await asyncio.to_thread(forewarn, settings, "history")
        await holds(lambda: weighs_by(told["in_use"]))
        await bring(1)
        await holds(lambda: has_passed(parts.ends_ms[1]))

        going_back = ("rollback", "--yes", "--effective-from", str(back_ms))
        back = await asyncio.to_thread(forewarn, settings, *going_back)
        await holds(lambda: weighs_by(back["version"]))
        await bring(2)
        await holds(lambda: has_passed(parts.ends_ms[2]))
        pipeline.stop()
        await run
        return told["in_use"], back["version"]

    learnt, before = asyncio.run(main())
    by_partition = alerts_of(asyncio.run(read_kafka(settings, names.alerts)))
    by_time: dict[str, set[str]] = {"first": set(), "learnt": set(), "back": set()}
    for alert in (alert for alerts in by_partition for alert in alerts):
        is_first = alert.event_time_ms <= parts.ends_ms[0] + 3_600_000
        when = "first" if is_first else "learnt" if alert.event_time_ms < back_ms else "back"
        by_time[when].add(alert.risk.model_version)

    assert by_time == {"first": {expert_prior().version}, "learnt": {learnt}, "back": {before}}
    assert len({expert_prior().version, learnt, before}) == 3
