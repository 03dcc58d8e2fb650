"""Scorecards of any shape, as Hypothesis strategies."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from models.risk.features import Features
from models.risk.prior import PRIOR
from models.risk.scorecard import Scorecard

_WEIGHTS = (0.0, 0.0, -1.5, -0.25, 0.25, 0.5, 1.0, 2.0)


@st.composite
def learnt_cards(draw: st.DrawFn) -> Scorecard:
    """All features, on all edges that learning begins with, and no bin that weighs nothing: as learning leaves them."""
    dice = Random(draw(st.integers(0, 2**32)))
    return Scorecard(
        features=Features._fields,
        edges=tuple(tuple(float(bin_.edge) for bin_ in PRIOR[name][1:]) for name in Features._fields),
        weights=tuple(
            tuple(dice.uniform(0.01, 1.0) * dice.choice((-1, 1)) for _ in PRIOR[name])
            for name in Features._fields
        ),
        bias=dice.uniform(-5.0, -1.0),
    )


@st.composite
def cards(draw: st.DrawFn) -> Scorecard:
    """Some of the features in any order, on some of the prior's edges, with weights that neither rise nor fall."""
    order = draw(st.permutations(Features._fields))
    names = tuple(order[: draw(st.integers(1, 5) | st.integers(0, len(order)))])
    dice = Random(draw(st.integers(0, 2**32)))
    edges = tuple(
        tuple(float(bin_.edge) for bin_ in PRIOR[name][1:] if dice.random() < 0.7) for name in names
    )
    return Scorecard(
        features=names,
        edges=edges,
        weights=tuple(tuple(dice.choice(_WEIGHTS) for _ in range(len(row) + 1)) for row in edges),
        bias=dice.uniform(-6.0, 0.0),
    )
