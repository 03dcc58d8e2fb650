"""The common job on our own pipeline: merge, transactions, changelog as ever, with a small engine in the place of the real one."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from models.alerts import Alert
from models.engine import EngineOutput
from models.events import CreditQuery, Event, FundFlow, Heartbeat, Repayment
from models.rejects import StateReason
from streams.app import GC_THRESHOLDS
from streams.clock import SystemClock
from streams.kafka.ports import KafkaPorts
from streams.metrics import PlainMetrics
from streams.pipeline import Pipeline
from streams.ports import EngineMaker, Logs
from streams.settings import load_settings
from tests.bench.peers import job
from tests.support.fake_engine import FakeEngine, FakeEngineMaker

encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder().decode


class Told(Struct, frozen=True):
    """An output of the job, with what the pipeline asks of an alert beside it."""

    kind: str
    borrower_id: str
    event_id: str
    count: int
    total_minor: int
    alert_id: str
    event_time_ms: int
    revision: int = 1
    signal: str = "job"
    status: str = "opened"
    severity: str = "watch"


class JobEngine(FakeEngine):
    """Does the job, and nothing else."""

    def __init__(self, partition: int, belongs: Callable[[str], bool], *, alert_every: int = 5) -> None:
        super().__init__(partition, belongs, alert_every=alert_every)
        self._pictures: dict[str, job.Picture] = {}
        self._told: list[Told] = []

    def process(self, event: Event, feed: int, offset: int) -> StateReason | None:
        self._offsets[feed] = offset
        if isinstance(event, Heartbeat):
            self.watermarks_ms[feed] = max(self.watermarks_ms[feed], event.event_time_ms)
            return None
        if not isinstance(event, Repayment | FundFlow | CreditQuery):
            return None
        borrower_id = event.borrower_id
        picture = self._pictures.get(borrower_id)
        if picture is None:
            if borrower_id not in self.states and not self._belongs(borrower_id):
                return "wrong-partition"
            record = self.states.pop(borrower_id, None)
            picture = self._pictures[borrower_id] = job.new_picture() if record is None else decode(record)
        if isinstance(event, Repayment):
            kind, told = "repayments", job.repaid(picture, event.amount_minor)
        elif isinstance(event, FundFlow):
            kind, told = "flows", job.flowed(picture, event.amount_minor)
        else:
            kind, told = "institutions", job.queried(picture, event.institution_id, event.event_time_ms)
        self._changed.add(borrower_id)
        if told is not None:
            self._told.append(
                Told(kind, borrower_id, event.event_id, *told, event.event_id, event.event_time_ms)
            )
        return None

    def take_output(self, detected_at_ms: int) -> EngineOutput:
        changed: dict[str, bytes | None] = {name: encode(self._pictures[name]) for name in self._changed}
        self._changed.clear()
        told, self._told = self._told, []
        return EngineOutput(alerts=cast("list[Alert]", told), changed=changed, risks={})

    @property
    def borrower_count(self) -> int:
        return len(self.states) + len(self._pictures)


class JobEngineMaker(FakeEngineMaker):
    """Makes them."""

    kind = JobEngine


async def main() -> None:
    """Run until the end of the process."""
    settings: Any = load_settings(os.environ)

    async def prepare(logs: Logs) -> EngineMaker:
        return JobEngineMaker()

    gc.set_threshold(*GC_THRESHOLDS)
    await Pipeline(KafkaPorts(settings), prepare, settings, SystemClock(), PlainMetrics()).run()


asyncio.run(main())
