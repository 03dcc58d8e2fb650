"""Removes topics: only the demo does that, with topics of its own on a Kafka that is not."""

from __future__ import annotations

from typing import Final

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from streams.kafka.security import kafka_python_options
from streams.settings import Settings

_TIMEOUT_MS: Final = 5_000
"""Whoever pressed Ctrl-C does not wait longer."""


def remove_topics(settings: Settings) -> None:
    """Delete all topics whose name begins with the settings' prefix, Faust's own included.

    Where Kafka does not answer any more, they stay: nothing else could be done.
    """
    prefix = settings.topic_prefix
    assert prefix, "without a prefix these would be all topics there are"
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=settings.broker.split(","),
            bootstrap_timeout_ms=_TIMEOUT_MS,
            request_timeout_ms=_TIMEOUT_MS,
            client_id="forewarn-demo",
            **kafka_python_options(settings),
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
