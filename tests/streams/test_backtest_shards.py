"""However many processes share the borrowers of a backtest, not a byte of what it writes is another one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.policy import Policy, default_policy, parse_policy
from models.rulebook import SINCE_EVER_MS
from streams.backtest import BacktestError, run
from streams.backtest.messages import Setting
from streams.backtest.processes import crew, crew_here, index
from tests.support.event_folders import NOW_MS, STORIES, told_story, write
from tests.support.events import at

FILES = ("alerts.jsonl", "rejected.jsonl", "scores.jsonl", "report.json")
LATER_POLICY = parse_policy(
    "[feeds.repayments]\nlateness_minutes = 2880\n[signals.missed_payment]\ngrace_days = 3\n", "later.toml"
)


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
        learns=False,
        shards=2,
        shard=0,
    )

    with crew(lines, setting) as shards, pytest.raises(BacktestError, match="shard 1"):
        shards.output_of(1)
