"""The way between a client and the memory broker: where calls are slow, get lost, and processes die.

Everything that the memory ports do passes here, so that one seam is enough for all the trouble that tests want to make.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

_FETCH_RECORDS_MAX: Final = 2_000
"""Records of one partition a poll: what a fetch of half a megabyte holds."""


class Network(Protocol):
    """What lies between one process and the broker."""

    async def attention(self) -> None:
        """Return when the process can react to something: never, when it is dead."""
        ...

    async def step(self, name: str) -> None:
        """Pass a step that the client takes by itself."""
        ...

    async def call(self, step: str, effect: Callable[[], T]) -> T:
        """Send a request: `effect` happens at the broker, its result or error comes back."""
        ...

    def fetch_records_max(self) -> int:
        """How many records of a partition come with the next fetch; 0 while nothing gets through."""
        ...


class DirectNetwork:
    """No distance at all: every call arrives at once and is answered at once."""

    async def attention(self) -> None:
        """Return at once."""

    async def step(self, name: str) -> None:
        """Let others run."""
        await asyncio.sleep(0)

    async def call(self, step: str, effect: Callable[[], T]) -> T:
        """Do it, and let others run."""
        answer = effect()
        await asyncio.sleep(0)
        return answer

    def fetch_records_max(self) -> int:
        """As much as a fetch holds."""
        return _FETCH_RECORDS_MAX
