"""From an event to what is remembered: which evidence it adds to, and which signals it may touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from models import (
    balances,
    debts,
    fund_use,
    income,
    income_outlook,
    institutions,
    ledger,
    links,
    outflows,
    recent_flows,
    rollovers,
    servicing,
)
from models.borrower import HIGHEST, AwaitedVoid, Borrower, WaitingEvent
from models.calendars import DAY_MS
from models.contacts import are_attempts_used_up
from models.episodes import open_episode
from models.events import (
    FUND_FLOWS,
    REPAYMENTS,
    TOPICS,
    AccountLinked,
    AccountUnlinked,
    AlertAcknowledged,
    AlertReviewed,
    AlertSnoozed,
    BorrowerEvent,
    BorrowerLinked,
    BorrowerUnlinked,
    ContactAttempted,
    CreditAccountOpened,
    CreditQuery,
    CreditSummary,
    EventVoided,
    FlowCategory,
    FundFlow,
    HoldPlaced,
    HoldReleased,
    InstalmentBilled,
    LimitChanged,
    LoanClosed,
    LoanOpened,
    LoanSnapshot,
    Origin,
    Repayment,
    RepaymentReversed,
    RepaymentsEvent,
    RestrictionLifted,
    RestrictionListed,
    ScheduleChanged,
)
from models.limits import AWAITED_VOIDS_MAX, CLOSED_REMEMBERED_DAYS, LOANS_MAX, WAITING_EVENTS_MAX
from models.obligations import dues_of
from models.recent_ids import Acquaintance, fingerprint_of, recognise
from models.rejects import StateReason
from models.risk.examples import remember_decided
from models.rules import Rules
from models.short_ids import ID_CHARACTERS_MAX, short_id
from models.signal_table import (
    ASSET_FLIGHT,
    BORROWING_TO_REPAY,
    FUND_MISUSE,
    INCOME_DROP,
    LINKED_DISTRESS,
    MISSED_PAYMENT,
    MULTI_PLATFORM_BORROWING,
    OVER_INDEBTEDNESS,
    PAYMENT_AT_RISK,
    RELAPSE,
    RISK_SCORE,
    SIGNALS,
    UNREACHABLE,
)
from models.signals import (
    asset_flight,
    borrowing_to_repay,
    over_indebtedness,
    payment_at_risk,
    relapse,
    risk_score,
)
from models.signals.asset_flight import Calm, calm_of

Touched = tuple[tuple[int, str | None], ...]


class Noted(Struct, frozen=True, gc=False):
    """What an event did to a borrower's picture."""

    touched: Touched = ()
    """Signals (number, subject) that are to be judged."""
    refused: StateReason | None = None
    """Why the event is not part of the picture."""
    noticed: str | None = None
    """What is to be counted: a type that no signal uses yet, or an event that waits for its loan."""
    rewrites_past: bool = False
    """A correction: what was judged before may prove wrong."""
    rewrites_from_ms: int = -1
    """With it: alerts opened after this instant are judged once more as of their opening."""
    entered_up_to_ms: int = -1
    """Latest event time of what had waited for this event and was entered with it."""
    is_report: bool = False
    """Servicing reported it: what open alerts show may be another, but nothing that other signals rest on."""
    lacks_money: bool = False
    """There is less than `payment_at_risk` had found enough: it is not to be judged, but when it looks is to be asked again."""


VOID_RETRACTS_DAYS: Final = 90
"""A void retracts what opened within so many days before it: so far back all evidence is exact (`institutions.LATE_DAYS`).
What opened earlier ends as what has come right."""
_EVERYDAY: Final[frozenset[str]] = frozenset(get_args(FlowCategory)).difference(
    rollovers.CATEGORIES, outflows.CATEGORIES, fund_use.WENT_TO
)
"""Outflows of these categories show life and leave a balance: they are no wealth that moves, and repay or borrow nothing."""
_CALM: Final = "calm"
"""Under which name `Calm` is kept beside a borrower, until its loans change."""
_CORRECTING: Final = frozenset({"overdue", "outstanding"})
_TOPIC_NUMBERS: Final[dict[str, int]] = {topic: number for number, topic in enumerate(TOPICS)}
NOTHING: Final = Noted()
_INCOME: Final = Noted(touched=((INCOME_DROP, None),))
_MULTI_PLATFORM: Final = Noted(touched=((MULTI_PLATFORM_BORROWING, None),))
_PAYMENT_AT_RISK: Final[Touched] = ((PAYMENT_AT_RISK, None),)
_ASSET_FLIGHT: Final[Touched] = ((ASSET_FLIGHT, None),)
_BORROWING_TO_REPAY: Final[Touched] = ((BORROWING_TO_REPAY, None),)
_OVER_INDEBTEDNESS: Final[Touched] = ((OVER_INDEBTEDNESS, None),)
_UNREACHABLE: Final[Touched] = ((UNREACHABLE, None),)
_RELAPSE: Final[Touched] = ((RELAPSE, None),)
_LINKED_DISTRESS: Final[Touched] = ((LINKED_DISTRESS, None),)
_RISK_SCORE: Final[Touched] = ((RISK_SCORE, None),)
_FEATURED: Final = frozenset({MISSED_PAYMENT, INCOME_DROP, MULTI_PLATFORM_BORROWING})
"""Signals on whose evidence the features of the score are, too: what touches none of them changes no feature."""
_INCOME_AND_LOOK: Final = Noted(touched=((INCOME_DROP, None), *_PAYMENT_AT_RISK))


def record(borrower: Borrower, event: BorrowerEvent, origin: Origin, rules: Rules) -> Noted:
    """Add an event to a borrower's evidence; refused events leave it as it was."""
    if borrower.voids and _is_voided_already(borrower, event, origin):
        return Noted(noticed=f"voided-before.{event.__struct_config__.tag}")
    if type(event) is FundFlow:
        return record_flow(borrower, event, rules)
    recorder = _RECORDERS.get(type(event))
    if recorder is None:
        return Noted(noticed=f"unused.{event.__struct_config__.tag}")
    if recorder not in _LOANS_STAY:
        vars(borrower).clear()
    noted = recorder(borrower, event, origin, rules)
    if noted is NOTHING and not risk_score.weighs_more(rules):  # what touches nothing moves no score
        return noted
    return _with_score(borrower, event.event_time_ms, noted, rules)


def _with_score(borrower: Borrower, at_ms: int, noted: Noted, rules: Rules) -> Noted:
    """What an event did to the picture, and with it `risk_score` where it is to be judged before its next deadline."""
    if not borrower.loans or noted.refused is not None:
        return noted
    touches_score = _may_bring_into_reach if risk_score.weighs_more(rules) else _touches_score
    if touches_score(borrower, at_ms, noted, rules):
        return msgspec.structs.replace(noted, touched=noted.touched + _RISK_SCORE)
    return noted


def _touches_score(borrower: Borrower, at_ms: int, noted: Noted, rules: Rules) -> bool:
    """Whether `risk_score` is to be judged before its next deadline.

    It looks at midnights, so that in order nothing changes before the next one; but a new institution may bring it into
    reach, where it looks every few days. (So may an own loan: that judges `missed_payment`, which shares the clock.) What is
    late, or corrects the past, changes a look that was taken.
    """
    if not noted.touched:
        return False
    rewrites_a_look = noted.rewrites_past or at_ms < borrower.judged_ms[REPAYMENTS]
    if not rewrites_a_look and (MULTI_PLATFORM_BORROWING, None) not in noted.touched:
        return False
    touched = {signal for signal, _ in noted.touched}
    if RISK_SCORE in touched or touched.isdisjoint(_FEATURED):
        return False
    return _is_score_in_reach(borrower, at_ms, noted, rules, rewrites_a_look=rewrites_a_look)


def _may_bring_into_reach(borrower: Borrower, at_ms: int, noted: Noted, rules: Rules) -> bool:
    """The same for a card that weighs evidence of any kind: all that is recorded may matter, unless the next look is awaited."""
    if (RISK_SCORE, None) in noted.touched:
        return False
    rewrites_a_look = noted.rewrites_past or at_ms < borrower.judged_ms[REPAYMENTS]
    deadlines_ms = borrower.signal_deadlines_ms
    if (
        not rewrites_a_look
        and len(deadlines_ms) > RISK_SCORE
        and deadlines_ms[RISK_SCORE] <= risk_score.next_look_ms(at_ms, rules)
    ):
        return False
    return _is_score_in_reach(borrower, at_ms, noted, rules, rewrites_a_look=rewrites_a_look)


def _is_score_in_reach(
    borrower: Borrower, at_ms: int, noted: Noted, rules: Rules, *, rewrites_a_look: bool
) -> bool:
    """Whether a look may find something now, or an alert that was told may prove wrong."""
    since_ms = noted.rewrites_from_ms if noted.rewrites_past else at_ms
    if rewrites_a_look and any(
        episode.signal == RISK_SCORE and (episode.closed_ms is None or episode.opened_as_of_ms > since_ms)
        for episode in borrower.episodes
    ):
        return True
    return risk_score.is_in_reach(borrower, max(at_ms, borrower.judged_ms[REPAYMENTS]), rules)


def record_flow(borrower: Borrower, event: FundFlow, rules: Rules) -> Noted:
    """`record` of a fund flow that no void awaits.

    Most flows are everyday spending: what they cannot concern, by category and direction, is not asked.
    """
    at_ms, category = event.event_time_ms, event.category
    day, account_id = rules.calendar.day_of(at_ms), event.account_id
    if len(account_id) > ID_CHARACTERS_MAX:
        account_id = short_id(account_id)
    kind, excused_minor = None, 0
    is_life, is_everyday = category != "own_transfer", False
    if event.direction == "out":
        is_everyday = category in _EVERYDAY
        if balances.is_excused(event):
            excused_minor = event.amount_minor
    else:
        kind = income.kind_of(event)
        is_life = is_life and kind is None  # as `income.is_life`
    recent_flows.remember(borrower.recent_flows, event, account_id, excused_minor, is_life)
    touches_income = False
    if is_life:
        if income.enter_life(borrower.income, account_id, day):
            touches_income = _may_change_income(borrower, event, rules)
    elif kind is not None:
        touches_income = income.enter_pay(borrower.income, event, kind, day, account_id, rules)
    known = borrower.balances
    told = balances.enter_flow(known, event, day, account_id, excused_minor)
    touched: Touched = ()
    if (
        not is_everyday
        or touches_income
        or told & balances.OF_FIRST_ACCOUNT
        or borrower.institutions.first_flow_ms is None
        or at_ms < borrower.institutions.first_flow_ms
        or at_ms < borrower.judged_ms[REPAYMENTS]
    ):
        touched = _touched_by_flow(borrower, event, day, told, rules, touches_income=touches_income)
    elif told & balances.OF_NEWEST_DAY and _is_watched(borrower, at_ms, day, rules):
        touched = _ASSET_FLIGHT  # by the day's first flow: balances count from midnight on
    enough_minor, balance_minor = known.enough_minor, event.balance_after_minor
    lacks_money = enough_minor > 0 and told > 0 and balance_minor is not None and balance_minor < enough_minor
    if touched or lacks_money:
        return _with_score(borrower, at_ms, Noted(touched=touched, lacks_money=lacks_money), rules)
    return _with_score(borrower, at_ms, NOTHING, rules) if risk_score.weighs_more(rules) else NOTHING


def _touched_by_flow(
    borrower: Borrower, event: FundFlow, day: int, told: int, rules: Rules, *, touches_income: bool
) -> Touched:
    """What is to be judged for a flow that may concern more than the balance of a day; and the evidence of that is recorded.

    `told`: what it told of balances. `touches_income`: whether `income_drop` is to be judged.
    """
    at_ms, category, is_out = event.event_time_ms, event.category, event.direction == "out"
    is_late = at_ms < borrower.judged_ms[REPAYMENTS]
    touched: Touched = _INCOME.touched if touches_income else ()
    first_ms = borrower.institutions.first_flow_ms
    if (first_ms is None or at_ms < first_ms or category == "loan_disbursement") and institutions.record_flow(
        borrower.institutions, event, rules
    ):
        touched += _MULTI_PLATFORM.touched
    if told & balances.OF_FIRST_ACCOUNT:
        touched += _PAYMENT_AT_RISK  # looks at money as of midnights: in order only the very first matters
    elif is_late and (told or touches_income) and _rewrites_a_look(borrower, at_ms, rules):
        touched += _PAYMENT_AT_RISK
    is_repaid_elsewhere = category == "loan_repayment" and event.loan_id is None
    if is_repaid_elsewhere or (touches_income and at_ms < borrower.judged_ms[FUND_FLOWS]):
        touched += _record_debt(borrower, event, rules, touches_income=touches_income)
    was_transfer = False
    if not is_out or category not in _EVERYDAY:
        if category in rollovers.CATEGORIES and _record_rollover(borrower, event, rules):
            touched += _BORROWING_TO_REPAY
        if (not is_out or category in fund_use.WENT_TO) and fund_use.record_flow(
            borrower.fund_use, event, borrower.loans, rules
        ):
            touched += _touched_by_use(borrower)
        was_transfer = is_out and outflows.record_flow(borrower.outflows, event, rules)
    if is_late:
        touched += _touched_by_late_flow(borrower, rules)
    elif (was_transfer or told & balances.OF_NEWEST_DAY) and _is_watched(borrower, at_ms, day, rules):
        touched += _ASSET_FLIGHT  # by a transfer, or the day's first flow: balances count from midnight on
    return touched


def _may_change_income(borrower: Borrower, event: FundFlow, rules: Rules) -> bool:
    """Whether `income_drop` is to be judged for a sign of life that its evidence notes: where pay is awaited."""
    at_ms = event.event_time_ms
    if at_ms < max(borrower.judged_ms):
        return True
    for episode in borrower.episodes:
        if episode.signal == INCOME_DROP and episode.closed_ms is None:
            return True
    return income_outlook.awaits_pay(borrower.income, event.account_id, at_ms, rules)


def _record_rollover(borrower: Borrower, event: FundFlow, rules: Rules) -> bool:
    """Remember borrowed money that moved; return whether `borrowing_to_repay` is to be judged.

    At most repayments it finds nothing for sure; then it counts as judged.
    """
    if not rollovers.record_flow(borrower.rollovers, event, borrower.loans, rules):
        return False
    at_ms = event.event_time_ms
    if (
        borrower.pending
        or borrower.deadlines_ms[HIGHEST] <= at_ms
        or (borrower.episodes and any(episode.signal == BORROWING_TO_REPAY for episode in borrower.episodes))
        or borrowing_to_repay.is_in_reach(borrower.rollovers, borrower.loans, at_ms, rules)
    ):
        return True
    if borrower.judged_ms[HIGHEST] < at_ms:
        borrower.judged_ms[HIGHEST] = at_ms
    return False


def _record_debt(borrower: Borrower, event: FundFlow, rules: Rules, *, touches_income: bool) -> Touched:
    """Remember a repayment elsewhere; return `over_indebtedness` where it is to be judged before its next deadline.

    It looks at pay as of midnights, which the judgement of `income_drop` schedules; late pay may disprove an alert.
    """
    at_ms = event.event_time_ms
    if debts.record_flow(borrower.debts, event, rules):
        return _touched_by_debts(borrower, at_ms, rules)
    if touches_income and at_ms < borrower.judged_ms[FUND_FLOWS]:
        for episode in borrower.episodes:
            if episode.signal == OVER_INDEBTEDNESS and (
                episode.closed_ms is None or episode.opened_as_of_ms > at_ms
            ):
                return _OVER_INDEBTEDNESS
    return ()


def _touched_by_debts(borrower: Borrower, at_ms: int, rules: Rules) -> Touched:
    """`over_indebtedness`, unless it is plain that other debts let it find nothing, now or sooner than it looks anyway."""
    deadlines_ms = borrower.signal_deadlines_ms
    if (
        len(deadlines_ms) > OVER_INDEBTEDNESS
        and rules.are_for_all
        and not borrower.episodes
        and not borrower.pending
        and borrower.judged_ms[FUND_FLOWS] <= at_ms < borrower.deadlines_ms[FUND_FLOWS]
        and over_indebtedness.is_out_of_reach(borrower, at_ms, deadlines_ms[OVER_INDEBTEDNESS], rules)
    ):
        return ()
    return _OVER_INDEBTEDNESS


def _touched_by_late_flow(borrower: Borrower, rules: Rules) -> Touched:
    """`asset_flight`, where what was looked at may have been another: while money was watched, or an alert is about it."""
    if (borrower.episodes and _watches(borrower)) or (
        borrower.balances.accounts
        and asset_flight.is_watched(borrower.loans, borrower.judged_ms[REPAYMENTS], rules)
    ):
        return _ASSET_FLIGHT
    return ()


def _is_watched(borrower: Borrower, at_ms: int, day: int, rules: Rules) -> bool:
    """Whether money is watched on a local day, on what is known at an instant of it: as `asset_flight.is_watched_on`.

    Nearly always it is not, and will not be before a day that follows from the loans: that is kept until they change.
    """
    calm: Calm | None = vars(borrower).get(_CALM)
    if calm is not None and calm.rules is rules and calm.from_ms <= at_ms and day < calm.until_day:
        return False
    if not borrower.balances.accounts:
        return False
    calm = vars(borrower)[_CALM] = calm_of(borrower.loans, rules)
    return (at_ms < calm.from_ms or day >= calm.until_day) and asset_flight.is_watched_on(
        borrower.loans, at_ms, day, rules
    )


def _watches(borrower: Borrower) -> bool:
    """Whether there is an alert about money that went."""
    for episode in borrower.episodes:
        if episode.signal == ASSET_FLIGHT:
            return True
    return False


def _rewrites_a_look(borrower: Borrower, at_ms: int, rules: Rules) -> bool:
    """Whether something late changes what was looked at: while an instalment is near, or an alert opened since."""
    judged_ms = borrower.judged_ms[REPAYMENTS]
    if at_ms >= judged_ms:
        return False
    return payment_at_risk.is_near(borrower.loans, judged_ms, rules) or any(
        episode.signal == PAYMENT_AT_RISK and episode.opened_as_of_ms > at_ms for episode in borrower.episodes
    )


def _record_link(borrower: Borrower, event: AccountLinked, origin: Origin, rules: Rules) -> Noted:
    income.record_link(borrower.income, event.account_id, event.event_time_ms)
    fingerprint = fingerprint_of(event.event_id)
    balances.record_link(
        borrower.balances, event.account_id, event.event_time_ms, linked=True, fingerprint=fingerprint
    )
    return _INCOME_AND_LOOK if _rewrites_a_look(borrower, event.event_time_ms, rules) else _INCOME


def _record_unlink(borrower: Borrower, event: AccountUnlinked, origin: Origin, rules: Rules) -> Noted:
    income.record_unlink(borrower.income, event.account_id, event.event_time_ms)
    fingerprint = fingerprint_of(event.event_id)
    balances.record_link(
        borrower.balances, event.account_id, event.event_time_ms, linked=False, fingerprint=fingerprint
    )
    return _INCOME_AND_LOOK if _rewrites_a_look(borrower, event.event_time_ms, rules) else _INCOME


def _record_query(borrower: Borrower, event: CreditQuery, origin: Origin, rules: Rules) -> Noted:
    return _MULTI_PLATFORM if institutions.record_query(borrower.institutions, event, rules) else NOTHING


def _record_account(borrower: Borrower, event: CreditAccountOpened, origin: Origin, rules: Rules) -> Noted:
    return _MULTI_PLATFORM if institutions.record_account(borrower.institutions, event, rules) else NOTHING


def _record_summary(borrower: Borrower, event: CreditSummary, origin: Origin, rules: Rules) -> Noted:
    told = debts.record_summary(borrower.debts, event, rules)
    return Noted(touched=_touched_by_debts(borrower, event.event_time_ms, rules)) if told else NOTHING


def _record_hold(borrower: Borrower, event: HoldPlaced | HoldReleased, origin: Origin, rules: Rules) -> Noted:
    if not servicing.record_hold(borrower.servicing, event):
        return Noted(refused="too-many-holds")
    return Noted(touched=unsettled(borrower, event.event_time_ms), is_report=True)


def _record_contact(borrower: Borrower, event: ContactAttempted, origin: Origin, rules: Rules) -> Noted:
    at_ms = event.event_time_ms
    were_used_up = are_attempts_used_up(borrower.servicing, at_ms, at_ms, rules)
    servicing.record_contact(borrower.servicing, event)
    is_shown = (
        event.outcome != "unreached"
        or at_ms < max(borrower.judged_ms)
        or were_used_up != are_attempts_used_up(borrower.servicing, at_ms, at_ms, rules)
        or bool(rules.segments)
    )
    if not is_shown:
        return Noted(touched=_UNREACHABLE)  # nobody answered, and it was not the last attempt of the day
    touched = unsettled(borrower, at_ms)
    if _UNREACHABLE[0] not in touched:
        touched += _UNREACHABLE
    return Noted(touched=touched, is_report=True)


def _record_restriction(
    borrower: Borrower, event: RestrictionListed | RestrictionLifted, origin: Origin, rules: Rules
) -> Noted:
    servicing.record_restriction(borrower.servicing, event)
    return Noted(touched=unsettled(borrower, event.event_time_ms), is_report=True)


def _record_borrower_link(
    borrower: Borrower, event: BorrowerLinked | BorrowerUnlinked, origin: Origin, rules: Rules
) -> Noted:
    """Who is linked is asked for its state when the signal is judged. A link without room is counted: it holds nobody."""
    if borrower.links is None:
        borrower.links = links.LinkEvidence()
    done = links.record(borrower.links, event)
    return Noted(touched=_LINKED_DISTRESS) if done == "recorded" else Noted(noticed=f"link.{done}")


def _record_alert_note(
    borrower: Borrower,
    event: AlertAcknowledged | AlertReviewed | AlertSnoozed,
    origin: Origin,
    rules: Rules,
) -> Noted:
    """What is said of an alert that nobody knows is kept as well: a deadline not passed yet may be about to open it."""
    known = {episode.alert_id for episode in borrower.episodes}
    servicing.record_note(borrower.servicing, event, known)
    return Noted(
        touched=unsettled(borrower, event.event_time_ms),
        noticed=None if event.alert_id in known else f"unknown-alert.{event.__struct_config__.tag}",
        is_report=True,
    )


def unsettled(borrower: Borrower, at_ms: int) -> Touched:
    """What has an alert open, or may have one as of `at_ms` once deadlines before it have passed."""
    found: list[tuple[int, str | None]] = []
    for signal, kind in enumerate(SIGNALS):
        is_behind = borrower.deadlines_ms[kind.clock] <= at_ms
        found += [
            (signal, subject)
            for subject in kind.subjects(borrower)
            if is_behind or open_episode(borrower.episodes, signal, subject) is not None
        ]
    return tuple(found)


def _record_loan_opened(borrower: Borrower, event: LoanOpened, origin: Origin, rules: Rules) -> Noted:
    known = borrower.loans.get(event.loan_id)
    if known is not None and known.is_taken_on:
        ledger.complete(known, event, rules)
    elif known is not None and not known.is_voided:
        return Noted(refused="loan-already-open")
    elif not _make_room_for_a_loan(borrower, event.event_time_ms, rules):
        return Noted(refused="too-many-loans")
    else:
        borrower.loans[event.loan_id] = ledger.open_loan(event, rules)
    return Noted(
        touched=(
            (MISSED_PAYMENT, event.loan_id),
            (MULTI_PLATFORM_BORROWING, None),
            *_touched_by_use(borrower),
            *_touched_by_dues(borrower),
            *(_touched_by_debts(borrower, event.event_time_ms, rules) if borrower.income.sources else ()),
            *_touched_by_borrowing(borrower, event),
            *(_ASSET_FLIGHT if borrower.outflows.transfers else ()),
            *_touched_by_payments(borrower, rules),
        ),
        entered_up_to_ms=_apply_waiting(borrower, event.loan_id, rules),
    )


def _record_loan_event(borrower: Borrower, event: RepaymentsEvent, origin: Origin, rules: Rules) -> Noted:
    loan = borrower.loans.get(event.loan_id)
    before = None if loan is None else loan.now
    if loan is None or not _apply(loan, event, rules):
        if len(borrower.waiting) >= WAITING_EVENTS_MAX:
            return Noted(refused="too-many-waiting")
        borrower.waiting.append(WaitingEvent(event, origin))
        return Noted(noticed=f"waiting.{event.__struct_config__.tag}")
    entered_up_to_ms = -1
    if borrower.waiting and isinstance(event, Repayment):
        entered_up_to_ms = _apply_waiting(borrower, event.loan_id, rules)
    if loan.now is not before or not isinstance(event, Repayment):
        vars(borrower).pop(
            _CALM, None
        )  # a payment that was merely entered leaves it calm for as long at least
    still_has_enough = entered_up_to_ms < 0 and _still_has_enough(borrower, loan, event, rules)
    return Noted(
        touched=(
            (MISSED_PAYMENT, event.loan_id),
            *(() if still_has_enough else _touched_by_dues(borrower)),
            *_touched_by_own_debts(borrower, loan, event, rules),
            *_touched_by_borrowing(borrower, event),
            *(_touched_by_use(borrower) if isinstance(event, LoanClosed) else ()),
            *(_ASSET_FLIGHT if borrower.outflows.transfers or _watches(borrower) else ()),
            *_touched_by_payments(borrower, rules),
        ),
        rewrites_past=isinstance(event, ScheduleChanged) and event.reason == "correction",
        entered_up_to_ms=entered_up_to_ms,
    )


def _record_snapshot(borrower: Borrower, event: LoanSnapshot, origin: Origin, rules: Rules) -> Noted:
    """A loan that is not known is taken on; a known one is held to the book, and a correction revises its alerts."""
    loan = borrower.loans.get(event.loan_id)
    entered_up_to_ms, done = -1, "taken-on"
    if loan is None or loan.is_voided:
        if not _make_room_for_a_loan(borrower, event.event_time_ms, rules):
            return Noted(refused="too-many-loans")
        borrower.loans[event.loan_id] = ledger.take_on(event, rules)
        entered_up_to_ms = _apply_waiting(borrower, event.loan_id, rules)
    else:
        done = ledger.reconcile(loan, event, rules)
        if done not in _CORRECTING:
            return Noted(noticed=f"snapshot.{done}")
    return Noted(
        touched=(
            (MISSED_PAYMENT, event.loan_id),
            *_touched_by_dues(borrower),
            *_touched_by_payments(borrower, rules),
        ),
        noticed=f"snapshot.{done}",
        rewrites_past=True,
        rewrites_from_ms=ledger.instant_ms(event, rules) - 1,
        entered_up_to_ms=entered_up_to_ms,
    )


def _touched_by_borrowing(borrower: Borrower, event: RepaymentsEvent) -> Touched:
    """An own loan that begins has lent, and one that ends may have been refinanced: what was repaid meanwhile is asked again."""
    if borrower.rollovers.repayments and isinstance(event, LoanOpened | LoanClosed):
        return _BORROWING_TO_REPAY
    return ()


def _touched_by_use(borrower: Borrower) -> Touched:
    """One payment may concern the money of every loan, once anything was paid to where it may be forbidden."""
    if not borrower.fund_use.last_spent_ms:
        return ()
    return tuple((FUND_MISUSE, loan_id) for loan_id in borrower.loans)


def _touched_by_own_debts(
    borrower: Borrower, loan: ledger.Loan, event: RepaymentsEvent, rules: Rules
) -> Touched:
    """A payment changes a month's dues only where it may pay a statement off; everything else may."""
    if not borrower.income.sources or (isinstance(event, Repayment) and not dues_of(loan).stands_days):
        return ()
    return _touched_by_debts(borrower, event.event_time_ms, rules)


def _touched_by_dues(borrower: Borrower) -> Touched:
    """Signals that compare what falls due with what else is known of the borrower, where anything is."""
    return _PAYMENT_AT_RISK if borrower.balances.accounts else ()


def _still_has_enough(borrower: Borrower, loan: ledger.Loan, event: RepaymentsEvent, rules: Rules) -> bool:
    """Whether a payment, the last of what is known of its loan, is made by one who had enough before: it leaves less to be paid.

    `payment_at_risk` finds nothing then, and is only to be asked when it looks: that goes with `missed_payment`. A loan that was
    ever past due is asked about: while it is, what falls due next is not looked at, and is again once it is paid.
    """
    return (
        borrower.balances.enough_minor > 0
        and isinstance(event, Repayment)
        and loan.now.worst_days_past_due <= 0
        and not rules.moves_due_days
        and loan.now.upto_ms <= event.event_time_ms
        and event.event_time_ms >= borrower.judged_ms[REPAYMENTS]
        and all(episode.signal != PAYMENT_AT_RISK for episode in borrower.episodes)
    )


def _touched_by_payments(borrower: Borrower, rules: Rules) -> Touched:
    """A payment keeps a promise, and ends what a contact was sought for; a miss after one that was repaired is a relapse."""
    touched = _UNREACHABLE if borrower.servicing.contacts else ()
    if relapse.may_matter(borrower.loans, rules) or (
        borrower.episodes and open_episode(borrower.episodes, RELAPSE, None) is not None
    ):
        return touched + _RELAPSE
    return touched


def _apply(loan: ledger.Loan, event: RepaymentsEvent, rules: Rules) -> bool:
    """Enter an event into its loan; False for a reversal whose payment is not known."""
    if isinstance(event, RepaymentReversed):
        return ledger.reverse(loan, event, rules)
    _LEDGER_ENTRIES[type(event)](loan, event, rules)
    return True


def _apply_waiting(borrower: Borrower, loan_id: str, rules: Rules) -> int:
    """Enter what waited for a loan, in order of time, and say up to when; what still misses its payment waits on."""
    loan = borrower.loans[loan_id]
    entered_up_to_ms = -1
    for waiting in sorted(borrower.waiting, key=lambda waiting: waiting.event.event_time_ms):
        if waiting.event.loan_id == loan_id and _apply(loan, waiting.event, rules):
            borrower.waiting.remove(waiting)
            entered_up_to_ms = waiting.event.event_time_ms
    return entered_up_to_ms


def _make_room_for_a_loan(borrower: Borrower, at_ms: int, rules: Rules) -> bool:
    """Forget loans that closed long before `at_ms`, and one more where there are too many: the one that closed first.

    A loan about which an alert is open stays. Returns whether there is room.
    """
    since_ms = at_ms - CLOSED_REMEMBERED_DAYS * DAY_MS
    watched = {episode.loan_id for episode in borrower.episodes if episode.closed_ms is None}
    closed = sorted(
        (closed_ms, loan_id)
        for loan_id, loan in borrower.loans.items()
        if (closed_ms := loan.closed_ms) is not None and loan_id not in watched
    )
    for closed_ms, loan_id in closed:
        if closed_ms < since_ms or len(borrower.loans) >= LOANS_MAX:
            remember_decided(borrower, borrower.loans[loan_id], rules)
            del borrower.loans[loan_id]
    return len(borrower.loans) < LOANS_MAX


# ---- taking back -------------------------------------------------------------------------------------------------


def _record_void(borrower: Borrower, event: EventVoided, origin: Origin, rules: Rules) -> Noted:
    """Take an event back, as if it had never been sent; what it caused is judged once more, and retracted.

    Each kind of evidence forgets what it holds of the target. A target that has not come yet is awaited, so that it is
    turned away when it comes. One that left nothing to forget, or that is too old to be told apart, is counted. A
    target that has changed the ledger in a way that cannot be undone refuses the void, so that it fails closed.
    """
    topic = _TOPIC_NUMBERS[origin.topic]
    fingerprint = fingerprint_of(event.target_event_id)
    voided = _VOIDERS[origin.topic](borrower, fingerprint, event.event_time_ms, rules)
    if voided == "impossible":
        return Noted(refused="cannot-be-voided")
    if voided == "taken_back":
        return Noted(
            touched=tuple(
                (signal, subject)
                for signal, kind in enumerate(SIGNALS)
                for subject in kind.subjects(borrower)
            ),
            rewrites_past=True,
            rewrites_from_ms=event.event_time_ms - VOID_RETRACTS_DAYS * DAY_MS,
        )
    for waiting in borrower.waiting:
        if topic == REPAYMENTS and waiting.event.event_id == event.target_event_id:
            borrower.waiting.remove(waiting)
            return Noted(noticed="voided.waiting")
    is_known = recognise(borrower.seen[topic], fingerprint, event.event_time_ms) is Acquaintance.DUPLICATE
    if is_known or event.target_event_id in borrower.incomplete:
        return Noted(noticed="voided.not-remembered")
    borrower.voids.append(AwaitedVoid(topic, fingerprint, event.event_time_ms))
    borrower.voids.sort(key=_awaited_order)
    del borrower.voids[:-AWAITED_VOIDS_MAX]
    return Noted(noticed="waiting.event_voided")


def _is_voided_already(borrower: Borrower, event: BorrowerEvent, origin: Origin) -> bool:
    """Whether this event's void came before it; the void has then done its work."""
    target = _TOPIC_NUMBERS[origin.topic], fingerprint_of(event.event_id)
    for awaited in borrower.voids:
        if (awaited.topic, awaited.fingerprint) == target:
            borrower.voids.remove(awaited)
            return True
    return False


def _awaited_order(awaited: AwaitedVoid) -> tuple[int, bytes]:
    return awaited.time_ms, awaited.fingerprint


def _void_repayments(borrower: Borrower, fingerprint: bytes, void_ms: int, rules: Rules) -> ledger.Voided:
    for loan in borrower.loans.values():
        voided = ledger.void(loan, fingerprint, void_ms, rules)
        if voided != "unknown":
            return voided
    return "unknown"


def _void_flows(borrower: Borrower, fingerprint: bytes, void_ms: int, rules: Rules) -> ledger.Voided:
    was_income = income.void(borrower.income, fingerprint, rules)
    was_sighting = institutions.void(borrower.institutions, fingerprint)
    was_movement = rollovers.void(borrower.rollovers, fingerprint)
    was_use = fund_use.void(borrower.fund_use, fingerprint)
    was_transfer = outflows.void(borrower.outflows, fingerprint, rules)
    was_debt = debts.void_flow(borrower.debts, fingerprint)
    was_flow = _take_back_flow(borrower, fingerprint, rules)
    was_link = _take_back_link(borrower, fingerprint)
    is_known = was_income or was_sighting or was_movement or was_use or was_transfer or was_debt
    return "taken_back" if is_known or was_flow or was_link else "unknown"


def _take_back_flow(borrower: Borrower, fingerprint: bytes, rules: Rules) -> bool:
    """What a flow of any kind leaves: a balance, a sign of life, since when flows are known."""
    gone = recent_flows.take(borrower.recent_flows, fingerprint)
    if gone is None:
        return False
    balances.take_back(borrower.balances, gone, borrower.recent_flows, rules)
    income.take_back_life(borrower.income, gone, borrower.recent_flows, rules)
    institutions.take_back_flow(borrower.institutions, gone, borrower.recent_flows)
    return True


def _take_back_link(borrower: Borrower, fingerprint: bytes) -> bool:
    gone = balances.take_back_link(borrower.balances, fingerprint)
    if gone is None:
        return False
    income.take_back_link(borrower.income, gone.account_id, gone.time_ms, is_linked=gone.is_linked)
    return True


def _void_queries(borrower: Borrower, fingerprint: bytes, void_ms: int, rules: Rules) -> ledger.Voided:
    was_sighting = institutions.void(borrower.institutions, fingerprint)
    was_summary = debts.void_summary(borrower.debts, fingerprint)
    return "taken_back" if was_sighting or was_summary else "unknown"


def _void_servicing(borrower: Borrower, fingerprint: bytes, void_ms: int, rules: Rules) -> ledger.Voided:
    was_link = links.void(borrower.links, fingerprint)
    return "taken_back" if servicing.void(borrower.servicing, fingerprint) or was_link else "unknown"


_VOIDERS: Final[dict[str, Callable[[Borrower, bytes, int, Rules], ledger.Voided]]] = {
    "credit-queries": _void_queries,
    "fund-flows": _void_flows,
    "repayments": _void_repayments,
    "servicing": _void_servicing,
}
"""What holds evidence of a topic's events: each door is given the fingerprint of the target's id."""

_LEDGER_ENTRIES: Final[dict[type[Struct], Callable[[ledger.Loan, Any, Rules], None]]] = {
    InstalmentBilled: ledger.bill,
    Repayment: ledger.pay,
    ScheduleChanged: ledger.reschedule,
    LimitChanged: ledger.change_limit,
    LoanClosed: ledger.close,
}

_LOANS_STAY: Final = frozenset({_record_query, _record_contact, _record_loan_event})
"""Recorders of most events: they change no loan, or see to what follows from the loans themselves."""
_RECORDERS: Final[dict[type[Struct], Callable[[Borrower, Any, Origin, Rules], Noted]]] = {
    AccountLinked: _record_link,
    AccountUnlinked: _record_unlink,
    CreditQuery: _record_query,
    CreditAccountOpened: _record_account,
    LoanOpened: _record_loan_opened,
    InstalmentBilled: _record_loan_event,
    Repayment: _record_loan_event,
    RepaymentReversed: _record_loan_event,
    ScheduleChanged: _record_loan_event,
    LimitChanged: _record_loan_event,
    LoanClosed: _record_loan_event,
    CreditSummary: _record_summary,
    LoanSnapshot: _record_snapshot,
    EventVoided: _record_void,
    ContactAttempted: _record_contact,
    HoldPlaced: _record_hold,
    HoldReleased: _record_hold,
    RestrictionListed: _record_restriction,
    RestrictionLifted: _record_restriction,
    BorrowerLinked: _record_borrower_link,
    BorrowerUnlinked: _record_borrower_link,
    AlertAcknowledged: _record_alert_note,
    AlertReviewed: _record_alert_note,
    AlertSnoozed: _record_alert_note,
}
"""What is not listed here, and is no flow, is accepted and counted, for the signals to come."""
