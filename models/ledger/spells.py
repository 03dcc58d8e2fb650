"""When a loan was past due, how far, and how each spell ended, on what is known up to an instant.

What was learnt since counts: a payment that bounced did not end a spell, and one that a snapshot or a void disproved was
none. So the past is told as it was, not as it was believed to be then.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from models.ledger.folding import fold, oldest_unpaid, tolerance_minor_of
from models.ledger.journal import Balances, Loan
from models.ledger.standing import was_compensated, was_settled_for_less
from models.policy import Policy
from models.rules import Rules

SpellEnd = Literal["paid", "rescheduled", "compensated", "closed", "corrected"]


class Spell(Struct, frozen=True, gc=False):
    """One time past due, beyond the grace; `until_ms` is None while it lasts."""

    from_ms: int
    until_ms: int | None
    worst_days_past_due: int
    ended: SpellEnd | None


def may_have_spells(loan: Loan, days_min: int, rules: Rules) -> bool:
    """Whether a spell of so many days may have ended: told from the balances kept, without folding anything."""
    if loan.now.worst_days_past_due >= days_min:
        return True
    return loan.closed_ms is not None and oldest_unpaid(loan.now, tolerance_minor_of(rules)) is not None


def spells(loan: Loan, at_ms: int, known_ms: int, opens_after_days: int, rules: Rules) -> list[Spell]:
    """The spells past due up to `at_ms`, in order of time, on entries up to `known_ms`.

    Args:
        loan: the ledger; before its base nothing is told apart.
        at_ms: the instant to which time has come.
        known_ms: the last instant whose entries count.
        opens_after_days: days past due at which a spell begins.
        rules: tolerance and calendar.
    """
    points = _oldest_due_days(loan, known_ms, rules)
    found: list[Spell] = []
    begun_ms: int | None = None
    worst_days = 0
    for place, (time_ms, due_day) in enumerate(points):
        is_last = place + 1 == len(points)
        next_ms = at_ms if is_last else points[place + 1][0]
        opening_ms = None if due_day is None else rules.calendar.midnight_ms(due_day + opens_after_days)
        if begun_ms is not None and (opening_ms is None or opening_ms > time_ms):
            found.append(Spell(begun_ms, time_ms, worst_days, _end_of(loan, begun_ms, time_ms, rules)))
            begun_ms, worst_days = None, 0
        if due_day is not None and opening_ms is not None and opening_ms <= next_ms:
            begun_ms = max(opening_ms, time_ms) if begun_ms is None else begun_ms
            worst_days = max(worst_days, rules.calendar.day_of(next_ms) - due_day)
    if begun_ms is not None:
        found.append(Spell(begun_ms, None, worst_days, None))
    return found


class _Told(NamedTuple):
    """What the whole journal tells, and the journal of which it tells: every entry changes one of these."""

    points: list[tuple[int, int | None]]
    now: Balances
    upto_ms: int
    base: Balances
    payments: int
    lines: int
    policy: Policy


def _oldest_due_days(loan: Loan, known_ms: int, rules: Rules) -> list[tuple[int, int | None]]:
    """Each instant of an entry, with the oldest unpaid line's last day to pay after it.

    What the whole journal tells is kept beside the loan, and never in the state, until there is another entry: who is in
    trouble is asked at every contact and every deadline.
    """
    if known_ms < loan.now.upto_ms:
        return _fold_due_days(loan, known_ms, rules)
    told: _Told | None = vars(loan).get("due_days")
    if (
        told is None
        or told.now is not loan.now
        or told.upto_ms != loan.now.upto_ms
        or told.base is not loan.base
        or told.payments != len(loan.payments)
        or told.lines != len(loan.lines)
        or told.policy is not rules.policy
    ):
        points = _grown_due_days(loan, told, rules) or _fold_due_days(loan, known_ms, rules)
        told = _Told(
            points, loan.now, loan.now.upto_ms, loan.base, len(loan.payments), len(loan.lines), rules.policy
        )
        vars(loan)["due_days"] = told
    return told.points


def _grown_due_days(loan: Loan, told: _Told | None, rules: Rules) -> list[tuple[int, int | None]] | None:
    """What was told, and a point for a payment that was entered since and nothing else; None where it is to be told anew.

    What is no step of its own at the end of the journal (a reversal, a new schedule) folds it into other balances.
    """
    if (
        told is None
        or told.now is not loan.now
        or told.base is not loan.base
        or told.policy is not rules.policy
        or told.lines != len(loan.lines)
        or told.payments + 1 != len(loan.payments)
        or loan.closed_ms is not None
        or not told.upto_ms < loan.payments[-1].time_ms == loan.now.upto_ms
    ):
        return None
    oldest = oldest_unpaid(loan.now, tolerance_minor_of(rules))
    due_day = None if oldest is None else rules.last_day_to_pay(loan.lines[oldest].due_day)
    return [*told.points, (loan.now.upto_ms, due_day)]


def _fold_due_days(loan: Loan, known_ms: int, rules: Rules) -> list[tuple[int, int | None]]:
    points: list[tuple[int, int | None]] = []
    tolerance_minor = tolerance_minor_of(rules)

    def observe(time_ms: int, balances: Balances) -> None:
        oldest = oldest_unpaid(balances, tolerance_minor)
        day = None if oldest is None else rules.last_day_to_pay(loan.lines[oldest].due_day)
        points.append((time_ms, day))

    fold(loan, known_ms, known_ms, rules, observe=observe)
    if loan.closed_ms is not None and loan.closed_ms <= known_ms:
        points = [point for point in points if point[0] < loan.closed_ms]
        points.append((loan.closed_ms, None))
    return points


def _end_of(loan: Loan, from_ms: int, until_ms: int, rules: Rules) -> SpellEnd:
    if loan.closed_ms is not None and loan.closed_ms <= until_ms:
        if loan.closing_reason == "refinanced":
            return "rescheduled"
        if loan.closing_reason != "settled":
            return "closed"
    elif any(correction.time_ms == until_ms for correction in loan.corrections):
        return "corrected"
    elif until_ms in loan.reschedules_ms:
        return "rescheduled"
    is_forgiven = was_compensated(loan, from_ms, until_ms) or was_settled_for_less(loan, from_ms, rules)
    return "compensated" if is_forgiven else "paid"
