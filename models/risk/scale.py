"""A measure for amounts that does not depend on the currency: the ordinary month's wage where it is earned.

Ten thousand is a fortune in one currency and a lunch in another; a card learnt on one book should not read a loan of another
as large because its coins are small. So amounts are counted in months' wages. Bins of a card are factors of about one and
a half apart, so one digit is enough, and a wage that rises by a fifth moves few borrowers to another bin.
"""

from __future__ import annotations

from typing import Final

from models.money import minor_units

_WAGES: Final = {
    "AED": 15_000,
    "AUD": 6_500,
    "BRL": 3_000,
    "CAD": 5_500,
    "CHF": 6_500,
    "CNY": 8_000,
    "CZK": 45_000,
    "DKK": 45_000,
    "EUR": 3_000,
    "GBP": 3_000,
    "HKD": 20_000,
    "HUF": 600_000,
    "IDR": 3_000_000,
    "INR": 20_000,
    "JPY": 300_000,
    "KRW": 3_500_000,
    "MXN": 9_000,
    "MYR": 3_000,
    "NOK": 55_000,
    "NZD": 6_000,
    "PHP": 20_000,
    "PLN": 7_500,
    "SEK": 38_000,
    "SGD": 5_000,
    "THB": 15_000,
    "TWD": 45_000,
    "USD": 5_000,
    "VND": 7_500_000,
    "ZAR": 25_000,
}
"""Gross wage of a full-time month in major units, by expert judgement to one or two digits, of the order of what the countries'
statistical offices published for 2023 and 2024 (China: National Bureau of Statistics, average wage of employed persons in
urban units, 69,476 a year in private and 124,110 in other units for 2024)."""

_WAGES_MINOR: Final = {code: minor_units(amount, code) for code, amount in _WAGES.items()}


def months_of(amount_minor: int, currency: str) -> float | None:
    """An amount in ordinary months' wages of its currency; None where no wage is known for it."""
    wage_minor = _WAGES_MINOR.get(currency)
    return None if wage_minor is None else amount_minor / wage_minor
