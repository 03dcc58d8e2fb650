"""Whether a missing pay says anything of the borrower: what could be seen of the account into which its source pays.

Where the account was unlinked before the pay failed to come, or had fallen silent as a whole (`fell_silent`), the missing
pay says nothing. Each account is judged by itself: others that live on do not show where the pay went.
"""

from __future__ import annotations

from typing import Final, Literal

from models.income import Account, is_active, week_of, weeks_up_to
from models.rhythm import Stream, end_of_standing
from models.rules import Rules

_SILENT_MEMORY_WEEKS: Final = 12
"""Weeks before a silence that tell an account's own frequency of flows: enough for three of a flow a month."""
_SILENT_ACTIVE_WEEKS_MIN: Final = 3
"""Fewer active weeks among them, and silence is nothing new: then a missing pay is a missing pay."""

Blindness = Literal["silent", "unlinked", ""]
"""Why a missing pay says nothing; empty where it does."""


def was_always_seen(account: Account) -> bool:
    """Whether the account was never unlinked: then what stands stands for as long as its rhythm says."""
    links = account.links
    if len(links) <= 1:  # as nearly always: linked once
        return not links or links[0] % 2 == 1
    return all(link % 2 for link in links)


def sight_of(account: Account, stream: Stream, at_ms: int, rules: Rules) -> tuple[int, int | None]:
    """When the last pay stands no more, given what we could see, and since which day we see the account no more.

    An unlink after that day changes nothing: the pay had failed to come in our sight. A link after an unlink
    before it begins the waiting anew.
    """
    day_of = rules.calendar.day_of
    last_pay_day = stream.days[-1]
    end_day = end_of_standing(stream, len(stream.levels) - 1)
    dark_day: int | None = None
    for link in account.links:
        instant_ms, is_linked = divmod(link, 2)
        if instant_ms > at_ms:
            break
        day = day_of(instant_ms)
        if is_linked and dark_day is not None:
            end_day = max(end_day, day + stream.reach_days + 1)
            dark_day = None
        elif not is_linked and dark_day is None and last_pay_day <= day < end_day:
            dark_day = day
    return end_day, dark_day


def fell_silent(account: Account, streams: list[Stream], stream: Stream, today: int) -> bool:
    """Whether nothing at all moved on the account since before the missing pay was expected, against its habit.

    Judged when the last pay lost its standing, in whole weeks: it still moved about the last pay, has been silent since the
    week of the expected pay or longer, and for longer than ever in the `_SILENT_MEMORY_WEEKS` before, in at least
    `_SILENT_ACTIVE_WEEKS_MIN` of which it moved. A sign of life since then ends the silence. An account on which nothing
    but pay (and own transfers) ever moved can fall silent in no other way than by the pay's absence: it never is silent.
    """
    last_day = stream.days[-1]
    expected_day = last_day + stream.pace_days
    last_whole_week = week_of(end_of_standing(stream, len(stream.levels) - 1)) - 1
    weeks = weeks_up_to(account, last_whole_week)
    silent_weeks = (weeks & -weeks).bit_length() - 1
    before = (weeks >> max(silent_weeks, 0)) & ((1 << _SILENT_MEMORY_WEEKS) - 1)
    if before.bit_count() < _SILENT_ACTIVE_WEEKS_MIN:
        return False
    if silent_weeks <= max(last_whole_week - week_of(expected_day), _longest_silence(before)):
        return False
    if silent_weeks > last_whole_week - week_of(last_day) + 1:
        return False
    if is_active(account, last_whole_week + 1, week_of(today) - 1):
        return False
    number = stream.account
    return not any(other.account == number and other.days[-1] >= expected_day for other in streams)


def _longest_silence(weeks: int) -> int:
    """The most weeks in a row without a bit, between two with one."""
    return max(map(len, f"{weeks:b}".strip("0").split("1")))
