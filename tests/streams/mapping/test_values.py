"""What is done to one value on its way in."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.mapping import values
from streams.mapping.errors import UnfitError

SHANGHAI = ZoneInfo("Asia/Shanghai")
AT_MS = 1_740_794_400_123


@given(st.integers(-(10**15), 10**15), st.sampled_from(sorted(values.UNITS.items())))
def test_an_amount_is_exact_in_every_unit_and_form(minor: int, unit: tuple[str, int]) -> None:
    """As decimal, as text, and as the binary fraction next to it."""
    name, exponent = unit
    amount = Decimal(minor).scaleb(-exponent)
    for given_amount in (amount, f"{amount:f}", float(amount)):
        assert values.money(name)(given_amount) == minor
    assert values.money(name, absolute=True)(amount) == abs(minor)


@pytest.mark.parametrize(
    "amount",
    [
        Decimal("12.301"),
        "12.301",
        12.301,
        "x",
        "1,000",
        " 1",
        "",
        True,
        None,
        [],
        float("nan"),
        Decimal("NaN"),
    ],
)
def test_what_is_no_whole_minor_unit_is_refused(amount: Any) -> None:
    """Nothing is rounded in silence."""
    with pytest.raises(UnfitError):
        values.money("yuan")(amount)


@pytest.mark.parametrize(
    ("amount", "minor"), [("12.301", 1230), ("12.305", 1230), ("12.315", 1232), (12.3049, 1230)]
)
def test_rounding_is_half_even_where_it_is_asked_for(amount: Any, minor: int) -> None:
    """As banks round."""
    assert values.money("yuan", rounded=True)(amount) == minor


@pytest.mark.parametrize("amount", [Decimal("1E+999999999"), Decimal("-1E+999999"), 2**70, "9" * 40, 1e300])
def test_a_monstrous_amount_is_refused_before_anything_is_made_of_it(amount: Any) -> None:
    """An integer of a gigabyte is not made."""
    with pytest.raises(UnfitError, match="out of range"):
        values.money("yuan")(amount)


@pytest.mark.parametrize(
    ("form", "given_time", "expected"),
    [
        ("epoch_s", 1_740_794_400, AT_MS - 123),
        ("epoch_s", Decimal("1740794400.1239"), AT_MS),
        ("epoch_s", "1740794400", AT_MS - 123),
        ("epoch_ms", AT_MS, AT_MS),
        ("epoch_us", AT_MS * 1000 + 999, AT_MS),
        ("epoch_ns", AT_MS * 1_000_000 + 999_999, AT_MS),
        ("iso", "2025-03-01T10:00:00.123+08:00", AT_MS),
        ("iso", "2025-03-01T02:00:00.123Z", AT_MS),
        ("iso", "20250301T020000.1239Z", AT_MS),
        ("iso_local", "2025-03-01 10:00:00.123", AT_MS),
        ("%d/%m/%Y %H:%M:%S.%f", "01/03/2025 10:00:00.123", AT_MS),
        ("%Y%m%d%H%M%S%z", "20250301100000+0800", AT_MS - 123),
        ("%Y-%m-%d", "2025-03-01", AT_MS - 123 - 10 * 3_600_000),
        ("timestamp", datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=AT_MS), AT_MS),
    ],
)
def test_times_come_as_milliseconds_rounded_down(form: str, given_time: Any, expected: int) -> None:
    """Of the mapping's zone where they are local."""
    assert values.instant(form, SHANGHAI)(given_time) == expected


@pytest.mark.parametrize(
    ("form", "given_time"),
    [
        ("iso", "2025-03-01T10:00:00"),
        ("iso_local", "2025-03-01T10:00:00Z"),
        ("iso", "yesterday"),
        ("iso", 5),
        ("%Y%m%d", "2025-03-01"),
        ("epoch_s", "soon"),
        ("epoch_s", 10**30),
        ("epoch_s", True),
        ("timestamp", datetime(2025, 3, 1)),  # noqa: DTZ001 - that is what is refused
    ],
)
def test_a_time_of_another_form_is_refused(form: str, given_time: Any) -> None:
    """Nothing is guessed."""
    with pytest.raises(UnfitError):
        values.instant(form, SHANGHAI)(given_time)


def test_dates_come_as_the_contract_has_them() -> None:
    """Text of a pattern, and Avro's own."""
    assert values.local_date("%Y%m%d")("20250301") == "2025-03-01"
    assert values.local_date("iso")(date(2025, 3, 1)) == "2025-03-01"
    with pytest.raises(UnfitError):
        values.local_date("%Y%m%d")("20250231")
    with pytest.raises(UnfitError):
        values.local_date("iso")(5)


def test_words_are_the_same_as_number_and_as_text() -> None:
    """`1` and `"1"`; true is no number."""
    kind = values.word({"1": "cash"}, None)
    assert [kind(one) for one in (1, "1", "2", True)] == ["cash", "cash", "2", "true"]
    assert values.word({"1": "cash"}, "other")("2") == "other"
    with pytest.raises(UnfitError):
        kind(1.5)


@pytest.mark.parametrize(
    ("number", "expected"), [(-1, "out"), (Decimal("-0.01"), "out"), (0, "in"), ("5", "in"), (-0.5, "out")]
)
def test_a_sign_is_a_word(number: Any, expected: str) -> None:
    """Zero is not negative."""
    assert values.sign_word("out", "in")(number) == expected
