"""Learning from `training-examples`, and publishing what comes of it: one loop, in whichever worker has the topic.

    open the producer (fences) ─ read `scorecards` ─ seek ─ [ poll ─ take ─ where a step is due: begin │ its records │ offset │ commit ]

Nothing is acknowledged but together with the step that contains it, in one transaction. So there is only one way back after
anything at all, a crash, a doubtful commit, another worker that took over, a rollback by hand: open, read where learning
stands, go on there. `models.risk.issuing` sees to it that the same cards come of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from models.risk.challengers import Challengers
from models.risk.examples import Example
from models.risk.issuing import UNREADABLE, Issuing
from models.risk.published import PublishedCard
from streams.clock import Clock
from streams.metrics import Metrics
from streams.model_gauges import ModelGauges
from streams.ports import Assignment, Logs, OutputRecord, PortError, Ports, RawRecord, Sink, Source
from streams.reference import ReferenceError  # noqa: A004 - ours
from streams.scorecards import challengers_record, read_cards, step_records
from streams.settings import Settings
from streams.topics import TopicNames

logger = logging.getLogger(__name__)

TASK: Final = 0
"""The topics have one partition: whoever has it, learns."""
_POLL_MS: Final = 200
"""How long is waited for examples; nothing waits for a card."""
_EXAMPLES_A_TURN: Final = 50
"""Examples learnt from before others get their turn: some 5 ms, so that the events in the same process flow."""
_SAMPLED_A_TURN: Final = 4
"""Examples that challengers learn from at each poll that leaves none waiting: some 3 ms, as with those above, and in an idle
worker not more often than every `_POLL_MS`."""
_PAUSES_SECONDS: Final = (1, 2, 5, 10, 30, 30, 30, 30, 30, 30)
"""Between a failure and the next attempt; after as many in a row it is given up, after some three minutes."""

_decode: Final = msgspec.json.Decoder(Example).decode


class TrainingError(Exception):
    """Why learning ended; the message is what the operator reads."""


def trainer_settings(settings: Settings) -> Settings:
    """The same installation with the trainers' group and producer.

    Both are named after the topics alone: one trainer at a time writes to `scorecards`, of whatever group its worker is.
    """
    name = f"{settings.topic_prefix}scorecards-trainer"
    return msgspec.structs.replace(settings, group_id=name, transactional_id_prefix=name)


def trainer_inputs(settings: Settings) -> tuple[str, ...]:
    """What trainers read."""
    return (TopicNames(settings.topic_prefix).training_examples,)


class Process(Protocol):
    """What else the process does that a trainer is in."""

    @property
    def is_restoring(self) -> bool:
        """Whether borrowers are not watched yet: learning begins behind that."""
        ...

    @property
    def is_behind(self) -> bool:
        """Whether alerts wait for a backlog: challengers do not compete with it."""
        ...


class _NothingElse:
    is_restoring = is_behind = False


async def _ready() -> None:
    return None


class TrainingLoop:
    """What one worker does for learning: nothing at all while another one learns."""

    def __init__(
        self,
        ports: Ports,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        new_challengers: Callable[[], Challengers] = Challengers,
        process: Process | None = None,
        prepare: Callable[[], Awaitable[None]] = _ready,
    ) -> None:
        """The loop of one worker.

        Args:
            ports: with `trainer_inputs` and `trainer_settings`.
            settings: these, too.
            clock: the time of day.
            metrics: counts examples and steps.
            new_challengers: makes those that learn beside the card.
            process: that it is in; None where it does nothing else.
            prepare: awaited before anything is learnt.
        """
        self.steps = 0
        """Made here."""
        self._ports = ports
        self._clock = clock
        self._metrics = metrics
        self._new_challengers = new_challengers
        self._process: Process = process or _NothingElse()
        self._prepare = prepare
        self._made_challengers: Challengers | None = None
        self._gauges = ModelGauges(metrics)
        names = TopicNames(settings.topic_prefix)
        self._examples, self._scorecards = names.training_examples, names.scorecards
        self._stopping = asyncio.Event()
        self._failures = 0
        """In a row."""

    def stop(self) -> None:
        """End as soon as a step under way is done. What was learnt since the last one is learnt again by the next trainer."""
        self._stopping.set()

    async def run(self) -> None:
        """Learn whenever the topic is here, until `stop`.

        Raises:
            TrainingError: where learning stands cannot be made out, or Kafka failed again and again.
        """
        try:
            while self._process.is_restoring and not self._stopping.is_set():
                await self._rest(_POLL_MS / 1000)
            while not self._stopping.is_set():
                try:
                    await self._as_member()
                except PortError as failure:
                    await self._pause(failure)
        except (PortError, ReferenceError) as error:
            raise TrainingError(f"learning ended: {error}") from error

    async def _as_member(self) -> None:
        """Be one of the trainers, and learn whenever it is this one's turn."""
        logs, source = self._ports.logs(), self._ports.source()
        try:
            await logs.start()
            await source.start(_hand_over)
            while not self._stopping.is_set():
                if _is_here(source.assignment):
                    await self._learn(logs, source)
                else:
                    await source.poll(_POLL_MS)
        finally:
            await source.stop()
            await logs.stop()

    async def _pause(self, failure: PortError) -> None:
        """Wait before the next attempt, or give up."""
        if self._failures == len(_PAUSES_SECONDS):
            raise failure
        if self._failures == 0:
            logger.warning("learning goes on from the last card after a failure: %s", failure)
        seconds = _PAUSES_SECONDS[self._failures]
        self._failures += 1
        self._metrics.count("training_restarts")
        await self._rest(seconds)

    async def _rest(self, seconds: float) -> None:
        """Wait, but not for longer than until `stop`."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    @property
    def _challengers(self) -> Challengers:
        """Made where it is learnt: a worker that only stands by needs none of the libraries of theirs."""
        if self._made_challengers is None:
            self._made_challengers = self._new_challengers()
        return self._made_challengers

    # ---- from the last card on -----------------------------------------------------------------------------------

    async def _learn(self, logs: Logs, source: Source) -> None:
        """Go on from the last step as long as the topic is here."""
        sink = self._ports.sink(TASK)
        try:
            # Whoever learnt before can write no more: what is read now is the last step, and stays it.
            await sink.open()
            await self._prepare()
            cards = await read_cards(logs, self._scorecards)
            issuing, offset = cards.resume()
            if cards.entries:  # the next step may be a week away
                self._gauges.show_card(cards.entries[-1].told)
            if offset is None:  # the offsets of another topic, made anew since, would mean nothing
                self._made_challengers = None
            offset = await self._first(logs, offset)
            self._metrics.set("training", 1)
            logger.info("learning from example %d on, after step %d", offset, issuing.number)
            await self._learn_on(issuing, source, sink, offset)
        finally:
            self._metrics.set("training", 0)
            if not self._stopping.is_set():
                self._gauges.forget()
            await sink.close()

    async def _first(self, logs: Logs, offset: int | None) -> int:
        """The first example to take.

        Raises:
            ReferenceError: the topic ends before it.
        """
        held = (await logs.ranges([self._examples], [TASK]))[self._examples, TASK]
        if offset is None:
            return held.start
        if offset > held.end:
            raise ReferenceError(
                f"{self._examples} ends at offset {held.end}, and the last scorecard has learnt up to {offset}: this is another "
                f"topic, or it lost its end. Make {self._scorecards} anew, too, to learn from the beginning"
            )
        if offset < held.start:
            lost = held.start - offset
            logger.warning(
                "%s: up to %d examples were deleted before they were learnt from", self._examples, lost
            )
            self._metrics.count("examples", lost, "lost")
        return max(offset, held.start)

    async def _learn_on(self, issuing: Issuing, source: Source, sink: Sink, offset: int) -> None:
        generation = -1
        while not self._stopping.is_set():
            assignment = source.assignment
            if assignment is None or not _is_here(assignment):
                return
            if assignment.generation != generation:
                # Others came or went and the topic stayed here. Had another had it, its producer would have fenced ours.
                generation = assignment.generation
                source.open(TASK, [offset])
            for fetched in await source.poll(_POLL_MS):
                for start in range(0, len(fetched.records), _EXAMPLES_A_TURN):
                    turn = fetched.records[start : start + _EXAMPLES_A_TURN]
                    await self._take(issuing, sink, turn)
                    offset = turn[-1].offset + 1
                    if self._stopping.is_set():
                        return
                    await asyncio.sleep(0)
            if source.caught_up(0, TASK):
                self._challenge()

    async def _take(self, issuing: Issuing, sink: Sink, records: Sequence[RawRecord]) -> None:
        outcomes: Counter[str] = Counter()
        skipped = self._challengers.skipped
        for record in records:
            example = example_of(record)
            step = issuing.take(record.offset, example)
            if step is not None:
                await self._write(sink, step)
            if example is not None:
                self._challengers.offer(record.offset, example, issuing.learner.foretold)
            outcomes[UNREADABLE if example is None else example.outcome] += 1
            for drift in issuing.drifts:
                self._metrics.count("drifts", 1, drift.watched)
                logger.warning("%s drifts: %.4f before, %.4f since", drift.watched, drift.before, drift.since)
        for outcome, count in outcomes.items():
            self._metrics.count("examples", count, outcome)
        if self._challengers.skipped > skipped:
            self._metrics.count("challenger_examples", self._challengers.skipped - skipped, "skipped")

    async def _write(self, sink: Sink, step: PublishedCard) -> None:
        compared = self._challengers.compared()
        beside = [] if compared is None else [challengers_record(compared)]
        await write_step(sink, self._scorecards, step, self._clock.now_ms(), beside)
        self.steps += 1
        self._failures = 0
        outcome = step.refused or step.step
        self._metrics.count("card_steps", 1, outcome)
        self._gauges.show_card(step)
        if compared is not None:
            self._gauges.show_challengers(compared)
        logger.info("scorecard %s, step %d: %s", step.version, step.number, outcome)

    def _challenge(self) -> None:
        """Let challengers learn from a few examples, now that the card has learnt from all there are, and nothing is urgent."""
        if not self._challengers.waiting or self._process.is_behind:
            return
        failed = set(self._challengers.withdrawn)
        self._metrics.count("challenger_examples", self._challengers.work(_SAMPLED_A_TURN), "learnt")
        for name, failure in self._challengers.withdrawn.items():
            if name not in failed:
                self._metrics.count("challengers_withdrawn", 1, name)
                logger.error(
                    "challenger %s failed (%s) and learns no more until the next start", name, failure
                )


def example_of(record: RawRecord) -> Example | None:
    """What a record says; None where it is no example."""
    try:
        return None if record.value is None else _decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def write_step(
    sink: Sink, topic: str, step: PublishedCard, now_ms: int, beside: Sequence[OutputRecord] = ()
) -> None:
    """Write a step and acknowledge its examples, all or nothing; `beside` are records that learning does not go on from.

    Raises:
        FencedError: another trainer has taken over.
        PortError: whether it was written is open.
    """
    await sink.begin()
    await sink.send(topic, [*step_records(step), *beside], now_ms)
    # The client commits although a send failed: nothing is committed before every record is acknowledged.
    await sink.flush()
    await sink.send_offsets([step.examples_offset])
    await sink.commit()


def _is_here(assignment: Assignment | None) -> bool:
    return assignment is not None and TASK in assignment.tasks


async def _hand_over() -> None:
    """Nothing has to be finished: whoever comes next fences us, and goes on from the last step."""
