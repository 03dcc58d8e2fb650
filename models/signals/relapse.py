"""`relapse`: credit that was repaired, and then a payment missed again within a year.

It is about the borrower: a spell past due on one loan that came right, and later a miss on the same loan or another. It opens
with the new miss and ends with it; how far that miss has come is `missed_payment`'s to say. Severity follows how many spells
there were, and how bad the worst earlier one was.

What does not count, and why:

- a spell shorter than `repaired_days_min`: a payment some days late is a slip, not credit that had to be repaired;
- one that a guarantor, an insurer or the lender ended, or a write-off or sale: nothing was repaired;
- one that a snapshot showed to be the ledger's own mistake;
- one that was still going on when the new miss began: two loans in trouble at one time are one trouble;
- a payment that bounced ended no spell: before and after it are one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from models.alerts import Finding, Reason, Resolution, Severity, Text
from models.borrower import Borrower
from models.calendars import DAY_MS, iso_date
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import REPAYMENTS
from models.ledger import Loan, Spell, may_have_spells, oldest_unpaid_day, spells
from models.rules import Rules
from models.signals import missed_payment
from models.signals.binding import BORROWER_LEVEL

_REPAIRS: Final = frozenset({"paid", "rescheduled"})


def judge(loans: dict[str, Loan], at_ms: int, rules: Rules, *, deadline: bool = False) -> Finding | None:
    """The spells before the present misses, as of `at_ms`; None where nothing is missed, or nothing was repaired before."""
    known_ms = at_ms - 1 if deadline else at_ms
    if not _may_relapse(loans, rules):
        return None
    if not any(_is_missed(loan, at_ms, known_ms, rules) for loan in loans.values()):
        return None
    policy = rules.policy.signals.relapse
    present, earlier = _spells_of(loans, at_ms, known_ms, rules)
    memory_ms = policy.memory_days * DAY_MS
    before = [
        (loan_id, spell)
        for loan_id, spell in earlier
        if any(
            spell.until_ms is not None and 0 < miss.from_ms - spell.until_ms <= memory_ms for miss in present
        )
    ]
    if not before:
        return None
    count, worst_days = len(before) + 1, max(spell.worst_days_past_due for _, spell in before)
    severity = _severity_of(count, worst_days, rules)
    return None if severity is None else Finding(severity, (_reason(before, count, worst_days, rules),))


def next_deadline_ms(loans: dict[str, Loan], after_ms: int, rules: Rules) -> int:
    """The next midnight at which a miss may begin; never, where nothing was repaired before."""
    if not _may_relapse(loans, rules):
        return NEVER
    return min(
        (
            due_ms
            for loan in loans.values()
            if (due_ms := missed_payment.next_deadline_ms(loan, after_ms, rules)) is not None
        ),
        default=NEVER,
    )


def resolution(loans: dict[str, Loan], opened_ms: int, at_ms: int, rules: Rules) -> Resolution | None:
    """How the miss ended with which the relapse ends: the one that ended last."""
    ended = [
        (spell.until_ms, loan_id, spell.from_ms)
        for loan_id, loan in loans.items()
        for spell in spells(loan, at_ms, at_ms, _opening_days(rules), rules)
        if spell.until_ms is not None and spell.until_ms >= opened_ms
    ]
    if not ended:
        return None
    _, loan_id, from_ms = max(ended)
    return missed_payment.resolution(loans[loan_id], from_ms, at_ms, rules)


def may_matter(loans: dict[str, Loan], rules: Rules) -> bool:
    """Whether an event of a loan can touch the signal at all: told without folding anything."""
    return _may_relapse(loans, rules)


def _spells_of(
    loans: dict[str, Loan], at_ms: int, known_ms: int, rules: Rules
) -> tuple[list[Spell], list[tuple[str, Spell]]]:
    """The misses that last, and the spells that were repaired."""
    policy = rules.policy.signals.relapse
    present: list[Spell] = []
    repaired: list[tuple[str, Spell]] = []
    for loan_id, loan in loans.items():
        if not may_have_spells(loan, policy.repaired_days_min, rules) and not _is_missed(
            loan, at_ms, known_ms, rules
        ):
            continue
        for spell in spells(loan, at_ms, known_ms, _opening_days(rules), rules):
            if spell.until_ms is None:
                present.append(spell)
            elif spell.ended in _REPAIRS and spell.worst_days_past_due >= policy.repaired_days_min:
                repaired.append((loan_id, spell))
    return present, repaired


def _may_relapse(loans: dict[str, Loan], rules: Rules) -> bool:
    days_min = rules.policy.signals.relapse.repaired_days_min
    for loan in loans.values():
        if loan.now.worst_days_past_due >= days_min:
            return True
        if loan.closed_ms is not None and may_have_spells(loan, days_min, rules):
            return True
    return False


def _is_missed(loan: Loan, at_ms: int, known_ms: int, rules: Rules) -> bool:
    due_day = oldest_unpaid_day(loan, known_ms, rules)
    return due_day is not None and rules.calendar.day_of(at_ms) - due_day >= _opening_days(rules)


def _opening_days(rules: Rules) -> int:
    """Days past due at which `missed_payment` opens."""
    return max(rules.silent_days + 1, rules.policy.signals.missed_payment.severity.watch)


def _severity_of(count: int, worst_days: int, rules: Rules) -> Severity | None:
    policy = rules.policy.signals.relapse
    if count >= policy.severity.serious or worst_days >= policy.worst_days_past_due.serious:
        return Severity.SERIOUS
    if count >= policy.severity.warning or worst_days >= policy.worst_days_past_due.warning:
        return Severity.WARNING
    return Severity.WATCH if count >= policy.severity.watch else None


def _reason(before: list[tuple[str, Spell]], count: int, worst_days: int, rules: Rules) -> Reason:
    policy = rules.policy.signals.relapse
    day_of = rules.calendar.day_of
    spans = [
        f"{iso_date(day_of(spell.from_ms))}..{iso_date(day_of(spell.until_ms or 0))} "
        f"{spell.worst_days_past_due}d {loan_id}"
        for loan_id, spell in sorted(before, key=lambda known: (known[1].from_ms, known[0]))
    ]
    latest = iso_date(day_of(max(spell.until_ms or 0 for _, spell in before)))
    return Reason(
        code="RL-SPELLS",
        text=Text(
            en=f"Past due again: spell {count} within {policy.memory_days} days of the one before. The earlier ones reached "
            f"{worst_days} days past due at worst; the last was made good on {latest}.",
            zh=f"再次逾期：距上一次逾期结束 {policy.memory_days} 天内的第 {count} 次逾期。此前最长逾期 {worst_days} 天，"
            f"最近一次于 {latest} 还清。",
        ),
        evidence={
            "spells": count,
            "threshold": policy.severity.watch,
            "worst_days_past_due": worst_days,
            "memory_days": policy.memory_days,
            "last_repaired_date": latest,
            "earlier_spells": "; ".join(spans[-_SPELLS_TOLD_MAX:]),
        },
    )


_SPELLS_TOLD_MAX: Final = 12
"""Earlier spells named one by one, the latest: as many as a year has months."""


class Relapse:
    """`relapse`, of the borrower as a whole, on the watermark of `repayments`; no cooldown: every miss counts."""

    name: Final = "relapse"
    clock: Final = REPAYMENTS
    feed: Final = REPAYMENTS
    looks_often: Final = False

    def cooldown_days(self, rules: Rules) -> int:
        """A third miss is worse than the second."""
        return 0

    def subjects(self, borrower: Borrower) -> Iterable[str | None]:
        """The borrower."""
        return BORROWER_LEVEL

    def judge(
        self,
        borrower: Borrower,
        subject: str | None,
        at_ms: int,
        episode: Episode | None,
        rules: Rules,
        *,
        deadline: bool,
    ) -> Finding | None:
        """Spells before the present miss, as of `at_ms`."""
        return judge(borrower.loans, at_ms, rules, deadline=deadline)

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next midnight at which a miss may begin."""
        return next_deadline_ms(borrower.loans, after_ms, rules)

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """As the miss ended."""
        return resolution(borrower.loans, episode.opened_ms, at_ms, rules)
