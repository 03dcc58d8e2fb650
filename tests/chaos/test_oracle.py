"""The oracle agrees with an undisturbed worker, and sees whatever is lost, doubled or otherwise."""

from __future__ import annotations

import msgspec
import pytest

from models.alerts import Alert
from streams.memory.virtual_time import run_virtual
from tests.support.fake_engine import FakeEngineMaker
from tests.support.house import PARTITIONS, House
from tests.support.oracle import Outcome, Position, differences, outcome_found, run_oracle


async def _undisturbed() -> House:
    house = House()
    house.load(11, 800, garbage=0.05)
    await house.worker().run()
    return house


@pytest.fixture(scope="module")
def outcomes() -> tuple[Outcome, Outcome]:
    """What must come of a log, and what came of it in an undisturbed worker."""
    house = run_virtual(_undisturbed())
    read, names = house.broker.read_committed, house.names
    inputs = [read(name) for name in names.inputs]
    tasks = [[feed[number] for feed in inputs] for number in range(PARTITIONS)]
    topics = names.alerts, names.state, names.dead_letters, names.training_examples
    found = outcome_found(*map(read, topics))
    return run_oracle(tasks, FakeEngineMaker(), until_end=True), found


def _with_alerts(found: Outcome, alerts: list[Alert]) -> Outcome:
    """The same with other alerts in the first partition."""
    return msgspec.structs.replace(found, alerts=[alerts, *found.alerts[1:]])


def test_an_undisturbed_worker_agrees(outcomes: tuple[Outcome, Outcome]) -> None:
    """Nothing missing, doubled or different, and there was something to compare."""
    expected, found = outcomes

    assert not differences(expected, found)
    assert sum(map(len, found.alerts)) > 50
    assert found.dead_letters.total() > 10
    assert len(found.states) > 10
    assert found.examples.total() > 50
    assert sorted(found.positions) == list(range(PARTITIONS))


def test_an_alert_that_is_not_there_is_missing(outcomes: tuple[Outcome, Outcome]) -> None:
    """And the chain behind it tells as well."""
    expected, found = outcomes
    seen = differences(expected, _with_alerts(found, found.alerts[0][1:]))

    assert (seen.missing, seen.doubled, seen.different) == (1, 0, 1)


def test_an_alert_that_is_there_twice_is_doubled(outcomes: tuple[Outcome, Outcome]) -> None:
    """The same revision of the same alert."""
    expected, found = outcomes
    seen = differences(expected, _with_alerts(found, [*found.alerts[0], found.alerts[0][-1]]))

    assert (seen.missing, seen.doubled, seen.different) == (0, 1, 1)


def test_another_order_is_different(outcomes: tuple[Outcome, Outcome]) -> None:
    """Two alerts in each other's place."""
    expected, found = outcomes
    first, second, *others = found.alerts[0]
    seen = differences(expected, _with_alerts(found, [second, first, *others]))

    assert (seen.missing, seen.doubled) == (0, 0)
    assert seen.different == 3


def test_only_when_an_alert_was_detected_may_differ(outcomes: tuple[Outcome, Outcome]) -> None:
    """Another instant of detection is none of anybody's business; another severity is."""
    expected, found = outcomes
    first, *others = found.alerts[0]
    later = msgspec.structs.replace(first, detected_at_ms=first.detected_at_ms + 1)
    graver = msgspec.structs.replace(first, severity="critical")

    assert not differences(expected, _with_alerts(found, [later, *others]))
    assert differences(expected, _with_alerts(found, [graver, *others])).different == 2


def test_states_dead_letters_and_positions_are_looked_at(outcomes: tuple[Outcome, Outcome]) -> None:
    """One of each lost or changed."""
    expected, found = outcomes
    letter = next(iter(found.dead_letters))
    borrower = next(iter(found.states))
    position = found.positions[0]
    moved = Position((position.offsets[0] + 1, *position.offsets[1:]), position.engine)
    more = msgspec.structs.replace(
        found, dead_letters=found.dead_letters + type(found.dead_letters)([letter])
    )
    less = msgspec.structs.replace(
        found, states={key: state for key, state in found.states.items() if key != borrower}
    )
    other = msgspec.structs.replace(found, states=found.states | {borrower: b"other"})
    elsewhere = msgspec.structs.replace(found, positions=found.positions | {0: moved})

    assert differences(expected, more).doubled == 1
    assert differences(expected, less).missing == 1
    assert differences(expected, other).different == 1
    assert differences(expected, elsewhere).different == 1
