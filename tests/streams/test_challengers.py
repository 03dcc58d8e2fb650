"""Challengers beside the trainer: no card depends on them, they wait until the card has learnt, and what they find is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
import pytest
from click.testing import CliRunner

from models.risk.challengers import (
    CARDS,
    ChallengerLimits,
    ChallengerName,
    Challengers,
    Compared,
    Values,
    is_sampled,
)
from models.risk.examples import Example
from models.risk.learning import Foretold
from streams.cli import main
from streams.commands.model import _compared
from streams.ports import PortError
from streams.reference import ReferenceError as UnreadableError
from streams.scorecards import CHALLENGERS_KEY, cards_of, challengers_record
from tests.streams.test_trainer import BOOK, STEPS, CrashError, CrashingNetwork, School, school, undisturbed

LIMITS: Final = ChallengerLimits(sampled_one_in=2, warm_up=100, told_from=100)
DAY: Final = 600
"""Examples of one day of the book."""


class Watching:
    """Foretells the same of everybody, and lets somebody look on."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look

    def learn(self, values: Values, *, is_bad: bool) -> float:
        self._look()
        return 0.1


class Failing:
    """There is something wrong with it."""

    def learn(self, values: Values, *, is_bad: bool) -> float:
        raise ZeroDivisionError("12,345.67 owed by somebody")


def watched(
    look: Callable[[], None] = lambda: None, limits: ChallengerLimits = LIMITS
) -> Callable[[], Challengers]:
    """Challengers of which one looks on."""
    return partial(Challengers, limits, {"sampled_card": partial(Watching, look)})


def kept(new: Callable[[], Challengers]) -> tuple[list[Challengers], Callable[[], Challengers]]:
    """All that are made, to look at."""
    made: list[Challengers] = []

    def make() -> Challengers:
        made.append(new())
        return made[-1]

    return made, make


def cards_alone(own: School) -> list[tuple[bytes | None, bytes | None]]:
    """Everything written but what is told of challengers."""
    return [(key, value) for key, value in own.written() if key != CHALLENGERS_KEY]


def sampled(examples: list[Example]) -> int:
    """How many are learnt from where nothing is skipped."""
    return sum(one.outcome != "censored" and is_sampled(one, LIMITS.sampled_one_in) for one in examples)


async def idle(made: list[Challengers], running: asyncio.Task[None]) -> None:
    """Wait until the challengers have learnt from all that waited for them."""
    async with asyncio.timeout(3_600):
        while made[-1].waiting or not made[-1].learnt:
            await asyncio.wait([running], timeout=1)


async def day_by_day(own: School, made: list[Challengers]) -> None:
    """Examples come as they do in life: a day's at once, and then nothing for long."""
    trainer = own.trainer()
    running = asyncio.create_task(trainer.run())
    for start in range(0, len(BOOK), 1_000):
        await own.examine(BOOK[start : start + 1_000])
        await own.until(min(STEPS, (min(start + 1_000, len(BOOK)) - 1) // DAY), running)
        await idle(made, running)
    trainer.stop()
    await running


# ---- the card ----------------------------------------------------------------------------------------------------


def test_cards_are_the_same_with_and_without_challengers() -> None:
    """To the last byte; and how the packaged challengers stand is told beside them, and as metrics."""

    async def main(own: School) -> list[tuple[bytes | None, bytes | None]]:
        made, own.new_challengers = kept(partial(Challengers, LIMITS))
        await day_by_day(own, made)
        told = (await own.cards()).compared
        assert told is not None
        assert set(told.compared.models) == {
            *CARDS,
            "sampled_card",
            "hoeffding_adaptive_tree",
            "adaptive_random_forest",
        }
        assert 1_000 > told.compared.judged >= LIMITS.told_from
        gauges = own.metrics.gauges
        assert gauges["challenger_judged",] == told.compared.judged
        for name, figures in told.compared.models.items():
            assert gauges["challenger_auc", name] == figures.auc
            assert gauges["challenger_log_loss", name] == figures.log_loss
        assert own.metrics.counters["challenger_examples", "learnt"] == sampled(BOOK)
        return cards_alone(own)

    assert school(main) == undisturbed()


@pytest.mark.parametrize("error", [CrashError, PortError])
@pytest.mark.parametrize("arrives", [False, True])
def test_cards_are_the_same_wherever_it_dies_while_challengers_learn(
    error: type[Exception], arrives: bool
) -> None:
    """At every fourth call; challengers are offered nothing twice by one process."""
    expected = undisturbed()

    async def main(own: School, calls: int) -> bool:
        made, own.new_challengers = kept(watched())
        network = CrashingNetwork(calls, error, arrives=arrives)
        try:
            await own.examine(BOOK[:2_000])
            await own.train(3, network)
            await own.examine(BOOK[2_000:])
            await own.train(STEPS, network)
        except CrashError:
            if own.examined < len(BOOK):
                await own.examine(BOOK[own.examined :])
            await own.train(STEPS)
        assert cards_alone(own) == expected, calls
        for challengers in made:
            assert challengers.learnt + challengers.waiting <= sampled(BOOK)
        return network.struck

    calls = 0
    while school(partial(main, calls=calls)):
        calls += 4
    assert calls > STEPS * 3


def test_challengers_wait_until_the_card_has_learnt() -> None:
    """While examples are left to learn from, no challenger is given one; more than may wait are skipped and counted."""
    seen: list[int] = []

    async def main(own: School) -> None:
        limits = msgspec.structs.replace(LIMITS, waiting_max=300)
        made, own.new_challengers = kept(watched(lambda: seen.append(own.metrics.total("examples")), limits))
        await own.examine(BOOK)
        trainer = own.trainer()
        running = asyncio.create_task(trainer.run())
        await own.until(STEPS, running)
        await idle(made, running)
        trainer.stop()
        await running
        counters = own.metrics.counters
        assert counters["challenger_examples", "skipped"] == sampled(BOOK) - 300
        assert counters["challenger_examples", "learnt"] == 300

    school(main)
    assert set(seen) == {len(BOOK)}


def test_challengers_wait_while_the_worker_is_behind() -> None:
    """The card learns meanwhile; when the backlog is gone, they learn from what waited."""

    async def main(own: School) -> None:
        made, own.new_challengers = kept(watched())
        own.process.is_behind = True
        await own.examine(BOOK[:1_000])
        trainer = own.trainer()
        running = asyncio.create_task(trainer.run())
        await own.until(1, running)
        await asyncio.sleep(3_600)
        assert (made[-1].learnt, made[-1].waiting) == (0, sampled(BOOK[:1_000]))
        own.process.is_behind = False
        await idle(made, running)
        assert made[-1].learnt == sampled(BOOK[:1_000])
        trainer.stop()
        await running

    school(main)


def test_a_challenger_that_fails_stops_no_learning(caplog: pytest.LogCaptureFixture) -> None:
    """It is counted and told once, without what its failure quotes; cards are the same."""

    async def main(own: School) -> list[tuple[bytes | None, bytes | None]]:
        models: dict[ChallengerName, type[Failing]] = {"adaptive_random_forest": Failing}
        made, own.new_challengers = kept(partial(Challengers, LIMITS, models))
        await day_by_day(own, made)
        assert own.metrics.counters["challengers_withdrawn", "adaptive_random_forest"] == 1
        return own.written()

    with caplog.at_level(logging.ERROR):
        assert school(main) == undisturbed()
    (line,) = [record.getMessage() for record in caplog.records if "challenger" in record.getMessage()]
    assert "adaptive_random_forest failed (ZeroDivisionError)" in line


def test_after_a_restart_they_begin_anew_and_what_was_told_stays_until_they_tell_again() -> None:
    """Figures of a few examples do not take the place of those of many."""

    async def main(own: School) -> None:
        made, own.new_challengers = kept(watched())
        await day_by_day(own, made)
        before = (await own.cards()).compared
        assert before is not None
        made, own.new_challengers = kept(watched())
        later = [msgspec.structs.replace(one, matured_ms=BOOK[-1].matured_ms * 2) for one in BOOK[:501]]
        await own.examine(later)
        await own.train(STEPS + 1)
        assert (await own.cards()).compared == before
        assert made[-1].learnt < before.compared.learnt

    school(main)


# ---- what is told ------------------------------------------------------------------------------------------------


def compared() -> Compared:
    """Two cards and a tree on the same thousand examples; a forest has failed."""
    challengers = Challengers(
        ChallengerLimits(sampled_one_in=1, warm_up=0, told_from=1),
        {"hoeffding_adaptive_tree": partial(Watching, lambda: None), "adaptive_random_forest": Failing},
    )
    for offset, one in enumerate(BOOK[:1_000]):
        in_use = 0.4 if one.features["new_institutions"] == 3 else 0.1
        challengers.offer(offset, one, None if one.outcome == "censored" else Foretold(in_use, in_use / 2))
    challengers.work(1_000)
    found = challengers.compared()
    assert found is not None
    return found


def test_what_is_told_is_read_as_it_was_written() -> None:
    """With its time; it is no scorecard, and what cannot be read stops nobody but who asks for it."""
    record = challengers_record(compared())
    assert record.value is not None
    cards = cards_of({CHALLENGERS_KEY: (record.value, 7)})
    assert cards.compared is not None
    assert (cards.compared.compared, cards.compared.published_at_ms) == (compared(), 7)
    assert cards.contents == {}
    damaged = cards_of({CHALLENGERS_KEY: (b"{", 7)})
    assert damaged.resume()[1] is None
    with pytest.raises(UnreadableError, match="challengers is not readable"):
        _ = damaged.compared
    assert cards_of({}).compared is None


def test_a_line_says_how_each_model_foretold() -> None:
    """The card in use first, then what each would gain, who failed, and what is chance."""
    first, in_use, learning, tree, forest, last = _compared(compared())
    assert first.startswith("one example in 1; since the trainer was started ")
    assert in_use.startswith("  the scorecard in use: AUC 0.")
    assert "against" not in in_use
    assert learning.endswith("AUC +0.0000 against the one in use")
    assert tree.startswith("  Hoeffding adaptive tree: AUC 0.5000")
    assert "AUC -0." in tree
    assert forest == "  adaptive random forest: failed, out until the trainer is started again"
    assert last.startswith("by chance alone an AUC may be 0.0")


def test_challengers_are_compared_with_the_card_in_use_alone() -> None:
    """To name another card is wrong usage."""
    result = CliRunner().invoke(main, ["model", "compare", "--challengers", "abcd"])
    assert result.exit_code == 2
    assert "name no other" in result.output
