"""AUC, KS, log-loss and calibration, exact."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

_CERTAIN = 1e-15
_DECILES = 10


class Exact(Struct, frozen=True):
    """How good scores were; log-loss and calibration error are None where they are no probabilities."""

    auc: float
    ks: float
    log_loss: float | None
    calibration_error: float | None
    """Mean over the deciles of the scores of |mean probability - bad rate|."""


def exact(scores: Sequence[float], outcomes: Sequence[bool], *, are_probabilities: bool = True) -> Exact:
    """Figures of scores against what happened; ties count half."""
    score, bad = np.asarray(scores, dtype=float), np.asarray(outcomes, dtype=bool)
    _, group, counts = np.unique(score, return_inverse=True, return_counts=True)
    bads = np.bincount(group, weights=bad, minlength=len(counts))
    goods = counts - bads
    below_good, below_bad = np.cumsum(goods), np.cumsum(bads)
    pairs = float((bads * (below_good - goods / 2)).sum())
    distance = np.abs(below_bad / bads.sum() - below_good / goods.sum())
    return Exact(
        auc=pairs / float(goods.sum() * bads.sum()),
        ks=float(distance.max()),
        log_loss=_log_loss(score, bad) if are_probabilities else None,
        calibration_error=_calibration_error(score, bad) if are_probabilities else None,
    )


def mean_of(figures: Sequence[Exact]) -> Exact:
    """Their means, number by number."""
    losses = [one.log_loss for one in figures if one.log_loss is not None]
    errors = [one.calibration_error for one in figures if one.calibration_error is not None]
    return Exact(
        auc=mean(one.auc for one in figures),
        ks=mean(one.ks for one in figures),
        log_loss=mean(losses) if losses else None,
        calibration_error=mean(errors) if errors else None,
    )


def _log_loss(score: NDArray[np.float64], bad: NDArray[np.bool_]) -> float:
    probability = np.clip(score, _CERTAIN, 1 - _CERTAIN)
    return float(-np.log(np.where(bad, probability, 1 - probability)).mean())


def _calibration_error(score: NDArray[np.float64], bad: NDArray[np.bool_]) -> float:
    order = np.argsort(score, kind="stable")
    deciles = [part for part in np.array_split(order, _DECILES) if len(part)]
    distances = [abs(float(score[part].mean()) - float(bad[part].mean())) * len(part) for part in deciles]
    return sum(distances) / len(score)
