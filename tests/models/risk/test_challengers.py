"""Challengers: a sample that every run draws alike, bounds on what they take, and figures that tell who orders better."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calendars import DAY_MS
from models.risk.challengers import (
    CARDS,
    CHALLENGERS,
    DEPTH_MAX,
    SURE,
    TREES,
    ChallengerLimits,
    Challengers,
    Compared,
    RiverChallenger,
    Values,
    adaptive_random_forest,
    auc_gain,
    hoeffding_adaptive_tree,
    is_sampled,
)
from models.risk.examples import Example
from models.risk.features import Features
from models.risk.issuing import Issuing
from models.risk.learning import Foretold, Learner
from models.risk.prequential import Prequential
from models.risk.scorecard import broad_prior, expert_prior
from tests.support.examples import example, weeks_of_examples

ALL: Final = ChallengerLimits(sampled_one_in=1, warm_up=500, told_from=500)
"""No sample: every example, so that few tell much."""
TREE_NAMES: Final = ("hoeffding_adaptive_tree", "adaptive_random_forest")


class Failing:
    """Learns from so many examples, and then something is wrong with it."""

    def __init__(self, left: int = 3) -> None:
        self._left = left

    def learn(self, values: Values, *, is_bad: bool) -> float:
        self._left -= 1
        if self._left < 0:
            raise ZeroDivisionError("12,345.67 owed by somebody")
        return 0.25


class Constant:
    """Foretells the same of everybody."""

    def learn(self, values: Values, *, is_bad: bool) -> float:
        return 0.25


def an_example(features: dict[str, float], place: int, *, is_bad: bool) -> Example:
    """One of these features, of a borrower of its own."""
    one = example(0, "bad" if is_bad else "good", borrower=place)
    return msgspec.structs.replace(one, features=features)


_OF_DEBTS: Final = ("debt_months", "debt_service_share", "granted_months", "open_loans", "cash_cover")
_OF_LINES: Final = (
    "utilisation",
    "statement_utilisation",
    "statement_change",
    "paid_months",
    "relation_days",
)


def interacting(seed: int, count: int) -> list[Example]:
    """Who owes little has to fear a used-up line, who owes much an unused one: alone each says little.

    As in life several features show about the same thing.
    """
    dice = Random(seed)
    found = []
    for place in range(count):
        debts, used = dice.uniform(0, 1), dice.uniform(0, 1)
        is_bad = dice.random() < (0.4 if (debts > 0.5) != (used > 0.35) else 0.02)
        features = {name: debts + dice.gauss(0, 0.03) for name in _OF_DEBTS}
        features |= {name: used + dice.gauss(0, 0.03) for name in _OF_LINES}
        found.append(an_example(features, place, is_bad=is_bad))
    return found


def adding_up(seed: int, count: int) -> list[Example]:
    """Log-odds are what the features add up to, each a little: the form of a card."""
    dice = Random(seed)
    truth = broad_prior()
    found = []
    for place in range(count):
        drawn = {
            "days_past_due": dice.choice((0.0, 0.0, 3.0, 20.0)),
            "worst_days_past_due": dice.choice((0.0, 5.0, 40.0)),
            "new_institutions": float(dice.randrange(5)),
            "utilisation": dice.uniform(0, 1.2),
            "relation_days": dice.uniform(0, 2_000),
            "income_lost_fraction": dice.uniform(0, 1),
            "missed_instalments": float(dice.randrange(3)),
            "unreached_attempts": float(dice.randrange(4)),
        }
        values = Features(**drawn)
        found.append(an_example(drawn, place, is_bad=dice.random() < truth.score(values)))
    return found


def judge(examples: list[Example], limits: ChallengerLimits = ALL) -> Compared:
    """Learn from all as the trainer does where it never falls behind; return what is told in the end."""
    learner, challengers = Learner(expert_prior()), Challengers(limits)
    for offset, one in enumerate(examples):
        learner.learn(one)
        challengers.offer(offset, one, learner.foretold)
        challengers.work(1)
    compared = challengers.compared()
    assert compared is not None
    return compared


# ---- who wins ----------------------------------------------------------------------------------------------------


def test_trees_win_where_features_mean_something_only_together() -> None:
    """What no sum of weights can say, the figures show."""
    compared = judge(interacting(1, 3_000))
    for tree in TREE_NAMES:
        assert (auc_gain(compared, tree) or 0) > 0.1
        assert (compared.models[tree].auc or 0) > (compared.models["learning"].auc or 0) + 0.1
        assert (compared.models[tree].ks or 0) > (compared.models["learning"].ks or 0) + 0.1
        assert (compared.models[tree].log_loss or 9) < (compared.models["learning"].log_loss or 0)


def test_the_card_wins_where_features_add_up() -> None:
    """Both cards order better than any tree, and foretell better."""
    compared = judge(adding_up(1, 3_000))
    for tree in TREE_NAMES:
        for card in ("learning", "sampled_card"):
            assert (compared.models[card].auc or 0) > (compared.models[tree].auc or 0) + 0.01
            assert (compared.models[card].log_loss or 9) < (compared.models[tree].log_loss or 0)


# ---- the same examples -------------------------------------------------------------------------------------------


def test_all_are_judged_on_the_same_examples() -> None:
    """The sampled ones behind the first, each with what was foretold before learning: for the card as for the others."""
    limits = ChallengerLimits(sampled_one_in=3, warm_up=100, told_from=100)
    learner, challengers = Learner(expert_prior()), Challengers(limits, {"sampled_card": Constant})
    expected = {name: Prequential() for name in (*CARDS, "sampled_card")}
    sampled = 0
    for offset, one in enumerate(interacting(2, 2_000)):
        learner.learn(one)
        challengers.offer(offset, one, learner.foretold)
        if is_sampled(one, 3):
            sampled += 1
            if sampled > 100:
                assert learner.foretold is not None
                for name, probability in (*learner.foretold._asdict().items(), ("sampled_card", 0.25)):
                    expected[name].add(probability, is_bad=one.outcome == "bad")
    challengers.work(2_000)
    compared = challengers.compared()
    assert compared is not None
    assert (compared.learnt, compared.judged, compared.skipped) == (sampled, sampled - 100, 0)
    for name, figures in expected.items():
        assert compared.models[name].auc == figures.figures().auc
        assert compared.models[name].log_loss == figures.figures().log_loss


def test_the_sampled_card_is_the_card_where_the_sample_is_everything() -> None:
    """Equal terms are equal: with every example sampled it foretells to the last digit what the learner does."""
    compared = judge(interacting(3, 1_100))
    assert compared.models["sampled_card"] == compared.models["learning"]


def test_two_runs_tell_the_same() -> None:
    """Neither sample nor dice depend on chance."""
    book = interacting(4, 1_100)
    assert judge(book) == judge(book)


@given(st.permutations(weeks_of_examples(1, weeks=2, a_week=30)), st.integers(1, 9))
def test_the_sample_does_not_depend_on_order(examples: list[Example], one_in: int) -> None:
    """Whether an example belongs to it is seen by the example alone."""
    drawn = {id(one) for one in examples if is_sampled(one, one_in)}
    assert drawn == {id(one) for one in reversed(examples) if is_sampled(one, one_in)}
    assert one_in > 1 or len(drawn) == len(examples)


def test_the_sample_is_one_in_so_many() -> None:
    """Of borrowers as of months: the same borrower is sampled at one time and not at another."""
    examples = interacting(5, 8_000)
    assert sum(is_sampled(one, 8) for one in examples) == pytest.approx(1_000, abs=100)
    months = [msgspec.structs.replace(examples[0], observed_ms=month * 30 * DAY_MS) for month in range(8_000)]
    assert sum(is_sampled(one, 8) for one in months) == pytest.approx(1_000, abs=100)


def test_what_is_not_learnt_from_is_not_sampled() -> None:
    """A censored example belongs to nobody; nor does one of before a failure, that comes a second time."""
    learner, challengers = Learner(expert_prior()), Challengers(ALL, {"sampled_card": Constant})
    censored, good = example(0, "censored"), example(0, "good")
    for offset, one in ((0, good), (1, censored), (2, good), (0, good), (1, censored), (2, good), (3, good)):
        learner.learn(one)
        challengers.offer(offset, one, learner.foretold)
    assert challengers.waiting == 3


# ---- the card never knows of them --------------------------------------------------------------------------------


def test_what_is_foretold_is_no_part_of_the_state() -> None:
    """The bytes that learning goes on from are those of a learner that nobody asked."""
    one = Issuing(Learner(expert_prior()))
    for offset, each in enumerate(interacting(6, 50)):
        one.take(offset, each)
    assert one.learner.foretold is not None
    assert Issuing.from_bytes(one.to_bytes()).to_bytes() == one.to_bytes()
    assert Issuing.from_bytes(one.to_bytes()).learner.foretold is None


# ---- bounds ------------------------------------------------------------------------------------------------------


def test_more_than_may_wait_is_skipped_and_counted() -> None:
    """The oldest gives way; nobody learns from it."""
    limits = ChallengerLimits(sampled_one_in=1, waiting_max=10, warm_up=0, told_from=1)
    challengers = Challengers(limits, {"sampled_card": Constant})
    for offset in range(25):
        challengers.offer(offset, example(0, "bad" if offset >= 15 else "good"), Foretold(0.1, 0.1))
    assert (challengers.waiting, challengers.skipped) == (10, 15)
    assert challengers.work(100) == 10
    compared = challengers.compared()
    assert compared is not None
    assert (compared.judged, compared.skipped, compared.models["in_use"].bad_rate) == (10, 15, 1.0)


def test_nothing_is_told_of_too_few() -> None:
    """Not of the first, from which is only learnt, and not of a handful after."""
    limits = ChallengerLimits(sampled_one_in=1, warm_up=5, told_from=5)
    challengers = Challengers(limits, {"sampled_card": Constant})
    for offset in range(10):
        assert challengers.compared() is None
        challengers.offer(offset, example(0, "good"), Foretold(0.1, 0.1))
        challengers.work(1)
    assert challengers.compared() is not None
    assert Challengers(limits, {}).compared() is None


def changing(seed: int, count: int) -> list[tuple[Values, bool]]:
    """Every feature matters in its turn, so that trees grow, drift and are replaced."""
    dice = Random(seed)
    found = []
    for place in range(count):
        values = tuple(dice.uniform(0, 100) for _ in Features._fields)
        column = place // 400 % len(values)
        crossed = (values[column] > 50) != (values[column - 1] > 30)
        found.append((values, crossed if dice.random() < 0.9 else not crossed))
    return found


@pytest.mark.parametrize("make", [hoeffding_adaptive_tree, adaptive_random_forest])
def test_trees_have_an_end(make: Callable[[], RiverChallenger]) -> None:
    """In a world that changes again and again no tree grows beyond its depth, and no probability is certain."""
    challenger = make()
    for values, is_bad in changing(1, 2_000):
        assert SURE <= challenger.learn(values, is_bad=is_bad) <= 1 - SURE
    model = challenger.model
    trees = [model] if make is hoeffding_adaptive_tree else [*model.data, *filter(None, model._background)]
    assert len(trees) <= 2 * TREES
    assert max(tree.n_nodes for tree in trees) <= 2 ** (DEPTH_MAX + 1) - 1
    assert max(tree.height for tree in trees) > 2


def test_a_challenger_that_fails_is_out_and_the_others_go_on() -> None:
    """It is named with the kind of failure, and no more of it; its figures would be of other examples, and are told no more."""
    limits = ChallengerLimits(sampled_one_in=1, warm_up=0, told_from=5)
    challengers = Challengers(limits, {"adaptive_random_forest": Failing, "sampled_card": Constant})
    for offset in range(10):
        challengers.offer(offset, example(0, "good"), Foretold(0.1, 0.1))
    assert challengers.work(10) == 10
    assert challengers.withdrawn == {"adaptive_random_forest": "ZeroDivisionError"}
    compared = challengers.compared()
    assert compared is not None
    assert (set(compared.models), compared.judged) == ({*CARDS, "sampled_card"}, 10)
    assert compared.withdrawn == ("adaptive_random_forest",)


def test_when_all_have_failed_nothing_waits_for_them() -> None:
    """And nothing is told."""
    challengers = Challengers(ALL, {"adaptive_random_forest": Failing})
    for offset in range(10):
        challengers.offer(offset, example(0, "good"), Foretold(0.1, 0.1))
        challengers.work(1)
    assert (challengers.waiting, challengers.compared()) == (0, None)


def test_the_packaged_challengers_are_those_that_are_named() -> None:
    """All three, each made anew."""
    assert set(CHALLENGERS) == {"sampled_card", *TREE_NAMES}
    assert all(make() is not make() for make in CHALLENGERS.values())
