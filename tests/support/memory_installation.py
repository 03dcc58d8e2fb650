"""A whole installation in memory with the real engine: topics, a worker on virtual time, and what came out."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from models.events import TOPICS, Topic
from streams.bootstrap import build_pipeline
from streams.memory.broker import MemoryBroker, MemoryRecord
from streams.memory.ports import MemoryPorts
from streams.memory.virtual_time import VirtualClock
from streams.metrics import PrometheusMetrics
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.topics import names_of

PARTITIONS = 3


class Installation:
    """Topics in memory and a worker with the real engine."""

    def __init__(self, **changes: Any) -> None:
        plain = Settings(clock="event", until_end=True, partitions=PARTITIONS)
        self.settings = msgspec.structs.replace(plain, **changes)
        self.clock = VirtualClock()
        self.broker = MemoryBroker(self.clock)
        self.ports = MemoryPorts(self.broker, self.settings)
        self.ports.create_topics()
        self.names = names_of(self.settings)
        self.metrics = PrometheusMetrics()

    def produce(self, topic: Topic, document: dict[str, Any] | bytes, borrower: str) -> None:
        key = borrower.encode()
        value = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.broker.produce(self.names.of(topic), partition_of(key, PARTITIONS), key, value)

    def close(self, time_ms: int) -> None:
        """The heartbeats that end a replay."""
        beat = json.dumps({"type": "heartbeat", "event_time_ms": time_ms}).encode()
        for topic in TOPICS:
            for partition in range(PARTITIONS):
                self.broker.produce(self.names.of(topic), partition, b"", beat)

    async def work(self) -> None:
        await build_pipeline(self.settings, self.metrics, ports=self.ports, clock=self.clock).run()

    def reopen(self, **changes: Any) -> None:
        """Go on with other settings."""
        self.settings = msgspec.structs.replace(self.settings, **changes)

    def records(self, topic: str) -> list[MemoryRecord]:
        return [record for records in self.broker.read_committed(topic) for record in records]
