"""Borrowed money that repays other borrowed money: what is remembered of it, and which repayments it financed.

**What is kept.** Disbursements (inflows of category `loan_disbursement`) and repayments (outflows of category
`loan_repayment`), with the platform that the flow names as its counterparty, or the own loan whose id it carries. A
repayment before which nothing was borrowed tells nothing, and is forgotten after some weeks.

**What is a pair.** A repayment is put down to the latest disbursement from another platform in the `pair_days` before it, so
that each disbursement and each repayment belongs to one pair at most, whatever else happened before. It counts if what other
platforms disbursed in those days comes to `pair_fraction` of it at least: else it was paid from other money. A disbursement
makes a pair at the moment when the repayments put down to it come to `pair_fraction` of what was disbursed. Both are
asked: by the first alone every instalment paid soon after a large loan would count, by the second alone every small loan soon
before a mortgage's instalment.

**Platforms** go through the policy's aliases. The lender's own institutions are one platform; own loans on platforms that
are not listed there stand for those platforms. An own loan whose disbursement is not seen as a flow counts by its opening,
except for a credit line, which opens without money.

**What does not count.** Repayments to the platform that lent (revolving), flows that name nobody, flows from and to the
borrower's self, other categories (own transfers, refunds), disbursements below `amount_minor_min`, own loans whose
agreed purpose is to repay others (`agreed_purposes`), and repayments of own loans that closed as refinanced within
`pair_days` of them: that was agreed. One loan that pays off several is one pair, and one pair is never an alert.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from functools import lru_cache
from operator import attrgetter
from typing import Final, NamedTuple

from msgspec import Struct

from models.calendars import DAY_MS
from models.events import FUND_FLOWS, FundFlow
from models.ledger import Loan
from models.limits import POLICIES_AT_HAND_MAX
from models.money import within_int64
from models.recent_ids import fingerprint_of
from models.rules import Rules
from models.short_ids import short_id

LATE_DAYS: Final = 60
"""How far before the newest entry answers stay exact: the latest lateness that a policy can set."""
DISBURSEMENTS_MAX: Final = 32
"""Disbursements kept: six times what `borrowing_to_repay` finds serious. The oldest goes first."""
REPAYMENTS_MAX: Final = 64
"""Repayments kept: two a disbursement. The oldest goes first."""
_PLATFORMS_AT_HAND_MAX: Final = 4096
"""Platforms, as reported, whose names are kept at hand: more than lend in a country; half a megabyte."""
CATEGORIES: Final = frozenset({"loan_disbursement", "loan_repayment"})
"""Flows of others are never kept."""
OWN_LENDER: Final = "own"
"""What the lender's own institutions are called together."""
_LONE_DAYS: Final = 10
"""A repayment with nothing borrowed before it is kept so many days beyond `pair_days` and the feed's lateness."""


class Movement(Struct, array_like=True, frozen=True, gc=False):
    """A disbursement or a repayment."""

    time_ms: int
    fingerprint: bytes
    platform_id: str
    """As counted; empty where the flow names none."""
    amount_minor: int
    currency: str
    loan_id: str | None = None
    """Of the own loan."""


class RolloverEvidence(Struct, array_like=True):
    """All that is kept of one borrower: 3 bytes while empty, about 35 a movement; by time."""

    disbursements: list[Movement] = []
    repayments: list[Movement] = []
    newest_ms: int = 0


class Lent(NamedTuple):
    """A disbursement as it counts."""

    time_ms: int
    platform_id: str
    amount_minor: int
    currency: str


class Pair(NamedTuple):
    """Money borrowed here that repaid there, by the repayment that completed it."""

    completed_ms: int
    lent: Lent
    repaid_to: str
    repaid_minor: int
    """Up to then."""


# ---- recording -------------------------------------------------------------------------------------------------------


def record_flow(evidence: RolloverEvidence, flow: FundFlow, loans: dict[str, Loan], rules: Rules) -> bool:
    """Remember a disbursement or a repayment. Return whether it is one that may change a judgement.

    A disbursement behind everything else in time changes nothing: it has to be followed by a repayment first.
    """
    category, direction = flow.category, flow.direction
    if category == "loan_repayment" and direction == "out":
        kept, kept_max = evidence.repayments, REPAYMENTS_MAX
    elif category == "loan_disbursement" and direction == "in":
        kept, kept_max = evidence.disbursements, DISBURSEMENTS_MAX
    else:
        return False
    movement = _movement(flow, rules)
    if movement is None:
        return False
    is_late = movement.time_ms <= evidence.newest_ms
    if is_late:
        insort(kept, movement, key=_order)
    else:
        kept.append(movement)
        evidence.newest_ms = movement.time_ms
    if len(kept) > kept_max:
        del kept[0]
    _forget_old(evidence, loans, rules)
    return is_late or direction == "out"


def void(evidence: RolloverEvidence, fingerprint: bytes) -> bool:
    """Take a voided flow back; False where it is not remembered."""
    for kept in (evidence.disbursements, evidence.repayments):
        for movement in kept:
            if movement.fingerprint == fingerprint:
                kept.remove(movement)
                return True
    return False


def _movement(flow: FundFlow, rules: Rules) -> Movement | None:
    """What is kept of a flow; None where it tells nothing."""
    if not flow.amount_minor or flow.counterparty_kind == "self":
        return None
    if flow.counterparty_id is None and flow.loan_id is None:
        return None
    return Movement(
        flow.event_time_ms,
        fingerprint_of(flow.event_id),
        "" if flow.counterparty_id is None else _counted(flow.counterparty_id, rules),
        flow.amount_minor,
        flow.currency,
        None if flow.loan_id is None else short_id(flow.loan_id),
    )


def _order(movement: Movement) -> tuple[int, bytes]:
    return movement.time_ms, movement.fingerprint


@lru_cache(maxsize=_PLATFORMS_AT_HAND_MAX)
def _counted(reported_id: str, rules: Rules) -> str:
    name = rules.institution(reported_id)
    return OWN_LENDER if name in rules.own_institutions else short_id(name)


def _forget_old(evidence: RolloverEvidence, loans: dict[str, Loan], rules: Rules) -> None:
    """Forget what is old, and earlier the repayments before which nothing was borrowed."""
    pair_ms, old_ms, lone_ms = _spans_ms(rules)
    first_ms, lone_ms = evidence.newest_ms - old_ms, evidence.newest_ms - lone_ms
    disbursements, repayments = evidence.disbursements, evidence.repayments
    if disbursements and disbursements[0].time_ms <= first_ms:
        disbursements = [kept for kept in disbursements if kept.time_ms > first_ms]
        evidence.disbursements = disbursements
    if not repayments or repayments[0].time_ms > lone_ms:
        return
    borrowed_ms = [kept.time_ms for kept in disbursements]
    borrowed_ms += [loan.opened_ms for loan in loans.values()]
    new = bisect_right(repayments, lone_ms, key=_time_of)
    left: list[Movement] = []
    for movement in repayments[:new]:
        repaid_ms = movement.time_ms
        if repaid_ms > first_ms:
            for ms in borrowed_ms:
                if repaid_ms - pair_ms <= ms <= repaid_ms:
                    left.append(movement)
                    break
    if len(left) < new:
        evidence.repayments = left + repayments[new:]


@lru_cache(maxsize=POLICIES_AT_HAND_MAX)
def _spans_ms(rules: Rules) -> tuple[int, int, int]:
    """Within which a pair lies; after which a movement is old, and a repayment for which nothing was borrowed."""
    policy = rules.policy.signals.borrowing_to_repay
    pair_ms = policy.pair_days * DAY_MS
    old_ms = (policy.window_days + LATE_DAYS) * DAY_MS + 2 * pair_ms
    return pair_ms, old_ms, pair_ms + rules.lateness_ms[FUND_FLOWS] + _LONE_DAYS * DAY_MS


_time_of: Final = attrgetter("time_ms")


# ---- questions -------------------------------------------------------------------------------------------------------


def pairs(evidence: RolloverEvidence, loans: dict[str, Loan], known_ms: int, rules: Rules) -> list[Pair]:
    """The pairs on what is known up to `known_ms`, by the instant at which each was complete.

    Args:
        evidence: of one borrower.
        loans: the borrower's own.
        known_ms: later evidence does not count.
        rules: the policy, with aliases and the lender's own institutions.
    """
    if not evidence.repayments:
        return []
    policy = rules.policy.signals.borrowing_to_repay
    pair_ms = policy.pair_days * DAY_MS
    lent = sorted(_lent(evidence, loans, known_ms, rules))
    repaid_minor = [0] * len(lent)
    found: list[Pair] = []
    for repayment in evidence.repayments:
        if repayment.time_ms > known_ms:
            break
        if not lent or lent[0].time_ms > repayment.time_ms or _was_agreed(repayment, loans, known_ms, rules):
            continue
        platform_id = _platform_of(repayment, loans, rules)
        financing = [
            place
            for place, one in enumerate(lent)
            if 0 <= repayment.time_ms - one.time_ms <= pair_ms
            and one.platform_id != platform_id
            and one.currency == repayment.currency
        ]
        financed_minor = sum(lent[place].amount_minor for place in financing)
        if not financing or financed_minor < policy.pair_fraction * repayment.amount_minor:
            continue
        latest = financing[-1]
        wanted_minor = policy.pair_fraction * lent[latest].amount_minor
        was_complete = repaid_minor[latest] >= wanted_minor
        repaid_minor[latest] = within_int64(repaid_minor[latest] + repayment.amount_minor)
        if not was_complete and repaid_minor[latest] >= wanted_minor:
            found.append(Pair(repayment.time_ms, lent[latest], platform_id, repaid_minor[latest]))
    return found


def may_have_pairs(evidence: RolloverEvidence, loans: Iterable[Loan], since_ms: int, pair_ms: int) -> bool:
    """Whether there may be a pair that was complete after an instant: money was repaid since, soon after some was borrowed."""
    for repayment in reversed(evidence.repayments):
        time_ms = repayment.time_ms
        if time_ms <= since_ms:
            return False
        borrowed_since_ms = time_ms - pair_ms
        if any(borrowed_since_ms <= one.time_ms <= time_ms for one in evidence.disbursements) or any(
            borrowed_since_ms <= loan.opened_ms <= time_ms for loan in loans
        ):
            return True
    return False


def lent_at_most(evidence: RolloverEvidence, loans: dict[str, Loan], after_ms: int) -> int:
    """No more than so many pairs can have a disbursement, or the opening of an own loan, that is later than an instant."""
    count = 0
    for movement in reversed(evidence.disbursements):
        if movement.time_ms <= after_ms:
            break
        count += 1
    for loan in loans.values():
        if loan.opened_ms > after_ms:
            count += 1
    return count


def _lent(evidence: RolloverEvidence, loans: dict[str, Loan], known_ms: int, rules: Rules) -> Iterator[Lent]:
    """Disbursements seen, and openings of own loans whose disbursement is not."""
    policy = rules.policy.signals.borrowing_to_repay
    seen = [one for one in evidence.disbursements if one.time_ms <= known_ms]
    agreed = {short_id(name) for name, loan in loans.items() if loan.purpose in policy.agreed_purposes}
    for one in seen:
        if one.amount_minor >= policy.amount_minor_min and one.loan_id not in agreed:
            yield Lent(one.time_ms, _platform_of(one, loans, rules), one.amount_minor, one.currency)
    for name, loan in loans.items():
        if (
            loan.opened_ms <= known_ms
            and loan.principal_minor >= policy.amount_minor_min
            and short_id(name) not in agreed
            and opens_with_money(loan)
        ):
            platform_id = _counted(loan.platform_id, rules)
            if not any(_is_of(one, name, platform_id, loan, policy.pair_days) for one in seen):
                yield Lent(loan.opened_ms, platform_id, loan.principal_minor, loan.currency)


def opens_with_money(loan: Loan) -> bool:
    """Whether the opening of a loan hands its principal out: not for credit lines, and not for what was taken on."""
    is_line = bool(loan.limits_minor) and loan.limits_minor[0][0] <= loan.opened_ms
    return not (is_line or loan.is_taken_on or loan.is_voided)


def _is_of(movement: Movement, loan_id: str, platform_id: str, loan: Loan, days: int) -> bool:
    """Whether a disbursement seen is that of an own loan: by its id, or by platform and time."""
    if movement.loan_id is not None:
        return movement.loan_id == short_id(loan_id)
    return movement.platform_id == platform_id and abs(movement.time_ms - loan.opened_ms) <= days * DAY_MS


def _platform_of(movement: Movement, loans: dict[str, Loan], rules: Rules) -> str:
    """The platform of the own loan, where the flow names one that is known; else that of the counterparty."""
    if movement.loan_id is None:
        return movement.platform_id
    for name, loan in loans.items():
        if loan.platform_id and short_id(name) == movement.loan_id:
            return _counted(loan.platform_id, rules)
    return movement.platform_id or OWN_LENDER


def _was_agreed(repayment: Movement, loans: dict[str, Loan], known_ms: int, rules: Rules) -> bool:
    """Whether a repayment belongs to the refinancing of an own loan."""
    pair_ms = rules.policy.signals.borrowing_to_repay.pair_days * DAY_MS
    for name, loan in loans.items():
        if loan.closing_reason != "refinanced" or loan.closed_ms is None or loan.closed_ms > known_ms:
            continue
        if abs(loan.closed_ms - repayment.time_ms) <= pair_ms and (
            short_id(name) == repayment.loan_id
            if repayment.loan_id is not None
            else _counted(loan.platform_id, rules) == repayment.platform_id
        ):
            return True
    return False
