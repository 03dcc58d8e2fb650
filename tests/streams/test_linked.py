"""Linked borrowers in different partitions, through the whole pipeline: what is told arrives once, whatever breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.alerts import Alert
from models.events import REPAYMENTS
from models.links import LinkedState, Watch
from streams.bootstrap import build_pipeline
from streams.linked import read_message
from streams.memory.virtual_time import run_virtual
from streams.partitioner import partition_of
from streams.pipeline import PipelineError
from streams.ports import LINKED, PortError, PositionLostError
from streams.progress import decode_progress, progress_key
from streams.pseudonym import is_pseudonym
from tests.support.changelog import said_by
from tests.support.equality import open_linked_distress
from tests.support.events import at
from tests.support.house import Crash, Fuse
from tests.support.memory_installation import PARTITIONS, Installation

GUARANTORS = [f"guarantor-{number}" for number in range(4)]
BORROWERS = [f"borrower-{number}" for number in range(6)]
STEPS = ("begin", "send", "deliver", "flush", "send_offsets", "commit")


def loan_of(borrower: str, due: str) -> dict[str, Any]:
    """A loan that nobody pays."""
    return {
        "type": "loan_opened",
        "event_id": f"loan-{borrower[0]}{borrower[-1]}",
        "borrower_id": borrower,
        "event_time_ms": at("2025-01-01"),
        "loan_id": f"l-{borrower[0]}{borrower[-1]}",
        "platform_id": "own",
        "currency": "CNY",
        "principal_minor": 100_000,
        "instalments": [{"number": 1, "due_date": due, "amount_minor": 100_000}],
    }


def link_of(borrower: str, other: str, day: str, *, ends: bool = False) -> dict[str, Any]:
    """The other one stands in for the borrower, or does no more."""
    return {
        "type": "borrower_unlinked" if ends else "borrower_linked",
        "event_id": f"{borrower}-{other}-{day}",
        "borrower_id": borrower,
        "event_time_ms": at(day),
        "linked_borrower_id": other,
        "relation": "guarantor",
        # Nobody but our own decoder says where somebody is at home.
        "linked_partition": 99,
    }


def told_of(made: Installation) -> Installation:
    """Six borrowers, each with two of four guarantors; two of those stop paying, one link ends."""
    for guarantor, due in zip(
        GUARANTORS, ("2025-01-20", "2025-02-20", "2025-12-01", "2025-12-01"), strict=True
    ):
        made.produce("repayments", loan_of(guarantor, due), guarantor)
    for number, borrower in enumerate(BORROWERS):
        for other in (GUARANTORS[number % 4], GUARANTORS[(number + 1) % 4]):
            made.produce("servicing", link_of(borrower, other, "2025-01-10"), borrower)
    made.produce("servicing", link_of(BORROWERS[0], GUARANTORS[0], "2025-03-10", ends=True), BORROWERS[0])
    made.close(at("2025-04-10"))
    return made


def standing(made: Installation) -> dict[str, str]:
    """Borrowers with an open `linked_distress`, and how severe."""
    alerts = [
        msgspec.json.decode(record.value or b"", type=Alert) for record in made.records(made.names.alerts)
    ]
    return open_linked_distress(alerts)


def messages(made: Installation) -> list[tuple[str, Watch | LinkedState]]:
    """Everything told, with its receiver."""
    return [read_message(record, "linked-risk", 0) for record in made.records(made.names.linked_risk)]


EXPECTED = {
    "borrower-0": "warning",  # its other guarantor; the link to the worse one has ended
    "borrower-1": "warning",
    "borrower-3": "warning",
    "borrower-4": "warning",
    "borrower-5": "warning",
}


def test_the_borrowers_are_in_different_partitions() -> None:
    """What follows would prove little otherwise."""
    homes = {partition_of(other.encode(), PARTITIONS) for other in (*GUARANTORS[:2], *BORROWERS)}

    assert len(homes) == PARTITIONS


def test_what_is_told_comes_to_the_partition_of_who_hears_it() -> None:
    """The borrowers are warned; messages lie by the receiver's id; positions are kept twice, as for the feeds."""
    made = told_of(Installation())
    run_virtual(made.work())

    assert standing(made) == EXPECTED
    progress = {
        record.key: record.value
        for record in made.records(made.names.state)
        if (record.key or b"")[:1] == b"\xff"
    }
    for partition, records in enumerate(made.broker.read_committed(made.names.linked_risk)):
        assert {partition_of(record.key or b"", PARTITIONS) for record in records} <= {partition}
        position = decode_progress(progress[progress_key(partition)] or b"").offsets[LINKED]
        assert position == made.broker.committed("forewarn", made.names.linked_risk, partition)
        assert position == records[-1].offset + 1


def test_nobody_can_read_who_is_linked_behind_pseudonyms(tmp_path: Path) -> None:
    """The same borrowers are warned; messages, state and alerts know pseudonyms alone, and still find their way."""
    key_file = tmp_path / "pseudonym.toml"
    key_file.write_text(f'version = 1\nkey = "{bytes(range(32)).hex()}"\n')
    made = told_of(Installation(pseudonym_key_file=str(key_file)))
    run_virtual(made.work())

    assert sorted(standing(made).values()) == sorted(EXPECTED.values())
    assert all(map(is_pseudonym, standing(made)))
    kept = [
        (record.key or b"") + (record.value or b"")
        for topic in (made.names.linked_risk, made.names.alerts, made.names.borrower_risk)
        for record in made.records(topic)
    ]
    states = made.records(made.names.state)
    kept += [(record.key or b"") + said_by(record.key, record.value) for record in states]
    assert not [
        name for name in (*GUARANTORS, *BORROWERS) if any(name.encode() in content for content in kept)
    ]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_no_message_is_lost_or_told_twice_by_a_crash(step: str, after: bool) -> None:
    """The process dies at each of the first steps of a kind; restarts end where an undisturbed run does."""

    async def crashing() -> Installation:
        made = told_of(Installation(commit_events_max=3))
        for count in range(1, 12, 2):
            fuse = Fuse(step, count, after=after)
            worker = build_pipeline(
                made.settings, made.metrics, ports=made.ports.over(fuse), clock=made.clock
            )
            try:
                await worker.run()
            except (Crash, PipelineError):
                continue
        await made.work()
        return made

    made = run_virtual(crashing())
    told = messages(made)

    assert standing(made) == EXPECTED
    assert len(told) == len(set(told))
    assert latest(told) == latest(messages(undisturbed()))


def latest(told: Sequence[tuple[str, Watch | LinkedState]]) -> dict[tuple[str, str], int]:
    """By receiver and source, the level that was told last, where it is told to the end."""
    levels = {(to, message.source): message.level for to, message in told if isinstance(message, LinkedState)}
    del levels[BORROWERS[0], GUARANTORS[0]]
    return levels


def undisturbed() -> Installation:
    """One run without trouble."""
    made = told_of(Installation())
    run_virtual(made.work())
    return made


def test_several_workers_tell_each_other() -> None:
    """Two workers share the partitions; one leaves amid it; together they end where one alone does."""

    async def sharing() -> Installation:
        made = told_of(Installation(commit_events_max=3))
        workers = [
            build_pipeline(made.settings, made.metrics, ports=made.ports, clock=made.clock) for _ in range(2)
        ]
        running = [asyncio.create_task(worker.run()) for worker in workers]
        await asyncio.sleep(0.5)
        workers[0].stop()
        await asyncio.gather(*running)
        await made.work()
        return made

    assert standing(run_virtual(sharing())) == EXPECTED


def test_messages_that_retention_deleted_stop_the_opening() -> None:
    """What was never heard is gone: refused as for the feeds, with the topic's name."""
    made = undisturbed()
    partition = partition_of(BORROWERS[0].encode(), PARTITIONS)
    made.broker.produce(made.names.linked_risk, partition, b"x", b"{}")
    log = made.broker.log(made.names.linked_risk, partition)
    log.delete_before(log.end)

    with pytest.raises(PositionLostError, match="linked-risk: next to read"):
        run_virtual(made.work())


def test_a_record_that_is_no_message_ends_the_process() -> None:
    """It could have been one: nothing is passed over, and the message says where it is."""
    made = undisturbed()
    made.broker.produce(made.names.linked_risk, 1, b"x", b"not a message")

    with pytest.raises(PortError, match=r"linked-risk, partition 1, offset \d+: a record of something else"):
        run_virtual(made.work())


def test_without_the_topic_no_worker_starts() -> None:
    """An installation from before it is told what to do."""
    made = told_of(Installation())
    del made.broker._topics[made.names.linked_risk]

    with pytest.raises(PipelineError, match=r"linked-risk 0\): run `forewarn topics apply`"):
        run_virtual(made.work())


def test_who_is_linked_to_nobody_costs_no_message() -> None:
    """A book without links leaves the topic empty."""
    made = Installation()
    made.produce("repayments", loan_of(BORROWERS[0], "2025-02-10"), BORROWERS[0])
    made.close(at("2025-04-10"))
    run_virtual(made.work())

    assert messages(made) == []
    assert made.broker.range(made.names.inputs[REPAYMENTS], 0).end > 0
