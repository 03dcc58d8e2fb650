"""Flips of comparisons that mean the same: by the name `python -m tests.mutation.comparisons` gives them, the reason.

None of them counts as noticed. A flip belongs here only where no input whatever can tell it from the code as it is.
"""

from __future__ import annotations

from typing import Final

EQUIVALENT: Final[dict[str, str]] = {
    "income_picture._set_scene: len(income) > 1 -> len(income) >= 1": (
        "The main currency of one source is its own: the list that comes back is the same."
    ),
    "income_drop._may_be_a_part_month: first_pays > 0 -> first_pays >= 0": (
        "Without any first pay it then says yes where less than `watch` is lost, where nothing is found anyway."
    ),
    "income_drop._next_settled_check: today < last_day -> today <= last_day": (
        "On the last day it then names that very day instead of none, and only days after today are taken."
    ),
    "risk_score._wakes_ms: due_day - QUIET_DAYS > day -> due_day - QUIET_DAYS >= day": (
        "It is asked only about who is forgotten: nothing falls due within `QUIET_DAYS`, so the two are never equal."
    ),
}
