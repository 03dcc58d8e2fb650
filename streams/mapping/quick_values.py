"""The values of the fast way: numbers, dates and instants out of what msgspec read; a text that came before is known already.

Each raises a ValueError at what is not plainly right: `streams.mapping.values` decides on it then.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from models.limits import INT64_MAX
from streams.mapping import values
from streams.mapping.errors import UnfitError

_MEMO_MAX: Final = 100_000
"""Texts of times and dates remembered by one mapping, each: some 15 MB. Then they are forgotten and learnt anew."""


def bounded(least: int, number: int) -> int:
    """The number itself, where int64 and `least` allow it."""
    if not least <= number <= INT64_MAX:
        raise ValueError
    return number


def count_of(text: str) -> int:
    """A count out of its digits."""
    if not text.isdecimal() or not text.isascii() or (count := int(text)) > INT64_MAX:
        raise ValueError
    return count


def sign_of(negative: str, other: str, number: float) -> str:
    """One of two words, by the sign of a number."""
    if number == 0:
        raise ValueError  # or so small that a binary fraction does not hold it
    return negative if number < 0 else other


def minor_of_number(scale: int, absolute: bool, number: float) -> int:
    """As the loop does it in place, for the lines of a schedule: no amount there is negative."""
    minor = round(number * scale)
    if minor / scale != number or not 0 <= (abs(minor) if absolute else minor) <= values.EXACT_MINOR_MAX:
        raise ValueError
    return abs(minor) if absolute else minor


def minor_of_text(digits: Digits, least: int, absolute: bool, text: str) -> int:
    """Minor units out of a number's own digits."""
    whole, _, part = text.partition(".")
    if not whole.removeprefix("-").isdecimal() or not whole.isascii():
        raise ValueError
    minor = int(whole + digits[part])
    if absolute:
        minor = abs(minor)
    if not least <= minor <= INT64_MAX:
        raise ValueError
    return minor


class Digits(dict[str, str]):
    """Digits behind the point, as many as the unit has: `5` is `50` of a hundred."""

    def __init__(self, exponent: int) -> None:
        super().__init__({"": "0" * exponent})
        self._exponent = exponent

    def __missing__(self, digits: str) -> str:
        if not digits.isdecimal() or not digits.isascii() or len(digits) > self._exponent:
            raise ValueError
        padded = digits.ljust(self._exponent, "0")
        if len(self) < _MEMO_MAX:
            self[digits] = padded
        return padded


class Dates(dict[str, date]):
    """Texts of dates of one pattern."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self._form = form

    def __missing__(self, text: str) -> date:
        found = datetime.strptime(text, self._form).date()  # noqa: DTZ007 - only the date is taken
        if len(self) >= _MEMO_MAX:
            self.clear()
        self[text] = found
        return found


class WholeTimes(dict[str, int]):
    """Texts of times of a pattern that cannot be split."""

    def __init__(self, convert: values.Convert) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, text: str) -> int:
        try:
            found: int = self._convert(text)
        except UnfitError as error:
            raise ValueError from error
        if len(self) >= _MEMO_MAX:
            self.clear()
        self[text] = found
        return found


class Split(NamedTuple):
    """A form of times whose text falls into minutes, of a fixed width, and the rest."""

    width: int
    form: str
    """Of the minutes, for strptime."""
    rest: re.Pattern[str]
    """Groups: seconds, digits behind them, offset."""
    is_local: bool


_WIDTHS: Final = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2}
_RESTS: Final = {"%S": r"([0-5]\d)", "%f": r"(\d{1,6})", "%z": r"(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)"}
_ISO_REST: Final = re.compile(r"([0-5]\d)(?:\.(\d{1,6}))?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)\Z", re.ASCII)
_ISO_LOCAL_REST: Final = re.compile(r"([0-5]\d)(?:\.(\d{1,6}))?()\Z", re.ASCII)
_ISO_MINUTES: Final = "%Y-%m-%dT%H:%M:"


def split_of(form: str) -> Split | None:
    """Split a form behind its minutes; None where that cannot be done."""
    if form in {"iso", "iso_local"}:
        is_local = form == "iso_local"
        return Split(17, _ISO_MINUTES, _ISO_LOCAL_REST if is_local else _ISO_REST, is_local)
    head, minutes, tail = form.partition("%M")
    if (
        not minutes
        or re.sub("%[YmdH]", "", head).count("%")
        or sorted(re.findall("%.", head)) != ["%H", "%Y", "%d", "%m"]
    ):
        return None
    pieces = re.fullmatch(r"([^%]*)%S(?:(\.)%f)?(%z)?", tail)
    if pieces is None:
        return None
    form_of_minutes = head + minutes + pieces.group(1)
    width = len(form_of_minutes) + sum(_WIDTHS[one] - 2 for one in re.findall("%.", form_of_minutes))
    rest = (
        _RESTS["%S"]
        + (rf"\.{_RESTS['%f']}" if pieces.group(2) else "()")
        + (_RESTS["%z"] if pieces.group(3) else "()")
    )
    return Split(width, form_of_minutes, re.compile(rest + r"\Z", re.ASCII), pieces.group(3) is None)


class Minutes(dict[str, int]):
    """Texts up to the minute, as epoch milliseconds: of UTC, or of the mapping's zone where they are local."""

    def __init__(self, split: Split, zone: ZoneInfo) -> None:
        super().__init__()
        self._form = split.form
        self._zone = zone if split.is_local else UTC

    def __missing__(self, text: str) -> int:
        naive = datetime.strptime(text, self._form)  # noqa: DTZ007 - its zone is put in below
        if naive.strftime(self._form) != text:
            raise ValueError
        at = naive.replace(tzinfo=self._zone)
        if at.utcoffset() != (at + timedelta(seconds=59)).utcoffset():
            raise ValueError
        found = int(at.timestamp()) * 1000
        if len(self) >= _MEMO_MAX:
            self.clear()
        self[text] = found
        return found


class Seconds(dict[str, int]):
    """What stands behind the minutes, as milliseconds to add."""

    def __init__(self, split: Split) -> None:
        super().__init__()
        self._rest = split.rest

    def __missing__(self, text: str) -> int:
        pieces = self._rest.match(text)
        if pieces is None:
            raise ValueError
        seconds, digits, offset = pieces.groups()
        found = int(seconds) * 1000 + int((digits or "")[:3].ljust(3, "0")) - _offset_ms(offset)
        if len(self) < _MEMO_MAX:
            self[text] = found
        return found


def _offset_ms(text: str) -> int:
    if text in {"", "Z"}:
        return 0
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return (-minutes if text[0] == "-" else minutes) * 60_000
