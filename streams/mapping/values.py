"""What may be done to one value on its way in: exact, and the same for the same value for ever.

This is the reference. `streams.mapping.compiled` does the same faster, and asks here whenever it is in doubt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow
from math import isfinite
from typing import Any, Final
from zoneinfo import ZoneInfo

from models.limits import INT64_MAX
from streams.mapping.errors import UnfitError

Convert = Callable[[Any], Any]
"""A value of the payload (never None) to that of the event; raises `UnfitError`."""

UNITS: Final[dict[str, int]] = {
    "minor": 0,
    "fen": 0,
    "cents": 0,
    "yen": 0,
    "jiao": 1,
    "yuan": 2,
    "dollars": 2,
    "euros": 2,
    "dinars": 3,
    "thousand_yuan": 5,
    "wan_yuan": 6,
}
"""Units of money, as powers of ten of the currency's minor unit (ISO 4217)."""

EPOCHS: Final[dict[str, tuple[int, int]]] = {
    "epoch_s": (1000, 1),
    "epoch_ms": (1, 1),
    "epoch_us": (1, 1000),
    "epoch_ns": (1, 1_000_000),
}
"""Counts since 1970 (UTC): times what, divided by what, they are milliseconds."""

TIMES: Final = (*EPOCHS, "iso", "iso_local", "timestamp")
DATES: Final = ("iso", "date")

EXACT_MINOR_MAX: Final = 10**15
"""Up to here, ten billion yuan and a thousand times that, the binary64 next to n/10, n/100, ... belongs to no other n, and
multiplied and rounded it gives n again: its relative error is 2^-53, that of the product 2^-52, together less than half of one.

So a number of JSON, which RFC 8259 (section 6) lets everybody read as binary64, is read as such, and n/scale held against it:
equal, it is n exactly. Python reads it so five times faster than as a decimal. What is larger, or not equal, is judged as the
decimal that was written; the one thing it forgives is what binary64 does not hold (12.300000000000000001).
"""

_EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation, Overflow])
"""Enough for every integer of the contract and forty decimals behind it; what does not fit raises."""
_ROUNDED: Final = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])
_NUMBER: Final = re.compile(r"-?\d{1,40}(?:\.\d{0,40})?\Z", re.ASCII)
_INTEGER: Final = re.compile(r"-?\d{1,40}\Z", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def text_of(value: object) -> str | None:
    """A word as a mapping compares it: `1` and `"1"` are the same word, true is `true`; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else None


def as_is(value: object) -> object:
    """What the contract's own decoder will judge."""
    return value


def number_as_text(value: object) -> str:
    """An id that the lender gives as a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UnfitError("wrong-type", "no whole number")


def text_as_number(value: object) -> int:
    """A whole number that the lender gives as text."""
    if isinstance(value, str) and _INTEGER.match(value):
        return int(value)
    raise UnfitError("wrong-type", "no text of digits")


def _decimal_of(value: object) -> Decimal:
    """A number exactly as it was written, or as the binary fraction that it is (Avro's and Protobuf's double)."""
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, float) and isfinite(value):
        return Decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _NUMBER.match(value):
        return Decimal(value)
    raise UnfitError("wrong-type", "no number")


def money(unit: str, *, absolute: bool = False, rounded: bool = False) -> Convert:
    """An amount in minor units: exact decimal arithmetic; what is not a whole minor unit is refused unless `rounded`."""
    exponent = UNITS[unit]

    def convert(value: Any) -> int:
        amount = _decimal_of(value)
        # Compared before anything is computed: an exponent of a million would make an integer of a megabyte.
        if not -INT64_MAX <= amount <= INT64_MAX:
            raise UnfitError("integer-overflow", "out of range")
        nearest = round(float(amount) * 10**exponent) if abs(amount) < EXACT_MINOR_MAX else 0
        if (
            abs(nearest) <= EXACT_MINOR_MAX
            and nearest / 10**exponent == float(amount)
            and not isinstance(value, str)
        ):
            return abs(nearest) if absolute else nearest
        try:
            minor = (_ROUNDED if rounded else _EXACT).scaleb(amount, exponent)
            whole = (_ROUNDED if rounded else _EXACT).to_integral_exact(minor)
        except (Inexact, InvalidOperation) as error:
            raise UnfitError("wrong-type", f"more decimals than {unit} have") from error
        return abs(int(whole)) if absolute else int(whole)

    return convert


def sign_word(negative: str, other: str) -> Convert:
    """A word by the sign of a number."""

    def convert(value: Any) -> str:
        return negative if _decimal_of(value) < 0 else other

    return convert


def word(words: dict[str, str], other: str | None) -> Convert:
    """A word of the contract for one of the lender's.

    What the table lacks is `other` where that is given, else the lender's own word: the contract's decoder counts it and
    makes it `other`, or refuses it where it must be known.
    """

    def convert(value: Any) -> str:
        text = text_of(value)
        if text is None:
            raise UnfitError("wrong-type", "no word")
        return words.get(text, text if other is None else other)

    return convert


def instant(form: str, zone: ZoneInfo) -> Convert:
    """Epoch milliseconds, rounded down."""
    if form in EPOCHS:
        times, divided_by = EPOCHS[form]

        def from_count(value: Any) -> int:
            count = _decimal_of(value)
            if not -INT64_MAX <= count <= INT64_MAX:
                raise UnfitError("integer-overflow", "out of range")
            try:
                return _floor(_EXACT.multiply(count, Decimal(times))) // divided_by
            except Inexact as error:
                raise UnfitError("wrong-type", "too many decimals") from error

        return from_count

    def from_moment(value: Any) -> int:
        moment = value if isinstance(value, datetime) and form == "timestamp" else _moment(value, form, zone)
        if moment.tzinfo is None:
            raise UnfitError("wrong-type", "a time without its offset")
        return (moment - _EPOCH) // _MILLISECOND

    return from_moment


def _floor(count: Decimal) -> int:
    whole = int(count)
    return whole - 1 if whole > count else whole


def _moment(value: object, form: str, zone: ZoneInfo) -> datetime:
    if not isinstance(value, str):
        raise UnfitError("wrong-type", "no text of a time")
    try:
        if form in {"iso", "iso_local"}:
            moment = datetime.fromisoformat(value)
        else:
            moment = datetime.strptime(value, form)  # noqa: DTZ007 - without %z it is of the mapping's time zone
    except ValueError as error:
        raise UnfitError("wrong-type", f"no time of the form {form}") from error
    if form == "iso":
        return moment
    if moment.tzinfo is not None:
        if form == "iso_local":
            raise UnfitError("wrong-type", "a time with an offset where local time was said")
        return moment
    return moment.replace(tzinfo=zone)


def local_date(form: str) -> Convert:
    """A calendar date."""

    def convert(value: Any) -> str:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
        if not isinstance(value, str):
            raise UnfitError("wrong-type", "no text of a date")
        if form in DATES:
            return value
        try:
            return datetime.strptime(value, form).date().isoformat()  # noqa: DTZ007 - only the date is taken
        except ValueError as error:
            raise UnfitError("impossible-date", f"no date of the form {form}") from error

    return convert
