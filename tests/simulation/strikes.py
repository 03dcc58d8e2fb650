"""The trouble that comes at its instant, whatever anybody is doing, and the healing of everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

from streams.memory.broker import MemoryBroker
from streams.memory.virtual_time import VirtualClock
from streams.topics import TopicNames
from tests.simulation.plan import AtTime
from tests.simulation.processes import Process, Surroundings, Worker

_HOUR_MS: Final = 3_600_000
_MARKERS_MS: Final = (0, 5, 60, 300)
"""While markers are late: how late each."""
_OFFSETS_MS: Final = (0, 20, 400, 900)
"""While offsets are late: below the patience of the witnesses."""


class Strikes:
    """Everything that a plan has for the whole installation."""

    def __init__(
        self,
        around: Surroundings,
        broker: MemoryBroker,
        clock: VirtualClock,
        workers: list[Worker],
        dice: Random,
    ) -> None:
        self.guests: list[Worker] = []
        """Workers that came for a while."""
        self._around = around
        self._broker = broker
        self._clock = clock
        self._workers = workers
        self._dice = dice

    def schedule(self, troubles: Iterable[AtTime]) -> None:
        """Let each come at its time."""
        for trouble in troubles:
            _later(trouble.at_ms, self._strike, trouble)

    def heal(self) -> None:
        """End all trouble: the broker is there and prompt, who stood still goes on, who is a zombie learns of it."""
        self._around.trace.note("--- everything heals")
        self._around.weather.heal()
        self._be_prompt()
        for worker in (*self._workers, *self.guests):
            if worker.process is not None:
                worker.process.thaw()
                worker.process.learn()

    def _strike(self, trouble: AtTime) -> None:
        if trouble.kind in ("kill", "stop", "freeze", "expel"):
            self._strike_worker(trouble, self._workers[trouble.worker])
        else:
            self._around.trace.fire(trouble.kind, f"for {trouble.for_ms} ms")
            self._strike_installation(trouble)

    def _strike_worker(self, trouble: AtTime, worker: Worker) -> None:
        process: Process | None = worker.process
        if process is None or process.ended:
            self._around.trace.note(f"{trouble.kind}: worker {worker.number} is not there")
            return
        self._around.trace.fire(trouble.kind, f"{process.name} for {trouble.for_ms} ms")
        match trouble.kind:
            case "kill":
                process.kill()
            case "stop":
                process.stop()
            case "freeze":
                process.freeze(trouble.for_ms)
            case "expel":
                process.expel(trouble.for_ms)

    def _strike_installation(self, trouble: AtTime) -> None:
        match trouble.kind:
            case "join":
                guest = Worker(10 + len(self.guests), self._around, self._around.settings)
                self.guests.append(guest)
                _later(trouble.for_ms, guest.retire)
            case "broker away":
                self._around.weather.go_away(trouble.for_ms)
            case "late markers":
                self._broker.marker_delay_ms = lambda: self._dice.choice(_MARKERS_MS)
                _later(trouble.for_ms, self._be_prompt)
            case "late offsets":
                self._broker.offsets_delay_ms = lambda: self._dice.choice(_OFFSETS_MS)
                _later(trouble.for_ms, self._be_prompt)
            case "compact":
                self._compact()
            case "clock":
                self._clock.start_ms += self._dice.choice((-_HOUR_MS, _HOUR_MS))

    def _be_prompt(self) -> None:
        self._broker.marker_delay_ms = self._broker.offsets_delay_ms = lambda: 0

    def _compact(self) -> None:
        """Compact the changelog, and delete of the inputs what is consumed."""
        settings = self._around.settings
        names = TopicNames(settings.topic_prefix)
        for partition in range(settings.partitions):
            self._broker.log(names.state, partition).compact()
            self._broker.log(names.borrower_risk, partition).compact()
            for topic in names.inputs:
                consumed = self._broker.committed(settings.group_id, topic, partition)
                if consumed is not None:
                    self._broker.log(topic, partition).delete_before(consumed)


def _later(delay_ms: float, call: Callable[..., None], *arguments: object) -> None:
    asyncio.get_running_loop().call_later(delay_ms / 1000, call, *arguments)
