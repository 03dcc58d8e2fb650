"""Which fund flows are income, and what of them is remembered of one borrower: the evidence behind `income_drop`.

**Income** is an inflow whose category is salary, pension, benefit or business income. An inflow without a category is a
*candidate*: it counts once its counterparty is regular (`has_regular_run`), for all of its past, as of the instant that is
judged; at once where the counterparty calls itself an employer or already pays declared income. It is no candidate
without a counterparty, for an own loan, or from the borrower, a linked party, a lender or an aggregator. Every other
category (a disbursement, a refund, an own transfer, `other`, ...) never is income.

**A source** is one counterparty that pays into one account in one currency. Business income is one source an account: the
takings of a trade or of gig work come from many hands.

**What is kept.** Of a source, one entry a week (Monday to Sunday, local): its last pay day and the sum. Of each recent week
also the first pay day: the instant and amount of its first flow, and the day's sum. So the past `AS_OF_DAYS` can be told
exactly (`models.pays`). Of an account, the weeks in which anything else moved, and when it was linked and unlinked. All of
that is a function of the set of flows, not of their order of arrival, up to the limits below.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from msgspec import Struct
from xxhash import xxh3_64_intdigest

from models.calendars import DAY_MS
from models.events import FundFlow
from models.limits import INT64_MAX, POLICIES_AT_HAND_MAX
from models.recent_flows import RecentFlow, RecentFlows, all_of
from models.recent_ids import fingerprint_of
from models.rules import Rules
from models.short_ids import short_id

SALARY, PENSION, BENEFIT, BUSINESS, EMPLOYER, CANDIDATE = range(6)
"""Kinds of sources: four declared by category, then inflows without one, from an employer and from anybody else."""

SOURCES_MAX: Final = 12
"""Sources kept for one borrower, of declared income and of candidates each: beyond it declared ones share one without
a name, and the candidate that is not income and paid longest ago makes room."""
ACCOUNTS_MAX: Final = 16
"""Accounts watched for silence: of further ones silence cannot be told."""
LINKS_MAX: Final = 8
"""Links and unlinks kept of one account: the oldest goes first."""
AS_OF_DAYS: Final = 120
"""How far before the newest income the past is exact: the latest lateness a policy can set is 60 days."""
LOOKBACK_DAYS: Final = 330
"""How far a judgement looks back from the last income before the loss: ten months and the pay that covers the first."""
RECENT_FLOWS_MAX: Final = 8
"""Income flows kept one by one for a borrower: transfers are returned within days. The void of an older one is counted."""
RECENT_FLOWS_DAYS: Final = 45
"""How far back from the newest they are kept: a month, and half of one of lateness."""
ACTIVE_WEEKS_MAX: Final = 64
"""Weeks of an account's life kept, one bit each: what fits one msgpack integer."""

REVISIONS: Final = 128
"""One msgpack byte; nobody looks at something derived that many changes ago."""

OUTLOOK: Final = "outlook"
"""What `models.income_outlook` keeps beside the first source: it holds until pay or links change, and is dropped then."""

LOSS: Final = "loss"
"""The same, dropped when life changes too."""

_KEY: Final = "key"
"""`_source_key`, kept beside a source: what it is made of never changes."""

FIRST_NUMBERS: Final = 4
"""Numbers kept of the first pay day of a week."""

_ALL_WEEKS: Final = (1 << ACTIVE_WEEKS_MAX) - 1
_RECENT_WEEKS: Final = AS_OF_DAYS // 7 + 2
_EPISODE_SLACK_DAYS: Final = 120
"""How long before the opening of an alert, or its settling, the last pay may lie: quarterly pay over a festival."""
_REGULAR_GAP_DAYS_MAX: Final = 100
"""Rarer than once a quarter is no rhythm that three pays could show."""
_REGULAR_GAP_SPREAD: Final = 1.6
"""Longest over shortest of two gaps: 28 to 34 days between pays of two neighbouring months, 5 to 9 of two weeks."""
_REGULAR_GAP_SLACK_DAYS: Final = 4
_REGULAR_AMOUNT_SPREAD: Final = 1.5
"""Largest over smallest of three pays that are "similar": pay with some overtime, not a pay and a bonus."""
_SHARED_SOURCES_MAX: Final = 4
"""Sources without a name for what exceeds `SOURCES_MAX`, one a currency: more currencies than that are no income."""

_DECLARED_KINDS: Final[dict[str | None, int]] = {
    "salary": SALARY,
    "pension": PENSION,
    "benefit": BENEFIT,
    "business_income": BUSINESS,
}
_NEVER_CANDIDATES: Final = frozenset({"self", "linked", "lender", "aggregator"})


class Source(Struct, array_like=True, dict=True):
    """What one counterparty pays into one account.

    `dict`: its rhythm is kept beside it (`models.rhythm`), and never in the state.
    """

    account: int
    """Index into the accounts; -1 for one beyond `ACCOUNTS_MAX`."""
    counterparty_id: str
    """Empty where none was given, for business income, and where sources share one."""
    currency: str
    kind: int
    days: list[int] = []
    """The last pay day of each week with pay, ascending (day numbers). Never changed in place, but replaced: what was derived
    shares it, and tells by it whether it still holds."""
    amounts: list[int] = []
    """What the week brought, minor units; replaced, too."""
    firsts: list[int] = []
    """The first pay day of each recent week: day, time of the first flow in milliseconds since midnight, that flow's
    amount, what else the day brought; and so on, ascending."""


class Account(Struct, array_like=True):
    """When something other than income and own transfers moved on one account, and whether we may see it."""

    account_id: str
    active_week: int = 0
    """The newest week with a flow."""
    active_weeks: int = 0
    """One bit a week: bit 0 is `active_week`, bit 1 the week before, ..."""
    links: list[int] = []
    """Instants of linking (epoch milliseconds x 2 + 1) and unlinking (x 2), ascending."""


class RecentPay(Struct, array_like=True, frozen=True, order=True, gc=False):
    """A recent income or candidate flow by itself, so that it can be taken back: when, what, and to which source."""

    time_ms: int
    fingerprint: bytes
    amount_minor: int
    source: int
    """`_source_key`: sixteen bits tell a dozen sources apart."""


class IncomeEvidence(Struct, array_like=True, dict=True):
    """All that is kept of one borrower's income: about 250 bytes for a year of monthly pay.

    `dict`: what it comes to a month is kept beside it until pay changes (`models.income_level`), and never in the state.
    """

    sources: list[Source] = []
    accounts: list[Account] = []
    newest_week: int = 0
    """The newest week with an income or candidate flow: what is forgotten is measured from it."""
    revision: int = 0
    """Counts changes, and begins anew after `REVISIONS`: tells whether what was derived still holds."""
    recent: list[RecentPay] = []
    """The newest flows, by time: what a void may name. About 28 bytes each."""


# ---- recording -------------------------------------------------------------------------------------------------------


def record_flow(evidence: IncomeEvidence, flow: FundFlow, rules: Rules) -> bool:
    """Remember a flow. Return whether it may change the judgement: income, or a sign of life after a silence."""
    kind: int | None = kind_of(flow)
    day = rules.calendar.day_of(flow.event_time_ms)
    account_id = short_id(flow.account_id)
    if kind is not None:
        return enter_pay(evidence, flow, kind, day, account_id, rules)
    return is_life(flow, kind) and enter_life(evidence, account_id, day)


def enter_pay(
    evidence: IncomeEvidence, flow: FundFlow, kind: int, day: int, kept_account_id: str, rules: Rules
) -> bool:
    """Remember income, or a candidate for it, of a local day into an account by its kept id. Returns as `record_flow`."""
    _note_change(evidence)
    week, newest_week = (day + 3) // 7, evidence.newest_week  # as `week_of`
    if week > newest_week:
        evidence.newest_week = newest_week = week
        _forget_old(evidence, _oldest_week(evidence, rules))
    elif week < newest_week and week < _oldest_week(evidence, rules):
        return False
    source = _source_for(evidence, flow, kind, kept_account_id)
    if source is None:
        return False
    amount_minor = flow.amount_minor
    week_minor = _enter(source, day, week, amount_minor)
    _keep_recent(evidence, source, flow)
    if week <= newest_week - _RECENT_WEEKS:
        return True
    clock_ms = flow.event_time_ms - rules.calendar.midnight_ms(day)
    first_day_minor = _enter_first(source, day, week, clock_ms, amount_minor)
    if week < newest_week:
        return True
    for account in evidence.accounts:
        if account.active_week > week:
            return True
    # In the midst of a week of many pays nothing changes before its end, which is awaited since the second pay day.
    return first_day_minor is None or first_day_minor == week_minor


def enter_life(evidence: IncomeEvidence, account_id: str, day: int) -> bool:
    """Remember that an account (by its kept id) is in use. Return whether that may change the judgement: it follows a silence."""
    week = (day + 3) // 7  # as `week_of`
    for account in evidence.accounts:
        if account.account_id == account_id:
            ahead = week - account.active_week
            break
    else:
        _note_life(evidence)
        index = _account_index(evidence, account_id)
        return index >= 0 and _mark_active(evidence.accounts[index], week)
    if ahead:
        _note_life(evidence)
        if ahead != 1:
            return _mark_active(account, week)
        account.active_week = week
        account.active_weeks = (account.active_weeks << 1 | 1) & _ALL_WEEKS
        return bool(account.links) and account.links[-1] % 2 == 0
    return False


def record_link(evidence: IncomeEvidence, account_id: str, at_ms: int) -> bool:
    """From `at_ms` on we see the account (again). Return whether that may change the judgement."""
    return _record_link(evidence, account_id, at_ms * 2 + 1)


def record_unlink(evidence: IncomeEvidence, account_id: str, at_ms: int) -> bool:
    """From `at_ms` on we see the account no more. Return whether that may change the judgement."""
    return _record_link(evidence, account_id, at_ms * 2)


def void(evidence: IncomeEvidence, fingerprint: bytes, rules: Rules) -> bool:
    """Take back a voided income flow; False where it is not remembered."""
    voided = next((flow for flow in evidence.recent if flow.fingerprint == fingerprint), None)
    if voided is None:
        return False
    evidence.recent.remove(voided)
    _note_change(evidence)
    for source in evidence.sources:
        if _source_key(source) == voided.source:
            _take_back(evidence, source, voided, rules)
            break
    return True


def kind_of(flow: FundFlow) -> int | None:
    """The kind of source that a flow belongs to, or None where it can never be income."""
    if flow.direction == "out" or flow.amount_minor == 0:
        return None
    if flow.category is not None:
        return _DECLARED_KINDS.get(flow.category)
    if flow.counterparty_id is None or flow.loan_id is not None:
        return None
    if flow.counterparty_kind in _NEVER_CANDIDATES:
        return None
    return EMPLOYER if flow.counterparty_kind == "employer" else CANDIDATE


def is_life(flow: FundFlow, kind: int | None) -> bool:
    """Whether a flow shows that its account is in use: neither income, nor the sweeping away of pay."""
    return kind is None and flow.category != "own_transfer"


def take_back_life(evidence: IncomeEvidence, gone: RecentFlow, recent: RecentFlows, rules: Rules) -> None:
    """An account without a voided sign of life; it stays where others of that week may have made room."""
    calendar = rules.calendar
    week = week_of(calendar.day_of(gone.time_ms))
    if not gone.is_life or recent.forgotten_ms >= calendar.midnight_ms(monday_of(week)):
        return
    if any(
        flow.is_life and flow.account == gone.account and week_of(calendar.day_of(flow.time_ms)) == week
        for flow in all_of(recent)
    ):
        return
    for account in evidence.accounts:
        behind = account.active_week - week
        if gone.is_on(account.account_id) and 0 <= behind < ACTIVE_WEEKS_MAX:
            _note_life(evidence)
            weeks = account.active_weeks & ~(1 << behind)
            newest = (weeks & -weeks).bit_length() - 1
            account.active_weeks = weeks >> newest if weeks else 0
            account.active_week = account.active_week - newest if weeks else 0


def take_back_link(evidence: IncomeEvidence, account_id: str, at_ms: int, *, is_linked: bool) -> None:
    """An account without a voided link or unlink."""
    _note_change(evidence)
    for account in evidence.accounts:
        if account.account_id == account_id and at_ms * 2 + is_linked in account.links:
            account.links.remove(at_ms * 2 + is_linked)


def _take_back(evidence: IncomeEvidence, source: Source, voided: RecentPay, rules: Rules) -> None:
    """A source's week without one of its flows; a week whose other flows are not all kept counts from its end."""
    calendar = rules.calendar
    week = week_of(calendar.day_of(voided.time_ms))
    index = bisect_left(source.days, monday_of(week))
    if index == len(source.days) or week_of(source.days[index]) != week:
        return
    left = [
        flow
        for flow in evidence.recent
        if flow.source == voided.source and week_of(calendar.day_of(flow.time_ms)) == week
    ]
    left_minor = max(0, source.amounts[index] - voided.amount_minor)
    _drop_first(source, week)
    if not left_minor:
        source.days = source.days[:index] + source.days[index + 1 :]
        source.amounts = source.amounts[:index] + source.amounts[index + 1 :]
        if not source.days:
            evidence.sources.remove(source)
        return
    source.amounts = _with(source.amounts, index, left_minor)
    if sum(flow.amount_minor for flow in left) == left_minor:
        source.days = _with(source.days, index, max(calendar.day_of(flow.time_ms) for flow in left))
        for flow in left:
            day = calendar.day_of(flow.time_ms)
            clock_ms = flow.time_ms - calendar.midnight_ms(day)
            _enter_first(source, day, week, clock_ms, flow.amount_minor)


def _with(numbers: list[int], index: int, number: int) -> list[int]:
    return [*numbers[:index], number, *numbers[index + 1 :]]


def _drop_first(source: Source, week: int) -> None:
    for index in range(0, len(source.firsts), FIRST_NUMBERS):
        if week_of(source.firsts[index]) == week:
            del source.firsts[index : index + FIRST_NUMBERS]
            return


def _keep_recent(evidence: IncomeEvidence, source: Source, flow: FundFlow) -> None:
    kept = RecentPay(
        flow.event_time_ms, fingerprint_of(flow.event_id), flow.amount_minor, _source_key(source)
    )
    recent = evidence.recent
    insort(recent, kept)
    since_ms = recent[-1].time_ms - RECENT_FLOWS_DAYS * DAY_MS
    while recent[0].time_ms <= since_ms or len(recent) > RECENT_FLOWS_MAX:
        del recent[0]


def _source_key(source: Source) -> int:
    key: int | None = vars(source).get(_KEY)
    if key is None:
        name = f"{source.account}/{source.counterparty_id}/{source.currency}/{source.kind}"
        key = vars(source)[_KEY] = xxh3_64_intdigest(name.encode()) & 0xFFFF
    return key


def _note_change(evidence: IncomeEvidence) -> None:
    """Pay or links are about to change."""
    evidence.revision = (evidence.revision + 1) % REVISIONS
    vars(evidence).clear()
    if evidence.sources:
        kept = vars(evidence.sources[0])
        kept.pop(LOSS, None)
        kept.pop(OUTLOOK, None)


def _note_life(evidence: IncomeEvidence) -> None:
    """Life on an account is about to change."""
    evidence.revision = (evidence.revision + 1) % REVISIONS
    if evidence.sources:
        vars(evidence.sources[0]).pop(LOSS, None)


def _record_link(evidence: IncomeEvidence, account_id: str, link: int) -> bool:
    _note_change(evidence)
    index = _account_index(evidence, short_id(account_id))
    if index < 0:
        return False
    links = evidence.accounts[index].links
    insort(links, link)
    if len(links) > LINKS_MAX:
        del links[0]
    return True


def _mark_active(account: Account, week: int) -> bool:
    ahead = week - account.active_week
    if ahead > 0:
        shifted = account.active_weeks << ahead if ahead < ACTIVE_WEEKS_MAX else 0
        account.active_weeks = (shifted & _ALL_WEEKS) | 1
        account.active_week = week
        return ahead > 1 or (bool(account.links) and account.links[-1] % 2 == 0)
    known = account.active_weeks
    if -ahead < ACTIVE_WEEKS_MAX:
        account.active_weeks |= 1 << -ahead
    return account.active_weeks != known


def _enter(source: Source, day: int, week: int, amount_minor: int) -> int:
    """Add a flow to its week. Return what the week had brought before."""
    days, amounts = source.days, source.amounts
    monday = week * 7 - 3
    if not days or days[-1] < monday:
        source.days, source.amounts = [*days, day], [*amounts, amount_minor]
        return 0
    index = bisect_left(days, monday)
    if days[index] > monday + 6:
        source.days = [*days[:index], day, *days[index:]]
        source.amounts = [*amounts[:index], amount_minor, *amounts[index:]]
        return 0
    known_minor = amounts[index]
    if day > days[index]:
        source.days = _with(days, index, day)
    source.amounts = _with(amounts, index, min(known_minor + amount_minor, INT64_MAX))
    return known_minor


def _enter_first(source: Source, day: int, week: int, clock_ms: int, amount_minor: int) -> int | None:
    """Keep the first pay day of its week. Return what it brought where the flow came on a later day, else None."""
    firsts = source.firsts
    index, monday = len(firsts), week * 7 - 3  # as `monday_of`
    while index and firsts[index - FIRST_NUMBERS] > monday + 6:
        index -= FIRST_NUMBERS
    if not index or firsts[index - FIRST_NUMBERS] < monday:
        firsts[index:index] = [day, clock_ms, amount_minor, 0]
        return None
    first_day, first_clock_ms, first_minor, rest_minor = firsts[index - FIRST_NUMBERS : index]
    if day > first_day:
        return min(first_minor + rest_minor, INT64_MAX)
    if day < first_day:
        first_clock_ms, first_minor, rest_minor = clock_ms, amount_minor, 0
    elif clock_ms < first_clock_ms:
        first_clock_ms, first_minor, rest_minor = clock_ms, amount_minor, rest_minor + first_minor
    elif clock_ms == first_clock_ms:
        first_minor = min(first_minor + amount_minor, INT64_MAX)
    else:
        rest_minor += amount_minor
    firsts[index - FIRST_NUMBERS : index] = [day, first_clock_ms, first_minor, min(rest_minor, INT64_MAX)]
    return None


def _source_for(evidence: IncomeEvidence, flow: FundFlow, kind: int, account_id: str) -> Source | None:
    """The flow's source, new where need be; None where there is no room for it."""
    named = "" if kind == BUSINESS or not flow.counterparty_id else short_id(flow.counterparty_id)
    account = _account_index(evidence, account_id)
    for source in evidence.sources:
        if (
            source.counterparty_id == named
            and source.account == account
            and source.kind == kind
            and source.currency == flow.currency
        ):
            return source
    alike = [source for source in evidence.sources if (source.kind >= EMPLOYER) == (kind >= EMPLOYER)]
    if len(alike) >= SOURCES_MAX:
        if kind < EMPLOYER:
            return _shared_source(evidence, flow.currency)
        if not _make_room(evidence):
            return None
    source = Source(account, named, flow.currency, kind)
    evidence.sources.append(source)
    return source


def _shared_source(evidence: IncomeEvidence, currency: str) -> Source | None:
    """The one source of a currency that all declared income beyond the limit shares, whatever its account."""
    shared = [
        source
        for source in evidence.sources
        if (source.account, source.counterparty_id, source.kind) == (-1, "", SALARY)
    ]
    for source in shared:
        if source.currency == currency:
            return source
    if len(shared) >= _SHARED_SOURCES_MAX:
        return None
    source = Source(-1, "", currency, SALARY)
    evidence.sources.append(source)
    return source


def _make_room(evidence: IncomeEvidence) -> bool:
    """Forget the candidate that is no income and paid longest ago."""
    payers = declared_payers(evidence.sources)
    idle = [
        source
        for source in evidence.sources
        if source.kind == CANDIDATE
        and (source.counterparty_id, source.currency) not in payers
        and not has_regular_run(source.days, source.amounts)
    ]
    if idle:
        evidence.sources.remove(min(idle, key=lambda source: (source.days[-1], source.counterparty_id)))
    return bool(idle)


def _account_index(evidence: IncomeEvidence, account_id: str) -> int:
    """Where an account stands, by its kept id; -1 where there is no room for it."""
    for index, account in enumerate(evidence.accounts):
        if account.account_id == account_id:
            return index
    if len(evidence.accounts) >= ACCOUNTS_MAX:
        return -1
    evidence.accounts.append(Account(account_id))
    return len(evidence.accounts) - 1


# ---- forgetting ------------------------------------------------------------------------------------------------------


def _oldest_week(evidence: IncomeEvidence, rules: Rules) -> int:
    """The first week that a judgement within `AS_OF_DAYS` of the newest income can ask for."""
    return evidence.newest_week - _kept_weeks(rules)


@lru_cache(maxsize=POLICIES_AT_HAND_MAX)
def _kept_weeks(rules: Rules) -> int:
    settled_days = rules.policy.signals.income_drop.settled_days
    kept_days = LOOKBACK_DAYS + AS_OF_DAYS + settled_days * 3 // 2 + _EPISODE_SLACK_DAYS
    return kept_days // 7


def _forget_old(evidence: IncomeEvidence, oldest_week: int) -> None:
    oldest_day = oldest_week * 7 - 3  # as `monday_of`
    recent_day = (evidence.newest_week - _RECENT_WEEKS + 1) * 7 - 3
    is_idle = False
    for source in evidence.sources:
        if source.days[0] < oldest_day:
            gone = bisect_left(source.days, oldest_day)
            source.days, source.amounts = source.days[gone:], source.amounts[gone:]
            is_idle = is_idle or not source.days
        while source.firsts and source.firsts[0] < recent_day:
            del source.firsts[:FIRST_NUMBERS]
    if is_idle:
        evidence.sources = [source for source in evidence.sources if source.days]


# ---- which payers count -----------------------------------------------------------------------------------------------


def has_regular_run(days: list[int], amounts: list[int]) -> bool:
    """Whether three pays in a row have similar gaps and similar amounts: a regular payer, then and later."""
    for index in range(2, len(days)):
        short, long = sorted((days[index] - days[index - 1], days[index - 1] - days[index - 2]))
        if long > min(short * _REGULAR_GAP_SPREAD + _REGULAR_GAP_SLACK_DAYS, _REGULAR_GAP_DAYS_MAX):
            continue
        three = amounts[index - 2 : index + 1]
        if max(three) <= _REGULAR_AMOUNT_SPREAD * min(three):
            return True
    return False


def declared_payers(sources: Iterable[Source]) -> set[tuple[str, str]]:
    """Counterparties, each with its currency, of which some pay was declared income by its category."""
    return {(source.counterparty_id, source.currency) for source in sources if source.kind < EMPLOYER}


# ---- accounts --------------------------------------------------------------------------------------------------------


def is_active(account: Account, first_week: int, last_week: int) -> bool:
    """Whether anything but income and own transfers moved in these weeks, both included."""
    return weeks_up_to(account, last_week) & ((1 << max(last_week - first_week + 1, 0)) - 1) != 0


def weeks_up_to(account: Account, last_week: int) -> int:
    """The account's weeks with flows, one bit each: bit 0 is `last_week`, bit 1 the week before, ..."""
    ahead = account.active_week - last_week
    return account.active_weeks >> ahead if ahead >= 0 else account.active_weeks << -ahead


# ---- weeks -----------------------------------------------------------------------------------------------------------


def week_of(day: int) -> int:
    """The week of a day, from Monday to Sunday; 1970-01-01 was a Thursday."""
    return (day + 3) // 7


def monday_of(week: int) -> int:
    """The first day of a week."""
    return week * 7 - 3
