"""Local days of the policy's time zone: instants to days, days to midnights, and the long holidays.

A day is an integer: days since 1970-01-01 in local time.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
_SLOT_MS: Final = 900_000
"""Offsets are remembered by quarter hour. Nearly all clock changes fall between two; a quarter hour with a change inside
(St. John's at 00:01 until 2011, Monrovia at 00:44:30 in 1972) is computed each time."""
_CACHED_SLOTS_MAX: Final = 100_000
"""Remembered offsets: about three years of quarter hours, some megabytes."""
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
        self._midnights_ms: dict[int, int] = {}

    def day_of(self, instant_ms: int) -> int:
        """The local day in which `instant_ms` lies."""
        return (instant_ms + self._offset_ms(instant_ms)) // DAY_MS

    def hour_ms(self, day: int, hour: int) -> int:
        """The instant at which the clock shows `hour` (0-24) on the local `day`, also where clocks change."""
        elapsed_ms = self.midnight_ms(day) + hour * HOUR_MS
        shown_ms = elapsed_ms + self._offset_ms(elapsed_ms) - day * DAY_MS
        return elapsed_ms + hour * HOUR_MS - shown_ms

    def midnight_ms(self, day: int) -> int:
        """The instant at which the local `day` begins."""
        midnight_ms = self._midnights_ms.get(day)
        if midnight_ms is None:
            midnight_ms = self._compute_midnight_ms(day)
        return midnight_ms

    def _offset_ms(self, instant_ms: int) -> int:
        offset_ms = self._offsets_ms.get(instant_ms // _SLOT_MS)
        return self._compute_offset_ms(instant_ms) if offset_ms is None else offset_ms

    def _compute_offset_ms(self, instant_ms: int) -> int:
        slot = instant_ms // _SLOT_MS
        offset_ms = self._zone_offset_ms(slot * _SLOT_MS)
        if offset_ms != self._zone_offset_ms((slot + 1) * _SLOT_MS - 1):
            return self._zone_offset_ms(instant_ms)
        if len(self._offsets_ms) >= _CACHED_SLOTS_MAX:
            self._offsets_ms.clear()
        self._offsets_ms[slot] = offset_ms
        return offset_ms

    def _zone_offset_ms(self, instant_ms: int) -> int:
        instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(instant_ms, _LAST_MS))
        offset = instant.astimezone(self._zone).utcoffset()
        assert offset is not None
        return round(offset.total_seconds() * 1000)

    def _compute_midnight_ms(self, day: int) -> int:
        bounded = min(day, _LAST_DAY)
        local = datetime.fromordinal(bounded + _EPOCH_ORDINAL).replace(tzinfo=self._zone)
        if len(self._midnights_ms) >= _CACHED_DAYS_MAX:
            self._midnights_ms.clear()
        midnight_ms = round(local.timestamp() * 1000) + (day - bounded) * DAY_MS
        self._midnights_ms[day] = midnight_ms
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
