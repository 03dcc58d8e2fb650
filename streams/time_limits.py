"""Every wait for the world has a limit, and every limit a name that the error tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streams.ports import PortError


@asynccontextmanager
async def limited(timeout_ms: int, limit_name: str, what: str) -> AsyncIterator[None]:
    """Run calls within a time limit.

    Raises:
        PortError: it passed.
    """
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            yield
    except TimeoutError as error:
        raise PortError(f"{what} did not finish within {timeout_ms / 1000:g} s ({limit_name})") from error
