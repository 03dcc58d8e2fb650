"""AUC, KS and log-loss, exact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

_CERTAIN = 1e-15


class Exact(Struct, frozen=True):
    """How good scores were; the log-loss is None where they are no probabilities."""

    auc: float
    ks: float
    log_loss: float | None


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
    )


def _log_loss(score: NDArray[np.float64], bad: NDArray[np.bool_]) -> float:
    probability = np.clip(score, _CERTAIN, 1 - _CERTAIN)
    return float(-np.log(np.where(bad, probability, 1 - probability)).mean())
