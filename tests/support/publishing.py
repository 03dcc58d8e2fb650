"""Alerts on a real Kafka, as workers publish them."""

from __future__ import annotations

from collections.abc import Sequence

from models.alerts import Alert
from streams.outputs import alert_record
from tests.support.world import KafkaWorld


async def publish(world: KafkaWorld, alerts: Sequence[Alert], *, commits: bool = True) -> None:
    """On the first partition: in one transaction, or in one that is taken back."""
    sink = world.ports.sink(0)
    try:
        await sink.open()
        await sink.begin()
        await sink.send(world.names.alerts, [alert_record(one, b"/alerts") for one in alerts], 0)
        await sink.flush()
        await (sink.commit() if commits else sink.abort())
    finally:
        await sink.close()
