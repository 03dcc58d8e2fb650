"""What the common job puts out, by hand and beside the peers' own step, and how outputs are judged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calendars import DAY_MS
from tests.bench.contest.job import Due, Output, Reference, complaints
from tests.bench.peers import job

PLACE = (0, 0)


def event(kind: str, number: int, day: float = 0, borrower: str = "b", **more: Any) -> dict[str, Any]:
    """An event as it stands in the log."""
    return {
        "type": kind,
        "event_id": f"e{number}",
        "borrower_id": borrower,
        "event_time_ms": 1_000 * DAY_MS + round(day * DAY_MS),
        **more,
    }


def reference(events: Iterable[dict[str, Any]]) -> Reference:
    """What the reference makes of events in one partition."""
    made = Reference()
    for one in events:
        made.add(PLACE, msgspec.json.encode(one))
    return made


def peers(events: Iterable[dict[str, Any]]) -> list[Output]:
    """What the step of the peers in Python makes of the same events."""
    pictures: dict[str, job.Picture] = {}
    outputs = []
    for one in events:
        picture = pictures.setdefault(one["borrower_id"], job.new_picture())
        match one["type"]:
            case "repayment":
                kind, told = "repayments", job.repaid(picture, one["amount_minor"])
            case "fund_flow":
                kind, told = "flows", job.flowed(picture, one["amount_minor"])
            case _:
                kind = "institutions"
                told = job.queried(picture, one["institution_id"], one["event_time_ms"])
        if told is not None:
            outputs.append(Output(kind, one["borrower_id"], one["event_id"], *told))
    return outputs


def test_every_twelfth_repayment_tells_number_and_sum() -> None:
    """Each borrower is counted apart."""
    repayments = [
        event("repayment", number, borrower=borrower, amount_minor=number)
        for number in range(1, 25)
        for borrower in ("a", "b")
    ]

    assert list(reference(repayments).due) == [
        Output("repayments", "a", "e12", 12, 78),
        Output("repayments", "b", "e12", 12, 78),
        Output("repayments", "a", "e24", 24, 300),
        Output("repayments", "b", "e24", 24, 300),
    ]


@pytest.mark.parametrize(
    ("days", "told"),
    [
        pytest.param([0, 10, 20], ["e2"], id="third within the window"),
        pytest.param([0, 10, 30], [], id="the first is thirty days old and forgotten"),
        pytest.param([0, 10, 29.9], ["e2"], id="the first is not quite thirty days old"),
        pytest.param([0, 1, 2, 3], ["e2"], id="a fourth tells nothing new"),
        pytest.param([0, 1, 2, 90, 91, 92], ["e2", "e5"], id="reached again"),
        pytest.param([20, 25, 0], ["e2"], id="late, and still within the window"),
        pytest.param([40, 45, 0], [], id="too late for the window"),
    ],
)
def test_three_institutions_within_thirty_days(days: list[float], told: list[str]) -> None:
    """It is told when they become three, with the query that made them so."""
    queries = [
        event("credit_query", number, day, institution_id=f"i{number}") for number, day in enumerate(days)
    ]

    assert [output.event_id for output in reference(queries).due] == told


def test_the_same_institution_counts_once() -> None:
    """And its last query is the one that counts."""
    seen = [("x", 0), ("x", 1), ("y", 2), ("x", 28), ("z", 31.5)]
    queries = [
        event("credit_query", number, day, institution_id=name) for number, (name, day) in enumerate(seen)
    ]

    assert [(output.event_id, output.count) for output in reference(queries).due] == [("e4", 3)]


def test_heartbeats_are_records_and_no_end() -> None:
    """They take an offset each, and nobody waits for those that close the log."""
    beat = {"type": "heartbeat", "event_time_ms": 5}
    made = reference([beat, event("loan_closed", 1, loan_id="l", reason="settled"), beat])

    assert made.records[PLACE] == 3
    assert made.ends == {PLACE: 2}
    assert not made.due


_NAMES = st.sampled_from(["a", "b"])
_SOME = st.one_of(
    st.tuples(st.just("repayment"), _NAMES, st.integers(0, 10**6)),
    st.tuples(st.just("fund_flow"), _NAMES, st.integers(0, 10**6)),
    st.tuples(st.just("credit_query"), _NAMES, st.integers(0, 70 * 24)),
)


@given(st.lists(_SOME, max_size=300), st.lists(st.sampled_from("uvwxyz"), min_size=300, max_size=300))
def test_the_peers_step_is_the_reference(drawn: list[tuple[str, str, int]], institutions: list[str]) -> None:
    """Two ways of doing the job, one result: in the same order, for any events."""
    events = [
        event(kind, number, borrower=name, amount_minor=amount)
        if kind != "credit_query"
        else event(kind, number, amount / 24, name, institution_id=institutions[number])
        for number, (kind, name, amount) in enumerate(drawn)
    ]

    assert list(reference(events).due) == peers(events)


DUE = {Output("flows", "b", f"e{number}", 48, 1): Due(PLACE, number) for number in range(3)}


def test_the_right_outputs_are_not_complained_of() -> None:
    """In whatever order they come."""
    assert complaints(DUE, reversed(DUE), "exactly-once") == []
    assert complaints(DUE, DUE, "at-least-once") == []


def test_at_least_once_may_repeat_and_exactly_once_may_not() -> None:
    """The same outputs, judged by what was promised."""
    repeated = [*DUE, next(iter(DUE))]

    assert complaints(DUE, repeated, "at-least-once") == []
    (complaint,) = complaints(DUE, repeated, "exactly-once")
    assert complaint.startswith("1 outputs put out more than once")


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
def test_nobody_may_miss_or_make_up(guarantee: Any) -> None:
    """A sum that is wrong is both: one missing, and one that belongs to nothing."""
    first, *others = DUE
    wrong = msgspec.structs.replace(first, total_minor=2)

    missing, foreign = complaints(DUE, [wrong, *others], guarantee)
    assert missing.startswith("1 outputs missing")
    assert foreign.startswith("1 outputs not of this log")
