"""Signals that confirm each other: one step worse, never two, and back when the other is gone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from models.alerts import Alert
from models.engine import RiskEngine
from models.events import CreditQuery, Event
from models.policy import PolicyError, parse_policy
from tests.support.events import at, end_of, engine, feed_of, in_order, loan, local, paid, query, run

RULE = """
combinations = [
    {{ signal = "missed_payment", severity_max = "{most}", confirmed_by = "multi_platform_borrowing", confirmed_severity_min = "{least}" }},
]
"""
LOAN = loan("2025-01-01", [("2025-02-10", 1_000_000)])


def combined(most: str = "watch", least: str = "warning") -> str:
    """A policy under which borrowing elsewhere makes a missed payment worse."""
    return RULE.format(most=most, least=least)


def queries(count: int, day: str = "2025-02-12", first: int = 0) -> list[CreditQuery]:
    """Applications at so many institutions, one a minute."""
    return [
        query(day, f"i-{number}", event_time_ms=at(day) + number * 60_000)
        for number in range(first, first + count)
    ]


def told(events: Sequence[Event], override: str, until: str) -> list[str]:
    """When, what and how severe, for the missed payment."""
    return [
        f"{local(alert.event_time_ms)[5:]} {alert.status} {alert.severity}"
        for alert in missed(events, override, until)
    ]


def missed(events: Sequence[Event], override: str, until: str) -> list[Alert]:
    """The alerts of the missed payment, but for mere changes of what is shown."""
    alerts = run(in_order(events), override, until)
    return [alert for alert in alerts if alert.signal == "missed_payment" and alert.status != "updated"]


@pytest.mark.parametrize(
    ("count", "least", "is_raised"),
    [
        (4, "warning", False),
        (5, "warning", True),
        (2, "watch", False),
        (3, "watch", True),
        (7, "serious", False),
    ],
)
def test_the_other_signal_must_be_severe_enough(count: int, least: str, *, is_raised: bool) -> None:
    """On both sides of the severity that the rule asks for."""
    alerts = told([LOAN, *queries(count)], combined(least=least), "2025-02-12")

    assert len(alerts) == 1 + is_raised
    assert alerts[0] == "02-11 00:00 opened watch"
    assert not is_raised or alerts[1].endswith("escalated warning")


def test_the_event_that_confirms_is_named() -> None:
    """The alert rises at once, caused by what made the other signal severe enough, and by nothing earlier or later."""
    confirming = queries(5)
    alerts = missed([LOAN, *confirming, *queries(1, "2025-02-13", first=5)], combined(), "2025-02-13")

    assert [alert.status for alert in alerts] == ["opened", "escalated"]
    assert (alerts[1].caused_by.topic, alerts[1].caused_by.event_id) == (
        "credit-queries",
        confirming[-1].event_id,
    )


def test_what_is_found_before_raises_from_the_opening_on() -> None:
    """The alert opens a step worse, and says why."""
    (alert,) = missed([LOAN, *queries(5, "2025-02-01")], combined(), "2025-02-11")

    assert (alert.status, alert.severity) == ("opened", "warning")
    assert alert.reasons[-1].code == "COMBINED"
    assert alert.reasons[-1].evidence == {
        "signal": "multi_platform_borrowing",
        "severity": "warning",
        "threshold": "warning",
        "severity_alone": "watch",
    }
    assert alert.reasons[-1].text.en == (
        "One severity worse, warning instead of watch: multi_platform_borrowing is found as well, warning (the policy "
        "asks for warning)."
    )
    assert alert.reasons[-1].text.zh == (
        "上调一级，由关注升为预警：同时存在 multi_platform_borrowing，级别为预警（策略要求至少预警）。"
    )


def test_a_severity_above_the_rules_is_left_as_it_is() -> None:
    """`severity_max` watch raises watch only: at seven days past due the warning is one by itself."""
    alerts = missed([LOAN, *queries(5, "2025-02-12")], combined(), "2025-02-17")

    assert [alert.severity for alert in alerts] == ["watch", "warning"]
    assert alerts[-1].reasons[-1].code == "COMBINED"


def test_what_was_raised_stays_until_the_other_signal_is_gone() -> None:
    """Below the rule's severity it still confirms; only when nothing is found any more does the alert ease."""
    slow = loan("2025-01-01", [("2025-03-01", 1_000_000)])
    policy = (
        combined()
        + "\n[signals.missed_payment]\nseverity = { watch = 1, warning = 60, serious = 61, critical = 90 }\n"
    )
    spread = [*queries(3, "2025-03-05"), *queries(2, "2025-02-20", first=3)]

    assert told([slow, *spread], policy, "2025-04-10") == [
        "03-02 00:00 opened watch",
        "03-05 12:02 escalated warning",
        "04-04 12:00 eased watch",
    ]


def test_critical_is_the_worst_there_is() -> None:
    """Nothing is raised beyond it."""
    alerts = missed(
        [loan("2025-01-01", [("2025-01-02", 1_000_000)]), *queries(5, "2025-04-10")],
        combined(most="critical"),
        "2025-04-15",
    )

    assert alerts[-1].severity == "critical"


def test_two_rules_raise_once() -> None:
    """The first that applies counts."""
    both = combined(least="watch").replace(
        "]\n", combined(least="warning").split("[")[1].split("]")[0] + "]\n"
    )
    (alert,) = missed([LOAN, *queries(5, "2025-02-01")], both, "2025-02-11")

    assert (alert.severity, [reason.code for reason in alert.reasons].count("COMBINED")) == ("warning", 1)


def test_it_resolves_as_ever() -> None:
    """A combination neither opens nor holds open."""
    alerts = told([LOAN, *queries(5, "2025-02-01"), paid("2025-02-13", 1_000_000)], combined(), "2025-02-20")

    assert alerts == ["02-11 00:00 opened warning", "02-13 12:00 resolved warning"]
    assert told(queries(5, "2025-02-01"), combined(), "2025-02-20") == []


def test_how_far_the_other_feed_is_does_not_matter() -> None:
    """The confirming signal is asked on the clock of the one that it confirms."""
    events: list[Event] = [LOAN, *queries(5, "2025-02-10")]
    ahead, behind = engine(combined()), engine(combined())
    for risk_engine in (ahead, behind):
        for offset, event in enumerate(events):
            risk_engine.process(event, feed_of(event), offset)
    ahead.advance_together({0: at("2025-03-20")})

    assert _finish(ahead) == _finish(behind)


def _finish(risk_engine: RiskEngine) -> list[tuple[str, str, int]]:
    risk_engine.advance_together(end_of("2025-03-31"))
    return [
        (alert.status, alert.severity, alert.event_time_ms)
        for alert in risk_engine.take_alerts(0)
        if alert.signal == "missed_payment"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            RULE.format(most="watch", least="warning").replace("multi_platform_borrowing", "missed_payment"),
            "itself",
        ),
        (RULE.format(most="bad", least="warning"), "severity_max"),
        (
            RULE.format(most="watch", least="warning").replace("multi_platform_borrowing", "nothing"),
            "confirmed_by",
        ),
        ("combinations = [{ signal = 'missed_payment' }]", "combinations"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(text: str, message: str) -> None:
    """With file, place and what is wrong."""
    with pytest.raises(PolicyError, match=message) as caught:
        parse_policy(text, "own.toml")
    assert str(caught.value).startswith("own.toml: combinations")
