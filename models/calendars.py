"""Local days of the policy's time zone: instants to days, days to midnights, and the long holidays.

A day is an integer: days since 1970-01-01 in local time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
_SLOT_MS: Final = 4 * DAY_MS
"""Offsets are remembered by so many days. No clocks change twice within six days, so a slot holds one change at most: where
both of its ends have the same offset, all of it has."""
_CACHED_SLOTS_MAX: Final = 10_000
"""Remembered slots: a century of days, a megabyte."""
_CACHED_DAYS_MAX: Final = 50_000
"""Remembered midnights: 136 years of days."""
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_LAST_DAY: Final = date.max.toordinal() - _EPOCH_ORDINAL - 2
_LAST_MS: Final = _LAST_DAY * DAY_MS


@cache
def zone_names() -> frozenset[str]:
    """Every zone there is: those of the `tzdata` package."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def load_zone(name: str) -> ZoneInfo:
    """The zone as the pinned `tzdata` package has it: two machines' own zone files may disagree on a midnight.

    Raises:
        ZoneInfoNotFoundError: there is no such zone.
    """
    if name not in zone_names():
        raise ZoneInfoNotFoundError(f"no time zone {name!r}")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as zone_file:
        return ZoneInfo.from_file(zone_file, key=name)


class Calendar:
    """Local time of one zone. Pure but for two bounded caches."""

    def __init__(self, time_zone: str) -> None:
        """Raise `zoneinfo.ZoneInfoNotFoundError` for a name that is no zone."""
        self.time_zone = time_zone
        self._zone = load_zone(time_zone)
        self._offsets_ms: dict[int, int] = {}
        """By slot, of those without a change inside."""
        self._changes_ms: dict[int, tuple[int, int, int]] = {}
        """By slot, of the others: the instant of the change, the offset before it and the one from it on."""
        self._midnights_ms = _Midnights(self._zone)
        self.midnight_ms: Callable[[int], int] = self._midnights_ms.__getitem__
        """The instant at which a local day begins: asked for so often that it is the look-up itself."""

    def day_of(self, instant_ms: int) -> int:
        """The local day in which `instant_ms` lies."""
        offset_ms = self._offsets_ms.get(instant_ms // _SLOT_MS)
        if offset_ms is None:
            offset_ms = self._changing_offset_ms(instant_ms)
        return (instant_ms + offset_ms) // DAY_MS

    def hour_ms(self, day: int, hour: int) -> int:
        """The instant at which the clock shows `hour` (0-24) on the local `day`, also where clocks change."""
        elapsed_ms = self.midnight_ms(day) + hour * HOUR_MS
        shown_ms = elapsed_ms + self._offset_ms(elapsed_ms) - day * DAY_MS
        return elapsed_ms + hour * HOUR_MS - shown_ms

    def _offset_ms(self, instant_ms: int) -> int:
        offset_ms = self._offsets_ms.get(instant_ms // _SLOT_MS)
        return self._changing_offset_ms(instant_ms) if offset_ms is None else offset_ms

    def _changing_offset_ms(self, instant_ms: int) -> int:
        """The offset where none is remembered for the whole slot: it is looked at first, or the clocks change in it."""
        slot = instant_ms // _SLOT_MS
        change = self._changes_ms.get(slot)
        if change is None:
            change = self._look_at(slot)
        change_ms, before_ms, after_ms = change
        return before_ms if instant_ms < change_ms else after_ms

    def _look_at(self, slot: int) -> tuple[int, int, int]:
        """Find and remember the offset of a slot, or its change."""
        if len(self._offsets_ms) + len(self._changes_ms) >= _CACHED_SLOTS_MAX:
            self._offsets_ms.clear()
            self._changes_ms.clear()
        begin_ms, end_ms = slot * _SLOT_MS, (slot + 1) * _SLOT_MS - 1
        before_ms, after_ms = self._zone_offset_ms(begin_ms), self._zone_offset_ms(end_ms)
        if before_ms == after_ms:
            self._offsets_ms[slot] = before_ms
            return begin_ms, before_ms, after_ms
        while end_ms - begin_ms > 1:
            middle_ms = (begin_ms + end_ms) // 2
            if self._zone_offset_ms(middle_ms) == before_ms:
                begin_ms = middle_ms
            else:
                end_ms = middle_ms
        self._changes_ms[slot] = end_ms, before_ms, after_ms
        return end_ms, before_ms, after_ms

    def _zone_offset_ms(self, instant_ms: int) -> int:
        instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(instant_ms, _LAST_MS))
        offset = instant.astimezone(self._zone).utcoffset()
        assert offset is not None
        return round(offset.total_seconds() * 1000)


class _Midnights(dict[int, int]):
    """The midnights asked for so far, by day; of any other day it finds it out."""

    def __init__(self, zone: ZoneInfo) -> None:
        super().__init__()
        self._zone = zone

    def __missing__(self, day: int) -> int:
        bounded = min(day, _LAST_DAY)
        local = datetime.fromordinal(bounded + _EPOCH_ORDINAL).replace(tzinfo=self._zone)
        if len(self) >= _CACHED_DAYS_MAX:
            self.clear()
        midnight_ms = round(local.timestamp() * 1000) + (day - bounded) * DAY_MS
        self[day] = midnight_ms
        return midnight_ms


def day_of_date(day: date) -> int:
    """A calendar date as a day number."""
    return day.toordinal() - _EPOCH_ORDINAL


def date_of_day(day: int) -> date:
    """A day number as a calendar date."""
    return date.fromordinal(day + _EPOCH_ORDINAL)


def iso_date(day: int | None) -> str | None:
    """`YYYY-MM-DD`, or None for None."""
    return None if day is None else date_of_day(day).isoformat()
