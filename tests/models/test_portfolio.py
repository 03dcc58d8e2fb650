"""A survey adds up how borrowers stand, to the fen, and leaves no trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.borrower import Borrower, encode_borrower
from models.engine import RiskEngine
from models.events import REPAYMENTS, BorrowerEvent
from models.ledger import standing
from models.portfolio import NAMES_COUNTED_MAX, NO_LOAN, OTHER, Portfolio, added, bucket_of
from models.signals import missed_payment
from tests.support.events import ended, engine, feed_of, loan, paid, rules, run_on
from tests.support.logs import logs_in_order

RULES = rules()
DUES = [("2025-02-10", 1_000_00), ("2025-03-10", 1_000_00), ("2025-04-10", 1_000_00)]


def after(events: Sequence[BorrowerEvent], until: str) -> RiskEngine:
    """An engine after events, every feed at the end of a date."""
    return run_on([(event, feed_of(event)) for event in events], until=until)


def surveyed(of: RiskEngine) -> Portfolio:
    """All of an engine's borrowers at once."""
    book = Portfolio()
    of.survey(of.borrower_ids(), book)
    return book


def given_bytes(of: RiskEngine) -> RiskEngine:
    """Another engine that was given the same states back, as at a restart."""
    other = engine()
    of.take_output(0)
    for borrower_id in of.borrower_ids():
        borrower = of.borrower(borrower_id)
        assert borrower is not None
        other.restore(borrower_id, encode_borrower(borrower))
    other.resume(of.progress())
    return other


# ---- what is added up ---------------------------------------------------------------------------------------------


def test_each_loan_is_in_its_own_bucket_and_each_borrower_in_the_worst() -> None:
    """Two loans of one borrower, one past due; another borrower pays; a third has none left."""
    events: list[BorrowerEvent] = [
        loan("2025-01-10", DUES),
        loan("2025-01-10", [("2025-06-10", 5_000_00)], loan_id="l-2", platform_id="partner"),
        loan("2025-01-10", DUES, borrower="b-2"),
        paid("2025-02-09", 1_000_00, borrower="b-2"),
        loan("2025-01-10", DUES, borrower="b-3"),
        ended("2025-01-20", borrower="b-3"),
    ]
    book = surveyed(after(events, "2025-02-15"))

    assert book.surveyed == 3
    assert Counter({bucket: n for (_, bucket), n in book.borrowers.items()}) == {"1-30": 1, "current": 1}
    assert book.loans == {"CNY": 3}
    assert book.outstanding_minor == {("CNY", "1-30"): 3_000_00, ("CNY", "current"): 7_000_00}
    assert +book.overdue_minor == {("CNY", "1-30"): 1_000_00}
    assert book.platform_outstanding_minor == {("CNY", "own"): 5_000_00, ("CNY", "partner"): 5_000_00}
    assert +book.platform_overdue_minor == {("CNY", "own"): 1_000_00}
    assert book.open_alerts["missed_payment", "watch"] == 1


def test_who_moved_within_the_month_is_told_by_both_buckets() -> None:
    """Worse, better, as before, and not there yet: each as of thirty days ago, though nothing was kept of it."""
    events: list[BorrowerEvent] = [
        loan("2025-01-10", DUES, borrower="worse"),
        loan("2025-01-10", DUES, borrower="better"),
        loan("2025-01-10", [("2025-06-10", 1_000_00)], borrower="calm"),
        loan("2025-03-20", [("2025-06-10", 1_000_00)], borrower="new"),
        paid("2025-03-20", 3_000_00, borrower="better", time="10:00"),
    ]
    book = surveyed(after(events, "2025-03-31"))

    assert book.moved == {
        ("1-30", "31-60"): 1,  # 49 days past due on 1 April, 19 on 2 March
        ("1-30", "current"): 1,
        ("current", "current"): 1,
        (NO_LOAN, "current"): 1,
    }


def test_a_loan_that_ended_meanwhile_counts_for_where_its_borrower_was() -> None:
    """Two loans: the late one was settled this month, the other is open."""
    events: list[BorrowerEvent] = [
        loan("2025-01-10", [("2025-02-10", 1_000_00)]),
        loan("2025-01-10", [("2025-06-10", 1_000_00)], loan_id="l-2"),
        paid("2025-03-20", 1_000_00),
        ended("2025-03-21"),
    ]
    book = surveyed(after(events, "2025-03-31"))

    assert book.moved == {("1-30", "current"): 1}


@pytest.mark.parametrize("days", [1, 30, 31, 60, 61, 90, 91, 270, 271, 360, 361, 4_000])
def test_buckets_are_those_of_the_missed_payment(days: int) -> None:
    """On both sides of each border."""
    assert bucket_of(days) == missed_payment.bucket_of(days)
    assert bucket_of(0) == "current"


# ---- laws ------------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(log=logs_in_order(), share=st.integers(min_value=1, max_value=3))
def test_parts_add_up_and_a_restart_changes_nothing(log: list[BorrowerEvent], share: int) -> None:
    """Looked at a few at a time, or given back as bytes, it comes to the same; and who was bytes still is."""
    one = after(log, "2026-03-01")
    whole = surveyed(one)
    ids = one.borrower_ids()
    parts = [Portfolio() for _ in ids[::share]]
    for place, part in enumerate(parts):
        one.survey(ids[place * share : (place + 1) * share], part)
    other = given_bytes(one)

    assert added(parts) == whole
    assert surveyed(other) == whole
    assert not any(isinstance(known, Borrower) for known in other._borrowers.values())


@settings(max_examples=40)
@given(log=logs_in_order())
def test_a_survey_changes_nothing(log: list[BorrowerEvent]) -> None:
    """An engine that is surveyed after every event comes to what one comes to that never is."""
    quiet, watched = engine(), engine()
    for offset, event in enumerate(log):
        quiet.process(event, feed_of(event), offset)
        watched.process(event, feed_of(event), offset)
        surveyed(watched)

    assert watched.take_output(0) == quiet.take_output(0)
    assert watched.progress() == quiet.progress()


@settings(max_examples=40)
@given(log=logs_in_order())
def test_amounts_are_those_of_the_ledgers(log: list[BorrowerEvent]) -> None:
    """What is outstanding and past due is what every loan's own standing says, added up."""
    one = after(log, "2026-03-01")
    book = surveyed(one)
    at_ms = one.watermarks_ms[REPAYMENTS]
    standings = [
        standing(each, at_ms, RULES)
        for borrower_id in one.borrower_ids()
        if (borrower := one.borrower(borrower_id)) is not None
        for each in borrower.loans.values()
        if not each.is_voided
    ]

    assert book.outstanding_minor.total() == sum(each.outstanding_minor for each in standings)
    assert book.overdue_minor.total() == sum(each.overdue_minor for each in standings)
    assert book.platform_outstanding_minor.total() == book.outstanding_minor.total()
    assert book.platform_overdue_minor.total() == book.overdue_minor.total()
    assert book.borrowers.total() == book.moved.total() <= book.surveyed


# ---- bounds ----------------------------------------------------------------------------------------------------------


def test_platforms_without_end_do_not_fill_the_memory() -> None:
    """A feed that makes a platform up for every loan: what is beyond the limit is added up, nothing is lost."""
    events: list[BorrowerEvent] = [
        loan("2025-01-10", [("2025-06-10", 1_000)], borrower=f"b-{n}", platform_id=f"p-{n}")
        for n in range(NAMES_COUNTED_MAX + 5)
    ]
    book = surveyed(after(events, "2025-01-31"))

    assert len(book.platform_outstanding_minor) == NAMES_COUNTED_MAX + 1
    assert book.platform_outstanding_minor["CNY", OTHER] == 5_000
    assert book.platform_outstanding_minor.total() == 1_000 * (NAMES_COUNTED_MAX + 5)


def test_currencies_without_end_do_not_either() -> None:
    """The same of the field that should hold a currency."""
    events: list[BorrowerEvent] = [
        loan("2025-01-10", [("2025-06-10", 100)], borrower=f"b-{n}", currency=f"c-{n}")
        for n in range(NAMES_COUNTED_MAX + 5)
    ]
    book = surveyed(after(events, "2025-01-31"))

    assert len(book.loans) == NAMES_COUNTED_MAX + 1
    assert book.loans.total() == NAMES_COUNTED_MAX + 5


def test_nobody_is_surveyed_before_anything_is_known() -> None:
    """An engine without a watermark has no day to count to; who is gone by the time it is their turn is passed over."""
    one = engine()
    book = Portfolio()
    one.survey(["gone"], book)

    assert book == Portfolio()
