"""Amounts as a person reads them: minor units with the currency's own number of decimals."""

from __future__ import annotations

from typing import Final

from models.limits import INT64_MAX

_DECIMALS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
"""Exponents other than 2, from ISO 4217, table A.1 (maintained by SIX, edition of 2024)."""
_EXPONENTS: Final = {code: decimals for decimals, codes in _DECIMALS.items() for code in codes.split()}


_WELL_WITHIN: Final = 2**53
"""Compared with at once: compiled, numbers above 62 bits are objects. All but absurd amounts are smaller."""


def format_amount(amount_minor: int, currency: str) -> str:
    """`120050, "CNY"` as `1,200.50 CNY`; exact for any size."""
    decimals = _EXPONENTS.get(currency, 2)
    sign = "-" if amount_minor < 0 else ""
    whole, fraction = divmod(abs(amount_minor), 10**decimals)
    shown = f"{whole:,}" if decimals == 0 else f"{whole:,}.{fraction:0{decimals}d}"
    return f"{sign}{shown} {currency}"


def minor_units(amount: int, currency: str) -> int:
    """A whole amount of major units in minor ones."""
    return amount * int(10 ** _EXPONENTS.get(currency, 2))


def within_int64(amount_minor: int) -> int:
    """Hold a sum of amounts within 64 bits: absurd amounts saturate, for what is kept must always be writable."""
    if -_WELL_WITHIN <= amount_minor <= _WELL_WITHIN or -INT64_MAX <= amount_minor <= INT64_MAX:
        return amount_minor
    return INT64_MAX if amount_minor > 0 else -INT64_MAX
