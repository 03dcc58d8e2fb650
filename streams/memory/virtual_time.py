"""Time that passes only when everybody waits: the same run every time, and a day of it in a second.

The loop's clock jumps to the next timer as soon as nothing else can run. Whatever runs on it must do no real I/O.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

START_MS: Final = 1_767_225_600_000
"""Where virtual clocks begin: 2026-01-01T00:00Z."""

T = TypeVar("T")


class NothingWillHappenError(Exception):
    """Everybody waits, and nobody for a time: a deadlock, found at once."""


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for files, lets the time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Never wait: what was to be waited is added to the clock."""
        ready = super().select(0)
        if not ready and timeout is None:
            raise NothingWillHappenError
        if not ready and timeout is not None and timeout > 0:
            self.seconds += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumping.seconds


class VirtualClock:
    """A `Clock` on the running loop's virtual time; the wall clock may be set, as administrators do."""

    def __init__(self, start_ms: int = START_MS) -> None:
        """`start_ms`: the wall clock at the loop's beginning."""
        self.start_ms = start_ms

    def now_ms(self) -> int:
        """The wall clock."""
        return self.start_ms + self.monotonic_ms()

    def monotonic_ms(self) -> int:
        """The stop-watch; before any loop runs it stands at its beginning."""
        try:
            return round(asyncio.get_running_loop().time() * 1000)
        except RuntimeError:
            return 0


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop with virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
