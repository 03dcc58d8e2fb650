"""Poison on a real Kafka: listed, shown, retried in vain, put right or answered for; and the hold that it was."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from click.testing import CliRunner, Result

from models.events import FUND_FLOWS, REPAYMENTS, TOPICS
from streams.cli import main
from streams.clock import SystemClock
from streams.dead_letters import RETRY_COUNT_HEADER, RETRY_OF_HEADER
from streams.kafka.inspection import Inspector, Read
from streams.kafka.local import Broker
from streams.kafka.writing import RecordWriter, Written
from streams.partitioner import partition_of
from streams.ports import OutputRecord
from streams.settings import load_settings
from streams.topics import TopicNames
from tests.support.events import at, loan
from tests.support.kafka import unique

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 2
BORROWER = "b-poisoned"
KEY = BORROWER.encode()
HOME = partition_of(KEY, PARTITIONS)
PAID = {
    "type": "repayment",
    "event_id": "pay-1",
    "borrower_id": BORROWER,
    "event_time_ms": at("2025-03-04"),
    "loan_id": "l-1",
}
NAMED = msgspec.json.encode(PAID)
"""Lacks its amount; its id can be read."""
NAMELESS = b"\x00\xff{"
MENDED = msgspec.json.encode(PAID | {"amount_minor": 10_000})
OWN_HEADERS = (("trace", b"abc"),)
STRAY = msgspec.json.encode(
    {
        "type": "fund_flow",
        "event_id": "f-1",
        "borrower_id": BORROWER,
        "event_time_ms": at("2025-03-04"),
        "account_id": "a",
        "direction": "in",
        "amount_minor": 5,
        "currency": "CNY",
    }
)
"""Nothing is wrong with it but the partition it is written to."""


class Scene(NamedTuple):
    """An installation of its own on the shared broker."""

    environment: dict[str, str]

    @property
    def names(self) -> TopicNames:
        return TopicNames(self.environment["FOREWARN_TOPIC_PREFIX"])

    def run(self, *arguments: str, expected: int = 0) -> Result:
        """Run a command in this process."""
        result = CliRunner(env=self.environment).invoke(main, list(arguments))
        assert result.exit_code == expected, result.output
        return result

    def work(self) -> None:
        """Run a worker until everything is consumed and committed."""
        worked = subprocess.run(
            [sys.executable, "-m", "streams.cli", "worker", "--until-end", "--log-level", "WARNING"],
            env=os.environ | self.environment | {"PYTHONPATH": str(ROOT)},
            check=False,
            capture_output=True,
            text=True,
        )
        assert worked.returncode == 0, worked.stderr

    def write(self, feed: int, partition: int, *records: OutputRecord) -> None:
        """Produce to an input topic."""

        async def write() -> None:
            settings = load_settings(self.environment)
            async with RecordWriter(settings, SystemClock()) as writer:
                await writer.write(Written(self.names.inputs[feed], partition, one) for one in records)

        asyncio.run(write())

    def read(self, topic: str) -> list[Read]:
        """Everything committed in a topic."""
        with Inspector(load_settings(self.environment)) as inspector:
            return list(inspector.read(topic, range(PARTITIONS)))

    def letters(self, *options: str) -> list[dict[str, Any]]:
        """What `list --json` prints, in the order of the letters."""
        lines = self.run("dead-letters", "list", "--json", *options).stdout.splitlines()
        return sorted((json.loads(line) for line in lines), key=lambda letter: str(letter["letter"]))

    def last_hold(self) -> str | None:
        """What the newest revision says of acting on it."""
        last = json.loads(self.run("alerts", "tail", "--until-end", "--json").stdout.splitlines()[-1])
        recommendation = last["recommendation"]
        assert recommendation["actionable"] == (recommendation["hold"] is None)
        hold: str | None = recommendation["hold"]
        return hold


@pytest.fixture
def scene(broker: Broker) -> Scene:
    """A borrower past due, two records of theirs that nobody can use, and one that has gone astray."""
    name = unique("poison")
    made = Scene(
        {
            "FOREWARN_BROKER": broker.bootstrap_servers,
            "FOREWARN_TOPIC_PREFIX": f"{name}.",
            "FOREWARN_GROUP_ID": name,
            "FOREWARN_PARTITIONS": str(PARTITIONS),
            "FOREWARN_CLOCK": "event",
        }
    )
    made.run("topics", "apply")
    opened = msgspec.json.encode(loan("2025-01-01", [("2025-03-01", 50_000)], BORROWER))
    beat = msgspec.json.encode({"type": "heartbeat", "event_time_ms": at("2025-03-05")})
    made.write(REPAYMENTS, HOME, OutputRecord(KEY, opened))
    for feed in range(len(TOPICS)):
        made.write(feed, HOME, OutputRecord(None, beat))
    made.write(
        REPAYMENTS, HOME, OutputRecord(KEY, NAMED, OWN_HEADERS), OutputRecord(KEY, NAMELESS, OWN_HEADERS)
    )
    made.write(FUND_FLOWS, 1 - HOME, OutputRecord(KEY, STRAY))
    made.work()
    return made


def headers_of(records: Sequence[Read], value: bytes) -> list[dict[str, bytes | None]]:
    """The headers of every record with these bytes."""
    return [dict(record.headers) for record in records if record.value == value]


def test_poison_is_shown_retried_in_vain_mended_and_released(scene: Scene) -> None:
    """The whole life of three refused records, from the hold that two of them put on an alert to its end."""
    assert scene.last_hold() == "data_incomplete"
    inputs, flows = scene.names.inputs[REPAYMENTS], scene.names.inputs[FUND_FLOWS]
    first = scene.letters("--topic", inputs)
    assert [letter["reason"] for letter in first] == ["missing-field", "invalid-utf8"]
    (stray,) = scene.letters("--reason", "wrong-partition")

    nameless = next(letter for letter in first if letter["reason"] == "invalid-utf8")
    by_letter = scene.run("dead-letters", "show", nameless["letter"]).stdout
    origin = f"{nameless['topic']}:{nameless['partition']}/{nameless['offset']}"
    assert scene.run("dead-letters", "show", origin).stdout == by_letter
    assert "00000000  00 ff 7b" in by_letter
    assert "trace: abc" in by_letter
    assert f"refused  {origin}" in by_letter

    before = len(scene.read(inputs))
    assert "2 would be retried" in scene.run("dead-letters", "retry", "--all", "--dry-run").stderr
    assert len(scene.read(inputs)) == before

    for tries in (b"1", b"2"):
        assert "2 retried, " in scene.run("dead-letters", "retry", "--all").stderr
        assert "0 retried, " in scene.run("dead-letters", "retry", "--all").stderr
        scene.work()
        for value, place in ((NAMED, first[0]), (NAMELESS, first[1])):
            newest = headers_of(scene.read(inputs), value)[-1]
            assert newest[RETRY_COUNT_HEADER] == tries
            assert newest["trace"] == b"abc"
            assert newest[RETRY_OF_HEADER] == f"{HOME}/{place['offset']}".encode()
        assert [letter["tries"] for letter in scene.letters("--pending", "--topic", inputs)] == [
            int(tries)
        ] * 2
    limited = scene.run("dead-letters", "retry", "--all", "--tries-max", "2")
    assert limited.stdout.count("as often as --tries-max allows") == 2
    assert "0 retried, 7 not" in limited.stderr
    assert len(scene.letters()) == 7
    assert scene.last_hold() == "data_incomplete"

    scene.write(REPAYMENTS, HOME, OutputRecord(KEY, MENDED))
    kept = scene.run("dead-letters", "retry", stray["letter"], expected=1)
    assert "--repartition" in kept.stdout
    assert "1 retried" in scene.run("dead-letters", "retry", stray["letter"], "--repartition").stderr
    scene.work()
    assert scene.last_hold() == "data_incomplete"
    assert sorted(record.partition for record in scene.read(flows) if record.value == STRAY) == [0, 1]
    assert len(scene.letters("--topic", flows)) == 1

    last = next(letter for letter in scene.letters("--pending") if letter["reason"] == "invalid-utf8")
    assert "1 letters released" in scene.run("dead-letters", "release", last["letter"]).stderr
    scene.work()
    assert scene.last_hold() is None
    again = scene.run("dead-letters", "release", last["letter"], expected=1)
    assert f"nothing to release at {last['letter']}" in again.stderr
    missing = scene.run("dead-letters", "retry", "0/999999", expected=1)
    assert "no dead letter at 0/999999" in missing.stderr
    scene.run("dead-letters", "retry", expected=2)


def test_a_borrower_is_released_from_everything_at_once(scene: Scene) -> None:
    """Also from what was refused beyond the records that are remembered by name."""
    many = [OutputRecord(KEY, b"{%d" % number) for number in range(20)]
    scene.write(REPAYMENTS, HOME, *many)
    scene.work()
    assert scene.last_hold() == "data_incomplete"

    scene.run("dead-letters", "release", "--borrower", BORROWER)
    scene.work()

    assert scene.last_hold() is None
    assert scene.letters("--pending", "--topic", scene.names.inputs[REPAYMENTS]) == []
