"""Instalments that are late by days, of borrowers of the second version who pay all the same.

Most slips are short: half of them a week or less. None is as long as the month, so that whoever is later has stopped paying.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

from streams.simulator.dice import Dice
from streams.simulator.shortage import LATE_DAYS_MOST

_LEAST_DAYS: Final = 1
_SPAN_DAYS: Final = LATE_DAYS_MOST - _LEAST_DAYS


def draw_late_days(dice: Dice) -> int:
    """How many days late: the square of a die, so that short is likelier."""
    return _LEAST_DAYS + int(_SPAN_DAYS * dice.roll() ** 2)


def share_still_late(days: int) -> float:
    """Of slips, those that last so many days or longer."""
    if days <= _LEAST_DAYS:
        return 1.0
    return max(0.0, 1 - sqrt((days - _LEAST_DAYS) / _SPAN_DAYS))
