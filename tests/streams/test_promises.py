"""Promises that no other test holds the pipeline to; `tests/mutation` breaks them one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest

from streams.memory.network import DirectNetwork
from streams.memory.virtual_time import run_virtual
from streams.partitioner import partition_of
from streams.pipeline import PipelineError
from streams.ports import PortError
from streams.progress import decode_progress, is_progress_key, progress_key
from tests.support.house import PARTITIONS, House, until
from tests.support.workload import Produced, closing, comparable, events

T = TypeVar("T")
COUNT = 600
REPAYMENTS = 2
UNREADABLE = b"no json at all, " * 500


async def undisturbed(*extra: Produced) -> House:
    """One worker, no trouble: the oracle."""
    house = House()
    house.produce(extra)
    house.load(1, COUNT)
    await house.worker().run()
    return house


def assert_equal(house: House, oracle: House) -> None:
    """Alerts, chains, dead letters, examples and states are those of the undisturbed run; nothing missing, nothing twice."""
    assert comparable(house.alerts()) == comparable(oracle.alerts())
    assert [[alert.chain for alert in alerts] for alerts in house.alerts()] == [
        [alert.chain for alert in alerts] for alerts in oracle.alerts()
    ]
    assert len(house.dead_letters()) == len(oracle.dead_letters())
    assert house.examples() == oracle.examples() != []
    assert house.states() == oracle.states()


def borrowers_of(house: House) -> dict[bytes, bytes | None]:
    """The last state of every borrower, without the progress records: those know how the log was cut into runs."""
    return {key: value for key, value in house.states().items() if key and not is_progress_key(key)}


def test_nothing_of_a_transaction_is_seen_when_one_of_its_sends_fails() -> None:
    """The client would commit the rest: no state, no position, no alert without the dead letter beside it."""
    task = partition_of(b"borrower-1", PARTITIONS)
    unreadable = Produced(REPAYMENTS, task, b"borrower-1", UNREADABLE)

    async def main() -> House:
        house = House(commit_events_max=100, commit_interval_ms=1)
        house.produce([unreadable])
        house.load(1, COUNT)
        limits = house.broker._batch_bytes_max
        limits[house.names.dead_letters] = len(UNREADABLE) // 2
        with pytest.raises(PipelineError, match="too large"):
            await house.worker().run()
        written = house.states().get(progress_key(task))
        assert written is None or decode_progress(written).offsets[REPAYMENTS] == 0
        assert house.broker.committed("forewarn", house.names.inputs[REPAYMENTS], task) in (None, 0)
        assert not house.alerts()[task]
        assert not house.dead_letters()
        del limits[house.names.dead_letters]
        await house.worker().run()
        return house

    assert_equal(run_virtual(main()), run_virtual(undisturbed(unreadable)))


class LosesAnAnswer(DirectNetwork):
    """One call of a kind arrives and does its work, but its answer does not come back."""

    def __init__(self, step: str, count: int) -> None:
        self.steps: list[str] = []
        self._lost = step
        self._left = count

    async def step(self, name: str) -> None:
        self.steps.append(name)
        await super().step(name)

    async def call(self, step: str, effect: Callable[[], T]) -> T:
        self.steps.append(step)
        answer = await super().call(step, effect)
        if step == self._lost:
            self._left -= 1
            if self._left == 0:
                raise PortError(f"the answer to {step} was lost")
        return answer


@pytest.mark.parametrize("step", ["deliver", "send_offsets", "commit"])
def test_after_a_lost_answer_the_process_ends_and_nothing_is_twice(step: str) -> None:
    """Whether it was committed stands in the log alone: the same producer never tries again."""

    async def main() -> House:
        house = House(commit_events_max=100, commit_interval_ms=1)
        house.load(1, COUNT)
        network = LosesAnAnswer(step, 3)
        with pytest.raises(PipelineError, match="was lost"):
            await house.worker(house.ports.over(network)).run()
        await house.worker().run()
        return house

    assert_equal(run_virtual(main()), run_virtual(undisturbed()))


def test_a_task_is_fenced_before_its_changelog_is_read() -> None:
    """Whoever held it before can add nothing any more to what is being read."""

    async def main() -> list[str]:
        house = House(commit_events_max=100, commit_interval_ms=1)
        house.load(1, COUNT)
        await house.worker().run()
        house.load(2, COUNT)
        network = LosesAnAnswer("nothing", 1)
        await house.worker(house.ports.over(network), restores_at_once_max=1).run()
        return network.steps

    opening = [step for step in run_virtual(main()) if step in ("open", "read", "committed")]
    by_task = " ".join(opening).split("open")

    assert by_task[0] == ""
    assert len(by_task) == PARTITIONS + 1
    assert all("read" in of_task for of_task in by_task[1:])


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_task_goes_on_where_its_state_stands_whatever_became_of_the_groups_offsets(
    *, forgotten: bool
) -> None:
    """They expire after a week without a worker: nothing is read a second time for that, and nothing is left out."""

    async def main() -> House:
        house = House()
        house.load(1, COUNT)
        await house.worker().run()
        if forgotten:
            for topic in house.names.inputs:
                for task in range(PARTITIONS):
                    house.broker.set_committed("forewarn", topic, task, None)
        house.load(2, COUNT)
        await house.worker().run()
        return house

    async def oracle() -> House:
        house = House()
        house.load(1, COUNT)
        house.load(2, COUNT)
        await house.worker().run()
        return house

    found, expected = run_virtual(main()), run_virtual(oracle())

    assert comparable(found.alerts()) == comparable(expected.alerts())
    assert borrowers_of(found) == borrowers_of(expected)


def test_a_task_that_comes_straight_back_reads_nothing_twice() -> None:
    """What it had polled and not yet processed it still holds: reading goes on behind that."""
    records = [*events(1, COUNT, PARTITIONS)]
    ahead = [record for record in records if record.feed != REPAYMENTS]

    async def main() -> House:
        house = House(until_end=False)
        house.produce(ahead)  # without repayments everything waits, polled
        first = house.worker()
        running = asyncio.create_task(first.run())
        await until(lambda: house.metrics.total("events") == len(ahead))
        second = house.worker()
        joining = asyncio.create_task(second.run())
        await until(lambda: len(second.tasks) == PARTITIONS // 2)
        house.produce(record for record in records if record.feed == REPAYMENTS)
        house.produce(closing(COUNT, PARTITIONS))
        await asyncio.sleep(60)
        for worker in (first, second):
            worker.stop()
        await asyncio.gather(running, joining)
        return house

    async def oracle() -> House:
        house = House()
        house.produce(ahead)
        house.produce(record for record in records if record.feed == REPAYMENTS)
        house.produce(closing(COUNT, PARTITIONS))
        await house.worker().run()
        return house

    found, expected = run_virtual(main()), run_virtual(oracle())

    assert comparable(found.alerts()) == comparable(expected.alerts())
    assert borrowers_of(found) == borrowers_of(expected)
