"""One seed from beginning to end: write the input, make trouble, heal, run to the end, and hold it against the oracle."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, Final

import msgspec
from msgspec import Struct

from models.alerts import Alert
from streams.memory.broker import MemoryBroker, MemoryRecord
from streams.memory.ports import MemoryPorts
from streams.memory.virtual_time import VirtualClock, run_virtual
from streams.pipeline import Pipeline
from streams.ports import EngineMaker, Logs
from streams.progress import Progress, decode_progress, is_progress_key, progress_key
from streams.settings import Settings
from streams.task import Task
from streams.topics import EXAMPLES_PARTITION, TopicNames
from tests.simulation.network import Trace, Weather
from tests.simulation.plan import HEALED_AT_MS, PRODUCING_MS, Plan, draw_plan
from tests.simulation.policies import (
    SwitchingEngineMaker,
    engines_by_topic,
    last_usable,
    last_usable_card,
    publish,
    publish_cards,
    without_last_judged,
)
from tests.simulation.processes import MakePipeline, Process, Surroundings, Worker
from tests.simulation.strikes import Strikes
from tests.simulation.verdict import judge
from tests.simulation.workload import Written, closing, workload
from tests.support.fake_engine import FakeEngineMaker
from tests.support.oracle import outcome_found, run_oracle

_WRITES: Final = 40
"""Times at which a part of the input is written."""
_CONSUMED_WITHIN_MS: Final = 30_000
"""After the healing: far beyond every limit and session, so who has not got there by then is stuck."""
_LOOK_EVERY_MS: Final = 100


class Result(Struct, frozen=True):
    """What came of a seed."""

    plan: Plan
    failures: list[str]
    fired: dict[str, int]
    """How often which trouble struck, and what came of it."""
    fired_at_steps: dict[str, int]
    trace: list[str]
    events: int
    alerts: int
    examples: int
    amid_deadlines: int
    """Transactions after which a task stood amid deadlines."""
    policies: int
    """By how many policies the alerts were judged."""
    cards: int
    """By how many scorecards they tell the risk."""


def simulate(seed: int, *, trouble: bool = True, make_pipeline: MakePipeline = Pipeline) -> Result:
    """Run a seed on virtual time."""
    plan = draw_plan(seed, trouble=trouble)
    return run_virtual(_Simulation(plan, make_pipeline).run())


class _Simulation:
    def __init__(self, plan: Plan, make_pipeline: MakePipeline) -> None:
        self._plan = plan
        self._clock = VirtualClock()
        self._broker = MemoryBroker(self._clock)
        self._settings = Settings(clock=plan.clock, partitions=plan.partitions, **plan.settings)
        self._names = TopicNames(self._settings.topic_prefix)
        self._ports = MemoryPorts(self._broker, self._settings)
        self._ports.create_topics()
        self._trace = Trace()
        self._weather = Weather(plan, self._trace)
        self._log: list[list[list[MemoryRecord]]] = [
            [[] for _ in self._names.inputs] for _ in range(plan.partitions)
        ]
        """By partition and feed: everything ever written, also what retention has deleted since."""
        self._around = Surroundings(
            self._ports, self._settings, self._clock, self._prepare, self._weather, self._trace, make_pipeline
        )
        self._workers: list[Worker] = []
        self._everybody: list[Worker] = []
        """The workers, and the guests of the time of trouble."""
        self._failures: list[str] = []
        self._examples = 0

    async def run(self) -> Result:
        asyncio.get_running_loop().set_exception_handler(self._not_handled)
        records = workload(Random(f"input {self._plan.seed}"), self._plan.partitions)
        last = closing(self._plan.partitions)
        writing = asyncio.create_task(self._write(records if self._plan.publishings else records + last))
        publishing = asyncio.create_task(
            publish(self._plan.publishings, self._broker, self._names.policies, self._trace)
        )
        weighing = asyncio.create_task(
            publish_cards(self._plan.cards, self._broker, self._names.scorecards, self._trace)
        )
        self._workers = [Worker(number, self._around, self._settings) for number in range(self._plan.workers)]
        strikes = Strikes(
            self._around, self._broker, self._clock, self._workers, Random(f"strikes {self._plan.seed}")
        )
        strikes.schedule(self._plan.at_times)
        try:
            await asyncio.sleep(HEALED_AT_MS / 1000)
            await asyncio.gather(writing, publishing, weighing)
            strikes.heal()
            self._everybody = [*self._workers, *strikes.guests]
            if self._plan.publishings:
                # The reviews of a change that is taken up at the very end are behind it.
                await self._taken_up()
                await self._write(last)
            await self._consumed()
            await self._retire()
            await self._finish()
        except Exception as error:  # noqa: BLE001 - told with its trace instead of here
            self._failures.append(f"{type(error).__name__}: {error}")
        alerts: list[Alert] = []
        if not self._failures:
            alerts = self._compare()
        return Result(
            plan=self._plan,
            failures=self._failures,
            fired=self._fired(),
            fired_at_steps=dict(self._trace.fired_at_steps),
            trace=self._trace.lines,
            events=sum(len(records) for feeds in self._log for records in feeds),
            alerts=len(alerts),
            examples=self._examples,
            amid_deadlines=self._committed_amid_deadlines(),
            policies=len({alert.policy_version for alert in alerts}),
            cards=len({alert.risk.model_version for alert in alerts}),
        )

    async def _prepare(self, logs: Logs) -> EngineMaker:
        """What a process does before it opens a task."""
        if self._plan.clock == "wall":
            return FakeEngineMaker()
        names = self._names
        topics = (names.policies, names.scorecards) if self._plan.publishings else ("", "")
        return await engines_by_topic(logs, *topics)

    # ---- input ---------------------------------------------------------------------------------------------------

    async def _write(self, records: list[Written]) -> None:
        """In parts, evenly over a while."""
        for part in range(_WRITES):
            begin, end = (len(records) * number // _WRITES for number in (part, part + 1))
            for written in records[begin:end]:
                feed, partition, key, value, timestamp_ms = written
                offset = self._broker.produce(
                    self._names.inputs[feed], partition, key, value, timestamp_ms=timestamp_ms
                )
                self._log[partition][feed].append(MemoryRecord(offset, timestamp_ms, key, value, ()))
            await asyncio.sleep(PRODUCING_MS / _WRITES / 1000)
        self._trace.note(f"all {len(records)} records are written")

    async def _taken_up(self) -> None:
        """Wait until every task goes by the policy and the scorecard published last.

        Raises:
            StuckError: it does not come to that.
        """
        number, card = last_usable(self._plan.publishings), last_usable_card(self._plan.cards)
        tasks: list[Task] = []
        for _ in range(_CONSUMED_WITHIN_MS // _LOOK_EVERY_MS):
            self._raise_unexpected_ends()
            processes = (worker.process for worker in self._everybody if worker.process is not None)
            living = [process for process in processes if not process.ended]
            tasks = [task for process in living for task in process.pipeline.tasks.values()]
            late = [
                task
                for task in tasks
                if task.engine.adopted.publication < number or task.engine.adopted_cards.publication < card
            ]
            if {task.number for task in tasks} == set(range(self._plan.partitions)) and not late:
                self._trace.note(f"publication {number} is taken up")
                return
            await asyncio.sleep(_LOOK_EVERY_MS / 1000)
        taken = [
            (task.number, task.engine.adopted.publication, task.engine.adopted_cards.publication)
            for task in tasks
        ]
        raise StuckError(f"publication {number} and scorecard {card} must be taken up, by task {taken} are")

    # ---- the end -------------------------------------------------------------------------------------------------

    async def _consumed(self) -> None:
        """Wait until everything is committed that does not wait for more.

        Raises:
            StuckError: it does not come to that.
        """
        bounds = self._bounds()
        behind: list[tuple[tuple[str, int], int, int]] = []
        for _ in range(_CONSUMED_WITHIN_MS // _LOOK_EVERY_MS):
            self._raise_unexpected_ends()
            behind = [
                (place, committed, bound)
                for place, bound in bounds.items()
                if (committed := self._broker.committed(self._settings.group_id, *place) or 0) < bound
            ]
            if not behind:
                self._trace.note("everything is consumed")
                return
            await asyncio.sleep(_LOOK_EVERY_MS / 1000)
        raise StuckError(f"not consumed {_CONSUMED_WITHIN_MS / 1000:g} s after the healing: {behind}")

    def _bounds(self) -> dict[tuple[str, int], int]:
        """How far everything is consumed without `until_end`: the last closing heartbeats wait for more."""
        waiting = 1 if self._plan.clock == "event" else 0
        return {
            (topic, partition): len(self._log[partition][feed]) - waiting
            for feed, topic in enumerate(self._names.inputs)
            for partition in range(self._plan.partitions)
        }

    async def _retire(self) -> None:
        """Stop everybody in good order."""
        for worker in self._everybody:
            worker.retire()
        async with asyncio.timeout(_CONSUMED_WITHIN_MS / 1000):
            await asyncio.gather(*(worker.running for worker in self._everybody))

    async def _finish(self) -> None:
        """Let one last worker take what waits for more that will not come."""
        settings = msgspec.structs.replace(self._settings, until_end=True)
        if self._plan.clock == "wall":
            return
        async with asyncio.timeout(_CONSUMED_WITHIN_MS / 1000):
            last = Process("the last", self._around, settings)
            await last.run()
            while not last.in_good_order:
                # A request of the time of trouble may still arrive, and fence it.
                last = Process("the very last", self._around, settings)
                await last.run()

    def _raise_unexpected_ends(self) -> None:
        for worker in self._everybody:
            if worker.running.done():
                worker.running.result()

    def _compare(self) -> list[Alert]:
        """Judge the outcome; return the alerts that are there."""
        found = outcome_found(
            self._broker.read_committed(self._names.alerts),
            self._broker.read_committed(self._names.state),
            self._broker.read_committed(self._names.dead_letters),
            self._broker.read_committed(self._names.training_examples),
        )
        maker: EngineMaker = FakeEngineMaker()
        if self._plan.clock == "event":
            adopted = {task: progress.policies for task, progress in self._progress().items()}
            adopted_cards = {task: progress.cards for task, progress in self._progress().items()}
            maker = SwitchingEngineMaker(adopted, adopted_cards)
            self._failures += [
                f"task {task}: scorecard {last_usable_card(self._plan.cards)} must be taken up, {one} is"
                for task, one in adopted_cards.items()
                if one.publication != last_usable_card(self._plan.cards)
            ]
            self._failures += [
                f"task {task}: publication {last_usable(self._plan.publishings)} must be taken up, {one} is"
                for task, one in adopted.items()
                if one.publication != last_usable(self._plan.publishings)
            ]
        expected = run_oracle(self._log, maker, until_end=True)
        if self._plan.publishings:
            expected, found = without_last_judged(expected), without_last_judged(found)
        self._failures += judge(expected, found, self._plan.clock)
        self._failures += self._loose_ends()
        self._examples = found.examples.total()
        return [alert for alerts in found.alerts for alert in alerts]

    def _progress(self) -> dict[int, Progress]:
        """Where each task says that it stands."""
        last = {
            record.key: record.value
            for records in self._broker.read_committed(self._names.state)
            for record in records
        }
        return {
            task: decode_progress(value)
            for task in range(self._plan.partitions)
            if (value := last.get(progress_key(task))) is not None
        }

    def _committed_amid_deadlines(self) -> int:
        return sum(
            decode_progress(record.value or b"").engine.passing is not None
            for records in self._broker.read_committed(self._names.state)
            for record in records
            if is_progress_key(record.key or b"")
        )

    def _loose_ends(self) -> list[str]:
        """Group offsets that do not stand at the end, and transactions that hang open."""
        ends = [
            f"{topic}, partition {partition}: the group stands at {committed}, the log ends at {len(records)}"
            for partition, feeds in enumerate(self._log)
            for topic, records in zip(self._names.inputs, feeds, strict=True)
            if (committed := self._broker.committed(self._settings.group_id, topic, partition) or 0)
            != len(records)
        ]
        for topic in (self._names.alerts, self._names.state, self._names.dead_letters):
            for partition in range(self._plan.partitions):
                log = self._broker.log(topic, partition)
                if log.last_stable != log.end:
                    ends.append(
                        f"{topic}, partition {partition}: a transaction hangs open at {log.last_stable}"
                    )
        log = self._broker.log(self._names.training_examples, EXAMPLES_PARTITION)
        if log.last_stable != log.end:
            ends.append(f"{self._names.training_examples}: a transaction hangs open at {log.last_stable}")
        return ends

    def _fired(self) -> dict[str, int]:
        timed_out = self._broker.transactions_timed_out
        return dict(self._trace.fired) | ({"transaction timed out": timed_out} if timed_out else {})

    def _not_handled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error in a callback; of tasks that nobody asks any more the collector tells, whenever it comes by."""
        if "never retrieved" not in context["message"]:
            self._failures.append(f"nobody handled: {context['message']}: {context.get('exception')!r}")


class StuckError(Exception):
    """All trouble is over, and yet nothing moves."""
