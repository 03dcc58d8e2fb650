"""The alerts of a replay over Kafka are those of a backtest, alert for alert, whatever befalls the workers.

`FOREWARN_EQUALITY_CLIENTS` sets how many of the 30,000 real card clients take part; a tenth by default.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from models.alerts import Alert
from models.policy import default_policy
from streams import backtest
from streams.clock import SystemClock
from streams.convert.uci_default import convert
from streams.kafka.local import Broker
from streams.simulator import SimulationSettings, write_folder
from tests.support.equality import by_borrower
from tests.support.installation import Installation
from tests.support.shared_data import shared_file

pytestmark = pytest.mark.kafka

CLIENTS = int(os.environ.get("FOREWARN_EQUALITY_CLIENTS", "3000"))


class Book(NamedTuple):
    """A folder of events, and the alerts that a backtest of it gives."""

    folder: Path
    expected: dict[str, list[dict[str, Any]]]


def backtested(folder: Path, out: Path) -> Book:
    """Backtest a folder."""
    backtest.run(folder, out, default_policy(), now_ms=SystemClock().now_ms())
    decode = msgspec.json.Decoder(Alert).decode
    lines = (out / backtest.ALERTS_FILE).read_bytes().splitlines()
    return Book(folder, by_borrower(map(decode, lines)))


@pytest.fixture(scope="module")
def card_clients(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """The first of the real card clients, as events."""
    folder = tmp_path_factory.mktemp("uci")
    with shared_file("uci_default/UCI_Credit_Card.csv").open(newline="") as source:
        rows = list(csv.reader(source))[: CLIENTS + 1]
    with (folder / "clients.csv").open("w", newline="") as part:
        csv.writer(part).writerows(rows)
    convert(folder / "clients.csv", folder / "events")
    return backtested(folder / "events", folder / "out")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """A simulated book: all three feeds and signals, and one event in twenty learnt up to five days late."""
    folder = tmp_path_factory.mktemp("simulated")
    settings = SimulationSettings(seed=11, borrowers=250, months=14, late_share=0.05, late_days_max=5)
    write_folder(settings, folder / "events")
    return backtested(folder / "events", folder / "out")


def assert_equal(book: Book, found: list[Alert]) -> None:
    """The same alerts, none missing, none twice."""
    revisions = Counter((alert.alert_id, alert.revision) for alert in found)

    assert max(revisions.values()) == 1
    assert book.expected == by_borrower(found)


@pytest.mark.parametrize(("partitions", "workers"), [(1, 1), (4, 1), (8, 1), (8, 3)])
def test_real_card_clients_over_kafka_equal_their_backtest(
    broker: Broker, card_clients: Book, partitions: int, workers: int
) -> None:
    """With any number of partitions and workers."""
    installation = Installation(broker, partitions)
    installation.replay(card_clients.folder)
    with ExitStack() as running:
        processes = [running.enter_context(installation.command("worker")) for _ in range(workers)]
        installation.wait_until_consumed(1, processes)

    assert_equal(card_clients, installation.alerts())


@pytest.mark.parametrize(("partitions", "workers"), [(1, 1), (4, 1), (8, 3)])
def test_a_book_with_late_events_over_kafka_equals_its_backtest(
    broker: Broker, simulated: Book, partitions: int, workers: int
) -> None:
    """Three feeds, three signals, events learnt late: what one order gives, every partitioning gives."""
    installation = Installation(broker, partitions)
    installation.replay(simulated.folder)
    with ExitStack() as running:
        processes = [running.enter_context(installation.command("worker")) for _ in range(workers)]
        installation.wait_until_consumed(1, processes)

    assert_equal(simulated, installation.alerts())


def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(broker: Broker, card_clients: Book) -> None:
    """Kill -9 at a third and at two thirds of the replay, then a restart: the same alerts, none twice."""
    # As a backlog is committed otherwise, one transaction could be all that is left.
    installation = Installation(broker, 4, commit_events_max=500)
    installation.replay(card_clients.folder)
    killed_at = []
    for share in (1 / 3, 2 / 3):
        with installation.command("worker") as worker:
            installation.wait_until_consumed(share, [worker])
            worker.kill()
            worker.wait()
        killed_at.append(installation.consumed())
    with installation.command("worker") as worker:
        installation.wait_until_consumed(1, [worker])

    assert killed_at[0] < killed_at[1] < installation.consumed()
    assert_equal(card_clients, installation.alerts())
