"""Two borrowers in different partitions, on two workers, over a real broker: the one hears of the other."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from streams.kafka.local import Broker
from streams.partitioner import partition_of
from tests.support.equality import open_linked_distress
from tests.support.events import loan
from tests.support.installation import Installation
from tests.support.servicing import linked

pytestmark = pytest.mark.kafka

PARTITIONS = 2
GUARANTOR, BORROWER = "g-2", "b-1"
_TOLD_WITHIN_SECONDS = 600
"""Far beyond what it takes: a message that does not come is told as such."""


def book(folder: Path) -> Path:
    """A guarantor who stops paying, the one it stands in for, and somebody else's life two months on."""
    folder.mkdir()
    due = [("2025-02-10", 100_000)]
    repayments = [
        loan("2025-01-01", due, borrower=GUARANTOR),
        loan("2025-04-10", [("2025-12-10", 100_000)], borrower="x-1"),
    ]
    servicing = [linked("2025-01-05", GUARANTOR, borrower=BORROWER)]
    for topic, events in (("repayments", repayments), ("servicing", servicing)):
        (folder / f"{topic}.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, events)) + b"\n")
    return folder


def wait_until_warned(installation: Installation) -> dict[str, str]:
    """Who is warned of others at last."""
    give_up_at = time.monotonic() + _TOLD_WITHIN_SECONDS
    while not (found := open_linked_distress(installation.alerts())) and time.monotonic() < give_up_at:
        time.sleep(0.2)
    return found


def test_a_borrower_hears_of_a_guarantor_on_another_worker(broker: Broker, tmp_path: Path) -> None:
    """Each worker has one of the two partitions; both are killed then, and one that takes over has nothing to add."""
    homes = [partition_of(name.encode(), PARTITIONS) for name in (GUARANTOR, BORROWER)]
    installation = Installation(broker, PARTITIONS)
    with installation.command("worker") as one, installation.command("worker") as two:
        installation.replay(book(tmp_path / "book"))
        installation.wait_until_consumed(1, [one, two])
        warned = wait_until_warned(installation)
    with installation.command("worker", "--until-end") as again:
        _, said = again.communicate(timeout=_TOLD_WITHIN_SECONDS)
    alerts = [alert for alert in installation.alerts() if alert.signal == "linked_distress"]

    assert again.returncode == 0, said
    assert sorted(homes) == [0, 1]
    assert warned == open_linked_distress(alerts) == {BORROWER: "warning"}
    assert [(alert.revision, alert.status, alert.caused_by.topic) for alert in alerts] == [
        (1, "opened", "linked-risk")
    ]
