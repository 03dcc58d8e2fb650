"""Features are documented once, in one order."""

from __future__ import annotations

from models.risk.features import FEATURES, UNKNOWN, Features


def test_every_feature_is_documented_in_the_order_of_the_tuple() -> None:
    """The description and the tuple that the engine fills name the same features in the same order."""
    assert tuple(feature.name for feature in FEATURES) == Features._fields


def test_every_feature_says_meaning_unit_and_range() -> None:
    """No description is empty, and a range has a lower and an upper end."""
    for feature in FEATURES:
        assert feature.meaning
        assert feature.unit in {"days", "fraction", "count", "flag"}
        assert feature.low < feature.high


def test_nothing_known_lies_within_the_ranges() -> None:
    """The defaults are values that the ranges allow; only a utilisation without a limit is unknown."""
    for feature, value in zip(FEATURES, Features(), strict=True):
        assert feature.low <= value <= feature.high
        assert (value == UNKNOWN) == (feature.name == "utilisation")
