"""`over_indebtedness`: what falls due within a month, here and elsewhere, against recognised monthly income.

**Debts.** Of the own loans, every instalment in force that falls due from today to before the same day of the next month, paid
ahead of time or not: who pays early is not less in debt, and a month measured so holds one monthly instalment, never none or
two. Of a card it is the minimum that counts, not the statement, and a statement paid off is no debt (`models.obligations`). Debts elsewhere: what a vendor's summary says, while fresh, else the regular repayments seen (`models.debts`).

**Income** is `models.income_level`'s, in the currency of the loans, with a history as long as the policy wants. Without known
income nothing is found. Income that was lost is `income_drop`'s matter: the last known counts for a while. Currencies are kept
apart; a summary, which names none, is read in that of the own loans where they have only one.

**What does not count.** Amounts past due (`missed_payment`), loans that have ended, one-off repayments, payments to own
platforms (they are in the ledger), and any loan while the borrower has no own loan that is open.

The severity eases `ease_margin` below where it rose. The watermark is that of `fund-flows`: the own schedule is known ahead, and
it is pay and repayments that may not have been learnt yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, Literal, NamedTuple

from models import income_outlook
from models.alerts import SEVERITIES, Finding, Reason, Resolution, Severity, Text, plain_number
from models.borrower import Borrower
from models.calendars import iso_date
from models.deadlines import NEVER
from models.debts import (
    DebtEvidence,
    most_elsewhere_minor,
    next_change_day,
    regular_repayments,
    summary_minor,
)
from models.episodes import Episode
from models.events import FUND_FLOWS
from models.income import IncomeEvidence
from models.income_level import MonthlyIncome, income_from, monthly_income
from models.ledger import Loan
from models.limits import INT64_MAX
from models.money import format_amount, within_int64
from models.obligations import NO_DAY, due_within, dues_of, is_open, month_later
from models.policy import OverIndebtednessPolicy
from models.rules import Rules
from models.signals.binding import BORROWER_LEVEL, known_of

_WEEK_AHEAD_DAYS: Final = 9
"""Within so many days all pay counts that has come: the week is over, and one day of the next."""


class Burden(NamedTuple):
    """What falls due within a month, in one currency; amounts in minor units."""

    currency: str
    own_minor: int
    elsewhere_minor: int
    source: Literal["summary", "repayments", "none"]
    """Where the debts elsewhere are known from."""
    lenders: int
    """To how many of them repayments are seen; 0 for a summary."""

    @property
    def total_minor(self) -> int:
        """Here and elsewhere."""
        return self.own_minor + self.elsewhere_minor


def judge(
    loans: dict[str, Loan],
    debts: DebtEvidence,
    income: IncomeEvidence,
    at_ms: int,
    open_severity: Severity | None,
    rules: Rules,
    *,
    deadline: bool = False,
) -> Finding | None:
    """Compare debts with income as of `at_ms`: the ledger as of it, pay and debts elsewhere as of the last local midnight.

    Args:
        loans: the own loans of one borrower.
        debts: elsewhere.
        income: recognised.
        at_ms: later evidence does not count.
        open_severity: of the open alert, which eases later than it rose.
        rules: the policy.
        deadline: `at_ms` is a midnight; what happens at that very instant belongs to the day that begins.
    """
    known_ms = known_of(at_ms, deadline=deadline)
    if open_severity is None and income.sources:
        day = rules.calendar.day_of(at_ms)
        most_minor = _most_by_currency(loans, debts, known_ms, day, rules)
        if _out_of_reach_until_day(most_minor, income, day, rules) > day:
            return None
    worst = _worst(loans, debts, income, known_ms, at_ms, open_severity, rules)
    if worst is None:
        return None
    severity, threshold, ratio, burden, known = worst
    return Finding(severity, (_reason(ratio, threshold, burden, known),))


def stands(borrower: Borrower, at_ms: int, known_ms: int, open_severity: Severity, rules: Rules) -> bool:
    """Whether `judge` finds the severity of the open alert again: most looks do, and nobody reads their reasons.

    Args:
        borrower: with an open alert.
        at_ms: of the look.
        known_ms: the last instant whose events count.
        open_severity: of the alert.
        rules: the policy.
    """
    loans, debts, income = borrower.loans, borrower.debts, borrower.income
    worst = _worst(loans, debts, income, known_ms, at_ms, open_severity, rules)
    return worst is not None and worst[0] == open_severity


def next_deadline_ms(
    loans: dict[str, Loan], debts: DebtEvidence, income: IncomeEvidence, after_ms: int, rules: Rules
) -> int | None:
    """The next local midnight at which an instalment enters or leaves the month, or other evidence changes by time."""
    if not income.sources:
        return None
    policy = rules.policy.signals.over_indebtedness
    today = rules.calendar.day_of(after_ms)
    next_day = NO_DAY
    elsewhere_minor = most_elsewhere_minor(debts, today, policy.summary_days)
    for currency, own_minor in _most_of_own(loans, after_ms, today).items():
        known, until_day = income_from(income, currency, today, rules)
        next_day = min(next_day, until_day)
        if known is None or known.history_days < policy.history_days_min:
            continue  # before more pay nothing is found
        most_minor = own_minor + elsewhere_minor
        if most_minor < known.amount_minor * (policy.severity.watch - policy.ease_margin):
            continue  # neither a schedule nor a payment can make it found
        next_day = min(next_day, next_change_day(debts, today, policy.summary_days))
        for loan in loans.values():
            if loan.currency == currency and is_open(loan, after_ms):
                next_day = min(next_day, dues_of(loan).next_change_day(today))
    return None if next_day == NO_DAY else rules.calendar.midnight_ms(next_day)


def next_finding_ms(
    loans: dict[str, Loan],
    debts: DebtEvidence,
    income: IncomeEvidence,
    after_ms: int,
    rules: Rules,
    *,
    may_be_found: bool,
) -> int | None:
    """While no alert is open: no local midnight before this one lets time alone find anything, or find it no more.

    Told cheaply, for nearly everybody's debts are out of reach of the threshold: then only income brings them near that falls,
    on a day that is known, or pay that has come and does not count yet. None where it takes evidence to tell.

    Args:
        loans: the own loans of one borrower.
        debts: elsewhere.
        income: recognised.
        after_ms: the instant to look ahead from.
        rules: the policy.
        may_be_found: as of `after_ms`, though no alert is open, and somebody asks when it ends.
    """
    if not income.sources:
        return None
    today = rules.calendar.day_of(after_ms)
    day = today if may_be_found else today + 1
    most_minor = _most_by_currency(loans, debts, after_ms, day, rules)  # and no more from a later day on
    until_day = _out_of_reach_until_day(most_minor, income, day, rules)
    # Pay of this week counts in up to three steps; each may be looked at now as well as then.
    while day < until_day <= today + _WEEK_AHEAD_DAYS:
        day = until_day
        until_day = _out_of_reach_until_day(most_minor, income, day, rules)
    if until_day <= today + 1:
        return next_deadline_ms(loans, debts, income, after_ms, rules)
    return None if until_day == NO_DAY else rules.calendar.midnight_ms(until_day)


def is_out_of_reach(borrower: Borrower, at_ms: int, due_ms: int, rules: Rules) -> bool:
    """Whether nothing is found from `at_ms` to `due_ms`, whatever falls due when: told cheaply, and in doubt not.

    It is asked of a borrower without alerts, about debts that are known by `at_ms`. The answer rests on the evidence alone.
    """
    if not borrower.income.sources:
        return True
    calendar = rules.calendar
    day = calendar.day_of(at_ms)
    most_minor = _most_by_currency(borrower.loans, borrower.debts, at_ms, day, rules)
    until_day = _out_of_reach_until_day(most_minor, borrower.income, day, rules)
    return until_day > day and (until_day == NO_DAY or due_ms <= calendar.midnight_ms(until_day))


def resolution(loans: dict[str, Loan], income: IncomeEvidence, at_ms: int, rules: Rules) -> Resolution | None:
    """None where debts and income are in proportion again; `passed` where there is nothing to compare any more."""
    day = rules.calendar.day_of(at_ms)
    currencies = {loan.currency for loan in loans.values() if is_open(loan, at_ms)}
    known = [monthly_income(income, currency, day, rules) for currency in currencies]
    return None if any(one is not None for one in known) else "passed"


# ---- the comparison --------------------------------------------------------------------------------------------------


def ratios(
    loans: dict[str, Loan],
    debts: DebtEvidence,
    income: IncomeEvidence,
    known_ms: int,
    day: int,
    rules: Rules,
) -> list[tuple[float, Burden, MonthlyIncome]]:
    """What falls due within a month from a local `day` by the income a month, one a currency in which both are known."""
    found: list[tuple[float, Burden, MonthlyIncome]] = []
    if not income.sources:
        return found
    days_min = rules.policy.signals.over_indebtedness.history_days_min
    for burden in _burdens(loans, debts, known_ms, day, rules):
        if not burden.total_minor:
            continue
        known = monthly_income(income, burden.currency, day, rules)
        if known is not None and known.history_days >= days_min and known.amount_minor:
            found.append((burden.total_minor / known.amount_minor, burden, known))
    return found


def _worst(
    loans: dict[str, Loan],
    debts: DebtEvidence,
    income: IncomeEvidence,
    known_ms: int,
    at_ms: int,
    open_severity: Severity | None,
    rules: Rules,
) -> tuple[Severity, float, float, Burden, MonthlyIncome] | None:
    """Severity, the ratio from which on it holds, the ratio, and what was compared, in the currency where that is worst."""
    policy = rules.policy.signals.over_indebtedness
    worst: tuple[Severity, float, float, Burden, MonthlyIncome] | None = None
    for ratio, burden, known in ratios(loans, debts, income, known_ms, rules.calendar.day_of(at_ms), rules):
        reached = _severity(ratio, open_severity, policy)
        if reached is not None and (worst is None or ratio > worst[2]):
            worst = (*reached, ratio, burden, known)
    return worst


def _burdens(
    loans: dict[str, Loan], debts: DebtEvidence, known_ms: int, day: int, rules: Rules
) -> list[Burden]:
    """One a currency of the open own loans."""
    own_minor: dict[str, int] = {}
    for loan in loans.values():
        if is_open(loan, known_ms):
            due_minor = due_within(loan, known_ms, day, month_later(day), rules)
            own_minor[loan.currency] = own_minor.get(loan.currency, 0) + due_minor
    own = {loan.platform_id for loan in loans.values() if loan.opened_ms <= known_ms} if debts.lenders else ()
    told_minor: int | None = None
    if debts.summaries and len(own_minor) == 1:
        told_minor = summary_minor(debts, day, rules.policy.signals.over_indebtedness.summary_days)
    return [
        _burden(currency, within_int64(own_minor[currency]), told_minor, debts, day, own, rules)
        for currency in sorted(own_minor)
    ]


def _burden(
    currency: str,
    own_minor: int,
    told_minor: int | None,
    debts: DebtEvidence,
    day: int,
    own: Collection[str],
    rules: Rules,
) -> Burden:
    if told_minor is not None:
        return Burden(currency, own_minor, told_minor, "summary", 0)
    elsewhere_minor, lenders = regular_repayments(debts, currency, day, own, rules)
    return Burden(currency, own_minor, elsewhere_minor, "repayments" if lenders else "none", lenders)


def _out_of_reach_until_day(
    most_minor: dict[str, int], income: IncomeEvidence, first_day: int, rules: Rules
) -> int:
    """Before which day nothing is found from `first_day` on, however much falls due in a month; `first_day` where it may be.

    `most_minor`: by currency, what debts come to at most.
    """
    until_day = NO_DAY
    for currency, minor in most_minor.items():
        enough_until_day = _enough_until_day(income, currency, minor, first_day, rules)
        if enough_until_day == first_day:
            return first_day
        if enough_until_day < until_day:
            until_day = enough_until_day
    return until_day


def _most_by_currency(
    loans: dict[str, Loan], debts: DebtEvidence, known_ms: int, first_day: int, rules: Rules
) -> dict[str, int]:
    """What debts come to at most within any month from `first_day` on: the open own loans', and all elsewhere on top."""
    most_minor = _most_of_own(loans, known_ms, first_day)
    if most_minor and (debts.lenders or debts.summaries):
        summary_days = rules.policy.signals.over_indebtedness.summary_days
        elsewhere_minor = most_elsewhere_minor(debts, first_day, summary_days)
        for currency in most_minor:
            most_minor[currency] += elsewhere_minor
    return most_minor


def _most_of_own(loans: dict[str, Loan], known_ms: int, first_day: int) -> dict[str, int]:
    """What the open own loans come to at most within any month from `first_day` on, by currency."""
    most_minor: dict[str, int] = {}
    for loan in loans.values():
        closed_ms = loan.closed_ms
        if loan.opened_ms <= known_ms and (closed_ms is None or closed_ms > known_ms):  # as `is_open`
            minor, currency = dues_of(loan).most_from(first_day), loan.currency
            most_minor[currency] = most_minor[currency] + minor if currency in most_minor else minor
    return most_minor


def _enough_until_day(income: IncomeEvidence, currency: str, most_minor: int, day: int, rules: Rules) -> int:
    """Before which day income is known to put debts out of reach, or not known at all; `day` itself where it does not."""
    policy = rules.policy.signals.over_indebtedness
    watch = policy.severity.watch
    steady = income_outlook.steady_income(income, day, rules)
    span = steady.on(day) if steady is not None and steady.currency == currency else None
    if span is not None and most_minor / span[0] < watch:
        return span[1]
    known, until_day = income_from(income, currency, day, rules)
    if known is None or known.history_days < policy.history_days_min or not known.amount_minor:
        return until_day
    return day if most_minor / known.amount_minor >= watch else until_day


def _severity(
    ratio: float, open_severity: Severity | None, policy: OverIndebtednessPolicy
) -> tuple[Severity, float] | None:
    """The severity of a ratio, and the ratio from which on it holds."""
    thresholds = policy.severity
    for severity, rises_at in (
        (Severity.SERIOUS, thresholds.serious),
        (Severity.WARNING, thresholds.warning),
        (Severity.WATCH, thresholds.watch),
    ):
        if ratio >= rises_at:
            return severity, rises_at
        eases_below = rises_at - policy.ease_margin
        if open_severity is not None and open_severity >= severity and ratio >= eases_below:
            return severity, eases_below
    return None


def _reason(ratio: float, threshold: float, burden: Burden, income: MonthlyIncome) -> Reason:
    own, elsewhere, earned = (
        format_amount(amount, burden.currency)
        for amount in (burden.own_minor, burden.elsewhere_minor, income.amount_minor)
    )
    percent, holds_from = _percent(ratio), _percent(threshold)
    known_en, known_zh = {
        "summary": (" (a vendor's summary)", "（征信汇总）"),
        "repayments": (" (repayments seen)", "（所见还款）"),
        "none": ("", ""),
    }[burden.source]
    return Reason(
        code="OI-RATIO",
        text=Text(
            en=f"{own} fall due here within a month and {elsewhere} elsewhere{known_en}: {percent} of the recognised "
            f"income of {earned} a month (this severity holds from {holds_from}).",
            zh=f"一个月内本机构应还 {own}，他处应还 {elsewhere}{known_zh}：占可识别月收入 {earned} 的 {percent}"
            f"（达到 {holds_from} 即为此级别）。",
        ),
        evidence={
            "ratio": plain_number(ratio),
            "threshold": plain_number(threshold),
            "own_due_minor": burden.own_minor,
            "elsewhere_due_minor": burden.elsewhere_minor,
            "elsewhere_source": burden.source,
            "elsewhere_lenders": burden.lenders,
            "income_minor": min(income.amount_minor, INT64_MAX),
            "income_history_days": income.history_days,
            "last_income_date": iso_date(income.last_pay_day),
            "currency": burden.currency,
        },
    )


def _percent(fraction: float) -> str:
    return f"{plain_number(fraction * 100, 1)} %"


class OverIndebtedness:
    """`over_indebtedness`, a borrower at a time, on the watermark of `fund-flows`."""

    name: Final = "over_indebtedness"
    clock: Final = FUND_FLOWS
    feed: Final = FUND_FLOWS
    looks_often: Final = False

    def cooldown_days(self, rules: Rules) -> int:
        """As the policy says."""
        return rules.policy.signals.over_indebtedness.cooldown_days

    def subjects(self, borrower: Borrower) -> Iterable[str | None]:
        """The borrower as a whole."""
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
        """Debts against income as of `at_ms`."""
        severity = None if episode is None else SEVERITIES[episode.severity]
        return judge(
            borrower.loans, borrower.debts, borrower.income, at_ms, severity, rules, deadline=deadline
        )

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next local midnight at which debts or income change by time."""
        loans, debts, income = borrower.loans, borrower.debts, borrower.income
        if episode is None:
            # Without an alert of its own, only what it confirms shows that nothing is found any more.
            may_be_found = bool(borrower.episodes and rules.policy.combinations)
            due_ms = next_finding_ms(loans, debts, income, after_ms, rules, may_be_found=may_be_found)
        else:
            due_ms = next_deadline_ms(loans, debts, income, after_ms, rules)
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """In proportion again, or nothing to compare any more."""
        return resolution(borrower.loans, borrower.income, at_ms, rules)
