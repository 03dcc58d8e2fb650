"""Which cards may take another's place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from models.risk.guard import DEFAULT_LIMITS, refusal
from models.risk.prequential import Figures

CURRENT = Figures(
    examples=5_000.0,
    bad_rate=0.05,
    mean_probability=0.05,
    auc=0.75,
    ks=0.4,
    log_loss=0.18,
    calibration_error=0.01,
    deciles=(),
)


def changed(**fields: Any) -> Figures:
    """The current card's figures, but for these."""
    return msgspec.structs.replace(CURRENT, **fields)


def test_an_equal_card_may_be_published() -> None:
    """Learning on without a difference is no reason to stop."""
    assert refusal(CURRENT, CURRENT) is None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"log_loss": 0.1819}, None),
        ({"log_loss": 0.1821}, "worse_log_loss"),
        ({"log_loss": 0.10}, None),
        ({"auc": 0.7219}, None),
        ({"auc": 0.7216}, "worse_auc"),
        ({"auc": 0.7401, "examples": 50_000.0}, None),
        ({"auc": 0.7399, "examples": 50_000.0}, "worse_auc"),
        ({"auc": 0.90}, None),
        ({"calibration_error": 0.0199}, None),
        ({"calibration_error": 0.0201}, "worse_calibration"),
        ({"examples": 1_000.0}, None),
        ({"examples": 999.9}, "too_few_examples"),
        ({"bad_rate": 0.0061}, None),
        ({"bad_rate": 0.0059}, "too_few_examples"),
        ({"bad_rate": None}, "too_few_examples"),
    ],
)
def test_a_card_that_is_worse_by_more_than_chance_is_not(fields: dict[str, Any], why: str | None) -> None:
    """On both sides of each limit."""
    assert refusal(changed(**fields), CURRENT) == why


def test_what_cannot_be_compared_holds_nothing_up() -> None:
    """A card in use without figures of its own, as on day one, is no obstacle."""
    nothing = Figures(0.0, None, None, None, None, None, None, ())
    assert refusal(CURRENT, nothing) is None
    assert DEFAULT_LIMITS.examples_min == 1_000
