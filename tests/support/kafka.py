"""A broker for tests: the fixture `broker`, and topics nobody else uses."""

import secrets
from collections.abc import Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.kafka.local import Broker, find_broker


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """One broker for the whole run: `FOREWARN_BROKER` if set, else a local Kafka. Never skipped."""
    with find_broker() as found:
        yield found


def unique(prefix: str) -> str:
    """Return a name no other test has: the broker, and what is in it, is shared by all."""
    return f"{prefix}-{secrets.token_hex(4)}"


async def create_topic(
    broker: Broker,
    name: str,
    *,
    partitions: int = 1,
    replicas: int = 1,
    configs: dict[str, str] | None = None,
) -> None:
    """Create a topic; the broker makes none on its own."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, replicas, topic_configs=configs or {})])
    finally:
        await admin.close()
