"""Local days against the standard library's time zones, also where clocks change and days go missing."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from zoneinfo import ZoneInfoNotFoundError

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models import calendars
from models.calendars import (
    DAY_MS,
    HOUR_MS,
    Calendar,
    date_of_day,
    day_of_date,
    iso_date,
    load_zone,
    zone_names,
)

ZONES = (
    "Asia/Shanghai",
    "UTC",
    "America/New_York",
    "America/St_Johns",  # changed its clocks at 00:01 until 2011
    "America/Sao_Paulo",  # its summer days began at 01:00: there was no midnight
    "America/Havana",  # its clocks go back from 01:00 to midnight
    "Australia/Lord_Howe",  # changes by half an hour
    "Africa/Monrovia",  # 44 minutes and 30 seconds behind until 1972
    "Asia/Kathmandu",
    "Europe/London",
    "Pacific/Apia",  # has no 30 December 2011
    "Pacific/Kiritimati",
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_TIME_MS = int((datetime(9999, 12, 29, tzinfo=UTC) - EPOCH) / timedelta(milliseconds=1))
CALENDARS = {zone: Calendar(zone) for zone in ZONES}
STANDARD = {zone: load_zone(zone) for zone in ZONES}


def local(zone: str, instant_ms: int) -> datetime:
    """Return the local time of an instant, by the standard library."""
    return (EPOCH + timedelta(milliseconds=instant_ms)).astimezone(STANDARD[zone])


def instant(zone: str, year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """Return the instant at which the clock of a zone shows a time, the first if it does so twice."""
    return round(datetime(year, month, day, hour, minute, tzinfo=STANDARD[zone]).timestamp() * 1000)


def changes(zone: str) -> list[int]:
    """Return the instants from 1970 to 2037 at which the clocks of a zone change, to the millisecond."""
    found = []
    step = 7 * DAY_MS
    for week_ms in range(
        0, int((datetime(2037, 1, 1, tzinfo=UTC) - EPOCH) / timedelta(milliseconds=1)), step
    ):
        low, high = week_ms, week_ms + step
        if local(zone, low).utcoffset() == local(zone, high).utcoffset():
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if local(zone, middle).utcoffset() == local(zone, low).utcoffset():
                low = middle
            else:
                high = middle
        found.append(high)
    return found


def changes_in_file(zone: str) -> list[int]:
    """Return the changes of offset since 1970 that the 64-bit part of a zone's file (RFC 8536) lists, in milliseconds."""
    content = files("tzdata").joinpath("zoneinfo", *zone.split("/")).read_bytes()

    def counts_at(place: int) -> tuple[int, int, int]:
        _, _, leaps, times, types, letters = struct.unpack_from(">6l", content, place + 20)
        return leaps, times, types * 6 + letters

    leaps, times, rest = counts_at(0)
    begin = 44 + times * 5 + rest + leaps * 8 + sum(struct.unpack_from(">2l", content, 20))
    _, times, _ = counts_at(begin)
    instants = struct.unpack_from(f">{times}q", content, begin + 44)
    kinds = content[begin + 44 + times * 8 : begin + 44 + times * 9]
    offsets = [struct.unpack_from(">l", content, begin + 44 + times * 9 + kind * 6)[0] for kind in kinds]
    return [
        at * 1000
        for at, (before, after) in zip(instants[1:], pairwise(offsets), strict=False)
        if at >= 0 and before != after
    ]


@given(st.sampled_from(ZONES), st.integers(0, END_OF_TIME_MS))
@example("America/St_Johns", instant("America/St_Johns", 2005, 4, 3, 0, 1) - 1)
@example("America/St_Johns", instant("America/St_Johns", 2005, 10, 30, 0, 1))
@example("Asia/Shanghai", instant("Asia/Shanghai", 2024, 2, 29) - 1)
@example("Asia/Shanghai", instant("Asia/Shanghai", 2024, 3, 1))
def test_a_day_is_the_local_date(zone: str, instant_ms: int) -> None:
    """The day of any instant until the year 9999 is the date that a clock in the zone shows."""
    assert date_of_day(CALENDARS[zone].day_of(instant_ms)) == local(zone, instant_ms).date()


@pytest.mark.parametrize("zone", ZONES)
def test_days_hold_around_every_change_of_clocks(zone: str) -> None:
    """A millisecond before and after, and minutes around each change, whatever was asked for before it."""
    calendar = Calendar(zone)
    for change_ms in changes(zone):
        for offset_ms in (-HOUR_MS, -60_000, -1, 0, 1, 30_000, 60_000, 600_000, HOUR_MS):
            instant_ms = change_ms + offset_ms
            assert date_of_day(calendar.day_of(instant_ms)) == local(zone, instant_ms).date()


def test_no_clocks_change_twice_in_a_slot() -> None:
    """From 1970 on, in every zone: offsets are told from the two ends of a slot."""
    for zone in zone_names():
        instants = changes_in_file(zone)
        assert all(later - earlier > calendars._SLOT_MS for earlier, later in pairwise(instants)), zone


@given(st.sampled_from(sorted(zone_names())), st.integers(0, 2**32 * 1000))
def test_every_zone_has_the_day_of_the_standard_library(zone: str, instant_ms: int) -> None:
    """Asked first and asked again, in any order of instants about it."""
    calendar, standard = Calendar(zone), load_zone(zone)
    for near_ms in (instant_ms, instant_ms + DAY_MS, instant_ms, max(instant_ms - DAY_MS, 0)):
        shown = (EPOCH + timedelta(milliseconds=near_ms)).astimezone(standard)
        assert date_of_day(calendar.day_of(near_ms)) == shown.date()


@given(st.sampled_from(ZONES), st.integers(0, day_of_date(date(9999, 12, 28))))
@example("America/New_York", day_of_date(date(2024, 3, 10)))
@example("America/New_York", day_of_date(date(2024, 11, 3)))
@example("Australia/Lord_Howe", day_of_date(date(2024, 10, 6)))
@example("America/Havana", day_of_date(date(2018, 11, 4)))
@example("America/St_Johns", day_of_date(date(2005, 10, 30)))
def test_a_day_begins_at_its_midnight(zone: str, day: int) -> None:
    """The millisecond before a midnight is the day before, and the midnight itself the day."""
    calendar = CALENDARS[zone]
    midnight_ms = calendar.midnight_ms(day)
    assert local(zone, midnight_ms - 1).date() < date_of_day(day) <= local(zone, midnight_ms).date()
    shown = local(zone, midnight_ms)
    if shown.date() == date_of_day(day) and shown.hour == 0:
        assert (shown.minute, shown.second, shown.microsecond) == (0, 0, 0)


def test_a_day_without_midnight_begins_at_the_change() -> None:
    """In São Paulo 4 November 2018 began at 01:00."""
    calendar = Calendar("America/Sao_Paulo")
    day = day_of_date(date(2018, 11, 4))
    assert calendar.midnight_ms(day) == instant("America/Sao_Paulo", 2018, 11, 4, 1)
    assert calendar.midnight_ms(day + 1) - calendar.midnight_ms(day) == 23 * HOUR_MS


def test_a_day_that_never_was_is_empty() -> None:
    """Samoa skipped 30 December 2011: it begins and ends at the same instant."""
    calendar = Calendar("Pacific/Apia")
    day = day_of_date(date(2011, 12, 30))
    assert calendar.midnight_ms(day) == calendar.midnight_ms(day + 1)
    assert calendar.day_of(calendar.midnight_ms(day)) == day + 1


@pytest.mark.parametrize(
    ("zone", "on", "hours"),
    [
        ("America/New_York", date(2024, 3, 10), 23.0),
        ("America/New_York", date(2024, 11, 3), 25.0),
        ("Australia/Lord_Howe", date(2024, 10, 6), 23.5),
        ("Australia/Lord_Howe", date(2024, 4, 7), 24.5),
        ("Asia/Shanghai", date(2024, 2, 29), 24.0),
        ("Asia/Shanghai", date(1986, 5, 4), 23.0),
    ],
)
def test_days_are_as_long_as_the_clocks_make_them(zone: str, on: date, hours: float) -> None:
    """Short in spring, long in autumn, also by halves of an hour, and in China while it had summer time."""
    calendar, day = Calendar(zone), day_of_date(on)
    assert (calendar.midnight_ms(day + 1) - calendar.midnight_ms(day)) / HOUR_MS == hours


@given(st.sampled_from(ZONES), st.integers(0, day_of_date(date(2100, 1, 1))), st.integers(4, 23))
@example("America/New_York", day_of_date(date(2024, 3, 10)), 8)
@example("America/New_York", day_of_date(date(2024, 11, 3)), 8)
@example("Australia/Lord_Howe", day_of_date(date(2024, 10, 6)), 22)
def test_an_hour_is_what_the_clock_shows(zone: str, day: int, hour: int) -> None:
    """Hours after the changes of the night are those on the wall, not hours since midnight."""
    on = date_of_day(day)
    if (zone, on) == ("Pacific/Apia", date(2011, 12, 30)) or zone == "Pacific/Kiritimati":
        return  # whole days went missing there
    shown = local(zone, CALENDARS[zone].hour_ms(day, hour))
    assert (shown.date(), shown.hour, shown.minute, shown.second) == (on, hour, 0, 0)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"])
def test_the_24th_hour_is_the_next_midnight(zone: str) -> None:
    """Contact until 24 o'clock means until the day has ended, on every day of a year."""
    calendar = CALENDARS[zone]
    first = day_of_date(date(2024, 1, 1))
    for day in range(first, first + 366):
        assert calendar.hour_ms(day, 24) == calendar.midnight_ms(day + 1)


@given(st.sampled_from(ZONES), st.integers(END_OF_TIME_MS, 2**63 - 1))
def test_instants_beyond_all_calendars_still_have_a_day(zone: str, instant_ms: int) -> None:
    """The contract's largest instants have a day and a midnight at most a day away, though no date."""
    calendar = CALENDARS[zone]
    day = calendar.day_of(instant_ms)
    assert abs(calendar.midnight_ms(day) - instant_ms) < 2 * DAY_MS
    assert calendar.midnight_ms(day + 1) - calendar.midnight_ms(day) == DAY_MS or day < day_of_date(date.max)


@given(st.dates())
def test_dates_and_days_are_each_others_inverse(day: date) -> None:
    """Every date, leap days too, is one day number and back, and reads as ISO 8601."""
    assert date_of_day(day_of_date(day)) == day
    assert iso_date(day_of_date(day)) == day.isoformat()


def test_day_numbers_count_from_1970() -> None:
    """Day 0 is 1 January 1970, leap days count, and no day has no date."""
    assert day_of_date(date(1970, 1, 1)) == 0
    assert day_of_date(date(2024, 3, 1)) - day_of_date(date(2024, 2, 28)) == 2
    assert day_of_date(date(2100, 3, 1)) - day_of_date(date(2100, 2, 28)) == 1
    assert iso_date(None) is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both memories start over when full, and answers stay the same."""
    monkeypatch.setattr(calendars, "_CACHED_SLOTS_MAX", 10)
    monkeypatch.setattr(calendars, "_CACHED_DAYS_MAX", 10)
    calendar = Calendar("America/New_York")
    for _ in range(2):
        for day in range(19_700, 19_800):
            assert calendar.day_of(calendar.midnight_ms(day)) == day
            assert len(calendar._offsets_ms) + len(calendar._changes_ms) <= 10
            assert len(calendar._midnights_ms) <= 10


def test_every_zone_loads() -> None:
    """The packaged zones hold whatever a policy may name, and each knows its name."""
    assert {"Asia/Shanghai", "UTC", "America/Argentina/Buenos_Aires"} <= zone_names()
    for name in zone_names():
        assert load_zone(name).key == name


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "Asia", "../zones", "/etc/localtime", "asia/shanghai"])
def test_a_name_that_is_no_zone_is_refused(name: str) -> None:
    """Nor do folders, paths and other spellings name a zone."""
    with pytest.raises(ZoneInfoNotFoundError):
        Calendar(name)
