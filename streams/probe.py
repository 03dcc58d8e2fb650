"""A look at the ends of all input partitions now and then, beside the loop and past the consumer.

Two things are told by it: whether a feed lives as a whole, and whether there is work that the consumer does not bring.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from streams.ports import PortError

Ends = Sequence[Sequence[int]]
"""By feed and partition: up to where there is something to read."""

_ANSWER_MS_MAX: Final = 3_000
"""An answer takes some milliseconds; what takes so long is worth telling before the question's own limit."""


class EndsProbe:
    """Asks again after every interval; one question at a time. Times are stop-watch milliseconds."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, Ends]], interval_ms: int) -> None:
        """`ask` reads the ends; it is given up with a `PortError`."""
        self.ends: Ends | None = None
        """As last seen."""
        self.ends_ms = 0
        """When they were asked for."""
        self.failure: PortError | None = None
        """Why the last question had no answer; None where it had one."""
        self._ask = ask
        self._interval_ms = interval_ms
        self._next_ms = 0
        self._asked_ms = 0
        self._asked: asyncio.Task[Ends] | None = None

    def missing_answer(self, now_ms: int) -> str | None:
        """Why there is no answer, or that it takes long; None while all is well."""
        if self.failure is not None:
            return str(self.failure)
        if self._asked is not None and now_ms - self._asked_ms >= _ANSWER_MS_MAX:
            return "asked for the ends of the input, it says nothing"
        return None

    def look(self, now_ms: int) -> Ends | None:
        """Ask where it is time to, and return the ends that have just come in, if any have."""
        if self._asked is None:
            if now_ms >= self._next_ms:
                self._next_ms = now_ms + self._interval_ms
                self._asked_ms = now_ms
                self._asked = asyncio.create_task(self._ask(), name="probe of the input's ends")
            return None
        if not self._asked.done():
            return None
        asked, self._asked = self._asked, None
        try:
            self.ends = asked.result()
            self.ends_ms = self._asked_ms
        except PortError as failure:
            self.failure = failure
            return None
        self.failure = None
        return self.ends

    async def stop(self) -> None:
        """Ask no more."""
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
