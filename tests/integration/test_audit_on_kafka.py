"""`audit verify` against real Kafka: whole, cut by retention, cut off at the end, and written to by somebody else."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from models.alerts import Alert, ChainHead
from streams.cli import main
from streams.kafka.local import Broker
from streams.progress import encode_progress, progress_key
from tests.models.test_audit import chain, head_of
from tests.streams.keep_progress import positions
from tests.support.world import KafkaWorld, settings_for

pytestmark = pytest.mark.kafka


def progress(task: int, head: ChainHead) -> bytes:
    """The progress record of a task whose chain stands there."""
    (_, busy) = positions()["busy"]
    engine = msgspec.structs.replace(busy.engine, chain=head)
    return encode_progress(msgspec.structs.replace(busy, task=task, engine=engine))


async def publish(world: KafkaWorld, partition: int, alerts: list[Alert], head: ChainHead | None) -> None:
    """Alerts, and the progress record that goes with them."""
    names = world.names
    await world.produce(names.alerts, partition, [msgspec.json.encode(alert) for alert in alerts], key=b"b1")
    if head is not None:
        record = progress(partition, head)
        # Long before the end of the changelog, so that it has to be looked for.
        await world.produce(names.state, partition, [record], key=progress_key(partition))
        await world.produce(names.state, partition, [b"state"] * 2_500, key=b"b1")


async def test_chains_are_proved_on_kafka(broker: Broker) -> None:
    """Each partition's chain by itself, with exit status, span and head; every break with its offset."""
    world = KafkaWorld(settings_for("audit", broker.bootstrap_servers))
    alerts = chain(9)

    def verify(*arguments: str) -> tuple[Result, Any]:
        options = ["--bootstrap", world.settings.broker, "--prefix", world.settings.topic_prefix, "--json"]
        result = CliRunner().invoke(main, ["audit", "verify", *options, *arguments])
        return result, json.loads(result.stdout)

    await publish(world, 0, alerts[:6], head_of(alerts[:6]))
    result, document = verify()
    assert (result.exit_code, document["whole"]) == (0, True), result.output
    first, second = (entry["report"] for entry in document["chains"])
    assert (first["records"], first["first_sequence"], first["last_sequence"]) == (6, 1, 6)
    assert first["head_hash"] == alerts[5].chain.hash
    assert (second["records"], second["begin"]) == (0, "nothing")

    await world.delete_before(world.names.alerts, 0, 2)
    result, document = verify("--partition", "0")
    report = document["chains"][0]["report"]
    assert result.exit_code == 0
    assert (report["begin"], report["first_sequence"]) == ("retention", 3)
    _, document = verify("--partition", "0", "--from-offset", "4")
    report = document["chains"][0]["report"]
    assert (report["begin"], report["first_sequence"]) == ("asked", 5)

    # The end was cut off: the progress record knows of more.
    await publish(world, 1, alerts[:3], head_of(alerts[:4]))
    result, document = verify()
    assert result.exit_code == 1
    assert "1 of 2 chains are not whole" in result.stderr
    found = document["chains"][1]["report"]["first_break"]
    assert (found["kind"], found["offset"], found["sequence"]) == ("missing", 3, 4)

    # Somebody else goes on with the chain in perfect order.
    await publish(world, 0, alerts[6:], None)
    result, document = verify("--partition", "0")
    found = document["chains"][0]["report"]["first_break"]
    assert result.exit_code == 1
    assert (found["kind"], found["offset"], found["sequence"]) == ("forged", 8, 9)

    refused = CliRunner().invoke(main, ["audit", "verify", "--from-offset", "3"])
    assert refused.exit_code == 2
