"""Everything that is made to happen, each with the sentence that says what."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from tests.chaos import brokers
from tests.chaos.book import BookShape
from tests.chaos.feeder import Pace
from tests.chaos.proxy import (
    ADD_OFFSETS_TO_TXN,
    ADD_PARTITIONS_TO_TXN,
    END_TXN,
    PRODUCE,
    TXN_OFFSET_COMMIT,
    Action,
)
from tests.chaos.scene import SESSION_MS, Scene
from tests.support.processes import wait_until

RATE_PER_SECOND: Final = 1_900.0
"""Records a second, heartbeats among them: about 1,200 events."""
HOUR_RATE_PER_SECOND: Final = 15
"""Events a second of a normal hour in the backlog: what four million borrowers of the simulator cause."""
_ENDED_SECONDS: Final = 40.0
_STRUCK_SECONDS: Final = 20.0
_ALL: Final = 1_000_000
"""Requests: more than come in any cycle."""


class Fault(Struct, frozen=True, kw_only=True):
    """One kind of trouble."""

    name: str
    says: str
    strike: Callable[[Scene], None]
    """Does it, and undoes it: when it returns, what can heal has healed."""
    verify: Callable[[Scene, int], None] | None = None
    """Looks, when all workers have stopped, at more than all cycles have in common; given the records that had to be
    processed. Complains to the scene."""
    on: tuple[int, ...] = (1, 3)
    """Clusters it applies to, by their number of brokers."""
    workers: int = 2
    proxied: bool = False
    feeds_itself: bool = False
    """Whether `strike` starts the feeding, and does not come in the middle of it."""
    book: BookShape = BookShape()
    pace: Pace | None = Pace(RATE_PER_SECOND)
    settings: Mapping[str, Any] = {}


# ---- workers -----------------------------------------------------------------------------------------------------


def _kill_workers(scene: Scene) -> None:
    for _ in range(2):
        scene.crew.kill(scene.any_worker())
        # Into the work, into the start, into a restore.
        scene.pause(0.2, 4.0)


def _terminate(scene: Scene) -> None:
    scene.crew.stop(scene.any_worker())


def _verify_no_replay(scene: Scene, records: int) -> None:
    processed = [life.processed() for life in scene.crew.lives]
    known = [count for count in processed if count is not None]
    if len(known) < len(processed):
        scene.complain(f"not every worker said how much it processed: {processed}")
    elif sum(known) != records:
        scene.complain(f"{sum(known)} records processed where the log has {records}: {processed}")


def freeze_worker(scene: Scene) -> None:
    """Let a worker sleep until others have its tasks, and wake it: it has to leave.

    One that slept with nothing uncommitted may come back as a new member instead, with tasks that it restores anew.
    """
    with scene.crew.left_alone(scene.any_worker()) as zombie:
        others = [scene.crew.life(number) for number in scene.crew.numbers]
        generation, held = zombie.assigned()
        zombie.signal(signal.SIGSTOP)
        try:
            wait_until(
                lambda: held <= set().union(*(life.assigned_after(generation) for life in others)),
                f"the frozen worker's tasks {sorted(held)} assigned elsewhere",
            )
            scene.pause(0.2, 2.0)
        finally:
            zombie.signal(signal.SIGCONT)
        try:
            wait_until(
                lambda: zombie.status is not None or bool(zombie.assigned_after(generation)),
                "end or tasks of a later generation",
                seconds=_ENDED_SECONDS,
            )
        except AssertionError:
            scene.complain(f"{zombie.name} went on after a sleep longer than its session")
            return
        if zombie.status == 0:
            scene.complain(f"{zombie.name} ended with status 0 after a sleep longer than its session")


def _scale(scene: Scene) -> None:
    scene.crew.start(1, 2, 3)
    scene.pause(4.0, 6.0)
    leaving = scene.dice.sample(scene.crew.numbers, 3)
    for number in leaving:
        scene.crew.stop(number)


def _fill_disk(scene: Scene) -> None:
    scene.crew.fill_disk()
    scene.pause(1.0, 2.0)
    scene.crew.kill(scene.any_worker())


def _verify_one_restart(scene: Scene, records: int) -> None:
    if scene.crew.restarts != 1:
        scene.complain(f"{scene.crew.restarts} restarts where one worker was killed")


# ---- brokers -----------------------------------------------------------------------------------------------------


def _kill_broker(scene: Scene) -> None:
    brokers.kill_and_restart(scene.cluster, scene.any_broker(), scene.dice.uniform(1.0, 4.0))


def _restart_brokers(scene: Scene) -> None:
    brokers.rolling_restart(scene.cluster)


def _freeze_broker(scene: Scene) -> None:
    brokers.freeze(scene.cluster, scene.any_broker(), scene.dice.uniform(4.0, 9.0))


def _move_leaders(scene: Scene) -> None:
    brokers.move_leaders(scene.cluster, [scene.names.inputs[0], scene.names.alerts, scene.names.state])


def _kill_transaction_coordinator(scene: Scene) -> None:
    transactional_id = scene.settings.transactional_id(scene.any_task())
    brokers.kill_transaction_coordinator(scene.cluster, transactional_id, scene.dice.uniform(1.0, 6.0))


def _kill_group_coordinator(scene: Scene) -> None:
    brokers.kill_group_coordinator(scene.cluster, scene.settings.group_id, scene.dice.uniform(1.0, 6.0))


def _starve_replicas(scene: Scene) -> None:
    topics = [*scene.names.inputs, scene.names.alerts, scene.names.borrower_risk, scene.names.state]
    with brokers.below_min_in_sync(scene.cluster, topics, index=scene.any_broker()):
        scene.pause(3.0, 5.0)


# ---- the wire ----------------------------------------------------------------------------------------------------


def _lose(scene: Scene, api_key: int, action: Action, *, requests: int, delay_ms: int = 0) -> None:
    """Let something befall some requests, and wait until it did."""
    faults = scene.kafka.faults
    before = faults.struck(api_key, action)
    faults.strike(api_key, action, requests=requests, delay_ms=delay_ms)
    try:
        wait_until(
            lambda: faults.struck(api_key, action) >= before + requests,
            f"{action} of {requests} requests {api_key}",
            seconds=_STRUCK_SECONDS,
        )
    finally:
        faults.spare(api_key)


def _delay_commits(scene: Scene) -> None:
    _lose(scene, END_TXN, "delay", requests=6, delay_ms=scene.dice.randrange(1_000, 4_000))


def _cut_commits(scene: Scene) -> None:
    _lose(scene, END_TXN, "cut", requests=scene.dice.randrange(1, 5))
    scene.pause(0.5, 1.5)
    _lose(scene, END_TXN, "cut", requests=1)


def _swallow_commits(scene: Scene) -> None:
    _lose(scene, END_TXN, "swallow", requests=2)
    # The client asks again after a part of the time that a commit has: now until nothing of it is left.
    scene.kafka.faults.strike(END_TXN, "swallow", requests=_ALL)
    try:
        time.sleep(scene.settings.commit_timeout_ms / 1000 + 2)
    finally:
        scene.kafka.faults.spare(END_TXN)


def _verify_restart(scene: Scene, records: int) -> None:
    if scene.crew.restarts == 0:
        scene.complain("no worker ended, though no commit was answered in time")


def _cut_any(scene: Scene) -> None:
    keys = [PRODUCE, ADD_PARTITIONS_TO_TXN, ADD_OFFSETS_TO_TXN, TXN_OFFSET_COMMIT, END_TXN]
    scene.dice.shuffle(keys)
    for key in keys:
        action: Action = "cut" if scene.dice.random() < 0.5 else "cut_before"
        _lose(scene, key, action, requests=scene.dice.randrange(1, 4))


def _part(scene: Scene) -> None:
    with scene.kafka.partitioned():
        scene.pause(SESSION_MS / 1000 + 1, SESSION_MS / 1000 + 3)


# ---- load --------------------------------------------------------------------------------------------------------


def _leave_backlog(scene: Scene) -> None:
    numbers = scene.crew.numbers
    scene.crew.stop(*numbers)
    scene.start_feeding()
    scene.wait_until_fed()
    scene.crew.start(*numbers)


def _kill_once(scene: Scene) -> None:
    scene.crew.kill(scene.any_worker())


FAULTS: Final[Sequence[Fault]] = (
    Fault(
        name="kill -9",
        says="workers are killed twice within seconds: amid the work, the start, a restore",
        strike=_kill_workers,
    ),
    Fault(
        name="SIGTERM",
        says="one of two workers is told to stop: status 0, and over all workers no record is processed twice",
        strike=_terminate,
        verify=_verify_no_replay,
    ),
    Fault(
        name="zombie",
        says="a worker sleeps past its session (SIGSTOP) and wakes (SIGCONT): it must be fenced and leave, not with 0",
        strike=freeze_worker,
    ),
    Fault(
        name="scaling 1-4-1",
        says="three workers join one, then any three of the four leave",
        strike=_scale,
        workers=1,
    ),
    Fault(
        name="disk full",
        says="no write of a worker to any file succeeds (RLIMIT_FSIZE 0), nor of one started then after a kill -9",
        strike=_fill_disk,
        verify=_verify_one_restart,
    ),
    Fault(
        name="broker kill",
        says="a broker is killed and started again after some seconds",
        strike=_kill_broker,
    ),
    Fault(
        name="rolling restart",
        says="every broker is restarted in good order, one after the other",
        strike=_restart_brokers,
    ),
    Fault(
        name="broker frozen",
        says="a broker stands still for some seconds (SIGSTOP), its connections open",
        strike=_freeze_broker,
    ),
    Fault(
        name="leader change",
        says="the leaders of an input topic, the alerts and the changelog move to other brokers",
        strike=_move_leaders,
        on=(3,),
    ),
    Fault(
        name="transaction coordinator",
        says="the broker that coordinates a task's transactions is killed, and started again",
        strike=_kill_transaction_coordinator,
        on=(3,),
    ),
    Fault(
        name="group coordinator",
        says="the broker that coordinates the group of workers is killed, and started again",
        strike=_kill_group_coordinator,
        on=(3,),
    ),
    Fault(
        name="below min.insync",
        says="for some seconds too few replicas are in sync, so that nothing is accepted",
        strike=_starve_replicas,
        on=(3,),
    ),
    Fault(
        name="commit delayed",
        says="the answers of six commits come seconds late",
        strike=_delay_commits,
        proxied=True,
    ),
    Fault(
        name="commit cut",
        says="committed by the broker, but the connection ends before the answer",
        strike=_cut_commits,
        proxied=True,
    ),
    Fault(
        name="commit swallowed",
        says="committed by the broker, but no answer comes: to two commits, then to all until the time limit ends a worker",
        strike=_swallow_commits,
        verify=_verify_restart,
        proxied=True,
        settings={"commit_timeout_ms": 4_000},
    ),
    Fault(
        name="requests cut",
        says="connections end before or behind each kind of request of a transaction",
        strike=_cut_any,
        proxied=True,
    ),
    Fault(
        name="network gone",
        says="nothing passes between workers and brokers for longer than a session",
        strike=_part,
        proxied=True,
    ),
    Fault(
        name="hot key",
        says="four events in five belong to one borrower, and a worker is killed",
        strike=_kill_once,
        book=BookShape(borrowers=110, hot_share=0.8),
    ),
    Fault(
        name="burst",
        says="ten times the rate for a while, and a worker is killed",
        strike=_kill_once,
        book=BookShape(borrowers=1_100),
        pace=Pace(RATE_PER_SECOND, burst_from=6_000, burst_records=20_000, burst_factor=10),
    ),
    Fault(
        name="hour of backlog",
        says=f"all workers are down while an hour of events comes, at {HOUR_RATE_PER_SECOND} a second",
        strike=_leave_backlog,
        feeds_itself=True,
        # 28 events a borrower in three months of this book.
        book=BookShape(borrowers=HOUR_RATE_PER_SECOND * 3_600 // 28),
        pace=None,
    ),
)


def faults_on(broker_count: int, names: Sequence[str] = ()) -> list[Fault]:
    """The faults of a cluster, all or those named, in their order.

    Raises:
        ValueError: there is no fault of that name.
    """
    unknown = set(names) - {fault.name for fault in FAULTS}
    if unknown:
        known = ", ".join(fault.name for fault in FAULTS)
        raise ValueError(f"no fault named {', '.join(sorted(unknown))}; there are: {known}")
    return [fault for fault in FAULTS if broker_count in fault.on and (not names or fault.name in names)]


def seconds_of(fault: Fault, records: int) -> float:
    """How long the paced feeding of so many records takes."""
    return 0.0 if fault.pace is None else fault.pace.seconds(records)


def wait_for_strike(scene: Scene, seconds: float) -> None:
    """Let a part of the feeding pass, as the dice will have it."""
    time.sleep(seconds * scene.dice.uniform(0.2, 0.6))
