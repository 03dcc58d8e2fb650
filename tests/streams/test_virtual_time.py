"""Time that only passes when everybody waits."""

from __future__ import annotations

import asyncio

import pytest

from streams.memory.virtual_time import START_MS, NothingWillHappenError, VirtualClock, run_virtual


def test_a_day_passes_at_once() -> None:
    """Sleeping moves both clocks by what was slept."""

    async def main() -> tuple[int, int]:
        clock = VirtualClock()
        await asyncio.sleep(86_400)
        return clock.now_ms() - START_MS, clock.monotonic_ms()

    assert run_virtual(main()) == (86_400_000, 86_400_000)


def test_timers_fire_in_their_order() -> None:
    """Whoever sleeps less wakes first, however they were started."""

    async def main() -> list[int]:
        woken: list[int] = []

        async def sleeper(seconds: int) -> None:
            await asyncio.sleep(seconds)
            woken.append(seconds)

        await asyncio.gather(*(sleeper(seconds) for seconds in (3, 1, 2)))
        return woken

    assert run_virtual(main()) == [1, 2, 3]


def test_limits_hold_in_virtual_time() -> None:
    """A time limit passes as any other time."""

    async def main() -> None:
        async with asyncio.timeout(30):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        run_virtual(main())


def test_a_deadlock_is_found_at_once() -> None:
    """When everybody waits and nobody for a time, the run ends instead of hanging."""

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingWillHappenError):
        run_virtual(main())
