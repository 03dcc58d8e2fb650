"""The models that are held against each other: each learns from the same examples, in their order, and scores the same others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from msgspec import Struct

from models.risk.drift import DriftWatch
from models.risk.features import Features
from models.risk.scorecard import broad_prior
from models.risk.training import Trainer

Examples = Sequence[tuple[Features, bool]]


class Scored(Struct, frozen=True):
    """What a model said, and what it cost."""

    scores: list[float]
    """Of the examples kept apart, after learning."""
    prequential: list[float] | None
    """Of the examples learnt from, each before it was learnt from; None for what does not learn online."""
    us_per_example: float | None
    """Of processor time, to predict and to learn; None for what does not learn."""


Contender = Callable[[Examples, Examples], Scored]


def our_scorecard(learnt: Examples, kept: Examples) -> Scored:
    """`models.risk.training`, from the expert prior on; quickened where it drifts, as `models.risk.learning` does."""
    trainer, watch = Trainer.starting_with(broad_prior()), DriftWatch()
    begin = time.process_time()
    prequential: list[float] = []
    for features, is_bad in learnt:
        probability = trainer.learn_one(features, is_bad=is_bad)
        prequential.append(probability)
        if any(drift.is_worse for drift in watch.add(probability, is_bad=is_bad)):
            trainer.quicken()
    spent = time.process_time() - begin
    card = trainer.card()
    return Scored([card.score(features) for features, _ in kept], prequential, _us(spent, learnt))


def the_prior(learnt: Examples, kept: Examples) -> Scored:
    """The expert prior as it is."""
    card = broad_prior()
    return Scored([card.score(features) for features, _ in kept], None, None)


def scaled_logistic_regression(learnt: Examples, kept: Examples) -> Scored:
    """River's, on standardised features: the usual online baseline."""
    from river import linear_model, preprocessing

    return _river(preprocessing.StandardScaler() | linear_model.LogisticRegression(), learnt, kept)


def adaptive_random_forest(learnt: Examples, kept: Examples) -> Scored:
    """River's, with ten trees: the usual online ensemble."""
    from river import forest

    return _river(forest.ARFClassifier(n_models=10, seed=1), learnt, kept)


def lightgbm_in_batch(learnt: Examples, kept: Examples) -> Scored:
    """Boosted trees on all of the past at once: what there is to be had."""
    import lightgbm

    library: Any = lightgbm
    matrix = np.array([features for features, _ in learnt], dtype=float)
    begin = time.process_time()
    data = library.Dataset(matrix, label=np.array([is_bad for _, is_bad in learnt], dtype=float))
    model = library.train(_LIGHTGBM, data, num_boost_round=200)
    spent = time.process_time() - begin
    scores = model.predict(np.array([features for features, _ in kept], dtype=float))
    return Scored([float(score) for score in scores], None, _us(spent, learnt))


def worst_days_past_due(learnt: Examples, kept: Examples) -> Scored:
    """The static rule: who was later is the worse risk."""
    return Scored([features.worst_days_past_due for features, _ in kept], None, None)


CONTENDERS: Final[dict[str, Contender]] = {
    "our scorecard, online": our_scorecard,
    "LightGBM, in batch": lightgbm_in_batch,
    "River adaptive random forest": adaptive_random_forest,
    "River logistic regression, scaled": scaled_logistic_regression,
    "expert prior, not learnt": the_prior,
    "worst days past due": worst_days_past_due,
}
_LIGHTGBM: Final = {
    "objective": "binary",
    "learning_rate": 0.03,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "num_threads": 1,
    "deterministic": True,
    "seed": 1,
    "verbosity": -1,
}


def _river(model: Any, learnt: Examples, kept: Examples) -> Scored:
    begin = time.process_time()
    prequential: list[float] = []
    for features, is_bad in learnt:
        values = features._asdict()
        prequential.append(model.predict_proba_one(values).get(True, 0.0))
        model.learn_one(values, is_bad)
    spent = time.process_time() - begin
    scores = [model.predict_proba_one(features._asdict()).get(True, 0.0) for features, _ in kept]
    return Scored(scores, prequential, _us(spent, learnt))


def _us(seconds: float, examples: Examples) -> float:
    return seconds / len(examples) * 1e6
