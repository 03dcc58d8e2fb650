"""`asset_flight`: while an own loan is past due, money goes to people never paid before, or the accounts are drained.

**To new receivers.** Transfers (`models.outflows` says what is one) made while past due, within `window_days`, to receivers who were
not paid in the `memory_days` before: their sum against the money that was there (all balances at the midnight before the first,
or what was on the account before any of them, whichever is more). Below `amount_minor_min` it is nothing.

**Drained.** From its highest midnight within the last `DRAIN_DAYS` past due, all money seen fell by the fraction of
`drained_severity`, not counting what paid debts and rent or went to own accounts. It must be unusual: the accounts had not been
nearly as low in the month before. Who lives from pay to pay empties the account every month and flees from nobody.

**What does not count.** Consumption, rent, debts, own accounts, merchants, authorities; anything before the loan was past due;
receivers while too few flows are known to tell that they are new; anything where no balance tells what was there.

Ends when nothing is past due any more, or as `passed` when the window has emptied. An open alert eases `ease_margin` below where
it rose. The word is for people to look at: at `serious` a person must decide. The watermark is that of `repayments`: nobody is
suspected whose payment is on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from models.alerts import Finding, Reason, Resolution, Severity, Text, plain_number
from models.balances import BalanceEvidence, currencies, excused_minor, first_day, totals
from models.borrower import Borrower
from models.calendars import DAY_MS, iso_date
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import REPAYMENTS
from models.ledger import Loan, balances_at, oldest_unpaid
from models.limits import INT64_MAX
from models.money import format_amount
from models.obligations import NO_DAY, is_open, next_unpaid_day, oldest_past_due_day
from models.outflows import OutflowEvidence, Transfer, new_transfers
from models.policy import AssetFlightPolicy, FractionSeverity
from models.rules import Rules
from models.signals.binding import BORROWER_LEVEL, open_state
from models.signals.missed_payment import resolution as loan_resolution

DRAIN_DAYS: Final = 7
"""Within so many days money must have gone to be drained: slower it is spending."""
USUAL_DAYS: Final = 30
"""Days before within which the accounts would have been as low if that were usual: a month from pay to pay."""
LOW_FACTOR: Final = 2
"""As low as usual is what is at least half of the lowest."""


class _Gone(NamedTuple):
    """What is compared; amounts in minor units."""

    code: str
    currency: str
    gone_minor: int
    there_minor: int
    since_day: int
    receivers: int

    @property
    def fraction(self) -> float:
        """Part of the money that was there."""
        return min(1.0, self.gone_minor / self.there_minor)


class Calm(NamedTuple):
    """Since which instant, and to before which local day, no money is watched by these rules."""

    rules: Rules
    from_ms: int
    until_day: int


def judge(
    loans: dict[str, Loan],
    outflows: OutflowEvidence,
    balances: BalanceEvidence,
    first_flow_ms: int | None,
    at_ms: int,
    open_severity: Severity | None,
    rules: Rules,
    *,
    deadline: bool = False,
) -> Finding | None:
    """Find what has gone as of `at_ms`: transfers as of it, balances as of the last local midnight.

    Args:
        loans: the own loans of one borrower.
        outflows: large transfers.
        balances: on the accounts that we may see.
        first_flow_ms: since when flows are known.
        at_ms: later evidence does not count.
        open_severity: of the open alert, which eases later than it rose.
        rules: the policy.
        deadline: `at_ms` is a midnight; what happens at that very instant belongs to the day that begins.
    """
    if not balances.accounts:
        return None
    policy = rules.policy.signals.asset_flight
    known_ms = at_ms - 1 if deadline else at_ms
    day = rules.calendar.day_of(at_ms)
    since_day = _watched_since(loans, known_ms, day, rules)
    if since_day is None:
        return None
    found: list[tuple[Severity, float, Reason]] = []
    for severities, every_gone in (
        (
            policy.severity,
            _to_new_receivers(outflows, balances, first_flow_ms, at_ms, known_ms, since_day, rules),
        ),
        (policy.drained_severity, _drained(balances, day, since_day, policy)),
    ):
        for gone in every_gone:
            if gone.gone_minor < policy.amount_minor_min or not gone.there_minor:
                continue
            reached = _severity(gone.fraction, open_severity, severities, policy)
            if reached is not None:
                severity, threshold = reached
                found.append((severity, gone.fraction, _reason(gone, threshold, policy)))
    if not found:
        return None
    found.sort(key=lambda one: (-one[0], -one[1], one[2].code))
    return Finding(found[0][0], tuple(reason for _, _, reason in found))


def next_deadline_ms(
    loans: dict[str, Loan],
    outflows: OutflowEvidence,
    balances: BalanceEvidence,
    after_ms: int,
    rules: Rules,
    *,
    is_open: bool = True,
) -> int | None:
    """The next instant at which a receiver leaves the window (or, known early, enters it), or a day's balances count.

    While nothing is watched, the midnight from which on it is, should nothing be paid. Where no alert is open, a day without
    flows is looked at only while the money has fallen far enough: before the next flow, which is judged, it falls no further.
    """
    if not balances.accounts:
        return None
    oldest_day: int | None = None
    for loan in loans.values():
        due_day = next_unpaid_day(loan, after_ms, rules)
        if due_day is not None and (oldest_day is None or due_day < oldest_day):
            oldest_day = due_day
    return (
        None
        if oldest_day is None
        else _next_change_ms(oldest_day, outflows, balances, after_ms, rules, is_open=is_open)
    )


def next_finding_ms(
    borrower: Borrower, oldest: Sequence[tuple[Loan, int]], after_ms: int, rules: Rules
) -> int:
    """`next_deadline_ms` while no alert is open, by the oldest unpaid lines of the loans; `NEVER` where there is none."""
    if not oldest or not borrower.balances.accounts:
        return NEVER
    oldest_day = min([loan.lines[place].due_day for loan, place in oldest])
    due_ms = _next_change_ms(oldest_day, borrower.outflows, borrower.balances, after_ms, rules, is_open=False)
    return NEVER if due_ms is None else due_ms


def _next_change_ms(
    oldest_day: int,
    outflows: OutflowEvidence,
    balances: BalanceEvidence,
    after_ms: int,
    rules: Rules,
    *,
    is_open: bool,
) -> int | None:
    """`next_deadline_ms`, where it is known since when something is unpaid, due already or not."""
    policy, calendar = rules.policy.signals.asset_flight, rules.calendar
    day = calendar.day_of(after_ms)
    begin_day = oldest_day + policy.days_past_due_min
    if begin_day > day:
        return calendar.midnight_ms(begin_day)
    window_ms = policy.window_days * DAY_MS
    changes_ms = [track.start_ms + window_ms for track in outflows.tracks]
    changes_ms += [transfer.time_ms for transfer in outflows.transfers]
    if balances.newest_day >= day - DRAIN_DAYS - 1 and (
        is_open or balances.newest_day >= day or _may_be_drained(balances, day + 1, begin_day, policy)
    ):
        changes_ms.append(calendar.midnight_ms(day + 1))
    return min((change_ms for change_ms in changes_ms if change_ms > after_ms), default=None)


def is_watched(loans: dict[str, Loan], at_ms: int, rules: Rules) -> bool:
    """Whether some own loan is so far past due that money is watched."""
    return is_watched_on(loans, at_ms, rules.calendar.day_of(at_ms), rules)


def is_watched_on(loans: dict[str, Loan], known_ms: int, day: int, rules: Rules) -> bool:
    """The same for a local day, on what is known up to an instant: whether `_watched_since` finds any."""
    signals = rules.policy.signals
    last_day = day - signals.asset_flight.days_past_due_min
    tolerance_minor = signals.missed_payment.tolerance_minor
    for loan in loans.values():
        lines = loan.lines
        if not lines or lines[0].due_day > last_day:
            continue
        now = loan.now
        known = now if known_ms >= now.upto_ms else balances_at(loan, known_ms, rules)
        shorts_minor = known.short_minor
        for short_minor in shorts_minor:
            if short_minor > tolerance_minor:  # the oldest unpaid line: no earlier one is short by as much
                if lines[shorts_minor.index(short_minor)].due_day <= last_day and is_open(loan, known_ms):
                    return True
                break
    return False


def calm_of(loans: dict[str, Loan], rules: Rules) -> Calm:
    """When `is_watched_on` surely finds nothing, while the loans stay as they are or are merely paid."""
    signals = rules.policy.signals
    tolerance_minor = signals.missed_payment.tolerance_minor
    from_ms, until_day = -1, NO_DAY
    for loan in loans.values():
        known_ms = loan.now.upto_ms
        if loan.closed_ms is not None:
            known_ms = max(known_ms, loan.closed_ms)
        else:
            place = oldest_unpaid(loan.now, tolerance_minor)
            if place is not None and loan.lines[place].due_day < until_day:
                until_day = loan.lines[place].due_day
        if known_ms > from_ms:
            from_ms = known_ms
    return Calm(rules, from_ms, until_day + signals.asset_flight.days_past_due_min)


def resolution(loans: dict[str, Loan], opened_ms: int, at_ms: int, rules: Rules) -> Resolution:
    """How the loans came right, or `passed` while they are past due."""
    if is_watched(loans, at_ms, rules):
        return "passed"
    ways = {loan_resolution(loan, opened_ms, at_ms, rules) for loan in loans.values()}
    return min(ways, key=lambda way: (way == "paid", way), default="passed")


# ---- the comparison --------------------------------------------------------------------------------------------------


def _watched_since(loans: dict[str, Loan], known_ms: int, day: int, rules: Rules) -> int | None:
    """The day from which on money is watched, where an own loan is past due by enough days."""
    oldest_day = oldest_past_due_day(loans, known_ms, day, rules)
    if oldest_day is None:
        return None
    since_day = oldest_day + rules.policy.signals.asset_flight.days_past_due_min
    return since_day if since_day <= day else None


def _to_new_receivers(
    outflows: OutflowEvidence,
    balances: BalanceEvidence,
    first_flow_ms: int | None,
    at_ms: int,
    known_ms: int,
    since_day: int,
    rules: Rules,
) -> Iterable[_Gone]:
    """Transfers to new receivers in the half-open window that ends at `at_ms`, by currency."""
    if not outflows.transfers:
        return
    window_ms = rules.policy.signals.asset_flight.window_days * DAY_MS
    after_ms = at_ms - window_ms
    since_ms = rules.calendar.midnight_ms(since_day)
    by_currency: dict[str, list[Transfer]] = {}
    for transfer in new_transfers(outflows, after_ms, known_ms, first_flow_ms, rules):
        if transfer.time_ms >= since_ms:
            by_currency.setdefault(transfer.currency, []).append(transfer)
    for currency, transfers in by_currency.items():
        begin_day = rules.calendar.day_of(transfers[0].time_ms)
        yield _Gone(
            "AF-NEW-RECEIVERS",
            currency,
            sum(transfer.amount_minor for transfer in transfers),
            max(
                *totals(balances, currency, begin_day, begin_day),
                *(transfer.before_minor or 0 for transfer in transfers),
                0,
            ),
            begin_day,
            len({transfer.counterparty_id for transfer in transfers}),
        )


def _drained(
    balances: BalanceEvidence, day: int, since_day: int, policy: AssetFlightPolicy
) -> Iterable[_Gone]:
    """Money gone since its highest midnight, by currency, where that is unusual."""
    begin_day = max(day - DRAIN_DAYS, since_day)
    if begin_day >= day:
        return
    for currency in currencies(balances):
        known_day = first_day(balances, currency)
        if known_day is None or known_day > begin_day - USUAL_DAYS:
            continue
        seen = totals(balances, currency, begin_day, day)
        left_minor, peak_minor = seen[-1], max(seen[:-1])
        fell_minor = peak_minor - left_minor
        if not _is_far(fell_minor, peak_minor, policy):
            continue  # the month before need not be looked at
        peak_day = begin_day + max(place for place, total in enumerate(seen[:-1]) if total == peak_minor)
        usual = totals(balances, currency, begin_day - USUAL_DAYS + 1, peak_day)
        if left_minor * LOW_FACTOR >= min(usual):
            continue
        excused = excused_minor(balances, currency, peak_day, day - 1)
        yield _Gone("AF-DRAINED", currency, fell_minor - excused, peak_minor, peak_day, 0)


def _may_be_drained(balances: BalanceEvidence, day: int, since_day: int, policy: AssetFlightPolicy) -> bool:
    """Whether money has fallen far as of the midnight that begins a local day, usual or not."""
    begin_day = max(day - DRAIN_DAYS, since_day)
    for currency in currencies(balances):
        *before, left_minor = totals(balances, currency, begin_day, day)
        peak_minor = max(before)
        if _is_far(peak_minor - left_minor, peak_minor, policy):
            return True
    return False


def _is_far(fell_minor: int, peak_minor: int, policy: AssetFlightPolicy) -> bool:
    """Whether a fall from a peak may be an alert, or keep one open."""
    least = policy.drained_severity.watch - policy.ease_margin
    return fell_minor >= policy.amount_minor_min and fell_minor / peak_minor >= least


def _severity(
    fraction: float,
    open_severity: Severity | None,
    thresholds: FractionSeverity,
    policy: AssetFlightPolicy,
) -> tuple[Severity, float] | None:
    """The severity of a fraction, and the fraction from which on it holds."""
    for severity, rises_at in (
        (Severity.SERIOUS, thresholds.serious),
        (Severity.WARNING, thresholds.warning),
        (Severity.WATCH, thresholds.watch),
    ):
        if fraction >= rises_at:
            return severity, rises_at
        eases_below = rises_at - policy.ease_margin
        if open_severity is not None and open_severity >= severity and fraction >= eases_below:
            return severity, eases_below
    return None


def _reason(gone: _Gone, threshold: float, policy: AssetFlightPolicy) -> Reason:
    amount, there = (format_amount(minor, gone.currency) for minor in (gone.gone_minor, gone.there_minor))
    since = iso_date(gone.since_day)
    percent, holds_from = _percent(gone.fraction), _percent(threshold)
    if gone.receivers:
        text = Text(
            en=f"While past due, {amount} went to {gone.receivers} new "
            f"{'receiver' if gone.receivers == 1 else 'receivers'} since {since}: {percent} of the {there} that were "
            f"there (this severity holds from {holds_from}).",
            zh=f"逾期期间，自 {since} 起向 {gone.receivers} 个新收款方转出 {amount}：占当时 {there} 的 {percent}"
            f"（达到 {holds_from} 即为此级别）。",
        )
    else:
        text = Text(
            en=f"While past due, {amount} of {there} have gone since {since}, beside debts, rent and own accounts: "
            f"{percent} (this severity holds from {holds_from}).",
            zh=f"逾期期间，自 {since} 起 {there} 中已流出 {amount}（不含还债、房租与本人账户）：{percent}"
            f"（达到 {holds_from} 即为此级别）。",
        )
    return Reason(
        code=gone.code,
        text=text,
        evidence={
            "gone_fraction": plain_number(gone.fraction),
            "threshold": plain_number(threshold),
            "gone_minor": min(gone.gone_minor, INT64_MAX),
            "there_minor": min(gone.there_minor, INT64_MAX),
            "amount_minor_min": policy.amount_minor_min,
            "currency": gone.currency,
            "since_date": since,
            "receivers": gone.receivers,
            "window_days": policy.window_days if gone.receivers else DRAIN_DAYS,
        },
    )


def _percent(fraction: float) -> str:
    return f"{plain_number(fraction * 100, 1)} %"


class AssetFlight:
    """`asset_flight`, a borrower at a time, on the watermark of `repayments`."""

    name: Final = "asset_flight"
    clock: Final = REPAYMENTS
    feed: Final = REPAYMENTS
    looks_often: Final = False

    def cooldown_days(self, rules: Rules) -> int:
        """As the policy says."""
        return rules.policy.signals.asset_flight.cooldown_days

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
        """What has gone as of `at_ms`."""
        severity, _ = open_state(episode)
        first_flow_ms = borrower.institutions.first_flow_ms
        return judge(
            borrower.loans,
            borrower.outflows,
            borrower.balances,
            first_flow_ms,
            at_ms,
            severity,
            rules,
            deadline=deadline,
        )

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """When a receiver leaves the window, or a day's balances count."""
        due_ms = next_deadline_ms(
            borrower.loans,
            borrower.outflows,
            borrower.balances,
            after_ms,
            rules,
            is_open=episode is not None,
        )
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """How the loans came right, or `passed`."""
        return resolution(borrower.loans, episode.opened_ms, at_ms, rules)
