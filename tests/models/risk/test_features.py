"""Features are documented once, in one order."""

from __future__ import annotations

from models.risk.features import FEATURES, KINDS, UNKNOWN, Features


def test_every_feature_is_documented_in_the_order_of_the_tuple() -> None:
    """The description and the tuple that the engine fills name the same features in the same order."""
    assert tuple(feature.name for feature in FEATURES) == Features._fields


def test_every_feature_says_meaning_unit_and_range() -> None:
    """No description is empty, a range has a lower and an upper end, and each kind of evidence is used."""
    for feature in FEATURES:
        assert feature.meaning
        assert feature.unit in {"days", "months", "fraction", "count", "flag"}
        assert feature.low < feature.high
    assert {feature.kind for feature in FEATURES} == KINDS


def test_unknown_lies_below_the_range_of_what_can_be_unknown() -> None:
    """Where a feature may be unknown, no value that can be told looks like it."""
    assert all(feature.low > UNKNOWN for feature in FEATURES if feature.may_be_unknown)


def test_nothing_known_lies_within_the_ranges() -> None:
    """The defaults are values that the ranges allow, and unknown exactly where that is a value."""
    for feature, value in zip(FEATURES, Features(), strict=True):
        assert (value == UNKNOWN) == feature.may_be_unknown
        assert feature.may_be_unknown or feature.low <= value <= feature.high
