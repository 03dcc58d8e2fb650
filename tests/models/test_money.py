"""Amounts as a person reads them, to the last minor unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.money import format_amount


@pytest.mark.parametrize(
    ("amount_minor", "currency", "expected"),
    [
        (120_050, "CNY", "1,200.50 CNY"),
        (0, "CNY", "0.00 CNY"),
        (5, "CNY", "0.05 CNY"),
        (-5, "CNY", "-0.05 CNY"),
        (-123_456_789, "EUR", "-1,234,567.89 EUR"),
        (1_200, "JPY", "1,200 JPY"),
        (0, "KRW", "0 KRW"),
        (-1_000, "VND", "-1,000 VND"),
        (1_234_567, "KWD", "1,234.567 KWD"),
        (12_345, "UYW", "1.2345 UYW"),
        (99, "points", "0.99 points"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(amount_minor: int, currency: str, expected: str) -> None:
    """None, two, three or four by ISO 4217; two where the currency is unknown."""
    assert format_amount(amount_minor, currency) == expected


@given(
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.sampled_from(("CNY", "JPY", "BHD", "CLF", "XXX")),
)
def test_no_digit_is_lost(amount_minor: int, currency: str) -> None:
    """Taking commas, point and currency away gives the amount back, for any amount the contract allows."""
    shown, shown_currency = format_amount(amount_minor, currency).split(" ")

    assert shown_currency == currency
    assert int(shown.replace(",", "").replace(".", "")) == amount_minor
