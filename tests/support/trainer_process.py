"""A trainer as a process of its own: `python -m tests.support.trainer_process name=value ...`. Tells each step on stdout."""

from __future__ import annotations

import asyncio
import signal
import sys

from streams.metrics import PlainMetrics
from streams.settings import Settings, load_settings
from streams.training import build_training


async def work(settings: Settings) -> None:
    """Learn until SIGTERM."""
    loop = build_training(settings, PlainMetrics())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, loop.stop)
    running = asyncio.create_task(loop.run())
    told = 0
    while not running.done():
        if loop.steps > told:
            told = loop.steps
            print("steps", told, flush=True)
        await asyncio.wait([running], timeout=0.005)
    await running


if __name__ == "__main__":
    asyncio.run(work(load_settings({}, dict(argument.split("=", 1) for argument in sys.argv[1:]))))
