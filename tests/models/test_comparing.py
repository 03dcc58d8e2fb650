"""Two policies on the same past: every alert is in both or in one, and a policy never differs from itself."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from models.calendars import DAY_MS
from models.comparing import Run, compare, paired
from models.comparison import Comparison, Difference, SeverityMove, Sides
from models.judging import SEVERITIES, Judge, JudgedAlert, Outcome
from models.policy import default_policy, parse_policy

BEGIN_MS = 1_735_660_800_000
"""2025-01-01 in Shanghai."""
STRICTER = parse_policy("[signals.missed_payment]\ngrace_days = 3\n", "stricter.toml")
SIGNALS = ("income_drop", "missed_payment", "risk_score")
BORROWERS = ("b-1", "b-2", "b-3")


def at(day: float) -> int:
    """The instant `day` days into the observation."""
    return BEGIN_MS + round(day * DAY_MS)


def raised(
    borrower_id: str,
    opened: float,
    closed: float | None = None,
    *,
    severity: str = "watch",
    signal: str = "income_drop",
    loan_id: str | None = None,
    days_past_due: int = 0,
) -> list[JudgedAlert]:
    """All revisions of an alert: that of its opening, and the one that ends it."""
    (word,) = (word for word in SEVERITIES if word == severity)
    opening = JudgedAlert(
        alert_id=f"{borrower_id}/{signal}/{loan_id}/{opened}",
        revision=1,
        status="opened",
        signal=signal,
        severity=word,
        borrower_id=borrower_id,
        loan_id=loan_id,
        event_time_ms=at(opened),
        opened_at_ms=at(opened),
        days_past_due=days_past_due,
        priority=500,
    )
    if closed is None:
        return [opening]
    ended = JudgedAlert(
        alert_id=opening.alert_id,
        revision=2,
        status="resolved",
        signal=signal,
        severity="watch",
        borrower_id=borrower_id,
        loan_id=loan_id,
        event_time_ms=at(closed),
        opened_at_ms=at(opened),
        days_past_due=days_past_due,
        priority=500,
    )
    return [opening, ended]


def judge(alerts: Sequence[JudgedAlert], outcomes: Sequence[Outcome]) -> Judge:
    """A judge that took all of it."""
    taken = Judge(outcomes, None, observed_from_ms=BEGIN_MS)
    for alert in alerts:
        taken.add(alert)
    return taken


def compared(
    a: Sequence[JudgedAlert], b: Sequence[JudgedAlert], outcomes: Sequence[Outcome] | None = None
) -> tuple[Comparison, list[Difference]]:
    """The packaged policy against a stricter one."""
    runs = [
        Run(name, policy, judged, None if outcomes is None else judged.report(), None, None)
        for name, policy, judged in (
            ("packaged", default_policy(), judge(a, outcomes or ())),
            ("stricter", STRICTER, judge(b, outcomes or ())),
        )
    ]
    return compare(*runs)


def bad(borrower_id: str, day: float) -> Outcome:
    """A default."""
    return Outcome(borrower_id=borrower_id, outcome="bad", time_ms=at(day))


def good(borrower_id: str, day: float = 365) -> Outcome:
    """No default until then."""
    return Outcome(borrower_id=borrower_id, outcome="good", time_ms=at(day))


def test_an_alert_that_opens_later_is_the_same_alert() -> None:
    """Both are open at some time together: one alert, which the other policy raised three days earlier."""
    comparison, (difference,) = compared(raised("b-1", 10, 20), raised("b-1", 13, 20))

    assert (comparison.total.both, comparison.total.only) == (1, Sides(0, 0))
    assert comparison.total.opened_first == Sides(1, 0)
    assert comparison.total.days_first_median == Sides(3.0, None)
    assert difference.difference == "opening"
    assert difference.a is not None
    assert difference.b is not None
    assert (difference.a.opened_at_ms, difference.b.opened_at_ms) == (at(10), at(13))


def test_alerts_that_were_never_open_together_are_two() -> None:
    """One ended before, or as, the other opened."""
    comparison, differences = compared(raised("b-1", 10, 20), raised("b-1", 20, 30))

    assert (comparison.total.both, comparison.total.only) == (0, Sides(1, 1))
    assert [difference.difference for difference in differences] == ["only_a", "only_b"]


def test_what_an_alert_is_about_is_signal_borrower_and_loan() -> None:
    """At the same instant, each of another one of these."""
    one = raised("b-1", 10, loan_id="l-1")
    others = [
        *raised("b-1", 10, loan_id="l-2"),
        *raised("b-2", 10, loan_id="l-1"),
        *raised("b-1", 10, signal="relapse"),
    ]

    comparison, _ = compared(one, others)

    assert (comparison.total.both, comparison.total.only) == (0, Sides(1, 3))
    assert comparison.signals["income_drop"].only == Sides(1, 2)
    assert comparison.signals["relapse"].alerts == Sides(0, 1)


def test_an_alert_has_one_counterpart() -> None:
    """One that stood all the while covers one of two short ones; the other one is of that policy alone."""
    comparison, _ = compared(raised("b-1", 10), [*raised("b-1", 10, 12), *raised("b-1", 14, 16)])

    assert (comparison.total.both, comparison.total.only) == (1, Sides(0, 1))


def test_the_same_alert_is_its_own_counterpart_whatever_else_overlaps() -> None:
    """An identical alert is never given away to another one that was open as well."""
    long, twin = raised("b-1", 10, 40), raised("b-1", 20, 30)

    comparison, (difference,) = compared([*long, *twin], twin)

    assert (comparison.total.both, comparison.total.only) == (1, Sides(1, 0))
    assert difference.a is not None
    assert difference.a.alert_id == long[0].alert_id


def test_severities_move_from_the_highest_to_the_highest() -> None:
    """Alerts that both raised, by the highest severity in either."""
    comparison, differences = compared(
        [*raised("b-1", 10, 20, severity="serious"), *raised("b-2", 10, severity="watch")],
        [*raised("b-1", 10, 20, severity="warning"), *raised("b-2", 10, severity="watch")],
    )

    assert comparison.total.severity_moves == (SeverityMove(a="serious", b="warning", alerts=1),)
    assert [difference.difference for difference in differences] == ["severity"]


def test_what_the_alerts_were_worth_is_told_of_either_policy() -> None:
    """Whom only one of them warned in time, and in vain."""
    outcomes = [bad("b-1", 100), bad("b-2", 100), good("b-3"), good("b-4")]
    comparison, _ = compared(
        [*raised("b-1", 50), *raised("b-3", 50), *raised("b-4", 50)],
        [*raised("b-1", 60), *raised("b-2", 60), *raised("b-4", 50)],
        outcomes,
    )
    worth = comparison.signals["income_drop"].warnings

    assert worth == comparison.total.warnings
    assert worth is not None
    assert (worth.borrowers_warned, worth.borrowers_hit) == (Sides(3, 3), Sides(1, 2))
    assert (worth.hit_only, worth.warned_in_vain_only) == (Sides(0, 1), Sides(1, 0))
    assert (worth.precision, worth.recall) == (Sides(0.3333, 0.6667), Sides(0.5, 1.0))
    assert worth.lead_days_median == Sides(50.0, 40.0)
    assert comparison.capacity is not None
    assert comparison.capacity.precision == Sides(0.3333, 0.6667)


def test_a_signal_that_one_policy_never_raised_has_no_precision_and_no_recall_to_boast_of() -> None:
    """None of the bad borrowers was warned of, by no alerts at all."""
    comparison, _ = compared(raised("b-1", 50), [], [bad("b-1", 100)])
    worth = comparison.signals["income_drop"].warnings

    assert worth is not None
    assert worth.precision == Sides(1.0, None)
    assert worth.recall == Sides(1.0, 0.0)
    assert worth.alerts_per_1000_borrower_months.b == 0.0


def test_without_outcomes_the_alerts_are_compared_alone() -> None:
    """Nothing is said about what they were worth; the settings that differ are named all the same."""
    comparison, _ = compared(raised("b-1", 50), [])

    assert comparison.total.warnings is None
    assert (comparison.capacity, comparison.lift_over_worst_payers) == (None, None)
    assert comparison.settings == {"signals.missed_payment.grace_days": Sides(0, 3)}


def test_alerts_of_borrowers_without_an_outcome_are_counted_and_not_judged() -> None:
    """Somebody must look at them all the same."""
    comparison, _ = compared(raised("b-9", 50), [], [good("b-1")])

    assert comparison.signals["income_drop"].alerts == Sides(1, 0)
    assert comparison.signals["income_drop"].warnings is None


EPISODES = st.lists(
    st.builds(
        raised,
        st.sampled_from(BORROWERS),
        st.integers(0, 100),
        st.none() | st.integers(0, 120),
        severity=st.sampled_from(SEVERITIES),
        signal=st.sampled_from(SIGNALS),
        loan_id=st.none() | st.just("l-1"),
        days_past_due=st.integers(0, 1),
    ),
    max_size=12,
).map(lambda episodes: [revision for episode in episodes for revision in episode])
OUTCOMES = st.none() | st.lists(
    st.builds(bad, st.sampled_from(BORROWERS), st.integers(0, 200))
    | st.builds(good, st.sampled_from(BORROWERS), st.integers(0, 200))
)


@given(EPISODES, EPISODES, OUTCOMES)
def test_every_alert_is_in_both_or_in_one(
    a: list[JudgedAlert], b: list[JudgedAlert], outcomes: list[Outcome] | None
) -> None:
    """Pairs and singles add up to the alerts of either policy, by signal and in all; only pairs that were open together."""
    comparison, differences = compared(a, b, outcomes)
    pairs = paired(judge(a, ()).episodes, judge(b, ()).episodes)

    for one in (comparison.total, *comparison.signals.values()):
        assert one.alerts == Sides(one.both + one.only.a, one.both + one.only.b)
    assert comparison.total.alerts == Sides(
        len({alert.alert_id for alert in a}), len({alert.alert_id for alert in b})
    )
    assert comparison.total.both == sum(one.both for one in comparison.signals.values())
    for of_a, of_b in pairs:
        if of_a is not None and of_b is not None:
            assert of_a.ended_ms is None or of_a.ended_ms > of_b.opened_ms
            assert of_b.ended_ms is None or of_b.ended_ms > of_a.opened_ms
    kinds = [difference.difference for difference in differences]
    assert Sides(kinds.count("only_a"), kinds.count("only_b")) == comparison.total.only


@given(EPISODES, OUTCOMES)
def test_a_policy_does_not_differ_from_itself(
    alerts: list[JudgedAlert], outcomes: list[Outcome] | None
) -> None:
    """The same alerts on both sides: no difference of any kind, whatever overlaps."""
    comparison, differences = compared(alerts, alerts, outcomes)

    assert differences == []
    for one in (comparison.total, *comparison.signals.values()):
        assert (one.only, one.opened_first, one.severity_moves) == (Sides(0, 0), Sides(0, 0), ())
        if one.warnings is not None:
            assert (one.warnings.hit_only, one.warnings.warned_in_vain_only) == (Sides(0, 0), Sides(0, 0))
            assert one.warnings.precision.a == one.warnings.precision.b


@given(EPISODES, EPISODES, OUTCOMES)
def test_the_other_way_round_says_the_same(
    a: list[JudgedAlert], b: list[JudgedAlert], outcomes: list[Outcome] | None
) -> None:
    """Exchanging the policies exchanges the sides."""
    forth, _ = compared(a, b, outcomes)
    back, _ = compared(b, a, outcomes)

    assert (back.total.both, back.total.only) == (
        forth.total.both,
        Sides(forth.total.only.b, forth.total.only.a),
    )
    assert back.total.opened_first == Sides(forth.total.opened_first.b, forth.total.opened_first.a)
