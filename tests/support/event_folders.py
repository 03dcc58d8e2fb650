"""Folders of events for backtests: late, refused and duplicate lines, links and heartbeats among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from models.events import REPAYMENTS, TOPICS, Heartbeat, Topic
from tests.support.events import FEEDS_BY_TYPE, at, flow, loan, paid, query
from tests.support.servicing import contact, hold, linked

NOW_MS = at("2026-01-01")
BORROWERS = st.sampled_from([f"b-{number}" for number in range(6)])
DAYS = st.integers(0, 240).map(lambda days: (date(2025, 1, 1) + timedelta(days=days)).isoformat())


def opened(day: str, borrower: str) -> Any:
    """A loan that is due each month, of which nothing is paid unless somebody does."""
    first = date.fromisoformat(day)
    dues = [((first + timedelta(days=30 * month)).isoformat(), 100_000) for month in (1, 2, 3)]
    return loan(day, dues, borrower=borrower, loan_id=f"l-{borrower}")


def late(day: str, borrower: str, days_late: int) -> Any:
    """A payment that the lender learnt of later."""
    learnt_ms = at((date.fromisoformat(day) + timedelta(days=days_late)).isoformat())
    return paid(day, 100_000, borrower=borrower, loan_id=f"l-{borrower}", ingested_at_ms=learnt_ms)


def broken(day: str, borrower: str, field: bytes) -> bytes:
    """A payment without one of its fields."""
    return msgspec.json.encode(paid(day, 5, borrower=borrower)).replace(field, b'"no_such_field"')


STORIES = st.lists(
    st.one_of(
        st.builds(opened, DAYS, BORROWERS),
        st.builds(late, DAYS, BORROWERS, st.integers(0, 20)),
        st.builds(
            lambda day, b, amount: flow(day, amount, borrower=b), DAYS, BORROWERS, st.integers(1, 9000)
        ),
        st.builds(lambda day, b, i: query(day, f"i-{i}", borrower=b), DAYS, BORROWERS, st.integers(0, 9)),
        st.builds(lambda day, b: contact(day, borrower=b), DAYS, BORROWERS),
        st.builds(lambda day, b: hold(day, borrower=b), DAYS, BORROWERS),
        st.builds(lambda day, b, g: linked(day, g, borrower=b), DAYS, BORROWERS, BORROWERS),
        st.builds(
            broken,
            DAYS,
            BORROWERS,
            st.sampled_from([b'"borrower_id"', b'"amount_minor"', b'"event_time_ms"']),
        ),
        st.builds(lambda day: Heartbeat(event_time_ms=at(day)), DAYS),
    ),
    min_size=5,
    max_size=40,
)


def write(
    folder: Path, story: list[Any], bad: Mapping[str, str] | None = None, good: Sequence[str] = ()
) -> Path:
    """A folder of the events; a rejected line is a payment, a heartbeat one of repayments.

    Args:
        folder: created where it is missing.
        story: events, or lines as they are.
        bad: who goes bad, and on which day; without it the first three of `BORROWERS`.
        good: who does not, by the end of 2025.
    """
    folder.mkdir(exist_ok=True)
    for topic in TOPICS:
        lines = [line for line in story if topic_of(line) == topic]
        encoded = [line if isinstance(line, bytes) else msgspec.json.encode(line) for line in lines]
        (folder / f"{topic}.jsonl").write_bytes(b"\n".join([*encoded, b""]))
    bad = {f"b-{n}": "2025-08-01" for n in range(3)} if bad is None else bad
    outcomes = [{"borrower_id": b, "outcome": "bad", "time_ms": at(day)} for b, day in bad.items()]
    outcomes += [{"borrower_id": b, "outcome": "good", "time_ms": at("2025-12-31")} for b in good]
    (folder / "outcomes.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, outcomes)))
    return folder


def topic_of(line: Any) -> Topic:
    """Where a line of a story belongs."""
    if isinstance(line, bytes | Heartbeat):
        return TOPICS[REPAYMENTS]
    return TOPICS[FEEDS_BY_TYPE[type(line)]]


def told_story() -> list[Any]:
    """A guarantor in trouble, who is in another shard than the one it stands in for, amid others."""
    names = [f"b-{number}" for number in range(6)]
    story: list[Any] = [opened("2025-01-01", name) for name in names]
    story += [linked("2025-01-05", name, borrower=other) for name, other in pairwise(names)]
    story += [opened(f"2025-0{month}-12", f"c-{month}") for month in range(2, 9)]
    return [*story, broken("2025-03-01", "b-2", b'"amount_minor"'), b"{"]


def learnable_story(borrowers: int = 90) -> list[Any]:
    """Loans of ten instalments. Every fourth borrower asks around for money after a few of them, and pays no more."""
    story: list[Any] = []
    for number in range(borrowers):
        name, first = f"b-{number}", date(2025, 1, 1) + timedelta(days=number % 30)
        dues = [first + timedelta(days=30 * month) for month in range(1, 11)]
        instalments = [(due.isoformat(), 100_000) for due in dues]
        story.append(loan(first.isoformat(), instalments, borrower=name, loan_id=f"l-{name}"))
        paid_ones = 2 + number // 4 % 6 if number % 4 == 0 else len(dues)
        story += [
            paid(due.isoformat(), 100_000, borrower=name, loan_id=f"l-{name}") for due in dues[:paid_ones]
        ]
        if paid_ones < len(dues):
            asked = (dues[paid_ones] - timedelta(days=20)).isoformat()
            story += [query(asked, f"i-{asked}-{place}", borrower=name) for place in range(4)]
    return story
