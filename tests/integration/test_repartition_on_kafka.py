"""`forewarn topics repartition` on a real broker, between two workers that know nothing of each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.events import TOPICS
from streams.kafka.local import Broker
from streams.simulator import SimulationSettings, write_folder
from tests.support.equality import by_borrower
from tests.support.installation import Installation

pytestmark = pytest.mark.kafka

CUT_MS = 1_748_736_000_000
"""2025-06-01: five of the seven months are before it."""


@pytest.fixture
def halves(tmp_path: Path) -> tuple[Path, Path]:
    """A simulated book in order, cut in two."""
    settings = SimulationSettings(seed=7, borrowers=60, months=7, late_share=0)
    write_folder(settings, tmp_path / "book")
    folders = tmp_path / "before", tmp_path / "after"
    for number, folder in enumerate(folders):
        folder.mkdir()
        for topic in TOPICS:
            lines = (tmp_path / "book" / f"{topic}.jsonl").read_bytes().splitlines(keepends=True)
            own = [line for line in lines if (arrived_ms(line) >= CUT_MS) == bool(number)]
            (folder / f"{topic}.jsonl").write_bytes(b"".join(own))
    return folders


def arrived_ms(line: bytes) -> int:
    """When the lender learnt of an event."""
    event = json.loads(line)
    return int(event.get("ingested_at_ms", event["event_time_ms"]))


def work(installation: Installation) -> None:
    """One worker, until all is consumed."""
    said = installation.run("worker", "--until-end")
    assert said.returncode == 0, said.stderr


def test_alerts_after_the_change_are_those_of_workers_that_never_changed(
    broker: Broker, halves: tuple[Path, Path]
) -> None:
    """From four partitions to six, by the command as an operator types it; refused while a record waits, and a second time."""
    never, old = Installation(broker, 4), Installation(broker, 4)
    for half in halves:
        never.replay(half)
        work(never)
    new = old.under(f"{old.name}-wide.", 6)
    change = ("topics", "repartition", "--partitions", "6", "--to-prefix", new.settings.topic_prefix)

    old.replay(halves[0])
    early = old.run(*change)
    assert early.returncode == 1
    assert "records are not processed" in early.stderr
    work(old)
    done = old.run(*change)
    again = old.run(*change)
    new.replay(halves[1])
    work(new)

    assert done.returncode == 0, done.stderr
    assert "moved 60 borrowers, " in done.stdout
    assert again.returncode == 1
    assert "not empty" in again.stderr
    assert len(new.alerts()) > 10
    assert by_borrower(never.alerts()) == by_borrower([*old.alerts(), *new.alerts()])
    proved = new.run("audit", "verify")
    assert proved.returncode == 0, proved.stderr
