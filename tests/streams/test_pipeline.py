"""The pipeline on memory ports and virtual time: nothing lost, nothing twice, and what ends it says why."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
import pytest

from models.alerts import ChainHead, canonical_bytes
from models.events import TOPICS
from streams.dead_letters import CONNECT_PREFIX, REASON_HEADER
from streams.memory.network import DirectNetwork
from streams.memory.ports import MemoryPorts, MemorySource
from streams.memory.virtual_time import run_virtual
from streams.metrics_catalogue import CounterName
from streams.partitioner import partition_of
from streams.pipeline import Pipeline, PipelineError
from streams.ports import Engine, FencedError, Logs, PositionLostError
from streams.progress import decode_progress, encode_progress, progress_key
from streams.restore import RestoreError
from tests.support.fake_engine import FakeEngine, FakeEngineMaker
from tests.support.house import PARTITIONS, Crash, Fuse, House, until
from tests.support.workload import BASE_MS, Produced, comparable, event_bytes, heartbeat_bytes

T = TypeVar("T")
COUNT = 600
STEPS = ("begin", "send", "flush", "send_offsets", "commit")


def virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run on virtual time."""
    return run_virtual(main)


async def undisturbed(seed: int = 1, **changes: Any) -> House:
    """The same workload, one worker, no trouble: the oracle."""
    house = House(**changes)
    house.load(seed, COUNT, garbage=0.02)
    await house.worker().run()
    return house


def assert_equal(house: House, oracle: House) -> None:
    """Alerts, dead letters and states are those of the undisturbed run; nothing missing, nothing twice."""
    ids = [alert.alert_id for alerts in house.alerts() for alert in alerts]

    assert len(ids) == len(set(ids))
    assert comparable(house.alerts()) == comparable(oracle.alerts())
    assert sorted((one.key or b"", one.value or b"") for one in house.dead_letters()) == sorted(
        (one.key or b"", one.value or b"") for one in oracle.dead_letters()
    )
    assert house.states() == oracle.states()


# ---- a plain run ---------------------------------------------------------------------------------------------------


def test_a_run_until_the_end_processes_everything() -> None:
    """Every record is processed, in commits, and the group's offsets stand at the ends."""
    house = virtual(undisturbed())

    for feed, topic in enumerate(house.names.inputs):
        for task in range(PARTITIONS):
            end = house.broker.range(topic, task).end
            progress = decode_progress(house.states()[progress_key(task)] or b"")
            assert house.broker.committed("forewarn", topic, task) == end == progress.offsets[feed]
    assert house.metrics.total("processed") == COUNT + 2 * PARTITIONS * len(TOPICS)
    assert house.metrics.total("alerts") == sum(map(len, house.alerts())) > 50


def test_two_runs_are_the_same() -> None:
    """On virtual time a run is a function of its input: even the stamps agree."""
    first, second = virtual(undisturbed()), virtual(undisturbed())

    assert first.alerts() == second.alerts()
    assert first.states() == second.states()


def test_batches_and_commits_of_any_size_give_the_same_alerts() -> None:
    """How the log is cut into turns and transactions changes nothing that is published."""
    oracle = virtual(undisturbed())
    small = virtual(
        undisturbed(
            turn_events_max=3, commit_events_max=7, commit_interval_ms=1, commits_per_second_max=10_000.0
        )
    )

    assert_equal(small, oracle)
    assert small.metrics.total("commits") > oracle.metrics.total("commits")


def test_alerts_of_a_partition_form_one_chain() -> None:
    """Each alert names the one before it, over all transactions."""
    house = virtual(undisturbed(commit_events_max=7, commit_interval_ms=1))
    for alerts in house.alerts():
        head = ChainHead()
        for alert in alerts:
            assert (alert.chain.sequence, alert.chain.previous) == (head.sequence + 1, head.hash)
            assert canonical_bytes(alert)
            head = ChainHead(alert.chain.sequence, alert.chain.hash)


def test_alerts_carry_the_headers_of_a_cloud_event() -> None:
    """Binary mode: attributes in the headers, the alert alone in the value."""
    house = virtual(undisturbed())
    record = house.broker.read_committed(house.names.alerts)[0][0]
    alert = house.alerts()[0][0]
    headers = dict(record.headers)

    assert record.key == alert.borrower_id.encode()
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"] == f"{alert.alert_id}.{alert.revision}".encode()
    assert headers["ce_type"] == b"forewarn.alert.v1"
    assert headers["ce_subject"] == alert.borrower_id.encode()
    assert headers["ce_time"].startswith(b"2023-11-")
    assert headers["ce_time"].endswith(b"Z")
    assert headers["content-type"] == b"application/json"
    assert headers["ce_source"]


def test_a_refused_record_becomes_one_dead_letter() -> None:
    """Its bytes and key unchanged, its reason and origin in the headers, in its own partition; the rest goes on."""

    async def main() -> tuple[House, int]:
        house = House()
        task = partition_of(b"borrower-1", PARTITIONS)
        house.produce([Produced(2, task, b"borrower-1", b'{"type": "repay')])
        house.load(1, COUNT)
        await house.worker().run()
        return house, task

    house, task = virtual(main())
    (letter,) = house.broker.read_committed(house.names.dead_letters)[task]
    headers = {name.removeprefix(CONNECT_PREFIX): value for name, value in letter.headers}

    assert (letter.key, letter.value) == (b"borrower-1", b'{"type": "repay')
    assert headers["topic"] == b"repayments"
    assert headers["partition"] == headers["task.id"] == str(task).encode()
    assert headers["offset"] == b"0"
    assert headers["stage"] == b"VALUE_CONVERTER"
    assert headers[REASON_HEADER] == b"not-json"
    assert headers["exception.message"].startswith(b"not-json: ")
    assert {"connector.name", "class.name", "exception.class.name"} <= headers.keys()
    assert house.metrics.counters["rejects", "repayments", "not-json"] == 1
    assert len(house.dead_letters()) == 1


def test_a_stray_record_is_refused_as_wrong_partition() -> None:
    """A record whose borrower belongs to another partition changes no state."""

    async def main() -> House:
        house = House()
        wrong = (partition_of(b"stray", PARTITIONS) + 1) % PARTITIONS
        house.produce([Produced(1, wrong, b"stray", event_bytes(1, "stray", "e", BASE_MS))])
        house.load(1, 50)
        await house.worker().run()
        return house

    house = virtual(main())
    (letter,) = house.dead_letters()

    assert dict(letter.headers)[REASON_HEADER] == b"wrong-partition"
    assert b"stray" not in house.states()


@pytest.mark.parametrize(
    "record",
    [
        (None, None),
        (None, b""),
        (b"k", None),
        (b"\xff\xfe", b"\x00" * 100),
        (b"k", b"[" * 5_000),
        (b"k", b'{"type":"nothing known"}'),
        (b"k", b"\xc3\x28"),
        (b"other", event_bytes(0, "k", "e", BASE_MS)),
    ],
)
def test_any_garbage_is_one_dead_letter_and_nothing_stops(record: tuple[bytes | None, bytes | None]) -> None:
    """Whatever bytes stand on an input topic: out they come, and everything else goes on."""

    async def main() -> House:
        house = House()
        house.broker.produce(house.names.inputs[0], 0, *record)
        house.load(1, 50)
        await house.worker().run()
        return house

    house = virtual(main())
    (letter,) = house.dead_letters()

    assert (letter.key, letter.value) == record
    assert house.metrics.total("processed") == 51 + 2 * PARTITIONS * len(TOPICS)


def test_records_wait_for_every_topic_by_event_time() -> None:
    """Without a head on every topic nothing is let go; a heartbeat is enough of one."""

    async def main() -> tuple[int, int]:
        house = House(until_end=False)
        task = partition_of(b"b", PARTITIONS)
        house.produce(Produced(1, task, b"b", event_bytes(1, "b", f"e{n}", BASE_MS + n)) for n in range(5))
        worker = house.worker()
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(10)
        before = house.metrics.total("processed")
        house.produce(Produced(feed, task, None, heartbeat_bytes(BASE_MS + 100)) for feed in range(4))
        await asyncio.sleep(10)
        worker.stop()
        await running
        return before, house.metrics.total("processed")

    assert virtual(main()) == (0, 6)


def test_a_lagging_topic_neither_blocks_nor_fills_the_memory() -> None:
    """One topic far behind: the others are paused at their limit, and all of it is processed in the end."""

    async def main() -> tuple[House, int]:
        house = House(merge_buffer_records_max=50, merge_buffer_batches_max=2)
        task = partition_of(b"b", PARTITIONS)
        most = 0
        for feed in (0, 1, 2):
            house.produce(
                Produced(feed, task, b"b", event_bytes(feed, "b", f"e{n}", BASE_MS + n))
                for n in range(20_000)
            )
        house.produce([Produced(3, task, None, heartbeat_bytes(BASE_MS + 10**6))])
        worker = house.worker()
        running = asyncio.create_task(worker.run())
        while not running.done():
            await asyncio.sleep(0.001)
            most = max([most, *(open_task.queue.waiting for open_task in worker.tasks.values())])
        await running
        return house, most

    house, most = virtual(main())

    assert house.metrics.total("processed") == 60_001
    assert most <= 3 * 3 * 500, "three topics, two polls each and one on its way"


@pytest.mark.parametrize(
    ("records", "late_ms", "least_ms", "most_ms"),
    [(100, 60_000, 60, 120), (3_000, 0, 60, 120), (3_000, 700, 700, 800), (3_000, 60_000, 5_000, 5_100)],
)
def test_a_task_that_is_behind_commits_less_often(
    records: int, late_ms: int, least_ms: int, most_ms: int
) -> None:
    """With thousands of records waiting an alert is late anyway, and one transaction takes in as much time.

    However few of them were read: here 500 of a topic.
    """

    async def main() -> int:
        house = House(until_end=False, merge_buffer_batches_max=1)
        task = partition_of(b"b", PARTITIONS)
        for feed in (0, 1):
            house.produce(
                Produced(feed, task, b"b", event_bytes(feed, "b", f"e{n}", BASE_MS + n))
                for n in range(records)
            )
        # The other two topics let the first ten go, and hold the rest.
        house.produce(Produced(feed, task, None, heartbeat_bytes(BASE_MS + 10)) for feed in (2, 3))
        await asyncio.sleep(late_ms / 1000)
        worker = house.worker()
        began_ms = house.clock.monotonic_ms()
        running = asyncio.create_task(worker.run())
        await until(lambda: house.metrics.total("commits") > 0)
        waited_ms = house.clock.monotonic_ms() - began_ms
        worker.stop()
        await running
        return waited_ms

    assert least_ms <= virtual(main()) <= most_ms


def test_commits_stay_within_the_budget_of_the_process() -> None:
    """However many tasks have something to commit, the process commits no more often than it may."""

    async def main() -> tuple[House, float]:
        house = House(clock="wall", until_end=False, commit_interval_ms=10, commits_per_second_max=5.0)
        worker = house.worker()
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(1)
        began_ms = house.clock.monotonic_ms()
        for number in range(400):
            borrower = f"b{number % 40}"
            task = partition_of(borrower.encode(), PARTITIONS)
            value = event_bytes(1, borrower, f"e{number}", house.clock.now_ms())
            house.produce([Produced(1, task, borrower.encode(), value)])
            await asyncio.sleep(0.05)
        seconds = (house.clock.monotonic_ms() - began_ms) / 1000
        commits = house.metrics.total("commits")
        worker.stop()
        await running
        assert house.metrics.total("processed") == 400
        return house, commits / seconds

    _, commits_per_second = virtual(main())

    assert 4 < commits_per_second <= 5.2


@pytest.mark.parametrize(
    ("limits", "commits"),
    [
        ({}, 1),
        ({"commit_states_max": 20}, 3),
        ({"commit_events_max": 30}, 2),
    ],
    ids=["no limit", "states", "events"],
)
def test_a_full_transaction_is_committed_whatever_the_interval(limits: dict[str, int], commits: int) -> None:
    """Sixty events of as many borrowers, none of which is due: limits alone make transactions of them."""

    async def main() -> House:
        long = {"commit_interval_ms": 60_000, "backlog_commit_interval_ms": 60_000, "turn_events_max": 5}
        house = House(until_end=True, **long, **limits)
        ids = [f"b{number}" for number in range(1_000)]
        own = [one for one in ids if partition_of(one.encode(), PARTITIONS) == 0][:60]
        house.produce(
            Produced(1, 0, one.encode(), event_bytes(1, one, f"e{one}", BASE_MS + place))
            for place, one in enumerate(own)
        )
        await house.worker().run()
        return house

    assert virtual(main()).metrics.total("commits") == commits


# ---- trouble -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_of_a_transaction_changes_nothing(step: str, after: bool) -> None:
    """Whatever the process was doing when it died, a restart gives the alerts of an undisturbed run."""

    async def main() -> House:
        house = House(commit_events_max=100, commit_interval_ms=1)
        house.load(1, COUNT, garbage=0.02)
        with pytest.raises(PipelineError):
            await house.worker(house.ports.over(Fuse(step, 7, after=after))).run()
        await house.worker().run()
        return house

    assert_equal(virtual(main()), virtual(undisturbed()))


@pytest.mark.parametrize("step", ["open", "read"])
def test_a_crash_while_a_task_is_opened_changes_nothing(step: str) -> None:
    """Dying amid fencing or restoring leaves everything to the next start."""

    async def main() -> House:
        house = House(commit_events_max=40, commit_interval_ms=1)
        house.load(1, COUNT, garbage=0.02)
        with pytest.raises(PipelineError):
            await house.worker(house.ports.over(Fuse("commit", 3, after=True))).run()
        with pytest.raises(Crash):
            await house.worker(house.ports.over(Fuse(step, 2, after=True))).run()
        await house.worker().run()
        return house

    assert_equal(virtual(main()), virtual(undisturbed()))


@pytest.mark.parametrize("seed", range(4))
def test_crash_after_crash_changes_nothing(seed: int) -> None:
    """A dozen deaths at random steps, compaction between them: the alerts of an undisturbed run."""

    async def main() -> House:
        dice = random.Random(seed)
        house = House(commit_events_max=40, commit_interval_ms=1)
        house.load(seed, COUNT, garbage=0.02)
        for _ in range(12):
            fuse = Fuse(dice.choice(STEPS), dice.randint(1, 12), after=dice.random() < 0.5)
            try:
                await house.worker(house.ports.over(fuse)).run()
            except PipelineError:
                assert fuse.blown
            if dice.random() < 0.3:
                for task in range(PARTITIONS):
                    house.broker.log(house.names.state, task).compact()
        await house.worker().run()
        return house

    assert_equal(virtual(main()), virtual(undisturbed(seed)))


def test_stopping_commits_what_was_processed_and_leaves() -> None:
    """After a stop amid the work nothing processed is uncommitted, and a successor goes on where it stopped."""

    async def main() -> tuple[House, int, int]:
        house = House(turn_events_max=10, commit_interval_ms=60_000)
        house.load(1, COUNT, garbage=0.02)
        first = house.worker(until_end=False)
        running = asyncio.create_task(first.run())
        house.metrics.call_at("processed", 200, first.stop)
        await running
        processed = house.metrics.total("processed")
        committed = sum(
            house.broker.committed("forewarn", topic, task) or 0
            for topic in house.names.inputs
            for task in range(PARTITIONS)
        )
        await house.worker().run()
        return house, processed, committed

    house, processed, committed = virtual(main())

    assert processed == committed < COUNT
    assert_equal(house, virtual(undisturbed()))


# ---- several workers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_workers_that_come_and_go_change_nothing(seed: int) -> None:
    """Tasks move between workers amid the work: the alerts of one undisturbed worker."""

    async def main() -> House:
        dice = random.Random(seed)
        house = House(turn_events_max=5, commit_events_max=25, commit_interval_ms=20)
        house.load(seed, COUNT, garbage=0.02)
        running: list[tuple[Pipeline, asyncio.Task[None]]] = []
        for _ in range(8):
            if len(running) > 1 and dice.random() < 0.4:
                worker, run = running.pop(dice.randrange(len(running)))
                worker.stop()
                await run
            else:
                worker = house.worker(until_end=False)
                running.append((worker, asyncio.create_task(worker.run())))
            await asyncio.sleep(dice.random() * 0.2)
        for worker, run in running:
            worker.stop()
            await run
        await house.worker().run()
        return house

    assert_equal(virtual(main()), virtual(undisturbed(seed)))


def test_a_task_that_comes_straight_back_keeps_its_state() -> None:
    """A rebalance that gives a task back to its worker restores nothing and fences nobody."""

    async def main() -> tuple[int, set[int], set[int]]:
        house = House(until_end=False)
        house.load(1, COUNT)
        first = house.worker()
        running = asyncio.create_task(first.run())
        await until(lambda: house.metrics.total("processed") > COUNT)
        engines = {number: id(task.engine) for number, task in first.tasks.items()}
        second = house.worker()
        joining = asyncio.create_task(second.run())
        await until(lambda: len(second.tasks) == 2)
        kept = {number for number, task in first.tasks.items() if id(task.engine) == engines[number]}
        restores = house.metrics.observed["restore_seconds"]
        for worker in (first, second):
            worker.stop()
        await asyncio.gather(running, joining)
        return restores, kept, set(first.tasks)

    restores, kept, _ = virtual(main())

    assert restores == PARTITIONS + 2
    assert len(kept) == 2


def test_the_tasks_of_a_worker_share_what_it_may_hold_decoded() -> None:
    """Four tasks have a quarter each; when another worker takes two of them, the two that stay have a half each."""

    async def main() -> tuple[list[int], list[int]]:
        house = House(until_end=False, pictures_max=4_000)
        house.load(1, COUNT)
        first = house.worker()
        running = asyncio.create_task(first.run())
        await until(lambda: len(first.tasks) == PARTITIONS)
        alone = shares(first)
        second = house.worker()
        joining = asyncio.create_task(second.run())
        await until(lambda: len(second.tasks) == 2)
        halves = shares(first) + shares(second)
        for worker in (first, second):
            worker.stop()
        await asyncio.gather(running, joining)
        return alone, halves

    def shares(worker: Pipeline) -> list[int]:
        held = []
        for task in worker.tasks.values():
            assert isinstance(task.engine, FakeEngine)
            held.append(task.engine.pictures_max)
        return held

    alone, halves = virtual(main())

    assert alone == [1_000] * PARTITIONS == [1_000] * 4
    assert halves == [2_000] * 4


class Midnight(FakeEngine):
    """Passes deadlines for as many turns as a test says."""

    steps_left = 0
    on_step: Callable[[Midnight], None] = staticmethod(lambda _: None)

    @property
    def is_passing(self) -> bool:  # type: ignore[override] # of the fake it is a constant
        return self.steps_left > 0

    def pass_on(self) -> bool:
        self.on_step(self)
        self.steps_left -= 1
        return self.steps_left == 0


class ChangingMidnight(Midnight):
    """Each step changes another borrower, and is noted by how many have changed since they were handed over."""

    def __init__(self, *made: Any, **options: Any) -> None:
        super().__init__(*made, **options)
        self.changed: list[int] = []

    def pass_on(self) -> bool:
        self._append(f"at-midnight-{self._partition}-{self.steps_left}", "deadline")
        self.changed.append(self.changed_count)
        return super().pass_on()


class StartsAtMidnight(Midnight):
    """A restart found it amid deadlines."""

    steps_left = 40


class Publisher(FakeEngineMaker):
    """Publishes a policy at midnight, when it is told to, and notes which engine took it up, and whether amid deadlines."""

    def __init__(self, kind: type[Midnight] = Midnight) -> None:
        super().__init__()
        self.kind = kind
        self.has_news = False
        self.taken_up: list[tuple[int, bool]] = []
        self.stepped: list[int] = []

    async def refresh(self, logs: Logs) -> bool:
        has_news, self.has_news = self.has_news, False
        if has_news:
            for engine in self.engines.values():
                assert isinstance(engine, Midnight)
                engine.steps_left = 40
                engine.on_step = lambda one: self.stepped.append(id(one))
        return has_news

    def bring_up_to_date(self, engine: Engine) -> None:
        self.taken_up.append((id(engine), engine.is_passing))


async def midnight_of_all_tasks(house: House, kind: type[Midnight] = Midnight) -> Publisher:
    """All tasks are amid deadlines when a policy comes."""
    house.maker = publisher = Publisher(kind)
    house.load(1, COUNT)
    worker = house.worker()
    running = asyncio.create_task(worker.run())
    await until(lambda: house.metrics.total("processed") > COUNT)
    publisher.taken_up.clear()
    publisher.has_news = True
    await until(lambda: len(publisher.taken_up) == PARTITIONS)
    worker.stop()
    await running
    return publisher


def test_a_policy_is_taken_up_when_the_midnight_is_over_that_a_task_is_amid() -> None:
    """It would have to pass all deadlines that are left at once, which takes seconds where borrowers are many."""

    async def main() -> Publisher:
        return await midnight_of_all_tasks(House(until_end=False, policy_poll_interval_ms=100))

    engines, amid = zip(*virtual(main()).taken_up, strict=True)
    assert len(set(engines)) == PARTITIONS
    assert not any(amid)


def test_a_task_that_opens_amid_a_midnight_takes_up_a_policy_behind_it() -> None:
    """What was published while it was restored waits for the deadlines that were left to it."""

    async def main() -> Publisher:
        house = House()
        house.maker = publisher = Publisher(StartsAtMidnight)
        house.load(1, COUNT)
        await house.worker().run()
        return publisher

    publisher = virtual(main())
    assert [is_amid for _, is_amid in publisher.taken_up] == [False] * PARTITIONS


def test_a_midnight_is_committed_in_parts() -> None:
    """However many borrowers it changes, no transaction holds more than a full one, and the next steps wait for it."""

    async def main() -> tuple[House, Publisher]:
        house = House(
            until_end=False, policy_poll_interval_ms=100, commit_states_max=5, commit_interval_ms=1_000
        )
        return house, await midnight_of_all_tasks(house, ChangingMidnight)

    house, publisher = virtual(main())
    for engine in publisher.engines.values():
        assert isinstance(engine, ChangingMidnight)
        assert len(engine.changed) == 40
        assert max(engine.changed) == 5
    assert sum(b"at-midnight" in (key or b"") for key in house.states()) == 40 * PARTITIONS


def test_a_midnight_is_passed_by_one_task_after_the_other() -> None:
    """Then the alerts of the first need not wait for the last."""

    async def main() -> Publisher:
        return await midnight_of_all_tasks(House(until_end=False, policy_poll_interval_ms=100))

    stepped = virtual(main()).stepped
    first_steps = list(dict.fromkeys(stepped))
    assert len(first_steps) == PARTITIONS
    assert stepped == [engine for engine in first_steps for _ in range(40)]


class SlowReads(DirectNetwork):
    """Reading a log takes its time."""

    async def call(self, step: str, effect: Callable[[], T]) -> T:
        if step == "read":
            await asyncio.sleep(1)
        return await super().call(step, effect)


def test_open_tasks_process_few_records_a_turn_while_others_are_restored() -> None:
    """With a backlog those that are not open yet, whose borrowers nobody watches, would wait for each whole turn."""

    async def main() -> dict[bool, int]:
        house = House(turn_events_max=400, restores_at_once_max=1)
        house.load(1, COUNT)
        await house.worker().run()
        house.load(2, COUNT)
        worker = house.worker(house.ports.over(SlowReads()))
        most = {True: 0, False: 0}
        show = house.metrics.count

        def count(name: CounterName, amount: float = 1, *labels: str) -> None:
            if name == "processed":
                is_restoring = bool(worker.opening)
                most[is_restoring] = max(most[is_restoring], int(amount))
            show(name, amount, *labels)

        house.metrics.count = count  # type: ignore[method-assign] # looks in whenever a turn is counted
        await worker.run()
        return most

    most = virtual(main())

    assert most[True] == 4
    assert most[False] > 4


def test_a_worker_is_behind_until_its_backlog_is_processed() -> None:
    """Before it has restored its borrowers, and while as many records wait as the settings say; not when all is done."""

    async def main() -> list[bool]:
        house = House(turn_events_max=5, backlog_records_min=20)
        house.load(1, COUNT)
        worker = house.worker()
        seen = [worker.is_behind]
        house.metrics.call_at("processed", 10, lambda: seen.append(worker.is_behind))
        await worker.run()
        return [*seen, worker.is_behind]

    assert virtual(main()) == [True, True, False]


def test_a_zombie_is_fenced_and_ends() -> None:
    """A worker that others take for dead cannot commit any more; it says so and stops, and nothing is twice."""

    async def main() -> tuple[House, str]:
        house = House(until_end=False, turn_events_max=5, commit_interval_ms=20)
        house.load(1, COUNT, garbage=0.02)
        sources: list[MemorySource] = []

        class Watched(MemoryPorts):
            def source(self) -> MemorySource:
                source = MemorySource(house.broker, house.ports.group, house.settings, DirectNetwork())
                sources.append(source)
                return source

        zombie = house.worker(Watched(house.broker, house.settings))
        running = asyncio.create_task(zombie.run())
        await until(lambda: house.metrics.total("commits") > 3)
        # Its session is over: the group goes on without it, and it does not know.
        house.ports.group.expel(sources[0])
        await house.worker(until_end=True).run()
        with pytest.raises(PipelineError) as failure:
            await running
        assert isinstance(failure.value.__cause__, FencedError)
        return house, str(failure.value)

    house, said = virtual(main())

    assert "fenced" in said
    assert_equal(house, virtual(undisturbed()))


# ---- what is refused -----------------------------------------------------------------------------------------------


async def worked_house() -> House:
    """An installation that has committed."""
    house = House()
    house.load(1, COUNT)
    await house.worker().run()
    return house


def test_missing_group_offsets_are_no_contradiction() -> None:
    """Group offsets may expire; the progress record is the position."""

    async def main() -> House:
        house = await worked_house()
        for topic in house.names.inputs:
            for task in range(PARTITIONS):
                house.broker.set_committed("forewarn", topic, task, None)
        await house.worker().run()
        return house

    house = virtual(main())
    ids = [alert.alert_id for alerts in house.alerts() for alert in alerts]

    assert len(ids) == len(set(ids))


def test_contradicting_group_offsets_are_refused_after_some_patience() -> None:
    """Both positions are named, after ten seconds in which a marker could have arrived."""

    async def main() -> tuple[str, float]:
        house = await worked_house()
        house.broker.set_committed("forewarn", house.names.inputs[1], 2, 3)
        began_ms = house.clock.monotonic_ms()
        with pytest.raises(RestoreError) as failure:
            await house.worker().run()
        return str(failure.value), (house.clock.monotonic_ms() - began_ms) / 1000

    said, seconds = virtual(main())

    assert "fund-flows: group 3, progress" in said
    assert 10 <= seconds < 12


def test_a_late_marker_is_waited_for() -> None:
    """Offsets that come to agree within the patience are fine."""

    async def main() -> None:
        house = await worked_house()
        end = house.broker.committed("forewarn", house.names.inputs[1], 2)
        house.broker.set_committed("forewarn", house.names.inputs[1], 2, 3)
        running = asyncio.create_task(house.worker().run())
        await asyncio.sleep(5)
        house.broker.set_committed("forewarn", house.names.inputs[1], 2, end)
        await running

    virtual(main())


def test_offsets_without_state_are_refused() -> None:
    """A lost changelog is never taken for a fresh start."""

    async def main() -> None:
        house = await worked_house()
        log = house.broker.log(house.names.state, 1)
        log.delete_before(log.end)
        await house.worker().run()

    with pytest.raises(RestoreError, match="state that belongs to them is gone"):
        virtual(main())


def test_another_partition_count_is_refused() -> None:
    """State of four partitions is not read as that of another number."""

    async def main() -> None:
        house = await worked_house()
        for task in range(PARTITIONS):
            key = progress_key(task)
            progress = decode_progress(house.states()[key] or b"")
            other = msgspec.structs.replace(progress, partition_count=7)
            house.broker.produce(house.names.state, task, key, encode_progress(other))
        await house.worker().run()

    with pytest.raises(RestoreError, match="was written for 7 partitions, the input topics now have 4"):
        virtual(main())


def test_a_position_before_the_logs_start_is_refused() -> None:
    """Records deleted before they were processed are named, with what to do."""

    async def main() -> None:
        house = await worked_house()
        house.produce(Produced(0, 1, b"x", b"y") for _ in range(10))
        log = house.broker.log(house.names.inputs[0], 1)
        log.delete_before(log.end - 2)
        await house.worker().run()

    with pytest.raises(PositionLostError, match="never processed are gone"):
        virtual(main())


def test_a_corrupt_progress_record_is_named() -> None:
    """A wrong checksum stops the start."""

    async def main() -> None:
        house = await worked_house()
        record = bytearray(house.states()[progress_key(2)] or b"")
        record[-1] ^= 1
        house.broker.produce(house.names.state, 2, progress_key(2), bytes(record))
        await house.worker().run()

    with pytest.raises(RestoreError, match="partition 2: progress record not readable"):
        virtual(main())


def test_unequal_topics_are_refused_at_the_start() -> None:
    """The message names the command that makes topics."""

    async def main() -> None:
        house = House()
        house.ports.broker._topics[house.names.inputs[0]].pop()
        await house.worker().run()

    with pytest.raises(PipelineError, match="topics apply"):
        virtual(main())


# ---- the wall clock ------------------------------------------------------------------------------------------------

LIVE: dict[str, Any] = {
    "clock": "wall",
    "until_end": False,
    "feed_probe_interval_ms": 500,
    "feed_silence_ms": 5_000,
    "feed_return_grace_ms": 2_000,
}


def test_live_an_idle_topic_holds_the_others_only_so_long() -> None:
    """A record comes through within the wait although three feeds are silent."""

    async def main() -> tuple[int, int]:
        house = House(**LIVE)
        worker = house.worker()
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(1)
        at_ms = house.clock.now_ms()
        house.produce([Produced(1, partition_of(b"b", PARTITIONS), b"b", event_bytes(1, "b", "e", at_ms))])
        await until(lambda: house.metrics.total("commits") > 0)
        waited_ms = house.clock.now_ms() - at_ms
        worker.stop()
        await running
        return waited_ms, house.metrics.total("processed")

    waited_ms, processed = virtual(main())

    assert processed == 1
    assert 20 <= waited_ms <= 150


def test_live_an_idle_partition_follows_the_wall_clock_while_its_feed_lives() -> None:
    """Partition 0 has no event; the feed's others move, so its watermark follows the wall clock, until they stop."""

    async def main() -> tuple[House, list[int]]:
        house = House(**LIVE)
        worker = house.worker()
        running = asyncio.create_task(worker.run())
        seen = []
        busy = next(f"b{n}" for n in range(100) if partition_of(f"b{n}".encode(), PARTITIONS) == 1)
        for second in range(10):
            at_ms = house.clock.now_ms()
            house.produce([Produced(1, 1, busy.encode(), event_bytes(1, busy, f"e{second}", at_ms))])
            await asyncio.sleep(1)
        seen.append(house.clock.now_ms() - house.maker.engines[0].watermarks_ms[1])
        await asyncio.sleep(60)
        seen.append(house.clock.now_ms() - house.maker.engines[0].watermarks_ms[1])
        worker.stop()
        await running
        return house, seen

    house, (living_ms, silent_ms) = virtual(main())

    assert living_ms < 1_000
    assert silent_ms > 50_000
    assert house.maker.engines[0].watermarks_ms[0] == -1, "a feed that never spoke is not trusted"
    assert house.metrics.gauges["feed_silent", "fund-flows"] == 1


def test_live_alerts_are_all_there_whatever_the_order() -> None:
    """Events that trickle in are each processed once."""

    async def main() -> House:
        house = House(**LIVE)
        worker = house.worker()
        running = asyncio.create_task(worker.run())
        dice = random.Random(5)
        for number in range(200):
            borrower = f"b{dice.randrange(20)}"
            task = partition_of(borrower.encode(), PARTITIONS)
            feed = dice.randrange(4)
            at_ms = house.clock.now_ms()
            house.produce(
                [Produced(feed, task, borrower.encode(), event_bytes(feed, borrower, f"e{number}", at_ms))]
            )
            await asyncio.sleep(dice.random() / 10)
        await asyncio.sleep(5)
        worker.stop()
        await running
        return house

    house = virtual(main())
    counted = [
        int.from_bytes((state or b"")[:4], "big")
        for key, state in house.states().items()
        if (key or b"").startswith(b"b")
    ]

    assert house.metrics.total("processed") == sum(counted) == 200
