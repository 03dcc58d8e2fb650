"""A worker process with the fake engine: `python -m tests.support.worker_process name=value ...`.

Tells its assignments and its end on stdout, a line each.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from streams.clock import SystemClock
from streams.kafka.ports import KafkaPorts
from streams.metrics import PlainMetrics
from streams.pipeline import Pipeline
from streams.ports import EngineMaker, Logs
from streams.settings import Settings, load_settings
from tests.support.fake_engine import FakeEngineMaker


async def work(settings: Settings) -> None:
    """Run until the end of the input or SIGTERM."""

    async def prepare(logs: Logs) -> EngineMaker:
        return FakeEngineMaker()

    metrics = PlainMetrics()
    pipeline = Pipeline(KafkaPorts(settings), prepare, settings, SystemClock(), metrics)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, pipeline.stop)
    running = asyncio.create_task(pipeline.run())
    told: list[int] = []
    while not running.done():
        if not pipeline.opening and (tasks := sorted(pipeline.tasks)) != told:
            told = tasks
            print("tasks", *told, flush=True)
        await asyncio.wait([running], timeout=0.02)
    await running
    commits = metrics.total("commits")
    print(f"{commits} commits of {metrics.sums.get('commit_seconds', 0) / max(commits, 1):.3f} s", flush=True)


if __name__ == "__main__":
    asyncio.run(work(load_settings({}, dict(argument.split("=", 1) for argument in sys.argv[1:]))))
