"""The demo where no Kafka can be had: the same pipeline on the memory ports, all in this process.

It shows what comes out, not what is promised of Kafka: nothing is durable here, and nothing runs apart.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from models.alerts import Alert
from models.rules import Rules
from streams.bootstrap import build_pipeline
from streams.clock import Clock
from streams.commands.common import policy_from
from streams.demo.options import (
    CLOSING_HEARTBEATS,
    LOOK_EVERY_SECONDS,
    STALL_SECONDS_MAX,
    DemoOptions,
    Ran,
    make_book,
    stalled,
)
from streams.demo.view import AlertBoard, Odometer, Snapshot, View, open_view
from streams.event_files import EventFolder
from streams.memory.broker import MemoryBroker
from streams.memory.ports import MemoryPorts
from streams.metrics import PrometheusMetrics
from streams.partitioner import partition_of
from streams.replay import PlannedRecord, replay_plan
from streams.settings import Settings, load_settings
from streams.topics import names_of

_WRITTEN_AT_ONCE: Final = 2_000
"""Records between two turns of the pipeline."""
_BACKLOG_MAX: Final = 100_000
"""Records written and not consumed: more would only fill memory."""
_ALERT: Final = msgspec.json.Decoder(Alert)


def run_in_memory(options: DemoOptions, clock: Clock, stack: ExitStack) -> Ran:
    """Run the demo to its end.

    Raises:
        DemoError: nothing moved any more.
        PipelineError: the pipeline failed.
    """
    chosen = {"partitions": options.partitions, "clock": "event", "topic_prefix": ""}
    settings = load_settings(os.environ, chosen)
    parent = stack.enter_context(tempfile.TemporaryDirectory(prefix="forewarn-demo-"))
    folder = make_book(options, Path(parent) / "events")
    now_ms = clock.now_ms()
    lines = EventFolder(folder, now_ms)
    world = _World(settings, clock)
    place = partial(partition_of, partition_count=settings.partitions)
    plan = replay_plan(lines, Rules(policy_from(None)), settings.partitions, place, known_by_ms=now_ms)
    with open_view(plain=options.plain) as view:
        asyncio.run(world.run(plan, view))
    return Ran(
        kafka="memory",
        topic_prefix="",
        group_id=settings.group_id,
        workers=1,
        folder=folder,
        lines=len(lines),
        heartbeats=world.written - len(lines),
        seconds=world.odometer.busy_seconds,
        alerts=world.alerts,
        dead_letters=world.dead_letters,
        wait=_nothing_to_wait_for,
    )


def _nothing_to_wait_for() -> None:
    """Nothing runs on, and nobody else could look at it."""


class _Place(NamedTuple):
    topic: str
    partition: int


class _World:
    """A broker in memory, a pipeline, and who writes and watches."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.odometer = Odometer(clock)
        self.board = AlertBoard()
        self.written = 0
        self._settings = settings
        self._clock = clock
        self._names = names_of(settings)
        self._broker = MemoryBroker(clock)
        self._ports = MemoryPorts(self._broker, settings)
        self._ports.create_topics()
        self._shown = [0] * settings.partitions
        self._all_written = False
        self._room = asyncio.Event()
        self._inputs = [
            _Place(topic, partition)
            for topic in self._names.inputs
            for partition in range(settings.partitions)
        ]

    async def run(self, plan: Iterator[PlannedRecord], view: View) -> None:
        """Write the plan, and watch until everything is consumed."""
        pipeline = build_pipeline(self._settings, PrometheusMetrics(), ports=self._ports, clock=self._clock)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pipeline.run())
                tasks.create_task(self._write(plan))
                await self._watch(view)
                pipeline.stop()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures

    async def _watch(self, view: View) -> None:
        while True:
            view.show(self._look(), self.board)
            if self._all_written and all(self._lag(place) <= CLOSING_HEARTBEATS for place in self._inputs):
                return
            if self.odometer.stalled_seconds > STALL_SECONDS_MAX:
                raise stalled(self._backlog())
            self._forget_what_is_done()
            if self._backlog() < _BACKLOG_MAX:
                self._room.set()
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    def alerts(self) -> Iterator[Alert]:
        """Everything committed; within a partition in order."""
        for records in self._broker.read_committed(self._names.alerts):
            for record in records:
                if record.value is not None:
                    yield _ALERT.decode(record.value)

    def dead_letters(self) -> int:
        """How many there are."""
        return sum(map(len, self._broker.read_committed(self._names.dead_letters)))

    async def _write(self, plan: Iterator[PlannedRecord]) -> None:
        for record in plan:
            topic = self._names.inputs[record.topic_index]
            self._broker.produce(topic, record.partition, record.key, record.value)
            self.written += 1
            if self.written % _WRITTEN_AT_ONCE == 0:
                await asyncio.sleep(0)
                if self._backlog() > _BACKLOG_MAX:
                    self._room.clear()
                    await self._room.wait()
        self._all_written = True

    def _look(self) -> Snapshot:
        for partition, seen in enumerate(self._shown):
            log = self._broker.log(self._names.alerts, partition)
            records, self._shown[partition] = log.read(seen, log.end - seen + 1, committed=True)
            for record in records:
                if record.value is not None:
                    self.board.take(_ALERT.decode(record.value))
        return self.odometer.read(self.written, self.written - self._backlog())

    def _backlog(self) -> int:
        return sum(map(self._lag, self._inputs))

    def _lag(self, place: _Place) -> int:
        return self._broker.log(*place).end - self._committed(place)

    def _committed(self, place: _Place) -> int:
        return self._broker.committed(self._settings.group_id, *place) or 0

    def _forget_what_is_done(self) -> None:
        """What retention and compaction would do, so that memory stays bounded."""
        for place in self._inputs:
            self._broker.log(*place).delete_before(self._committed(place))
        for partition in range(self._settings.partitions):
            self._broker.log(self._names.state, partition).compact()
