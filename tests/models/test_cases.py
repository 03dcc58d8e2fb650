"""Which alerts make one case: as of their openings, however far the feeds of the others are by then."""

from __future__ import annotations

from collections.abc import Sequence

from models.alerts import Alert
from models.events import CREDIT_QUERIES, FUND_FLOWS, REPAYMENTS, SERVICING, BorrowerEvent, Heartbeat
from tests.support.equality import by_borrower
from tests.support.events import end_of, engine, feed_of, flow, loan, local, paid, query

LONG_COOLDOWN = "[signals.income_drop]\ncooldown_days = 90\n"


def alerts_of(events: Sequence[BorrowerEvent], override: str = "", *, feeds_follow: bool) -> list[Alert]:
    """The alerts of events in order, every feed as far as each event, or as far as its own events took it."""
    risk_engine = engine(override)
    for offset, event in enumerate(events):
        if feeds_follow:
            for feed in (CREDIT_QUERIES, FUND_FLOWS, REPAYMENTS, SERVICING):
                risk_engine.process(Heartbeat(event_time_ms=event.event_time_ms - 1), feed, offset)
        risk_engine.process(event, feed_of(event), offset)
    risk_engine.advance_together(end_of("2025-08-31"))
    return risk_engine.take_alerts(detected_at_ms=0)


def cases_of(events: Sequence[BorrowerEvent], override: str = "") -> dict[tuple[str, str], str]:
    """Case by signal and opening; the same whether feeds follow or lag."""
    following = alerts_of(events, override, feeds_follow=True)
    assert by_borrower(following) == by_borrower(alerts_of(events, override, feeds_follow=False))
    return {(alert.signal, local(alert.opened_at_ms)): alert.case_id for alert in following}


def queries(day: str) -> list[BorrowerEvent]:
    """Enough of a run on new institutions to open an alert with the last."""
    return [query(day, f"i-{number}") for number in range(3)]


def test_an_alert_joins_the_spell_that_stands_and_not_the_one_that_ended_before() -> None:
    """The first miss was made good and another came, though no deadline of either has been passed."""
    cases = cases_of(
        [
            loan("2025-01-01", [("2025-03-01", 100_000), ("2025-03-15", 100_000)]),
            paid("2025-03-02", 1, "02:00"),
            paid("2025-03-08", 100_000, "00:30"),
            *queries("2025-03-20"),
        ]
    )

    joined = cases["multi_platform_borrowing", "2025-03-20 12:00"]
    assert joined == cases["missed_payment", "2025-03-16 00:00"]
    assert joined != cases["missed_payment", "2025-03-02 00:00"]


def test_an_alert_that_a_cooldown_holds_back_makes_no_case() -> None:
    """Pay that fails to come again within the cooldown opens nothing: who opens then is alone."""
    pays = [flow(f"2025-{month:02}-10", 800_000) for month in range(1, 6)]
    spent = [flow(f"2025-{month:02}-20", 5_000, "living", "out") for month in range(1, 6)]
    back = [flow("2025-06-28", 800_000)]
    events = [*pays, *spent, *back, *queries("2025-08-25")]
    cases = cases_of(sorted(events, key=lambda event: event.event_time_ms), LONG_COOLDOWN)

    assert sorted(signal for signal, _ in cases) == ["income_drop", "multi_platform_borrowing"]
    assert len(set(cases.values())) == 2
