"""A change of policy as one borrower lives through it, and segments with thresholds of their own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from models.alerts import Alert
from models.calendars import DAY_MS
from models.engine import RiskEngine
from models.events import BorrowerEvent
from models.limits import POLICIES_REMEMBERED_MAX
from models.policy import PolicyError, check_policy, default_policy, parse_policy
from models.risk.scorecard import expert_prior
from models.rulebook import MINUTE_MS, SINCE_EVER_MS, Rulebook, review_minute
from models.rules import Rules
from tests.support.events import at, end_of, engine, feed_of, loan, paid, query, rules

STRICTER = rules("[signals.missed_payment]\nseverity = { warning = 3 }")
LOOSER = rules("[signals.missed_payment]\ngrace_days = 20")
MONTHS = rules(
    """
    [segments.company-loans]
    match = { borrower_kind = "company" }
    [segments.company-loans.signals.missed_payment]
    grace_days = 10
    [segments.short]
    match = { product = ["7-days", "14-days"], platform = "own" }
    [segments.short.signals.missed_payment]
    severity = { warning = 2 }
    [segments.short.signals.multi_platform_borrowing]
    severity = { watch = 2 }
    """
)


def live(risk_engine: RiskEngine, *events: BorrowerEvent) -> list[Alert]:
    """Process events, and take the alerts."""
    for offset, event in enumerate(events):
        assert risk_engine.process(event, feed_of(event), offset) is None
    return risk_engine.take_alerts(detected_at_ms=0)


def passing(risk_engine: RiskEngine, at_ms: int) -> list[Alert]:
    """Let every feed reach an instant, and take the alerts."""
    risk_engine.advance_together(dict.fromkeys(range(4), at_ms))
    return risk_engine.take_alerts(detected_at_ms=0)


def told(alerts: list[Alert]) -> list[tuple[Any, ...]]:
    """Of each alert: what, how bad, by which policy."""
    return [(alert.status, alert.severity, alert.policy_version) for alert in alerts]


# ---- a change ----------------------------------------------------------------------------------------------------


def test_a_lowered_threshold_finds_within_a_day_what_stands_already() -> None:
    """Five days past due are watch; the policy that calls them warning says so at the borrower's minute of its first day."""
    risk_engine = engine()
    live(risk_engine, loan("2025-03-01", [("2025-03-10", 100_000)]))
    from_ms = at("2025-03-15", "09:00")
    risk_engine.adopt(1, STRICTER, from_ms)
    review_ms = from_ms + review_minute("b-1") * MINUTE_MS

    assert told(passing(risk_engine, review_ms - 1)) == [("opened", "watch", rules().policy_version)]
    (raised,) = passing(risk_engine, review_ms)

    assert told([raised]) == [("escalated", "warning", STRICTER.policy_version)]
    assert raised.event_time_ms == review_ms
    assert raised.caused_by.event_id is None
    assert from_ms <= review_ms < from_ms + DAY_MS


def test_a_raised_threshold_ends_what_it_no_longer_asks_for() -> None:
    """An alert that was right by the policy of its time is resolved, not retracted."""
    risk_engine = engine()
    live(risk_engine, loan("2025-03-01", [("2025-03-10", 100_000)]))
    passing(risk_engine, at("2025-03-15"))
    risk_engine.adopt(1, LOOSER, at("2025-03-16"))

    assert told(passing(risk_engine, at("2025-03-18"))) == [("resolved", "watch", LOOSER.policy_version)]


def test_an_event_is_judged_by_the_policy_of_its_time_without_waiting_for_a_review() -> None:
    """Where the review is still to come the judgement waits for it, as for any deadline before it."""
    risk_engine = engine()
    from_ms = at("2025-03-01")
    risk_engine.adopt(1, rules("[signals.multi_platform_borrowing]\nseverity = { watch = 1 }"), from_ms)
    live(risk_engine, query("2025-02-20", "bank-1"))

    (opened,) = live(risk_engine, query("2025-03-05", "bank-2"))

    assert (opened.event_time_ms, opened.status) == (from_ms + review_minute("b-1") * MINUTE_MS, "opened")


def test_what_was_judged_stays_where_a_change_is_learnt_late() -> None:
    """It takes effect an allowed lateness beyond the watermark: after everything that any event has reached."""
    risk_engine = engine()
    live(risk_engine, loan("2025-03-01", [("2025-03-10", 100_000)]))
    passing(risk_engine, at("2025-03-15"))
    risk_engine.adopt(1, STRICTER, at("2025-03-05"))

    (_, late) = risk_engine.adopted.spans
    assert late.from_ms == at("2025-03-15") + 3_600_000 + 1
    assert [alert.status for alert in passing(risk_engine, at("2025-03-17"))] == ["escalated"]


def test_a_policy_called_off_before_its_time_judges_nothing() -> None:
    """Nor is anybody reviewed for it."""
    risk_engine = engine()
    live(risk_engine, loan("2025-03-01", [("2025-03-10", 100_000)]))
    risk_engine.adopt(1, STRICTER, at("2025-03-14"))
    risk_engine.adopt(2, rules(), at("2025-03-13"))

    assert {alert.policy_version for alert in passing(risk_engine, at("2025-03-20"))} == {
        rules().policy_version
    }
    assert [span.from_ms for span in risk_engine.adopted.spans] == [SINCE_EVER_MS]
    assert risk_engine.adopted.publication == 2


def test_the_policy_of_the_watermark_is_the_one_told_of_the_task() -> None:
    """It is what the progress record and the metrics name."""
    risk_engine = engine()
    risk_engine.adopt(1, STRICTER, at("2025-03-14"))
    assert risk_engine.policy_version == rules().policy_version
    passing(risk_engine, at("2025-03-14"))
    assert risk_engine.policy_version == STRICTER.policy_version


def test_the_allowed_lateness_changes_with_the_policy() -> None:
    """From its instant on a watermark keeps the new distance."""
    slow = rules("[feeds.repayments]\nlateness_minutes = 1440")
    risk_engine = engine()
    risk_engine.adopt(1, slow, at("2025-03-14"))
    live(risk_engine, loan("2025-03-13", [("2025-05-10", 100_000)]))
    assert max(risk_engine.watermarks_ms) == at("2025-03-13", "09:00")
    passing(risk_engine, at("2025-03-14"))
    live(risk_engine, paid("2025-03-16", 1_000))
    assert max(risk_engine.watermarks_ms) == at("2025-03-15")


def test_policies_remembered_are_bounded() -> None:
    """The oldest goes; the next one then holds for all time before as well."""
    book = Rulebook(rules())
    for number in range(3 * POLICIES_REMEMBERED_MAX):
        book.adopt(STRICTER if number % 2 else LOOSER, 1_000 + number, not_before_ms=-1)

    assert len(book.adopted.spans) == POLICIES_REMEMBERED_MAX
    assert book.at(0).policy_version == book.adopted.spans[0].version


def test_a_thousand_borrowers_are_spread_over_the_day() -> None:
    """No minute of a review has more than a handful of them."""
    minutes = [review_minute(f"b-{number}") for number in range(1_440)]
    assert max(minutes.count(minute) for minute in set(minutes)) <= 8


# ---- segments ----------------------------------------------------------------------------------------------------


def missed(product: str | None = None, **fields: Any) -> list[tuple[Any, ...]]:
    """What becomes of a loan due on 10 March that nobody pays, up to the 14th."""
    risk_engine = RiskEngine(MONTHS, expert_prior())
    live(risk_engine, loan("2025-03-01", [("2025-03-10", 100_000)], product=product, **fields))
    return [(alert.status, alert.severity) for alert in passing(risk_engine, at("2025-03-14"))]


def test_a_loan_is_judged_by_the_thresholds_of_its_segment() -> None:
    """Every key of `match` must fit; the version is that of the whole policy."""
    assert missed() == [("opened", "watch")]
    assert missed("7-days") == [("opened", "watch"), ("escalated", "warning")]
    assert missed("14-days") == [("opened", "watch"), ("escalated", "warning")]
    assert missed("7-days", platform_id="another") == [("opened", "watch")]
    assert missed(borrower_kind="company") == []


def test_of_several_segments_the_first_by_name_counts() -> None:
    """A company's short loan is a company's loan."""
    assert missed("7-days", borrower_kind="company") == []


def test_a_borrower_as_a_whole_takes_the_first_segment_of_the_open_loans() -> None:
    """Two new institutions are none too many, until a short loan is open beside the long one."""
    risk_engine = RiskEngine(MONTHS, expert_prior())
    live(risk_engine, loan("2025-03-01", [("2025-05-10", 100_000)], loan_id="l-1"))
    assert live(risk_engine, query("2025-03-02", "bank-1"), query("2025-03-03", "bank-2")) == []

    short = loan("2025-03-04", [("2025-03-10", 100_000)], loan_id="l-2", product="7-days")
    (opened,) = live(risk_engine, short)

    assert (opened.signal, opened.status) == ("multi_platform_borrowing", "opened")
    assert opened.policy_version == MONTHS.policy_version


def test_segments_of_a_policy_to_come_judge_nothing_yet() -> None:
    """However long before it begins it is known, a borrower is judged by the same events as of the same instants."""
    knowing, unaware = engine(), engine()
    knowing.adopt(1, MONTHS, at("2025-06-01"))
    judged_ms = []
    for risk_engine in (knowing, unaware):
        live(risk_engine, loan("2025-03-01", [("2025-05-10", 100_000)]))
        borrower = risk_engine.borrower("b-1")
        assert borrower is not None
        judged_ms.append(borrower.judged_ms)

    assert judged_ms[0] == judged_ms[1]


def test_the_order_of_a_file_changes_no_version() -> None:
    """The version is the content, and segments have their order by name."""
    one = "[segments.a]\nmatch = { product = 'x' }\n"
    other = "[segments.b]\nmatch = { product = 'y' }\n"
    assert parse_policy(one + other, "p").version == parse_policy(other + one, "p").version
    assert parse_policy(one, "p").version != default_policy().version


def test_without_segments_every_loan_has_the_same_rules() -> None:
    """The very object: nothing is looked for."""
    book = Rulebook(rules())
    risk_engine = engine()
    live(risk_engine, loan("2025-03-01", [("2025-03-10", 100_000)]))
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    assert book.of(borrower, "l-1", 0) is book.of(borrower, None, 0) is book.at(0)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[segments.a]\nmatch = { produkt = 'x' }", ["segments.a.match.produkt", "match.product?"]),
        ("[segments.a]\nmatsh = { product = 'x' }", ["segments.a.matsh", "segments.a.match?"]),
        ("[segments.a]\nmatch = {}", ["segments.a.match", "product, segment, borrower_kind, platform"]),
        ("[segments.a]\nsignals = {}", ["segments.a.match"]),
        ("segments = { a = 1 }", ["segments.a is a table"]),
        ("[segments.a]\nmatch = { product = 1 }", ["segments", "match.product"]),
        (
            "[segments.a]\nmatch = { product = 'x' }\n[segments.a.signals.missed_paymnt]\ngrace_days = 1",
            ["segments.a.signals.missed_paymnt", "missed_payment?"],
        ),
        (
            "[segments.a]\nmatch = { product = 'x' }\n[segments.a.signals.missed_payment]\ngrace_dayz = 1",
            ["segments.a.signals.missed_payment.grace_dayz", "grace_days?"],
        ),
        (
            "[segments.a]\nmatch = { product = 'x' }\n[segments.a.signals.missed_payment]\ngrace_days = 91",
            ["segments.a.signals.missed_payment.grace_days", "<= 90"],
        ),
        (
            "[segments.a]\nmatch = { product = 'x' }\n[segments.a.signals.missed_payment.severity]\nwarning = 40",
            ["segments.a", "must rise", "1, 40, 30, 90"],
        ),
        (
            "[segments.a]\nmatch = { product = 'x' }\n[segments.a.signals.missed_payment]\ntolerance_minor = 7",
            ["segments.a.signals.missed_payment.tolerance_minor", "set it for all"],
        ),
    ],
)
def test_a_segment_that_does_not_fit_is_refused_by_name(text: str, parts: list[str]) -> None:
    """The error names the key, and the nearest known one."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "house.toml")
    for part in ["house.toml: ", *parts]:
        assert part in str(caught.value)


def test_a_policy_with_segments_survives_being_published() -> None:
    """What is read is what was written, and is made sure of in the same way."""
    policy = MONTHS.policy
    read = msgspec.json.decode(msgspec.json.encode(policy, order="sorted"), type=type(policy))
    check_policy(read, "read")
    assert read.version == policy.version
    assert [accepted for accepted, _ in Rules(read).segments] == [accepted for accepted, _ in MONTHS.segments]


def test_nothing_is_left_of_a_review_when_every_feed_has_passed_it() -> None:
    """Neither deadlines nor names: a borrower without anything to judge has no deadline then."""
    risk_engine = engine()
    live(risk_engine, query("2025-03-02", "bank-1"))
    risk_engine.adopt(1, STRICTER, at("2025-03-10"))
    risk_engine.advance_together(end_of("2027-12-31"))
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    assert not risk_engine._reviews.are_due
