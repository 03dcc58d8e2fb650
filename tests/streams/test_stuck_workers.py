"""A worker that stands still although there is work says so and ends; one that has nothing to do lives on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import pytest

from streams.memory.network import DirectNetwork
from streams.memory.ports import MemoryLogs, MemoryPorts, MemorySource
from streams.memory.virtual_time import run_virtual
from streams.pipeline import Pipeline, PipelineError
from streams.ports import Assignment, Fetched, Logs, PortError, Sink, Source
from tests.support.fake_engine import FakeEngine, FakeEngineMaker
from tests.support.house import House, until
from tests.support.workload import BASE_MS, Produced, event_bytes, heartbeat_bytes

T = TypeVar("T")
COUNT = 400
LIMITS: dict[str, Any] = {"until_end": False, "unready_after_ms": 15_000, "progress_timeout_ms": 90_000}


def virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run on virtual time."""
    return run_virtual(main)


class DeafSource(MemorySource):
    """A consumer that looks alive and brings nothing any more."""

    deaf = False

    async def poll(self, timeout_ms: int) -> list[Fetched]:
        if not self.deaf:
            return await super().poll(timeout_ms)
        await asyncio.sleep(timeout_ms / 1000)
        return []


class ForgottenSource(MemorySource):
    """A member whose group never assigns anything."""

    @property
    def assignment(self) -> Assignment | None:
        return None


class HangingSink:
    """A producer whose commit never comes back, not even with an error."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.open, self.begin, self.send = sink.open, sink.begin, sink.send
        self.flush, self.send_offsets = sink.flush, sink.send_offsets
        self.abort, self.close = sink.abort, sink.close

    async def commit(self) -> None:
        await asyncio.Event().wait()


class ReviewingEngine(FakeEngine):
    """An engine whose watermark changes a borrower as it moves, as a deadline or a review does."""

    def advance(self, feed: int, watermark_ms: int) -> None:
        super().advance(feed, watermark_ms)
        self._append("b", f"{feed}:{watermark_ms}")


class ReviewingEngineMaker(FakeEngineMaker):
    """Makes them."""

    kind = ReviewingEngine


class UnansweredLogs(MemoryLogs):
    """Logs of a broker that stops answering."""

    away = False

    async def readable_ends(
        self, topics: Sequence[str], partitions: Sequence[int]
    ) -> Mapping[tuple[str, int], int]:
        if not self.away:
            return await super().readable_ends(topics, partitions)
        await asyncio.sleep(30)
        raise PortError("asking for readable ends did not finish within 30 s")


class FaultyPorts(MemoryPorts):
    """The ports of a house with one part replaced; they remember what they made."""

    def __init__(self, house: House, **parts: Any) -> None:
        super().__init__(house.broker, house.settings, group=house.ports.group)
        self.house = house
        self.parts = parts
        self.sources: list[Any] = []
        self.readers: list[Any] = []

    def source(self) -> Source:
        make = self.parts.get("source", MemorySource)
        self.sources.append(make(self.broker, self.group, self.house.settings, DirectNetwork()))
        source: Source = self.sources[-1]
        return source

    def sink(self, task: int) -> Sink:
        sink = super().sink(task)
        return HangingSink(sink) if task in self.parts.get("hanging", ()) else sink

    def logs(self) -> Logs:
        make = self.parts.get("logs", MemoryLogs)
        self.readers.append(make(self.broker, self.house.settings, DirectNetwork()))
        logs: Logs = self.readers[-1]
        return logs


async def ended(house: House, worker: Pipeline) -> tuple[str, float]:
    """Run a worker until it ends itself; return what it says and the seconds since now."""
    began_ms = house.clock.monotonic_ms()
    with pytest.raises(PipelineError) as failure:
        await worker.run()
    return str(failure.value), (house.clock.monotonic_ms() - began_ms) / 1000


def test_a_consumer_that_brings_nothing_ends_the_worker() -> None:
    """Records in the log, a position that stands: told when unready, ended with topic and offsets after the limit."""

    async def main() -> tuple[list[str], str, float]:
        house = House(**LIMITS)
        ports = FaultyPorts(house, source=DeafSource)
        worker = house.worker(ports)
        ending = asyncio.create_task(ended(house, worker))
        await until(lambda: len(worker.tasks) == house.settings.partitions)
        ports.sources[0].deaf = True
        await asyncio.sleep(1)  # the poll that was under way hears it yet
        house.load(1, COUNT)
        await asyncio.sleep(30)
        unready = worker.reasons_not_ready
        said, seconds = await ending
        return unready, said, seconds

    unready, said, seconds = virtual(main())

    assert any("task 0: credit-queries is read up to 0 of " in reason for reason in unready)
    assert "no progress although there is work" in said
    assert "task 3: servicing is read up to 0 of " in said
    assert 90 <= seconds <= 100


def test_a_commit_that_never_comes_back_ends_the_worker() -> None:
    """Even where no limit of a single call bites."""

    async def main() -> tuple[str, float]:
        house = House(**LIMITS)
        house.load(1, COUNT)
        return await ended(house, house.worker(FaultyPorts(house, hanging=range(house.settings.partitions))))

    said, seconds = virtual(main())

    assert "what was processed is not committed" in said
    assert 90 <= seconds <= 100


def test_a_commit_of_what_time_alone_changed_ends_the_worker_as_well() -> None:
    """A task that had no event, only a watermark that follows the time of day, has to get on with its commit, too."""

    async def main() -> str:
        house = House(
            **LIMITS | {"unready_after_ms": 3_000, "progress_timeout_ms": 10_000},
            clock="wall",
            feed_return_grace_ms=0,
        )
        house.maker = ReviewingEngineMaker()
        ending = asyncio.create_task(ended(house, house.worker(FaultyPorts(house, hanging=(2,)))))
        for number in range(300):
            house.produce([Produced(1, 0, None, heartbeat_bytes(house.clock.now_ms() + number))])
            await asyncio.sleep(0.2)
        said, _ = await ending
        return said

    assert "task 2: what was processed is not committed" in virtual(main())


def test_a_broker_that_stays_away_ends_an_idle_worker() -> None:
    """With nothing to read and nothing to commit, it is still noticed that nobody answers."""

    async def main() -> tuple[list[str], str, float]:
        house = House(**LIMITS)
        ports = FaultyPorts(house, logs=UnansweredLogs)
        worker = house.worker(ports)
        ending = asyncio.create_task(ended(house, worker))
        await asyncio.sleep(60)
        before = worker.reasons_not_ready
        ports.readers[0].away = True
        said, seconds = await ending
        return before, said, seconds

    before, said, seconds = virtual(main())

    assert before == []
    assert "the broker does not answer: asking for readable ends did not finish within 30 s" in said
    assert 150 <= seconds <= 165


def test_a_group_that_assigns_nothing_ends_the_worker() -> None:
    """A member that is forgotten does not wait for ever."""

    async def main() -> tuple[str, float]:
        house = House(**LIMITS)
        return await ended(house, house.worker(FaultyPorts(house, source=ForgottenSource)))

    said, seconds = virtual(main())

    assert "group forewarn has assigned nothing" in said
    assert 90 <= seconds <= 100


@pytest.mark.parametrize("clock", ["event", "wall"])
def test_a_worker_without_work_lives_on(clock: str) -> None:
    """Five minutes of nothing, and it is ready all the time."""

    async def main() -> list[list[str]]:
        house = House(**LIMITS, clock=clock)
        house.load(1, COUNT)
        worker = house.worker()
        running = asyncio.create_task(worker.run())
        seen = []
        for _ in range(3):
            await asyncio.sleep(100)
            assert not running.done()
            seen.append(worker.reasons_not_ready)
        worker.stop()
        await running
        return seen

    assert virtual(main()) == [[]] * 3


@pytest.mark.parametrize("probe_interval_ms", [10, 500, 1_000])
def test_following_the_time_of_day_is_no_standstill(probe_interval_ms: int) -> None:
    """Partitions that are idle while their feed lives have nothing to commit, however often their watermarks move."""

    async def main() -> list[str]:
        house = House(
            **LIMITS | {"unready_after_ms": 3_000, "progress_timeout_ms": 10_000},
            clock="wall",
            feed_probe_interval_ms=probe_interval_ms,
            feed_return_grace_ms=0,
        )
        worker = house.worker()
        running = asyncio.create_task(worker.run())
        for number in range(300):
            house.produce([Produced(1, 0, None, heartbeat_bytes(house.clock.now_ms() + number))])
            await asyncio.sleep(0.2)
        assert not running.done()
        assert house.maker.engines[2].advanced
        reasons = worker.reasons_not_ready
        worker.stop()
        await running
        return reasons

    assert virtual(main()) == []


def test_waiting_for_a_silent_topic_is_no_standstill() -> None:
    """By event time, records wait until every topic has shown what it has next: for as long as that takes."""

    async def main() -> list[str]:
        house = House(**LIMITS, merge_buffer_records_max=50)
        house.produce(
            Produced(1, 0, b"b", event_bytes(1, "b", f"e{number}", BASE_MS + number))
            for number in range(5_000)
        )
        worker = house.worker()
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(300)
        assert not running.done()
        assert worker.tasks[0].queue.waiting > 0
        reasons = worker.reasons_not_ready
        worker.stop()
        await running
        return reasons

    assert virtual(main()) == []


def test_a_worker_is_ready_when_its_tasks_are_restored() -> None:
    """Until then it names those that are not."""

    async def main() -> tuple[list[str], list[str]]:
        house = House(**LIMITS)
        house.load(1, COUNT)
        worker = house.worker()
        running = asyncio.create_task(worker.run())
        await until(lambda: bool(worker.opening))
        opening = worker.reasons_not_ready
        await until(lambda: not worker.opening)
        ready = worker.reasons_not_ready
        worker.stop()
        await running
        return opening, ready

    opening, ready = virtual(main())

    assert "task 0 is being restored" in opening
    assert ready == []


def test_topics_that_grow_end_every_worker() -> None:
    """Whoever has a new partition assigned, and whoever has not: borrowers would be on the wrong tasks."""

    async def main() -> list[BaseException | None]:
        house = House(**LIMITS)
        house.load(1, COUNT)
        workers = [house.worker(), house.worker()]
        running = [asyncio.create_task(worker.run()) for worker in workers]
        await until(lambda: sum(len(worker.tasks) for worker in workers) == house.settings.partitions)
        for topic in house.names.inputs:
            house.broker.add_partitions(topic, house.settings.partitions + 1)
        # A third one joins; the group of real Kafka assigns anew when it learns of the new partition.
        third = asyncio.create_task(house.worker().run())
        await asyncio.wait(running, timeout=60)
        third.cancel()
        await asyncio.gather(third, return_exceptions=True)
        return [run.exception() for run in running]

    failures = virtual(main())

    assert all(isinstance(failure, PipelineError) for failure in failures)
    assert all("partitions at the start and have others now" in str(failure) for failure in failures)
