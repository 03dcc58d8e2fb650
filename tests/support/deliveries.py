"""Alerts on the memory broker, and loops that deliver them: to whatever takes the place of an endpoint."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from models.alerts import Alert
from streams.clock import Clock
from streams.memory.broker import MemoryBroker
from streams.memory.network import DirectNetwork, Network
from streams.memory.ports import MemoryPorts
from streams.metrics import PlainMetrics
from streams.outputs import alert_record
from streams.partitioner import partition_of
from streams.ports import RawRecord
from streams.settings import Settings
from streams.topics import TopicNames, topic_specs
from streams.webhooks.endpoints import Endpoint
from streams.webhooks.loop import WebhookLoop, webhook_inputs, webhook_settings
from streams.webhooks.sender import Attempt, Sender
from tests.support import alert_samples

SETTINGS: Final = Settings(partitions=2, webhooks_file="webhooks.toml")
NAMES: Final = TopicNames(SETTINGS.topic_prefix)
DELIVERED: Final = Attempt("delivered", "status 200")
REPLACED: Final = ("revision", "borrower_id", "status", "severity")


def alert(borrower_id: str, revision: int = 1, **changes: Any) -> Alert:
    """A revision of the one alert of a borrower."""
    some = alert_samples.alerts()[0]
    alert_id = sha256(borrower_id.encode()).hexdigest()[:32]
    return msgspec.structs.replace(
        some, alert_id=alert_id, borrower_id=borrower_id, revision=revision, **changes
    )


def message_id(one: Alert) -> str:
    """As it is sent."""
    return f"{one.alert_id}.{one.revision}"


def revisions(borrowers: int, each: int) -> list[Alert]:
    """Of so many borrowers, in turn."""
    return [alert(f"b-{number}", turn) for turn in range(1, each + 1) for number in range(borrowers)]


def endpoint(**changes: Any) -> Endpoint:
    """One that hears of everything that the topic holds."""
    plain = Endpoint(name="desk", url="http://localhost:1/", secret_file="nowhere", begin="start")
    return msgspec.structs.replace(plain, **changes)


class FakeReceiver:
    """Answers as told, and remembers who was sent when; `answers` of a message come in turn, the last one for ever."""

    def __init__(self, clock: Clock, answers: Callable[[str, int], Attempt] | None = None) -> None:
        self.heard: list[tuple[int, str]] = []
        """(stop-watch, message id), as requests arrive."""
        self.at_once = 0
        """The most requests that were under way together."""
        self.seconds = 0.01
        """Until it answers."""
        self.stays_silent: Callable[[str], bool] = lambda _: False
        """Requests that are never answered."""
        self._clock = clock
        self._answers = answers or (lambda *_: DELIVERED)
        self._times: dict[str, int] = {}
        self._under_way = 0

    @property
    def messages(self) -> list[str]:
        """As they arrived."""
        return [message for _, message in self.heard]

    async def start(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    async def send(self, message_id: str, body: bytes) -> Attempt:
        """Take a request."""
        assert msgspec.json.decode(body)["alert_id"] in message_id
        self._under_way += 1
        self.at_once = max(self.at_once, self._under_way)
        try:
            self.heard.append((self._clock.monotonic_ms(), message_id))
            self._times[message_id] = number = self._times.get(message_id, 0) + 1
            await asyncio.sleep(10**9 if self.stays_silent(message_id) else self.seconds)
        finally:
            self._under_way -= 1
        return self._answers(message_id, number)


class PostOffice:
    """The alerts' topic in memory, and any number of loops that read it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.broker = MemoryBroker(clock)
        for spec in topic_specs(SETTINGS):
            self.broker.create_topic(spec.name, spec.partitions)
        self.metrics = PlainMetrics()
        self._ports: dict[str, MemoryPorts] = {}

    def publish(self, alerts: Sequence[Alert]) -> None:
        """As workers do, but that each is committed at once."""
        for one in alerts:
            record = alert_record(one, b"/alerts")
            self.write(record.key or b"", record.value, one.borrower_id)

    def write(self, key: bytes, value: bytes | None, borrower_id: str) -> None:
        """Any bytes."""
        partition = partition_of(borrower_id.encode(), SETTINGS.partitions)
        self.broker.produce(NAMES.alerts, partition, key, value)

    def loop(self, to: Endpoint, sender: Sender, network: Network | None = None) -> WebhookLoop:
        """A worker's loop for an endpoint; all of one endpoint are one group."""
        own = webhook_settings(SETTINGS, to)
        if to.name not in self._ports:
            self._ports[to.name] = MemoryPorts(self.broker, own, inputs=webhook_inputs(SETTINGS))
        ports = self._ports[to.name].over(network or DirectNetwork())
        dice = random.Random(1)
        return WebhookLoop(to, sender, ports, own, self.clock, self.metrics, dice)

    def count(self, outcome: str, name: str = "desk") -> int:
        """Messages of an endpoint that were settled this way."""
        return self.metrics.counters["webhook_messages", name, outcome]

    def letters(self) -> list[RawRecord]:
        """All dead letters."""
        return [
            record for records in self.broker.read_committed(NAMES.webhook_dead_letters) for record in records
        ]

    async def run_until(
        self, condition: Callable[[], bool], *loops: WebhookLoop, seconds: float = 86_400
    ) -> None:
        """Let loops run until something is so, and stop them in good order."""
        runs = [asyncio.create_task(loop.run()) for loop in loops]
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    for run in runs:
                        if run.done():
                            run.result()
                    await asyncio.sleep(0.05)
        finally:
            for loop in loops:
                loop.stop()
            await asyncio.gather(*runs)
