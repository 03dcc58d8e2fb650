"""The signal on both sides of its thresholds, what is no flight, how it ends, and the laws of its evidence."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Finding, Severity
from models.calendars import DAY_MS, HOUR_MS, date_of_day
from models.events import FUND_FLOWS, Event, EventVoided, FundFlow, LoanOpened, Repayment
from models.ledger import close
from models.obligations import oldest_past_due_day
from models.outflows import (
    LATE_DAYS,
    TRACKS_MAX,
    TRANSFERS_MAX,
    OutflowEvidence,
    new_transfers,
    record_flow,
    void,
)
from models.recent_ids import fingerprint_of
from models.rules import Rules
from models.signals.asset_flight import is_watched, judge, next_deadline_ms, resolution
from tests.support.events import (
    at,
    end_of,
    ended,
    engine,
    event_id,
    feed_of,
    flow,
    loan,
    paid,
    rules,
    run,
    story,
)
from tests.support.means import (
    balances_of,
    by_time,
    day_number,
    days_before,
    every_day,
    loans_of,
    one_loan,
    told,
)

RULES = rules()
DUE = "2025-06-10"
"""Past due from the eleventh on."""
NOW_MS = at("2025-06-15")
LONG_AGO_MS = at("2024-06-01")
RICH = every_day("2025-05-01", "2025-06-13", 1_000_000)
"""10,000.00 on one account, day by day."""


def sent(
    when: str, amount_minor: int, to: str | None = "cousin", time: str = "12:00", **fields: Any
) -> FundFlow:
    """A transfer to somebody; what the account holds after it is not told."""
    values: dict[str, Any] = {"event_time_ms": at(when, time), "counterparty_kind": "other"} | fields
    return flow(when, amount_minor, values.pop("category", None), "out", counterparty_id=to, **values)


def outflows_of(*flows: FundFlow, own_rules: Rules = RULES) -> OutflowEvidence:
    """Transfers in the order given."""
    evidence = OutflowEvidence()
    for one in flows:
        record_flow(evidence, one, own_rules)
    return evidence


def found(
    *flows: FundFlow,
    seen: list[FundFlow] | None = None,
    now_ms: int = NOW_MS,
    opened: Severity | None = None,
    owed: list[LoanOpened | Repayment] | None = None,
    first_flow_ms: int | None = LONG_AGO_MS,
    own_rules: Rules = RULES,
    deadline: bool = False,
) -> Finding | None:
    """Judge a borrower five days past due who had 10,000.00."""
    return judge(
        loans_of(*(owed or [one_loan(DUE)])),
        outflows_of(*flows, own_rules=own_rules),
        balances_of(*(RICH if seen is None else seen)),
        first_flow_ms,
        now_ms,
        opened,
        own_rules,
        deadline=deadline,
    )


def severity_of(finding: Finding | None) -> Severity | None:
    """The severity alone."""
    return None if finding is None else finding.severity


# ---- to new receivers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount_minor", "severity"),
    [
        (299_999, None),
        (300_000, Severity.WATCH),
        (499_999, Severity.WATCH),
        (500_000, Severity.WARNING),
        (799_999, Severity.WARNING),
        (800_000, Severity.SERIOUS),
        (2_000_000, Severity.SERIOUS),
    ],
)
def test_the_fraction_sets_the_severity(amount_minor: int, severity: Severity | None) -> None:
    """Three tenths of what was there is watch, half warning, eight tenths serious."""
    assert severity_of(found(sent("2025-06-14", amount_minor))) == severity


@pytest.mark.parametrize(
    ("amount_minor", "opened", "severity"),
    [
        (250_000, Severity.WATCH, Severity.WATCH),
        (249_999, Severity.WATCH, None),
        (450_000, Severity.WARNING, Severity.WARNING),
        (449_999, Severity.WARNING, Severity.WATCH),
        (450_000, Severity.WATCH, Severity.WATCH),
        (750_000, Severity.SERIOUS, Severity.SERIOUS),
        (749_999, Severity.SERIOUS, Severity.WARNING),
        (250_000, None, None),
    ],
)
def test_an_open_alert_eases_later_than_it_rose(
    amount_minor: int, opened: Severity | None, severity: Severity | None
) -> None:
    """A severity holds until the fraction is five points below its threshold."""
    assert severity_of(found(sent("2025-06-14", amount_minor), opened=opened)) == severity


@pytest.mark.parametrize(("amount_minor", "is_found"), [(199_999, False), (200_000, True)])
def test_small_money_is_no_flight(amount_minor: int, is_found: bool) -> None:
    """Below 2,000.00 it is nothing, be it all that there was."""
    seen = every_day("2025-05-01", "2025-06-13", 210_000)
    assert (found(sent("2025-06-14", amount_minor), seen=seen) is not None) == is_found


def test_transfers_add_up_from_500_on() -> None:
    """Four of 750.00 are 3,000.00; smaller ones are daily life."""
    days = ("2025-06-11", "2025-06-12", "2025-06-13", "2025-06-14")
    assert severity_of(found(*(sent(day, 75_000) for day in days))) == Severity.WATCH
    assert found(*(sent(day, 49_999, time=f"{hour}:00") for day in days for hour in range(10, 20))) is None
    exact = [sent(day, 50_000, time=f"{hour}:00") for day in days for hour in (10, 12)]
    assert severity_of(found(*exact)) == Severity.WATCH


def test_only_while_past_due() -> None:
    """Money that went the day before is spent, not hidden; from the first midnight past due on it counts."""
    assert found(sent("2025-06-10", 900_000, time="23:59")) is None
    assert found(sent("2025-06-11", 900_000, time="00:00")) is not None
    assert found(sent("2025-06-14", 900_000), owed=[one_loan("2025-06-15")]) is None
    assert found(sent("2025-06-14", 900_000), owed=[one_loan(DUE), paid("2025-06-14", 100_000)]) is None


@pytest.mark.parametrize(("days", "is_found"), [(4, True), (5, True), (6, False)])
def test_the_policy_says_how_long_past_due(days: int, is_found: bool) -> None:
    """Five days past due on the fifteenth."""
    own = rules(f"[signals.asset_flight]\ndays_past_due_min = {days}")
    assert is_watched(loans_of(one_loan(DUE)), NOW_MS, own) == is_found
    flows = [sent("2025-06-15", 900_000, time="00:00")]
    assert (found(*flows, own_rules=own) is not None) == is_found


def test_the_window_is_seven_days_to_the_millisecond() -> None:
    """A receiver counts until seven days after the first transfer."""
    transfer = sent("2025-06-11", 900_000)
    until_ms = at("2025-06-18")
    assert found(transfer, now_ms=until_ms - 1) is not None
    assert found(transfer, now_ms=until_ms) is None
    assert found(transfer, now_ms=at("2025-06-11") - 1) is None


def test_a_known_receiver_is_no_flight() -> None:
    """Who was paid within 180 days is known, by transfers large enough to be remembered."""
    last = sent("2025-06-14", 900_000)
    assert found(sent(days_before("2025-06-14", 179), 60_000), last) is None
    assert found(sent(days_before("2025-06-14", 180), 60_000), last) is not None
    assert found(sent(days_before("2025-06-14", 20), 40_000), last) is not None
    assert found(sent(days_before("2025-06-14", 20), 60_000, to="aunt"), last) is not None


@pytest.mark.parametrize(("days", "is_found"), [(89, False), (90, True)])
def test_flows_must_be_known_for_long_enough(days: int, is_found: bool) -> None:
    """Ninety days before the transfer, or nobody can tell new from old."""
    first_flow_ms = at("2025-06-14") - days * DAY_MS
    assert (found(sent("2025-06-14", 900_000), first_flow_ms=first_flow_ms) is not None) == is_found
    assert found(sent("2025-06-14", 900_000), first_flow_ms=None) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"category": "rent"},
        {"category": "loan_repayment"},
        {"category": "own_transfer"},
        {"category": "living"},
        {"category": "shopping"},
        {"category": "fee"},
        {"category": "cash"},
        {"counterparty_kind": "self"},
        {"counterparty_kind": "lender"},
        {"counterparty_kind": "merchant"},
        {"counterparty_kind": "government"},
        {"counterparty_kind": "employer"},
        {"counterparty_kind": "aggregator"},
        {"loan_id": "l-1"},
        {"to": None},
        {"direction": "in"},
        {"currency": "USD"},
    ],
    ids=str,
)
def test_what_is_no_transfer(fields: dict[str, Any]) -> None:
    """Debts, the roof, own accounts, consumption, and where money belongs."""
    transfer = sent("2025-06-14", 900_000, fields.pop("to", "cousin"))
    assert found(msgspec.structs.replace(transfer, **fields)) is None


@pytest.mark.parametrize("category", [None, "other", "securities", "property", "gambling"])
@pytest.mark.parametrize("kind", [None, "other", "linked"])
def test_what_is_a_transfer(category: str | None, kind: str | None) -> None:
    """To people, and into what wealth hides in."""
    assert found(sent("2025-06-14", 900_000, category=category, counterparty_kind=kind)) is not None


def test_what_was_there_is_the_most_that_was_seen() -> None:
    """All accounts at the midnight before the first, or the account before the transfer, where pay had come meanwhile."""
    other = every_day("2025-05-01", "2025-06-13", 2_000_000, account_id="b")
    assert found(sent("2025-06-14", 800_000), seen=[*RICH, *other]) is None
    rich = sent("2025-06-14", 800_000, balance_after_minor=2_200_000)
    assert found(rich) is None
    assert severity_of(found(sent("2025-06-14", 800_000, balance_after_minor=200_000))) == Severity.SERIOUS


def test_without_balances_nobody_can_tell() -> None:
    """What was there is not known."""
    assert found(sent("2025-06-14", 900_000), seen=[]) is None
    assert found(sent("2025-06-14", 900_000), seen=[told("2025-06-13", 0)]) is None


def test_receivers_beyond_the_limit_are_not_taken_for_new() -> None:
    """Whoever may be one that was given up is no suspicion."""
    crowd = [
        sent(days_before("2025-06-10", 60), 60_000, f"p{n}", event_time_ms=at("2025-04-01") + n)
        for n in range(TRACKS_MAX + 1)
    ]
    assert found(*crowd[:-2], sent("2025-06-14", 900_000)) is not None
    assert found(*crowd, sent("2025-06-14", 900_000)) is None
    assert outflows_of(*crowd).forgotten_ms == at("2025-04-01")


# ---- drained ---------------------------------------------------------------------------------------------------------


def falling(left_minor: int, first: str = "2025-04-20", **fields: Any) -> list[FundFlow]:
    """10,000.00 until the thirteenth, and then what is left."""
    return [*every_day(first, "2025-06-13", 1_000_000), told("2025-06-14", left_minor, **fields)]


@pytest.mark.parametrize(
    ("left_minor", "severity"),
    [
        (200_001, None),
        (200_000, Severity.WATCH),
        (100_001, Severity.WATCH),
        (100_000, Severity.WARNING),
        (30_001, Severity.WARNING),
        (30_000, Severity.SERIOUS),
        (-5_000, Severity.SERIOUS),
    ],
)
def test_drained_accounts_are_found_by_what_is_left(left_minor: int, severity: Severity | None) -> None:
    """Eight tenths gone within seven days is watch, nine tenths warning, all but nothing serious."""
    assert severity_of(found(seen=falling(left_minor))) == severity


def test_paying_debts_rent_and_oneself_drains_nothing() -> None:
    """What left for them is taken off; the rest counts."""
    excused: list[dict[str, Any]] = [
        {"category": "loan_repayment"},
        {"category": "rent"},
        {"category": "own_transfer"},
        {"counterparty_kind": "self"},
        {"counterparty_kind": "lender"},
        {"loan_id": "l-1"},
    ]
    for fields in excused:
        assert found(seen=falling(0, amount_minor=200_001, **fields)) is None
        assert found(seen=falling(0, amount_minor=200_000, **fields)) is not None


def test_it_must_be_within_seven_days_and_past_due() -> None:
    """Since the highest midnight past due; the eighth day ends it."""
    seen = falling(0)
    assert found(seen=seen, now_ms=at("2025-06-14", "23:00")) is None
    assert found(seen=seen, now_ms=at("2025-06-21", "00:00")) is not None
    assert found(seen=seen, now_ms=at("2025-06-22", "00:00")) is None
    assert found(seen=seen, owed=[one_loan("2025-06-13")]) is not None
    assert found(seen=seen, owed=[one_loan("2025-06-14")]) is None


def test_an_account_that_is_usually_empty_is_not_drained() -> None:
    """Who lives from pay to pay had as little within the month before; half as much again is unusual."""
    for lowest_minor, is_found in ((200, False), (201, True)):
        low = told("2025-05-20", lowest_minor, "23:00")
        assert (found(seen=[*falling(100), low]) is not None) == is_found


@pytest.mark.parametrize(("first", "is_found"), [("2025-05-12", True), ("2025-05-13", False)])
def test_the_month_before_must_be_known(first: str, is_found: bool) -> None:
    """Without it nobody knows what is usual."""
    assert (found(seen=falling(0, first)) is not None) == is_found


def test_both_are_told_the_worse_first() -> None:
    """Two reasons in one alert."""
    finding = found(sent("2025-06-14", 600_000), seen=falling(0))
    assert finding is not None
    assert finding.severity == Severity.SERIOUS
    assert [reason.code for reason in finding.reasons] == ["AF-DRAINED", "AF-NEW-RECEIVERS"]


# ---- reasons ---------------------------------------------------------------------------------------------------------


def test_the_reasons_can_be_checked_line_by_line() -> None:
    """The evidence holds the very numbers compared, and both texts say the same."""
    finding = found(sent("2025-06-13", 300_000), sent("2025-06-14", 250_000, "aunt"), seen=falling(150_000))
    assert finding is not None
    drained, received = sorted(finding.reasons, key=lambda reason: reason.code)
    assert received.evidence == {
        "gone_fraction": 0.55,
        "threshold": 0.5,
        "gone_minor": 550_000,
        "there_minor": 1_000_000,
        "amount_minor_min": 200_000,
        "currency": "CNY",
        "since_date": "2025-06-13",
        "receivers": 2,
        "window_days": 7,
    }
    assert received.text.en == (
        "While past due, 5,500.00 CNY went to 2 new receivers since 2025-06-13: 55 % of the 10,000.00 CNY that were "
        "there (this severity holds from 50 %)."
    )
    assert received.text.zh == (
        "逾期期间，自 2025-06-13 起向 2 个新收款方转出 5,500.00 CNY：占当时 10,000.00 CNY 的 55 %（达到 50 % 即为此级别）。"
    )
    assert drained.text.en == (
        "While past due, 8,500.00 CNY of 10,000.00 CNY have gone since 2025-06-14, beside debts, rent and own "
        "accounts: 85 % (this severity holds from 80 %)."
    )
    assert drained.text.zh == (
        "逾期期间，自 2025-06-14 起 10,000.00 CNY 中已流出 8,500.00 CNY（不含还债、房租与本人账户）：85 %"
        "（达到 80 % 即为此级别）。"
    )
    one = found(sent("2025-06-14", 900_000))
    assert one is not None
    assert "went to 1 new receiver since" in one.reasons[0].text.en


# ---- the life of an alert --------------------------------------------------------------------------------------------


def lines_of(*events: Event, until: str = "2025-06-25") -> list[str]:
    """The alerts of this signal."""
    return [line for line in story(run(by_time(events), until=until)) if "asset_flight" in line]


KNOWN: list[Event] = [one_loan(DUE), sent("2025-01-01", 60_000, "landlord"), *RICH]


def test_a_transfer_opens_at_once_and_passes_with_the_window() -> None:
    """A person must decide where it is serious."""
    alerts = run(by_time([*KNOWN, sent("2025-06-14", 900_000)]), until="2025-06-25")
    assert [line for line in story(alerts) if "asset" in line] == [
        "2025-06-14 12:00 asset_flight opened serious",
        "2025-06-21 12:00 asset_flight resolved serious passed",
    ]
    opened = next(alert for alert in alerts if alert.signal == "asset_flight")
    assert (opened.recommendation.stage, opened.recommendation.human_review_required) == ("negotiate", True)


def test_a_lighter_one_asks_for_a_call() -> None:
    """Without a person's decision before."""
    alerts = run(by_time([*KNOWN, sent("2025-06-14", 400_000)]), until="2025-06-15")
    opened = next(alert for alert in alerts if alert.signal == "asset_flight")
    assert (opened.recommendation.stage, opened.recommendation.human_review_required) == ("call", False)


def test_drained_accounts_open_at_midnight() -> None:
    """And pass when the fall is a week old."""
    seen = [*every_day("2025-04-20", "2025-06-13", 1_000_000), *every_day("2025-06-14", "2025-06-24", 50_000)]
    assert lines_of(one_loan(DUE), *seen) == [
        "2025-06-15 00:00 asset_flight opened warning",
        "2025-06-22 00:00 asset_flight resolved warning passed",
    ]


def test_a_day_that_began_with_an_inflow_is_looked_at_like_any_other() -> None:
    """Money came in the morning and small payments emptied the account: none of them is a transfer, the midnight tells."""
    day = "2025-06-14"
    morning = flow(day, 10_000, "refund", event_time_ms=at(day, "08:00"), balance_after_minor=1_010_000)
    spent = flow(day, 40_000, "living", "out", event_time_ms=at(day, "20:00"), balance_after_minor=50_000)
    known: list[Event] = [one_loan(DUE), *every_day("2025-04-20", "2025-06-08", 1_000_000)]

    assert lines_of(*known, morning, spent)[0] == "2025-06-15 00:00 asset_flight opened warning"


def test_paying_up_ends_it() -> None:
    """By the name of how the loan came right."""
    transfer = sent("2025-06-14", 900_000)
    assert lines_of(*KNOWN, transfer, paid("2025-06-16", 100_000))[-1] == (
        "2025-06-16 12:00 asset_flight resolved serious paid"
    )
    assert lines_of(*KNOWN, transfer, ended("2025-06-16", "written_off"))[-1] == (
        "2025-06-16 12:00 asset_flight resolved serious written_off"
    )
    loans = loans_of(one_loan(DUE))
    assert resolution(loans, at("2025-06-14"), NOW_MS, RULES) == "passed"


def test_of_two_loans_the_end_that_is_no_payment_is_told() -> None:
    """One paid up, one sold: somebody else has the money to look for."""
    loans = loans_of(one_loan(DUE), one_loan(DUE, loan_id="l-2"), paid("2025-06-14", 100_000))
    close(loans["l-2"], ended("2025-06-14", "sold", loan_id="l-2"), RULES)

    assert resolution(loans, at("2025-06-12"), NOW_MS, RULES) == "sold"


def test_a_returned_transfer_retracts() -> None:
    """Taken back by the bank, it never went."""
    transfer = sent("2025-06-14", 900_000)
    back = EventVoided(
        event_id=event_id(),
        borrower_id="b-1",
        event_time_ms=at("2025-06-15"),
        target_event_id=transfer.event_id,
    )
    risk_engine = engine()
    for offset, event in enumerate([*by_time([*KNOWN, transfer, paid("2025-06-14", 1, "18:00")]), back]):
        risk_engine.process(event, FUND_FLOWS if event is back else feed_of(event), offset)
    risk_engine.advance_together(end_of("2025-06-15"))
    assert [line for line in story(risk_engine.take_alerts(detected_at_ms=0)) if "asset" in line] == [
        "2025-06-14 12:00 asset_flight opened serious",
        "2025-06-15 12:00 asset_flight retracted serious",
    ]
    evidence = outflows_of(transfer)
    assert void(evidence, fingerprint_of(back.target_event_id), RULES)
    assert not evidence.transfers
    assert not evidence.tracks
    assert not void(evidence, fingerprint_of("another"), RULES)


def test_a_payment_learnt_late_retracts() -> None:
    """The loan was not past due when the money went."""
    late = paid("2025-06-09", 100_000, ingested_at_ms=at("2025-06-16"))
    events = [*by_time([*KNOWN, sent("2025-06-14", 900_000), paid("2025-06-15", 1)]), late]
    told_of = [line for line in story(run(events, until="2025-06-17")) if "asset_flight" in line]
    assert told_of == [
        "2025-06-14 12:00 asset_flight opened serious",
        "2025-06-09 12:00 asset_flight retracted serious",
    ]


# ---- deadlines and laws ----------------------------------------------------------------------------------------------


def test_deadlines_are_exits_and_midnights() -> None:
    """While past due, and only while something may change; before, the midnight from which on it is."""
    loans, gone = loans_of(one_loan(DUE)), outflows_of(sent("2025-06-14", 900_000))
    old, new = balances_of(told("2025-06-01", 1)), balances_of(*RICH)
    assert next_deadline_ms(loans, gone, old, NOW_MS, RULES) == at("2025-06-21")
    assert next_deadline_ms(loans, gone, new, NOW_MS, RULES) == at("2025-06-16", "00:00")
    assert next_deadline_ms(loans, gone, new, at("2025-06-21"), RULES) == at("2025-06-22", "00:00")
    assert next_deadline_ms(loans, gone, new, at("2025-06-22"), RULES) is None
    assert next_deadline_ms(loans, gone, new, at("2025-06-10"), RULES) == at("2025-06-11", "00:00")
    assert next_deadline_ms(loans, gone, balances_of(), NOW_MS, RULES) is None


def test_at_a_midnight_what_happens_then_belongs_to_the_day_that_begins() -> None:
    """A payment of that very instant comes too late for the deadline."""
    owed: list[LoanOpened | Repayment] = [one_loan(DUE), paid("2025-06-15", 100_000, "00:00")]
    transfer = sent("2025-06-14", 900_000)
    assert found(transfer, owed=owed, now_ms=at("2025-06-15", "00:00")) is None
    assert found(transfer, owed=owed, now_ms=at("2025-06-15", "00:00"), deadline=True) is not None


BEGIN = day_number("2025-06-01")
FLOWS = st.lists(
    st.builds(
        lambda day, hour, to, amount: sent(
            "2025-06-01", amount, to, event_time_ms=RULES.calendar.midnight_ms(BEGIN + day) + hour * HOUR_MS
        ),
        st.integers(-200, 25),
        st.sampled_from([0, 9, 23]),
        st.sampled_from("abcd"),
        st.sampled_from([60_000, 300_000, 600_000]),
    ),
    max_size=16,
    unique_by=lambda one: (one.event_time_ms, one.counterparty_id),
)
OPENED = st.sampled_from([None, Severity.WATCH, Severity.WARNING, Severity.SERIOUS])


@given(FLOWS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(flows: list[FundFlow], dice: Random) -> None:
    """The same transfers in another order are as new at every instant that may be asked for."""
    mixed = list(flows)
    dice.shuffle(mixed)
    one, other = outflows_of(*flows), outflows_of(*mixed)
    for day in range(LATE_DAYS):
        known_ms = one.newest_ms - day * DAY_MS
        after_ms = known_ms - 7 * DAY_MS
        assert new_transfers(one, after_ms, known_ms, 0, RULES) == new_transfers(
            other, after_ms, known_ms, 0, RULES
        )


@given(FLOWS, st.integers(0, 30), OPENED)
def test_later_transfers_change_no_judgement(
    flows: list[FundFlow], day: int, opened: Severity | None
) -> None:
    """As of an instant, all transfers say what those up to it say."""
    at_ms = RULES.calendar.midnight_ms(BEGIN + day) + 12 * HOUR_MS
    cut = [one for one in flows if one.event_time_ms <= at_ms]
    assert found(*flows, now_ms=at_ms, opened=opened) == found(*cut, now_ms=at_ms, opened=opened)


@given(FLOWS, OPENED, st.integers(0, 1_200_000))
def test_time_alone_changes_no_judgement_between_deadlines(
    flows: list[FundFlow], opened: Severity | None, left_minor: int
) -> None:
    """From one announced instant to the next the judgement stays as it is."""
    loans, gone = loans_of(one_loan(DUE)), outflows_of(*flows)
    seen = balances_of(*falling(left_minor))
    now_ms = at("2025-06-11", "00:00")

    def found_at(instant_ms: int) -> Finding | None:
        return judge(loans, gone, seen, LONG_AGO_MS, instant_ms, opened, RULES)

    while (due_ms := next_deadline_ms(loans, gone, seen, now_ms, RULES)) is not None:
        assert due_ms > now_ms
        expected = found_at(now_ms)
        for between_ms in {(now_ms + due_ms) // 2, due_ms - 1}:
            assert found_at(between_ms) == expected
        now_ms = due_ms
    assert found_at(now_ms + 400 * DAY_MS) == found_at(now_ms)


def test_a_day_without_flows_is_looked_at_only_after_a_fall() -> None:
    """Before the next flow nothing falls any further; while an alert is open, or flows are coming in, every day is looked at."""
    loans, nothing = loans_of(one_loan(DUE)), OutflowEvidence()
    steady, fallen = balances_of(*RICH), balances_of(*RICH, told("2025-06-13", 50_000, "20:00"))
    tomorrow_ms = at("2025-06-16", "00:00")
    assert next_deadline_ms(loans, nothing, steady, NOW_MS, RULES, is_open=False) is None
    assert next_deadline_ms(loans, nothing, steady, NOW_MS, RULES, is_open=True) == tomorrow_ms
    assert next_deadline_ms(loans, nothing, fallen, NOW_MS, RULES, is_open=False) == tomorrow_ms
    assert next_deadline_ms(
        loans,
        nothing,
        balances_of(*RICH, told("2025-06-15", 1_000_000, "08:00")),
        NOW_MS,
        RULES,
        is_open=False,
    ) == (tomorrow_ms)


@st.composite
def drained_lives(draw: st.DrawFn) -> list[Event]:
    """A loan that is paid late or not at all, and an account that goes up and down for three months, in order of time."""
    events: list[Event] = [one_loan(DUE), *every_day("2025-04-20", "2025-04-22", 1_000_000)]
    moments = st.tuples(st.integers(-30, 25), st.sampled_from([0, 1, 9, 23]))
    for day, hour in draw(st.lists(moments, max_size=20, unique=True)):
        balance_minor = draw(st.sampled_from([0, 50_000, 200_000, 500_000, 900_000, 1_000_000]))
        time_ms = RULES.calendar.midnight_ms(BEGIN + 9 + day) + hour * HOUR_MS
        fields: dict[str, Any] = {
            "event_time_ms": time_ms,
            "balance_after_minor": balance_minor,
            "account_id": draw(st.sampled_from(["acc-1", "acc-1", "acc-2"])),
        }
        category = draw(st.sampled_from(["living", "rent", "refund"]))
        direction: Literal["in", "out"] = "in" if category == "refund" else "out"
        events.append(flow("2025-06-01", 10_000, category, direction, **fields))
    if draw(st.booleans()):
        events.append(paid(draw(st.sampled_from(["2025-06-12", "2025-06-20"])), 100_000))
    return sorted(events, key=lambda event: event.event_time_ms)


@settings(deadline=None, max_examples=100)
@given(drained_lives())
def test_leaving_days_without_flows_out_tells_what_looking_every_day_tells(events: list[Event]) -> None:
    """Alert for alert, for events in order."""
    with pytest.MonkeyPatch.context() as every_day_is:
        every_day_is.setattr("models.signals.asset_flight._may_be_drained", lambda *_: True)
        expected = story(run(events, until="2025-08-01"))
    assert story(run(events, until="2025-08-01")) == expected


def test_of_two_loans_the_one_due_first_says_from_when_on_money_is_watched() -> None:
    """In whatever order they were opened."""
    first, second = one_loan(DUE, loan_id="l-1"), one_loan("2025-06-20", loan_id="l-2")
    for loans in (loans_of(first, second), loans_of(second, first)):
        begins_ms = next_deadline_ms(loans, OutflowEvidence(), balances_of(*RICH), at("2025-06-05"), RULES)
        assert begins_ms == at("2025-06-11", "00:00")


def test_what_is_short_by_no_more_than_the_tolerance_has_no_money_watched() -> None:
    """One cent more, and it is past due; a payment that came later was not known before."""
    tolerance_minor = RULES.policy.signals.missed_payment.tolerance_minor
    for short_minor, expected in ((tolerance_minor, False), (tolerance_minor + 1, True)):
        loans = loans_of(one_loan(DUE), paid("2025-06-09", 100_000 - short_minor))
        assert is_watched(loans, NOW_MS, RULES) == expected
    assert is_watched(loans_of(one_loan(DUE), paid("2025-06-20", 100_000)), NOW_MS, RULES)


@pytest.mark.parametrize(
    ("there_minor", "left_minor", "is_looked_at"),
    [(1_000_000, 250_000, True), (1_000_000, 250_001, False), (200_000, 0, True), (199_999, 0, False)],
    ids=["just so far", "a cent less", "just so much", "too little"],
)
def test_a_fall_that_is_just_far_enough_is_looked_at(
    there_minor: int, left_minor: int, is_looked_at: bool
) -> None:
    """From the threshold less its margin on, of the least amount: an alert may open there, or stay open."""
    seen = balances_of(
        *every_day("2025-05-01", "2025-06-13", there_minor), told("2025-06-14", left_minor, "08:00")
    )
    due_ms = next_deadline_ms(loans_of(one_loan(DUE)), OutflowEvidence(), seen, NOW_MS, RULES, is_open=False)
    assert (due_ms == at("2025-06-16", "00:00")) == is_looked_at


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), max_size=3),
    st.integers(0, 25),
    st.sampled_from([1, 2, 5]),
)
def test_money_is_watched_from_the_oldest_day_past_due(
    loans: list[tuple[int, int]], day: int, days_past_due_min: int
) -> None:
    """One walk over the loans says what the oldest due day says."""
    own = rules(f"[signals.asset_flight]\ndays_past_due_min = {days_past_due_min}")
    dates = [date_of_day(BEGIN + due).isoformat() for due in range(45)]
    known: list[LoanOpened | Repayment] = []
    for number, (due, instalments_paid) in enumerate(loans):
        lines = [(dates[due + step], 100_000) for step in (0, 8, 16)]
        known.append(loan("2025-05-01", lines, loan_id=f"l-{number}"))
        known += [paid("2025-05-02", 100_000, loan_id=f"l-{number}") for _ in range(instalments_paid)]
    ledgers = loans_of(*known)
    now_ms = own.calendar.midnight_ms(BEGIN + day) + HOUR_MS
    oldest_day = oldest_past_due_day(ledgers, now_ms, BEGIN + day, own)
    expected = oldest_day is not None and oldest_day + days_past_due_min <= BEGIN + day
    assert is_watched(ledgers, now_ms, own) == expected


@given(FLOWS, st.integers(0, 20))
def test_state_survives_its_bytes(flows: list[FundFlow], cut: int) -> None:
    """Encoding and decoding in the middle of a log changes nothing."""
    cut %= len(flows) + 1
    restored = msgspec.msgpack.decode(msgspec.msgpack.encode(outflows_of(*flows[:cut])), type=OutflowEvidence)
    for one in flows[cut:]:
        record_flow(restored, one, RULES)
    assert restored == outflows_of(*flows)


def test_the_evidence_is_bounded() -> None:
    """Transfers and receivers have their limits; what is old is forgotten."""
    many = [sent("2025-06-14", 60_000, f"p{n}", event_time_ms=NOW_MS + n) for n in range(100)]
    evidence = outflows_of(*many)
    assert len(evidence.transfers) == TRANSFERS_MAX
    assert len(evidence.tracks) == TRACKS_MAX
    assert evidence.transfers[-1].counterparty_id == "p99"
    later = outflows_of(*many, sent("2026-06-14", 60_000))
    assert (len(later.transfers), len(later.tracks)) == (1, 1)
