"""What `replay` sends: every line, unchanged, and heartbeats that let the merge go on in the order of delivery."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events import FUND_FLOWS, REPAYMENTS, TOPICS, Heartbeat, Topic
from models.policy import default_policy
from models.rules import Rules
from streams.codec import Reject
from streams.event_files import EventFolder, Line, file_of
from streams.ordering import MergeQueue
from streams.replay import PlannedRecord, ReplayError, replay_plan

KNOWN_BY_MS = 2_000_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIDNIGHT_MS = 1_700_064_000_000
"""2023-11-16 00:00 in Shanghai."""
RULES = Rules(default_policy())
PARTITIONS = 3


def partition_of(key: bytes) -> int:
    """A partitioner that can be read: borrower b-7 lives on partition 7 modulo the count."""
    return int(key.split(b"-")[1]) % PARTITIONS


def event(topic: Topic, event_id: str, time_ms: int, borrower: int = 0, **more: Any) -> bytes:
    """A line of the topic's simplest event."""
    by_topic: dict[Topic, dict[str, Any]] = {
        "credit-queries": {"type": "credit_query", "institution_id": "i", "purpose": "loan_application"},
        "fund-flows": {
            "type": "fund_flow",
            "account_id": "a",
            "direction": "out",
            "amount_minor": 1,
            "currency": "CNY",
        },
        "repayments": {"type": "repayment", "loan_id": "l", "amount_minor": 1},
        "servicing": {"type": "borrower_erased"},
    }
    fields = {"event_id": event_id, "borrower_id": f"b-{borrower}", "event_time_ms": time_ms}
    return json.dumps(by_topic[topic] | fields | more).encode()


def folder_of(lines_by_topic: dict[Topic, list[bytes]]) -> list[Line]:
    """Write a folder and read it back."""
    with TemporaryDirectory() as folder:
        for topic, lines in lines_by_topic.items():
            (Path(folder) / file_of(topic)).write_bytes(b"\n".join(lines))
        return list(EventFolder(Path(folder), KNOWN_BY_MS))


def plan_of(lines_by_topic: dict[Topic, list[bytes]], until: date | None = None) -> list[PlannedRecord]:
    """The plan for a folder."""
    lines = folder_of(lines_by_topic)
    return list(replay_plan(lines, RULES, PARTITIONS, partition_of, known_by_ms=KNOWN_BY_MS, until=until))


def heartbeat_of(record: PlannedRecord) -> Heartbeat | None:
    """The heartbeat that `replay` made, or None for a line."""
    if b'"heartbeat"' not in record.value:
        return None
    return msgspec.json.decode(record.value, type=Heartbeat)


def watermarks(plan: Iterable[PlannedRecord], topic_index: int, partition: int) -> list[tuple[int, int]]:
    """(watermark, place) of the heartbeats of one topic and partition."""
    beats = (heartbeat_of(r) for r in plan if (r.topic_index, r.partition) == (topic_index, partition))
    return [(beat.event_time_ms, beat.ingested_at_ms or 0) for beat in beats if beat is not None]


def test_lines_go_to_the_partition_of_their_borrower_unchanged() -> None:
    """Key is the borrower's id, the value the very bytes of the line."""
    lines = [event("fund-flows", f"e-{n}", MIDNIGHT_MS + n, borrower=n) for n in range(5)]

    sent = [record for record in plan_of({"fund-flows": lines}) if heartbeat_of(record) is None]

    assert [record.value for record in sent] == lines
    assert [record.key for record in sent] == [b"b-0", b"b-1", b"b-2", b"b-3", b"b-4"]
    assert [record.partition for record in sent] == [0, 1, 2, 0, 1]


def test_rejected_lines_are_sent_as_they_are() -> None:
    """Garbage goes to partition 0 without a key; a reject whose borrower can be read goes where he lives."""
    sideways = event("fund-flows", "e-1", MIDNIGHT_MS, borrower=2, direction="sideways")

    plan = plan_of({"fund-flows": [sideways, b"{"]})

    garbage, reject = plan[0], next(record for record in plan if record.value == sideways)
    assert (garbage.partition, garbage.key, garbage.value) == (0, None, b"{")
    assert (reject.partition, reject.key, reject.value) == (2, b"b-2", sideways)


def test_rejects_move_no_watermark() -> None:
    """A refused line is no sign of how far its feed has come."""
    reject = event("fund-flows", "e-2", MIDNIGHT_MS + 3 * DAY_MS, direction="sideways")

    plan = plan_of({"fund-flows": [event("fund-flows", "e-1", MIDNIGHT_MS), reject]})

    assert watermarks(plan, FUND_FLOWS, 0)[-1][0] == MIDNIGHT_MS - HOUR_MS


def test_a_reject_is_given_its_place_by_a_heartbeat_before_it() -> None:
    """The worker takes a reject right after the record before it: here, at the very place that it has in the files."""
    reject = event("repayments", "e-2", MIDNIGHT_MS + 5, borrower=2, direction="x", amount_minor=-1)

    plan = plan_of({"repayments": [event("repayments", "e-1", MIDNIGHT_MS), reject]})

    at = next(index for index, record in enumerate(plan) if record.value == reject)
    assert (plan[at - 1].topic_index, plan[at - 1].partition) == (REPAYMENTS, 2)
    assert heartbeat_of(plan[at - 1]) == Heartbeat(
        event_time_ms=MIDNIGHT_MS - HOUR_MS, ingested_at_ms=MIDNIGHT_MS + 5
    )


def test_a_reject_from_the_far_future_takes_nothing_along() -> None:
    """Heartbeats stay where the events are, or the worker would reject them, too."""
    ahead = event("repayments", "e-2", 2**62)

    plan = plan_of({"repayments": [event("repayments", "e-1", MIDNIGHT_MS), ahead]})

    assert max(place for _, place in watermarks(plan, REPAYMENTS, 0)) == MIDNIGHT_MS + 2


def test_every_day_of_delivery_begins_with_a_heartbeat_everywhere() -> None:
    """Also silent feeds show a head at each midnight after which something is delivered."""
    noon = MIDNIGHT_MS + 12 * HOUR_MS
    lines = [event("fund-flows", "e-1", noon), event("fund-flows", "e-2", noon + DAY_MS)]

    plan = plan_of({"fund-flows": lines})

    for partition in range(PARTITIONS):
        places = [place for _, place in watermarks(plan, REPAYMENTS, partition)]
        assert places == [MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS, noon + DAY_MS + 1, noon + DAY_MS + 2]


def test_a_watermark_that_passes_midnight_is_told_before_the_event_that_moves_it() -> None:
    """All partitions of the topic learn it at that event's place, and right before it."""
    late_evening = event("fund-flows", "e-1", MIDNIGHT_MS - 2 * HOUR_MS)
    early = event("fund-flows", "e-2", MIDNIGHT_MS + HOUR_MS)

    plan = plan_of({"fund-flows": [late_evening, early]})

    at = next(index for index, record in enumerate(plan) if record.value == early)
    assert [record.partition for record in plan[at - PARTITIONS : at]] == list(range(PARTITIONS))
    beats = [heartbeat_of(record) for record in plan[at - PARTITIONS : at]]
    assert beats == [Heartbeat(event_time_ms=MIDNIGHT_MS, ingested_at_ms=MIDNIGHT_MS + HOUR_MS)] * PARTITIONS


def test_the_plan_ends_with_the_final_watermarks() -> None:
    """Two heartbeats for each topic and partition, behind everything: the merge takes the first for the second's sake."""
    plan = plan_of({"fund-flows": [event("fund-flows", "e-1", MIDNIGHT_MS)]})

    final = plan[-2 * len(TOPICS) * PARTITIONS :]
    for partition in range(PARTITIONS):
        assert watermarks(final, FUND_FLOWS, partition) == [
            (MIDNIGHT_MS - HOUR_MS, MIDNIGHT_MS + 1),
            (MIDNIGHT_MS - HOUR_MS, MIDNIGHT_MS + 2),
        ]
        assert watermarks(final, REPAYMENTS, partition) == [(0, MIDNIGHT_MS + 1), (0, MIDNIGHT_MS + 2)]


def test_until_leads_all_feeds_on_day_by_day() -> None:
    """`until` moves silent feeds, too, midnight by midnight, so that what is due is judged in the order of time."""
    plan = plan_of({"fund-flows": [event("fund-flows", "e-1", MIDNIGHT_MS)]}, until=date(2023, 11, 18))

    midnights = [MIDNIGHT_MS + day * DAY_MS for day in range(4)]
    for topic_index in range(len(TOPICS)):
        said = [watermark for watermark, _ in watermarks(plan, topic_index, 2)]
        assert said[-6:] == [*midnights, midnights[-1], midnights[-1]]
    assert all(beat <= place for beat, place in watermarks(plan, REPAYMENTS, 2))


def test_until_must_not_lie_in_the_future() -> None:
    """A worker rejects what lies a day ahead, heartbeats included: so that is said before anything is sent."""
    with pytest.raises(ReplayError, match="2033-06-01: lies in the future"):
        plan_of({"fund-flows": [event("fund-flows", "e-1", MIDNIGHT_MS)]}, until=date(2033, 6, 1))


def test_until_never_takes_a_watermark_back() -> None:
    """A feed that is beyond `until` already stays where it is."""
    plan = plan_of({"fund-flows": [event("fund-flows", "e-1", MIDNIGHT_MS)]}, until=date(2023, 1, 1))

    assert watermarks(plan, FUND_FLOWS, 0)[-1][0] == MIDNIGHT_MS - HOUR_MS


def test_a_heartbeat_in_a_file_reaches_every_partition() -> None:
    """A feed's own heartbeat speaks for the whole feed, without the lateness subtracted."""
    beat = json.dumps({"type": "heartbeat", "event_time_ms": MIDNIGHT_MS}).encode()

    plan = plan_of({"fund-flows": [beat]})

    assert [record.partition for record in plan if record.value == beat] == [0, 1, 2]
    assert watermarks(plan, FUND_FLOWS, 2)[-1][0] == MIDNIGHT_MS


times = st.integers(MIDNIGHT_MS - 3 * HOUR_MS, MIDNIGHT_MS + 3 * DAY_MS) | st.sampled_from(
    [MIDNIGHT_MS + day * DAY_MS + hour * HOUR_MS for day in range(3) for hour in (-1, 0, 1)]
)
ingestion = st.none() | times
folders = st.fixed_dictionaries(
    {},
    optional={
        topic: st.lists(
            st.builds(
                event,
                st.just(topic),
                st.text("xyz", min_size=1, max_size=2),
                times,
                borrower=st.integers(0, 5),
                ingested_at_ms=ingestion,
            )
            | st.sampled_from([b"{", b'{"event_time_ms":1700064000001}'])
            | st.builds(lambda ms: json.dumps({"type": "heartbeat", "event_time_ms": ms}).encode(), times),
            max_size=8,
        )
        for topic in TOPICS
    },
).filter(bool)


@given(folders)
def test_the_merge_never_stalls_and_gives_the_order_of_delivery(folder: dict[Topic, list[bytes]]) -> None:
    """Whatever the folder, each partition's merge releases every line, rejects too, in the order of delivery."""
    lines = folder_of(folder)
    expected: dict[int, list[bytes]] = defaultdict(list)
    for line in lines:
        if isinstance(line.content, Heartbeat):
            partitions = list(range(PARTITIONS))
        else:
            partitions = [partition_of((line.content.borrower_id or "b-0").encode())]
        for partition in partitions:
            expected[partition].append(line.raw)
    queues: list[MergeQueue[PlannedRecord, None]] = [MergeQueue([0] * len(TOPICS)) for _ in range(PARTITIONS)]
    rejected = {line.raw for line in lines if isinstance(line.content, Reject)}
    taken: list[list[PlannedRecord]] = [[] for _ in range(PARTITIONS)]

    for record in replay_plan(lines, RULES, PARTITIONS, partition_of, known_by_ms=KNOWN_BY_MS):
        queue = queues[record.partition]
        key_ms = 0 if record.value in rejected else record.place_ms
        queue.push(record.topic_index, [key_ms], [record], [None], arrived_ms=0)
        queue.release()
        taken[record.partition] += [item for _, item, _ in queue.take(1000)]

    for partition, records in enumerate(taken):
        assert [record.value for record in records if not made_here(record)] == expected[partition]
        assert queues[partition].waiting < len(TOPICS)


def made_here(record: PlannedRecord) -> bool:
    """Whether `replay` made this heartbeat; those of the files here have no place of their own."""
    return heartbeat_of(record) is not None and b"ingested_at_ms" in record.value


@given(folders)
def test_keys_never_fall_within_a_partition(folder: dict[Topic, list[bytes]]) -> None:
    """Made non-decreasing by the merge, keys stay what they are: heartbeats never push an event back."""
    lines = folder_of(folder)
    rejected = {line.raw for line in lines if isinstance(line.content, Reject)}
    last: dict[tuple[int, int], int] = {}

    for record in replay_plan(lines, RULES, PARTITIONS, partition_of, known_by_ms=KNOWN_BY_MS):
        if record.value not in rejected:
            place = (record.topic_index, record.partition)
            assert last.get(place, 0) <= record.place_ms
            last[place] = record.place_ms


@given(folders)
def test_watermarks_of_heartbeats_never_fall_and_never_lead(folder: dict[Topic, list[bytes]]) -> None:
    """A heartbeat never says more than the events delivered so far, nor less than the one before it."""
    lines = folder_of(folder)
    plan = replay_plan(lines, RULES, PARTITIONS, partition_of, known_by_ms=KNOWN_BY_MS)
    said = [0] * len(TOPICS)

    for record in plan:
        beat = heartbeat_of(record)
        if beat is not None and beat.ingested_at_ms is not None:
            assert said[record.topic_index] <= beat.event_time_ms
            assert beat.event_time_ms <= max(record.place_ms + DAY_MS, 0)
            said[record.topic_index] = beat.event_time_ms
