"""Learning as a service of the Faust app, beside the pipeline: `streams/trainer.py` is the loop.

It is a service with a consumer of its own and no agent: Faust's agents read what is not committed yet, and acknowledge beside
the card, not with it (`decisions/0008-the-trainer-is-a-service.md`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from mode import Service

from models.risk.challengers import Challengers, load_river
from streams.clock import SystemClock
from streams.kafka.ports import KafkaPorts
from streams.metrics import Metrics
from streams.settings import Settings
from streams.trainer import Process, TrainingError, TrainingLoop, trainer_inputs, trainer_settings

logger = logging.getLogger(__name__)


class TrainingService(Service):
    """Learns in whichever worker has the examples' topic."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        new_challengers: Callable[[], Challengers] = Challengers,
        process: Process | None = None,
        **options: Any,
    ) -> None:
        """The loop itself is made when the app's loop runs; `process`: see there."""
        super().__init__(**options)
        self._new_challengers = new_challengers
        self._process = process
        self.failure: TrainingError | None = None
        """Why this worker learns no more; None where nothing is wrong."""
        self._settings = settings
        self._metrics = metrics
        self._training: TrainingLoop | None = None
        self._run: asyncio.Task[None] | None = None

    async def on_start(self) -> None:
        """Begin."""
        self._training = build_training(self._settings, self._metrics, self._new_challengers, self._process)
        self._run = asyncio.create_task(self._training.run(), name="training")
        self.add_future(self._watch(self._run))

    async def on_stop(self) -> None:
        """Finish the step under way and leave the group."""
        if self._training is not None and self._run is not None:
            self._training.stop()
            await asyncio.wait([self._run])

    async def _watch(self, run: asyncio.Task[None]) -> None:
        """Where learning cannot go on it ends here, and the alerts do not: the card in use goes on scoring."""
        try:
            await asyncio.shield(run)
        except TrainingError as error:
            self.failure = error
            logger.error("this worker learns no more: %s", error)  # noqa: TRY400 - the message says it all


def build_training(
    settings: Settings,
    metrics: Metrics,
    new_challengers: Callable[[], Challengers] = Challengers,
    process: Process | None = None,
) -> TrainingLoop:
    """The loop over Kafka. While River is loaded in a thread, the events in the same process flow."""
    own = trainer_settings(settings)
    ports = KafkaPorts(own, trainer_inputs(settings))
    prepare = partial(asyncio.to_thread, load_river)
    return TrainingLoop(ports, own, SystemClock(), metrics, new_challengers, process, prepare=prepare)
