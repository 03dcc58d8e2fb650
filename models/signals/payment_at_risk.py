"""`payment_at_risk`: the balance seen does not cover what the own loans ask for in the next days. An early, kind warning.

**Found** where an instalment falls due within `ahead_days` and the money in sight at the last local midnight, with the pay that
is awaited by its due date, is less than all that falls due up to it. That fraction is the *coverage*; of several
instalments the worst is told. `serious` needs a due date within `serious_days` as well. Money is looked at at midnights (`next_deadline_ms` says which):
what a day does to an account and undoes again is no risk. Payments count at once. An open alert eases only when
coverage is `ease_margin` above the threshold that it fell below.

**What does not count.** A loan that is past due already: `missed_payment` speaks of it, and a reminder of the next date would
mock. Amounts within the tolerance. Pay that is awaited before the due date covers, unless it is overdue itself: most people pay
their instalments out of the pay that comes just before. An account out of sight (`models.balances`) may hold the money: then
nothing is found, nor where no balance is as new as `fresh_days`. Currencies are kept apart, for nothing here knows rates.

**Ends** with the midnight that ends the due date (`passed`: `missed_payment` takes over), when it is paid, or when money has come.

The watermark is that of `repayments`: what must not be missed is a payment already made, and one and the same midnight hands
over to `missed_payment`. A fund-flow feed that stands still cannot raise an alarm, for old balances do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Final, NamedTuple

from models.alerts import SEVERITIES, Finding, Reason, Resolution, Severity, Text, plain_number
from models.balances import BalanceEvidence, Sight, most_minor, sight
from models.borrower import Borrower
from models.calendars import iso_date
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import REPAYMENTS
from models.income import IncomeEvidence
from models.income_level import awaited_pays
from models.ledger import Loan, balances_at
from models.limits import INT64_MAX
from models.money import format_amount
from models.obligations import is_open, next_unpaid_day, oldest_lines
from models.policy import PaymentAtRiskPolicy
from models.rules import Rules
from models.signals.binding import BORROWER_LEVEL
from models.signals.missed_payment import resolution as loan_resolution


class Coverage(NamedTuple):
    """What is compared, in one currency; amounts in minor units."""

    currency: str
    due_day: int
    """Of an instalment that is near."""
    due_minor: int
    """All that falls due from today up to then."""
    awaited_minor: int
    """Pay awaited up to then."""
    sight: Sight

    @property
    def fraction(self) -> float:
        """Part of what falls due that is there or awaited."""
        return (self.sight.total_minor + self.awaited_minor) / self.due_minor


def judge(
    loans: dict[str, Loan],
    balances: BalanceEvidence,
    income: IncomeEvidence,
    at_ms: int,
    open_severity: Severity | None,
    rules: Rules,
    *,
    deadline: bool = False,
) -> Finding | None:
    """Find what is not covered as of `at_ms`.

    Args:
        loans: the own loans of one borrower.
        balances: on the accounts that we may see, as of the last local midnight.
        income: for the pay that is awaited.
        at_ms: later evidence does not count.
        open_severity: of the open alert, which eases with a margin.
        rules: the policy.
        deadline: `at_ms` is a midnight; what happens at that very instant belongs to the day that begins.
    """
    if not balances.accounts:
        return None
    policy = rules.policy.signals.payment_at_risk
    day = rules.calendar.day_of(at_ms)
    dues = _dues(loans, at_ms - 1 if deadline else at_ms, day, policy.ahead_days, rules)
    if not dues:
        return None
    margin = 0.0 if open_severity is None else policy.ease_margin
    worst: tuple[Severity, float, Coverage] | None = None
    enough = policy.severity.watch + margin
    for currency in sorted(dues):
        if most_minor(balances, currency, day) >= enough * sum(
            short_minor for _, short_minor in dues[currency]
        ):
            continue  # plainly enough: of what else is asked nothing can lessen it but not knowing
        seen = sight(balances, currency, day, policy.fresh_days, rules)
        if seen.is_blind or not seen.is_fresh:
            continue
        for coverage in _coverages(dues[currency], currency, seen, income, day, rules):
            reached = _severity(coverage, day, open_severity, policy)
            if reached is None:
                continue
            if worst is None or (-reached[0], coverage.fraction) < (-worst[0], worst[2].fraction):
                worst = (*reached, coverage)
    if worst is None:
        return None
    severity, threshold, coverage = worst
    return Finding(severity, (_reason(coverage, threshold),))


def next_deadline_ms(
    loans: dict[str, Loan],
    balances: BalanceEvidence,
    after_ms: int,
    open_severity: Severity | None,
    rules: Rules,
) -> int | None:
    """The next local midnight at which money is looked at: `ahead_days` before, `serious_days` before, and on the due date.

    While an alert is open, each midnight until the one that ends the due date. Looking every day at those who have
    enough would cost more than it finds.
    """
    if not balances.accounts:
        return None
    policy = rules.policy.signals.payment_at_risk
    day = rules.calendar.day_of(after_ms)
    next_day: int | None = None
    for loan in loans.values():
        due_day = next_unpaid_day(loan, after_ms, rules)
        if due_day is not None and due_day >= day:
            look_day = max(due_day - policy.ahead_days, day + 1)
            if open_severity is None:
                look_day = _next_look_day(due_day, day, policy)
            if next_day is None or look_day < next_day:
                next_day = look_day
    return None if next_day is None else rules.calendar.midnight_ms(next_day)


def _next_look_day(due_day: int, day: int, policy: PaymentAtRiskPolicy) -> int:
    """The day after `day`, which is not after the due date, at whose beginning one who has enough is looked at next."""
    look_day = due_day + 1 if day == due_day else due_day
    for days in (policy.ahead_days, policy.serious_days):
        if day < due_day - days < look_day:
            look_day = due_day - days
    return look_day


def next_look_ms(
    loans: dict[str, Loan],
    balances: BalanceEvidence,
    after_ms: int,
    open_severity: Severity | None,
    rules: Rules,
    oldest: Sequence[tuple[Loan, int]] | None = None,
) -> int | None:
    """`next_deadline_ms`, or None where what is known by now is plainly enough for all that is looked at.

    How much that takes is left in `balances`: whoever records a balance below it asks once more, and whatever changes the
    dues is judged. So nobody is looked at who has enough all the time.

    `oldest`: what `oldest_lines` tells of the loans, where somebody has asked already.
    """
    balances.enough_minor = 0
    if open_severity is None and balances.accounts:
        if oldest is None:
            oldest = oldest_lines(loans, after_ms, rules)
        if oldest:
            balances.enough_minor = _enough_minor(oldest, balances, after_ms, rules)
            if balances.enough_minor:
                return None
    return next_deadline_ms(loans, balances, after_ms, open_severity, rules)


def _enough_minor(
    oldest: Sequence[tuple[Loan, int]], balances: BalanceEvidence, after_ms: int, rules: Rules
) -> int:
    """What a balance has to hold that all dues up to the last look are covered whenever they are looked at; 0 where less is seen.

    All that falls due is asked for at once, and what is seen is taken as old as it will be at the last look. It cannot be
    told where something is known already that counts from later on.
    """
    signals, day = rules.policy.signals, rules.calendar.day_of(after_ms)
    if balances.newest_day > day:
        return 0
    policy, tolerance_minor, last_day = signals.payment_at_risk, signals.missed_payment.tolerance_minor, day
    upcoming: list[tuple[Loan, int]] = []
    for loan, place in oldest:
        due_day = loan.lines[place].due_day
        if due_day >= day:
            upcoming.append((loan, place))
            if due_day >= last_day:
                last_day = due_day + 1
    asked_minor: dict[str, int] = {}
    last_day_asked = last_day + policy.ahead_days
    for loan, first in upcoming:
        lines, shorts_minor, currency = loan.lines, loan.now.short_minor, loan.currency
        for place in range(first, len(lines)):
            if lines[place].due_day > last_day_asked:
                break
            if shorts_minor[place] > tolerance_minor:
                asked_minor[currency] = asked_minor.get(currency, 0) + shorts_minor[place]
    enough_minor = 0
    for currency, minor in asked_minor.items():
        wanted_minor = ceil(policy.severity.watch * minor)
        if most_minor(balances, currency, last_day) < wanted_minor:
            return 0
        if wanted_minor > enough_minor:
            enough_minor = wanted_minor
    return min(enough_minor, INT64_MAX)


def is_near(loans: dict[str, Loan], at_ms: int, rules: Rules) -> bool:
    """Whether an instalment of a loan that is not past due is near as of `at_ms`: only then balances matter."""
    day = rules.calendar.day_of(at_ms)
    last_day = day + rules.policy.signals.payment_at_risk.ahead_days
    for loan in loans.values():
        due_day = next_unpaid_day(loan, at_ms, rules)
        if due_day is not None and day <= due_day <= last_day:
            return True
    return False


def resolution(
    loans: dict[str, Loan],
    balances: BalanceEvidence,
    opened_ms: int,
    at_ms: int,
    rules: Rules,
) -> Resolution | None:
    """How what was warned of ended: paid, missed or out of sight (`passed`), or None where money has come."""
    policy = rules.policy.signals.payment_at_risk
    day, opened_day = rules.calendar.day_of(at_ms), rules.calendar.day_of(opened_ms)
    for loan in loans.values():
        due_day = next_unpaid_day(loan, at_ms, rules)
        if due_day is not None and opened_day <= due_day < day:
            return "passed"
    dues = _dues(loans, at_ms, day, policy.ahead_days, rules)
    if dues:
        seen = [sight(balances, currency, day, policy.fresh_days, rules) for currency in dues]
        return None if all(one.is_fresh and not one.is_blind for one in seen) else "passed"
    ways = {
        loan_resolution(loan, opened_ms, at_ms, rules)
        for loan in loans.values()
        if any(opened_day <= line.due_day <= opened_day + policy.ahead_days for line in loan.lines)
    }
    return min(ways, key=lambda way: (way == "paid", way), default="passed")


# ---- the comparison --------------------------------------------------------------------------------------------------


def _dues(
    loans: dict[str, Loan], known_ms: int, day: int, ahead_days: int, rules: Rules
) -> dict[str, list[tuple[int, int]]]:
    """What falls due from `day` on within so many days, by currency: (due day, missing amount), in order of due day."""
    dues: dict[str, list[tuple[int, int]]] = {}
    last_day, tolerance_minor = day + ahead_days, rules.policy.signals.missed_payment.tolerance_minor
    for loan in loans.values():
        if not is_open(loan, known_ms):
            continue
        for place, short_minor in enumerate(balances_at(loan, known_ms, rules).short_minor):
            if short_minor > tolerance_minor:
                due_day = loan.lines[place].due_day
                if not day <= due_day <= last_day:
                    break  # past due, which is not ours, or later
                dues.setdefault(loan.currency, []).append((due_day, short_minor))
    for own in dues.values():
        own.sort()
    return dues


def _coverages(
    dues: list[tuple[int, int]],
    currency: str,
    seen: Sight,
    income: IncomeEvidence,
    day: int,
    rules: Rules,
) -> list[Coverage]:
    """The coverage up to each instalment."""
    awaited = awaited_pays(income, currency, day, dues[-1][0], rules)
    coverages: list[Coverage] = []
    due_minor = 0
    for due_day, short_minor in dues:
        due_minor += short_minor
        awaited_minor = sum(pay.amount_minor for pay in awaited if pay.day <= due_day)
        coverages.append(Coverage(currency, due_day, due_minor, awaited_minor, seen))
    return coverages


def _severity(
    coverage: Coverage, day: int, open_severity: Severity | None, policy: PaymentAtRiskPolicy
) -> tuple[Severity, float] | None:
    """The severity of a coverage, and the fraction below which it holds."""
    thresholds = policy.severity
    for severity, falls_below in (
        (Severity.SERIOUS, thresholds.serious),
        (Severity.WARNING, thresholds.warning),
        (Severity.WATCH, thresholds.watch),
    ):
        if severity == Severity.SERIOUS and coverage.due_day - day > policy.serious_days:
            continue
        if coverage.fraction < falls_below:
            return severity, falls_below
        eases_at = falls_below + policy.ease_margin
        if open_severity is not None and open_severity >= severity and coverage.fraction < eases_at:
            return severity, eases_at
    return None


def _reason(coverage: Coverage, threshold: float) -> Reason:
    seen, currency = coverage.sight, coverage.currency
    due, total, awaited = (
        format_amount(amount, currency)
        for amount in (coverage.due_minor, seen.total_minor, coverage.awaited_minor)
    )
    due_date = iso_date(coverage.due_day)
    covered, below = _percent(coverage.fraction), _percent(threshold)
    return Reason(
        code="PAR-COVERAGE",
        text=Text(
            en=f"{due} fall due up to {due_date}; seen are {total}, and pay of {awaited} is awaited by then: "
            f"{covered} covered (this severity holds below {below}).",
            zh=f"截至 {due_date} 应还 {due}；可见余额 {total}，此前预计到账收入 {awaited}："
            f"覆盖 {covered}（低于 {below} 即为此级别）。",
        ),
        evidence={
            "coverage": plain_number(coverage.fraction),
            "threshold": plain_number(threshold),
            "due_minor": min(coverage.due_minor, INT64_MAX),
            "balance_minor": seen.total_minor,
            "awaited_minor": min(coverage.awaited_minor, INT64_MAX),
            "currency": currency,
            "due_date": due_date,
            "accounts": seen.accounts,
            "balance_date": iso_date(seen.newest_day),
        },
    )


def _percent(fraction: float) -> str:
    return f"{plain_number(fraction * 100, 1)} %"


class PaymentAtRisk:
    """`payment_at_risk`, a borrower at a time, on the watermark of `repayments`."""

    name: Final = "payment_at_risk"
    clock: Final = REPAYMENTS
    feed: Final = REPAYMENTS
    looks_often: Final = True

    def cooldown_days(self, rules: Rules) -> int:
        """As the policy says."""
        return rules.policy.signals.payment_at_risk.cooldown_days

    def subjects(self, borrower: Borrower) -> Iterable[str | None]:
        """The borrower as a whole: one account pays all loans."""
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
        """What is not covered as of `at_ms`."""
        severity = None if episode is None else SEVERITIES[episode.severity]
        return judge(
            borrower.loans, borrower.balances, borrower.income, at_ms, severity, rules, deadline=deadline
        )

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next local midnight at which an instalment is near."""
        severity = None if episode is None else SEVERITIES[episode.severity]
        due_ms = next_deadline_ms(borrower.loans, borrower.balances, after_ms, severity, rules)
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """Paid, passed on to `missed_payment`, or money has come."""
        return resolution(borrower.loans, borrower.balances, episode.opened_ms, at_ms, rules)


def next_look_of(
    borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
) -> int:
    """`next_look_ms` of a borrower, for who sees to it that what it leaves out is asked for again."""
    severity = None if episode is None else SEVERITIES[episode.severity]
    due_ms = next_look_ms(borrower.loans, borrower.balances, after_ms, severity, rules)
    return NEVER if due_ms is None else due_ms


def next_finding_ms(
    borrower: Borrower, oldest: Sequence[tuple[Loan, int]], after_ms: int, rules: Rules
) -> int:
    """The same while no alert is open, by the oldest unpaid lines of the loans."""
    due_ms = next_look_ms(borrower.loans, borrower.balances, after_ms, None, rules, oldest)
    return NEVER if due_ms is None else due_ms
