"""Removes topics: only the demo does that, with topics of its own on a Kafka that is not."""

from __future__ import annotations

from typing import Final

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

_TIMEOUT_MS: Final = 5_000
"""Whoever pressed Ctrl-C does not wait longer."""


def remove_topics(broker: str, prefix: str) -> None:
    """Delete all topics whose name begins with `prefix`, Faust's own included.

    Where Kafka does not answer any more, they stay: nothing else could be done.
    """
    assert prefix, "without a prefix these would be all topics there are"
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=broker.split(","),
            bootstrap_timeout_ms=_TIMEOUT_MS,
            request_timeout_ms=_TIMEOUT_MS,
            client_id="forewarn-demo",
        )
    except (KafkaError, OSError):
        return
    try:
        topics = [topic for topic in admin.list_topics() if topic.startswith(prefix)]
        admin.delete_topics(topics, timeout_ms=_TIMEOUT_MS)
    except (KafkaError, OSError):
        return
    finally:
        admin.close()
