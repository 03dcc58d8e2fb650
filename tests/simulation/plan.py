"""What a seed draws before anything runs: the installation, and a schedule of trouble for it."""

from __future__ import annotations

import math
from random import Random
from typing import Any, Final, Literal, NamedTuple, get_args

from msgspec import Struct

StepTrouble = Literal[
    "crash before", "crash after", "slow", "request lost", "answer lost", "send refused", "frozen"
]
"""What befalls one step of one process. `frozen` is a SIGSTOP that finds the process there, and a SIGCONT later."""
TimedTrouble = Literal[
    "kill",
    "stop",
    "join",
    "freeze",
    "expel",
    "broker away",
    "late markers",
    "late offsets",
    "compact",
    "clock",
]
"""What happens at an instant, whatever anybody is doing."""

Step = Literal[
    "connect",
    "partition_counts",
    "join",
    "open",
    "read",
    "ranges",
    "readable_ends",
    "committed",
    "poll",
    "begin",
    "send",
    "deliver",
    "flush",
    "flushed",
    "send_offsets",
    "commit",
]
STEPS: Final[tuple[Step, ...]] = get_args(Step)
CALLS: Final[tuple[Step, ...]] = ("open", "read", "committed", "deliver", "send_offsets", "commit")
"""Those whose requests and answers may get lost; of `commit` nobody knows then what became of it."""

_OCCURRENCES: Final[dict[Step, int]] = {
    "connect": 4,
    "partition_counts": 4,
    "join": 4,
    "open": 12,
    "read": 12,
    "ranges": 12,
    "readable_ends": 6,
    "committed": 12,
    "poll": 200,
}
_OCCURRENCES_OF_A_COMMIT: Final = 60
"""How often a step is taken, about: trouble is drawn for one of these times, early ones more often."""

_SEEDS_WITH_POLICIES: Final = (0, 2, 4)
LASTS_MS_MAX: Final = 1_800
"""The longest that any trouble lasts."""
PRODUCING_MS: Final = 2_000
HEALED_AT_MS: Final = 3_500
"""From here on nothing goes wrong any more."""
_PUBLISHED_BY_MS: Final = 2_500
"""Policies are published while most of the input is written and worked through."""
_LIVED_DAYS: Final = 170
"""About as many as the lives last."""

SETTINGS: Final[dict[str, Any]] = {
    "session_timeout_ms": 900,
    "heartbeat_interval_ms": 300,
    "rebalance_timeout_ms": 2_000,
    "handover_timeout_ms": 600,
    "producer_start_timeout_ms": 2_500,
    "transaction_timeout_ms": 1_500,
    "start_timeout_ms": 1_000,
    "begin_timeout_ms": 500,
    "send_timeout_ms": 800,
    "offsets_timeout_ms": 800,
    "commit_timeout_ms": 800,
    "abort_timeout_ms": 300,
    "producer_stop_timeout_ms": 300,
    "source_stop_timeout_ms": 500,
    "restore_stall_timeout_ms": 2_000,
    "offsets_query_timeout_ms": 800,
    "witness_timeout_ms": 2_000,
    "producer_batch_bytes_max": 16 * 1024,
}
"""All limits a tenth or so of what they are in earnest, in the same order of size: virtual time is cheap, turns are not."""


class AtStep(NamedTuple):
    """Trouble at the n-th time that any process takes a step."""

    kind: StepTrouble
    step: Step
    occurrence: int
    for_ms: int


class AtTime(NamedTuple):
    """Trouble at an instant of virtual time, for a while where it lasts."""

    kind: TimedTrouble
    at_ms: int
    worker: int
    for_ms: int


PolicyName = Literal["default", "stricter", "looser"]


class Publishing(NamedTuple):
    """A policy published at an instant of virtual time; what cannot be used is to be refused."""

    at_ms: int
    policy: PolicyName | Literal["unusable"]
    from_day: int | None
    """Of the lives, from which on it judges; None: since ever, which comes to: from now on."""


CardName = Literal["prior", "alarmed", "broad"]


class CardPublishing(NamedTuple):
    """A scorecard published likewise."""

    at_ms: int
    card: CardName | Literal["unusable"]
    from_day: int | None


class Plan(Struct, frozen=True, kw_only=True):
    """A seed, spelled out."""

    seed: int
    clock: Literal["event", "wall"]
    workers: int
    partitions: int
    settings: dict[str, Any]
    latency_ms: tuple[int, int]
    """A call takes between so long and so long, each way."""
    fetches: tuple[int, ...]
    """Records that come with a fetch, drawn each time."""
    at_steps: tuple[AtStep, ...]
    at_times: tuple[AtTime, ...]
    publishings: tuple[Publishing, ...]
    """In half of the seeds; none where records come by their arrival."""
    cards: tuple[CardPublishing, ...]
    """In most of the seeds that have policies published."""


def draw_plan(seed: int, *, trouble: bool = True) -> Plan:
    """Draw everything but the workload."""
    dice = Random(f"plan {seed}")
    workers = dice.choice((1, 2, 2, 3, 4))
    return Plan(
        seed=seed,
        clock="wall" if seed % 6 == 5 else "event",
        workers=workers,
        partitions=dice.choice((2, 3, 4)),
        settings=SETTINGS
        | _small_settings(dice)
        | {"deadlines_at_once_max": Random(f"deadlines {seed}").choice((2, 1_000))},
        latency_ms=dice.choice(((0, 0), (1, 3), (2, 25), (10, 60))),
        fetches=dice.choice(((2_000,), (0, 1, 7, 40), (3, 100))),
        at_steps=tuple(_at_step(dice) for _ in range(dice.randint(2, 9))) if trouble else (),
        at_times=tuple(_at_time(dice, workers) for _ in range(dice.randint(1, 7))) if trouble else (),
        publishings=_publishings(Random(f"policies {seed}")) if seed % 6 in _SEEDS_WITH_POLICIES else (),
        cards=_cards(Random(f"cards {seed}")) if seed % 6 in _SEEDS_WITH_POLICIES else (),
    )


def _small_settings(dice: Random) -> dict[str, Any]:
    """Small enough that a few hundred events take many turns and transactions."""
    return {
        "turn_events_max": dice.choice((1, 5, 40)),
        "commit_events_max": dice.choice((5, 20, 80)),
        "commit_interval_ms": dice.choice((1, 20, 60)),
        "backlog_commit_interval_ms": dice.choice((1, 200)),
        "backlog_records_min": dice.choice((10, 5_000)),
        "commits_per_second_max": dice.choice((40.0, 10_000.0)),
        "commit_refused_bytes_max": dice.choice((100, 8 * 1024 * 1024)),
        "merge_buffer_records_max": dice.choice((30, 20_000)),
        "merge_buffer_batches_max": dice.choice((2, 8)),
        "restores_at_once_max": dice.choice((1, 2)),
        "policy_poll_interval_ms": 50,
    }


def _publishings(dice: Random) -> tuple[Publishing, ...]:
    """One to three, one of them maybe no good; what follows a policy is often the one before it: a way back."""
    found: list[Publishing] = []
    names: list[PolicyName] = ["default"]
    for at_ms in sorted(dice.randrange(_PUBLISHED_BY_MS) for _ in range(dice.randint(1, 3))):
        from_day = dice.choice((None, dice.randrange(_LIVED_DAYS)))
        if dice.random() < 0.15:
            found.append(Publishing(at_ms, "unusable", from_day))
        back = len(names) > 1 and dice.random() < 0.5
        names.append(names[-2] if back else dice.choice(("stricter", "looser")))
        found.append(Publishing(at_ms, names[-1], from_day))
    return tuple(found)


def _cards(dice: Random) -> tuple[CardPublishing, ...]:
    """None to four, each another than the one before."""
    found: list[CardPublishing] = []
    before: CardName = "prior"
    for at_ms in sorted(dice.randrange(_PUBLISHED_BY_MS) for _ in range(dice.randint(0, 4))):
        from_day = dice.choice((None, dice.randrange(_LIVED_DAYS)))
        if dice.random() < 0.15:
            found.append(CardPublishing(at_ms, "unusable", from_day))
        before = dice.choice([name for name in get_args(CardName) if name != before])
        found.append(CardPublishing(at_ms, before, from_day))
    return tuple(found)


def _at_step(dice: Random) -> AtStep:
    kind: StepTrouble = dice.choice(get_args(StepTrouble))
    match kind:
        case "send refused":
            step: Step = "deliver"
        case "request lost" | "answer lost":
            step = dice.choice((*CALLS, "commit", "commit"))
        case _:
            step = dice.choice(STEPS)
    most = _OCCURRENCES.get(step, _OCCURRENCES_OF_A_COMMIT)
    occurrence = round(math.exp(dice.uniform(0, math.log(most))))
    return AtStep(kind, step, occurrence, dice.choice((30, 300, 700, 1_200, 1_600)))


def _at_time(dice: Random, workers: int) -> AtTime:
    # Zombies are the rarest that come to anything, and the worst.
    kind: TimedTrouble = dice.choice((*get_args(TimedTrouble), "expel", "freeze"))
    for_ms = {
        "broker away": dice.choice((200, 700, 1_500)),
        "freeze": dice.choice((300, 1_100, 1_800)),
        "expel": dice.choice((0, 250, 1_800)),
        "late markers": 800,
        "late offsets": 800,
        "join": dice.choice((200, 900)),
    }.get(kind, 0)
    return AtTime(kind, dice.randrange(50, HEALED_AT_MS - 300), dice.randrange(workers), for_ms)
