from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calendars import DAY_MS
from models.judging import Judge, JudgedAlert, Outcome, Truth
from models.report import Report

BEGIN_MS = 1_735_660_800_000
"""2025-01-01 in Shanghai."""


def at(day: float) -> int:
    """The instant `day` days into the observation."""
    return BEGIN_MS + round(day * DAY_MS)


def alert(
    borrower_id: str,
    day: float,
    *,
    status: str = "opened",
    signal: str = "income_drop",
    opened: float | None = None,
    revision: int = 1,
    days_past_due: int = 0,
    priority: int = 500,
) -> JudgedAlert:
    """The opening of an alert, or another revision of one opened on day `opened`."""
    opened_day = day if opened is None else opened
    return JudgedAlert(
        alert_id=f"{borrower_id}/{signal}/{opened_day}",
        revision=revision,
        status=status,
        signal=signal,
        severity="watch",
        borrower_id=borrower_id,
        event_time_ms=at(day),
        opened_at_ms=at(opened_day),
        days_past_due=days_past_due,
        priority=priority,
    )


def closed(
    borrower_id: str, opened: float, day: float, *, status: str = "resolved", signal: str = "income_drop"
) -> JudgedAlert:
    """The end of an alert."""
    return alert(borrower_id, day, status=status, signal=signal, opened=opened, revision=2)


def bad(borrower_id: str, day: float, loan_id: str | None = None) -> Outcome:
    """A default."""
    return Outcome(borrower_id=borrower_id, loan_id=loan_id, outcome="bad", time_ms=at(day))


def good(borrower_id: str, day: float = 365, loan_id: str | None = None) -> Outcome:
    """No default until then."""
    return Outcome(borrower_id=borrower_id, loan_id=loan_id, outcome="good", time_ms=at(day))


def truth(
    borrower_id: str, from_day: float, until_day: float, signal: str = "income_drop", cause: str = "job_loss"
) -> Truth:
    """What a signal should have told."""
    return Truth(
        borrower_id=borrower_id, signal=signal, from_ms=at(from_day), until_ms=at(until_day), cause=cause
    )


def judge(
    alerts: list[JudgedAlert],
    outcomes: list[Outcome],
    truths: list[Truth] | None = None,
    *,
    capacity_per_day: int = 20,
    observed_from_ms: int | None = BEGIN_MS,
) -> Report:
    """The report on all of it."""
    judge_ = Judge(outcomes, truths, observed_from_ms=observed_from_ms, capacity_per_day=capacity_per_day)
    for revision in alerts:
        judge_.add(revision)
    return judge_.report()


@pytest.mark.parametrize(("days_before", "hit"), [(0.99, 0), (1, 1), (180, 1), (180.01, 0)])
def test_a_hit_opens_one_to_180_days_before_bad(days_before: float, hit: int) -> None:
    """Both ends of the window count, what lies outside does not."""
    report = judge([alert("a", 300 - days_before)], [bad("a", 300)])

    assert hit == report.borrowers_hit
    assert report.borrowers_warned == 1


@pytest.mark.parametrize(("days_past_due", "hit"), [(0, 1), (1, 0)])
def test_an_alert_that_opens_past_due_is_no_hit(days_past_due: int, hit: int) -> None:
    """A hit needs foresight: nothing may be past due when the alert opens."""
    report = judge([alert("a", 200, days_past_due=days_past_due)], [bad("a", 300)])

    assert (hit, hit, 1 - hit) == (report.borrowers_hit, report.borrowers_warned, report.bad_warned_late)


def test_alerts_that_open_past_due_are_reported_apart() -> None:
    """A missed payment before the default has its own precision and lead time, and is in no other rate."""
    alerts = [
        alert("bad", 200, signal="missed_payment", days_past_due=1),
        alert("good", 200, signal="missed_payment", days_past_due=1),
        alert("long ago", 100, signal="missed_payment", days_past_due=1),
        alert("early", 200),
    ]
    report = judge(alerts, [bad("bad", 290), bad("long ago", 300), bad("early", 300), good("good")])
    past_due = report.past_due

    assert (past_due.borrowers_alerted, past_due.borrowers_bad) == (3, 1)
    assert (past_due.precision, past_due.recall, past_due.lead_days_median) == (0.3333, 0.3333, 90.0)
    assert report.signals["missed_payment"].past_due == past_due
    assert report.signals["income_drop"].past_due.borrowers_alerted == 0
    assert (report.borrowers_warned, report.borrowers_hit) == (1, 1)


def test_borrowers_are_counted_not_alerts() -> None:
    """Three hits of one borrower are one hit, and the lead time is that of the first."""
    alerts = [
        alert("a", 200),
        alert("a", 220),
        alert("a", 240, signal="multi_platform_borrowing"),
        alert("b", 200),
    ]
    report = judge(alerts, [bad("a", 300), good("b")])

    assert (report.borrowers_hit, report.borrowers_warned, report.alerts) == (1, 2, 4)
    assert (report.precision, report.recall, report.lead_days_median) == (0.5, 1.0, 100.0)


def test_bad_borrowers_without_a_hit_are_told_apart() -> None:
    """Warned too early, warned late and not at all are three numbers; together with the hits they are all the bad."""
    alerts = [
        alert("hit", 200),
        alert("early", 50),
        alert("early", 299.5),
        alert("late", 250, signal="missed_payment", days_past_due=1),
        alert("after", 301),
    ]
    names = ["hit", "early", "late", "after", "silent"]
    report = judge(alerts, [bad(name, 300) for name in names])

    assert (report.bad_warned_too_early, report.bad_warned_late, report.bad_silent) == (1, 1, 2)
    assert report.borrowers_bad == 5
    assert report.recall == 0.2


def test_a_retracted_alert_is_neither_hit_nor_found_nor_false_but_volume() -> None:
    """The engine took it back, so nothing stands on it; somebody looked at it, so it counts as an alert."""
    alerts = [
        alert("a", 200),
        closed("a", 200, 201, status="retracted"),
        alert("b", 200),
        closed("b", 200, 201, status="retracted"),
    ]
    report = judge(alerts, [bad("a", 300), good("b")], [truth("a", 190, 300)])
    signal = report.signals["income_drop"]

    assert (report.borrowers_warned, report.borrowers_hit, report.bad_silent) == (0, 0, 1)
    assert (report.alerts, report.alerts_retracted) == (2, 2)
    assert (signal.found, signal.missed, signal.false) == (0, 1, 0)
    assert report.precision is None
    assert "precision" in report.not_computed


def test_a_borrower_with_several_outcomes_is_bad_from_the_first_bad_one() -> None:
    """One bad loan makes the borrower bad, whatever the other loans did."""
    report = judge([alert("a", 150)], [good("a", 365, "l1"), bad("a", 300, "l2"), bad("a", 200, "l3")])

    assert (report.borrowers, report.borrowers_bad, report.lead_days_median) == (1, 1, 50.0)


def test_borrower_months_end_with_bad_or_with_the_observation() -> None:
    """Alerts are counted per 1,000 mean months of observed time."""
    report = judge([alert("a", 100), alert("b", 100)], [bad("a", 365.25 / 2), good("b", 365.25)])

    assert report.borrower_months == 18.0
    assert report.alerts_per_1000_borrower_months == pytest.approx(2000 / 18, abs=1e-4)


def test_volume_is_told_of_each_signal_as_of_all() -> None:
    """Alerts per 1,000 borrower-months: those of the signals add up to that of the whole."""
    alerts = [alert("b-1", 10), alert("b-2", 10), alert("b-2", 20, signal="risk_score")]
    report = judge(alerts, [good("b-1", 365.25), good("b-2", 365.25)])

    assert report.borrower_months == 24
    assert report.alerts_per_1000_borrower_months == 125
    assert {name: told.alerts_per_1000_borrower_months for name, told in report.signals.items()} == {
        "income_drop": pytest.approx(2000 / 24, abs=1e-4),
        "risk_score": pytest.approx(1000 / 24, abs=1e-4),
    }


def test_what_cannot_be_computed_is_null_with_a_reason() -> None:
    """Without a begin of observation, outcomes, hits or truth every null names its reason."""
    report = judge([alert("x", 10)], [], observed_from_ms=None)
    nulls = {field for field in report.__struct_fields__ if getattr(report, field) is None}

    assert report.alerts_without_outcome == 1
    assert nulls <= set(report.not_computed)
    assert report.not_computed["signals.*.found"] == "there is no truth to compare with"


def test_a_warning_of_a_good_borrower_is_unmatured_until_180_days_have_passed() -> None:
    """It counts against precision at once, and is told apart so that a young book can be read."""
    report = judge([alert("a", 185), alert("b", 186), alert("c", 185)], [good("a"), good("b"), bad("c", 300)])

    assert report.borrowers_warned_unmatured == 1
    assert (report.precision, report.precision_matured) == (0.3333, 0.5)


def test_an_episode_is_found_by_an_alert_open_during_it() -> None:
    """Found with its delay, missed, and false: an alert that was open during no episode of its signal."""
    alerts = [
        alert("found", 110),
        closed("found", 110, 150),
        alert("before", 90),
        closed("before", 90, 200),
        alert("false", 50),
        closed("false", 50, 100),
        alert("other", 110, signal="multi_platform_borrowing"),
    ]
    truths = [
        truth("found", 100, 150),
        truth("before", 100, 150),
        truth("false", 100, 150),
        truth("other", 100, 150),
    ]
    signal = judge(alerts, [good(name) for name in ("found", "before", "false", "other")], truths).signals[
        "income_drop"
    ]

    assert (signal.truth_episodes, signal.found, signal.missed, signal.false) == (4, 2, 2, 1)
    assert (signal.borrowers_found, signal.borrowers_missed, signal.borrowers_false) == (2, 2, 1)
    assert signal.delay_days_median == 5.0


def test_an_alert_closed_at_its_own_instant_still_finds_its_episode() -> None:
    """A payment minutes after the deadline opens and resolves at once in event time."""
    alerts = [
        alert("a", 100, signal="missed_payment", days_past_due=1),
        closed("a", 100, 100, signal="missed_payment"),
    ]
    report = judge(alerts, [good("a")], [truth("a", 100, 101, "missed_payment", "habit")])

    assert report.signals["missed_payment"].found == 1


def test_a_signal_that_the_truth_never_names_is_not_called_false() -> None:
    """Its truth numbers are null, its outcome numbers are there."""
    signal = judge([alert("a", 200, signal="risk_score")], [bad("a", 300)], [truth("a", 1, 2)]).signals[
        "risk_score"
    ]

    assert (signal.false, signal.found, signal.borrowers_hit) == (None, None, 1)


def test_a_team_calls_the_highest_priorities_first_and_nobody_twice() -> None:
    """With one call a day the most urgent of the day is taken, the next waits; what has closed meanwhile is dropped."""
    alerts = [
        alert("low", 100, priority=1),
        alert("high", 100, priority=900),
        alert("high", 100.5, priority=950, signal="multi_platform_borrowing"),
        alert("gone", 100, priority=5),
        closed("gone", 100, 101.2),
    ]
    outcomes = [good("low"), bad("high", 200), bad("gone", 200)]

    one, many = (judge(alerts, outcomes, capacity_per_day=n).capacity for n in (1, 9))

    assert (one.called, one.bad, one.precision) == (2, 1, 0.5)
    assert (many.called, many.bad, many.precision) == (3, 2, 0.6667)


def test_warned_borrowers_are_compared_with_as_many_worst_payers() -> None:
    """At day 30 one is warned and goes bad; the worst payer does not: among equals the expected number counts."""
    alerts = [
        alert("late", 5, signal="missed_payment", days_past_due=1),
        closed("late", 5, 15, signal="missed_payment"),
        alert("warned", 20),
    ]
    outcomes = [good("late", 59), bad("warned", 59), good("quiet", 59)]
    report = judge(alerts, outcomes)

    assert report.worst_payers is not None
    assert (report.worst_payers.chosen, report.worst_payers.bad_among_warned) == (1, 1)
    assert report.worst_payers.bad_among_worst_payers == 0.0
    assert report.lift_over_worst_payers is None
    assert "lift_over_worst_payers" in report.not_computed

    without_late = judge(alerts[2:], outcomes)
    assert without_late.lift_over_worst_payers == pytest.approx(3.0, abs=1e-3)


def test_who_is_past_due_at_the_instant_is_in_neither_choice() -> None:
    """Foresight is compared with foresight: the comparison leaves out those who are past due already."""
    alerts = [
        alert("late", 25, signal="missed_payment", days_past_due=1),
        alert("warned", 20),
        alert("late", 20),
    ]
    report = judge(alerts, [bad("late", 59), bad("warned", 59)])

    assert report.worst_payers is not None
    assert (report.worst_payers.chosen, report.worst_payers.bad_among_warned) == (1, 1)
    assert report.lift_over_worst_payers == 1.0


def test_a_repeated_or_older_revision_changes_nothing() -> None:
    """Webhooks deliver at least once: the latest revision stands."""
    once = [alert("a", 200), closed("a", 200, 210)]
    repeated = [*once, *once]

    assert judge(once, [bad("a", 300)], [truth("a", 190, 300)]) == judge(
        repeated, [bad("a", 300)], [truth("a", 190, 300)]
    )


def test_the_capacity_must_be_positive() -> None:
    """A team that calls nobody has no precision."""
    with pytest.raises(ValueError, match="at least 1"):
        judge([], [], capacity_per_day=0)


def test_the_report_is_plain_json() -> None:
    """Written and read again it is the same report."""
    report = judge([alert("a", 200)], [bad("a", 300), good("b")], [truth("a", 190, 300)])

    assert report == msgspec.json.decode(msgspec.json.encode(report), type=Report)


_ALERTS = st.lists(
    st.builds(
        alert,
        st.sampled_from("abcdef"),
        st.integers(0, 364),
        signal=st.sampled_from(["missed_payment", "income_drop"]),
        days_past_due=st.integers(0, 2),
        priority=st.integers(0, 1000),
    ),
    max_size=20,
)
_OUTCOMES = st.lists(
    st.one_of(
        st.builds(bad, st.sampled_from("abcdef"), st.integers(1, 365)),
        st.builds(good, st.sampled_from("abcdef")),
    ),
    max_size=8,
)
_TRUTHS = st.lists(
    st.builds(
        lambda b, f, n, s: truth(b, f, f + n, s),
        st.sampled_from("abcdef"),
        st.integers(0, 300),
        st.integers(1, 60),
        st.sampled_from(["missed_payment", "income_drop"]),
    ),
    max_size=10,
)


@given(_ALERTS, _OUTCOMES, _TRUTHS)
def test_the_parts_add_up(alerts: list[JudgedAlert], outcomes: list[Outcome], truths: list[Truth]) -> None:
    """Whatever happened: hits and the ways to miss are all the bad, found and missed are all the truth, shares are shares."""
    report = judge(alerts, outcomes, truths, capacity_per_day=2)
    unhit = report.bad_warned_too_early + report.bad_warned_late + report.bad_silent

    assert report.borrowers_hit + unhit == report.borrowers_bad
    assert report.borrowers_hit <= report.borrowers_warned <= report.borrowers
    assert report.capacity.called <= report.borrowers_warned
    assert sum(signal.alerts for signal in report.signals.values()) == report.alerts
    for signal in report.signals.values():
        if signal.truth_episodes is not None:
            assert (signal.found or 0) + (signal.missed or 0) == signal.truth_episodes
    for share in (report.precision, report.recall, report.precision_matured, report.capacity.precision):
        assert share is None or 0 <= share <= 1
    if report.worst_payers is not None:
        assert 0 <= report.worst_payers.bad_among_worst_payers <= report.worst_payers.chosen


@given(_ALERTS, _OUTCOMES)
def test_the_order_of_alerts_and_outcomes_is_no_matter(
    alerts: list[JudgedAlert], outcomes: list[Outcome]
) -> None:
    """Partitions may be read in any order: the report is the same."""
    alerts = list({(a.alert_id): a for a in alerts}.values())

    assert judge(alerts, outcomes) == judge(alerts[::-1], outcomes[::-1])
