"""The makers of the Kafka ports."""

from __future__ import annotations

from streams.kafka.logs import KafkaLogs
from streams.kafka.producer import KafkaSink
from streams.kafka.source import KafkaSource
from streams.ports import Logs, Sink, Source
from streams.settings import Settings


class KafkaPorts:
    """See `streams.ports.Ports`."""

    def __init__(self, settings: Settings) -> None:
        """`settings` name the broker, the prefix, the group and all limits."""
        self._settings = settings

    def source(self) -> Source:
        """A member of the group."""
        return KafkaSource(self._settings)

    def sink(self, task: int) -> Sink:
        """The producer of a task."""
        return KafkaSink(self._settings, task)

    def logs(self) -> Logs:
        """A reader."""
        return KafkaLogs(self._settings)
