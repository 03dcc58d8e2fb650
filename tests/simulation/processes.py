"""Worker processes under a supervisor that starts what has ended, as systemd does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from streams.clock import Clock
from streams.memory.ports import MemoryPorts, MemorySource
from streams.metrics import PlainMetrics
from streams.pipeline import Pipeline, PipelineError
from streams.ports import EngineMaker, FencedError, Logs, PortError, Ports, PositionLostError
from streams.settings import Settings
from tests.simulation.network import ProcessNetwork, Trace, Weather
from tests.simulation.plan import LASTS_MS_MAX

MakePipeline = Callable[..., Pipeline]
"""`Pipeline`, or a broken one."""


@dataclass(slots=True)
class Surroundings:
    """What every process of a simulation is given."""

    ports: MemoryPorts
    settings: Settings
    clock: Clock
    prepare: Callable[[Logs], Awaitable[EngineMaker]]
    weather: Weather
    trace: Trace
    make_pipeline: MakePipeline = Pipeline


class UnexpectedEndError(Exception):
    """A worker ended by something that no trouble explains."""


class Process:
    """One life of a worker."""

    def __init__(self, name: str, around: Surroundings, settings: Settings) -> None:
        self.name = name
        self.network = ProcessNetwork(name, around.weather)
        self.network.on_death = self._died
        self.network.on_freeze = self.freeze
        self._around = around
        self._settings = settings
        ports: Ports = around.ports.over(self.network)

        self.pipeline = around.make_pipeline(ports, around.prepare, settings, around.clock, PlainMetrics())
        source = self.pipeline._source
        assert isinstance(source, MemorySource)
        self._source = source
        self._main: asyncio.Task[None] | None = None
        self.ended = False
        self.in_good_order = False
        """Whether it has ended as it should."""
        self._is_zombie = False
        """Expelled, and not told yet."""

    async def run(self) -> None:
        """Live until the end, whatever it is.

        Raises:
            UnexpectedEndError: an end that must not be.
        """
        trace = self._around.trace
        trace.note(f"{self.name} starts")
        self._main = asyncio.create_task(self.pipeline.run(), name=self.name)
        await asyncio.wait([self._main])
        self.ended = True
        self._lose_membership_later()
        if self.network.dead:
            trace.note(f"{self.name} is dead")
            return
        # What a process leaves running ends with it.
        self.network.on_death = lambda: None
        self.network.kill()
        if self._main.cancelled():
            raise UnexpectedEndError(f"{self.name}: the pipeline was cancelled, and not by its death")
        error = self._main.exception()
        if error is None:
            self.in_good_order = True
            trace.note(f"{self.name} ended in good order")
            return
        trace.note(f"{self.name} ended: {type(error).__name__}: {error}")
        cause = error.__cause__ if isinstance(error, PipelineError) else error
        if isinstance(cause, FencedError):
            trace.fired["fenced"] += 1
        if isinstance(error, PipelineError) and "stood still" in str(error):
            trace.fired["stood still"] += 1
        elif isinstance(cause, PositionLostError) and self._is_zombie:
            trace.fired["zombie left behind"] += 1
        elif not isinstance(cause, PortError) or isinstance(cause, PositionLostError):
            raise UnexpectedEndError(f"{self.name}: {error!r}") from error

    def kill(self) -> None:
        """SIGKILL."""
        self.network.kill()

    def stop(self) -> None:
        """SIGTERM."""
        self.pipeline.stop()

    def freeze(self, for_ms: int) -> None:
        """SIGSTOP, and SIGCONT after a while: longer than the session, and the group has gone on without it."""
        if self.ended:
            return
        self.network.freeze()
        session_ms = self._settings.session_timeout_ms
        if for_ms > session_ms:
            _later(session_ms, self._expel, "while it stood still")
        _later(for_ms, self.thaw)

    def expel(self, learns_after_ms: int) -> None:
        """The group takes it for dead although it works on; it learns of that later."""
        self._expel("although it works")
        _later(learns_after_ms, self.learn)

    def learn(self) -> None:
        """A heartbeat is answered: no member any more. The client then hands over and joins anew."""
        can_learn = not (self.ended or self.network.dead or self.network.frozen)
        if can_learn and self._is_zombie:
            self._around.trace.note(f"{self.name} learns that it is no member any more")
            self._is_zombie = False
            self._learning = asyncio.create_task(self._source.rejoin())

    def thaw(self) -> None:
        """SIGCONT."""
        if self.network.frozen and not self.network.dead:
            self._around.trace.note(f"{self.name} goes on")
            self.network.thaw()
            _later(self._around.weather.pick_ms(self._settings.heartbeat_interval_ms), self.learn)

    def _expel(self, why: str) -> None:
        if self._around.ports.group.holds(self._source):
            self._around.trace.note(f"{self.name} is expelled from the group {why}")
            self._around.ports.group.expel(self._source)
            self._is_zombie = True

    def _died(self) -> None:
        if self._main is not None:
            self._main.cancel()

    def _lose_membership_later(self) -> None:
        """Its session ends, and that of a membership that is still on its way to the broker."""
        for on_its_way_ms in (0, LASTS_MS_MAX):
            _later(
                on_its_way_ms + self._settings.session_timeout_ms, self._expel, "at the end of its session"
            )


class Worker:
    """One place in the supervisor's table: whatever ends there is started again, until it is retired."""

    def __init__(self, number: int, around: Surroundings, settings: Settings) -> None:
        self.number = number
        self.process: Process | None = None
        self._lives = 0
        self._around = around
        self._settings = settings
        self._retired = False
        self.running = asyncio.create_task(self._run(), name=f"supervisor of worker {number}")

    async def _run(self) -> None:
        while not self._retired:
            self._lives += 1
            self.process = Process(f"worker {self.number}.{self._lives}", self._around, self._settings)
            await self.process.run()
            if not self._retired:
                await asyncio.sleep((20 + self._around.weather.pick_ms(200)) / 1000)

    def retire(self) -> None:
        """SIGTERM, and no further life."""
        self._retired = True
        if self.process is not None:
            self.process.stop()


def _later(delay_ms: float, call: Callable[..., object], *arguments: object) -> None:
    asyncio.get_running_loop().call_later(delay_ms / 1000, call, *arguments)
