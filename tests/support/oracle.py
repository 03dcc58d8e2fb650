"""What a log must give: one plain loop over each partition, without pipeline, batches, transactions or restarts.

The log is the truth: whatever a producer meant to write, this takes what is there. Records are decoded, sorted by (merge key
made non-decreasing within the topic, topic, offset), cut off where a worker with `clock = "event"` has to wait for more, and
put through one engine. `differences` holds what was found against that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from models.alerts import Alert, ChainHead, link
from models.engine import EngineProgress
from models.events import TOPICS, Event
from streams.codec import Decoder, Reject
from streams.dead_letters import CONNECT_PREFIX, REASON_HEADER
from streams.outputs import example_records
from streams.partitioner import partition_of
from streams.ports import EngineMaker, RawRecord
from streams.progress import decode_progress, is_progress_key

FEEDS = len(TOPICS)
_TOLD_MAX = 5
"""Differences of one kind that are spelled out; the rest is counted."""


class DeadLetter(NamedTuple):
    """A refused record: where it stood, why it was refused, and its own bytes."""

    feed: int
    partition: int
    offset: int
    reason: str
    key: bytes | None
    value: bytes | None


class Position(NamedTuple):
    """Where a task stands behind all that it could take: what its progress record must say."""

    offsets: tuple[int, ...]
    """By feed. What linked borrowers tell each other comes in no fixed order and has tests of its own."""
    engine: EngineProgress


class Told(NamedTuple):
    """A training example as it is written."""

    key: bytes | None
    value: bytes | None


class Outcome(Struct, frozen=True):
    """What came, or must come, of a log."""

    alerts: list[list[Alert]]
    """By partition, in order."""
    states: dict[bytes, bytes]
    """Each borrower's last state record, by key."""
    dead_letters: Counter[DeadLetter]
    positions: dict[int, Position]
    """By task."""
    examples: Counter[Told] = Counter()
    """What was matured, under which key; their order among tasks is nobody's."""


class Differences(Struct, frozen=True):
    """How what was found differs from what must be there. All zero and nothing told: equal."""

    missing: int
    """Alerts, dead letters, examples and states that must be there and are not."""
    doubled: int
    """`alert_id` and revision, dead letters or examples, that are there more often than they must be."""
    different: int
    """Anything else: another content, another order, a broken chain, a position elsewhere."""
    told: list[str]
    """The first of each kind, in words."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.doubled or self.different)


# ---- what must be there ------------------------------------------------------------------------------------------


def run_oracle(
    partitions: Sequence[Sequence[Sequence[RawRecord]]], maker: EngineMaker, *, until_end: bool = False
) -> Outcome:
    """Run the plain loop.

    Args:
        partitions: for each partition, for each feed, all its records.
        maker: `RiskEngineMaker(rules, card)`, or that of a fake engine.
        until_end: take also what a worker without `until_end` leaves waiting behind the last record of another topic.
    """
    alerts: list[list[Alert]] = []
    states: dict[bytes, bytes] = {}
    dead_letters: Counter[DeadLetter] = Counter()
    positions = {}
    examples: Counter[Told] = Counter()
    for partition, feeds in enumerate(partitions):
        engine = maker(partition, _belongs_to(partition, len(partitions)))
        # A task that has read nothing of a topic stands where that topic begins.
        offsets = [records[0].offset if records else 0 for records in feeds]
        for feed, record, event in _in_order(feeds, until_end=until_end):
            offsets[feed] = record.offset + 1
            reason: str | None
            if isinstance(event, Reject):
                reason = event.reason
                if event.borrower_id is not None:
                    engine.note_reject(
                        feed, event.borrower_id, event.event_id, event.event_time_ms, record.offset
                    )
            else:
                reason = engine.process(event, feed, record.offset)
            if reason is not None:
                letter = DeadLetter(feed, partition, record.offset, reason, record.key, record.value)
                dead_letters[letter] += 1
        output = engine.take_output(0)
        alerts.append(output.alerts)
        examples.update(Told(record.key, record.value) for record in example_records(output.examples))
        states |= {key.encode(): state for key, state in output.changed.items() if state is not None}
        if any(feeds):
            positions[partition] = Position(tuple(offsets), engine.progress())
    return Outcome(alerts, states, dead_letters, positions, examples)


def _in_order(
    feeds: Sequence[Sequence[RawRecord]], *, until_end: bool
) -> Iterable[tuple[int, RawRecord, Event | Reject]]:
    placed: list[tuple[int, int, int, RawRecord, Event | Reject]] = []
    shown: list[tuple[int, int]] = []
    for feed, records in enumerate(feeds):
        key_ms = 0
        for key_ms, record, event in placed_records(feed, records):
            placed.append((key_ms, feed, record.offset, record, event))
        shown.append((key_ms, feed))
    placed.sort(key=lambda entry: entry[:3])
    bound = min(shown)
    for key_ms, feed, _, record, event in placed:
        if until_end or (key_ms, feed) <= bound:
            yield feed, record, event


def placed_records(
    feed: int, records: Iterable[RawRecord]
) -> Iterable[tuple[int, RawRecord, Event | Reject]]:
    """The records of one topic of a task with their merge keys, made non-decreasing, and what they decode to."""
    decode = Decoder(TOPICS[feed]).decode
    key_ms = 0
    for record in records:
        event = decode(record.value, record.key, record.timestamp)
        if not isinstance(event, Reject):
            own_ms = event.event_time_ms if event.ingested_at_ms is None else event.ingested_at_ms
            key_ms = max(key_ms, own_ms)
        yield key_ms, record, event


def _belongs_to(partition: int, count: int) -> Callable[[str], bool]:
    return lambda borrower_id: partition_of(borrower_id.encode(), count) == partition


# ---- what is there -----------------------------------------------------------------------------------------------


def outcome_found(
    alerts: Sequence[Sequence[RawRecord]],
    state: Sequence[Sequence[RawRecord]],
    dead_letters: Sequence[Sequence[RawRecord]],
    examples: Sequence[Sequence[RawRecord]],
) -> Outcome:
    """What a `read_committed` reader found in the topics, by partition."""
    decode = msgspec.json.Decoder(Alert).decode
    states: dict[bytes, bytes] = {}
    positions: dict[int, Position] = {}
    for records in state:
        for record in records:
            assert record.key is not None
            if is_progress_key(record.key):
                progress = decode_progress(record.value or b"")
                positions[progress.task] = Position(progress.offsets[:FEEDS], progress.engine)
            elif record.value is None:
                states.pop(record.key, None)
            else:
                states[record.key] = record.value
    return Outcome(
        alerts=[[decode(record.value or b"") for record in records] for records in alerts],
        states=states,
        dead_letters=Counter(_dead_letter(record) for records in dead_letters for record in records),
        positions=positions,
        examples=Counter(Told(record.key, record.value) for records in examples for record in records),
    )


def _dead_letter(record: RawRecord) -> DeadLetter:
    headers = dict(record.headers)
    topic = headers[f"{CONNECT_PREFIX}topic"].decode()
    (feed,) = (feed for feed, name in enumerate(TOPICS) if topic.endswith(name))
    return DeadLetter(
        feed=feed,
        partition=int(headers[f"{CONNECT_PREFIX}partition"]),
        offset=int(headers[f"{CONNECT_PREFIX}offset"]),
        reason=headers[REASON_HEADER].decode(),
        key=record.key,
        value=record.value,
    )


# ---- one against the other ---------------------------------------------------------------------------------------


def differences(expected: Outcome, found: Outcome) -> Differences:
    """Hold what was found against what must be there; alerts are compared in all but when they were detected."""
    told: list[str] = []
    missing = doubled = different = 0
    for partition, (wanted, had) in enumerate(zip(expected.alerts, found.alerts, strict=True)):
        lost, more = _count_alerts(wanted, had, f"alerts, partition {partition}", told)
        missing += lost
        doubled += more
        if not (lost or more):
            different += _compare_alerts(wanted, had, f"alerts, partition {partition}", told)
        different += _break_in_chain(had, f"alerts, partition {partition}", told)
    lost, more = _count(expected.dead_letters, found.dead_letters, "dead letter", told)
    missing += lost
    doubled += more
    lost, more = _count(expected.examples, found.examples, "example", told)
    missing += lost
    doubled += more
    lost, changed = _compare_states(expected.states, found.states, told)
    missing += lost
    different += changed
    different += _compare_positions(expected.positions, found.positions, told)
    return Differences(missing, doubled, different, told)


def _count_alerts(
    wanted: Sequence[Alert], had: Sequence[Alert], where: str, told: list[str]
) -> tuple[int, int]:
    ids = [Counter((alert.alert_id, alert.revision) for alert in alerts) for alerts in (wanted, had)]
    return _count(ids[0], ids[1], f"{where}: revision", told)


def _count(wanted: Counter[Any], had: Counter[Any], what: str, told: list[str]) -> tuple[int, int]:
    lost, more = wanted - had, had - wanted
    told += [f"{what} missing: {one}" for one in list(lost)[:_TOLD_MAX]]
    told += [f"{what} too often ({had[one]} times): {one}" for one in list(more)[:_TOLD_MAX]]
    return lost.total(), more.total()


def _compare_alerts(wanted: Sequence[Alert], had: Sequence[Alert], where: str, told: list[str]) -> int:
    differing = [
        (index, one, other)
        for index, (one, other) in enumerate(zip(wanted, had, strict=True))
        if _undated(one) != _undated(other)
    ]
    told += [
        f"{where}, number {index} must be\n  {_undated(one)}\nand is\n  {_undated(other)}"
        for index, one, other in differing[:_TOLD_MAX]
    ]
    return len(differing)


def _undated(alert: Alert) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(alert)
    del document["detected_at_ms"], document["chain"]
    return document


def _break_in_chain(alerts: Sequence[Alert], where: str, told: list[str]) -> int:
    """One where the hash chain is not that of these alerts in this order."""
    head = ChainHead()
    for index, alert in enumerate(alerts):
        linked, head = link(alert, head)
        if linked.chain != alert.chain:
            told.append(f"{where}, number {index}: chain must be {linked.chain} and is {alert.chain}")
            return 1
    return 0


def _compare_states(wanted: dict[bytes, bytes], had: dict[bytes, bytes], told: list[str]) -> tuple[int, int]:
    lost = sorted(wanted.keys() - had.keys())
    other = sorted(key for key, state in had.items() if wanted.get(key) != state)
    told += [f"no state of borrower {key!r}" for key in lost[:_TOLD_MAX]]
    told += [
        f"state of borrower {key!r} must be\n  {wanted.get(key)!r}\nand is\n  {had[key]!r}"
        for key in other[:_TOLD_MAX]
    ]
    return len(lost), len(other)


def _compare_positions(wanted: dict[int, Position], had: dict[int, Position], told: list[str]) -> int:
    differing = [task for task in sorted(wanted | had) if wanted.get(task) != had.get(task)]
    told += [
        f"task {task} must stand at\n  {wanted.get(task)}\nand stands at\n  {had.get(task)}"
        for task in differing[:_TOLD_MAX]
    ]
    return len(differing)
