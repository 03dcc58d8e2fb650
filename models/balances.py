"""What is seen of a borrower's money: balances by account and day, and since when an account is out of sight.

**What is kept.** Of an account and currency, for each day with a flow that told a balance: the instant of the day's last such
flow, the balance after it, and what left that day to pay debts and rent or to own accounts; for `HISTORY_DAYS` and
`LATE_DAYS`. Every question is asked as of a local midnight, so the day's last balance is all there is to know, and what
arrives within a day, in whatever order, changes no answer about the days before.

**What counts.** An account's balance counts while its last day is at most `fresh_days` old. An older one counts as well where the
account hardly ever moves (`_HABIT_DAYS_MIN`): money that nobody touches is still there. An account that used to move and fell
silent, or was unlinked, is *out of sight*: nobody knows what is on it, and whoever judges must say so (`Sight.is_blind`).
It is forgotten as its days leave the history. An overdrawn account is empty, it takes nothing from the others.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final, NamedTuple

from msgspec import Struct

from models.events import FundFlow
from models.limits import INT64_MAX
from models.money import within_int64
from models.recent_flows import RecentFlow, RecentFlows, all_of
from models.rules import Rules
from models.short_ids import short_id

HISTORY_DAYS: Final = 40
"""How far a question looks back: a month for comparison, and a week or so for what happened since."""
LATE_DAYS: Final = 20
"""How far before the borrower's newest balance answers stay exact: beyond two weeks of a feed that stands still."""
_KEPT_DAYS: Final = HISTORY_DAYS + LATE_DAYS
ACCOUNTS_MAX: Final = 8
"""Accounts (by currency) kept of one borrower: the one that moved longest ago makes room."""
LINKS_MAX: Final = 4
"""Links and unlinks kept of one account: the oldest goes first."""
_LINKED_ACCOUNTS_MAX: Final = 16
"""Accounts whose links are kept: of further ones it is not known that they were unlinked."""
RECENT_LINKS_MAX: Final = 8
"""Links and unlinks kept by their events, the newest: what a void may name. The void of an older one is counted."""
_HABIT_SPAN_DAYS: Final = 30
"""Days up to an account's last one that tell how often it moves."""
_HABIT_DAYS_MIN: Final = 3
"""Days with flows within them from which on silence is no habit."""
_FIELDS: Final = 3
"""Numbers kept a day."""
TOLD, OF_NEWEST_DAY, OF_FIRST_ACCOUNT = 1, 2, 4
"""What a flow told, as marks: a balance that is kept, the first of a day behind all others, one where none was kept before."""
_TOLD_NEWEST_DAY: Final = TOLD | OF_NEWEST_DAY
_EXCUSED_CATEGORIES: Final = frozenset({"loan_repayment", "rent", "own_transfer"})
"""Outflows that are no loss of means to pay: they pay debts and the roof, or stay the borrower's own."""


_EXCUSED_RECEIVERS: Final = frozenset({"self", "lender"})


class AccountBalances(Struct, array_like=True):
    """One account in one currency."""

    account_id: str
    currency: str
    days: list[int] = []
    """Day numbers, ascending."""
    closings: list[int] = []
    """For each day three numbers: instant of its last flow (epoch milliseconds), balance after it, excused outflows."""


class RecentLink(Struct, array_like=True, frozen=True, gc=False):
    """A link or unlink by itself, so that its event can be taken back."""

    time_ms: int
    fingerprint: bytes
    account_id: str
    is_linked: bool


class BalanceEvidence(Struct, array_like=True):
    """All that is kept of one borrower's balances: 3 bytes while empty, about 18 a day with flows."""

    accounts: list[AccountBalances] = []
    links: dict[str, list[int]] = {}
    """By account: instants of linking (epoch milliseconds x 2 + 1) and unlinking (x 2), ascending."""
    newest_day: int = 0
    """The newest day with a balance: what is forgotten is measured from it."""
    recent_links: list[RecentLink] = []
    """In order of arrival."""
    enough_minor: int = 0
    """While no balance is below it, nothing has to be looked at before the dues change (`payment_at_risk`); 0 where that is not
    so. A balance that is below has it asked again."""


class Sight(NamedTuple):
    """What is seen in one currency as of a local midnight; amounts in minor units."""

    total_minor: int
    """On the accounts in sight."""
    accounts: int
    """How many they are."""
    newest_day: int
    """The newest of their last days with a flow."""
    is_blind: bool
    """Whether an account is out of sight that was in sight within `HISTORY_DAYS`."""
    is_fresh: bool
    """Whether any account's balance is at most `fresh_days` old."""


# ---- recording -------------------------------------------------------------------------------------------------------


def record_flow(evidence: BalanceEvidence, flow: FundFlow, rules: Rules) -> int:
    """Remember the balance after a flow. Return 0 where it told none that is kept, else `TOLD` and what else is so of it."""
    day = rules.calendar.day_of(flow.event_time_ms)
    excused_minor = flow.amount_minor if flow.direction == "out" and is_excused(flow) else 0
    return enter_flow(evidence, flow, day, short_id(flow.account_id), excused_minor)


def enter_flow(
    evidence: BalanceEvidence, flow: FundFlow, day: int, kept_account_id: str, excused_minor: int
) -> int:
    """`record_flow`, where local day, account and excused part of a flow are known already."""
    balance_minor = flow.balance_after_minor
    if balance_minor is None:
        return 0
    newest_day, told, first_day = evidence.newest_day, TOLD, 0
    if day > newest_day:
        evidence.newest_day = day
        told, first_day = _TOLD_NEWEST_DAY, day - _KEPT_DAYS
    elif day < newest_day - _KEPT_DAYS:
        return 0
    known: AccountBalances | None = None
    has_old_days = False
    for account in evidence.accounts:
        if account.days[0] < first_day:
            has_old_days = True
        if account.account_id == kept_account_id and account.currency == flow.currency:
            known = account
    if has_old_days:
        _forget_old(evidence, first_day)
    if known is None or not known.days:
        if not evidence.accounts and not has_old_days:
            told |= OF_FIRST_ACCOUNT
        known = _new_account(evidence, kept_account_id, flow.currency, day)
        if known is None:
            return 0
    days = known.days
    if not days or day > days[-1]:
        days.append(day)
        known.closings += (flow.event_time_ms, balance_minor, excused_minor)
    else:
        _enter_known_day(known, day, flow.event_time_ms, balance_minor, excused_minor)
    return told


def _enter_known_day(
    account: AccountBalances, day: int, time_ms: int, balance_minor: int, excused_minor: int
) -> None:
    """A balance of a day that is not behind all others."""
    days, closings = account.days, account.closings
    place = len(days) - 1
    while place >= 0 and days[place] > day:
        place -= 1
    index = _FIELDS * place
    if place >= 0 and days[place] == day:
        if time_ms >= closings[index]:
            closings[index] = time_ms
            closings[index + 1] = balance_minor
        if excused_minor:
            closings[index + 2] = within_int64(closings[index + 2] + excused_minor)
        return
    days.insert(place + 1, day)
    closings[index + _FIELDS : index + _FIELDS] = (time_ms, balance_minor, excused_minor)


def is_excused(flow: FundFlow) -> bool:
    """Whether an outflow pays debts or rent, or goes to the borrower's own account."""
    return (
        flow.category in _EXCUSED_CATEGORIES
        or flow.loan_id is not None
        or flow.counterparty_kind in _EXCUSED_RECEIVERS
    )


def record_link(
    evidence: BalanceEvidence, account_id: str, at_ms: int, *, linked: bool, fingerprint: bytes = b""
) -> None:
    """From `at_ms` on the account is seen (again), or no more; the fingerprint is that of the event's id."""
    account_id = short_id(account_id)
    evidence.recent_links.append(RecentLink(at_ms, fingerprint, account_id, linked))
    del evidence.recent_links[:-RECENT_LINKS_MAX]
    links = evidence.links.get(account_id)
    if links is None:
        if len(evidence.links) >= _LINKED_ACCOUNTS_MAX:
            return
        links = evidence.links[account_id] = []
    insort(links, at_ms * 2 + linked)
    if len(links) > LINKS_MAX:
        del links[0]


def take_back(evidence: BalanceEvidence, gone: RecentFlow, recent: RecentFlows, rules: Rules) -> None:
    """The day's balance without a voided flow: what the flow before it told, else there was none that day.

    Of a day whose earlier flows are not all kept one by one nothing is known before the first that is: it may be lost.
    """
    account = next((one for one in evidence.accounts if _is_of(gone, one)), None)
    day = rules.calendar.day_of(gone.time_ms)
    if account is None or day not in account.days:
        return
    place = account.days.index(day)
    index = _FIELDS * place
    closings = account.closings
    closings[index + 2] = max(0, closings[index + 2] - gone.excused_minor)
    if closings[index] != gone.time_ms:
        return
    left = [
        flow
        for flow in all_of(recent)
        if _is_of(flow, account) and rules.calendar.day_of(flow.time_ms) == day
    ]
    if left:
        last = max(reversed(left), key=lambda flow: flow.time_ms)
        closings[index : index + 2] = (last.time_ms, last.balance_minor)
        return
    del account.days[place], closings[index : index + _FIELDS]
    if not account.days:
        evidence.accounts.remove(account)


def take_back_link(evidence: BalanceEvidence, fingerprint: bytes) -> RecentLink | None:
    """Forget a voided link or unlink, and return it; None where it is not remembered."""
    gone = next((link for link in evidence.recent_links if link.fingerprint == fingerprint), None)
    if gone is not None:
        evidence.recent_links.remove(gone)
        links = evidence.links.get(gone.account_id, [])
        mark = gone.time_ms * 2 + gone.is_linked
        if mark in links:
            links.remove(mark)
        if not links:
            evidence.links.pop(gone.account_id, None)
    return gone


def _is_of(flow: RecentFlow, account: AccountBalances) -> bool:
    return flow.tells_balance and flow.is_on(account.account_id) and flow.is_in(account.currency)


def _new_account(
    evidence: BalanceEvidence, account_id: str, currency: str, day: int
) -> AccountBalances | None:
    """An account of which no balance is kept; None where all that are kept moved on that day or later."""
    accounts = evidence.accounts
    if len(accounts) >= ACCOUNTS_MAX:
        oldest = min(accounts, key=lambda account: (account.days[-1], account.account_id, account.currency))
        if oldest.days[-1] >= day:
            return None
        accounts.remove(oldest)
        if evidence.enough_minor:
            evidence.enough_minor = INT64_MAX  # what was there may have been enough
    account = AccountBalances(account_id, currency)
    accounts.append(account)
    return account


def _forget_old(evidence: BalanceEvidence, first_day: int) -> None:
    is_any_empty = False
    for account in evidence.accounts:
        days = account.days
        if days[0] < first_day:
            gone = bisect_left(days, first_day)
            del days[:gone], account.closings[: _FIELDS * gone]
            is_any_empty = is_any_empty or not days
    if is_any_empty:
        evidence.accounts = [account for account in evidence.accounts if account.days]


# ---- questions -------------------------------------------------------------------------------------------------------


def sight(evidence: BalanceEvidence, currency: str, day: int, fresh_days: int, rules: Rules) -> Sight:
    """What is seen in a currency as of the midnight at which a local day begins."""
    total_minor = accounts = 0
    newest_day = -1
    is_blind = is_fresh = False
    for account in evidence.accounts:
        if account.currency != currency:
            continue
        place = _last_before(account, day)
        if place < 0 or day - account.days[place] > HISTORY_DAYS:
            continue
        last_day = account.days[place]
        is_silent = day - last_day > fresh_days and _used_to_move(account, place, day - HISTORY_DAYS)
        if is_silent or (
            evidence.links and _is_unlinked(evidence, account, place, rules.calendar.midnight_ms(day))
        ):
            is_blind = True
        else:
            is_fresh = is_fresh or day - last_day <= fresh_days
            total_minor += max(0, account.closings[_FIELDS * place + 1])
            accounts += 1
            newest_day = max(newest_day, last_day)
    return Sight(within_int64(total_minor), accounts, newest_day, is_blind, is_fresh)


def totals(evidence: BalanceEvidence, currency: str, first_day: int, last_day: int) -> list[int]:
    """At the midnight that begins each day, both included: the last balances of all accounts, summed; -1 before the first."""
    found: list[int] | None = None
    for account in evidence.accounts:
        if account.currency == currency:
            own = _closings_at(account, first_day, last_day)
            found = own if found is None else [_both(*two) for two in zip(found, own, strict=True)]
    if found is None:
        return [-1] * (last_day - first_day + 1)
    return found


def _closings_at(account: AccountBalances, first_day: int, last_day: int) -> list[int]:
    """One account's last balance at the midnight that begins each day; -1 before its first."""
    days, closings = account.days, account.closings
    place = bisect_left(days, first_day) - 1
    found: list[int] = []
    day = first_day
    while day <= last_day:
        changes_day = days[place + 1] + 1 if place + 1 < len(days) else last_day + 1
        balance_minor = max(0, closings[_FIELDS * place + 1]) if place >= 0 else -1
        found += [balance_minor] * (min(changes_day, last_day + 1) - day)
        day = changes_day
        place += 1
    return found


def _both(one_minor: int, other_minor: int) -> int:
    """Two totals together, where either may be unknown (-1)."""
    if one_minor < 0 or other_minor < 0:
        return max(one_minor, other_minor)
    return within_int64(one_minor + other_minor)


def most_minor(evidence: BalanceEvidence, currency: str, day: int) -> int:
    """What `sight` finds at most as of the midnight at which a local day begins: just that, unless it is blind."""
    total_minor = 0
    for account in evidence.accounts:
        if account.currency == currency:
            place = _last_before(account, day)
            if place >= 0 and day - account.days[place] <= HISTORY_DAYS:
                balance_minor = account.closings[_FIELDS * place + 1]
                if balance_minor > 0:
                    total_minor += balance_minor
    return total_minor


def excused_minor(evidence: BalanceEvidence, currency: str, first_day: int, last_day: int) -> int:
    """What left for debts, rent and own accounts on these local days, both included."""
    return within_int64(
        sum(
            account.closings[_FIELDS * place + 2]
            for account in evidence.accounts
            if account.currency == currency
            for place, day in enumerate(account.days)
            if first_day <= day <= last_day
        )
    )


def currencies(evidence: BalanceEvidence) -> list[str]:
    """Currencies with balances, in order of name."""
    if len(evidence.accounts) == 1:
        return [evidence.accounts[0].currency]
    return sorted({account.currency for account in evidence.accounts})


def first_day(evidence: BalanceEvidence, currency: str) -> int | None:
    """Since when balances in a currency are kept."""
    return min(
        (account.days[0] for account in evidence.accounts if account.currency == currency), default=None
    )


def _last_before(account: AccountBalances, day: int) -> int:
    """The place of the last day before `day`; -1 where there is none."""
    days = account.days
    place = len(days) - 1
    while place >= 0 and days[place] >= day:
        place -= 1
    return place


def _used_to_move(account: AccountBalances, place: int, first_day: int) -> bool:
    """Whether the account moved so often up to its last day that its silence since then is none of its habits."""
    earlier = place - _HABIT_DAYS_MIN + 1
    first_day = max(first_day, account.days[place] - _HABIT_SPAN_DAYS + 1)
    return earlier >= 0 and account.days[earlier] >= first_day


def _is_unlinked(evidence: BalanceEvidence, account: AccountBalances, place: int, midnight_ms: int) -> bool:
    """Whether the account was unlinked before the midnight; a flow since then shows that it is seen again."""
    last_ms = account.closings[_FIELDS * place]
    known = [link for link in evidence.links.get(account.account_id, ()) if link // 2 < midnight_ms]
    return bool(known) and known[-1] % 2 == 0 and known[-1] // 2 >= last_ms
