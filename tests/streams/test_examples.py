"""What the pipeline writes to `training-examples`: every example once, in the transaction of its task, readable by the trainer."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from models.calendars import DAY_MS
from models.risk.examples import Example
from streams.memory.virtual_time import run_virtual
from streams.partitioner import partition_of
from streams.pipeline import PipelineError
from streams.topics import EXAMPLES_PARTITION
from streams.trainer import example_of
from tests.support.events import at
from tests.support.memory_installation import PARTITIONS, Installation

BORROWERS = [f"borrower-{number}" for number in range(12)]
END_MS = at("2025-07-01")


def opened(borrower: str) -> dict[str, Any]:
    """A loan with one instalment, which nobody pays."""
    return {
        "type": "loan_opened",
        "event_id": "opened",
        "borrower_id": borrower,
        "event_time_ms": at("2025-01-02"),
        "loan_id": "l-1",
        "platform_id": "own",
        "currency": "CNY",
        "principal_minor": 100_000,
        "instalments": [{"number": 1, "due_date": "2025-05-20", "amount_minor": 100_000}],
    }


def book() -> Installation:
    """Everybody has a loan; a worker has taken it all."""
    made = Installation()
    for borrower in BORROWERS:
        made.produce("repayments", opened(borrower), borrower)
    made.close(END_MS)
    made.close(END_MS + DAY_MS)
    return made


def examples_in(made: Installation) -> list[Example]:
    """As the trainer reads them."""
    found = []
    for record in made.records(made.names.training_examples):
        example = example_of(record)
        assert example is not None
        assert record.key == example.borrower.encode()
        found.append(example)
    return found


def test_examples_of_all_tasks_stand_in_the_one_partition() -> None:
    """Each once, of every borrower, whichever task has it; they are counted by outcome."""
    made = book()
    run_virtual(made.work())
    found = examples_in(made)
    log = made.broker.read_committed(made.names.training_examples)

    assert len({partition_of(borrower.encode(), PARTITIONS) for borrower in BORROWERS}) == PARTITIONS
    assert [len(records) > 0 for records in log] == [True]
    assert EXAMPLES_PARTITION == 0
    assert len({example.borrower for example in found}) == len(BORROWERS)
    assert len({(example.borrower, example.observed_ms) for example in found}) == len(found) >= 36
    assert {example.outcome for example in found} == {"good", "bad"}
    counted = made.metrics.registry.get_sample_value("forewarn_matured_total", {"outcome": "bad"})
    assert counted == sum(example.outcome == "bad" for example in found)


def test_nothing_is_written_twice_by_those_who_go_on() -> None:
    """A second worker finds nothing left to do, and goes on with what is pending."""
    made = book()
    run_virtual(made.work())
    before = examples_in(made)

    async def go_on() -> None:
        await made.work()
        made.close(END_MS + 100 * DAY_MS)
        made.close(END_MS + 101 * DAY_MS)
        await made.work()

    run_virtual(go_on())
    after = examples_in(made)

    assert after[: len(before)] == before
    assert len({(example.borrower, example.observed_ms) for example in after}) == len(after) > len(before)


def test_no_borrower_is_named() -> None:
    """Neither as a key nor in what is written."""
    made = book()
    run_virtual(made.work())
    written = b"".join(
        (record.key or b"") + (record.value or b"") for record in made.records(made.names.training_examples)
    )

    assert b"borrower-" not in written
    assert b'"l-1"' not in written
    assert set(msgspec.json.decode(made.records(made.names.training_examples)[0].value or b"")) == set(
        Example.__struct_fields__
    )


def test_without_the_topic_no_worker_starts() -> None:
    """An installation from before it is told what to do, rather than ending at its first example."""
    made = book()
    del made.broker._topics[made.names.training_examples]

    with pytest.raises(PipelineError, match=r"training-examples\): run `forewarn topics apply`"):
        run_virtual(made.work())
