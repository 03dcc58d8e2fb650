"""Snapshots: taking on a living book, and holding the ledger to it (`models/ledger/reconciling.py`)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import ledger
from models.calendars import DAY_MS, date_of_day
from models.events import Event, LoanSnapshot, Repayment
from models.ledger import Loan, standing
from models.ledger.compaction import CORRECTIONS_KEPT_MAX
from models.ledger.folding import fold
from tests.support.events import (
    at,
    billed,
    bounced,
    ended,
    engine,
    feed_of,
    loan,
    paid,
    rescheduled,
    rules,
    run,
    snapshot,
    story,
)
from tests.support.ledgers import LoanEvent, enter, ledger_of
from tests.support.loan_logs import DAYS, START_DAY, START_MS, LoanLog, loan_logs

RULES = rules()
DUES = [("2025-01-10", 100_000), ("2025-02-10", 100_000), ("2025-03-10", 100_000)]


def three(*events: LoanEvent) -> Loan:
    """Instalments of 1,000.00 on the tenth of three months, and what became of them."""
    return ledger_of(loan("2025-01-01", DUES), *events, rules=RULES)


def numbers(held: Loan, day: str, time: str = "23:59") -> tuple[int, int, int]:
    """Days past due, overdue and outstanding as of an instant."""
    now = standing(held, at(day, time), RULES)
    return now.days_past_due, now.overdue_minor, now.outstanding_minor


# ---- taking on ---------------------------------------------------------------------------------------------------


def test_a_loan_that_is_not_known_is_taken_on_with_its_days_past_due() -> None:
    """Overdue for 45 days by the book: the oldest due day follows, and time goes on from there."""
    held = ledger.take_on(snapshot("2025-03-01", 80_000, 45, outstanding=500_000), RULES)

    assert numbers(held, "2025-03-01") == (45, 80_000, 500_000)
    assert numbers(held, "2025-03-02") == (46, 80_000, 500_000)
    assert numbers(held, "2025-02-28") == (0, 0, 500_000)
    assert standing(held, at("2025-03-02"), RULES).worst_days_past_due == 46


def test_what_is_paid_after_the_taking_on_counts() -> None:
    """A part leaves the rest past due; the whole ends it."""
    held = ledger.take_on(snapshot("2025-03-01", 80_000, 45, outstanding=500_000), RULES)
    enter(held, [paid("2025-03-05", 30_000)], RULES)
    assert numbers(held, "2025-03-05") == (49, 50_000, 470_000)

    enter(held, [paid("2025-03-06", 50_000)], RULES)
    assert numbers(held, "2025-03-06") == (0, 0, 420_000)


def test_bills_after_the_taking_on_fall_due_as_any() -> None:
    """A system that bills one at a time goes on after the snapshot."""
    held = ledger.take_on(snapshot("2025-03-01", outstanding=500_000), RULES)
    enter(held, [billed("2025-03-02", "2025-03-10", 100_000, 9)], RULES)

    assert numbers(held, "2025-03-10") == (0, 0, 500_000)
    assert numbers(held, "2025-03-11") == (1, 100_000, 500_000)


def test_the_opening_that_comes_after_all_completes_the_loan() -> None:
    """Facts and schedule come from the opening; what was paid before, the book has said."""
    held = ledger.take_on(snapshot("2025-02-20", outstanding=100_000), RULES)
    ledger.complete(held, loan("2025-01-01", DUES), RULES)

    assert (held.platform_id, held.currency, held.principal_minor) == ("own", "CNY", 300_000)
    assert numbers(held, "2025-02-20") == (0, 0, 100_000)
    assert numbers(held, "2025-03-11") == (1, 100_000, 100_000)


def test_taking_on_opens_the_alert_that_is_due_and_lets_waiting_payments_in() -> None:
    """A payment that waited for the loan is dated after the book, and resolves what the book opened."""
    risk_engine = engine()
    events: list[Event] = [
        paid("2025-03-02", 80_000),
        snapshot("2025-03-01", 80_000, 45, event_time_ms=at("2025-03-03", "06:00")),
    ]
    for offset, event in enumerate(events):
        risk_engine.process(event, feed_of(event), offset)
    assert risk_engine.take_alerts(0) == []
    assert risk_engine.counts["snapshot.taken-on"] == 1

    alerts = run([snapshot("2025-03-01", 80_000, 45), paid("2025-03-02", 80_000)], until="2025-03-05")
    assert story(alerts) == [
        "2025-03-01 23:30 missed_payment opened serious",
        "2025-03-02 12:00 missed_payment resolved serious paid",
    ]


# ---- reconciling: both sides of each tolerance -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overdue", "outstanding", "done"),
    [
        (100_000, 300_000, "agreed"),
        (100_100, 300_100, "agreed"),
        (99_900, 299_900, "agreed"),
        (100_101, 300_000, "overdue"),
        (99_899, 300_000, "overdue"),
        (100_000, 300_101, "outstanding"),
        (100_000, 299_899, "outstanding"),
    ],
)
def test_a_difference_beyond_the_tolerance_corrects(overdue: int, outstanding: int, done: str) -> None:
    """1.00 is within it, 1.01 is not; each of the two amounts by itself."""
    held = three()
    before = msgspec.msgpack.encode(held)

    assert ledger.reconcile(held, snapshot("2025-01-20", overdue, 10, outstanding), RULES) == done
    if done == "agreed":
        assert msgspec.msgpack.encode(held) == before
    else:
        assert numbers(held, "2025-01-20")[1:] == (overdue, outstanding)


@pytest.mark.parametrize(("days", "expected"), [(8, 8), (9, 10), (10, 10), (11, 10), (12, 12)])
def test_days_past_due_may_differ_by_one(days: int, expected: int) -> None:
    """Systems count the due date as day one or not: two days are a difference."""
    held = three()
    ledger.reconcile(held, snapshot("2025-01-20", 100_000, days, 300_000), RULES)

    assert numbers(held, "2025-01-20")[0] == expected


def test_the_policy_sets_the_tolerances() -> None:
    """Wider ones agree where the default corrects."""
    wide = rules("[ledger]\nreconcile_tolerance_minor = 50000\nreconcile_tolerance_days = 5")
    held = ledger_of(loan("2025-01-01", DUES), rules=wide)

    assert ledger.reconcile(held, snapshot("2025-01-20", 50_000, 5, 250_000), wide) == "agreed"
    assert ledger.reconcile(held, snapshot("2025-01-20", 49_999, 5, 250_000), wide) == "overdue"


def test_within_the_grace_the_book_may_say_that_nothing_is_overdue() -> None:
    """A book that knows the grace agrees until it has ended; the instalment stays due."""
    graced = rules("[signals.missed_payment]\ngrace_days = 5")
    held = ledger_of(loan("2025-01-01", DUES), rules=graced)

    assert ledger.reconcile(held, snapshot("2025-01-15", 0, 0, 300_000), graced) == "agreed"
    assert ledger.reconcile(held, snapshot("2025-01-16", 0, 0, 300_000), graced) == "overdue"


# ---- how a correction is laid on the lines -----------------------------------------------------------------------


def test_a_book_without_arrears_ends_the_miss_from_its_instant_on() -> None:
    """A payment got lost on the way: before the book's instant the ledger says what it said, after it nothing is due."""
    held = three()
    ledger.reconcile(held, snapshot("2025-01-20", 0, 0, 200_000), RULES)

    assert numbers(held, "2025-01-20", "23:29") == (10, 100_000, 300_000)
    assert numbers(held, "2025-01-20", "23:30") == (0, 0, 200_000)
    assert numbers(held, "2025-02-11") == (1, 100_000, 200_000)


def test_what_the_ledger_had_wrong_is_not_held_against_the_borrower() -> None:
    """Ten days past due that never were are not the worst there was; the book's three are."""
    held = three()
    ledger.reconcile(held, snapshot("2025-01-20", 0, 0, 200_000), RULES)
    assert standing(held, at("2025-01-25"), RULES).worst_days_past_due == 0

    held = three(paid("2025-01-09", 100_000))
    ledger.reconcile(held, snapshot("2025-01-20", 70_000, 3, 200_000), RULES)
    enter(held, [paid("2025-01-21", 70_000)], RULES)
    assert standing(held, at("2025-01-25"), RULES).worst_days_past_due == 4


def test_arrears_lie_on_the_newest_lines_as_payments_pay_the_oldest() -> None:
    """Of two unpaid instalments the book knows 1,200.00: the older one is 200.00 short, and 200.00 move the days on."""
    held = three()
    ledger.reconcile(held, snapshot("2025-02-20", 120_000, 41, 220_000), RULES)
    assert numbers(held, "2025-02-20") == (41, 120_000, 220_000)

    enter(held, [paid("2025-02-21", 20_000)], RULES)
    assert numbers(held, "2025-02-21") == (11, 100_000, 200_000)


def test_arrears_that_no_line_explains_stand_on_a_line_of_their_own() -> None:
    """Fees, or a payment that the book does not have: the book's oldest due day holds."""
    held = three(paid("2025-01-09", 100_000))
    ledger.reconcile(held, snapshot("2025-02-20", 150_000, 41, 250_000), RULES)

    assert numbers(held, "2025-02-20") == (41, 150_000, 250_000)
    assert standing(held, at("2025-02-20", "23:59"), RULES).instalments_past_due == 2


def test_a_book_by_which_nothing_is_left_settles_every_line() -> None:
    """Paid off early, and nobody sent the payment."""
    held = three()
    ledger.reconcile(held, snapshot("2025-01-05", 0, 0, 0), RULES)

    assert numbers(held, "2025-03-20") == (0, 0, 0)


def test_a_book_of_the_principal_leaves_the_lines_alone() -> None:
    """Lines hold interest too: less outstanding than they ask for pays none of them."""
    held = three()
    ledger.reconcile(held, snapshot("2025-01-05", 0, 0, 280_000), RULES)

    assert numbers(held, "2025-01-10") == (0, 0, 280_000)
    assert numbers(held, "2025-01-11") == (1, 100_000, 280_000)


# ---- the same day, the past, and what comes late -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("drawn", "paid_at", "overdue"),
    [("23:30", "12:00", 50_000), ("09:00", "12:00", 0), ("12:00", "12:00", 50_000)],
)
def test_payments_of_the_day_are_in_the_book_up_to_its_instant(
    drawn: str, paid_at: str, overdue: int
) -> None:
    """A payment before the snapshot (or at its very instant) is in it, one after it comes on top."""
    held = three(paid("2025-01-20", 50_000, time=paid_at))
    ledger.reconcile(held, snapshot("2025-01-20", 50_000, 10, 250_000, time=drawn), RULES)

    assert numbers(held, "2025-01-20")[1] == overdue


def test_a_book_drawn_on_the_next_morning_is_that_of_the_end_of_its_date() -> None:
    """What is paid between midnight and the drawing comes on top."""
    held = three(paid("2025-01-21", 50_000, time="01:00"))
    drawn = snapshot("2025-01-20", 60_000, 10, 260_000, event_time_ms=at("2025-01-21", "06:00"))
    ledger.reconcile(held, drawn, RULES)

    assert numbers(held, "2025-01-20", "23:59:59.998")[1] == 100_000
    assert numbers(held, "2025-01-20", "23:59:59.999")[1] == 60_000
    assert numbers(held, "2025-01-21")[1] == 10_000


def test_a_payment_from_before_the_book_that_comes_late() -> None:
    """Where the book had agreed without it, it counts; where the book had corrected, the book had it."""
    late = paid("2025-01-15", 100_000)
    agreed = three()
    assert ledger.reconcile(agreed, snapshot("2025-01-20", 100_000, 10, 300_000), RULES) == "agreed"
    enter(agreed, [late], RULES)
    corrected = three()
    assert ledger.reconcile(corrected, snapshot("2025-01-20", 0, 0, 200_000), RULES) == "overdue"
    enter(corrected, [late], RULES)

    assert numbers(agreed, "2025-01-21") == (0, 0, 200_000)
    assert numbers(corrected, "2025-01-21") == (0, 0, 200_000)
    assert numbers(corrected, "2025-02-11") == (1, 100_000, 200_000)


def test_a_late_snapshot_corrects_from_its_own_instant_on() -> None:
    """What was paid since then comes on top, and a later snapshot still holds."""
    held = three(paid("2025-01-25", 30_000))
    ledger.reconcile(held, snapshot("2025-02-01", 20_000, 22, 220_000), RULES)
    ledger.reconcile(held, snapshot("2025-01-20", 60_000, 10, 260_000), RULES)

    assert numbers(held, "2025-01-21")[1] == 60_000
    assert numbers(held, "2025-01-26")[1] == 30_000
    assert numbers(held, "2025-02-02")[1] == 20_000


def test_of_two_snapshots_of_one_instant_the_later_to_arrive_holds() -> None:
    """A book sent again, mended."""
    held = three()
    ledger.reconcile(held, snapshot("2025-01-20", 60_000, 10, 260_000), RULES)
    ledger.reconcile(held, snapshot("2025-01-20", 70_000, 10, 270_000), RULES)

    assert numbers(held, "2025-01-20") == (10, 70_000, 270_000)


def test_a_payment_of_the_book_that_bounces_later_is_owed_again() -> None:
    """The book had counted it; from the bounce on it is missing there too, and not before."""
    payment = paid("2025-01-09", 100_000)
    held = three(payment)
    ledger.reconcile(held, snapshot("2025-01-20", 0, 0, 150_000), RULES)
    enter(held, [bounced("2025-01-25", payment)], RULES)

    assert numbers(held, "2025-01-24") == (0, 0, 150_000)
    assert numbers(held, "2025-01-26")[1] == 100_000
    assert standing(held, at("2025-01-26"), RULES).outstanding_minor == 250_000


def test_a_new_schedule_after_the_book_takes_the_place_of_its_arrears() -> None:
    """What the snapshot found past due was rescheduled with the rest."""
    held = three()
    ledger.reconcile(held, snapshot("2025-01-20", 150_000, 30, 350_000), RULES)
    enter(held, [rescheduled("2025-01-25", [("2025-06-10", 350_000)])], RULES)

    assert numbers(held, "2025-02-25") == (0, 0, 350_000)


def test_a_loan_that_has_ended_is_left_alone() -> None:
    """A book that still knows it is behind."""
    held = three(ended("2025-01-15", "sold"))

    assert ledger.reconcile(held, snapshot("2025-01-20", 100_000, 10), RULES) == "closed"
    assert ledger.reconcile(held, snapshot("2025-01-14", 0, 0, 200_000), RULES) == "overdue"


@pytest.mark.parametrize(("base_before_ms", "done"), [(0, "too_old"), (1, "overdue")])
def test_a_snapshot_not_later_than_the_base_changes_nothing(base_before_ms: int, done: str) -> None:
    """The past up to the base is settled; right behind it the book still holds."""
    book = snapshot("2025-02-20", 5_000, 1, 300_000)
    held = three()
    held.base = held.now.copy()
    held.now.upto_ms = held.base.upto_ms = book.event_time_ms - base_before_ms

    assert ledger.reconcile(held, book, RULES) == done


def test_a_loan_that_ends_at_the_very_instant_of_the_book_has_ended() -> None:
    """One millisecond earlier it had not."""
    held = three(ended("2025-01-20", "sold", time="23:30"))

    assert ledger.reconcile(held, snapshot("2025-01-20", 0, 0, 0), RULES) == "closed"
    assert ledger.reconcile(held, snapshot("2025-01-20", 0, 0, 0, time="23:29:59.999"), RULES) == "overdue"


@pytest.mark.parametrize(("overdue", "done"), [(100, "agreed"), (101, "overdue")])
def test_arrears_of_the_tolerance_are_none(overdue: int, done: str) -> None:
    """A book with 1.00 overdue says that nothing is: on the first day that may still be so."""
    assert ledger.reconcile(three(), snapshot("2025-01-11", overdue, 0, 300_000), RULES) == done


def test_a_book_with_arrears_of_the_tolerance_leaves_no_line_for_them() -> None:
    """They are paid, as an instalment would be."""
    held = three()
    ledger.reconcile(held, snapshot("2025-01-20", 100, 10, 300_000), RULES)

    assert len(held.lines) == 3
    assert numbers(held, "2025-01-20")[:2] == (0, 0)


@pytest.mark.parametrize(("tolerance", "done"), [(100_000, "agreed"), (99_999, "overdue")])
def test_a_book_without_arrears_agrees_within_the_tolerance(tolerance: int, done: str) -> None:
    """What the ledger holds overdue is compared as well where the book has nothing."""
    wide = rules(f"[ledger]\nreconcile_tolerance_minor = {tolerance}")
    held = ledger_of(loan("2025-01-01", DUES), rules=wide)

    assert ledger.reconcile(held, snapshot("2025-01-20", 0, 0, 300_000), wide) == done


def test_a_ledger_that_is_corrected_daily_stays_small() -> None:
    """A hundred corrections leave no more than are kept one by one, and the last one holds."""
    held = three()
    for number in range(100):
        day = date_of_day(START_DAY + 20 + number)
        ledger.reconcile(held, snapshot(f"{day}", 10_000 * (1 + number % 2), 5, 150_000 + number), RULES)

    assert len(held.corrections) <= CORRECTIONS_KEPT_MAX + 1
    assert len(msgspec.msgpack.encode(held)) < 2_000
    assert standing(held, at(f"{date_of_day(START_DAY + 119)}", "23:59"), RULES).overdue_minor == 20_000


# ---- the engine --------------------------------------------------------------------------------------------------


def test_a_book_that_disproves_an_alert_ends_it() -> None:
    """The alert was right by what was known, and ends with the book; nothing is retracted that the book does not reach."""
    alerts = run([loan("2025-01-01", DUES), snapshot("2025-01-20", 0, 0, 200_000)], until="2025-01-31")

    assert story(alerts) == [
        "2025-01-11 00:00 missed_payment opened watch",
        "2025-01-17 00:00 missed_payment escalated warning",
        "2025-01-20 23:30 missed_payment resolved warning paid",
    ]


def test_a_late_book_retracts_what_opened_after_its_instant() -> None:
    """The book of the due date's end, learnt a week later, knew the payment."""
    events: list[Event] = [loan("2025-01-01", DUES), paid("2025-01-20", 1), snapshot("2025-01-09", 0, 0, 0)]
    alerts = run(events, until="2025-01-31")

    assert story(alerts) == [
        "2025-01-11 00:00 missed_payment opened watch",
        "2025-01-17 00:00 missed_payment escalated warning",
        "2025-01-09 23:30 missed_payment retracted warning",
    ]


def test_a_book_that_knows_of_arrears_opens_the_alert() -> None:
    """The bounce was never sent."""
    events: list[Event] = [
        loan("2025-01-01", DUES),
        paid("2025-01-09", 100_000),
        snapshot("2025-01-25", 100_000, 15, 300_000),
    ]
    alerts = run(events, until="2025-01-26")

    assert story(alerts) == ["2025-01-25 23:30 missed_payment opened warning"]
    assert alerts[0].reasons[0].evidence["days_past_due"] == 15


@pytest.mark.parametrize(
    ("book", "counted"),
    [
        (snapshot("2025-01-20", 100_000, 10, 300_000), "snapshot.agreed"),
        (snapshot("2025-01-20", 0, 0, 200_000), "snapshot.overdue"),
        (snapshot("2025-01-20", 100_000, 10, 200_000), "snapshot.outstanding"),
    ],
)
def test_what_a_snapshot_did_is_counted(book: LoanSnapshot, counted: str) -> None:
    """By name, so that a book that never agrees is seen."""
    risk_engine = engine()
    events: list[Event] = [loan("2025-01-01", DUES), book]
    for offset, event in enumerate(events):
        risk_engine.process(event, feed_of(event), offset)

    assert risk_engine.counts[counted] == 1


# ---- laws --------------------------------------------------------------------------------------------------------

AS_OF = st.integers(min_value=0, max_value=200 * 24).map(lambda hour: START_MS + hour * 3_600_000)


@st.composite
def books(draw: st.DrawFn, serial: int = 0) -> LoanSnapshot:
    """A book of any day, whether it fits the ledger or not."""
    day = START_DAY + draw(st.integers(min_value=1, max_value=DAYS + 20))
    overdue = draw(st.sampled_from((0, 101, 50_000, 100_000, 400_000)))
    drawn_days = draw(st.sampled_from((0, 1)))
    return LoanSnapshot(
        event_id=f"book-{serial}",
        borrower_id="b",
        event_time_ms=(day + drawn_days) * DAY_MS + draw(st.sampled_from((0, 7, 15))) * 3_600_000,
        loan_id="l",
        as_of_date=date_of_day(day),
        outstanding_minor=overdue + draw(st.sampled_from((0, 100_000, 300_000))),
        overdue_minor=overdue,
        days_past_due=draw(st.integers(min_value=0, max_value=100)) if overdue else 0,
    )


@given(loan_logs(), books())
def test_from_its_instant_on_the_loan_stands_as_the_book_says(log: LoanLog, book: LoanSnapshot) -> None:
    """Whatever the ledger had, unless the loan had ended: overdue, days past due and outstanding are the book's."""
    opened, events = log
    held = ledger_of(opened, *events, rules=RULES)
    at_ms = ledger.instant_ms(book, RULES)
    has_losses = any(payment.reversals for payment in held.payments)
    if ledger.reconcile(held, book, RULES) == "closed" or has_losses:
        return
    now = standing(held, at_ms, RULES)
    days = max(1, book.days_past_due) if book.overdue_minor else 0

    assert abs(now.overdue_minor - book.overdue_minor) <= 100 or (not days and now.days_past_due <= 1)
    assert abs(now.days_past_due - days) <= 1
    assert now.outstanding_minor >= book.outstanding_minor - 100


@given(loan_logs(), books(), AS_OF)
def test_before_its_instant_a_snapshot_changes_nothing(log: LoanLog, book: LoanSnapshot, at_ms: int) -> None:
    """As of any earlier instant the loan stands as it did."""
    opened, events = log
    held = ledger_of(opened, *events, rules=RULES)
    at_ms = min(at_ms, ledger.instant_ms(book, RULES) - 1)
    before = standing(held, at_ms, RULES)
    ledger.reconcile(held, book, RULES)

    assert standing(held, at_ms, RULES) == before


@given(loan_logs(), st.data())
def test_stepping_on_equals_folding_anew_with_snapshots_between(log: LoanLog, data: st.DataObject) -> None:
    """After each event, snapshots in any order among them, and after a round trip through bytes."""
    opened, events = log
    held = ledger_of(opened, rules=RULES)
    for serial, event in enumerate(events):
        enter(held, [event], RULES)
        if data.draw(st.booleans()):
            ledger.reconcile(held, data.draw(books(serial)), RULES)
        upto_ms = held.now.upto_ms
        assert held.now == fold(held, upto_ms, upto_ms, RULES)
        assert held == msgspec.msgpack.decode(msgspec.msgpack.encode(held), type=Loan)


@given(loan_logs(), books())
def test_what_is_dated_after_the_book_may_come_before_or_after_it(log: LoanLog, book: LoanSnapshot) -> None:
    """Payments dated later leave the same balances, whether the snapshot was late or they were."""
    opened, events = log
    at_ms = ledger.instant_ms(book, RULES)
    earlier = [event for event in events if event.event_time_ms <= at_ms]
    later = [event for event in events if event.event_time_ms > at_ms and isinstance(event, Repayment)]
    late = ledger_of(opened, *earlier, *later, rules=RULES)
    ledger.reconcile(late, book, RULES)
    in_order = ledger_of(opened, *earlier, rules=RULES)
    ledger.reconcile(in_order, book, RULES)
    enter(in_order, later, RULES)

    assert late == in_order
