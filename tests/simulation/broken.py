"""Workers that break the promise in one point each: what the simulation must find."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Final

from streams.memory.network import Network
from streams.memory.ports import MemoryPorts
from streams.memory.sink import MemorySink
from streams.pipeline import Pipeline
from streams.ports import Sink
from tests.simulation.processes import MakePipeline

_serials: Final = count()


class HastySink(MemorySink):
    """Commits without waiting for what it has sent."""

    async def flush(self) -> None:
        """Believe that all will be well."""


class CarelessSink(MemorySink):
    """Commits the offsets apart from the transaction."""

    async def send_offsets(self, offsets: Sequence[int]) -> None:
        """Tell the group at once."""
        for topic, offset in zip(self._topics, offsets, strict=True):
            self._broker.set_committed(self._settings.group_id, topic, self._task, offset)


class NamelessSink(MemorySink):
    """Has a transactional id of its own in every life, so that nobody fences it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._id = f"{self._id}-{next(_serials)}"


def worker_with(sink_type: type[MemorySink]) -> MakePipeline:
    """Workers that write through such sinks."""

    class Ports(MemoryPorts):
        def sink(self, task: int) -> Sink:
            return sink_type(self.broker, self._settings, task, self._network)

    def make(ports: MemoryPorts, *arguments: Any) -> Pipeline:
        network: Network = ports._network
        return Pipeline(Ports(ports.broker, ports._settings, network, ports.group), *arguments)

    return make
