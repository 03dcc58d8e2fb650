"""What a fault finds when it strikes: the brokers, the workers, the feeding under way, and dice of its own."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from streams.clock import Clock
from streams.kafka import admin
from streams.kafka.local import LocalKafka
from streams.kafka.removal import remove_topics
from streams.replay import PlannedRecord
from streams.settings import Settings
from streams.topics import TopicNames
from tests.chaos.book import PARTITIONS
from tests.chaos.crew import Crew
from tests.chaos.feeder import Feeder, Pace
from tests.chaos.proxy import ProxiedKafka
from tests.support.kafka import unique

SESSION_MS: Final = 6_000
HEARTBEAT_MS: Final = 1_000


class Scene:
    """One installation on the cluster, for one cycle."""

    def __init__(
        self,
        broker: str,
        folder: Path,
        clock: Clock,
        dice: random.Random,
        *,
        changes: Mapping[str, Any],
        kafka: ProxiedKafka | None = None,
        proxied: bool = False,
    ) -> None:
        """Make the topics; no worker runs yet.

        Args:
            broker: where to connect.
            folder: takes what the workers say.
            clock: the machine's.
            dice: everything that is drawn is drawn here.
            changes: the workers' settings beside those of every cycle.
            kafka: the cluster, where it may be hurt.
            proxied: whether the workers come by way of its proxies.
        """
        name = unique("chaos")
        self._kafka = kafka
        self.dice = dice
        self._timeline = folder / "timeline"
        self._clock = clock
        self._began_ms = clock.monotonic_ms()
        self.problems: list[str] = []
        self.settings = msgspec.structs.replace(
            Settings(
                broker=broker,
                topic_prefix=f"{name}.",
                group_id=name,
                transactional_id_prefix=name,
                partitions=PARTITIONS,
                clock="event",
                learning=False,  # the oracle has the prior alone
                session_timeout_ms=SESSION_MS,
                heartbeat_interval_ms=HEARTBEAT_MS,
                deadlines_at_once_max=PARTITIONS,  # a few in each turn: midnights are committed in parts, and struck amid them
            ),
            **changes,
        )
        self.names = TopicNames(self.settings.topic_prefix)
        worker = msgspec.structs.replace(
            self.settings, broker=self.kafka.bootstrap_servers if proxied else broker
        )
        self.crew = Crew(environment_of(worker), folder, clock)
        self.feeder = Feeder(broker, self.names, clock)
        self._body: tuple[list[PlannedRecord], Pace | None] = ([], None)
        admin.apply(self.settings.broker, self.settings)

    @property
    def kafka(self) -> ProxiedKafka:
        """The cluster and its proxies."""
        assert self._kafka is not None, "these brokers are not to be hurt"
        return self._kafka

    @property
    def cluster(self) -> LocalKafka:
        """The brokers."""
        return self.kafka.cluster

    @property
    def broker_count(self) -> int:
        """One or three."""
        return len(self.kafka.proxies)

    def any_broker(self) -> int:
        """One of them."""
        return self.dice.randrange(self.broker_count)

    def any_worker(self) -> int:
        """One of those that run."""
        return self.dice.choice(self.crew.numbers)

    def any_task(self) -> int:
        """One of them."""
        return self.dice.randrange(PARTITIONS)

    def pause(self, least_seconds: float, most_seconds: float) -> None:
        """Let some time pass, as the dice will have it."""
        time.sleep(self.dice.uniform(least_seconds, most_seconds))

    def prepare_feeding(self, records: list[PlannedRecord], pace: Pace | None) -> None:
        """Say what `start_feeding` feeds."""
        self._body = (records, pace)

    def start_feeding(self) -> None:
        """Begin to feed."""
        self.feeder.start(*self._body)

    def wait_until_fed(self) -> None:
        """Return when it is all in the log."""
        self.feeder.join()

    def note(self, what: str) -> None:
        """Write down that something has happened."""
        with self._timeline.open("a") as timeline:
            timeline.write(f"{(self._clock.monotonic_ms() - self._began_ms) / 1000:6.1f} s  {what}\n")

    def complain(self, problem: str) -> None:
        """Note what had to be otherwise."""
        self.problems.append(problem)

    def close(self) -> None:
        """End the feeding and the workers, and remove the topics."""
        self.feeder.close()
        self.crew.close()
        remove_topics(self.settings)


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment of a worker with these settings."""
    plain = msgspec.to_builtins(settings)
    own = {f"FOREWARN_{name.upper()}": str(value) for name, value in plain.items() if value is not None}
    return {**os.environ, **own, "PYTHONDONTWRITEBYTECODE": "1"}
