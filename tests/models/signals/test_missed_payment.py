"""`missed_payment`, sentence by sentence (blueprint, section 5), each threshold on both sides."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import ledger
from models.alerts import Finding, Severity
from models.calendars import DAY_MS
from models.events import ClosingReason, LoanOpened, Payer, ScheduleReason
from models.ledger import Loan, next_entry_ms
from models.rules import Rules
from models.signals.missed_payment import bucket_of, judge, next_deadline_ms, resolution
from tests.support.events import at, billed, bounced, ended, loan, local, paid, rescheduled, rules, run, story
from tests.support.ledgers import LoanEvent, enter, ledger_of
from tests.support.loan_logs import loan_logs, loan_logs_in_order

RULES = rules()
DUE = "2025-01-10"
AFTER = "2025-01-11"


def one(*events: LoanEvent, opened: LoanOpened | None = None) -> Loan:
    """A loan with one instalment of 1,000.00 due on 10 January, and what became of it."""
    return ledger_of(opened or loan("2025-01-01", [(DUE, 100_000)]), *events, rules=RULES)


def two(*events: LoanEvent) -> Loan:
    """A loan with instalments of 1,000.00 due on 10 January and on 10 February."""
    return one(*events, opened=loan("2025-01-01", [(DUE, 100_000), ("2025-02-10", 100_000)]))


def midnight(day: str) -> int:
    """The instant at which a local day begins."""
    return at(day, "00:00")


def found_at_midnight(held: Loan, day: str) -> Finding | None:
    """What the deadline at the beginning of `day` finds."""
    return judge(held, midnight(day), RULES, deadline=True)


def evidence(finding: Finding | None) -> dict[str, object]:
    """The numbers behind a finding."""
    assert finding is not None
    return dict(finding.reasons[0].evidence)


# ---- short by no more than the tolerance is paid -----------------------------------------------------------------


@pytest.mark.parametrize(("short_minor", "missed"), [(0, False), (99, False), (100, False), (101, True)])
def test_an_instalment_short_by_no_more_than_the_tolerance_is_paid(short_minor: int, *, missed: bool) -> None:
    """1.00 short is paid, 1.01 is not."""
    held = one(paid("2025-01-05", 100_000 - short_minor))

    assert (found_at_midnight(held, AFTER) is not None) == missed


def test_a_payment_after_one_short_by_the_tolerance_goes_to_the_next() -> None:
    """The missing 1.00 is never collected from what is paid later."""
    held = two(paid("2025-01-05", 99_900), paid("2025-02-05", 99_900))

    assert found_at_midnight(held, "2025-02-11") is None


def test_a_payment_after_one_short_by_more_goes_to_it_first() -> None:
    """The missing 1.01 is taken first, so that the next one is short by 1.01 in turn."""
    held = two(paid("2025-01-05", 99_899), paid("2025-01-20", 100_000))

    assert found_at_midnight(held, "2025-01-20") is not None
    assert found_at_midnight(held, "2025-01-21") is None
    assert evidence(found_at_midnight(held, "2025-02-11"))["overdue_minor"] == 101


def test_an_instalment_short_by_the_tolerance_is_passed_over_behind_an_unpaid_one_too() -> None:
    """The second was paid by name but for 1.00: what pays the first goes on to the third."""
    dues = [(DUE, 100_000), ("2025-02-10", 100_000), ("2025-03-10", 100_000)]
    held = one(
        paid("2025-01-05", 99_900, instalment_number=2),
        paid("2025-01-06", 199_900),
        opened=loan("2025-01-01", dues),
    )

    assert found_at_midnight(held, "2025-03-11") is None


def test_the_policy_sets_the_tolerance() -> None:
    """Without tolerance one minor unit short is missed."""
    strict = rules("[signals.missed_payment]\ntolerance_minor = 0")
    short, whole = (
        ledger_of(loan("2025-01-01", [(DUE, 100_000)]), paid("2025-01-05", amount), rules=strict)
        for amount in (99_999, 100_000)
    )

    assert judge(short, midnight(AFTER), strict, deadline=True) is not None
    assert judge(whole, midnight(AFTER), strict, deadline=True) is None


def test_an_instalment_of_nothing_is_never_missed() -> None:
    """Nothing to pay, nor a payment of nothing, is past due."""
    held = one(
        paid("2025-01-05", 0), opened=loan("2025-01-01", [(DUE, 0), ("2025-01-20", 100), ("2025-02-10", 101)])
    )

    assert found_at_midnight(held, "2025-02-10") is None
    assert evidence(found_at_midnight(held, "2025-02-11"))["overdue_minor"] == 101


# ---- when its due date has ended in the policy's time zone -------------------------------------------------------


def test_the_due_date_ends_at_local_midnight() -> None:
    """Until 23:59:59.999 nothing is missed; at midnight it is, one day past due."""
    held = one()

    assert judge(held, midnight(AFTER) - 1, RULES) is None
    assert evidence(judge(held, midnight(AFTER), RULES))["days_past_due"] == 1
    assert next_deadline_ms(held, at("2025-01-01"), RULES) == midnight(AFTER)


def test_a_payment_at_the_last_millisecond_is_in_time() -> None:
    """23:59:59.999 still belongs to the due date."""
    held = one(paid(DUE, 100_000, time="23:59:59.999"))

    assert found_at_midnight(held, AFTER) is None


def test_a_payment_at_the_midnight_that_ends_the_due_date_is_late() -> None:
    """The deadline finds the instalment missed; from that very instant on it is paid."""
    held = one(paid(AFTER, 100_000, time="00:00"))

    assert found_at_midnight(held, AFTER) is not None
    assert judge(held, midnight(AFTER), RULES) is None
    assert next_deadline_ms(held, at("2025-01-02"), RULES) == midnight(AFTER)


@pytest.mark.parametrize("zone", ["America/New_York", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia"])
def test_the_policy_sets_the_time_zone(zone: str) -> None:
    """The same instalment is missed at the midnight of the policy's own zone."""
    local_rules = rules(f'time_zone = "{zone}"')
    held = ledger_of(loan("2025-01-01", [(DUE, 100_000)]), rules=local_rules)
    expected_ms = round(datetime(2025, 1, 11, tzinfo=ZoneInfo(zone)).timestamp() * 1000)

    assert next_deadline_ms(held, at("2025-01-01"), local_rules) == expected_ms
    assert judge(held, expected_ms - 1, local_rules) is None
    assert judge(held, expected_ms, local_rules, deadline=True) is not None


def test_days_past_due_are_local_days_where_clocks_change() -> None:
    """The day that has 23 hours is a day past due like any other (Berlin, 30 March 2025)."""
    berlin = rules('time_zone = "Europe/Berlin"')
    held = ledger_of(loan("2025-01-01", [("2025-03-24", 100_000)]), rules=berlin)
    week_ms = round(datetime(2025, 3, 31, tzinfo=ZoneInfo("Europe/Berlin")).timestamp() * 1000)

    assert evidence(judge(held, week_ms, berlin))["days_past_due"] == 7
    assert evidence(judge(held, week_ms - 1, berlin))["days_past_due"] == 6


# ---- severity, grace, buckets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "severity"),
    [
        (0, None),
        (1, Severity.WATCH),
        (6, Severity.WATCH),
        (7, Severity.WARNING),
        (29, Severity.WARNING),
        (30, Severity.SERIOUS),
        (89, Severity.SERIOUS),
        (90, Severity.CRITICAL),
        (2000, Severity.CRITICAL),
    ],
)
def test_days_past_due_set_the_severity(days: int, severity: Severity | None) -> None:
    """Watch from 1 day, warning from 7, serious from 30, critical from 90, and one day less is not."""
    finding = judge(one(), midnight(DUE) + days * DAY_MS, RULES, deadline=True)

    assert (finding and finding.severity) == severity


def test_the_policy_sets_the_severities() -> None:
    """Below a later first step there is no finding, and the deadlines follow."""
    later = rules(
        "[signals.missed_payment]\nseverity = { watch = 3, warning = 5, serious = 9, critical = 20 }"
    )
    held = one()
    severities = [
        finding and finding.severity
        for days in (2, 3, 4, 5, 8, 9, 19, 20)
        for finding in [judge(held, midnight(DUE) + days * DAY_MS, later, deadline=True)]
    ]

    assert severities == [None, 1, 1, 2, 2, 3, 3, 4]
    assert {3, 5, 9, 20} <= {
        (deadline_ms - midnight(DUE)) // DAY_MS for deadline_ms in deadlines(held, later, 30)
    }


def deadlines(held: Loan, with_rules: Rules, days: int) -> list[int]:
    """All deadlines from the opening until so many days after 10 January."""
    found = [at("2025-01-01")]
    while (due_ms := next_deadline_ms(held, found[-1], with_rules)) is not None:
        if due_ms > midnight(DUE) + days * DAY_MS:
            break
        found.append(due_ms)
    return found[1:]


@pytest.mark.parametrize(
    ("days", "severity"), [(3, None), (4, Severity.WATCH), (6, Severity.WATCH), (7, Severity.WARNING)]
)
def test_the_alert_waits_for_the_grace_to_end(days: int, severity: Severity | None) -> None:
    """With three days of grace nothing is found on day 3; on day 4 it is four days past due."""
    lenient = rules("[signals.missed_payment]\ngrace_days = 3")
    finding = judge(one(), midnight(DUE) + days * DAY_MS, lenient, deadline=True)

    assert (finding and finding.severity) == severity
    assert finding is None or evidence(finding)["days_past_due"] == days
    assert next_deadline_ms(one(), at("2025-01-01"), lenient) == midnight("2025-01-14")


def test_a_long_grace_opens_with_the_severity_of_its_days_past_due() -> None:
    """Ten days of grace end in a warning at 11 days past due, at once."""
    lenient = rules("[signals.missed_payment]\ngrace_days = 10")
    opening_ms = midnight("2025-01-21")

    assert judge(one(), opening_ms - 1, lenient) is None
    opened = judge(one(), opening_ms, lenient, deadline=True)
    assert opened is not None
    assert (opened.severity, evidence(opened)["threshold"]) == (Severity.WARNING, 7)
    assert next_deadline_ms(one(), at("2025-01-01"), lenient) == opening_ms


@pytest.mark.parametrize(
    ("days", "days_past_due"),
    [(0, None), (45, None), (46, 1), (51, 6), (52, 7), (74, 29), (75, 30), (135, 90)],
)
def test_days_may_count_from_the_end_of_a_long_grace(days: int, days_past_due: int | None) -> None:
    """With 45 days of grace that belong to the due date, the 46th is the first day past due."""
    long_grace = rules("[signals.missed_payment]\ngrace_days = 45\ngrace_counts_from = 'grace_end'")
    at_ms = midnight(DUE) + days * DAY_MS
    finding = judge(one(), at_ms, long_grace, deadline=True)

    assert (None if finding is None else evidence(finding)["days_past_due"]) == days_past_due
    now = ledger.standing(one(), at_ms, long_grace, deadline=True)
    assert (now.days_past_due, now.overdue_minor > 0) == (days_past_due or 0, days_past_due is not None)
    assert now.outstanding_minor == 100_000


def test_the_end_of_a_long_grace_is_the_first_deadline() -> None:
    """Then severity and bucket change as many days after it as they would after the due date."""
    long_grace = rules("[signals.missed_payment]\ngrace_days = 30\ngrace_counts_from = 'grace_end'")

    assert [local(ms) for ms in deadlines(one(), long_grace, 61)] == [
        "2025-02-10 00:00",
        "2025-02-16 00:00",
        "2025-03-11 00:00",
        "2025-03-12 00:00",
    ]


def test_a_payment_within_a_long_grace_leaves_no_trace() -> None:
    """Neither days past due nor a worst to remember: within the grace it was in time."""
    long_grace = rules("[signals.missed_payment]\ngrace_days = 30\ngrace_counts_from = 'grace_end'")
    payment = paid("2025-02-09", 100_000, time="23:59:59.999")
    held = ledger_of(loan("2025-01-01", [(DUE, 100_000)]), payment, rules=long_grace)

    assert judge(held, midnight("2025-02-10"), long_grace, deadline=True) is None
    assert ledger.standing(held, midnight("2025-02-10"), long_grace).worst_days_past_due <= 0


@pytest.mark.parametrize(
    ("due", "missed_at"),
    [
        ("2025-01-10", "2025-01-11"),  # a Friday
        ("2025-01-11", "2025-01-14"),  # a Saturday: due on Monday
        ("2025-01-28", "2025-02-06"),  # the Spring Festival: due on Wednesday 5 February
        ("2025-02-08", "2025-02-09"),  # a Saturday that is worked
    ],
)
def test_due_dates_may_move_to_business_days(due: str, missed_at: str) -> None:
    """The deadline is the midnight that ends the next business day, and days count from that day."""
    moved = rules("[ledger]\ndue_on_business_days = true")
    held = ledger_of(loan("2025-01-01", [(due, 100_000)]), rules=moved)
    missed_ms = midnight(missed_at)

    assert next_deadline_ms(held, at("2025-01-02"), moved) == missed_ms
    assert judge(held, missed_ms - 1, moved) is None
    assert evidence(judge(held, missed_ms, moved, deadline=True))["days_past_due"] == 1
    assert next_deadline_ms(held, at("2025-01-02"), RULES) == midnight(due) + DAY_MS


def test_a_payment_within_the_grace_leaves_no_trace() -> None:
    """What is paid on the last day of grace was never missed."""
    lenient = rules("[signals.missed_payment]\ngrace_days = 3")
    held = one(paid("2025-01-13", 100_000, time="23:59:59.999"))

    assert judge(held, midnight("2025-01-14"), lenient, deadline=True) is None
    assert next_deadline_ms(held, at("2025-01-01"), lenient) is None


@pytest.mark.parametrize(
    ("days", "bucket"),
    [
        (1, "1-30"),
        (30, "1-30"),
        (31, "31-60"),
        (60, "31-60"),
        (61, "61-90"),
        (90, "61-90"),
        (91, "91-270"),
        (270, "91-270"),
        (271, "271-360"),
        (360, "271-360"),
        (361, ">360"),
        (5000, ">360"),
    ],
)
def test_buckets(days: int, bucket: str) -> None:
    """Each bucket begins the day after the last one's end, and the evidence names it."""
    assert bucket_of(days) == bucket
    assert evidence(judge(one(), midnight(DUE) + days * DAY_MS, RULES))["bucket"] == bucket


def test_each_step_of_severity_and_bucket_is_a_deadline() -> None:
    """1, 7, 30, 31, 61, 90, 91, 271 and 361 days past due, and never again."""
    steps = [(deadline_ms - midnight(DUE)) // DAY_MS for deadline_ms in deadlines(one(), RULES, 4000)]

    assert steps == [1, 7, 30, 31, 61, 90, 91, 271, 361]


# ---- oldest due first, named instalments, excess -----------------------------------------------------------------


def test_a_payment_pays_the_oldest_due_first() -> None:
    """Half of what is due pays the older instalment whole."""
    held = two(paid("2025-02-20", 100_000))
    finding = judge(held, midnight("2025-02-21"), RULES)

    assert evidence(finding) | {"days_past_due": 11, "oldest_due_date": "2025-02-10"} == evidence(finding)


def test_several_instalments_past_due_add_up_from_the_oldest() -> None:
    """Days count from the oldest; overdue is all that is short, partial payments taken off."""
    held = two(paid("2025-01-20", 30_000))
    finding = judge(held, midnight("2025-02-21"), RULES)

    assert evidence(finding) == {
        "days_past_due": 42,
        "overdue_minor": 170_000,
        "currency": "CNY",
        "threshold": 30,
        "oldest_due_date": "2025-01-10",
        "instalments_past_due": 2,
        "bucket": "31-60",
        "classification": "special_mention",
        "classification_pack": "cn-2023",
        "classification_rule": "days_past_due",
    }
    assert finding is not None
    assert finding.reasons[0].text.en == (
        "42 days past due: 1,700.00 CNY overdue since 2025-01-10 (threshold 30)."
    )
    assert finding.reasons[0].text.zh == "逾期 42 天：自 2025-01-10 起逾期 1,700.00 CNY（阈值 30 天）。"


def test_a_payment_that_names_an_instalment_pays_that_one() -> None:
    """The oldest stays past due while the named, later one is paid."""
    held = two(paid("2025-01-05", 100_000, instalment_number=2))

    assert evidence(found_at_midnight(held, AFTER))["instalments_past_due"] == 1
    assert evidence(found_at_midnight(held, "2025-02-11"))["instalments_past_due"] == 1


def test_what_is_left_of_a_named_payment_goes_to_the_oldest_due() -> None:
    """Of 1,500.00 for the second instalment, 500.00 pays the first."""
    held = two(paid("2025-01-05", 150_000, instalment_number=2))

    assert evidence(found_at_midnight(held, AFTER))["overdue_minor"] == 50_000


def test_a_payment_that_names_an_unknown_instalment_pays_the_oldest_due() -> None:
    """A number that no instalment has names nothing."""
    held = two(paid("2025-01-05", 100_000, instalment_number=99))

    assert found_at_midnight(held, AFTER) is None


def test_a_payment_that_names_a_paid_instalment_pays_the_oldest_due() -> None:
    """Nothing is left to pay of the named one, so that all of it goes on."""
    held = two(
        paid("2025-01-03", 100_000, instalment_number=1), paid("2025-01-05", 100_000, instalment_number=1)
    )

    assert found_at_midnight(held, "2025-02-11") is None


def test_overpaying_pays_the_next_instalments() -> None:
    """Both are paid in one go, before the first is due."""
    held = two(paid("2025-01-02", 200_000))

    assert found_at_midnight(held, "2025-02-11") is None
    assert next_deadline_ms(held, at("2025-01-02"), RULES) is None


def test_what_is_left_over_pays_instalments_billed_later() -> None:
    """A credit waits for the bills to come, oldest first, also one paid before anything was billed."""
    held = ledger_of(
        loan("2025-01-01", [], principal_minor=0),
        paid("2025-01-01", 130_000, time="11:00"),
        billed("2025-01-02", DUE, 100_000, number=1),
        billed("2025-01-12", "2025-02-10", 100_000, number=2),
        rules=RULES,
    )

    assert found_at_midnight(held, AFTER) is None
    assert evidence(found_at_midnight(held, "2025-02-11"))["overdue_minor"] == 70_000


# ---- cards: the minimum ------------------------------------------------------------------------------------------


def card(*events: LoanEvent) -> Loan:
    """A card: nothing is scheduled, everything is billed."""
    return ledger_of(loan("2025-01-01", [], principal_minor=0), *events, rules=RULES)


@pytest.mark.parametrize(("amount", "missed"), [(9_899, True), (9_900, False), (10_000, False)])
def test_days_past_due_of_a_card_are_judged_on_the_minimum(amount: int, *, missed: bool) -> None:
    """Whoever pays the minimum (but for the tolerance) has missed nothing, however much was billed."""
    held = card(
        billed("2025-01-02", DUE, 500_000, number=1, minimum_due_minor=10_000),
        paid("2025-01-05", amount),
    )

    assert (found_at_midnight(held, AFTER) is not None) == missed


def test_the_excess_over_a_minimum_never_carries_over() -> None:
    """Whoever pays ten minima in January owes February's all the same: the statement took account of it."""
    held = card(
        billed("2025-01-02", DUE, 500_000, number=1, minimum_due_minor=10_000),
        paid("2025-01-05", 100_000),
        billed("2025-02-02", "2025-02-10", 400_000, number=2, minimum_due_minor=10_000),
    )

    assert found_at_midnight(held, AFTER) is None
    assert evidence(found_at_midnight(held, "2025-02-11"))["overdue_minor"] == 10_000


def test_a_card_payment_pays_the_older_minimum_first() -> None:
    """Two minima past due: one payment of one minimum leaves the younger."""
    held = card(
        billed("2025-01-02", DUE, 500_000, number=1, minimum_due_minor=10_000),
        billed("2025-02-02", "2025-02-10", 500_000, number=2, minimum_due_minor=12_000),
        paid("2025-02-15", 10_000),
    )

    assert evidence(judge(held, midnight("2025-02-16"), RULES)) | {
        "days_past_due": 6,
        "overdue_minor": 12_000,
    } == evidence(judge(held, midnight("2025-02-16"), RULES))


def test_a_minimum_of_nothing_is_never_missed() -> None:
    """A statement that asks for nothing cannot be past due."""
    held = card(billed("2025-01-02", DUE, 500_000, number=1, minimum_due_minor=0))

    assert found_at_midnight(held, "2025-06-01") is None


# ---- bills -------------------------------------------------------------------------------------------------------


def test_a_bill_whose_due_date_has_passed_is_past_due_at_once() -> None:
    """It is judged as of the bill, days count from the due date."""
    held = card(billed("2025-01-20", DUE, 100_000, number=1))

    assert judge(held, at("2025-01-20", "08:59"), RULES) is None
    assert evidence(judge(held, at("2025-01-20", "09:00"), RULES))["days_past_due"] == 10


def test_billing_a_number_again_replaces_it_and_keeps_what_was_paid() -> None:
    """From the second bill on its amount and date count, less what the first was paid."""
    held = card(
        billed("2025-01-02", DUE, 100_000, number=1),
        paid("2025-01-05", 60_000),
        billed("2025-01-08", "2025-01-15", 120_000, number=1),
    )

    assert found_at_midnight(held, AFTER) is None
    assert evidence(found_at_midnight(held, "2025-01-16")) | {
        "overdue_minor": 60_000,
        "oldest_due_date": "2025-01-15",
    } == evidence(found_at_midnight(held, "2025-01-16"))


def test_a_bill_refines_the_instalment_of_its_number() -> None:
    """A loan with a schedule may bill its instalments too: each falls due once."""
    held = two(billed("2025-01-02", DUE, 110_000, number=1), paid("2025-01-05", 110_000))

    assert found_at_midnight(held, "2025-02-10") is None
    assert evidence(found_at_midnight(held, "2025-02-11"))["overdue_minor"] == 100_000


def test_a_bill_of_the_very_instant_of_the_opening_refines_the_schedule() -> None:
    """Loan (or new schedule) and first bill may carry one time: the bill wins, whether it asks for more or for less."""
    for amount in (80_000, 120_000):
        first_bill = billed("2025-01-01", DUE, amount, number=1)
        opened = loan("2025-01-01", [(DUE, 100_000)], event_time_ms=first_bill.event_time_ms)
        new_schedule = rescheduled("2025-01-01", [(DUE, 100_000)], time="09:00")

        assert evidence(found_at_midnight(one(first_bill, opened=opened), AFTER))["overdue_minor"] == amount
        assert evidence(found_at_midnight(one(new_schedule, first_bill), AFTER))["overdue_minor"] == amount
        assert evidence(found_at_midnight(one(first_bill, new_schedule), AFTER))["overdue_minor"] == amount


def test_billing_less_than_was_paid_leaves_a_credit() -> None:
    """What a corrected bill does not ask for pays the next one."""
    held = card(
        billed("2025-01-02", DUE, 100_000, number=1),
        paid("2025-01-05", 100_000),
        billed("2025-01-08", DUE, 70_000, number=1),
        billed("2025-01-20", "2025-02-10", 100_000, number=2),
    )

    assert evidence(found_at_midnight(held, "2025-02-11"))["overdue_minor"] == 70_000


def test_instalments_of_one_schedule_may_share_a_number() -> None:
    """A schedule without numbering of its own falls due in full."""
    opened = loan("2025-01-01", [(DUE, 100_000), ("2025-02-10", 100_000)])
    unnumbered = LoanOpened(
        **{field: getattr(opened, field) for field in opened.__struct_fields__ if field != "instalments"},
        instalments=tuple(
            type(line)(number=0, due_date=line.due_date, amount_minor=line.amount_minor)
            for line in opened.instalments
        ),
    )

    assert evidence(judge(one(opened=unnumbered), midnight("2025-02-11"), RULES))["overdue_minor"] == 200_000


# ---- reversals ---------------------------------------------------------------------------------------------------


def test_a_reversal_reopens_from_its_own_time_on() -> None:
    """Before the bounce the payment counted; from the bounce on the instalment is past due since its due date."""
    payment = paid("2025-01-05", 100_000)
    held = one(payment, bounced("2025-01-20", payment))

    assert judge(held, at("2025-01-20") - 1, RULES) is None
    assert evidence(judge(held, at("2025-01-20"), RULES))["days_past_due"] == 10


def test_a_reversal_before_the_due_date_is_missed_when_it_has_ended() -> None:
    """There is a deadline again."""
    payment = paid("2025-01-05", 100_000)
    held = one(payment, bounced("2025-01-07", payment))

    assert judge(held, midnight(AFTER) - 1, RULES) is None
    assert next_deadline_ms(held, at("2025-01-07"), RULES) == midnight(AFTER)


@pytest.mark.parametrize(("amount", "missed"), [(100, False), (101, True)])
def test_a_partial_reversal_reopens_what_it_takes(amount: int, *, missed: bool) -> None:
    """Up to the tolerance the instalment stays paid."""
    payment = paid("2025-01-05", 100_000)
    finding = judge(one(payment, bounced("2025-01-20", payment, amount)), at("2025-01-20"), RULES)

    assert (finding is not None) == missed
    assert finding is None or evidence(finding)["overdue_minor"] == amount


def test_partial_reversals_add_up_and_never_take_more_than_was_paid() -> None:
    """Three times half of a payment is the whole payment; other payments stay."""
    payment = paid("2025-01-05", 60_000)
    held = one(
        payment,
        paid("2025-01-06", 40_000),
        *(bounced(day, payment, 30_000) for day in ("2025-01-12", "2025-01-13", "2025-01-14")),
    )

    assert evidence(judge(held, at("2025-01-12"), RULES))["overdue_minor"] == 30_000
    assert evidence(judge(held, at("2025-01-20"), RULES))["overdue_minor"] == 60_000


def test_a_reversal_of_an_unknown_payment_is_refused() -> None:
    """It changes nothing until its payment is known, and then it counts."""
    payment = paid("2025-01-05", 100_000)
    reversal = bounced("2025-01-07", payment)
    held = one()

    assert not ledger.reverse(held, reversal, RULES)
    ledger.pay(held, payment, RULES)
    assert found_at_midnight(held, AFTER) is None
    assert ledger.reverse(held, reversal, RULES)
    assert found_at_midnight(held, AFTER) is not None


def test_a_payment_that_bounces_after_a_new_schedule_reopens_its_instalment() -> None:
    """The new schedule was agreed upon the belief that the instalment was paid: it does not contain it."""
    payment = paid("2025-01-05", 100_000)
    held = two(
        payment,
        rescheduled("2025-01-20", [("2025-06-10", 100_000)], first=2),
        bounced("2025-02-01", payment),
    )

    assert judge(held, at("2025-02-01") - 1, RULES) is None
    assert evidence(judge(held, at("2025-02-01"), RULES)) | {
        "days_past_due": 22,
        "overdue_minor": 100_000,
    } == evidence(judge(held, at("2025-02-01"), RULES))
    assert evidence(judge(held, at("2025-03-01"), RULES))["instalments_past_due"] == 1


def test_bounces_across_many_new_schedules_reopen_each_instalment() -> None:
    """Month for month all is paid, a plan is made on the belief that it holds, and it bounces: all of it is owed."""
    events: list[LoanEvent] = []
    for month in range(1, 13):
        payment = paid(f"2025-{month:02d}-05", month * 100_000)
        events += [
            payment,
            rescheduled(f"2025-{month:02d}-07", [(f"2025-{month:02d}-28", 100_000)], first=month + 1),
            bounced(f"2025-{month:02d}-09", payment),
        ]
    held = ledger_of(loan("2025-01-01", [(DUE, 100_000)]), *events, rules=RULES)

    assert evidence(judge(held, at("2026-01-01"), RULES))["instalments_past_due"] == 13


# ---- new schedules -----------------------------------------------------------------------------------------------

AGREED: list[ScheduleReason] = ["extension", "hardship", "restructure", "other"]


@pytest.mark.parametrize("reason", AGREED)
def test_a_new_schedule_counts_from_its_own_dates(reason: ScheduleReason) -> None:
    """What was unpaid is past due no more; what the new schedule asks for is, when its own date has ended."""
    held = two(rescheduled("2025-01-20", [("2025-03-10", 120_000)], reason=reason))

    assert evidence(judge(held, at("2025-01-20") - 1, RULES))["days_past_due"] == 10
    assert judge(held, at("2025-01-20"), RULES) is None
    assert found_at_midnight(held, "2025-02-11") is None
    assert evidence(found_at_midnight(held, "2025-03-11"))["overdue_minor"] == 120_000
    assert next_deadline_ms(held, at("2025-01-20"), RULES) == midnight("2025-03-11")


@pytest.mark.parametrize("reason", AGREED)
def test_a_new_schedule_leaves_paid_instalments_as_they_are(reason: ScheduleReason) -> None:
    """Also where it counts its own instalments from 1 again: what the old first was paid is not the new first's."""
    held = two(
        paid("2025-01-05", 100_000),
        rescheduled("2025-01-20", [("2025-03-10", 100_000)], first=1, reason=reason),
    )

    assert evidence(found_at_midnight(held, "2025-03-11"))["overdue_minor"] == 100_000


@pytest.mark.parametrize("reason", AGREED)
def test_the_worst_days_past_due_are_kept_and_the_loan_is_marked_for_a_year(reason: ScheduleReason) -> None:
    """The mark stands beside the finding for 365 days from the new schedule on, to the millisecond."""
    held = two(rescheduled("2025-01-20", [("2025-01-25", 100_000)], reason=reason))
    last_ms = at("2025-01-20") + 365 * DAY_MS - 1
    marked = judge(held, last_ms, RULES)
    unmarked = judge(held, last_ms + 1, RULES)

    assert marked is not None
    assert unmarked is not None
    assert [reason.code for reason in marked.reasons] == ["MP-DPD", "MP-RESTRUCTURED"]
    assert [reason.code for reason in unmarked.reasons] == ["MP-DPD"]
    assert ledger.standing(held, at("2025-01-25"), RULES).worst_days_past_due == 10
    assert judge(held, at("2025-01-26"), RULES) is not None
    assert evidence(judge(held, at("2025-01-26"), RULES))["days_past_due"] == 1


def test_the_marked_reason_tells_the_worst_before() -> None:
    """A risk officer reads how bad it had been."""
    held = two(rescheduled("2025-01-20", [("2025-01-25", 100_000)]))
    finding = judge(held, at("2025-01-26"), RULES)

    assert finding is not None
    assert finding.reasons[1].evidence == {"worst_days_past_due": 10}
    assert "10 days past due at worst" in finding.reasons[1].text.en


def test_a_new_schedule_without_instalments_leaves_nothing_due() -> None:
    """A holiday without a plan: nothing falls due until something is billed."""
    held = two(rescheduled("2025-01-20", []), billed("2025-05-01", "2025-05-10", 50_000, number=3))

    assert judge(held, at("2025-01-20"), RULES) is None
    assert found_at_midnight(held, "2025-05-10") is None
    assert evidence(found_at_midnight(held, "2025-05-11"))["overdue_minor"] == 50_000


def test_of_two_new_schedules_of_one_instant_the_later_to_arrive_holds() -> None:
    """Systems that know days only may send a plan and its replacement with one time."""
    held = two(
        rescheduled("2025-01-20", [("2025-03-10", 120_000)]),
        rescheduled("2025-01-20", [("2025-04-10", 90_000)]),
    )

    assert evidence(judge(held, midnight("2025-05-01"), RULES))["overdue_minor"] == 90_000


def test_a_second_new_schedule_replaces_the_first() -> None:
    """Each counts from its own time on, also as of the time between."""
    held = two(
        rescheduled("2025-01-20", [("2025-02-01", 120_000)]),
        rescheduled("2025-02-20", [("2025-04-10", 90_000)]),
    )

    assert evidence(found_at_midnight(held, "2025-02-20"))["overdue_minor"] == 120_000
    assert found_at_midnight(held, "2025-04-10") is None
    assert evidence(found_at_midnight(held, "2025-04-11"))["overdue_minor"] == 90_000


def test_a_correction_rewrites_the_past() -> None:
    """The wrong due date was never past due; the loan is not marked restructured."""
    held = two(
        rescheduled("2025-01-20", [("2025-01-25", 100_000), ("2025-02-10", 100_000)], reason="correction")
    )
    finding = found_at_midnight(held, "2025-01-26")

    assert found_at_midnight(held, AFTER) is None
    assert judge(held, at("2025-01-20") - 1, RULES) is None
    assert evidence(finding)["days_past_due"] == 1
    assert finding is not None
    assert [reason.code for reason in finding.reasons] == ["MP-DPD"]


def test_a_correction_leaves_paid_instalments_and_what_they_were_paid() -> None:
    """Only what is unpaid is replaced."""
    held = two(
        paid("2025-01-05", 100_000),
        rescheduled("2025-01-20", [("2025-02-20", 90_000)], first=2, reason="correction"),
    )

    assert found_at_midnight(held, "2025-02-20") is None
    assert evidence(found_at_midnight(held, "2025-02-21"))["overdue_minor"] == 90_000


def test_a_correction_that_names_a_paid_instalment_replaces_it_too() -> None:
    """It is the same instalment, with the right date: it does not fall due twice."""
    held = two(
        paid("2025-01-05", 100_000),
        rescheduled("2025-01-20", [("2025-01-08", 100_000), ("2025-02-08", 100_000)], reason="correction"),
    )

    assert found_at_midnight(held, "2025-02-08") is None
    assert evidence(found_at_midnight(held, "2025-02-09"))["overdue_minor"] == 100_000


def test_what_a_corrected_instalment_was_paid_pays_the_right_one() -> None:
    """Payments are spread again over the corrected schedule."""
    held = two(
        paid("2025-01-05", 60_000), rescheduled("2025-01-20", [("2025-01-15", 90_000)], reason="correction")
    )

    assert evidence(found_at_midnight(held, "2025-01-16"))["overdue_minor"] == 30_000


def test_a_correction_of_a_new_schedule_keeps_the_new_schedule_new() -> None:
    """It rewrites the past from that new schedule on; before it the first schedule stands."""
    held = two(
        rescheduled("2025-01-20", [("2025-02-01", 100_000)]),
        rescheduled("2025-02-05", [("2025-03-01", 100_000)], reason="correction"),
    )

    assert evidence(found_at_midnight(held, "2025-01-20"))["days_past_due"] == 10
    assert found_at_midnight(held, "2025-02-02") is None
    assert evidence(found_at_midnight(held, "2025-03-02"))["days_past_due"] == 1


def test_a_corrected_bill_does_not_bring_back_the_one_it_had_replaced() -> None:
    """Billed, billed again, corrected: only the correction is due."""
    held = card(
        billed("2025-01-02", DUE, 100_000, number=1),
        billed("2025-01-08", "2025-01-15", 120_000, number=1),
        rescheduled("2025-01-09", [("2025-01-20", 110_000)], reason="correction"),
    )

    assert found_at_midnight(held, "2025-01-20") is None
    assert evidence(found_at_midnight(held, "2025-01-21"))["overdue_minor"] == 110_000


# ---- how it comes right ------------------------------------------------------------------------------------------


def test_paying_up_resolves() -> None:
    """The last payment, not the first, ends it; it is paid."""
    held = one(paid("2025-01-20", 50_000), paid("2025-01-25", 50_000))

    assert evidence(judge(held, at("2025-01-20"), RULES))["overdue_minor"] == 50_000
    assert judge(held, at("2025-01-25"), RULES) is None
    assert resolution(held, midnight(AFTER), at("2025-01-25"), RULES) == "paid"


@pytest.mark.parametrize(
    ("payer", "expected"),
    [
        ("guarantor", "compensated"),
        ("insurer", "compensated"),
        ("lender", "compensated"),
        ("co_borrower", "paid"),
        ("borrower", "paid"),
        ("other", "paid"),
        (None, "paid"),
    ],
)
def test_paid_by_guarantor_insurer_or_lender_is_compensated(payer: Payer | None, expected: str) -> None:
    """It is past due no more, and not cured."""
    held = one(paid("2025-01-20", 100_000, payer=payer))

    assert judge(held, at("2025-01-20"), RULES) is None
    assert resolution(held, midnight(AFTER), at("2025-01-20"), RULES) == expected


def test_a_compensation_at_the_very_midnight_of_the_opening_is_this_ones() -> None:
    """The deadline opens, the guarantor's payment of the same instant resolves."""
    held = one(paid(AFTER, 100_000, time="00:00", payer="guarantor"))

    assert resolution(held, midnight(AFTER), midnight(AFTER), RULES) == "compensated"


def test_a_compensation_that_bounced_is_none() -> None:
    """The guarantor's payment bounced, the borrower's own paid."""
    guaranteed = paid("2025-01-20", 50_000, payer="guarantor")
    held = one(guaranteed, bounced("2025-01-22", guaranteed), paid("2025-01-25", 100_000))

    assert resolution(held, midnight(AFTER), at("2025-01-25"), RULES) == "paid"


def test_a_compensation_of_an_earlier_episode_is_not_this_ones() -> None:
    """What a guarantor paid before the alert opened does not make the borrower's own payment a compensation."""
    held = two(paid("2025-01-20", 100_000, payer="guarantor"), paid("2025-02-20", 100_000))

    assert resolution(held, midnight("2025-02-11"), at("2025-02-20"), RULES) == "paid"


def test_a_new_schedule_resolves_as_rescheduled() -> None:
    """Unless something was paid after it."""
    held = one(rescheduled("2025-01-20", [("2025-03-10", 100_000)]))

    assert resolution(held, midnight(AFTER), at("2025-01-20"), RULES) == "rescheduled"
    enter(held, [paid("2025-03-20", 100_000)], RULES)
    assert resolution(held, midnight(AFTER), at("2025-01-20"), RULES) == "rescheduled"
    assert resolution(held, midnight("2025-03-11"), at("2025-03-20"), RULES) == "paid"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("settled", "paid"),
        ("refinanced", "rescheduled"),
        ("compensated", "compensated"),
        ("written_off", "written_off"),
        ("sold", "sold"),
        ("cancelled", "cancelled"),
        ("deceased", "cancelled"),
        ("other", "cancelled"),
    ],
)
def test_the_end_of_a_loan_resolves_by_its_reason(reason: ClosingReason, expected: str) -> None:
    """From its time on nothing is due; as of the millisecond before it was."""
    held = one(ended("2025-01-20", reason))

    assert judge(held, at("2025-01-20") - 1, RULES) is not None
    assert judge(held, at("2025-01-20"), RULES) is None
    assert resolution(held, midnight(AFTER), at("2025-01-20"), RULES) == expected
    assert next_deadline_ms(held, at("2025-01-20"), RULES) is None


def test_a_loan_settled_with_a_guarantors_money_is_compensated() -> None:
    """The closing that follows the guarantor's payment does not turn it into the borrower's own."""
    in_part = paid("2025-01-20", 90_000, payer="guarantor")
    settled, sold = one(in_part, ended("2025-01-20", "settled")), one(in_part, ended("2025-01-20", "sold"))

    assert resolution(settled, midnight(AFTER), at("2025-01-20"), RULES) == "compensated"
    assert resolution(sold, midnight(AFTER), at("2025-01-20"), RULES) == "sold"


def test_a_loan_that_ends_before_its_due_date_ends_is_not_missed() -> None:
    """Also at the last millisecond; at the midnight itself it is too late."""
    in_time = one(ended(DUE, time="23:59:59.999"))
    too_late = one(ended(AFTER, time="00:00"))

    assert found_at_midnight(in_time, AFTER) is None
    assert found_at_midnight(too_late, AFTER) is not None


# ---- deadlines and what is already known -------------------------------------------------------------------------


def test_a_deadline_stands_although_a_later_payment_is_known() -> None:
    """A payment half an hour after midnight does not make the midnight pointless."""
    held = one(paid(AFTER, 100_000, time="00:30"))

    assert next_deadline_ms(held, at("2025-01-02"), RULES) == midnight(AFTER)
    assert next_deadline_ms(held, midnight(AFTER), RULES) is None


def test_a_deadline_falls_although_a_later_bounce_is_known() -> None:
    """As of the due date the instalment was paid; the steps go on from the bounce."""
    payment = paid("2025-01-05", 100_000)
    held = one(payment, bounced("2025-01-20", payment))

    assert next_deadline_ms(held, at("2025-01-06"), RULES) == midnight("2025-02-09")


@given(loan_logs())
def test_time_alone_changes_severity_and_bucket_at_announced_deadlines_only(
    log: tuple[LoanOpened, list[LoanEvent]],
) -> None:
    """From each midnight to its day's last millisecond and on, judgements differ at entries and deadlines only."""
    opened, events = log
    held = ledger_of(opened, *events, rules=RULES)
    first_ms = midnight("2025-01-02")
    instants_ms = [
        first_ms + day * DAY_MS + within_ms for day in range(230) for within_ms in (0, 1, DAY_MS - 1)
    ]
    for before_ms, at_ms in pairwise(instants_ms):
        if shown(judge(held, before_ms, RULES)) != shown(judge(held, at_ms, RULES)):
            causes_ms = (next_entry_ms(held, before_ms), next_deadline_ms(held, before_ms, RULES))
            assert any(ms is not None and ms <= at_ms for ms in causes_ms), local(at_ms)


@given(loan_logs())
def test_a_deadline_is_a_change_of_severity_or_bucket(log: tuple[LoanOpened, list[LoanEvent]]) -> None:
    """Each is a local midnight after the instant asked for, and at each the finding differs from just before."""
    opened, events = log
    held = ledger_of(opened, *events, rules=RULES)
    after_ms = opened.event_time_ms
    while (deadline_ms := next_deadline_ms(held, after_ms, RULES)) is not None:
        assert deadline_ms > after_ms
        assert deadline_ms == RULES.calendar.midnight_ms(RULES.calendar.day_of(deadline_ms))
        assert shown(judge(held, deadline_ms - 1, RULES)) != shown(
            judge(held, deadline_ms, RULES, deadline=True)
        )
        after_ms = deadline_ms


@given(loan_logs_in_order(), st.integers(min_value=0, max_value=200))
def test_a_deadline_judged_late_is_judged_as_if_in_time(
    log: tuple[LoanOpened, list[LoanEvent]], day: int
) -> None:
    """What happens after a midnight changes neither what that midnight finds nor that it was announced."""
    opened, events = log
    deadline_ms = midnight("2025-01-01") + day * DAY_MS
    known = [event for event in events if event.event_time_ms < deadline_ms]
    in_time = ledger_of(opened, *known, rules=RULES)
    late = ledger_of(opened, *events, rules=RULES)
    before_ms = max([opened.event_time_ms, *(event.event_time_ms for event in known)])

    assert judge(in_time, deadline_ms, RULES, deadline=True) == judge(late, deadline_ms, RULES, deadline=True)
    if (
        announced_ms := next_deadline_ms(in_time, before_ms, RULES)
    ) is not None and announced_ms <= deadline_ms:
        assert next_deadline_ms(late, before_ms, RULES) == announced_ms


def shown(finding: Finding | None) -> tuple[Severity, object] | None:
    """What an alert would say of severity and bucket."""
    return None if finding is None else (finding.severity, finding.reasons[0].evidence["bucket"])


# ---- through the engine ------------------------------------------------------------------------------------------


def test_the_story_of_a_missed_and_paid_instalment() -> None:
    """Opened at the midnight, escalated a week after, paid."""
    alerts = run(
        [loan("2025-01-01", [(DUE, 100_000)]), paid("2025-01-18", 100_000)],
        until="2025-01-20",
    )

    assert story(alerts) == [
        "2025-01-11 00:00 missed_payment opened watch",
        "2025-01-17 00:00 missed_payment escalated warning",
        "2025-01-18 12:00 missed_payment resolved warning paid",
    ]


def test_a_payment_made_in_time_but_learnt_late_retracts() -> None:
    """The alert was right on what was known, and is taken back."""
    alerts = run(
        [
            loan("2025-01-01", [(DUE, 100_000)]),
            paid("2025-01-12", 1),
            paid("2025-01-10", 100_000, ingested_at_ms=at("2025-01-12", "13:00")),
        ],
        until="2025-01-20",
    )

    assert story(alerts)[0] == "2025-01-11 00:00 missed_payment opened watch"
    assert [alert.status for alert in alerts][-1] == "retracted"


def test_a_correction_that_rewrites_the_past_retracts() -> None:
    """An alert upon a wrong schedule never should have been."""
    alerts = run(
        [
            loan("2025-01-01", [(DUE, 100_000)]),
            rescheduled("2025-01-12", [("2025-01-25", 100_000)], reason="correction"),
        ],
        until="2025-01-20",
    )

    assert [alert.status for alert in alerts] == ["opened", "retracted"]
