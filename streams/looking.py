"""What somebody who looks at topics needs of them, wherever they are. `streams.kafka.inspection` is the one on Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol


class Seen(Protocol):
    """A committed record."""

    @property
    def partition(self) -> int:
        """Where it stands."""
        ...

    @property
    def offset(self) -> int:
        """And at which place."""
        ...

    @property
    def timestamp_ms(self) -> int:
        """When it was produced."""
        ...

    @property
    def key(self) -> bytes | None:
        """As written."""
        ...

    @property
    def value(self) -> bytes | None:
        """As written."""
        ...

    @property
    def headers(self) -> Iterable[tuple[str, bytes | None]]:
        """As written."""
        ...


class Looker(Protocol):
    """Reads what is committed, and disturbs nobody. Each method raises `InspectionError` where nobody answers."""

    def require(self, topic: str) -> int:
        """The partitions of a topic that must be there."""
        ...

    def read(
        self, topic: str, partitions: Sequence[int], *, from_offset: int | None = None
    ) -> Iterator[Seen]:
        """The records from an offset, or the beginning, up to where the topic ended when reading began."""
        ...

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset held, and the one behind the last that is committed."""
        ...

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        """The first offset produced at an instant or later."""
        ...

    def latest(self, topic: str, partition: int, key: bytes) -> bytes | None:
        """The last value written under a key."""
        ...

    def latest_near_end(self, topic: str, partition: int, key: bytes) -> bytes | None:
        """The same for a key that is written again and again."""
        ...
