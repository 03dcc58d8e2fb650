"""The pipeline on a real broker: killed, shared out, fenced; the alerts are those of an undisturbed run in memory."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from models.alerts import Alert
from streams.bootstrap import build_pipeline
from streams.clock import SystemClock
from streams.kafka.local import Broker
from streams.kafka.logs import KafkaLogs
from streams.kafka.ports import KafkaPorts
from streams.memory.virtual_time import run_virtual
from streams.metrics import PlainMetrics
from streams.pipeline import Pipeline, PipelineError
from streams.ports import EngineMaker, FencedError, Logs
from streams.settings import Settings
from streams.topics import TopicNames
from tests.support.fake_engine import FakeEngineMaker
from tests.support.house import House, undisturbed
from tests.support.processes import wait_until
from tests.support.workload import BASE_MS, Produced, alerts_of, closing, comparable, events, heartbeat_bytes
from tests.support.world import KafkaWorld, produce, read_kafka, settings_for

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
DAY_MS = 86_400_000


def kafka_settings(broker: Broker, **changes: Any) -> Settings:
    """Settings under own names, with their topics made."""
    settings = settings_for("pipeline", broker.bootstrap_servers, clock="event", **changes)
    KafkaWorld(settings)
    return settings


async def committed_alerts(settings: Settings) -> list[list[Alert]]:
    """What a `read_committed` reader of Kafka sees."""
    return alerts_of(await read_kafka(settings, TopicNames(settings.topic_prefix).alerts))


async def written_states(settings: Settings) -> int:
    """How far the changelog reaches, committed or not."""
    topic = TopicNames(settings.topic_prefix).state
    logs = KafkaLogs(settings)
    await logs.start()
    try:
        return sum(held.end for held in (await logs.ranges([topic], range(settings.partitions))).values())
    finally:
        await logs.stop()


class Workers:
    """Worker processes, which all end with the test."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def start(
        self, settings: Settings, module: str = "tests.support.worker_process"
    ) -> subprocess.Popen[str]:
        """A worker process with these settings."""
        plain = msgspec.to_builtins(settings)
        return self.spawn(module, [f"{name}={value}" for name, value in plain.items() if value is not None])

    def spawn(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Any module as a process."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Leave nothing behind."""
        for process in self.started:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Starts worker processes."""
    processes = Workers()
    yield processes
    processes.end()


def tasks_told(process: subprocess.Popen[str], wanted: Callable[[list[int]], bool]) -> list[int]:
    """Read what a worker tells until its tasks are as wanted."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("tasks"):
            tasks = [int(task) for task in line.split()[1:]]
            if wanted(tasks):
                return tasks
    raise AssertionError("the worker ended")


def terminated_when_open(process: subprocess.Popen[str]) -> str:
    """Send SIGTERM to a worker that has opened its task; return what it says from then on."""
    assert process.stdout is not None
    for line in process.stdout:
        if "task 0 open" in line:
            break
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    return said


def test_killed_and_killed_again_the_alerts_are_the_same(broker: Broker, workers: Workers) -> None:
    """Killed twice by -9 amid the work: a restart goes on, no alert is missing and none is there twice."""
    settings = kafka_settings(broker, partitions=2, turn_events_max=50, commit_events_max=400)
    count = 40_000
    records = [*events(7, count, 2, borrowers=300, garbage=0.01), *closing(count, 2)]
    asyncio.run(produce(settings, records))
    reached = 0
    for _ in range(2):
        worker = workers.start(settings)
        goal = reached + 500
        wait_until(lambda goal=goal: asyncio.run(written_states(settings)) >= goal, f"{goal} states")  # type: ignore[misc]
        worker.kill()
        worker.wait()
        reached = asyncio.run(written_states(settings))
    last = workers.start(msgspec.structs.replace(settings, until_end=True))
    said, _ = last.communicate(timeout=60)
    found = asyncio.run(committed_alerts(settings))
    ids = [alert.alert_id for alerts in found for alert in alerts]

    assert last.returncode == 0, said
    assert len(ids) == len(set(ids))
    assert comparable(found) == comparable(undisturbed(records, 2).alerts())


def test_three_workers_share_eight_partitions(broker: Broker, workers: Workers) -> None:
    """Whole tasks, 3, 3 and 2; one leaves amid the work; the alerts are those of one worker; all leave with status 0."""
    settings = kafka_settings(broker, partitions=8, turn_events_max=50, commit_events_max=400)
    count = 30_000
    records = [*events(8, count, 8, borrowers=300), *closing(count, 8)]
    expected = comparable(undisturbed(records, 8).alerts())
    expected_count = sum(map(len, expected))
    processes = [workers.start(settings) for _ in range(3)]
    shares = [tasks_told(process, lambda tasks: len(tasks) in (2, 3)) for process in processes]
    asyncio.run(produce(settings, records))
    processes[0].send_signal(signal.SIGTERM)
    wait_until(
        lambda: sum(map(len, asyncio.run(committed_alerts(settings)))) >= expected_count, "all alerts there"
    )
    for process in processes[1:]:
        process.send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=60)[0] for process in processes]

    assert sorted(map(len, shares)) == [2, 3, 3]
    assert sorted(task for share in shares for task in share) == list(range(8))
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert comparable(asyncio.run(committed_alerts(settings))) == expected


async def test_a_zombie_is_fenced(broker: Broker) -> None:
    """When another producer has opened the task, the next commit fails, the pipeline ends, nothing of it is seen."""
    settings = await asyncio.to_thread(kafka_settings, broker, partitions=2)
    count = 4_000
    records = [*events(9, count, 2), *closing(count, 2)]
    half = len(records) // 2

    async def prepare(logs: Logs) -> EngineMaker:
        return FakeEngineMaker()

    def worker(own: Settings) -> Pipeline:
        return Pipeline(KafkaPorts(own), prepare, own, SystemClock(), metrics)

    metrics = PlainMetrics()
    await produce(settings, records[:half])
    zombie = asyncio.create_task(worker(settings).run())
    async with asyncio.timeout(60):
        while metrics.total("commits") < 2:  # noqa: ASYNC110 - figures cannot be awaited
            await asyncio.sleep(0.02)
    successors = [KafkaPorts(settings).sink(task) for task in range(2)]
    for successor in successors:
        await successor.open()
    await produce(settings, records[half:])

    with pytest.raises(PipelineError, match="fenced") as failure:
        async with asyncio.timeout(60):
            await zombie
    for successor in successors:
        await successor.close()
    await worker(msgspec.structs.replace(settings, until_end=True)).run()
    expected = await asyncio.to_thread(undisturbed, records, 2)

    assert isinstance(failure.value.__cause__, FencedError)
    assert comparable(await committed_alerts(settings)) == comparable(expected.alerts())


async def test_live_an_event_comes_through_although_other_feeds_are_silent(broker: Broker) -> None:
    """By the wall clock, topics that never had a record are caught up, and hold nobody for long."""
    settings = await asyncio.to_thread(kafka_settings, broker, partitions=1)
    settings = msgspec.structs.replace(settings, clock="wall")
    metrics = PlainMetrics()

    async def prepare(logs: Logs) -> EngineMaker:
        return FakeEngineMaker(alert_every=1)

    pipeline = Pipeline(KafkaPorts(settings), prepare, settings, SystemClock(), metrics)
    running = asyncio.create_task(pipeline.run())
    await produce(settings, events(1, 1, 1))
    async with asyncio.timeout(60):
        while metrics.total("commits") < 1:  # noqa: ASYNC110 - figures cannot be awaited
            await asyncio.sleep(0.02)
    pipeline.stop()
    await running

    assert [len(alerts) for alerts in await committed_alerts(settings)] == [1]


def loan_that_is_missed(partition: int, borrower_id: str) -> Iterator[Produced]:
    """A loan whose only instalment nobody pays, and the days going by."""
    opened = {
        "type": "loan_opened",
        "event_id": "l1",
        "borrower_id": borrower_id,
        "event_time_ms": BASE_MS,
        "loan_id": "loan-1",
        "platform_id": "own",
        "currency": "CNY",
        "principal_minor": 100_000,
        "instalments": [{"number": 1, "due_date": "2023-11-20", "amount_minor": 100_000}],
    }
    yield Produced(2, partition, borrower_id.encode(), msgspec.json.encode(opened))
    for day in range(1, 40):
        for feed in range(4):
            yield Produced(feed, partition, None, heartbeat_bytes(BASE_MS + day * DAY_MS))


def test_the_worker_process_runs_the_real_engine(broker: Broker, workers: Workers) -> None:
    """`python -m streams.worker`, Faust around it: a missed instalment opens and escalates as it does in memory."""
    settings = kafka_settings(broker, partitions=1, until_end=True)
    records = list(loan_that_is_missed(0, "b1"))
    asyncio.run(produce(settings, records))
    process = workers.start(settings, "streams.worker")
    said, _ = process.communicate(timeout=60)

    async def in_memory() -> House:
        house = House(partitions=1)
        house.produce(records)
        await build_pipeline(house.settings, PlainMetrics(), ports=house.ports, clock=house.clock).run()
        return house

    found = asyncio.run(committed_alerts(settings))

    assert process.returncode == 0, said
    assert [(alert.status, alert.severity) for alert in found[0]][:3] == [
        ("opened", "watch"),
        ("escalated", "warning"),
        ("escalated", "serious"),
    ]
    assert comparable(found) == comparable(run_virtual(in_memory()).alerts())


def test_sigterm_ends_the_worker_process_in_good_order(broker: Broker, workers: Workers) -> None:
    """SIGTERM: status 0, and the group is left at once."""
    settings = kafka_settings(broker, partitions=1)
    process = workers.start(settings, "streams.worker")
    said = terminated_when_open(process)

    assert process.returncode == 0, said


def test_faust_runs_the_app_as_any_other(broker: Broker, workers: Workers) -> None:
    """`faust -A streams.app worker -l info`: settings from the environment, SIGTERM ends it with status 0."""
    settings = kafka_settings(broker, partitions=1)
    plain = msgspec.to_builtins(settings)
    environment = {
        f"FOREWARN_{name.upper()}": str(value) for name, value in plain.items() if value is not None
    }
    command = ("-A", "streams.app", "worker", "-l", "info", "--without-web")
    process = workers.spawn("faust", command, environment)
    said = terminated_when_open(process)

    assert process.returncode == 0, said


def test_a_failing_task_ends_the_worker_process(broker: Broker, workers: Workers) -> None:
    """A position that cannot be trusted: status 1, and the last line says what was found."""
    settings = kafka_settings(broker, partitions=1, witness_timeout_ms=500)
    names = TopicNames(settings.topic_prefix)

    async def spoil() -> None:
        producer: Any = AIOKafkaProducer(bootstrap_servers=settings.broker)
        await producer.start()
        await producer.send_and_wait(names.state, b"not progress", key=b"\xff\x00\x00\x00\x00", partition=0)
        await producer.stop()

    asyncio.run(spoil())
    process = workers.start(settings, "streams.worker")
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "progress record not readable" in said.strip().splitlines()[-1]


def test_missing_topics_end_the_worker_process(broker: Broker, workers: Workers) -> None:
    """Status 1, one line, and the command that makes the topics."""
    settings = settings_for("nothing", broker.bootstrap_servers)
    process = workers.start(settings, "streams.worker")
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "topics apply" in said
    assert "Traceback" not in said


def test_a_missing_broker_ends_the_worker_process_in_time(workers: Workers) -> None:
    """Status 1 and one clear line."""
    process = workers.start(settings_for("nothing", "127.0.0.1:1", start_timeout_ms=2_000), "streams.worker")
    said, _ = process.communicate(timeout=15)

    assert process.returncode == 1
    assert "no broker answers at 127.0.0.1:1" in said
    assert "Traceback" not in said
