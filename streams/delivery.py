"""Webhooks as a service of the Faust app, beside the pipeline: `streams/webhooks/loop.py` is the loop, one for each endpoint.

A service with consumers of its own and no agent, as learning is (`decisions/0008-the-trainer-is-a-service.md`): Faust's agents
read what is not committed yet, share one group, and one that waits for an endpoint would hold up all others.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from mode import Service

from streams.clock import SystemClock
from streams.kafka.ports import KafkaPorts
from streams.metrics import Metrics
from streams.settings import Settings
from streams.webhooks.endpoints import Endpoint, load_endpoints
from streams.webhooks.loop import WebhookLoop, webhook_inputs, webhook_settings
from streams.webhooks.sender import HttpSender


class DeliveryService(Service):
    """Delivers alerts to the endpoints of `webhooks_file`. Its failure is the process's failure: silence would pass for peace."""

    def __init__(self, settings: Settings, metrics: Metrics, **options: Any) -> None:
        """The loops themselves are made when the app's loop runs."""
        super().__init__(**options)
        self.failure: BaseException | None = None
        self._settings = settings
        self._metrics = metrics
        self._loops: list[WebhookLoop] = []
        self._runs: list[asyncio.Task[None]] = []

    async def on_start(self) -> None:
        """Begin."""
        assert self._settings.webhooks_file is not None
        self._loops = [
            build_webhook(endpoint, self._settings, self._metrics)
            for endpoint in load_endpoints(self._settings.webhooks_file)
        ]
        self._runs = [asyncio.create_task(loop.run(), name="webhooks") for loop in self._loops]
        for run in self._runs:
            self.add_future(self._watch(run))

    async def on_stop(self) -> None:
        """Let requests under way end, commit, and leave the groups."""
        for loop in self._loops:
            loop.stop()
        if self._runs:
            await asyncio.wait(self._runs)

    async def _watch(self, run: asyncio.Task[None]) -> None:
        await asyncio.wait([run])
        failure = None if run.cancelled() else run.exception()
        if failure is not None:
            self.failure = failure
            raise failure


def build_webhook(endpoint: Endpoint, settings: Settings, metrics: Metrics) -> WebhookLoop:
    """The loop of an endpoint over Kafka and HTTP."""
    own, clock = webhook_settings(settings, endpoint), SystemClock()
    ports = KafkaPorts(own, webhook_inputs(settings))
    dice = random.Random()  # noqa: S311 - jitter of retries, no secret
    return WebhookLoop(endpoint, HttpSender(endpoint, clock), ports, own, clock, metrics, dice)
