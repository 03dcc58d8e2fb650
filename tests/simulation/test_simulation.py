"""Hundreds of seeds: whatever befalls workers, network and broker, what comes out is what the plain loop gives."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Final, get_args

import pytest

from streams.memory.sink import MemorySink
from tests.simulation.broken import CarelessSink, HastySink, NamelessSink, worker_with
from tests.simulation.plan import CALLS, STEPS, StepTrouble, TimedTrouble
from tests.simulation.simulation import Result, simulate

SEEDS: Final = 300
AT_ONCE: Final = 10
"""Seeds of one test: a failure names its own, and the report stays readable."""
STRIKES_MIN: Final = 40
"""In all seeds together, of each kind; 80 and more were seen. Fewer means that the schedule has lost its bite."""
STRIKES_AT_STEP_MIN: Final = 2
EXAMPLES_SEEDS_MIN: Final = 250
"""Seeds in which examples mature."""
WEIGHING_MIN: Final = 60
"""Seeds whose alerts name several scorecards; 39 of the first 60 that may publish any were seen."""
AMID_DEADLINES_MIN: Final = 70
"""Seeds in which a task commits amid deadlines; 23 of the first 60 were seen."""
SWITCHING_MIN: Final = 75
"""Seeds whose alerts were judged by several policies; four in five of those that publish any were seen."""


@cache
def simulated(seed: int) -> Result:
    """A seed's result, run once."""
    return simulate(seed)


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_trouble_changes_nothing(first: int) -> None:
    """Nothing missing, nothing twice, equal states and positions, after any trouble that a seed draws."""
    failed = [
        f"python -m tests.simulation --seed {seed} --trace: {'; '.join(simulated(seed).failures)}"
        for seed in range(first, first + AT_ONCE)
        if simulated(seed).failures
    ]

    assert not failed, "\n".join(failed)


def test_every_kind_of_trouble_strikes() -> None:
    """A simulation that injects nothing proves nothing: over all seeds each kind has struck often, at every step."""
    fired, at_steps = Counter[str](), Counter[str]()
    for seed in range(SEEDS):
        fired.update(simulated(seed).fired)
        at_steps.update(simulated(seed).fired_at_steps)
    kinds: tuple[str, ...] = (*get_args(StepTrouble), *get_args(TimedTrouble))
    crashes = [f"crash {when} {step}" for when in ("before", "after") for step in STEPS]
    lost = [f"{what} lost {step}" for what in ("request", "answer") for step in CALLS]

    assert [kind for kind in kinds if fired[kind] < STRIKES_MIN] == []
    assert [place for place in (*crashes, *lost) if at_steps[place] < STRIKES_AT_STEP_MIN] == []
    assert fired["fenced"] >= 10
    assert fired["transaction timed out"] >= 10


def test_tasks_commit_amid_deadlines() -> None:
    """Of the seeds that pass few at once, most: whatever strikes, somebody goes on where the last transaction left off."""
    committing = [seed for seed in range(SEEDS) if simulated(seed).amid_deadlines]

    assert len(committing) >= AMID_DEADLINES_MIN


def test_policies_change_amid_the_work() -> None:
    """Of the seeds that publish any, most have alerts by several policies; without a change there is one."""
    publishing = [seed for seed in range(SEEDS) if simulated(seed).plan.publishings]
    switching = [seed for seed in range(SEEDS) if simulated(seed).policies > 1]

    assert len(publishing) == SEEDS // 2
    assert set(switching) <= set(publishing)
    assert len(switching) >= SWITCHING_MIN


def test_scorecards_change_amid_the_work() -> None:
    """Likewise: of the seeds that publish any, most have alerts by several of them."""
    switching = [seed for seed in range(SEEDS) if simulated(seed).cards > 1]

    assert all(simulated(seed).plan.cards for seed in switching)
    assert len(switching) >= WEIGHING_MIN


def test_examples_mature_amid_the_work() -> None:
    """Borrowers are observed and their examples mature in most seeds; which they are is held against the oracle as alerts are."""
    with_examples = [seed for seed in range(SEEDS) if simulated(seed).examples > 0]

    assert len(with_examples) >= EXAMPLES_SEEDS_MIN


def test_a_seed_is_the_same_every_time() -> None:
    """What a failing seed shows, it shows again: even the instants agree."""
    for seed in (1, 3, 5):
        assert simulate(seed).trace == simulate(seed).trace


def test_without_trouble_nobody_falls() -> None:
    """In calm weather workers start once, end in good order, and all is well."""
    for seed in range(6):
        result = simulate(seed, trouble=False)

        assert result.failures == []
        assert result.alerts > 10
        assert result.fired == {}
        assert not [line for line in result.trace if "ended:" in line]


@pytest.mark.parametrize("sink_type", [HastySink, CarelessSink, NamelessSink])
def test_a_broken_worker_is_found(sink_type: type[MemorySink]) -> None:
    """Who commits before all is acknowledged, or offsets apart, or under a name of his own, is found within some seeds."""
    make_pipeline = worker_with(sink_type)

    assert any(simulate(seed, make_pipeline=make_pipeline).failures for seed in range(SEEDS // 3))
