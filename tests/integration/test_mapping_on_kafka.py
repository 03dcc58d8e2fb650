"""A lender's own topics, with other names, units and words, through a worker: the alerts are those of the contract's form."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from models.alerts import Alert
from models.events import TOPICS, Topic
from models.policy import default_policy
from models.rules import Rules
from streams import backtest
from streams.clock import SystemClock
from streams.codec import Decoder, NotAnEvent
from streams.event_files import EventFolder
from streams.kafka import admin
from streams.kafka.feeding import feed
from streams.kafka.inspection import Inspector
from streams.kafka.local import Broker
from streams.partitioner import partition_of
from streams.ports import PortError
from streams.replay import PlannedRecord, replay_plan
from streams.settings import lender_setting, load_settings
from streams.simulator import SimulationSettings, write_folder
from streams.topics import names_of
from tests.support.equality import by_borrower
from tests.support.installation import ROOT, Installation
from tests.support.kafka import unique
from tests.support.lender import payload_of
from tests.support.lender_of_everything import avro_schema, lenders_document, mapping_text
from tests.support.registry import FakeRegistry, avro_record, fake_registry

pytestmark = pytest.mark.kafka

PARTITIONS = 4
AVRO: Topic = "credit-queries"
SCHEMA_ID = 41


@pytest.fixture(scope="module")
def registry() -> Iterator[FakeRegistry]:
    """It knows the one schema of the lender."""
    with fake_registry() as running:
        running.add(SCHEMA_ID, json.dumps(avro_schema(AVRO)))
        yield running


def make_topics(broker: Broker, names: list[str], partitions: int = PARTITIONS) -> None:
    """The lender's, which are there before Forewarn is."""
    client = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    try:
        client.create_topics([NewTopic(name, partitions, 1) for name in names])
        client.wait_for_topics(names, timeout_ms=30_000)
    finally:
        client.close()


def lenders_value(topic: Topic, value: bytes) -> bytes:
    """A payload of the contract in the lender's form."""
    event = Decoder(topic, keyed=False).decode(value, None, SystemClock().now_ms())
    assert not isinstance(event, NotAnEvent)
    if topic == AVRO:
        return avro_record(SCHEMA_ID, avro_schema(AVRO), lenders_document(event, "avro"))
    return payload_of(lenders_document(event))


def planned(folder: Path) -> Iterator[PlannedRecord]:
    """A replay of the folder, each payload in the lender's form."""
    now_ms = SystemClock().now_ms()
    plan = replay_plan(
        EventFolder(folder, now_ms),
        Rules(default_policy()),
        PARTITIONS,
        partial(partition_of, partition_count=PARTITIONS),
        known_by_ms=now_ms,
    )
    for record in plan:
        yield msgspec.structs.replace(record, value=lenders_value(TOPICS[record.topic_index], record.value))


def test_a_lenders_topics_give_the_alerts_of_the_contracts_form(
    broker: Broker, registry: FakeRegistry, tmp_path: Path
) -> None:
    """Three feeds of JSON and one of Avro, every type of event, no field called as ours."""
    write_folder(SimulationSettings(seed=7, borrowers=30, months=7), tmp_path / "events")
    backtest.run(tmp_path / "events", tmp_path / "out", default_policy(), now_ms=SystemClock().now_ms())
    decode = msgspec.json.Decoder(Alert).decode
    expected = by_borrower(map(decode, (tmp_path / "out" / backtest.ALERTS_FILE).read_bytes().splitlines()))
    mapping = tmp_path / "lender.toml"
    mapping.write_text(mapping_text({AVRO: "avro"}), encoding="utf-8")
    name = unique("lender")
    topics = {topic: f"core.{name}.{topic}" for topic in TOPICS}
    make_topics(broker, list(topics.values()))
    installation = Installation(
        broker,
        PARTITIONS,
        mapping_file=str(mapping),
        schema_registry_url=registry.url,
        **{lender_setting(topic): own for topic, own in topics.items()},
    )
    asyncio.run(feed(planned(tmp_path / "events"), installation.settings, clock=SystemClock()))
    with installation.command("worker") as worker:
        installation.wait_until_consumed(1, [worker])
    found = installation.alerts()

    assert expected
    assert by_borrower(found) == expected
    assert registry.asked == {f"/schemas/ids/{SCHEMA_ID}": 1}
    with Inspector(installation.settings) as inspector:
        letters = inspector.read(names_of(installation.settings).dead_letters, range(PARTITIONS))
        assert [letter.headers for letter in letters] == []


def command(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of an installation, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


REPAYMENTS_ALONE = """
[[repayments.events]]
type = "repayment"
event_id = "txn"
borrower_id = "cust"
event_time_ms = "at"
loan_id = "loan"
amount_minor = { from = "paid", unit = "yuan" }
"""


def test_a_refused_record_is_kept_and_retried_in_the_lenders_own_bytes(
    broker: Broker, tmp_path: Path
) -> None:
    """Through the mapping again: it takes the record once it has been mended."""
    name = unique("lender")
    topic = f"core.{name}"
    make_topics(broker, [topic])
    mapping = tmp_path / "lender.toml"
    mapping.write_text(REPAYMENTS_ALONE, encoding="utf-8")
    settings: dict[str, Any] = {
        "broker": broker.bootstrap_servers,
        "topic_prefix": f"{name}.",
        "group_id": name,
        "partitions": PARTITIONS,
        "mapping_file": str(mapping),
        "repayments_topic": topic,
        "learning": False,
    }
    environment = {f"FOREWARN_{field.upper()}": str(value) for field, value in settings.items()}
    loaded = load_settings({}, settings)
    admin.apply(loaded.broker, loaded)
    payload = b'{"txn": "t-1", "cust": "b-1", "at": 1740794400123, "loan": "l-1", "paid": 12.305}'
    place = partition_of(b"b-1", PARTITIONS)
    record = PlannedRecord(TOPICS.index("repayments"), place, b"b-1", payload, 0)
    asyncio.run(feed([record], loaded, clock=SystemClock()))

    def letters() -> list[Any]:
        with Inspector(loaded) as inspector:
            read = inspector.read(names_of(loaded).dead_letters, range(PARTITIONS))
            return [one for one in read if one.value is not None]

    first = command(environment, "worker", "--until-end")
    assert first.returncode == 0, first.stderr
    (letter,) = letters()
    assert (letter.value, letter.key) == (payload, b"b-1")
    assert dict(letter.headers)["forewarn.reject.reason"] == b"wrong-type"
    assert dict(letter.headers)["__connect.errors.topic"] == topic.encode()

    mapping.write_text(
        REPAYMENTS_ALONE.replace('"yuan" }', '"yuan", rounding = "half_even" }'), encoding="utf-8"
    )
    retried = command(environment, "dead-letters", "retry", "--all")
    assert retried.returncode == 0, retried.stderr
    second = command(environment, "worker", "--until-end")
    assert second.returncode == 0, second.stderr
    assert len(letters()) == 1
    shown = command(environment, "borrower", "show", "b-1", "--json")
    assert json.loads(shown.stdout)["timeline"], shown.stdout


def test_topics_that_cannot_be_read_together_are_refused_with_what_to_do(broker: Broker) -> None:
    """The lender's are never made or changed."""
    name = unique("lender")
    six = f"core.{name}.six"
    make_topics(broker, [six], partitions=6)
    settings = {"broker": broker.bootstrap_servers, "topic_prefix": f"{name}.", "repayments_topic": six}

    with pytest.raises(PortError, match=f"{six} has 6 partitions.*use --partitions 6"):
        admin.apply(broker.bootstrap_servers, load_settings({}, {**settings, "partitions": 4}))
    with pytest.raises(PortError, match="is missing; it is your own"):
        admin.apply(
            broker.bootstrap_servers, load_settings({}, {**settings, "repayments_topic": f"{six}.no"})
        )
    fitting = load_settings({}, {**settings, "partitions": 6})
    assert not any(six in line for line in admin.apply(broker.bootstrap_servers, fitting))
    assert admin.check(broker.bootstrap_servers, fitting) == []
