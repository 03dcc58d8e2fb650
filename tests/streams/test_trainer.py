"""Learning on the memory ports: the same cards whatever happens on the way, one trainer at a time, nothing half written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any, TypeVar

import msgspec
import pytest

from models.limits import IDENTIFIER_CHARACTERS_MAX, PAYLOAD_BYTES_MAX
from models.risk.challengers import Challengers
from models.risk.examples import Example
from models.risk.issuing import EXAMPLES_BETWEEN_MIN, STEP_MS, Issuing
from models.risk.learning import Learner
from models.risk.prequential import SEGMENTS_MAX
from models.risk.published import CardStep, PublishedCard
from models.risk.scorecard import expert_prior
from streams.memory.broker import MemoryBroker
from streams.memory.network import DirectNetwork
from streams.memory.ports import MemoryPorts
from streams.memory.virtual_time import VirtualClock, run_virtual
from streams.metrics import PlainMetrics
from streams.ports import FencedError, OutputRecord, PortError
from streams.reference import CURRENT_KEY, content_records
from streams.reference import ReferenceError as UnreadableError
from streams.rollback import CardError, go_back
from streams.scorecards import STEPS_KEPT, Cards, cards_of, read_cards, step_records
from streams.settings import Settings
from streams.topics import TopicNames, topic_specs
from streams.trainer import TrainingError, TrainingLoop, trainer_inputs, trainer_settings
from tests.support.examples import example, weeks_of_examples

T = TypeVar("T")
SETTINGS = Settings(partitions=2)
NAMES = TopicNames(SETTINGS.topic_prefix)
STEPS = 4
BOOK = weeks_of_examples(1, weeks=STEPS + 1, a_week=600)
"""The last week waits for the next. Two steps are refused, as too few examples; two are published."""


class CrashError(Exception):
    """The process is dead."""


class CrashingNetwork(DirectNetwork):
    """Passes so many calls; at the next the process dies, or the call fails, before or after it reached the broker."""

    def __init__(self, calls: int, error: type[Exception], *, arrives: bool) -> None:
        self.left = calls
        self.struck = False
        self._error = error
        self._arrives = arrives

    async def call(self, step: str, effect: Callable[[], T]) -> T:
        if step in ("leave", "fetch"):
            return await super().call(step, effect)
        self.left -= 1
        if self.left < 0 and (not self.struck or self._error is CrashError):
            self.struck = True
            if self._arrives:
                effect()
            raise self._error("struck")
        return await super().call(step, effect)


class FencingNetwork(DirectNetwork):
    """Right before the named commits another producer of the same name begins, or right after: the answer is lost then."""

    def __init__(
        self,
        broker: MemoryBroker,
        transactional_id: str,
        at_commits: Sequence[int] = (3,),
        *,
        after: bool = False,
    ) -> None:
        self.commits = 0
        self._broker = broker
        self._transactional_id = transactional_id
        self._at_commits = at_commits
        self._after = after

    async def call(self, step: str, effect: Callable[[], T]) -> T:
        self.commits += step == "commit"
        if step == "commit" and self.commits in self._at_commits:
            if self._after:
                await super().call(step, effect)
            self._broker.open_producer(self._transactional_id, 60_000)
        return await super().call(step, effect)


class Busy:
    """A process that does other things when it is told to."""

    def __init__(self) -> None:
        self.is_restoring = self.is_behind = False


class School:
    """Topics with examples, and trainers as processes. Make it inside the virtual loop."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.broker = MemoryBroker(self.clock)
        for spec in topic_specs(SETTINGS):
            self.broker.create_topic(spec.name, spec.partitions)
        self.settings = trainer_settings(SETTINGS)
        self.ports = MemoryPorts(self.broker, self.settings, inputs=trainer_inputs(SETTINGS))
        self.metrics = PlainMetrics()
        self.examined = 0
        """Examples written so far."""
        self.new_challengers: Callable[[], Challengers] = partial(Challengers, models={})
        """None: what they do is tested in `test_challengers.py`."""
        self.process = Busy()

    async def examine(self, examples: Sequence[Example | bytes], transaction: int = 1_000) -> None:
        """Write examples as tasks do: in transactions, whose ends take offsets too."""
        self.examined += len(examples)
        for start in range(0, len(examples), transaction):
            epoch = self.broker.open_producer("task", 60_000)
            batch = [
                OutputRecord(b"k", one if isinstance(one, bytes) else msgspec.json.encode(one))
                for one in examples[start : start + transaction]
            ]
            self.broker.send("task", epoch, NAMES.training_examples, 0, batch, 0)
            self.broker.end("task", epoch, commit=True)

    def trainer(self, network: DirectNetwork | None = None) -> TrainingLoop:
        ports = self.ports.over(network or DirectNetwork())
        return TrainingLoop(
            ports, self.settings, self.clock, self.metrics, self.new_challengers, self.process
        )

    async def train(self, steps: int, network: DirectNetwork | None = None) -> None:
        """Run a trainer until the topic holds so many steps."""
        trainer = self.trainer(network)
        running = asyncio.create_task(trainer.run())
        await self.until(steps, running)
        trainer.stop()
        await running

    async def until(self, steps: int, running: asyncio.Task[None]) -> None:
        """Wait until the topic holds so many steps, or the trainer has ended."""
        async with asyncio.timeout(3_600):
            while not running.done() and len((await self.cards()).entries) < steps:
                await asyncio.wait([running], timeout=0.5)

    async def cards(self) -> Cards:
        logs = self.ports.logs()
        await logs.start()
        return await read_cards(logs, NAMES.scorecards)

    def written(self) -> list[tuple[bytes | None, bytes | None]]:
        """Everything committed, byte by byte."""
        (records,) = self.broker.read_committed(NAMES.scorecards)
        return [(record.key, record.value) for record in records]

    @property
    def acknowledged(self) -> int | None:
        return self.broker.committed(self.settings.group_id, NAMES.training_examples, 0)


def school(main: Callable[[School], Any]) -> Any:
    """Run on virtual time."""

    async def run() -> Any:
        return await main(School())

    return run_virtual(run())


def undisturbed() -> list[tuple[bytes | None, bytes | None]]:
    """What one trainer writes that nothing happens to."""

    async def main(own: School) -> list[tuple[bytes | None, bytes | None]]:
        await own.examine(BOOK)
        await own.train(STEPS)
        return own.written()

    found: list[tuple[bytes | None, bytes | None]] = school(main)
    return found


def test_learning_begins_when_the_worker_has_restored_its_borrowers() -> None:
    """Not before; and who is stopped meanwhile ends."""

    async def main(own: School) -> list[int]:
        own.process.is_restoring = True
        await own.examine(BOOK)
        stopped, trainer = own.trainer(), own.trainer()
        ending, running = asyncio.create_task(stopped.run()), asyncio.create_task(trainer.run())
        await asyncio.sleep(60)
        stopped.stop()
        await ending
        steps = [len((await own.cards()).entries)]
        own.process.is_restoring = False
        await own.until(STEPS, running)
        trainer.stop()
        await running
        return [*steps, len((await own.cards()).entries)]

    assert school(main) == [0, STEPS]


def test_cards_come_of_examples_and_are_found_by_those_who_score() -> None:
    """Steps are told in order; the pointer names the last card; the examples are acknowledged up to it, no further."""

    async def main(own: School) -> None:
        await own.examine(BOOK)
        await own.train(STEPS)
        cards = await own.cards()
        assert [entry.told.number for entry in cards.entries] == list(range(1, STEPS + 1))
        assert cards.entries[0].told.refused == "too_few_examples"
        published = cards.publications
        last = cards.entries[-1].told
        assert cards.pointer is not None
        assert (cards.pointer.version, cards.pointer.number) == (last.version, STEPS)
        assert [one.number for one in published] == [
            entry.told.number for entry in cards.entries if entry.told.refused is None
        ]
        assert published[-1].published_at_ms >= own.clock.start_ms
        assert cards.in_force.version == last.version
        assert cards.card(expert_prior().version) == expert_prior()
        # Four weeks of 600 in transactions of a thousand: two ends of transactions before the 2,401st example.
        assert own.acknowledged == last.examples_offset == 2_402
        assert own.metrics.counters["card_steps", "published"] == len(published)
        assert own.metrics.gauges["model_examples", ""] > 1_000
        assert {"card", "cash"} <= {key[1] for key in own.metrics.gauges if key[0] == "model_auc"}

    school(main)


def test_batches_change_nothing() -> None:
    """Fed week by week to trainers that come and go, to the last byte what one trainer finds in one go."""

    async def main(own: School) -> list[tuple[bytes | None, bytes | None]]:
        # The same transactions, so that offsets are the same; but a trainer for each.
        for start in range(0, len(BOOK), 1_000):
            await own.examine(BOOK[start : start + 1_000])
            due = min(STEPS, (start + min(1_000, len(BOOK) - start) - 1) // 600)
            await own.train(due)
        return own.written()

    assert school(main) == undisturbed()


@pytest.mark.parametrize("error", [CrashError, PortError])
@pytest.mark.parametrize("arrives", [False, True])
def test_cards_are_the_same_whatever_is_struck(error: type[Exception], arrives: bool) -> None:
    """At each call in turn the process dies, or the call fails, before or after it reached the broker."""
    expected = undisturbed()

    async def main(own: School, calls: int) -> bool:
        await own.examine(BOOK)
        network = CrashingNetwork(calls, error, arrives=arrives)
        try:
            await own.train(STEPS, network)
        except CrashError:
            # Its session runs out; the next process is another trainer.
            await own.train(STEPS)
        assert own.written() == expected, calls
        last = (await own.cards()).entries[-1].told
        assert own.acknowledged == last.examples_offset
        return network.struck

    calls = 0
    while school(partial(main, calls=calls)):
        calls += 1
    assert calls > STEPS * 3


def test_who_was_taken_over_from_writes_nothing_more() -> None:
    """A trainer that was fenced begins anew at the last step: no step is made twice, none is missing."""

    async def main(own: School) -> list[tuple[bytes | None, bytes | None]]:
        await own.examine(BOOK)
        await own.train(STEPS, FencingNetwork(own.broker, own.settings.transactional_id(0)))
        assert own.metrics.counters["training_restarts",] >= 1
        return own.written()

    assert school(main) == undisturbed()


def test_the_figures_of_the_last_card_are_shown_right_after_a_restart_and_by_the_one_who_learns() -> None:
    """The next step may be a week away; and of whoever learnt before, nothing must be left to be added to it."""

    async def main(own: School) -> None:
        await own.examine(BOOK)
        await own.train(STEPS)
        last = (await own.cards()).entries[-1].told
        own.metrics = PlainMetrics()
        trainer = own.trainer()
        running = asyncio.create_task(trainer.run())
        async with asyncio.timeout(60):
            while ("training",) not in own.metrics.gauges:
                await asyncio.wait([running], timeout=0.5)
        assert own.metrics.gauges["model_auc", ""] == last.figures.auc
        assert own.metrics.gauges["model_log_loss", "card"] == last.by_segment["card"].log_loss
        trainer._gauges.forget()
        assert {key for key in own.metrics.gauges if key[0].startswith("model")} == set()
        trainer.stop()
        await running

    school(main)


def test_what_is_no_example_is_counted_and_passed_over() -> None:
    """Garbage on the topic stops nothing."""

    async def main(own: School) -> None:
        await own.examine([b"{", b"\xff", *BOOK[:700], b"[]"])
        await own.train(1)
        (entry,) = (await own.cards()).entries
        assert entry.told.counts["unreadable"] == 2
        assert own.metrics.counters["examples", "unreadable"] >= 2

    school(main)


def test_learning_goes_back_with_a_rollback() -> None:
    """Whoever writes one fences the trainer, which goes on from there without a restart of its process."""

    async def main(own: School) -> None:
        await own.examine(BOOK)
        trainer = own.trainer()
        running = asyncio.create_task(trainer.run())
        await own.until(STEPS, running)
        cards = await own.cards()
        earlier = cards.entries[2].told
        back = await go_back(own.ports, own.settings, earlier.version, 2_000_000_000_000, own.clock)
        assert (back.step, back.number, back.version) == ("rolled_back", STEPS + 1, earlier.version)
        assert back.examples_offset == cards.entries[-1].told.examples_offset
        await own.examine(weeks_of_examples(2, weeks=2, a_week=600, first_week=5))
        await own.until(STEPS + 3, running)
        trainer.stop()
        await running
        later = [entry.told for entry in (await own.cards()).entries[STEPS:]]
        assert [one.step for one in later] == ["rolled_back", "refused", "refused"]
        assert {one.replaces for one in later[1:]} == {earlier.version}
        assert (await own.cards()).in_force == cards.card(earlier.version)

    school(main)


async def go_back_fenced(own: School, at_commits: Sequence[int], *, after: bool) -> CardStep:
    """Go back to the third step's card while other trainers begin."""
    await own.examine(BOOK)
    await own.train(STEPS)
    earlier = (await own.cards()).entries[2].told.version
    network = FencingNetwork(own.broker, own.settings.transactional_id(0), at_commits, after=after)
    return await go_back(own.ports.over(network), own.settings, earlier, 2_000_000_000_000, own.clock)


@pytest.mark.parametrize("after", [False, True], ids=["before-it-is-written", "after-it-was-written"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_rollback_that_a_trainer_takes_over_from_is_tried_again_and_written_once(
    times: int, *, after: bool
) -> None:
    """A trainer that starts at that moment does not cost the operator another call."""

    async def main(own: School) -> None:
        back = await go_back_fenced(own, range(1, times + 1), after=after)
        assert [entry.told for entry in (await own.cards()).entries[STEPS:]] == [back]
        assert back.step == "rolled_back"

    school(main)


def test_a_rollback_that_is_taken_over_from_each_time_is_told_and_leaves_nothing() -> None:
    """It ends after three attempts."""

    async def main(own: School) -> None:
        with pytest.raises(FencedError):
            await go_back_fenced(own, (1, 2, 3), after=False)
        assert len((await own.cards()).entries) == STEPS

    school(main)


def test_there_is_nothing_to_go_back_from_while_nothing_was_learnt() -> None:
    """And a card in use is not gone back to."""

    async def main(own: School) -> None:
        with pytest.raises(CardError, match="nothing was learnt yet"):
            await go_back(own.ports, own.settings, expert_prior().version, 0, own.clock)
        await own.examine(BOOK)
        await own.train(STEPS)
        in_use = (await own.cards()).in_force.version
        with pytest.raises(CardError, match="is the scorecard in use"):
            await go_back(own.ports, own.settings, in_use, 0, own.clock)
        back = await go_back(own.ports, own.settings, expert_prior().version, 0, own.clock)
        assert (back.examples, back.step) == (0, "rolled_back")

    school(main)


def test_a_topic_that_ends_before_the_last_card_is_told() -> None:
    """Examples of a topic made anew are not taken for those that were learnt."""

    async def main(own: School) -> None:
        await own.examine(BOOK)
        await own.train(STEPS)
        other = School()
        for key, value in own.written():
            other.broker.produce(NAMES.scorecards, 0, key, value)
        with pytest.raises(
            TrainingError, match="ends at offset 0, and the last scorecard has learnt up to 2402"
        ):
            await other.trainer().run()

    school(main)


def test_examples_deleted_before_they_were_learnt_from_are_counted() -> None:
    """Learning goes on with what is left."""

    async def main(own: School) -> None:
        await own.examine(BOOK)
        own.broker.log(NAMES.training_examples, 0).delete_before(1_001)
        await own.train(2)
        assert (
            own.metrics.counters["examples", "lost"] == 0
        )  # nothing was learnt yet: nothing says what was there
        last = (await own.cards()).entries[-1].told.examples_offset
        await own.examine(weeks_of_examples(2, weeks=1, a_week=600, first_week=5))
        log = own.broker.log(NAMES.training_examples, 0)
        log.delete_before(last + 100)
        await own.train(3)
        assert own.metrics.counters["examples", "lost"] == 100

    school(main)


# ---- the topic ---------------------------------------------------------------------------------------------------


def a_step(number: int = 1) -> PublishedCard:
    """A step of that number, after one week."""
    issuing = Issuing(Learner(expert_prior()))
    steps = [step for offset, one in enumerate(BOOK[:601]) if (step := issuing.take(offset, one)) is not None]
    return msgspec.structs.replace(steps[0], number=number)


def topic(step: PublishedCard) -> dict[bytes, tuple[bytes, int]]:
    """What the topic holds after a step, with its time."""
    return {record.key or b"": (record.value or b"", 5) for record in step_records(step)}


def test_a_step_is_read_as_it_was_written() -> None:
    """With its time; and the state that learning goes on from."""
    step = a_step()
    cards = cards_of(topic(step))
    assert [(entry.told, entry.published_at_ms) for entry in cards.entries] == [(step.told(), 5)]
    assert cards.card(step.version) == step.card
    assert cards.publications == ()  # refused
    issuing, offset = cards.resume()
    assert (issuing.to_bytes(), offset) == (step.state, step.examples_offset)


def test_state_and_last_step_belong_together() -> None:
    """Of a topic that lost one of them nobody learns on by guess."""
    values = topic(a_step())
    for key in (b"learning", b"history/1"):
        rest = {one: value for one, value in values.items() if one != key}
        with pytest.raises(UnreadableError, match=r"no state of learning|the last step is 0"):
            cards_of(rest).resume()
    with pytest.raises(UnreadableError, match="not readable"):
        cards_of(values | {b"history/1": (b"{", 0)})


def test_old_steps_are_told_no_more() -> None:
    """The step that pushes one out writes its tombstone."""
    assert not any(record.value is None for record in step_records(a_step(STEPS_KEPT)))
    assert OutputRecord(b"history/1", None) in step_records(a_step(STEPS_KEPT + 1))


def test_a_card_put_there_by_hand_is_where_learning_begins() -> None:
    """Without a history it is the latest, for those who score as for those who learn."""
    card = msgspec.structs.replace(expert_prior(), bias=-2.0)
    cards = cards_of({key: (value, 3) for key, value in content_records(card)})
    assert [(one.version, one.number) for one in cards.publications] == [(card.version, 1)]
    issuing, offset = cards.resume()
    assert (issuing.learner.in_use, offset) == (card, None)
    assert cards_of({}).in_force == expert_prior()
    assert CURRENT_KEY not in topic(a_step())


def test_the_largest_step_fits_into_records() -> None:
    """As many segments as are told apart, with the longest names, and scores all over the histogram."""
    names = [f"{place:02d}" + "段" * (IDENTIFIER_CHARACTERS_MAX - 2) for place in range(SEGMENTS_MAX + 1)]
    issuing = Issuing(Learner(expert_prior()))
    dice = Random(1)
    step = None
    for offset in range(4 * EXAMPLES_BETWEEN_MIN):
        one = example(dice.randrange(9), ("bad", "good")[offset % 2], segment=names[offset % len(names)])
        later = msgspec.structs.replace(
            one, matured_ms=one.matured_ms + offset // EXAMPLES_BETWEEN_MIN * STEP_MS
        )
        step = issuing.take(offset, later) or step
    assert step is not None
    records = step_records(step)
    assert len(step.by_segment) == SEGMENTS_MAX + 1
    assert max(len(record.value or b"") for record in records) < PAYLOAD_BYTES_MAX // 2
