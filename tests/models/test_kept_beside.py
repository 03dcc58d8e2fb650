"""What is kept beside a borrower while events are recorded: the same is said of one of whom nothing is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.borrower import decode_borrower, encode_borrower, new_borrower
from models.calendars import DAY_MS, HOUR_MS
from models.events import TOPICS, BorrowerEvent, FundFlow, Origin
from models.evidence import record
from models.signal_table import ASSET_FLIGHT
from models.signals.asset_flight import calm_of, is_watched_on
from tests.support.events import bounced, feed_of, flow, loan, paid, rules
from tests.support.ledgers import enter, ledger_of
from tests.support.loan_logs import DAYS, START_DAY, START_MS, LoanLog, loan_logs, loan_logs_in_order

RULES = rules()
_SPENT_FROM_DAY = 40
_FURTHER_DAYS = 40


def _spent(day: int, hour: int) -> FundFlow:
    """Everyday spending that tells a balance: the first of its day has watched money looked at."""
    return FundFlow(
        event_id=f"spent-{day}-{hour}",
        borrower_id="b",
        event_time_ms=START_MS + day * DAY_MS + hour * HOUR_MS,
        account_id="acct",
        direction="out",
        amount_minor=1_000,
        currency="CNY",
        category="living",
        balance_after_minor=900_000,
    )


@given(loan_logs(), st.data())
def test_what_is_kept_of_loans_says_what_the_loans_say(log: LoanLog, data: st.DataObject) -> None:
    """Flows and events of a loan, however they come: what a flow touches is the same where nothing was kept."""
    opened, events = log
    days = data.draw(st.lists(st.integers(_SPENT_FROM_DAY, DAYS + _FURTHER_DAYS), min_size=1, unique=True))
    come: list[BorrowerEvent] = [opened]
    flows = [_spent(day, data.draw(st.sampled_from((0, 9)))) for day in sorted(days)]
    for of_loan in events:
        count = data.draw(st.integers(0, len(flows)))
        come += [*flows[:count], of_loan]
        flows = flows[count:]
    come += flows
    lasting = new_borrower(opened.event_time_ms)
    for offset, event in enumerate(come):
        anew = decode_borrower("b", encode_borrower(lasting))
        origin = Origin(TOPICS[feed_of(event)], 0, offset, event.event_id)
        assert record(lasting, event, origin, RULES) == record(anew, event, origin, RULES)
        assert lasting == anew


_PAYMENT = paid("2025-02-09", 100_000)
_LENT = loan("2025-01-02", [("2025-02-10", 100_000), ("2025-12-10", 100_000)])


def _everyday(when: str) -> FundFlow:
    return flow(when, 1_000, "living", "out", balance_after_minor=900_000)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (
            [
                _LENT,
                _PAYMENT,
                _everyday("2025-02-11"),
                bounced("2025-03-12", _PAYMENT),
                _everyday("2025-03-13"),
            ],
            [False, False, False, False, True],
        ),
        ([_everyday("2025-02-11"), _LENT, _everyday("2025-02-12")], [False, False, True]),
        ([_LENT, _everyday("2025-02-09"), _everyday("2025-02-11")], [False, False, True]),
    ],
    ids=["a payment bounces", "a loan is told late", "a loan falls past due"],
)
def test_the_first_flow_of_a_day_has_watched_money_looked_at(
    events: list[BorrowerEvent], expected: list[bool]
) -> None:
    """What was kept while nothing was past due holds no longer than that."""
    borrower = new_borrower(0)
    touched = []
    for offset, event in enumerate(events):
        origin = Origin(TOPICS[feed_of(event)], 0, offset, event.event_id)
        touched.append((ASSET_FLIGHT, None) in record(borrower, event, origin, RULES).touched)
    assert touched == expected


@given(
    loan_logs_in_order(), st.integers(0, 12), st.integers(0, DAYS + _FURTHER_DAYS), st.sampled_from((0, 9))
)
def test_no_money_is_watched_while_it_is_said_to_be_calm(
    log: LoanLog, count: int, day: int, hour: int
) -> None:
    """As of every instant and day that is said to be calm no loan is so far past due, and from then on one is."""
    opened, events = log
    ledger = ledger_of(opened, rules=RULES)
    enter(ledger, events[:count], RULES)
    loans = {"l": ledger}
    calm = calm_of(loans, RULES)
    at_ms, local_day = START_MS + day * DAY_MS + hour * HOUR_MS, START_DAY + day
    is_watched = is_watched_on(loans, at_ms, local_day, RULES)
    if at_ms >= calm.from_ms:
        assert is_watched == (local_day >= calm.until_day)
