"""`relapse`: repaired, then missed again; each threshold on both sides, and what does not count."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Alert, Finding, Severity
from models.calendars import DAY_MS
from models.deadlines import NEVER
from models.events import BorrowerEvent, ClosingReason, Event, Payer
from models.ledger import Loan, spells
from models.signals import missed_payment
from models.signals.relapse import judge, next_deadline_ms
from tests.support.events import (
    at,
    bounced,
    ended,
    feed_of,
    loan,
    paid,
    rescheduled,
    rules,
    run,
    run_on,
    snapshot,
    story,
    voided,
)
from tests.support.ledgers import LoanEvent, enter, ledger_of
from tests.support.loan_logs import START_MS, LoanLog, loan_logs, loan_logs_in_order

RULES = rules()
FIRST, SECOND = "2025-01-10", "2025-05-10"
SECOND_MISS = at("2025-05-11", "00:00")


def later(day: str, days: int) -> str:
    """A date so many days after another."""
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def twice(*events: LoanEvent, second: str = SECOND) -> Loan:
    """Instalments of 1,000.00 due on 10 January and on 10 May, and what became of them."""
    return ledger_of(loan("2025-01-01", [(FIRST, 100_000), (second, 100_000)]), *events, rules=RULES)


def found(held: Loan, at_ms: int = SECOND_MISS, override: str = "") -> Finding | None:
    """What the deadline at that midnight finds."""
    return judge({"l-1": held}, at_ms, rules(override), deadline=True)


# ---- what counts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "is_relapse"), [(1, False), (6, False), (7, True), (8, True)])
def test_an_earlier_spell_counts_from_seven_days_on(days: int, *, is_relapse: bool) -> None:
    """Six days late is a slip, seven were a spell that was repaired."""
    held = twice(paid(later(FIRST, days), 100_000))

    assert (found(held) is not None) == is_relapse


@pytest.mark.parametrize(("days", "due_ms"), [(6, NEVER), (7, SECOND_MISS)])
def test_only_after_a_spell_that_was_repaired_the_next_miss_is_waited_for(days: int, due_ms: int) -> None:
    """Nearly nobody has had one: for all others there is never anything to look at."""
    held = twice(paid(later(FIRST, days), 100_000))

    assert next_deadline_ms({"l-1": held}, at("2025-03-01"), RULES) == due_ms


@pytest.mark.parametrize(("days", "is_relapse"), [(364, True), (365, True), (366, False)])
def test_a_spell_is_remembered_for_a_year_after_its_end(days: int, *, is_relapse: bool) -> None:
    """From its end to the midnight at which the new miss begins."""
    second = later("2025-01-20", days - 1)
    held = twice(paid("2025-01-20", 100_000, time="00:00"), second=second)
    midnight_ms = at(later("2025-01-20", days), "00:00")

    assert found(held, midnight_ms - DAY_MS) is None
    assert (found(held, midnight_ms) is not None) == is_relapse


def test_without_a_present_miss_there_is_no_relapse() -> None:
    """Until the second due date has ended; and no more once it is paid."""
    held = twice(paid("2025-01-20", 100_000), paid("2025-05-20", 100_000))

    assert judge({"l-1": held}, SECOND_MISS - 1, RULES) is None
    assert judge({"l-1": held}, SECOND_MISS, RULES) is not None
    assert judge({"l-1": held}, at("2025-05-20", "11:59"), RULES) is not None
    assert judge({"l-1": held}, at("2025-05-20"), RULES) is None


def test_the_first_miss_ever_is_none() -> None:
    """However long it lasts."""
    assert found(twice()) is None


@pytest.mark.parametrize(
    ("payer", "is_relapse"), [("borrower", True), ("guarantor", False), ("insurer", False), ("lender", False)]
)
def test_a_compensated_spell_was_not_repaired(payer: Payer, *, is_relapse: bool) -> None:
    """Somebody else paid."""
    assert (found(twice(paid("2025-01-20", 100_000, payer=payer))) is not None) == is_relapse


def test_a_rescheduled_spell_was_repaired() -> None:
    """The new plan was missed as well: that is what a relapse is."""
    held = twice(rescheduled("2025-01-25", [(SECOND, 200_000)]))

    assert found(held) is not None


@pytest.mark.parametrize(
    ("reason", "is_relapse"),
    [("settled", True), ("refinanced", True), ("written_off", False), ("sold", False), ("deceased", False)],
)
def test_an_earlier_loan_counts_by_its_end(reason: ClosingReason, *, is_relapse: bool) -> None:
    """Settled or refinanced was repaired; written off was not."""
    first = ledger_of(loan("2025-01-01", [(FIRST, 100_000)]), ended("2025-01-25", reason), rules=RULES)
    second = ledger_of(loan("2025-03-01", [(SECOND, 100_000)]), rules=RULES)
    finding = judge({"l-1": first, "l-2": second}, SECOND_MISS, RULES, deadline=True)

    assert (finding is not None) == is_relapse


def test_a_payment_that_bounced_repaired_nothing() -> None:
    """It is one spell, and the second instalment makes it no relapse."""
    payment = paid("2025-01-20", 100_000)

    assert found(twice(payment, bounced("2025-01-25", payment))) is None


def test_two_loans_in_trouble_at_one_time_are_one_trouble() -> None:
    """The miss on the second loan began before the first was repaired."""
    first = ledger_of(loan("2025-01-01", [(FIRST, 100_000)]), paid("2025-05-20", 100_000), rules=RULES)
    second = ledger_of(loan("2025-03-01", [(SECOND, 100_000)]), rules=RULES)

    assert judge({"l-1": first, "l-2": second}, at("2025-05-25"), RULES) is None


@pytest.mark.parametrize(("paid_at", "is_relapse"), [("23:59:59.999", True), ("00:00", False)])
def test_a_spell_that_lasts_to_the_very_midnight_is_the_same_trouble(
    paid_at: str, *, is_relapse: bool
) -> None:
    """A payment at the midnight of the new miss came after it began; one just before ended the spell in time."""
    day = SECOND if is_relapse else later(SECOND, 1)
    first = ledger_of(loan("2025-01-01", [(FIRST, 100_000)]), paid(day, 100_000, time=paid_at), rules=RULES)
    second = ledger_of(loan("2025-03-01", [(SECOND, 100_000)]), rules=RULES)

    assert (judge({"l-1": first, "l-2": second}, SECOND_MISS, RULES) is not None) == is_relapse


def test_a_spell_that_was_the_ledgers_own_mistake_does_not_count() -> None:
    """The book says that nothing was overdue."""
    events: list[Event] = [
        loan("2025-01-01", [(FIRST, 100_000), (SECOND, 100_000)]),
        snapshot("2025-01-20", 0, 0, 100_000),
    ]

    assert [line for line in story(run(events, until="2025-05-20")) if "relapse" in line] == []


# ---- severity ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "severity"),
    [(2, Severity.WATCH), (3, Severity.WARNING), (4, Severity.WARNING), (5, Severity.SERIOUS)],
)
def test_the_number_of_spells_sets_the_severity(count: int, severity: Severity) -> None:
    """Two are a watch, three a warning, five serious; the present one included."""
    dues = [f"2025-{month:02d}-10" for month in range(1, count + 1)]
    held = ledger_of(
        loan("2025-01-01", [(due, 100_000) for due in dues]),
        *(paid(later(due, 8), 100_000) for due in dues[:-1]),
        rules=RULES,
    )
    finding = found(held, at(later(dues[-1], 1), "00:00"))

    assert finding is not None
    assert finding.severity == severity
    assert finding.reasons[0].evidence["spells"] == count


@pytest.mark.parametrize(
    ("days", "severity"),
    [(29, Severity.WATCH), (30, Severity.WARNING), (89, Severity.WARNING), (90, Severity.SERIOUS)],
)
def test_the_worst_earlier_spell_sets_the_severity_at_least(days: int, severity: Severity) -> None:
    """30 days past due weigh as a third spell, 90 as a fifth."""
    finding = found(twice(paid(later(FIRST, days), 100_000)))

    assert finding is not None
    assert finding.severity == severity
    assert finding.reasons[0].evidence["worst_days_past_due"] == days


def test_the_policy_sets_all_of_it() -> None:
    """Memory, the least spell, and both ladders."""
    held = twice(paid("2025-01-13", 100_000))
    lenient = "[signals.relapse]\nrepaired_days_min = 3"
    strict = lenient + "\nworst_days_past_due = { warning = 2, serious = 3 }"
    short = lenient + "\nmemory_days = 30"

    assert found(held) is None
    assert getattr(found(held, override=lenient), "severity", None) == Severity.WATCH
    assert getattr(found(held, override=strict), "severity", None) == Severity.SERIOUS
    assert found(held, override=short) is None


def test_the_reason_names_the_earlier_spells() -> None:
    """When, how far, and of which loan; in both languages."""
    finding = found(twice(paid("2025-01-20", 100_000)))
    assert finding is not None
    reason = finding.reasons[0]

    assert reason.evidence["earlier_spells"] == "2025-01-11..2025-01-20 10d l-1"
    assert reason.evidence["last_repaired_date"] == "2025-01-20"
    assert "2025-01-20" in reason.text.en
    assert "2025-01-20" in reason.text.zh


# ---- its life ----------------------------------------------------------------------------------------------------


def of_relapse(alerts: list[Alert]) -> list[str]:
    """The signal's own revisions."""
    return [line for line in story(alerts) if " relapse " in line]


def test_it_opens_with_the_second_miss_and_ends_with_it() -> None:
    """At the very midnights and payments of `missed_payment`."""
    dues = [(FIRST, 100_000), (SECOND, 100_000)]
    events: list[Event] = [loan("2025-01-01", dues), paid("2025-01-20", 100_000), paid("2025-05-20", 100_000)]

    assert of_relapse(run(events, until="2025-06-30")) == [
        "2025-05-11 00:00 relapse opened watch",
        "2025-05-20 12:00 relapse resolved watch paid",
    ]


def test_a_miss_that_is_paid_at_its_very_midnight_ends_the_relapse_as_paid() -> None:
    """Opened by the deadline, resolved by the payment of the same instant."""
    events: list[Event] = [
        loan("2025-01-01", [(FIRST, 100_000), (SECOND, 100_000)]),
        paid("2025-01-20", 100_000),
        paid("2025-05-11", 100_000, time="00:00"),
    ]

    assert of_relapse(run(events, until="2025-06-30")) == [
        "2025-05-11 00:00 relapse opened watch",
        "2025-05-11 00:00 relapse resolved watch paid",
    ]


def test_a_guarantors_payment_ends_it_as_compensated() -> None:
    """The relapse ends as the miss did."""
    dues = [(FIRST, 100_000), (SECOND, 100_000)]
    events: list[Event] = [
        loan("2025-01-01", dues),
        paid("2025-01-20", 100_000),
        paid("2025-05-20", 100_000, payer="guarantor"),
    ]

    assert of_relapse(run(events, until="2025-06-30"))[-1] == (
        "2025-05-20 12:00 relapse resolved watch compensated"
    )


def test_it_ends_as_the_miss_did_with_which_it_opened() -> None:
    """Not as the earlier one, which was made good on another loan."""
    events: list[Event] = [
        loan("2025-01-01", [(FIRST, 100_000)]),
        loan("2025-01-01", [(SECOND, 100_000)], loan_id="l-2"),
        paid("2025-01-20", 100_000),
        paid("2025-05-20", 100_000, loan_id="l-2", payer="guarantor"),
    ]

    assert of_relapse(run(events, until="2025-06-30"))[-1] == (
        "2025-05-20 12:00 relapse resolved watch compensated"
    )


def test_a_payment_in_time_that_is_learnt_late_retracts_it() -> None:
    """The first instalment had been paid on its due date: the second miss is the first."""
    dues = [(FIRST, 100_000), (SECOND, 100_000)]
    events: list[Event] = [
        loan("2025-01-01", dues),
        paid("2025-01-20", 100_000),
        paid("2025-05-12", 1),
        paid(FIRST, 100_000),
    ]
    told = of_relapse(run(events, until="2025-05-20"))

    assert told == [
        "2025-05-11 00:00 relapse opened watch",
        "2025-01-10 12:00 relapse retracted watch",
    ]


def test_the_void_of_the_payment_that_repaired_retracts_it() -> None:
    """It never was repaired: it is one spell since January."""
    payment = paid("2025-01-20", 100_000)
    dues = [(FIRST, 100_000), (SECOND, 100_000)]
    events: list[BorrowerEvent] = [loan("2025-01-01", dues), payment, paid("2025-05-12", 1)]
    void = voided("2025-05-13", payment)
    risk_engine = run_on([*((event, feed_of(event)) for event in events), (void, feed_of(payment))])

    assert of_relapse(risk_engine.take_alerts(0)) == [
        "2025-05-11 00:00 relapse opened watch",
        "2025-05-13 12:00 relapse retracted watch",
    ]


def test_a_spell_goes_on_where_the_next_miss_begins_as_the_first_is_paid() -> None:
    """At the very midnight: there was no instant without a miss."""
    dues = [("2025-01-10", 100_000), ("2025-01-20", 100_000)]
    held = ledger_of(loan("2025-01-01", dues), paid("2025-01-21", 100_000, time="00:00"), rules=RULES)
    known = spells(held, at("2025-01-25"), at("2025-01-25"), 1, RULES)

    assert [(spell.from_ms, spell.until_ms) for spell in known] == [(at("2025-01-11", "00:00"), None)]


def test_a_spell_ends_at_the_instant_at_which_the_loan_does() -> None:
    """As of that very instant it is over."""
    held = ledger_of(loan("2025-01-01", [(FIRST, 100_000)]), ended("2025-01-20", "sold"), rules=RULES)
    closed_ms = at("2025-01-20")

    assert [spell.until_ms for spell in spells(held, closed_ms, closed_ms, 1, RULES)] == [closed_ms]
    assert [spell.until_ms for spell in spells(held, closed_ms, closed_ms - 1, 1, RULES)] == [None]


# ---- laws --------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(loan_logs_in_order(), st.integers(min_value=0, max_value=200))
def test_spells_are_the_midnights_at_which_a_payment_is_missed(log: LoanLog, days: int) -> None:
    """At each midnight `missed_payment` finds something, just where a spell has begun and has not ended."""
    opened, events = log
    held = ledger_of(opened, *events, rules=RULES)
    at_ms = START_MS + days * DAY_MS
    known = spells(held, at_ms, at_ms - 1, 1, RULES)
    is_within = any(spell.until_ms is None or spell.until_ms >= at_ms for spell in known)

    assert is_within == (missed_payment.judge(held, at_ms, RULES, deadline=True) is not None)
    assert all(spell.worst_days_past_due >= 1 for spell in known)
    assert all(one.until_ms is not None and one.until_ms <= two.from_ms for one, two in pairwise(known))


@settings(max_examples=60)
@given(loan_logs(), loan_logs(), st.integers(min_value=0, max_value=200))
def test_time_alone_changes_it_at_announced_deadlines_only(one: LoanLog, other: LoanLog, days: int) -> None:
    """Between two deadlines without an event, no midnight finds anything else."""
    eager = rules("[signals.relapse]\nrepaired_days_min = 1")
    loans = {
        loan_id: ledger_of(opened, *events, rules=eager)
        for loan_id, (opened, events) in (("l-1", one), ("l-2", other))
    }
    after_ms = START_MS + days * DAY_MS + DAY_MS // 2
    last_ms = max(held.now.upto_ms for held in loans.values())
    after_ms = max(after_ms, last_ms)
    due_ms = next_deadline_ms(loans, after_ms, eager)
    before = judge(loans, after_ms, eager)
    midnight_ms = after_ms - (after_ms - START_MS) % DAY_MS + DAY_MS
    while midnight_ms < min(due_ms, after_ms + 120 * DAY_MS):
        assert judge(loans, midnight_ms, eager, deadline=True) == before
        midnight_ms += DAY_MS


@settings(max_examples=60)
@given(loan_logs(), st.integers(min_value=0, max_value=200))
def test_what_is_kept_of_the_past_is_what_a_fold_tells(log: LoanLog, days: int) -> None:
    """After each entry, late or not, a loan that was asked before tells what one tells that was read back from its bytes."""
    opened, events = log
    asked = ledger_of(opened, rules=RULES)
    for event in events:
        enter(asked, [event], RULES)
        for at_ms in (START_MS + days * DAY_MS, asked.now.upto_ms + days * DAY_MS):
            fresh = msgspec.msgpack.decode(msgspec.msgpack.encode(asked), type=Loan)
            assert spells(asked, at_ms, at_ms, 1, RULES) == spells(fresh, at_ms, at_ms, 1, RULES)
