"""What became of loan money: disbursements of own loans, money from elsewhere, and what went to securities, property or gambling.

**Disbursements.** An inflow of category `loan_disbursement` with the id of an own loan; one without an id, from the loan's
platform, an own institution or nobody by name, within `MATCH_DAYS` of the loan's opening, is that loan's too. Where none is
seen the opening stands for it, with the principal (not for a credit line, nor for a loan that was taken on): then the
money itself is not in sight, and whoever judges must say so (`Use.is_seen`).

**The rule** is first in, first out, and in doubt for the borrower. All money is followed in order of time, in the currency of the
loan, from `own_money_days` before the first disbursement that is looked at. A payment to securities, property or gambling is
taken, line by line,

1. from money of own loans whose purpose allows it;
2. from other money that came in within `own_money_days` before it, oldest first, each amount once: pay, sales, refunds, gifts,
   loans of others, and what was on the account before the disbursement where the balance tells; transfers between own
   accounts count as far as more came in than went out;
3. from money of own loans whose purpose forbids it, disbursed within `watch_days` before it, oldest first.

Only the third is the loan's; what is left after it came from money that is not seen. Money that comes back from the same
category within the watch gives back what had been taken: a deposit returned is no purchase. At one instant inflows come first.
So pay that was spent on rent still counts as there, and spending elsewhere takes nothing of the loan: what is found is never
more than what could not have come from other money in sight.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple

from msgspec import Struct

from models.calendars import DAY_MS
from models.events import FUND_FLOWS, FundFlow
from models.ledger import Loan
from models.limits import POLICIES_AT_HAND_MAX
from models.money import within_int64
from models.policy import FundMisusePolicy, UseCategory
from models.recent_ids import fingerprint_of
from models.rollovers import opens_with_money
from models.rules import Rules
from models.short_ids import short_id

MATCH_DAYS: Final = 5
"""Days around a loan's opening in which a disbursement that names no loan is taken to be the loan's: transfers take days."""
LATE_DAYS: Final = 60
"""How far before the newest flow answers stay exact: the latest lateness that a policy can set."""
FLOWS_MAX: Final = 128
"""Flows kept of one borrower: four a day for a month. Beyond it inflows of one day become one, else the oldest goes."""
DISBURSEMENTS_MAX: Final = 32
"""Disbursements kept of one borrower, of all platforms: the oldest goes first."""
_SLACK_DAYS: Final = 10
"""Flows near no disbursement are kept so many days beyond `own_money_days` and the feed's lateness."""

_time_of: Final = attrgetter("time_ms")
_FORGET_DAYS: Final = 14
"""What is kept longer than it must be changes no answer, but takes room."""

USES: Final[tuple[UseCategory, ...]] = ("securities", "property", "gambling")
"""By the numbers that the state uses."""
OWN_OUT, OWN_IN, EARNED = range(3)
RETURNED: Final = 3
"""From the first use on: money that came back from it."""
DISBURSED: Final = 6
SPENT: Final = 7
"""From the first use on: money that went to it. The order of these numbers is that of things at one instant."""
WENT_TO: Final[dict[str | None, int]] = {
    "own_transfer": OWN_OUT,
    **{use: SPENT + place for place, use in enumerate(USES)},
}
_CAME_FROM: Final[dict[str | None, int]] = {
    "loan_disbursement": DISBURSED,
    "own_transfer": OWN_IN,
    **{use: RETURNED + place for place, use in enumerate(USES)},
}
"""Anything else is earned; what the borrower sends to itself never is."""


class Flow(Struct, array_like=True, frozen=True, gc=False):
    """Money in, or money out to one of `USES` or to an own account."""

    time_ms: int
    kind: int
    fingerprint: bytes
    amount_minor: int
    currency: str


class Disbursed(Struct, array_like=True, frozen=True, gc=False):
    """An inflow of borrowed money, from whomever."""

    time_ms: int
    fingerprint: bytes
    amount_minor: int
    currency: str
    platform_id: str
    """As counted; empty where the flow names none."""
    loan_id: str | None
    before_minor: int | None
    """What was on the account before, where that was told."""


class FundUseEvidence(Struct, array_like=True):
    """All that is kept of one borrower: 5 bytes while empty, about 25 a flow; by time."""

    flows: list[Flow] = []
    disbursed: list[Disbursed] = []
    newest_ms: int = 0
    forget_ms: int = 0
    """When what is old is looked for next: once in `_FORGET_DAYS` is enough, or when there is no room."""
    last_spent_ms: int = 0
    """The newest payment to one of `USES`: without any there is nothing to judge."""


class Draw(NamedTuple):
    """A disbursement of an own loan."""

    time_ms: int
    amount_minor: int
    before_minor: int | None
    is_seen: bool


class Use(NamedTuple):
    """What went of one loan's money to what its purpose forbids; amounts in minor units of the loan's currency."""

    disbursed_minor: int
    first_draw_ms: int
    is_seen: bool
    """Whether the loan's money was seen to come in."""
    used_minor: dict[UseCategory, int]
    first_use_ms: int
    last_use_ms: int

    @property
    def total_minor(self) -> int:
        """Of all categories."""
        return sum(self.used_minor.values())


# ---- recording -------------------------------------------------------------------------------------------------------


def record_flow(evidence: FundUseEvidence, flow: FundFlow, loans: dict[str, Loan], rules: Rules) -> bool:
    """Remember money in, and money to where it may be forbidden. Return whether a judgement may have changed.

    Money that comes behind everything else in time changes nothing until it is spent.
    """
    kind = _kind_of(flow)
    if kind is None or not flow.amount_minor:
        return False
    time_ms, newest_ms = flow.event_time_ms, evidence.newest_ms
    is_late = time_ms <= newest_ms
    if kind == DISBURSED:
        insort(evidence.disbursed, _disbursed(flow, rules), key=_disbursed_order)
        del evidence.disbursed[:-DISBURSEMENTS_MAX]
    else:
        kept = Flow(time_ms, kind, fingerprint_of(flow.event_id), flow.amount_minor, flow.currency)
        if is_late:
            insort(evidence.flows, kept, key=_flow_order)
        else:
            evidence.flows.append(kept)
        if kind >= SPENT and time_ms > evidence.last_spent_ms:
            evidence.last_spent_ms = time_ms
    if not is_late:
        evidence.newest_ms = newest_ms = time_ms
    has_room = len(evidence.flows) <= FLOWS_MAX
    if newest_ms >= evidence.forget_ms or not has_room:
        evidence.forget_ms = newest_ms + _FORGET_DAYS * DAY_MS
        _forget_old(evidence, loans, rules)
        if len(evidence.flows) > FLOWS_MAX:
            _make_room(evidence)
    return bool(evidence.last_spent_ms) and (is_late or kind >= RETURNED)


def void(evidence: FundUseEvidence, fingerprint: bytes) -> bool:
    """Take a voided flow back; False where it is not remembered."""
    for flow in evidence.flows:
        if flow.fingerprint == fingerprint:
            evidence.flows.remove(flow)
            return True
    for disbursed in evidence.disbursed:
        if disbursed.fingerprint == fingerprint:
            evidence.disbursed.remove(disbursed)
            return True
    return False


def _kind_of(flow: FundFlow) -> int | None:
    """What a flow is here; None for the spending that says nothing: most flows."""
    if flow.direction == "out":
        return WENT_TO.get(flow.category)
    kind = _CAME_FROM.get(flow.category, EARNED)
    return OWN_IN if flow.counterparty_kind == "self" and kind != DISBURSED else kind


def _disbursed(flow: FundFlow, rules: Rules) -> Disbursed:
    after_minor, name = flow.balance_after_minor, flow.counterparty_id
    return Disbursed(
        time_ms=flow.event_time_ms,
        fingerprint=fingerprint_of(flow.event_id),
        amount_minor=flow.amount_minor,
        currency=flow.currency,
        platform_id="" if name is None else short_id(rules.institution(name)),
        loan_id=None if flow.loan_id is None else short_id(flow.loan_id),
        before_minor=None if after_minor is None else max(0, within_int64(after_minor - flow.amount_minor)),
    )


def around(flows: list[Flow], draws_ms: list[int], own_ms: int, watch_ms: int, recent_ms: int) -> list[Flow]:
    """The flows later than `recent_ms`, and of those before from `own_ms` before to `watch_ms` after any draw."""
    new = bisect_right(flows, recent_ms, key=_time_of)
    kept: list[Flow] = []
    end = 0
    for draw_ms in sorted(draws_ms):
        begin = max(end, bisect_left(flows, draw_ms - own_ms, end, new, key=_time_of))
        end = bisect_right(flows, draw_ms + watch_ms, begin, new, key=_time_of)
        kept += flows[begin:end]
    return kept + flows[new:]


def _flow_order(flow: Flow) -> tuple[int, int, bytes]:
    return flow.time_ms, flow.kind, flow.fingerprint


def _disbursed_order(disbursed: Disbursed) -> tuple[int, bytes]:
    return disbursed.time_ms, disbursed.fingerprint


def _forget_old(evidence: FundUseEvidence, loans: dict[str, Loan], rules: Rules) -> None:
    """Keep what is new, what lies around disbursements that are still looked at, and these themselves."""
    own_ms, watch_ms, looked_at_ms, recent_ms = _spans_ms(rules)
    looked_at_ms = evidence.newest_ms - looked_at_ms
    recent_ms = evidence.newest_ms - recent_ms
    if evidence.disbursed and evidence.disbursed[0].time_ms <= looked_at_ms:
        evidence.disbursed = [kept for kept in evidence.disbursed if kept.time_ms > looked_at_ms]
    if not evidence.flows or evidence.flows[0].time_ms > recent_ms:
        return
    draws_ms = [kept.time_ms for kept in evidence.disbursed]
    draws_ms += [loan.opened_ms for loan in loans.values() if loan.opened_ms > looked_at_ms]
    evidence.flows = around(evidence.flows, draws_ms, own_ms, watch_ms, recent_ms)


@lru_cache(maxsize=POLICIES_AT_HAND_MAX)
def _spans_ms(rules: Rules) -> tuple[int, int, int, int]:
    """Before and after a disbursement; up to how old one is still looked at, and a flow new."""
    policy = rules.policy.signals.fund_misuse
    own_ms, watch_ms = policy.own_money_days * DAY_MS, policy.watch_days * DAY_MS
    looked_at_ms = watch_ms + (policy.remember_days + LATE_DAYS) * DAY_MS
    return own_ms, watch_ms, looked_at_ms, own_ms + rules.lateness_ms[FUND_FLOWS] + _SLACK_DAYS * DAY_MS


def _make_room(evidence: FundUseEvidence) -> None:
    """Make one of two inflows of a day that follow each other; where there are none, the oldest flow goes."""
    flows = evidence.flows
    for place, (one, other) in enumerate(pairwise(flows)):
        if (
            one.kind == other.kind == EARNED
            and one.currency == other.currency
            and one.time_ms // DAY_MS == other.time_ms // DAY_MS
        ):
            both_minor = within_int64(one.amount_minor + other.amount_minor)
            flows[place : place + 2] = [Flow(one.time_ms, EARNED, one.fingerprint, both_minor, one.currency)]
            return
    del flows[0]


# ---- questions -------------------------------------------------------------------------------------------------------


def forbidden_uses(loan: Loan, policy: FundMisusePolicy) -> tuple[UseCategory, ...]:
    """What a loan's money must not go to: by its purpose, else by its product, where the policy has a word for either."""
    for word in (loan.purpose, loan.product):
        if word is not None and word in policy.forbidden_by_purpose:
            return policy.forbidden_by_purpose[word]
    return policy.forbidden


def draws_of(
    evidence: FundUseEvidence, loans: dict[str, Loan], known_ms: int, rules: Rules
) -> dict[str, list[Draw]]:
    """The disbursements of own loans on what is known up to `known_ms`, by loan, in order of time."""
    draws: dict[str, list[Draw]] = {}
    for disbursed in evidence.disbursed:
        if disbursed.time_ms <= known_ms:
            loan_id = _loan_of(disbursed, loans, known_ms, rules)
            if loan_id is not None and loans[loan_id].currency == disbursed.currency:
                draw = Draw(disbursed.time_ms, disbursed.amount_minor, disbursed.before_minor, is_seen=True)
                draws.setdefault(loan_id, []).append(draw)
    for loan_id, loan in loans.items():
        if loan_id not in draws and loan.opened_ms <= known_ms and opens_with_money(loan):
            draws[loan_id] = [Draw(loan.opened_ms, loan.principal_minor, None, is_seen=False)]
    return draws


def later_changes_ms(evidence: FundUseEvidence, after_ms: int) -> Iterator[int]:
    """When, after an instant, money is recorded that may change what was used: all but what merely came in."""
    if evidence.newest_ms <= after_ms:
        return
    for flow in evidence.flows:
        if flow.time_ms > after_ms and flow.kind >= RETURNED:
            yield flow.time_ms
    for disbursed in evidence.disbursed:
        if disbursed.time_ms > after_ms:
            yield disbursed.time_ms


def use_of(
    evidence: FundUseEvidence,
    loans: dict[str, Loan],
    loan_id: str,
    at_ms: int,
    known_ms: int,
    rules: Rules,
) -> Use | None:
    """What went of a loan's money to what its purpose forbids; None where no disbursement is remembered any more.

    Args:
        evidence: of one borrower.
        loans: the borrower's own.
        loan_id: one of them.
        at_ms: disbursements longer than `watch_days` and `remember_days` before it are over.
        known_ms: later evidence does not count.
        rules: the policy.
    """
    policy = rules.policy.signals.fund_misuse
    draws = draws_of(evidence, loans, known_ms, rules)
    over_ms = at_ms - (policy.watch_days + policy.remember_days) * DAY_MS
    mine = [draw for draw in draws.get(loan_id, ()) if draw.time_ms > over_ms]
    if not mine:
        return None
    first_ms = mine[0].time_ms - policy.own_money_days * DAY_MS
    last_ms = min(known_ms, mine[-1].time_ms + policy.watch_days * DAY_MS)
    trail = _Trail(policy)
    for time_ms, kind, of_loan, amount_minor, before_minor in sorted(
        step for step in _steps(evidence, loans, draws, loan_id, rules) if first_ms <= step[0] <= last_ms
    ):
        if kind != DISBURSED:
            trail.move(time_ms, kind, amount_minor)
        elif of_loan:
            trail.draw(time_ms, of_loan, loans[of_loan], amount_minor, before_minor)
        else:
            trail.move(time_ms, EARNED, amount_minor)
    used_minor, times_ms = trail.used_of(loan_id, mine[0].time_ms)
    return Use(
        disbursed_minor=within_int64(sum(draw.amount_minor for draw in mine)),
        first_draw_ms=mine[0].time_ms,
        is_seen=all(draw.is_seen for draw in mine),
        used_minor=used_minor,
        first_use_ms=min(times_ms, default=0),
        last_use_ms=max(times_ms, default=0),
    )


_Step = tuple[int, int, str, int, int]
"""Instant, kind, own loan (empty for none), amount, and what was on the account before (-1: not told)."""


def _steps(
    evidence: FundUseEvidence,
    loans: dict[str, Loan],
    draws: dict[str, list[Draw]],
    loan_id: str,
    rules: Rules,
) -> Iterator[_Step]:
    """All money that moved in the currency of a loan."""
    currency = loans[loan_id].currency
    for flow in evidence.flows:
        if flow.currency == currency:
            yield flow.time_ms, flow.kind, "", flow.amount_minor, -1
    for disbursed in evidence.disbursed:
        if disbursed.currency == currency and not _is_ours(disbursed, loans, rules):
            yield disbursed.time_ms, DISBURSED, "", disbursed.amount_minor, -1
    for own_id, own in draws.items():
        if loans[own_id].currency == currency:
            for draw in own:
                before_minor = -1 if draw.before_minor is None else draw.before_minor
                yield draw.time_ms, DISBURSED, own_id, draw.amount_minor, before_minor


def _loan_of(disbursed: Disbursed, loans: dict[str, Loan], known_ms: int, rules: Rules) -> str | None:
    """The own loan that a disbursement belongs to: by its id, or by who lent and when."""
    near: list[tuple[int, str]] = []
    for loan_id, loan in loans.items():
        if loan.is_voided or loan.opened_ms > known_ms:
            continue
        if disbursed.loan_id is not None:
            if short_id(loan_id) == disbursed.loan_id:
                return loan_id
            continue
        apart_ms = abs(disbursed.time_ms - loan.opened_ms)
        if apart_ms <= MATCH_DAYS * DAY_MS and (
            not disbursed.platform_id or _is_own_platform(disbursed.platform_id, loan, rules)
        ):
            near.append((apart_ms, loan_id))
    return min(near)[1] if near else None


def _is_ours(disbursed: Disbursed, loans: dict[str, Loan], rules: Rules) -> bool:
    """Whether borrowed money is not somebody else's: it is no other money then, whichever loan it belongs to."""
    if disbursed.loan_id is not None:
        return True
    for loan in loans.values():
        if loan.is_voided:
            continue
        if disbursed.platform_id:
            if _is_own_platform(disbursed.platform_id, loan, rules):
                return True
        elif abs(disbursed.time_ms - loan.opened_ms) <= MATCH_DAYS * DAY_MS:
            return True
    return False


def _is_own_platform(platform_id: str, loan: Loan, rules: Rules) -> bool:
    if platform_id == short_id(rules.institution(loan.platform_id)):
        return True
    return any(platform_id == short_id(name) for name in rules.own_institutions)


# ---- following the money ---------------------------------------------------------------------------------------------


class _Pool:
    """What is left of one disbursement, and what of it went where."""

    __slots__ = ("forbidden", "left_minor", "loan_id", "since_ms", "used")

    def __init__(
        self, since_ms: int, loan_id: str, left_minor: int, forbidden: tuple[UseCategory, ...]
    ) -> None:
        self.since_ms = since_ms
        self.loan_id = loan_id
        self.left_minor = left_minor
        self.forbidden = forbidden
        self.used: list[tuple[UseCategory, int, int]] = []
        """Category, instant, amount."""


class _Trail:
    """Follows money in order of time by the rule of this module."""

    def __init__(self, policy: FundMisusePolicy) -> None:
        self._policy = policy
        self._pools: list[_Pool] = []
        self._other: list[tuple[int, int]] = []
        """Other money: since when, and what is left of it."""
        self._sent_minor = 0
        """What went to own accounts and has not come back."""

    def move(self, time_ms: int, kind: int, amount_minor: int) -> None:
        """Anything but a disbursement of an own loan."""
        if kind == OWN_OUT:
            self._sent_minor += amount_minor
        elif kind == OWN_IN:
            back_minor = min(self._sent_minor, amount_minor)
            self._sent_minor -= back_minor
            self._other.append((time_ms, amount_minor - back_minor))
        elif kind == EARNED:
            self._other.append((time_ms, amount_minor))
        elif kind < DISBURSED:
            self._take_back(time_ms, USES[kind - RETURNED], amount_minor)
        else:
            self._spend(time_ms, USES[kind - SPENT], amount_minor)

    def draw(self, time_ms: int, loan_id: str, loan: Loan, amount_minor: int, before_minor: int) -> None:
        """Loan money comes in; what was on the account before and is not explained by what was seen is other money."""
        known_minor = sum(left for since_ms, left in self._other if self._is_fresh(since_ms, time_ms))
        known_minor += sum(pool.left_minor for pool in self._pools if self._is_watched(pool, time_ms))
        if before_minor > known_minor:
            self._other.append((time_ms, before_minor - known_minor))
        self._pools.append(_Pool(time_ms, loan_id, amount_minor, forbidden_uses(loan, self._policy)))

    def used_of(self, loan_id: str, since_ms: int) -> tuple[dict[UseCategory, int], list[int]]:
        """What of a loan's money, disbursed since then, went where it must not, and when."""
        used_minor: dict[UseCategory, int] = {}
        times_ms: list[int] = []
        for pool in self._pools:
            if pool.loan_id == loan_id and pool.since_ms >= since_ms:
                for use, time_ms, amount_minor in pool.used:
                    used_minor[use] = used_minor.get(use, 0) + amount_minor
                    times_ms.append(time_ms)
        return used_minor, times_ms

    def _is_fresh(self, since_ms: int, time_ms: int) -> bool:
        return time_ms - since_ms <= self._policy.own_money_days * DAY_MS

    def _is_watched(self, pool: _Pool, time_ms: int) -> bool:
        return time_ms - pool.since_ms <= self._policy.watch_days * DAY_MS

    def _spend(self, time_ms: int, use: UseCategory, amount_minor: int) -> None:
        watched = [pool for pool in self._pools if self._is_watched(pool, time_ms)]
        for pool in watched:
            if use not in pool.forbidden:
                taken_minor = min(pool.left_minor, amount_minor)
                pool.left_minor -= taken_minor
                amount_minor -= taken_minor
        for place, (since_ms, left_minor) in enumerate(self._other):
            if self._is_fresh(since_ms, time_ms):
                taken_minor = min(left_minor, amount_minor)
                self._other[place] = (since_ms, left_minor - taken_minor)
                amount_minor -= taken_minor
        for pool in watched:
            taken_minor = min(pool.left_minor, amount_minor)
            if use in pool.forbidden and taken_minor:
                pool.left_minor -= taken_minor
                amount_minor -= taken_minor
                pool.used.append((use, time_ms, taken_minor))

    def _take_back(self, time_ms: int, use: UseCategory, amount_minor: int) -> None:
        """Money back from a use undoes what was taken last; the rest is other money."""
        for pool in reversed(self._pools):
            for place in range(len(pool.used) - 1, -1, -1):
                used, used_ms, used_minor = pool.used[place]
                back_minor = min(used_minor, amount_minor) if used == use else 0
                if back_minor:
                    amount_minor -= back_minor
                    pool.left_minor += back_minor
                    pool.used[place] = (used, used_ms, used_minor - back_minor)
            pool.used = [taken for taken in pool.used if taken[2]]
        self._other.append((time_ms, amount_minor))
