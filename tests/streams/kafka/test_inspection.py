"""What a command reads is whole, whatever happens to its client on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kafka import TopicPartition
from kafka.errors import NotLeaderForPartitionError

from streams.kafka.inspection import Inspector
from streams.settings import Settings

PLACE = TopicPartition("t", 0)
RECORDS = 500
_AT_ONCE = 200


class Record(NamedTuple):
    """As kafka-python's, as far as it is looked at."""

    offset: int
    topic: str = PLACE.topic
    partition: int = PLACE.partition
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Client:
    """Stands for kafka-python's consumer: where the next fetch cannot be sent, what it had taken is gone, and its place has moved."""

    def __init__(self, fails_at: int) -> None:
        self.place = 0
        self._fails_at = fails_at
        self._polls = 0

    def assign(self, assigned: Sequence[TopicPartition]) -> None:
        assert list(assigned) == [PLACE]

    def beginning_offsets(
        self, asked: Sequence[TopicPartition], timeout_ms: int
    ) -> dict[TopicPartition, int]:
        return dict.fromkeys(asked, 0)

    def end_offsets(self, asked: Sequence[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        return dict.fromkeys(asked, RECORDS)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.place = offset

    def position(self, partition: TopicPartition) -> int:
        return self.place

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        begin, self.place = self.place, min(self.place + _AT_ONCE, RECORDS)
        self._polls += 1
        if self._polls == self._fails_at:
            raise NotLeaderForPartitionError
        return {PLACE: [Record(offset) for offset in range(begin, self.place)]}


def offsets_read(client: Client) -> list[int]:
    """Of all records, as a command reads them."""
    inspector = Inspector(Settings())
    inspector._consumer = client
    return [record.offset for record in inspector.read(PLACE.topic, [PLACE.partition])]


def test_what_a_client_had_taken_when_it_failed_is_read_again() -> None:
    """At the first poll, amid the topic or at its end: each record comes, and once."""
    for fails_at in (1, 2, 3):
        assert offsets_read(Client(fails_at)) == list(range(RECORDS)), fails_at
