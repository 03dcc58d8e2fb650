"""Asking for the ends of the input beside the loop."""

from __future__ import annotations

import asyncio

from streams.memory.virtual_time import VirtualClock, run_virtual
from streams.ports import PortError
from streams.probe import Ends, EndsProbe


def test_it_asks_once_an_interval_and_shows_what_came() -> None:
    """One question at a time; an answer is shown once, and kept."""

    async def main() -> tuple[list[Ends], Ends | None]:
        clock, asked, shown = VirtualClock(), 0, []

        async def ask() -> Ends:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.5)
            return [[asked]]

        probe = EndsProbe(ask, 2_000)
        for _ in range(90):
            ends = probe.look(clock.monotonic_ms())
            if ends is not None:
                shown.append(ends)
            await asyncio.sleep(0.1)
        return shown, probe.ends

    shown, kept = run_virtual(main())

    assert shown == [[[1]], [[2]], [[3]], [[4]], [[5]]]
    assert kept == [[5]]


def test_a_question_without_an_answer_is_told_and_asked_again() -> None:
    """A refusal is kept until an answer comes; that it takes long is told before its limit."""

    async def main() -> list[str | None]:
        clock, asked = VirtualClock(), 0

        async def ask() -> Ends:
            nonlocal asked
            asked += 1
            if asked == 1:
                await asyncio.sleep(5)
                raise PortError("not within 5 s")
            return [[0]]

        probe, told = EndsProbe(ask, 2_000), []
        for _ in range(8):
            probe.look(clock.monotonic_ms())
            told.append(probe.missing_answer(clock.monotonic_ms()))
            await asyncio.sleep(1)
        return told

    told = run_virtual(main())

    slow = "asked for the ends of the input, it says nothing"
    assert told == [None, None, None, slow, slow, "not within 5 s", "not within 5 s", None]
