"""The one door to the wall clock. Whoever needs the time is given a `Clock`."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The time of day and a stop-watch."""

    def now_ms(self) -> int:
        """The wall clock, epoch milliseconds UTC. May jump."""
        ...

    def monotonic_ms(self) -> int:
        """A stop-watch in milliseconds: never goes back, means nothing by itself."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """The wall clock, epoch milliseconds UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """A stop-watch in milliseconds."""
        return time.monotonic_ns() // 1_000_000
