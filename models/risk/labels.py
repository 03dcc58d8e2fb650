"""What became of an observed borrower: when to look, for how long, and what counts as bad, good, or neither.

**When.** A borrower is observed every `observes_every_days` of the policy, thirty by default, so that the horizons of two
observations overlap and not those of sixty; at the local midnight of a day drawn from the hash of the id, so
that the examples of a book are spread over the month; not while a loan is at the target already, nor during a dispute,
nor without an open loan. The features are frozen there.

**For how long.** Until the midnight `horizon_days` later; where all open loans are short ones, after their own horizon. Only then
does the example mature, bad ones too: were the bad ones learnt from as soon as they are known, the newest examples would
be nearly all bad.

**What counts** is the first of these to happen, over all own loans, those opened meanwhile included:

| bad | a loan reaches its target; it is written off, sold, or made good by others while past due; it is settled for less than was \
past due; it gets a new schedule while past due |
|---|---|
| neither: censored | the borrower disputes a debt or dies; a loan is refinanced by us, or ends for a reason that nobody named; it turns \
out that the target had been reached before the observation |
| good | none of them until maturity |

A refinanced loan is censored even where it was past due: nobody knows what would have become of it. What was learnt by maturity counts,
also of payments that bounced and corrections since. Everything here is a function of the picture and of instants: the
engine keeps what is pending, and asks when it matures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

from models.events import ClosingReason
from models.ledger import Loan, may_have_spells, oldest_unpaid_day, spells, standing
from models.rules import Rules
from models.servicing import ServicingEvidence, hold_as_of

SHORT_TERM_DAYS: Final = 30
"""A loan whose last instalment falls due so soon after its opening is a short one: it would be over before the target."""
SHORT_TARGET_DAYS_LATE: Final = 7
SHORT_HORIZON_DAYS: Final = 45
"""Its own target (blueprint, section 6): a month to run, a week late, a week to hear of it."""

Outcome = Literal["bad", "good", "censored"]
OutcomeReason = Literal[
    "days_late",
    "compensated",
    "written_off",
    "sold",
    "restructured",
    "disputed",
    "deceased",
    "refinanced",
    "closed",
    "at_target_before",
    "paid_as_agreed",
]


class Target(NamedTuple):
    """What a loan is watched for: so many days past due, within so many days."""

    days_late: int
    horizon_days: int


_SHORT_TARGET: Final = Target(SHORT_TARGET_DAYS_LATE, SHORT_HORIZON_DAYS)


class Label(NamedTuple):
    """What became of a borrower, why, and when that was decided; a good one is decided by maturity."""

    outcome: Outcome
    reason: OutcomeReason
    decided_ms: int


_ENDINGS: Final[dict[ClosingReason, tuple[Outcome, OutcomeReason]]] = {
    "compensated": ("bad", "compensated"),
    "written_off": ("bad", "written_off"),
    "sold": ("bad", "sold"),
    "deceased": ("censored", "deceased"),
    "refinanced": ("censored", "refinanced"),
    "other": ("censored", "closed"),
}
"""What the end of a loan decides; one settled or cancelled decides nothing."""
_PAST_DUE_DAYS: Final = 1


# ---- when to look ----------------------------------------------------------------------------------------------------


def next_observation_ms(borrower_id: str, after_ms: int, rules: Rules) -> int:
    """The first midnight later than `after_ms` at which a borrower is to be observed."""
    day, every_days = rules.calendar.day_of(after_ms) + 1, rules.policy.model.observes_every_days
    return rules.calendar.midnight_ms(day + (_phase(borrower_id, every_days) - day) % every_days)


def is_observed_at(borrower_id: str, at_ms: int, rules: Rules) -> bool:
    """Whether an instant is one of the midnights at which a borrower is to be observed."""
    day, every_days = rules.calendar.day_of(at_ms), rules.policy.model.observes_every_days
    return day % every_days == _phase(borrower_id, every_days) and rules.calendar.midnight_ms(day) == at_ms


def _phase(borrower_id: str, every_days: int) -> int:
    return int.from_bytes(hashlib.sha256(borrower_id.encode()).digest()[:8], "big") % every_days


def has_something_to_foretell(loans: dict[str, Loan], servicing: ServicingEvidence, at_ms: int) -> bool:
    """Whether a loan is open at a midnight, and no dispute."""
    return bool(_open_loans(loans, at_ms)) and hold_as_of(servicing, at_ms - 1, at_ms) != "dispute"


def is_any_at_target(loans: dict[str, Loan], at_ms: int, rules: Rules) -> bool:
    """Whether an open loan has reached its target already."""
    return any(
        standing(loan, at_ms, rules, deadline=True).days_past_due >= target_of(loan, at_ms, rules).days_late
        for loan in _open_loans(loans, at_ms)
    )


def is_below_all_targets(days_past_due: float, rules: Rules) -> bool:
    """Whether no loan can be at its target where none is more days past due."""
    return days_past_due < min(SHORT_TARGET_DAYS_LATE, rules.policy.risk.target_days_late)


def matures_ms(loans: dict[str, Loan], observed_ms: int, rules: Rules) -> int:
    """The midnight at which an observation of that midnight matures: the longest horizon of the loans open then."""
    days = 0
    for loan in _open_loans(loans, observed_ms):
        horizon_days = target_of(loan, observed_ms, rules).horizon_days
        if horizon_days > days:
            days = horizon_days
    return _days_later(observed_ms, days, rules)


def target_of(loan: Loan, at_ms: int, rules: Rules) -> Target:
    """What a loan is watched for, by its schedule as of the midnight `at_ms`. Lines stand in order of their due days."""
    for line in reversed(loan.lines):
        if line.since_ms < at_ms and not line.is_bill:
            if line.due_day - rules.calendar.day_of(loan.opened_ms) <= SHORT_TERM_DAYS:
                return _SHORT_TARGET
            break
    risk = rules.policy.risk
    return Target(risk.target_days_late, risk.horizon_days)


# ---- what became of it -----------------------------------------------------------------------------------------------


def label(
    loans: dict[str, Loan], servicing: ServicingEvidence, observed_ms: int, matured_ms: int, rules: Rules
) -> Label:
    """What became of a borrower from the midnight `observed_ms` to the midnight `matured_ms`, on what was known by then.

    Of what happens at one instant, a bad thing counts before one that censors.
    """
    found = list(_disputes(servicing, observed_ms, matured_ms))
    for loan in loans.values():
        found += decided_by(loan, observed_ms, matured_ms, rules)
    return earliest(found) if found else Label("good", "paid_as_agreed", matured_ms)


def earliest(found: Iterable[Label]) -> Label:
    """What decides of several things: the first, of one instant a bad one; whatever the order in which they are told."""
    return min(found, key=lambda decided: (decided.decided_ms, decided.outcome != "bad", decided.reason))


def decided_by(loan: Loan, observed_ms: int, matured_ms: int, rules: Rules) -> list[Label]:
    """Everything about one loan that decides what became of its borrower between the two midnights; in no order."""
    if loan.is_voided or loan.opened_ms >= matured_ms:
        return []
    closed_ms = loan.closed_ms
    if closed_ms is not None and closed_ms < observed_ms:
        return []
    if (closed_ms is None or loan.closing_reason not in _ENDINGS) and _was_never_late(
        loan, matured_ms, rules
    ):
        return []  # as nearly always: its target need not be known
    return list(_decided_by_loan(loan, observed_ms, matured_ms, rules))


def contacts_between(servicing: ServicingEvidence, observed_ms: int, matured_ms: int) -> int:
    """Attempts at the borrower meanwhile: what was done against the risk, to be told beside the features, never in them."""
    return sum(
        observed_ms <= contact.time_ms < matured_ms and contact.may_be_at_borrower
        for contact in servicing.contacts
    )


def _decided_by_loan(loan: Loan, observed_ms: int, matured_ms: int, rules: Rules) -> Iterator[Label]:
    """Everything about one loan, open then or opened since, that decides within its own horizon."""
    closed_ms = loan.closed_ms
    begun_ms = max(observed_ms, loan.opened_ms)
    target = target_of(loan, begun_ms + 1, rules)
    end_ms = min(matured_ms, _days_later(observed_ms, target.horizon_days, rules))
    if closed_ms is not None and closed_ms < end_ms and loan.closing_reason in _ENDINGS:
        yield Label(*_ENDINGS[loan.closing_reason], closed_ms)
    worst_days = max(loan.now.worst_days_past_due, _days_past_due(loan, end_ms, rules))
    if worst_days < _PAST_DUE_DAYS and not may_have_spells(loan, _PAST_DUE_DAYS, rules):
        return
    if worst_days >= target.days_late or may_have_spells(loan, target.days_late, rules):
        for spell in spells(loan, end_ms, end_ms - 1, target.days_late, rules):
            if observed_ms < spell.from_ms <= end_ms:
                yield Label("bad", "days_late", spell.from_ms)
            elif spell.from_ms <= observed_ms and (spell.until_ms is None or spell.until_ms > observed_ms):
                yield _found_out(loan, observed_ms, target, rules)
    if closed_ms is None and not loan.reschedules_ms and not _was_ever_helped(loan):
        return
    for spell in spells(loan, end_ms, end_ms - 1, _PAST_DUE_DAYS, rules):
        until_ms = spell.until_ms
        if until_ms is None or not observed_ms <= until_ms < end_ms:
            continue
        if spell.ended == "compensated":
            yield Label("bad", "compensated", until_ms)
        elif spell.ended == "rescheduled" and until_ms != closed_ms:
            yield Label("bad", "restructured", until_ms)


def _was_never_late(loan: Loan, at_ms: int, rules: Rules) -> bool:
    """Whether the loan was past due at no midnight up to `at_ms`, told from what is kept: in doubt not.

    Whoever pays late is noted as such; a snapshot may end what is past due without a note.
    """
    if loan.corrections or may_have_spells(loan, _PAST_DUE_DAYS, rules):
        return False
    return _days_past_due(loan, at_ms, rules) < _PAST_DUE_DAYS


def _was_ever_helped(loan: Loan) -> bool:
    """Whether any payment was not the borrower's own money: only then a spell may have been made good by others."""
    return any(payment.compensates or payment.is_waiver for payment in loan.payments)


def _found_out(loan: Loan, observed_ms: int, target: Target, rules: Rules) -> Label:
    """The loan was at its target when it was observed, on what is known since: bad where a payment bounced after that."""
    then = standing(loan, observed_ms, rules, deadline=True)
    if then.days_past_due >= target.days_late:
        return Label("censored", "at_target_before", observed_ms)
    bounced_ms = min(
        (
            part.time_ms
            for payment in loan.payments
            for part in payment.reversals
            if part.time_ms >= observed_ms
        ),
        default=observed_ms,
    )
    return Label("bad", "days_late", bounced_ms)


def _days_past_due(loan: Loan, at_ms: int, rules: Rules) -> int:
    """At a midnight; less than 1 where nothing is past due."""
    due_day = oldest_unpaid_day(loan, at_ms - 1, rules)
    return 0 if due_day is None else rules.calendar.day_of(at_ms) - due_day


def _disputes(servicing: ServicingEvidence, observed_ms: int, matured_ms: int) -> Iterable[Label]:
    """Each dispute that begins meanwhile."""
    return [
        Label("censored", "disputed", entry.time_ms)
        for entry in servicing.holds
        if entry.reason == "dispute" and not entry.is_release and observed_ms <= entry.time_ms < matured_ms
    ]


def _open_loans(loans: dict[str, Loan], at_ms: int) -> list[Loan]:
    """Those open at a midnight."""
    return [
        loan
        for loan in loans.values()
        if loan.opened_ms < at_ms
        and (loan.closed_ms is None or loan.closed_ms >= at_ms)
        and not loan.is_voided
    ]


def _days_later(midnight_ms: int, days: int, rules: Rules) -> int:
    return rules.calendar.midnight_ms(rules.calendar.day_of(midnight_ms) + days)
