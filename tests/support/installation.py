"""An installation on the shared broker: own topics, worker processes, replays, and what comes out."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from models.alerts import Alert
from streams.kafka import admin
from streams.kafka.inspection import Inspector
from streams.kafka.local import Broker
from streams.settings import Settings, load_settings
from streams.topics import names_of
from tests.support.kafka import unique

ROOT = Path(__file__).resolve().parents[2]
_CONSUMED_WITHIN_SECONDS = 900
"""Far beyond what any of these runs takes: a hang is told as one."""


class Installation:
    """Topics under a prefix of its own, with `clock = "event"` unless told otherwise."""

    def __init__(self, broker: Broker, partitions: int, **changes: Any) -> None:
        """Make the topics. `changes` are other settings of the workers."""
        self.name = unique("equal")
        wanted = {
            "broker": broker.bootstrap_servers,
            "topic_prefix": f"{self.name}.",
            "group_id": self.name,
            "transactional_id_prefix": self.name,
            "partitions": partitions,
            "clock": "event",
            "learning": False,  # a backtest with the prior is what is compared with
            **changes,
        }
        self.settings: Settings = load_settings({}, wanted)
        self._environment = os.environ | {
            f"FOREWARN_{field.upper()}": str(value) for field, value in wanted.items()
        }
        admin.apply(self.settings.broker, self.settings)

    @contextmanager
    def command(self, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
        """A `forewarn` command as a process of its own; killed when the test is done with it."""
        with self.python("streams.cli", *arguments) as process:
            yield process

    @contextmanager
    def python(
        self, module: str, *arguments: str | Path, **changes: object
    ) -> Iterator[subprocess.Popen[str]]:
        """The same for any module that takes its settings from the environment; `changes` are more of them."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            env=self._environment
            | {f"FOREWARN_{field.upper()}": str(value) for field, value in changes.items()},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """A `forewarn` command to its end, and what it said."""
        command = [sys.executable, "-m", "streams.cli", *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_CONSUMED_WITHIN_SECONDS,
            check=False,
        )

    def under(self, prefix: str, partitions: int) -> Installation:
        """The same under another prefix, whose topics somebody else makes."""
        other = copy.copy(self)
        other.settings = msgspec.structs.replace(self.settings, topic_prefix=prefix, partitions=partitions)
        other._environment = self._environment | {
            "FOREWARN_TOPIC_PREFIX": prefix,
            "FOREWARN_PARTITIONS": str(partitions),
        }
        return other

    def replay(self, folder: Path) -> None:
        """Write a folder of events to the input topics."""
        with self.command("replay", folder, "--json") as process:
            _, said = process.communicate(timeout=_CONSUMED_WITHIN_SECONDS)
            assert process.returncode == 0, said

    def consumed(self) -> int:
        """Records whose offsets are committed."""
        with Inspector(self.settings) as inspector:
            lags = inspector.lags(names_of(self.settings).inputs, self.settings.group_id)
        return sum(lag.committed or 0 for lag in lags)

    def wait_until_consumed(self, share: float, workers: list[subprocess.Popen[str]]) -> None:
        """Wait until this share of the input is committed; a worker that ends before fails the test.

        The whole is all but the closing heartbeat of each partition, behind which the merge waits for more.
        """
        with Inspector(self.settings) as inspector:
            names = names_of(self.settings).inputs
            give_up_at = time.monotonic() + _CONSUMED_WITHIN_SECONDS
            while True:
                lags = inspector.lags(names, self.settings.group_id)
                if sum(lag.committed or 0 for lag in lags) >= share * sum(lag.end - 1 for lag in lags):
                    return
                for worker in workers:
                    assert worker.poll() is None, worker.communicate()[1]
                assert time.monotonic() < give_up_at, lags
                time.sleep(0.1)

    def alerts(self) -> list[Alert]:
        """What a `read_committed` reader finds on `alerts`."""
        decode = msgspec.json.Decoder(Alert).decode
        topic = names_of(self.settings).alerts
        with Inspector(self.settings) as inspector:
            return [
                decode(read.value)
                for read in inspector.read(topic, range(self.settings.partitions))
                if read.value is not None
            ]
