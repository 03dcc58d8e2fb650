"""Learning a scorecard: equal to River's model, to its own card, and to itself after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model, optim

from models.risk.scorecard import Scorecard, broad_prior
from models.risk.training import Trainer, TrainingSettings, UnusableTrainingError

START = Scorecard(
    features=("days", "share"), edges=((1.0, 7.0), (0.5,)), weights=((0.0, 1.0, 2.5), (-0.5, 0.25)), bias=-1.0
)
VALUES = st.tuples(st.floats(-1, 10), st.floats(-0.5, 1.5))
EXAMPLES = st.lists(st.tuples(VALUES, st.booleans()), max_size=120)
SETTINGS = st.builds(
    TrainingSettings,
    alpha=st.floats(0.01, 0.5),
    beta=st.floats(0.1, 2),
    prior_pull=st.floats(0, 20),
    prior_gradients=st.floats(0, 20),
)
Example = tuple[tuple[float, float], bool]


class RiverTwin:
    """The same model made of River's parts: a 0/1 input a bin, and one that is always 1.

    River computes a weight when its input is next learnt from; learning nothing (weight 0) brings it up to date.
    """

    def __init__(self, start: Scorecard, constants: TrainingSettings) -> None:
        self._start = start
        self._optimizer = optim.FTRLProximal(
            alpha=constants.alpha, beta=constants.beta, l1=0.0, l2=constants.prior_pull
        )
        self._model = linear_model.LogisticRegression(self._optimizer, intercept_lr=0.0)
        weights = {"bias": start.bias}
        for name, row in zip(start.features, start.weights, strict=True):
            weights |= {f"{name} {place}": weight for place, weight in enumerate(row)}
        root = constants.prior_gradients**0.5
        for key, weight in weights.items():
            self._optimizer.n[key] = constants.prior_gradients
            self._optimizer.z[key] = -weight * (
                (constants.beta + root) / constants.alpha + constants.prior_pull
            )
        self._model.learn_one(dict.fromkeys(weights, 1.0), y=True, w=0.0)

    def learn_one(self, values: Sequence[float], *, is_bad: bool) -> None:
        inputs = self._inputs(values)
        self._model.learn_one(inputs, is_bad)
        self._model.learn_one(inputs, is_bad, w=0.0)

    def predict_one(self, values: Sequence[float]) -> float:
        predict: Any = self._model.predict_proba_one
        return float(predict(self._inputs(values))[True])

    def _inputs(self, values: Sequence[float]) -> dict[str, float]:
        inputs = {"bias": 1.0}
        for name, edges, value in zip(self._start.features, self._start.edges, values, strict=True):
            inputs[f"{name} {sum(edge <= value for edge in edges)}"] = 1.0
        return inputs


# ---- equal to River's ----------------------------------------------------------------------------------------------


@given(EXAMPLES, SETTINGS, VALUES)
@settings(max_examples=60, deadline=None)
def test_it_learns_as_rivers_model_does(
    examples: list[Example], constants: TrainingSettings, values: tuple[float, float]
) -> None:
    """At every example the probability is that of River's FTRL logistic regression to 1e-12, the card's to 1e-9."""
    trainer, twin = Trainer.starting_with(START, constants), RiverTwin(START, constants)
    for seen, is_bad in examples:
        expected = twin.predict_one(seen)
        assert trainer.learn_one(seen, is_bad=is_bad) == pytest.approx(expected, abs=1e-12)
        twin.learn_one(seen, is_bad=is_bad)
    assert trainer.predict_one(values) == pytest.approx(twin.predict_one(values), abs=1e-12)
    assert trainer.card().score(values) == pytest.approx(twin.predict_one(values), abs=1e-9)


def test_it_stays_with_rivers_model_over_thousands_of_examples() -> None:
    """Rounding does not add up: after five thousand examples the two are still equal to 1e-12."""
    constants = TrainingSettings()
    trainer, twin = Trainer.starting_with(START, constants), RiverTwin(START, constants)
    for number in range(5_000):
        seen = (number * 7 % 11 - 1.0, number * 5 % 8 / 4 - 0.5)
        is_bad = number * 2654435761 % 97 < 20 + 6 * seen[0]
        trainer.learn_one(seen, is_bad=is_bad)
        twin.learn_one(seen, is_bad=is_bad)
    for days in range(-1, 10):
        assert trainer.predict_one((days, 0.7)) == pytest.approx(twin.predict_one((days, 0.7)), abs=1e-12)


# ---- the start -----------------------------------------------------------------------------------------------------


@given(SETTINGS)
def test_it_starts_as_the_card_it_was_given(constants: TrainingSettings) -> None:
    """Before the first example each weight of the prior is there, whatever the constants."""
    prior, card = broad_prior(), Trainer.starting_with(broad_prior(), constants).card()
    assert card.features == prior.features
    assert card.edges == prior.edges
    assert card.bias == pytest.approx(prior.bias, abs=1e-12)
    for row, expected in zip(card.weights, prior.weights, strict=True):
        assert row == pytest.approx(expected, abs=1e-12)


def test_a_firmer_pull_keeps_nearer_to_the_prior() -> None:
    """After the same examples against it, the more firmly held prior has moved less."""
    moved = []
    for pull in (0.0, 10.0, 100.0):
        trainer = Trainer.starting_with(START, TrainingSettings(prior_pull=pull))
        for _ in range(200):
            trainer.learn_one((0.0, 0.0), is_bad=True)
        moved.append(trainer.predict_one((0.0, 0.0)))
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > 2 * START.score((0.0, 0.0)) > moved[2] / 2


def test_a_bin_that_nobody_was_in_keeps_its_weight() -> None:
    """Learning touches the bins of its examples, and the bias, alone."""
    trainer = Trainer.starting_with(START)
    for _ in range(50):
        trainer.learn_one((0.0, 0.0), is_bad=True)
    card = trainer.card()
    assert card.weights[0][1:] == pytest.approx(START.weights[0][1:], abs=1e-12)
    assert card.weights[1][1] == pytest.approx(START.weights[1][1], abs=1e-12)
    assert card.weights[0][0] > 0.05
    assert card.bias > START.bias + 0.05


# ---- learning ------------------------------------------------------------------------------------------------------


def test_it_learns_what_happens() -> None:
    """A bin in which three of four go bad ends near 75 %, one in which one of ten does near 10 %."""
    trainer = Trainer.starting_with(START)
    for number in range(8_000):
        trainer.learn_one((8.0, 0.0), is_bad=number % 4 != 0)
        trainer.learn_one((0.0, 0.0), is_bad=number % 10 == 0)
    assert trainer.predict_one((8.0, 0.0)) == pytest.approx(0.75, abs=0.03)
    assert trainer.predict_one((0.0, 0.0)) == pytest.approx(0.10, abs=0.03)
    assert (trainer.examples, trainer.bads) == (16_000, 6_000 + 800)


@given(EXAMPLES, VALUES)
@settings(max_examples=50, deadline=None)
def test_the_card_scores_as_the_trainer_predicts(
    examples: list[Example], values: tuple[float, float]
) -> None:
    """To the last bit, so that what was judged before publication is what is published."""
    trainer = Trainer.starting_with(START)
    for seen, is_bad in examples:
        trainer.learn_one(seen, is_bad=is_bad)
    assert trainer.card().score(values) == trainer.predict_one(values)


def test_predicting_learns_nothing() -> None:
    """A look does not change the state."""
    trainer = Trainer.starting_with(START)
    before = trainer.to_bytes()
    trainer.predict_one((3.0, 0.6))
    trainer.card()
    assert trainer.to_bytes() == before


# ---- quickening ----------------------------------------------------------------------------------------------------


@given(EXAMPLES, SETTINGS, VALUES)
@settings(max_examples=50, deadline=None)
def test_quickening_changes_no_weight(
    examples: list[Example], constants: TrainingSettings, values: tuple[float, float]
) -> None:
    """What is foretold stays; only what is learnt next counts for more."""
    trainer = Trainer.starting_with(START, constants)
    for seen, is_bad in examples:
        trainer.learn_one(seen, is_bad=is_bad)
    before = trainer.predict_one(values)
    trainer.quicken()
    assert trainer.predict_one(values) == before
    restored = Trainer.from_bytes(trainer.to_bytes())
    assert restored.predict_one(values) == pytest.approx(before, abs=1e-12)


def test_a_quickened_trainer_follows_a_changed_world_sooner() -> None:
    """After four thousand examples, half of them bad, twenty bad ones move it further than without."""
    reached = []
    for quickened in (False, True):
        trainer = Trainer.starting_with(START)
        for number in range(4_000):
            trainer.learn_one((0.0, 0.0), is_bad=number % 2 == 0)
        if quickened:
            trainer.quicken()
        for _ in range(20):
            trainer.learn_one((0.0, 0.0), is_bad=True)
        reached.append(trainer.predict_one((0.0, 0.0)))
    assert reached[1] - 0.5 > 2 * (reached[0] - 0.5) > 0


# ---- restart -------------------------------------------------------------------------------------------------------


@given(EXAMPLES, EXAMPLES, SETTINGS)
@settings(max_examples=50, deadline=None)
def test_restore_and_continue_is_continue(
    before: list[Example], after: list[Example], constants: TrainingSettings
) -> None:
    """Wherever training is cut, the bytes and the card at the end are the same to the last bit."""
    trainer = Trainer.starting_with(START, constants)
    for seen, is_bad in before:
        trainer.learn_one(seen, is_bad=is_bad)
    restored = Trainer.from_bytes(trainer.to_bytes())
    for seen, is_bad in after:
        trainer.learn_one(seen, is_bad=is_bad)
        restored.learn_one(seen, is_bad=is_bad)
    assert restored.to_bytes() == trainer.to_bytes()
    assert restored.card().version == trainer.card().version


@pytest.mark.parametrize("damage", ["cut", "flipped", "version", "other content"])
def test_bytes_that_cannot_be_trusted_are_refused(damage: str) -> None:
    """Cut short, a bit flipped, another version, or tables that do not fit: an error, never a guess."""
    record = bytearray(Trainer.starting_with(START).to_bytes())
    if damage == "cut":
        del record[20:]
    elif damage == "flipped":
        record[30] ^= 1
    elif damage == "version":
        record[0] = 9
    else:
        record = bytearray(_with_a_bin_too_many())
    with pytest.raises(UnusableTrainingError, match="state of training"):
        Trainer.from_bytes(bytes(record))


def _with_a_bin_too_many() -> bytes:
    from models.risk import training

    state = msgspec.structs.replace(Trainer.starting_with(START)._state, z=[0.0] * 9)
    return training._SEALED.to_bytes(state)
