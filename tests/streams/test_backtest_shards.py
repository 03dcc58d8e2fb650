"""However many processes share the borrowers of a backtest, not a byte of what it writes is another one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.events import REPAYMENTS, TOPICS, Heartbeat, Topic
from models.policy import Policy, default_policy, parse_policy
from models.rulebook import SINCE_EVER_MS
from streams.backtest import BacktestError, run
from streams.backtest.messages import Setting
from streams.backtest.processes import crew, crew_here, index
from tests.support.events import FEEDS_BY_TYPE, at, flow, loan, paid, query
from tests.support.servicing import contact, hold, linked

NOW_MS = at("2026-01-01")
FILES = ("alerts.jsonl", "rejected.jsonl", "scores.jsonl", "report.json")
BORROWERS = st.sampled_from([f"b-{number}" for number in range(6)])
DAYS = st.integers(0, 240).map(lambda days: (date(2025, 1, 1) + timedelta(days=days)).isoformat())
LATER_POLICY = parse_policy(
    "[feeds.repayments]\nlateness_minutes = 2880\n[signals.missed_payment]\ngrace_days = 3\n", "later.toml"
)


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


def write(folder: Path, story: list[Any]) -> Path:
    """A folder of the events; a rejected line is a payment, a heartbeat one of repayments."""
    for topic in TOPICS:
        lines = [line for line in story if topic_of(line) == topic]
        encoded = [line if isinstance(line, bytes) else msgspec.json.encode(line) for line in lines]
        (folder / f"{topic}.jsonl").write_bytes(b"\n".join([*encoded, b""]))
    outcomes = [{"borrower_id": f"b-{n}", "outcome": "bad", "time_ms": at("2025-08-01")} for n in range(3)]
    (folder / "outcomes.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, outcomes)))
    return folder


def topic_of(line: Any) -> Topic:
    """Where a line of a story belongs."""
    if isinstance(line, bytes | Heartbeat):
        return TOPICS[REPAYMENTS]
    return TOPICS[FEEDS_BY_TYPE[type(line)]]


def written(
    folder: Path, shards: int, switches: list[tuple[int, Policy]], hire: Callable[..., Any] = crew_here
) -> dict[str, bytes]:
    """What a run with so many shards writes."""
    with TemporaryDirectory() as out:
        run(
            folder,
            Path(out),
            default_policy(),
            now_ms=NOW_MS,
            scores=True,
            until=date(2025, 12, 1),
            switches=switches,
            processes=shards,
            hire=hire,
        )
        return {name: (Path(out) / name).read_bytes() for name in FILES}


@settings(max_examples=25, deadline=None)
@given(STORIES, st.sampled_from([2, 3, 7]), st.booleans())
def test_the_number_of_shards_changes_no_byte(story: list[Any], shards: int, is_switched: bool) -> None:
    """Late events, rejects, heartbeats, links and a change of policy and lateness on the way: the same files."""
    switches = [(at("2025-04-01"), LATER_POLICY)] if is_switched else []
    with TemporaryDirectory() as name:
        folder = write(Path(name), story)

        assert written(folder, shards, switches) == written(folder, 1, switches)


def told_story() -> list[Any]:
    """A guarantor in trouble, who is in another shard than the one it stands in for, amid others."""
    names = [f"b-{number}" for number in range(6)]
    story: list[Any] = [opened("2025-01-01", name) for name in names]
    story += [linked("2025-01-05", name, borrower=other) for name, other in pairwise(names)]
    story += [opened(f"2025-0{month}-12", f"c-{month}") for month in range(2, 9)]
    return [*story, broken("2025-03-01", "b-2", b'"amount_minor"'), b"{"]


def test_processes_of_their_own_write_the_same_files(tmp_path: Path) -> None:
    """With one, two and three processes: the same alerts, rejects, scores and report, and links are heard across."""
    folder = write(tmp_path, told_story())
    one, two, three = (written(folder, count, [], hire=crew) for count in (1, 2, 3))

    assert b"linked_distress" in one["alerts.jsonl"]
    assert one == two == three


def test_a_process_that_ends_ends_the_run(tmp_path: Path) -> None:
    """Without the shard's answer nothing is made up: the run says which one is gone."""
    folder = write(tmp_path, told_story())
    lines = index(folder, NOW_MS, 2)
    setting = Setting(
        folder=str(tmp_path / "nowhere"),
        shelf="",
        now_ms=NOW_MS,
        policies=[(SINCE_EVER_MS, default_policy())],
        scores=False,
        shards=2,
        shard=0,
    )

    with crew(lines, setting) as shards, pytest.raises(BacktestError, match="shard 1"):
        shards.output_of(1)
