"""What the pipeline needs of the world, in batches: a source, a transactional sink for each task, logs to read to their end.

Two implementations obey one contract suite (`tests/contracts`): Kafka and memory. Offsets of what a task reads travel as a
tuple by feed index, in the order of `models.events.TOPICS`; after the feeds comes `linked-risk`, at the place `LINKED`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from models.alerts import Alert
from models.engine import EngineOutput, EngineProgress, Unfinished
from models.events import TOPICS, Event
from models.links import LinkMessage
from models.portfolio import Portfolio
from models.rejects import StateReason
from models.risk.scorecard import Scorecard
from models.rulebook import Adopted
from models.rules import Rules

Headers = Sequence[tuple[str, bytes]]
LINKED: Final = len(TOPICS)
"""The place of `linked-risk` among what a task reads: no feed, for it has neither events nor a watermark."""


class ReadRecord(Protocol):
    """What a decoder looks at of a record as it was read."""

    @property
    def timestamp(self) -> int:
        """When it was produced (or appended), epoch milliseconds."""
        ...

    @property
    def key(self) -> bytes | None:
        """As written."""
        ...

    @property
    def value(self) -> bytes | None:
        """As written; None is a tombstone."""
        ...

    @property
    def headers(self) -> Headers:
        """As written."""
        ...


class RawRecord(ReadRecord, Protocol):
    """A record as read, in its place. The Kafka client's own class fits, so none is made a second time."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""
        ...


class Fetched(NamedTuple):
    """Records of one input partition, in the order of their offsets."""

    feed: int
    task: int
    records: Sequence[RawRecord]


class OutputRecord(NamedTuple):
    """A record to write. A value of None is a tombstone."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Assignment(NamedTuple):
    """The tasks of this worker, as of one generation of the group."""

    generation: int
    tasks: frozenset[int]


class LogRange(NamedTuple):
    """The offsets a partition holds: from `start` up to, not including, `end`."""

    start: int
    end: int


class PortError(Exception):
    """The world did not do as asked. The message says what, where, and how long was waited."""


class FencedError(PortError):
    """Another producer has taken over this task: whatever this one still holds is void."""


class BrokerUnavailableError(PortError):
    """No broker answers at the given address."""


class BrokerRefusedError(BrokerUnavailableError):
    """A broker answers and does not let us in: who we say we are, or who it says it is, is not believed."""


class PositionLostError(PortError):
    """A position to read from is no longer in the log: records that were never processed are gone."""


class Source(Protocol):
    """The input topics, as one member of the group of workers."""

    async def start(self, on_handover: Callable[[], Awaitable[None]]) -> None:
        """Join the group.

        Args:
            on_handover: awaited before tasks may move: it stops processing and lets running commits finish.
        """
        ...

    async def stop(self) -> None:
        """Leave the group, so that others go on at once."""
        ...

    @property
    def assignment(self) -> Assignment | None:
        """What this worker holds; None before the first assignment and while tasks may move.

        Raises:
            PortError: the assignment broke the rule that a task is whole.
        """
        ...

    async def poll(self, timeout_ms: int) -> list[Fetched]:
        """Return what has arrived for open, unpaused partitions; wait up to `timeout_ms` for something.

        Of each at most an even share of `poll_records_max` records, by the tasks assigned; the rest comes with the next polls.

        Raises:
            PositionLostError: retention has deleted what was to be read next.
            PortError: the broker refused for good.
        """
        ...

    def open(self, task: int, offsets: Sequence[int]) -> None:
        """Read a task's partitions from `offsets` on. A task just assigned is closed."""
        ...

    def close(self, task: int) -> None:
        """Read a task's partitions no more."""
        ...

    def pause(self, feed: int, task: int) -> None:
        """Hold one open partition back."""
        ...

    def resume(self, feed: int, task: int) -> None:
        """Go on where `pause` stopped, with nothing lost."""
        ...

    def position(self, feed: int, task: int) -> int:
        """The offset that the next poll begins with."""
        ...

    def caught_up(self, feed: int, task: int) -> bool:
        """Whether everything readable, as far as the broker has told, was polled."""
        ...

    def unread(self, feed: int, task: int) -> int:
        """How many offsets are readable, as far as the broker has told, and were not polled; 0 where it has told nothing yet."""
        ...

    async def committed(self, task: int) -> tuple[int | None, ...]:
        """The group's offsets of a task, by feed; None where there is none."""
        ...


class Sink(Protocol):
    """The transactional producer of one task. It fences whoever held the task before.

    The order is `open`, then again and again: `begin`, `send`..., `flush`, `send_offsets`, `commit`. After any error it
    is only good for `close`.

    Every method but `close` raises:
        FencedError: another producer has taken over.
        PortError: it failed, or did not finish within its named time limit.
    """

    async def open(self) -> None:
        """Fence the former producer and finish its transaction."""
        ...

    async def begin(self) -> None:
        """Begin a transaction."""
        ...

    async def send(
        self, topic: str, records: Sequence[OutputRecord], timestamp_ms: int, partition: int | None = None
    ) -> None:
        """Hand over records for the task's partition of a topic, or for another one's."""
        ...

    async def flush(self) -> None:
        """Wait until every record handed over is in the log; raise if one is not."""
        ...

    async def send_offsets(self, offsets: Sequence[int]) -> None:
        """Make the group's offsets of this task part of the transaction: the next offset to read, by feed, then `LINKED`."""
        ...

    async def commit(self) -> None:
        """Commit. An error leaves open whether it is committed."""
        ...

    async def abort(self) -> None:
        """Take the transaction back. Only before `commit` was called."""
        ...

    async def close(self) -> None:
        """Let go of all resources, within a time limit; never raises for what the broker does."""
        ...


class Logs(Protocol):
    """Topics read without a group.

    Raises:
        PortError: no answer within the time limit.
    """

    async def start(self) -> None:
        """Connect."""
        ...

    async def stop(self) -> None:
        """Disconnect."""
        ...

    async def partition_counts(self, topics: Sequence[str]) -> Mapping[str, int]:
        """The number of partitions of each topic; 0 where it does not exist."""
        ...

    async def ranges(
        self, topics: Sequence[str], partitions: Sequence[int]
    ) -> Mapping[tuple[str, int], LogRange]:
        """What the given partitions of the given topics hold, committed or not."""
        ...

    async def readable_ends(
        self, topics: Sequence[str], partitions: Sequence[int]
    ) -> Mapping[tuple[str, int], int]:
        """Up to where committed records can be read: the end, or where the first open transaction begins."""
        ...

    def read(self, topic: str, partition: int) -> AsyncIterator[Sequence[RawRecord]]:
        """Read everything committed, in batches, until the position reaches the end as of now.

        Transaction markers take offsets too: the end is a position, never the offset of a last record.
        """
        ...


class Ports(Protocol):
    """The makers of the ports of one world."""

    def source(self) -> Source:
        """A member of the group."""
        ...

    def sink(self, task: int) -> Sink:
        """The producer of a task."""
        ...

    def logs(self) -> Logs:
        """A reader."""
        ...


class Engine(Protocol):
    """`RiskEngine` as the pipeline sees it."""

    @property
    def counts(self) -> dict[str, int]:
        """What was noticed and not acted on; drained by the pipeline."""
        ...

    @property
    def borrower_count(self) -> int:
        """Borrowers known."""
        ...

    @property
    def changed_count(self) -> int:
        """Borrowers whose state `take_output` will hand over."""
        ...

    def hold(self, pictures_max: int, deadlines_at_once: int) -> None:
        """Keep so many borrowers decoded, the others as their records; pass so many deadlines at once."""
        ...

    @property
    def pending_alerts(self) -> Sequence[Alert]:
        """What `take_output` will hand over so far, not stamped or chained yet."""
        ...

    @property
    def watermarks_ms(self) -> Sequence[int]:
        """By feed; -1 where nothing came yet."""
        ...

    def borrower_ids(self) -> list[str]:
        """All borrowers."""
        ...

    def survey(self, borrower_ids: Iterable[str], book: Portfolio) -> None:
        """Add how borrowers stand; nothing changes."""
        ...

    def process(self, event: Event, feed: int, offset: int) -> StateReason | Unfinished | None:
        """Take one event in merge order; return why it is refused, or None; `UNFINISHED` where it is to come again."""
        ...

    def note_reject(
        self, feed: int, borrower_id: str, event_id: str | None, event_time_ms: int | None, offset: int
    ) -> None:
        """A record with a readable key was refused before it came here."""
        ...

    def hear(self, receiver: str, message: LinkMessage, offset: int) -> None:
        """Take what a linked borrower tells, outside the order of events."""
        ...

    def advance_within(self, feed: int, watermark_ms: int) -> bool:
        """Move a feed's watermark, never back, by no more deadlines than may be passed at once; whether it is there."""
        ...

    @property
    def is_passing(self) -> bool:
        """Whether deadlines are left to be passed."""
        ...

    def pass_on(self) -> bool:
        """Pass some of them; whether all are passed."""
        ...

    @property
    def is_reviewing(self) -> bool:
        """Whether a change of policy has borrowers judged once more: `prepare` bounds the work of an event then."""
        ...

    def prepare(self, event: Event, feed: int, offset: int) -> bool:
        """Do one step of what comes before an event; whether it may be processed now."""
        ...

    def advance_a_step(self, feed: int, watermark_ms: int) -> bool:
        """Move a feed's watermark by one step of bounded work; whether `advance_within` may do the rest."""
        ...

    def take_output(self, detected_at_ms: int) -> EngineOutput:
        """Hand over what came of the events since the last take; amid deadlines, of those passed so far."""
        ...

    def progress(self) -> EngineProgress:
        """What `resume` needs; complete right after `take_output`."""
        ...

    @property
    def adopted(self) -> Adopted:
        """The policies taken up; the engine of a restart is made with them."""
        ...

    @property
    def policy_version(self) -> str:
        """Of the policy in force as of the highest watermark."""
        ...

    def adopt(self, publication: int, rules: Rules, effective_from_ms: int) -> None:
        """Take up a policy: it judges everything as of that instant and later, nothing judged already."""
        ...

    @property
    def adopted_cards(self) -> Adopted:
        """The cards taken up, likewise."""
        ...

    @property
    def card_version(self) -> str:
        """Of the card in force as of the highest watermark."""
        ...

    def adopt_card(self, publication: int, card: Scorecard, effective_from_ms: int) -> None:
        """Take up a card: it weighs everything as of that instant and later, nothing judged already."""
        ...

    def restore(self, borrower_id: str, record: bytes) -> None:
        """Take a state record back.

        Raises:
            CorruptStateError: it is not what was written.
        """
        ...

    def resume(self, progress: EngineProgress) -> None:
        """Go on from where `progress` was taken."""
        ...


class EngineMaker(Protocol):
    """Makes the engine of one task."""

    @property
    def lateness_ms(self) -> Sequence[int]:
        """Allowed lateness by feed, as of the policies known by now."""
        ...

    def __call__(
        self,
        task: int,
        belongs: Callable[[str], bool],
        adopted: Adopted | None = None,
        cards: Adopted | None = None,
    ) -> Engine:
        """An engine without any borrower, with the policies and the cards that its task has adopted."""
        ...

    async def refresh(self, logs: Logs) -> bool:
        """Read the policies published; return whether anything is new.

        Raises:
            PortError, ReferenceError: they could not be read. Those known stay.
        """
        ...

    async def refresh_cards(self, logs: Logs) -> bool:
        """The same of the cards.

        Raises:
            PortError: they could not be read. Those known stay.
        """
        ...

    def bring_up_to_date(self, engine: Engine) -> None:
        """Have an engine adopt what was published since it last did."""
        ...
