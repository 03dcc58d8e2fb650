"""The makers of the Kafka ports."""

from __future__ import annotations

from collections.abc import Sequence

from streams.kafka.logs import KafkaLogs
from streams.kafka.producer import KafkaSink
from streams.kafka.source import KafkaSource
from streams.ports import Logs, Sink, Source
from streams.settings import Settings


class KafkaPorts:
    """See `streams.ports.Ports`."""

    def __init__(self, settings: Settings, inputs: Sequence[str] | None = None) -> None:
        """`settings` name the broker, the prefix, the group and all limits; `inputs`: the events' topics unless given."""
        self._settings = settings
        self._inputs = inputs

    def source(self) -> Source:
        """A member of the group."""
        return KafkaSource(self._settings, self._inputs)

    def sink(self, task: int) -> Sink:
        """The producer of a task."""
        return KafkaSink(self._settings, task, self._inputs)

    def logs(self) -> Logs:
        """A reader."""
        return KafkaLogs(self._settings)
