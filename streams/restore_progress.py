"""How far a restore is, how fast, and how long it still takes: arithmetic on positions in the changelog."""

from __future__ import annotations

from typing import Final

REPORTED_EVERY_MS: Final = 5_000
"""A line in the log so often at most: a short restore says only that it is done."""


class RestoreProgress:
    """One task's reading of its changelog, from where the log begins to where it ended when reading began.

    Offsets are the measure, because the end is one: transaction markers and what compaction has removed take offsets as
    well, so there are never more records left than `remaining`.
    """

    def __init__(self, start: int, end: int, began_ms: int) -> None:
        """`began_ms` by the stop-watch."""
        self.records = 0
        """Read so far."""
        self.position = start
        """The next offset to read."""
        self.end = end
        self._start = start
        self._began_ms = began_ms
        self._next_report_ms = began_ms + REPORTED_EVERY_MS

    def add(self, records: int, last_offset: int) -> None:
        """A batch was read."""
        self.records += records
        self.position = last_offset + 1

    @property
    def remaining(self) -> int:
        """Offsets left: records at most."""
        return max(0, self.end - self.position)

    def records_per_second(self, now_ms: int) -> float:
        """Since the beginning; 0 before any time has passed."""
        return _per_second(self.records, now_ms - self._began_ms)

    def seconds_left(self, now_ms: int) -> float | None:
        """If it goes on like this; None while nothing tells."""
        if not self.remaining:
            return 0.0
        speed = _per_second(self.position - self._start, now_ms - self._began_ms)
        return self.remaining / speed if speed else None

    def is_report_due(self, now_ms: int) -> bool:
        """Whether it is time for a line again; counts as told when it is."""
        if now_ms < self._next_report_ms:
            return False
        self._next_report_ms = now_ms + REPORTED_EVERY_MS
        return True

    def told(self, now_ms: int) -> str:
        """The line."""
        left = self.seconds_left(now_ms)
        return (
            f"{self.records:,} records read, offset {self.position:,} of {self.end:,}, "
            f"{self.records_per_second(now_ms):,.0f} records/s, "
            f"{'time left unknown' if left is None else f'{left:,.0f} s left'}"
        )


def _per_second(count: int, elapsed_ms: int) -> float:
    return count * 1000 / elapsed_ms if elapsed_ms > 0 else 0.0
