"""One task: one partition number of all input topics, with its order, its engine, its position and its producer.

It is told when to take records, when to process and when to commit; it decides none of that.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from models.engine import UNFINISHED, Unfinished
from models.events import LINKED_RISK, TOPICS, TYPES_BY_TOPIC, Event
from models.rejects import RejectReason, StateReason
from streams.clock import Clock
from streams.codec import Ignored, NotAnEvent, RecordDecoder, Reject, tag_of
from streams.dead_letters import dead_letter, name_of_retried
from streams.linked import HomeOf, read_message, records_by_partition
from streams.metrics import Metrics
from streams.ordering import MergeQueue
from streams.outputs import alert_record, example_records, risk_records, state_records
from streams.ports import LINKED, Engine, Fetched, OutputRecord, RawRecord, Sink
from streams.progress import Progress, encode_progress, progress_key
from streams.tally import Tally
from streams.topics import EXAMPLES_PARTITION, TopicNames

FEEDS: Final = len(TOPICS)
_MESSAGE: Final = "message"
"""What `linked-risk` holds, among the types of events."""
_WORDS_BY_TYPE: Final[dict[type[Struct], str]] = {
    Reject: "rejected",
    Ignored: "ignored",
    **{kind: tag_of(kind) for topic in TOPICS for kind in TYPES_BY_TOPIC[topic]},
}
"""As the contract names the types that the decoders make."""
_GARBAGE_KEY_MS: Final = 0
"""What brings no event has no time of its own: it is taken right after the one before it."""


class Identity(Struct, frozen=True):
    """What a task says of itself in what it writes."""

    partition_count: int
    connector: str


class Transaction(NamedTuple):
    """What one commit carries, taken from the task at one instant."""

    records: Mapping[str, Sequence[OutputRecord]]
    """By topic, for the task's own partition."""
    messages: Mapping[int, Sequence[OutputRecord]]
    """By partition, of `linked-risk`."""
    examples: Sequence[OutputRecord]
    """For the one partition of `training-examples`."""
    offsets: tuple[int, ...]
    timestamp_ms: int
    events: int
    tally: Tally


class Task:
    """What a worker holds of one partition."""

    def __init__(
        self,
        number: int,
        engine: Engine,
        sink: Sink,
        offsets: Sequence[int],
        merge_keys_ms: Sequence[int],
        *,
        decoders: Sequence[RecordDecoder],
        home_of: HomeOf,
        names: TopicNames,
        identity: Identity,
        metrics: Metrics,
        clock: Clock,
        state_bytes: int,
    ) -> None:
        """`offsets` (by feed, then `LINKED`) and `merge_keys_ms` (by feed): where the engine's state stands.

        `state_bytes`: of the state records that the engine was given.
        """
        self.number = number
        self.engine = engine
        self.sink = sink
        self.queue: MergeQueue[Event | Reject | Ignored, RawRecord] = MergeQueue(merge_keys_ms)
        self.offsets = list(offsets)
        """The next record to process, by feed; then the next message to hear."""
        self.polled = list(offsets)
        """The next record to poll, as `offsets`."""
        self.committed = tuple(offsets)
        """The position of the last transaction, as `offsets`."""
        self.state_bytes = state_bytes
        """Of the state records of all borrowers, as last known."""
        self.told: deque[RawRecord] = deque()
        """Messages for borrowers of this task, not heard yet. No event waits for them, nor they for any."""
        self.unread = 0
        """Records of the input topics that wait in the log, as of this turn."""
        self.uncommitted_events = 0
        self.late_ms: int | None = None
        """How long after its writing the first record of the next transaction was processed; None where none was yet."""
        self.last_commit_ms = clock.monotonic_ms()
        self.commit_steps = 0
        """Steps of commits done so far: as long as it grows, a commit gets on."""
        self.steps_before = 0
        """Steps of reviews and deadlines done so far before a record: as long as it grows, processing gets on."""
        self._merge_keys_ms = list(merge_keys_ms)
        self._decoders = decoders
        self._home_of = home_of
        self._names = names
        self._identity = identity
        self._metrics = metrics
        self._clock = clock
        self._dead_letters: list[OutputRecord] = []
        self._dead_letter_bytes = 0
        self._tally = Tally()
        self._advanced = False

    def is_behind(self, records_min: int) -> bool:
        """Whether so many records or more wait to be processed, here or in the log."""
        return self.queue.ready + self.queue.waiting + self.unread >= records_min

    def accept(self, fetched: Fetched) -> None:
        """Decode a batch and put it in its place; what is refused waits its turn like everything else."""
        if fetched.feed == LINKED:
            self.told.extend(fetched.records)
            self.polled[LINKED] = fetched.records[-1].offset + 1
            self._metrics.count("events", len(fetched.records), LINKED_RISK, _MESSAGE)
            return
        decoder, records = self._decoders[fetched.feed], fetched.records
        events = decoder.decode_all(records)
        self._count_read(fetched.feed, events, decoder)
        keys_ms = [
            _GARBAGE_KEY_MS
            if isinstance(event, NotAnEvent)
            else event.event_time_ms
            if event.ingested_at_ms is None
            else event.ingested_at_ms
            for event in events
        ]
        self.queue.push(fetched.feed, keys_ms, events, records, self._clock.monotonic_ms())
        self.polled[fetched.feed] = records[-1].offset + 1

    def _count_read(
        self, feed: int, events: Sequence[Event | Reject | Ignored], decoder: RecordDecoder
    ) -> None:
        """Count a batch by type: one step of C over the batch, some 50 ns an event."""
        for kind, count in Counter(map(type, events)).items():
            self._metrics.count("events", count, TOPICS[feed], _WORDS_BY_TYPE[kind])
        if decoder.unknown_words:
            for field, count in decoder.unknown_words.items():
                self._metrics.count("unknown_words", count, field)
            decoder.unknown_words.clear()

    def hear(self, messages_max: int) -> None:
        """Let the engine hear at most so many messages.

        Raises:
            PortError: a record is no message.
        """
        for _ in range(min(messages_max, len(self.told))):
            record = self.told.popleft()
            receiver, message = read_message(record, self._names.linked_risk, self.number)
            self.engine.hear(receiver, message, record.offset)
            self.offsets[LINKED] = record.offset + 1
            self.uncommitted_events += 1

    def process(self, events_max: int) -> int:
        """Put at most so many released records through the engine; return how many.

        Where more deadlines lie before one than are passed at once, or a change of policy has everybody judged once more, a turn
        ends with one step of that work.
        """
        if self.engine.is_passing:
            self._advanced = True
            if not self.engine.pass_on():
                self.steps_before += 1
                return 0
        taken = self.queue.take(events_max)
        process = self.engine.process
        is_reviewing = self.engine.is_reviewing
        alerts_before = len(self.engine.pending_alerts)
        for place, (order, event, record) in enumerate(taken):
            feed = order % FEEDS
            if isinstance(event, NotAnEvent):
                if isinstance(event, Reject):
                    self._refuse_undecoded(feed, event, record)
                continue
            if is_reviewing and not self.engine.prepare(event, feed, record.offset):
                reason: StateReason | Unfinished | None = UNFINISHED
            else:
                reason = process(event, feed, record.offset)
            if reason == UNFINISHED:
                self.queue.give_back(taken[place:])
                taken = taken[:place]
                self.steps_before += 1
                self._advanced = True
                break
            if reason is not None:
                self._refuse(feed, record, reason, "")
        self._move_position(taken)
        self._note_causes(taken, alerts_before)
        if taken and self.late_ms is None:
            _, _, first = taken[0]
            self.late_ms = self._clock.now_ms() - first.timestamp
        self.uncommitted_events += len(taken)
        return len(taken)

    def _move_position(self, taken: Sequence[tuple[int, Event | Reject | Ignored, RawRecord]]) -> None:
        """The position is behind the last record of each feed: found from the end, after a few steps."""
        missing = set(range(FEEDS))
        for order, _, record in reversed(taken):
            key_ms, feed = self.queue.place(order)
            if feed in missing:
                missing.remove(feed)
                self._merge_keys_ms[feed] = key_ms
                self.offsets[feed] = record.offset + 1
                if not missing:
                    return

    def _note_causes(
        self, taken: Sequence[tuple[int, Event | Reject | Ignored, RawRecord]], alerts_before: int
    ) -> None:
        """When the records were written that caused the alerts of a turn; most turns have few alerts or none.

        Left out is what no event caused (a deadline), and what was caused by an event of an earlier turn, for it had to wait
        for a deadline: what it waited for is no delay.
        """
        causes = [
            alert.caused_by
            for alert in self.engine.pending_alerts[alerts_before:]
            if alert.caused_by.event_id is not None
        ]
        if not causes:
            return
        offsets = {cause.offset for cause in causes}
        written_ms: dict[tuple[str, int], int] = {
            (TOPICS[order % FEEDS], record.offset): record.timestamp
            for order, _, record in taken
            if record.offset in offsets
        }
        self._tally.caused_at_ms += [
            written_ms[cause.topic, cause.offset]
            for cause in causes
            if (cause.topic, cause.offset) in written_ms
        ]

    def advance(self, watermarks_ms: Mapping[int, int]) -> None:
        """Let idle feeds follow the wall clock."""
        for feed, watermark_ms in watermarks_ms.items():
            # Where a review has more to do than one step may, the next look at the clock goes on with it; deadlines go on each turn.
            if not self.engine.is_reviewing or self.engine.advance_a_step(feed, watermark_ms):
                self.engine.advance_within(feed, watermark_ms)
        self._advanced = True

    @property
    def dirty(self) -> bool:
        """Whether there may be something to commit."""
        return self.uncommitted_events > 0 or self._advanced

    def is_full(self, events_max: int, states_max: int, refused_bytes_max: int) -> bool:
        """Whether so much was processed that it must be committed before more is."""
        return (
            self.uncommitted_events >= events_max
            or self.engine.changed_count >= states_max
            or self._dead_letter_bytes >= refused_bytes_max
        )

    def take_transaction(self) -> Transaction | None:
        """Take everything that came since the last one, with the position it belongs to; None where nothing did."""
        now_ms = self._clock.now_ms()
        output = self.engine.take_output(now_ms)
        events, self.uncommitted_events, self._advanced = self.uncommitted_events, 0, False
        self.late_ms = None
        if events == 0 and not any(
            (output.alerts, output.changed, output.risks, output.messages, output.examples)
        ):
            return None
        source = self._identity.connector.encode()
        records = {
            self._names.alerts: [alert_record(alert, source) for alert in output.alerts],
            self._names.borrower_risk: risk_records(output.risks),
            self._names.dead_letters: self._dead_letters,
            self._names.state: [
                *state_records(output.changed),
                OutputRecord(progress_key(self.number), encode_progress(self.progress())),
            ],
        }
        self._dead_letters = []
        self._dead_letter_bytes = 0
        tally, self._tally = self._tally, Tally()
        tally.take(output)
        return Transaction(
            records={topic: batch for topic, batch in records.items() if batch},
            messages=records_by_partition(output.messages, self._home_of),
            examples=example_records(output.examples),
            offsets=tuple(self.offsets),
            timestamp_ms=now_ms,
            events=events,
            tally=tally,
        )

    def progress(self) -> Progress:
        """Where the task stands."""
        return Progress(
            task=self.number,
            partition_count=self._identity.partition_count,
            offsets=tuple(self.offsets),
            merge_keys_ms=tuple(self._merge_keys_ms),
            engine=self.engine.progress(),
            policy_version=self.engine.policy_version,
            card_version=self.engine.card_version,
            policies=self.engine.adopted,
            cards=self.engine.adopted_cards,
        )

    async def commit(self, transaction: Transaction) -> None:
        """Write a transaction: all or nothing. After any error the task is only good for being thrown away."""
        sink = self.sink
        await self._step(sink.begin())
        for topic, records in transaction.records.items():
            await self._step(sink.send(topic, records, transaction.timestamp_ms))
        for partition, records in transaction.messages.items():
            await self._step(sink.send(self._names.linked_risk, records, transaction.timestamp_ms, partition))
        if transaction.examples:
            topic, records = self._names.training_examples, transaction.examples
            await self._step(sink.send(topic, records, transaction.timestamp_ms, EXAMPLES_PARTITION))
        # The client commits although a send failed: nothing is committed before every record is acknowledged.
        await self._step(sink.flush())
        await self._step(sink.send_offsets(transaction.offsets))
        await self._step(sink.commit())

    async def _step(self, step: Awaitable[None]) -> None:
        await step
        self.commit_steps += 1

    def _refuse_undecoded(self, feed: int, reject: Reject, record: RawRecord) -> None:
        self._refuse(feed, record, reject.reason, reject.detail)
        if reject.borrower_id is not None:
            name = reject.event_id or name_of_retried(TOPICS[feed], self.number, record.headers)
            self.engine.note_reject(feed, reject.borrower_id, name, reject.event_time_ms, record.offset)

    def _refuse(self, feed: int, record: RawRecord, reason: RejectReason, detail: str) -> None:
        topic = self._names.inputs[feed]
        self._dead_letters.append(
            dead_letter(record, topic, self.number, reason, detail, self._identity.connector)
        )
        self._dead_letter_bytes += len(record.value or b"")
        self._tally.rejects[TOPICS[feed], reason] += 1
