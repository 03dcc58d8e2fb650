"""One cycle: feed, strike, heal, feed the rest, wait, stop, and hold everything against the oracle."""

from __future__ import annotations

import random
import shutil
import time
import traceback
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from models.policy import default_policy
from models.risk.scorecard import expert_prior
from models.rules import Rules
from streams.bootstrap import RiskEngineMaker
from streams.clock import Clock
from tests.chaos.book import PARTITIONS, closing_count, make_book
from tests.chaos.brokers import wait_until_healthy
from tests.chaos.faults import RATE_PER_SECOND, Fault, seconds_of, wait_for_strike
from tests.chaos.feeder import Pace
from tests.chaos.journal import Finished, Parameters
from tests.chaos.pauses import commits_of, longest_pause_ms, shown_by
from tests.chaos.proxy import ProxiedKafka
from tests.chaos.reading import CommittedWatch, Partitions, read_topics
from tests.chaos.scene import Scene
from tests.support.oracle import Differences, Outcome, differences, outcome_found, run_oracle

_HELD_BACK: Final = 0.25
"""The part of the records that is fed when all has healed."""
_COMMITTED_SECONDS: Final = 120.0
"""Until everything must be committed after the last record: a minute of time limits, and a restart or two."""
_LOOK_SECONDS: Final = 0.3


class Verdict(NamedTuple):
    """What a cycle came to."""

    events: int
    alerts: int
    differences: Differences
    pause_ms: int


def run_cycle(
    kafka: ProxiedKafka,
    fault: Fault,
    parameters: Parameters,
    number: int,
    folder: Path,
    clock: Clock,
    *,
    keep: bool = False,
) -> Finished:
    """Run one cycle to its end, whatever comes; `folder` keeps the evidence where something was wrong, or with `keep`."""
    began_ms = clock.monotonic_ms()
    folder.mkdir(parents=True)
    dice = random.Random(f"{parameters.seed}/{parameters.brokers}/{number}")
    problems: list[str] = []
    verdict = Verdict(0, 0, Differences(0, 0, 0, []), 0)
    restarts = 0
    try:
        scene = Scene(
            kafka.direct_servers,
            folder,
            clock,
            dice,
            changes=fault.settings,
            kafka=kafka,
            proxied=fault.proxied,
        )
        try:
            verdict = play(scene, fault)
        finally:
            problems += [*scene.problems, *scene.crew.problems]
            restarts = scene.crew.restarts
            scene.close()
        wait_until_healthy(kafka.cluster)
    except Exception as error:  # noqa: BLE001 - the run goes on with the next cycle, and this one has failed
        problems.append(f"{type(error).__name__}: {error}")
        (folder / "traceback").write_text(traceback.format_exc())
    found = verdict.differences
    finished = Finished(
        parameters=parameters,
        cycle=number,
        fault=fault.name,
        events=verdict.events,
        alerts=verdict.alerts,
        missing=found.missing,
        doubled=found.doubled,
        different=found.different,
        pause_ms=verdict.pause_ms,
        restarts=restarts,
        seconds=round((clock.monotonic_ms() - began_ms) / 1000, 1),
        problems=problems,
        evidence=str(folder),
    )
    if keep or not finished.passed:
        (folder / "differences").write_text("\n".join([*problems, *found.told]) + "\n")
        return finished
    shutil.rmtree(folder)
    return msgspec.structs.replace(finished, evidence=None)


def play(scene: Scene, fault: Fault) -> Verdict:
    """Everything between the topics' making and their removal."""
    scene.crew.start(*range(fault.workers))
    book = make_book(scene.dice.getrandbits(32), fault.book)
    held_back = closing_count() + int(_HELD_BACK * len(book))
    scene.prepare_feeding(book[:-held_back], fault.pace)
    scene.crew.wait_until_shared_out(PARTITIONS)
    scene.note("all tasks open")
    if not fault.feeds_itself:
        scene.start_feeding()
        wait_for_strike(scene, seconds_of(fault, len(book) - held_back))
    scene.note("strike")
    fault.strike(scene)
    scene.note("healed")
    if not fault.feeds_itself:
        scene.wait_until_fed()
    scene.feeder.feed(book[-held_back : -closing_count()], Pace(RATE_PER_SECOND))
    scene.feeder.feed(book[-closing_count() :], None)
    scene.note("all fed")
    _wait_until_committed(scene)
    scene.note("all committed")
    scene.crew.stop(*scene.crew.numbers)
    scene.note("all stopped")
    return _judge(scene, fault)


def _wait_until_committed(scene: Scene) -> None:
    """Wait until the group has committed all that it can."""
    watch = CommittedWatch(scene.settings)
    give_up_at = time.monotonic() + _COMMITTED_SECONDS
    while (left := watch.left()) != 0:
        if time.monotonic() > give_up_at:
            scene.complain(f"{left} records not committed {_COMMITTED_SECONDS:g} s after the last was fed")
            return
        time.sleep(_LOOK_SECONDS)


def _judge(scene: Scene, fault: Fault) -> Verdict:
    names = scene.names
    topics = [*names.inputs, names.alerts, names.state, names.dead_letters]
    *inputs, alerts, state, dead_letters = read_topics(scene.settings, topics, PARTITIONS)
    tasks = [[feed[number] for feed in inputs] for number in range(PARTITIONS)]
    expected = run_oracle(tasks, RiskEngineMaker(Rules(default_policy()), expert_prior()))
    (examples,) = read_topics(scene.settings, [names.training_examples], 1)
    found = outcome_found(alerts, state, dead_letters, examples)
    if fault.verify is not None:
        fault.verify(scene, _records_to_process(expected))
    return Verdict(
        events=sum(_is_event(record.value) for feed in inputs for records in feed for record in records),
        alerts=sum(map(len, expected.alerts)),
        differences=differences(expected, found),
        pause_ms=_longest_pause_ms(tasks, state),
    )


def _records_to_process(expected: Outcome) -> int:
    return sum(sum(position.offsets) for position in expected.positions.values())


def _is_event(value: bytes | None) -> bool:
    return b'"type":"heartbeat"' not in (value or b"")


def _longest_pause_ms(tasks: list[Partitions], state: Partitions) -> int:
    return max(
        longest_pause_ms(
            commits_of(state[number]), [shown_by(feed, records) for feed, records in enumerate(tasks[number])]
        )
        for number in range(len(state))
    )
