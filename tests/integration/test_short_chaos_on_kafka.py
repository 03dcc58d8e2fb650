"""A short run of the chaos of `tests/chaos`: ten kills and a zombie in one installation, and nothing is missing or doubled."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Final

import pytest

from streams.clock import SystemClock
from streams.kafka.local import Broker
from tests.chaos.book import PARTITIONS, BookShape
from tests.chaos.cycle import play
from tests.chaos.faults import Fault, freeze_worker
from tests.chaos.feeder import Pace
from tests.chaos.scene import Scene

pytestmark = pytest.mark.kafka

KILLS: Final = 10
SEED: Final = 2024
SESSION_MS: Final = 6_000 if os.environ.get("FOREWARN_BROKER") else 3_000
"""Before it ends nobody knows of a kill. A broker with Kafka's own settings allows no shorter one than 6 s; ours does."""


def ten_kills_and_a_zombie(scene: Scene) -> None:
    """Kill -9 now one worker, now the other, each time amid the work, then freeze one past its session."""
    scene.start_feeding()
    for number in range(KILLS):
        scene.pause(0.1, 0.8)
        scene.crew.kill(number % 2)
        scene.crew.wait_until_shared_out(PARTITIONS)
        scene.note(f"kill {number + 1}")
    freeze_worker(scene)
    scene.note("zombie gone")
    scene.wait_until_fed()


def test_ten_kills_and_a_zombie_lose_and_double_nothing(broker: Broker, tmp_path: Path) -> None:
    """Alerts, chain, dead letters, states and positions are those of a plain loop over the log."""
    fault = Fault(
        name="ten kills and a zombie",
        says="",
        strike=ten_kills_and_a_zombie,
        feeds_itself=True,
        book=BookShape(borrowers=220),
        pace=Pace(per_second=160),
        settings={"session_timeout_ms": SESSION_MS, "heartbeat_interval_ms": 500},
    )
    scene = Scene(
        broker.bootstrap_servers, tmp_path, SystemClock(), random.Random(SEED), changes=fault.settings
    )
    try:
        verdict = play(scene, fault)
    finally:
        scene.close()

    assert verdict.differences.told == []
    assert [*scene.problems, *scene.crew.problems] == []
    assert scene.crew.restarts >= KILLS + 1
    assert verdict.alerts > 200
