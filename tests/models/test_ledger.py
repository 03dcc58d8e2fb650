"""The ledger's laws, and what its numbers say in plain cases."""

from __future__ import annotations

from itertools import accumulate

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import ledger
from models.calendars import DAY_MS, date_of_day, day_of_date
from models.events import (
    Instalment,
    InstalmentBilled,
    LimitChanged,
    LoanOpened,
    Repayment,
    RepaymentReversed,
)
from models.ledger import EXACT_DAYS, NONE_DUE, Loan, Position, position, standing
from models.ledger.compaction import RESCHEDULES_KEPT_MAX
from models.ledger.entries import LIMITS_KEPT_MAX
from models.ledger.folding import fold
from models.ledger.journal import REVERSALS_PER_PAYMENT_MAX
from models.limits import PAYMENTS_PER_LOAN_MAX
from models.rules import Rules
from models.signals.missed_payment import judge, next_deadline_ms
from tests.support.events import at, billed, bounced, ended, loan, paid, rescheduled, rules
from tests.support.ledgers import LoanEvent, enter, ledger_of
from tests.support.loan_logs import START_DAY, START_MS, LoanLog, loan_logs, loan_logs_in_order

RULES = rules()
STRICT = rules("[signals.missed_payment]\ntolerance_minor = 0")
AS_OF = st.integers(min_value=0, max_value=200 * 24).map(lambda hour: START_MS + hour * 3_600_000)

_decode = msgspec.msgpack.Decoder(Loan).decode


def reborn(held: Loan) -> Loan:
    """The loan from its own bytes."""
    return _decode(msgspec.msgpack.encode(held))


def day(text: str) -> int:
    """A date as a day number."""
    return RULES.calendar.day_of(at(text))


def two(*events: LoanEvent) -> Loan:
    """A loan with instalments of 1,000.00 due on 10 January and on 10 February."""
    return ledger_of(
        loan("2025-01-01", [("2025-01-10", 100_000), ("2025-02-10", 100_000)]), *events, rules=RULES
    )


def card(*events: LoanEvent) -> Loan:
    """A card: nothing is scheduled, everything is billed."""
    return ledger_of(loan("2025-01-01", [], principal_minor=0), *events, rules=RULES)


# ---- laws: order, folding, time ----------------------------------------------------------------------------------


@given(loan_logs())
def test_the_order_of_arrival_changes_nothing(log: LoanLog) -> None:
    """The same events in any order, ties of time included, leave the same ledger to the last byte.

    Two kinds of events cannot commute and are left out. A correction replaces what is unpaid when it arrives, and
    forgets it: a payment learnt later finds the corrected lines. And of two new schedules of one instant, the later
    to arrive holds: nothing in them says which was meant.
    """
    opened, events = log
    in_order = sorted(events, key=lambda event: event.event_time_ms)

    assert ledger_of(opened, *in_order, rules=RULES) == ledger_of(opened, *events, rules=RULES)


@given(loan_logs())
def test_the_balances_kept_are_the_journal_folded_anew(log: LoanLog) -> None:
    """After each event, and after a round trip through bytes, stepping on equals folding from scratch."""
    opened, events = log
    stepping, restored = ledger_of(opened, rules=RULES), ledger_of(opened, rules=RULES)
    for event in events:
        if isinstance(event, RepaymentReversed):
            assert ledger.reverse(stepping, event, RULES) == ledger.reverse(restored, event, RULES)
        else:
            enter(stepping, [event], RULES)
            enter(restored, [event], RULES)
        restored = reborn(restored)
        upto_ms = stepping.now.upto_ms

        assert stepping.now == fold(stepping, upto_ms, upto_ms, RULES)
        assert stepping == restored


@given(log=loan_logs_in_order(), at_ms=AS_OF, deadline=st.booleans())
def test_as_of_an_instant_is_what_was_known_then(log: LoanLog, at_ms: int, *, deadline: bool) -> None:
    """For events in order, the standing as of D equals that of the log cut at D (before D, for a deadline)."""
    opened, events = log
    at_ms = max(at_ms, opened.event_time_ms + 1)
    known = [event for event in events if event.event_time_ms < at_ms + (not deadline)]
    cut = ledger_of(opened, *known, rules=RULES)
    full = ledger_of(opened, *events, rules=RULES)

    assert standing(cut, at_ms, RULES, deadline=deadline) == standing(full, at_ms, RULES, deadline=deadline)


@given(loan_logs(), AS_OF)
def test_what_was_paid_is_what_counts(log: LoanLog, at_ms: int) -> None:
    """All lines together were never paid more than the payments that count, and no line more than it asks for."""
    opened, events = log
    held = ledger_of(opened, *events, rules=RULES)
    balances = ledger.balances_at(held, at_ms, RULES)
    counted_minor = sum(payment.counted_minor(at_ms) for payment in held.payments if payment.time_ms <= at_ms)
    in_force = [
        (line.due_minor, short_minor)
        for line, short_minor in zip(held.lines, balances.short_minor, strict=True)
        if short_minor != ledger.NOT_IN_FORCE
    ]

    assert balances.paid_minor == counted_minor
    assert all(0 <= short_minor <= due_minor for due_minor, short_minor in in_force)
    assert (
        sum(due_minor - short_minor for due_minor, short_minor in in_force) + balances.credit_minor
        <= counted_minor
    )


@given(log=loan_logs(), at_ms=AS_OF, deadline=st.booleans())
def test_the_numbers_of_a_standing_agree(log: LoanLog, at_ms: int, *, deadline: bool) -> None:
    """Past due, overdue and the oldest due day say one thing; nothing is negative."""
    opened, events = log
    held = ledger_of(opened, *events, rules=RULES)
    now = standing(held, at_ms, RULES, deadline=deadline)
    is_past_due = now.days_past_due > 0

    assert is_past_due == (now.overdue_minor > 0) == (now.instalments_past_due > 0)
    assert is_past_due == (now.oldest_due_day is not None)
    assert 0 <= now.days_past_due <= now.worst_days_past_due
    assert (now.next_due_day is None) == (now.next_due_minor == 0)
    assert now.overdue_minor + now.next_due_minor <= now.outstanding_minor
    assert now.closed is None or (now.outstanding_minor, now.days_past_due) == (0, 0)


@pytest.mark.parametrize(
    "by", [RULES, STRICT, rules('[signals.missed_payment]\ngrace_days = 5\ngrace_counts_from = "grace_end"')]
)
@given(log=loan_logs(), at_ms=AS_OF, deadline=st.booleans())
def test_a_position_is_the_standing_in_one_walk(
    by: Rules, log: LoanLog, at_ms: int, *, deadline: bool
) -> None:
    """What is added up over loans is the same, asked either way."""
    opened, events = log
    held = ledger_of(opened, *events, rules=by)
    now = standing(held, at_ms, by, deadline=deadline)
    known_ms = at_ms - deadline

    assert position(held, at_ms, known_ms, by.calendar.day_of(at_ms), by) == Position(
        now.days_past_due,
        now.worst_days_past_due,
        now.instalments_past_due,
        now.overdue_minor,
        now.outstanding_minor,
        NONE_DUE if now.next_due_day is None else now.next_due_day,
        now.next_due_minor,
    )
    assert ledger.credit_limit_minor(held, known_ms) == now.credit_limit_minor


@given(loan_logs_in_order(), st.data())
def test_the_worst_days_past_due_are_the_worst_there_were(log: LoanLog, data: st.DataObject) -> None:
    """They equal the highest days past due of all midnights, and of the events, until then.

    Without reversals: a payment that bounced counts as never made, so that the worst is seen in hindsight. And without
    ties: a bill that comes past due and is paid in one instant was past due, if for no time at all.
    """
    opened, events = log
    one_an_instant = {event.event_time_ms: event for event in events}
    events = [event for event in one_an_instant.values() if not isinstance(event, RepaymentReversed)]
    held = ledger_of(opened, *events, rules=RULES)
    days = data.draw(st.integers(min_value=1, max_value=200))
    midnights_ms = [START_MS + number * DAY_MS for number in range(1, days + 1)]
    instants_ms = [*midnights_ms, *(event.event_time_ms for event in events)]
    worst_days = max(
        standing(held, ms, RULES, deadline=deadline).days_past_due
        for ms in instants_ms
        for deadline in (False, True)
        if ms <= midnights_ms[-1]
    )

    assert standing(held, midnights_ms[-1], RULES).worst_days_past_due == worst_days


# ---- laws: long lives --------------------------------------------------------------------------------------------

MONTHS = 60


@st.composite
def long_lives(draw: st.DrawFn) -> tuple[LoanOpened, list[Repayment]]:
    """Five years of monthly instalments, and payments in order that are late, early, short or double."""
    opened = LoanOpened(
        event_id="opened",
        borrower_id="b",
        event_time_ms=START_MS + 1,
        loan_id="l",
        platform_id="own",
        currency="CNY",
        principal_minor=1,
        instalments=tuple(
            Instalment(
                number=number, due_date=date_of_day(START_DAY + 30 * number), amount_minor=1_000 + number
            )
            for number in range(1, MONTHS + 1)
        ),
    )
    hours = draw(
        st.lists(st.integers(min_value=1, max_value=MONTHS * 30 * 24), min_size=20, max_size=80, unique=True)
    )
    amounts = draw(
        st.lists(st.sampled_from((0, 500, 1_000, 1_100, 2_000)), min_size=len(hours), max_size=len(hours))
    )
    return opened, [
        Repayment(
            event_id=f"p-{hour}",
            borrower_id="b",
            event_time_ms=START_MS + hour * 3_600_000,
            loan_id="l",
            amount_minor=amount,
        )
        for hour, amount in zip(sorted(hours), amounts, strict=True)
    ]


def poured(opened: LoanOpened, payments: list[Repayment], at_ms: int) -> tuple[int, int]:
    """Days past due and overdue by another way: all money poured over all instalments, the oldest first."""
    paid_minor = sum(payment.amount_minor for payment in payments if payment.event_time_ms <= at_ms)
    due = [
        (day_of_date(line.due_date), total_minor)
        for line, total_minor in zip(
            opened.instalments, accumulate(line.amount_minor for line in opened.instalments), strict=True
        )
        if day_of_date(line.due_date) < STRICT.calendar.day_of(at_ms)
    ]
    unpaid = [due_day for due_day, total_minor in due if total_minor > paid_minor]
    if not unpaid:
        return 0, 0
    return STRICT.calendar.day_of(at_ms) - unpaid[0], due[-1][1] - paid_minor


@settings(max_examples=40)
@given(long_lives())
def test_folding_the_past_changes_no_standing_of_the_last_400_days(
    life: tuple[LoanOpened, list[Repayment]],
) -> None:
    """Whatever was folded on the way, the last 400 days stand as the money poured over the instalments says."""
    opened, payments = life
    held = ledger_of(opened, rules=STRICT)
    for payment in payments:
        enter(held, [payment], STRICT)
        now = standing(held, payment.event_time_ms, STRICT)
        assert (now.days_past_due, now.overdue_minor) == poured(opened, payments, payment.event_time_ms)
    last_ms = payments[-1].event_time_ms
    for at_ms in range(max(last_ms - EXACT_DAYS * DAY_MS, opened.event_time_ms), last_ms, 5 * DAY_MS):
        now = standing(held, at_ms, STRICT)
        assert (now.days_past_due, now.overdue_minor) == poured(opened, payments, at_ms)


@settings(max_examples=40)
@given(long_lives(), st.data())
def test_late_payments_within_400_days_are_entered_exactly(
    life: tuple[LoanOpened, list[Repayment]], data: st.DataObject
) -> None:
    """Payments of the last 400 days may come in any order, also where the past before them was folded."""
    opened, payments = life
    last_ms = payments[-1].event_time_ms
    kept_ms = last_ms - EXACT_DAYS * DAY_MS
    shuffled = data.draw(
        st.permutations([payment for payment in payments if payment.event_time_ms > kept_ms])
    )
    old = [payment for payment in payments if payment.event_time_ms <= kept_ms]
    held = ledger_of(opened, *old, *shuffled, rules=STRICT)
    for at_ms in range(max(kept_ms, opened.event_time_ms), last_ms + 40 * DAY_MS, 5 * DAY_MS):
        now = standing(held, at_ms, STRICT)
        assert (now.days_past_due, now.overdue_minor) == poured(opened, payments, at_ms)


# ---- limits ------------------------------------------------------------------------------------------------------


def monthly(count: int, every_days: int = 1) -> list[InstalmentBilled]:
    """Bills of 1,000.00 each, due ten days after."""
    return [
        InstalmentBilled(
            event_id=f"bill-{number}",
            borrower_id="b",
            event_time_ms=START_MS + number * every_days * DAY_MS + 1_000,
            loan_id="l",
            number=number,
            due_date=date_of_day(START_DAY + number * every_days + 10),
            amount_minor=100_000,
        )
        for number in range(1, count + 1)
    ]


def payments_of(bills: list[InstalmentBilled], after_days: int = 5) -> list[Repayment]:
    """Each bill's payment, some days after it."""
    return [
        Repayment(
            event_id=f"pay-{event.number}",
            borrower_id="b",
            event_time_ms=event.event_time_ms + after_days * DAY_MS + 1,
            loan_id="l",
            amount_minor=event.amount_minor,
        )
        for event in bills
    ]


def size_of(held: Loan) -> int:
    """Bytes of the loan's state."""
    return len(msgspec.msgpack.encode(held))


@pytest.mark.parametrize(("every_days", "late_every"), [(1, 1), (1, 25), (30, 1), (30, 2)])
def test_two_thousand_bills_and_payments_stay_small(every_days: int, late_every: int) -> None:
    """However many came, in order or one by one late, the state is bounded, and who paid all owes nothing."""
    bills = monthly(2_000, every_days)
    events: list[LoanEvent] = sorted([*bills, *payments_of(bills)], key=lambda event: event.event_time_ms)
    for index in range(late_every - 1, len(events) - 1, late_every):
        if late_every > 1:
            events[index], events[index + 1] = events[index + 1], events[index]
    held = ledger_of(loan("2024-12-31", []), *events, rules=RULES)
    now = standing(held, events[-1].event_time_ms + 30 * DAY_MS, RULES)

    assert len(held.payments) <= PAYMENTS_PER_LOAN_MAX
    assert size_of(held) < 40_000
    assert (now.days_past_due, now.overdue_minor) == (0, 0)


def test_two_thousand_unpaid_bills_keep_days_and_amount_exact() -> None:
    """Beyond the lines kept the youngest become one; days past due follow the oldest, overdue is all of it."""
    bills = monthly(2_000)
    held = ledger_of(loan("2024-12-31", []), *bills, rules=RULES)
    now = standing(held, bills[-1].event_time_ms + 40 * DAY_MS, RULES)

    assert len(held.lines) == ledger.LINES_PER_LOAN_MAX
    assert (now.days_past_due, now.overdue_minor) == (2_029, 2_000 * 100_000)


def test_two_thousand_bills_paid_long_before_they_are_due_stay_small() -> None:
    """What is paid and lies in the future is forgotten too, where there is too much of it."""
    far = [
        msgspec.structs.replace(event, due_date=date_of_day(START_DAY + 4_000 + event.number))
        for event in monthly(2_000)
    ]
    events: list[LoanEvent] = sorted([*far, *payments_of(far)], key=lambda event: event.event_time_ms)
    held = ledger_of(loan("2024-12-31", []), *events, rules=RULES)

    assert len(held.lines) < ledger.LINES_PER_LOAN_MAX
    assert standing(held, START_MS + 9_000 * DAY_MS, RULES).outstanding_minor == 0


def test_two_thousand_payments_of_one_instant_stay_small() -> None:
    """A feed that knows no time of day cannot make a loan grow."""
    held = two(*(paid("2025-01-05", 100) for _ in range(2_000)))

    assert len(held.payments) <= PAYMENTS_PER_LOAN_MAX
    assert standing(held, at("2025-01-06"), RULES).outstanding_minor == 0


def test_many_partial_reversals_stay_few_and_take_all_they_say() -> None:
    """Beyond those kept one by one the last become one."""
    payment = paid("2025-01-05", 100_000)
    held = two(payment, *(bounced("2025-01-06", payment, 1_000) for _ in range(90)))

    assert len(held.payments[0].reversals) == REVERSALS_PER_PAYMENT_MAX
    assert standing(held, at("2025-01-07"), RULES).outstanding_minor == 190_000


def test_a_loan_rescheduled_again_and_again_owes_its_last_schedule_only() -> None:
    """Forgetting the oldest new schedules brings nothing back that they ended, also after late events."""
    plans = [
        rescheduled("2025-01-15", [("2026-01-10", 100_000 + number)], event_time_ms=at("2025-01-15") + number)
        for number in range(40)
    ]
    held = two(*plans, paid("2025-01-14", 0))
    now = standing(held, at("2026-01-01"), RULES)

    assert len(held.reschedules_ms) <= RESCHEDULES_KEPT_MAX + 1
    assert (now.days_past_due, now.outstanding_minor) == (0, 100_039)
    assert now.restructured


def test_limits_are_kept_with_their_times() -> None:
    """The limit as of an instant, in whichever order they came; the oldest of many are forgotten."""
    changes = [
        LimitChanged(
            event_id=f"limit-{number}",
            borrower_id="b-1",
            event_time_ms=at("2025-01-10") + number,
            loan_id="l-1",
            credit_limit_minor=number,
        )
        for number in range(1, 20)
    ]
    held = ledger_of(loan("2025-01-01", [], credit_limit_minor=5), *changes[1::-1], rules=RULES)

    assert standing(held, at("2025-01-10"), RULES).credit_limit_minor == 5
    assert standing(held, at("2025-01-10") + 1, RULES).credit_limit_minor == 1
    assert standing(held, at("2025-01-10") + 2, RULES).credit_limit_minor == 2
    enter(held, changes, RULES)
    assert len(held.limits_minor) == LIMITS_KEPT_MAX
    assert standing(held, at("2025-02-01"), RULES).credit_limit_minor == 19


# ---- the far past ------------------------------------------------------------------------------------------------


def old_loan(count: int = 30) -> tuple[Loan, list[InstalmentBilled]]:
    """A loan billed and paid every 30 days; its first year is folded for good."""
    bills = monthly(count, every_days=30)
    events: list[LoanEvent] = sorted([*bills, *payments_of(bills)], key=lambda event: event.event_time_ms)
    held = ledger_of(loan("2024-12-31", [], event_time_ms=START_MS), *events, rules=RULES)
    return held, bills


def test_a_late_event_older_than_the_fold_counts_from_the_fold_on() -> None:
    """A payment two years late is not lost: it is entered right behind what was folded, and becomes credit."""
    held, _ = old_loan()
    late = paid("2025-02-01", 100_000)
    enter(held, [late], RULES)
    next_bill = monthly(31, every_days=30)[-1]
    enter(held, [next_bill], RULES)

    assert held.payments[0].time_ms == held.base.upto_ms + 1
    assert standing(held, next_bill.event_time_ms + 40 * DAY_MS, RULES).days_past_due == 0


def test_a_reversal_of_a_payment_that_was_folded_is_refused() -> None:
    """More than a year later a bounce finds its payment no more; the caller keeps it waiting."""
    held, bills = old_loan()
    payment = payments_of(bills)[0]

    assert not ledger.reverse(held, bounced("2027-05-01", payment), RULES)


def test_a_bill_for_a_number_whose_line_was_folded_keeps_what_was_paid() -> None:
    """A bill of a year ago, billed again since, takes over what the folded payment had paid, also when folded anew."""
    held, bills = old_loan(15)
    assert held.base.upto_ms < START_MS
    again = msgspec.structs.replace(bills[0], event_id="again", event_time_ms=bills[14].event_time_ms + 1_000)
    enter(held, [again], RULES)
    more = monthly(22, every_days=30)[15:]
    enter(held, sorted([*more, *payments_of(more)], key=lambda event: event.event_time_ms), RULES)
    at_ms = held.now.upto_ms + 40 * DAY_MS

    assert held.base.upto_ms > bills[0].event_time_ms
    assert standing(held, at_ms, RULES).days_past_due == 0
    enter(held, [paid("2026-06-01", 0)], RULES)
    assert standing(held, at_ms, RULES).days_past_due == 0


def test_a_correction_of_a_folded_line_keeps_what_that_was_paid() -> None:
    """What was paid on a wrong instalment more than a year ago pays the right one."""
    held = two(
        paid("2025-01-05", 60_000),
        paid("2026-09-01", 0),
        rescheduled("2026-09-02", [("2026-08-30", 100_000)], reason="correction"),
    )
    now = standing(held, at("2026-09-03"), RULES)

    assert held.payments[0].time_ms == at("2026-09-01")
    assert (now.days_past_due, now.overdue_minor) == (4, 40_000)


def test_a_payment_that_bounced_stays_bounced_when_it_is_folded() -> None:
    """The instalment it had paid is past due, and stays so although more than a year goes by."""
    bills = monthly(25, every_days=30)
    payments = payments_of(bills)
    reversal = bounced("2026-01-20", payments[0])
    events: list[LoanEvent] = sorted(
        [*bills, *payments[:11], reversal], key=lambda event: event.event_time_ms
    )
    held = ledger_of(loan("2024-12-31", [], event_time_ms=START_MS), *events, rules=RULES)
    at_ms = bills[-1].event_time_ms

    assert held.base.upto_ms > payments[0].event_time_ms
    before = standing(held, at_ms, RULES)
    enter(held, [paid("2026-12-01", 0)], RULES)
    assert standing(held, at_ms, RULES) == before
    assert before.overdue_minor == 14 * 100_000


# ---- outstanding, next due, worst --------------------------------------------------------------------------------


def test_of_a_schedule_outstanding_is_what_it_still_asks_for() -> None:
    """Less every payment, until nothing is left."""
    held = two(paid("2025-01-05", 130_000), paid("2025-01-20", 70_000))

    assert standing(held, at("2025-01-04"), RULES).outstanding_minor == 200_000
    assert standing(held, at("2025-01-06"), RULES).outstanding_minor == 70_000
    assert standing(held, at("2025-01-20"), RULES).outstanding_minor == 0


def test_of_a_card_outstanding_is_the_last_statement_less_what_was_paid_since() -> None:
    """The balance where it is given, else the amount billed."""
    held = card(
        billed("2025-01-02", "2025-01-20", 50_000, number=1, minimum_due_minor=5_000, balance_minor=80_000),
        paid("2025-01-05", 30_000),
        billed("2025-02-02", "2025-02-20", 60_000, number=2, minimum_due_minor=6_000),
        paid("2025-02-05", 90_000),
    )

    assert standing(held, at("2025-01-01"), RULES).outstanding_minor == 0
    assert standing(held, at("2025-01-04"), RULES).outstanding_minor == 80_000
    assert standing(held, at("2025-01-06"), RULES).outstanding_minor == 50_000
    assert standing(held, at("2025-02-03"), RULES).outstanding_minor == 60_000
    assert standing(held, at("2025-02-06"), RULES).outstanding_minor == 0


def test_a_bounce_of_more_than_was_paid_adds_nothing_to_a_statement() -> None:
    """The statement is owed whole again, and no more."""
    payment = paid("2025-01-05", 30_000)
    held = card(
        billed("2025-01-02", "2025-01-20", 50_000, number=1, minimum_due_minor=5_000),
        payment,
        bounced("2025-01-06", payment, 90_000),
    )

    assert standing(held, at("2025-01-07"), RULES).outstanding_minor == 50_000


def test_of_a_loan_billed_one_at_a_time_outstanding_is_what_is_left_of_the_principal() -> None:
    """Bills show the next instalment only: a paid first bill does not mean that nothing is owed."""
    held = ledger_of(
        loan("2025-01-01", [], principal_minor=1_000_000),
        billed("2025-01-02", "2025-01-20", 100_000, number=1),
        paid("2025-01-05", 100_000),
        billed("2025-02-02", "2025-02-20", 100_000, number=2),
        rules=RULES,
    )

    assert standing(held, at("2025-01-01"), RULES).outstanding_minor == 1_000_000
    assert standing(held, at("2025-01-06"), RULES).outstanding_minor == 900_000
    assert standing(held, at("2025-03-01"), RULES).outstanding_minor == 900_000


def test_the_next_due_is_all_that_falls_due_on_that_day() -> None:
    """Two bills of one day add up, what is past due does not; on the due date itself it is still next."""
    held = card(
        billed("2025-01-02", "2025-01-10", 50_000, number=1),
        billed("2025-01-03", "2025-01-20", 30_000, number=2),
        billed("2025-01-04", "2025-01-20", 40_000, number=3),
        paid("2025-01-05", 10_000),
    )
    on_time, later = (standing(held, at(when), RULES) for when in ("2025-01-10", "2025-01-11"))

    assert (on_time.next_due_day, on_time.next_due_minor) == (day("2025-01-10"), 40_000)
    assert (later.next_due_day, later.next_due_minor) == (day("2025-01-20"), 70_000)
    assert (later.oldest_due_day, later.overdue_minor) == (day("2025-01-10"), 40_000)


def test_a_closed_loan_owes_nothing_and_keeps_its_worst() -> None:
    """From the end on days stand still: what comes in later does not make the past worse."""
    held = two(ended("2025-03-01", "written_off"), paid("2025-12-01", 50_000))
    before, after, recovered = (
        standing(held, at_ms, RULES) for at_ms in (at("2025-03-01") - 1, at("2025-03-01"), at("2025-12-02"))
    )

    assert (before.days_past_due, before.worst_days_past_due) == (50, 50)
    assert (after.days_past_due, after.outstanding_minor, after.next_due_day) == (0, 0, None)
    assert (after.worst_days_past_due, recovered.worst_days_past_due) == (50, 50)
    assert (after.closed, recovered.closed) == ("written_off", "written_off")


def test_a_bill_after_the_end_is_no_debt() -> None:
    """A last bill that a system still sends makes nothing past due, nor the past worse."""
    held = card(ended("2025-03-01"), billed("2025-03-20", "2025-01-10", 50_000, number=1))
    now = standing(held, at("2025-04-01"), RULES)

    assert (now.days_past_due, now.worst_days_past_due, now.outstanding_minor) == (0, 0, 0)


def test_the_first_ending_holds() -> None:
    """In whichever order two endings come."""
    endings = [ended("2025-03-01", "sold"), ended("2025-02-01", "settled")]
    for events in (endings, endings[::-1]):
        assert standing(two(*events), at("2025-04-01"), RULES).closed == "settled"


def test_a_bill_that_replaces_a_past_due_one_keeps_how_bad_it_was() -> None:
    """The new due date counts from now on; that it was 20 days past due is not forgotten."""
    held = card(
        billed("2025-01-02", "2025-01-10", 50_000, number=1),
        billed("2025-01-30", "2025-02-10", 50_000, number=1),
    )
    now = standing(held, at("2025-02-01"), RULES)

    assert (now.days_past_due, now.worst_days_past_due) == (0, 20)


def test_a_payment_before_the_opening_counts() -> None:
    """A down payment that was dated before the loan's own record pays its first instalment."""
    held = two(paid("2024-12-30", 100_000))

    assert standing(held, at("2025-01-11"), RULES).days_past_due == 0
    assert standing(held, at("2025-02-11"), RULES).overdue_minor == 100_000


def test_a_loan_taken_on_with_old_due_dates_is_past_due_from_the_opening_on() -> None:
    """A book that is taken over brings its past due along."""
    held = ledger_of(loan("2025-06-01", [("2025-01-10", 100_000)]), rules=RULES)

    assert standing(held, at("2025-06-01", "10:00"), RULES).days_past_due == 142
    assert judge(held, at("2025-06-01", "10:00"), RULES) is not None
    assert next_deadline_ms(held, at("2025-06-01", "10:00"), RULES) == at("2025-10-08", "00:00")
