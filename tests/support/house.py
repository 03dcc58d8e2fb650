"""A whole installation in memory, on virtual time: input topics, workers, and what came out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from models.alerts import Alert
from streams.memory.broker import MemoryBroker, MemoryRecord
from streams.memory.network import DirectNetwork
from streams.memory.ports import MemoryPorts
from streams.memory.virtual_time import VirtualClock, run_virtual
from streams.metrics import PlainMetrics
from streams.metrics_catalogue import CounterName
from streams.pipeline import Pipeline
from streams.ports import EngineMaker, Logs, Ports
from streams.settings import Settings
from streams.topics import TopicNames
from tests.support.fake_engine import FakeEngineMaker
from tests.support.workload import Produced, alerts_of, closing, events

T = TypeVar("T")
PARTITIONS = 4


class WatchedMetrics(PlainMetrics):
    """Figures that call back when one of them is reached: amid the work, where time does not pass."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[CounterName, int, Callable[[], None]]] = []

    def call_at(self, name: CounterName, total: int, call: Callable[[], None]) -> None:
        self._calls.append((name, total, call))

    def count(self, name: CounterName, amount: float = 1, *labels: str) -> None:
        super().count(name, amount, *labels)
        for waiting in list(self._calls):
            if waiting[0] == name and self.total(name) >= waiting[1]:
                self._calls.remove(waiting)
                waiting[2]()


class House:
    """One installation. Make it inside the virtual loop."""

    def __init__(self, **changes: Any) -> None:
        self.settings = msgspec.structs.replace(
            Settings(clock="event", until_end=True, partitions=PARTITIONS), **changes
        )
        self.clock = VirtualClock()
        self.broker = MemoryBroker(self.clock)
        self.ports = MemoryPorts(self.broker, self.settings)
        self.ports.create_topics()
        self.names = TopicNames(self.settings.topic_prefix)
        self.metrics = WatchedMetrics()
        self.maker = FakeEngineMaker()

    def produce(self, records: Iterable[Produced]) -> None:
        for record in records:
            topic = self.names.inputs[record.feed]
            self.broker.produce(topic, record.partition, record.key, record.value)

    def load(self, seed: int, count: int, **options: Any) -> None:
        """A workload and its closing heartbeats."""
        self.produce(events(seed, count, self.settings.partitions, **options))
        self.produce(closing(count, self.settings.partitions))

    def worker(self, ports: Ports | None = None, **changes: Any) -> Pipeline:
        """A worker of this installation, maybe with other settings or through other ports."""

        async def prepare(logs: Logs) -> EngineMaker:
            return self.maker

        settings = msgspec.structs.replace(self.settings, **changes)
        return Pipeline(ports or self.ports, prepare, settings, self.clock, self.metrics)

    def alerts(self) -> list[list[Alert]]:
        """What a reader of committed records sees, by partition."""
        return alerts_of(self.broker.read_committed(self.names.alerts))

    def dead_letters(self) -> list[MemoryRecord]:
        """Of all partitions."""
        return [
            record for records in self.broker.read_committed(self.names.dead_letters) for record in records
        ]

    def examples(self) -> list[tuple[bytes, bytes]]:
        """Keys and values of the training examples, whatever the order among tasks."""
        written = self.broker.read_committed(self.names.training_examples)
        return sorted((record.key or b"", record.value or b"") for records in written for record in records)

    def states(self) -> dict[bytes | None, bytes | None]:
        """The last state of every borrower, and the progress records."""
        return {
            record.key: record.value
            for records in self.broker.read_committed(self.names.state)
            for record in records
        }


def undisturbed(records: Iterable[Produced], partitions: int) -> House:
    """What one worker that nothing happens to makes of records: to be held against what came of trouble."""

    async def main() -> House:
        house = House(partitions=partitions)
        house.produce(records)
        await house.worker().run()
        return house

    return run_virtual(main())


class Crash(Exception):  # noqa: N818 - what happens to the process, not what it did wrong
    """The process dies here."""


class Fuse(DirectNetwork):
    """Burns down with every step of a kind; at its end the process fails, before the step or after it.

    It still leaves its group in good order, so that tests need not wait for the end of its session.
    """

    def __init__(self, step: str, count: int, *, after: bool) -> None:
        self._step = step
        self._left = count
        self._after = after
        self.blown = False

    async def step(self, name: str) -> None:
        self._burn(name)
        await super().step(name)

    async def call(self, step: str, effect: Callable[[], T]) -> T:
        if self._after and not self.blown:
            answer = await super().call(step, effect)
            self._burn(step)
            return answer
        self._burn(step)
        return await super().call(step, effect)

    def _burn(self, step: str) -> None:
        if self.blown and step != "leave":
            raise Crash(step)
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                self.blown = True
                raise Crash(step)


async def until(condition: Any, seconds: float = 3_600) -> None:
    """Let virtual time pass until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - on virtual time looking often costs nothing
            await asyncio.sleep(0.01)
