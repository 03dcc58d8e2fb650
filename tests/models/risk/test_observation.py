"""What is observed of a borrower, feature by feature, as of an instant."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from models.events import REPAYMENTS, Event, EventVoided
from models.risk.features import FEATURES, KINDS, UNKNOWN, Features, Kind
from models.risk.observation import observe
from models.risk.scorecard import Scorecard, broad_prior, expert_prior
from tests.support.events import (
    at,
    billed,
    bounced,
    ended,
    engine,
    feed_of,
    flow,
    in_order,
    loan,
    paid,
    query,
    rules,
    voided,
)
from tests.support.means import told
from tests.support.servicing import contact, promise

CARD = loan("2025-01-01", [], principal_minor=0, credit_limit_minor=1_000_000, product="card")


def seen(events: Sequence[Event], when: str, time: str = "12:00", *, deadline: bool = False) -> Features:
    """The features after these events, as of a local time."""
    risk_engine = engine()
    for offset, event in enumerate(in_order(events)):
        risk_engine.process(event, REPAYMENTS if isinstance(event, EventVoided) else feed_of(event), offset)
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    return observe(borrower, at(when, time), rules(), deadline=deadline)


def salary(months: int, amount: int) -> list[Event]:
    """Pay on the fifteenth of each month from January on."""
    return [
        flow(f"2025-{month:02}-15", amount, "salary", counterparty_id="employer")
        for month in range(1, months + 1)
    ]


def statements(*balances: int) -> list[Event]:
    """Statements of the card on the fifth of each month from February on."""
    return [
        billed(
            f"2025-{month:02}-05",
            f"2025-{month:02}-25",
            balance,
            month,
            minimum_due_minor=0,
            balance_minor=balance,
        )
        for month, balance in enumerate(balances, start=2)
    ]


EVERYTHING: Sequence[Event] = [
    CARD,
    *statements(100_000, 300_000, 250_000, 600_000),
    *salary(6, 400_000),
    loan("2025-01-01", [("2025-05-28", 100_000), ("2025-06-28", 100_000)], loan_id="l-2"),
    paid("2025-06-10", 200_000),
    query("2025-06-01", "i-1"),
    told("2025-06-19", 50_000),
    flow("2025-06-01", 100_000, "loan_disbursement", counterparty_id="p-1", counterparty_kind="lender"),
    flow("2025-06-03", 100_000, "loan_repayment", "out", counterparty_id="p-2", counterparty_kind="lender"),
    contact("2025-06-11"),
]
"""Something of each kind."""


# ---- own loans -----------------------------------------------------------------------------------------------------


def test_of_somebody_new_nothing_is_known() -> None:
    """A first query is no loan, no income, no contact: everything has its default but what the query tells."""
    assert seen([query("2025-03-01", "i-1")], "2025-03-02") == Features(new_institutions=1)


def test_granted_is_counted_in_ordinary_wages() -> None:
    """A line of 10,000.00 and a loan of 6,000.00 are two ordinary Chinese wages; a loan in an unknown coin tells nothing."""
    other = loan("2025-02-01", [("2025-08-01", 600_000)], loan_id="l-2")
    strange = loan("2025-02-01", [("2025-08-01", 100)], loan_id="l-3", currency="XTS")
    assert seen([CARD], "2025-03-01").granted_months == pytest.approx(1.25)
    assert seen([CARD, other], "2025-03-01").granted_months == pytest.approx(2.0)
    assert seen([CARD, other, strange], "2025-03-01").granted_months == UNKNOWN
    assert seen([CARD, ended("2025-02-20")], "2025-03-01").granted_months == UNKNOWN


@pytest.mark.parametrize(
    ("when", "time", "months"),
    [
        ("2025-03-10", "11:59", 0.0),
        ("2025-03-10", "12:00", 0.25),
        ("2025-06-08", "11:59", 0.25),
        ("2025-06-08", "12:00", 0.0),
    ],
)
def test_paid_is_what_came_within_ninety_days(when: str, time: str, months: float) -> None:
    """From the payment's own instant until ninety days later, in ordinary wages."""
    assert seen([CARD, paid("2025-03-10", 200_000)], when, time).paid_months == pytest.approx(months)


def test_only_what_the_borrower_paid_for_good_is_paid() -> None:
    """A waiver, a guarantor's payment, and one that bounced by then are none; before it bounced it was one."""
    payment = paid("2025-03-10", 200_000)
    events: list[Event] = [
        CARD,
        payment,
        paid("2025-03-11", 300_000, kind="waiver"),
        paid("2025-03-12", 300_000, payer="guarantor"),
        bounced("2025-03-20", payment),
    ]
    before, after = seen(events, "2025-03-19"), seen(events, "2025-03-21")
    assert before.paid_months == pytest.approx(0.25)
    assert before.days_since_payment == pytest.approx(9.0)
    assert (after.paid_months, after.days_since_payment) == (0.0, UNKNOWN)


@pytest.mark.parametrize(("when", "days"), [("2025-03-10", 0), ("2025-09-05", 179), ("2025-09-06", UNKNOWN)])
def test_the_last_payment_is_looked_for_within_half_a_year(when: str, days: float) -> None:
    """Days since the payment, down to the instant; 180 days after it nobody looks any more."""
    assert seen([CARD, paid("2025-03-10", 1)], when).days_since_payment == pytest.approx(days)


def test_the_last_payment_is_found_on_whichever_loan_it_was_made() -> None:
    """A closed loan's payments count as well: the person paid."""
    other = loan("2025-02-01", [("2025-04-01", 50_000)], loan_id="l-2")
    events: list[Event] = [
        CARD,
        other,
        paid("2025-03-01", 50_000, loan_id="l-2"),
        ended("2025-03-02", loan_id="l-2"),
    ]
    found = seen(events, "2025-03-11")
    assert found.days_since_payment == pytest.approx(10.0)
    assert found.paid_months == pytest.approx(0.0625)


def test_statements_tell_how_full_a_line_is_and_how_it_changed() -> None:
    """The newest by the limit, against the one before, and against three before."""
    found = seen([CARD, *statements(100_000, 300_000, 250_000, 600_000)], "2025-05-20")
    assert found.statement_utilisation == pytest.approx(0.6)
    assert found.statement_change == pytest.approx(0.35)
    assert found.statement_change_3 == pytest.approx(0.5)


def test_too_few_statements_tell_no_change() -> None:
    """Of one statement no change is known, of three none over three."""
    assert seen([CARD, *statements(500_000)], "2025-02-20").statement_change == 0
    found = seen([CARD, *statements(500_000, 400_000, 300_000)], "2025-04-20")
    assert found.statement_change == pytest.approx(-0.1)
    assert found.statement_change_3 == 0


def test_a_statement_counts_from_its_own_instant() -> None:
    """A minute before it is sent, the one before is the newest."""
    events: list[Event] = [CARD, *statements(100_000, 300_000)]
    assert seen(events, "2025-03-05", "08:59").statement_utilisation == pytest.approx(0.1)
    assert seen(events, "2025-03-05", "09:00").statement_utilisation == pytest.approx(0.3)


def test_the_share_paid_is_of_the_newest_statement_that_fell_due() -> None:
    """A quarter of it paid is a quarter from the end of its due day on, until the next one has fallen due."""
    events: list[Event] = [
        CARD,
        *statements(400_000, 500_000),
        paid("2025-02-10", 100_000),
        paid("2025-03-04", 100_000),
        paid("2025-03-06", 200_000),
    ]
    assert seen(events, "2025-02-25").statement_paid_share == UNKNOWN
    assert seen(events, "2025-02-26").statement_paid_share == pytest.approx(0.25)
    assert seen(events, "2025-03-25").statement_paid_share == pytest.approx(0.5)
    assert seen(events, "2025-03-26").statement_paid_share == pytest.approx(0.4)


def test_of_nothing_owed_no_share_is_paid() -> None:
    """Without a statement, with an empty one, or with one that is not due yet, there is no share."""
    assert seen([CARD, *statements(0)], "2025-03-20").statement_paid_share == UNKNOWN
    assert seen([CARD], "2025-02-20").statement_paid_share == UNKNOWN
    assert seen([CARD, *statements(100_000)], "2025-02-20").statement_paid_share == UNKNOWN


def test_only_what_the_borrower_paid_counts_for_a_statement() -> None:
    """A waiver is no payment, nor is what a guarantor sends, nor what bounced by then."""
    payment = paid("2025-02-10", 100_000)
    events: list[Event] = [
        CARD,
        *statements(400_000),
        payment,
        paid("2025-02-11", 100_000, kind="waiver"),
        paid("2025-02-12", 100_000, payer="guarantor"),
        bounced("2025-03-02", payment),
    ]
    assert seen(events, "2025-03-01").statement_paid_share == pytest.approx(0.25)
    assert seen(events, "2025-03-03").statement_paid_share == 0


def test_days_to_the_next_instalment_that_is_not_paid() -> None:
    """Whichever loan's comes first; one that is paid ahead is past; on the due day itself it is 0, past due it is none."""
    own = loan("2025-01-01", [("2025-03-10", 100_000), ("2025-04-10", 100_000)])
    other = loan("2025-01-01", [("2025-03-15", 100_000)], loan_id="l-2")
    assert seen([own, other], "2025-03-01").days_to_due == 9
    assert seen([own, other], "2025-03-10").days_to_due == 0
    assert seen([own, other], "2025-03-11").days_to_due == 4
    assert seen([own, other, paid("2025-02-20", 100_000)], "2025-03-01").days_to_due == 14
    assert seen([own], "2025-04-11").days_to_due == UNKNOWN
    assert seen([CARD], "2025-03-01").days_to_due == UNKNOWN


@pytest.mark.parametrize(
    ("when", "days"),
    [
        ("2025-03-10", UNKNOWN),
        ("2025-03-11", 0),
        ("2025-03-15", 0),
        ("2025-03-17", 2),
        ("2025-09-10", 179),
        ("2025-09-11", UNKNOWN),
    ],
)
def test_days_since_an_own_loan_was_past_due(when: str, days: float) -> None:
    """None while nothing was missed, 0 while it is past due, then the days since it was paid, for half a year."""
    own = loan("2025-01-01", [("2025-03-10", 100_000), ("2026-03-10", 100_000)])
    events: list[Event] = [own, paid("2025-03-15", 100_000, time="13:00")]
    assert seen(events, when, "13:00").days_since_late == days


def test_a_loan_that_never_was_tells_nothing() -> None:
    """After its opening was taken back there is no relation and no loan."""
    found = seen([CARD, voided("2025-02-01", CARD)], "2025-03-01")
    assert (found.relation_days, found.open_loans, found.granted_months) == (0, 0, UNKNOWN)


# ---- income, money, contacts ---------------------------------------------------------------------------------------


def test_debts_are_held_against_income() -> None:
    """12,000.00 owed, of which 1,000.00 falls due within a month, at 4,000.00 a month."""
    own = loan("2025-01-01", [(f"2025-{month:02}-28", 100_000) for month in range(6, 13)], principal_minor=1)
    rest = loan("2025-01-01", [("2026-06-01", 500_000)], loan_id="l-2")
    found = seen([own, rest, *salary(6, 400_000)], "2025-06-20")
    assert found.debt_months == pytest.approx(3.0)
    assert found.debt_service_share == pytest.approx(0.25)
    assert found.income_visible == 1
    without = seen([own, rest], "2025-06-20")
    assert (without.debt_months, without.debt_service_share) == (UNKNOWN, UNKNOWN)


def test_money_in_sight_covers_the_next_instalment() -> None:
    """Half of it there is a half; without an account in sight nobody knows."""
    own = loan("2025-01-01", [("2025-04-01", 100_000), ("2025-05-01", 900_000)])
    assert seen([own, told("2025-03-19", 50_000)], "2025-03-20").cash_cover == pytest.approx(0.5)
    assert seen([own], "2025-03-20").cash_cover == UNKNOWN


def test_money_borrowed_here_that_repaid_there_is_counted() -> None:
    """A disbursement and the repayment elsewhere that it paid for are one time; before the repayment there is none."""
    lent = flow("2025-03-01", 100_000, "loan_disbursement", counterparty_id="p-1", counterparty_kind="lender")
    repaid = flow(
        "2025-03-03", 100_000, "loan_repayment", "out", counterparty_id="p-2", counterparty_kind="lender"
    )
    assert seen([lent, repaid], "2025-03-02").rollovers == 0
    assert seen([lent, repaid], "2025-03-04").rollovers == 1


def test_attempts_in_vain_count_until_one_reaches() -> None:
    """Two failed in a row are two; an answer begins a new row; those older than thirty days are forgotten."""
    events: list[Event] = [CARD, contact("2025-03-01"), contact("2025-03-02")]
    assert seen(events, "2025-03-03").unreached_attempts == 2
    assert seen([*events, contact("2025-03-03", "reached")], "2025-03-04").unreached_attempts == 0
    assert seen(events, "2025-04-01", "11:00").unreached_attempts == 1


def test_a_broken_promise_counts_once_its_day_is_over() -> None:
    """Not while the promised day runs, not where it was kept."""
    own = loan("2025-01-01", [("2025-03-01", 100_000)])
    promised = promise("2025-03-05", "2025-03-08", 100_000)
    assert seen([own, promised], "2025-03-06").broken_promises == 0
    assert seen([own, promised], "2025-03-20").broken_promises == 1
    assert seen([own, promised, paid("2025-03-07", 100_000)], "2025-03-20").broken_promises == 0


# ---- kinds ---------------------------------------------------------------------------------------------------------


def test_a_kind_that_is_not_asked_for_is_not_looked_at() -> None:
    """Without the loans the features of loans have their defaults, and the others are the same."""
    risk_engine = engine()
    events: list[Event] = [CARD, query("2025-02-01", "i-1"), contact("2025-03-01"), paid("2025-02-03", 5)]
    for offset, event in enumerate(in_order(events)):
        risk_engine.process(event, feed_of(event), offset)
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    found = observe(
        borrower,
        at("2025-03-02"),
        rules(),
        kinds=KINDS - {"loans", "granted", "payments", "statements", "dues"},
    )
    assert found == Features(new_institutions=found.new_institutions, unreached_attempts=1)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_alone_tells_what_it_tells_among_all(kind: Kind) -> None:
    """Its features are the same whatever else is looked at, and all others have their defaults."""
    risk_engine = engine()
    for offset, event in enumerate(in_order(EVERYTHING)):
        risk_engine.process(event, feed_of(event), offset)
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    whole = observe(borrower, at("2025-06-20"), rules())
    alone = observe(borrower, at("2025-06-20"), rules(), kinds={kind})
    told_by_it = {feature.name for feature in FEATURES if feature.kind == kind}
    assert {
        name for name, value in alone._asdict().items() if value != Features._field_defaults[name]
    } <= told_by_it
    assert alone == Features(**{name: getattr(whole, name) for name in told_by_it})
    assert alone != Features()


def test_the_card_of_day_one_asks_for_less_than_learning_starts_from() -> None:
    """Own loans, income and institutions; learning weighs something of each kind."""
    assert expert_prior().kinds == {"loans", "income", "institutions"}
    assert broad_prior().kinds == KINDS


def test_a_card_asks_only_for_what_it_weighs() -> None:
    """A feature that weighs nothing in any bin is not looked at; one that weighs the same in all is, for it is shown."""
    card = Scorecard(
        ("rollovers", "cash_cover", "open_loans"), ((1.0,), (), (2.0,)), ((0.0, 0.5), (0.1,), (0.0, 0.0)), 0.0
    )
    assert card.kinds == {"rollovers", "money"}


def test_a_deadline_sees_what_was_before_its_midnight() -> None:
    """A payment at the very midnight belongs to the day that begins."""
    events: list[Event] = [CARD, paid("2025-03-10", 200_000, time="00:00")]
    assert seen(events, "2025-03-10", "00:00").paid_months == pytest.approx(0.25)
    assert seen(events, "2025-03-10", "00:00", deadline=True).paid_months == 0
