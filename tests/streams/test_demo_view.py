"""What the demo shows: speed out of totals, alerts counted as they come, and text that a person can read."""

from __future__ import annotations

import msgspec
import pytest
from rich.console import Console
from rich.live import Live

from models.alerts import (
    Alert,
    Cause,
    Chain,
    Exposure,
    Reason,
    Recommendation,
    Resolution,
    Risk,
    SeverityName,
    Status,
    Text,
)
from streams.demo.view import AlertBoard, Odometer, PlainView, Snapshot, TerminalView
from streams.kafka.feeding import EventTimePace
from streams.wording import columns, one_line

NOON_MS = 1_750_000_000_000
"""2025-06-15T15:06Z."""


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.ms = 1_000

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return NOON_MS + self.ms

    def monotonic_ms(self) -> int:
        """The stop-watch."""
        return self.ms


def alert(
    alert_id: str = "a-1",
    status: Status = "opened",
    severity: SeverityName = "watch",
    resolution: Resolution | None = None,
) -> Alert:
    """An alert that says as little as an alert can."""
    return Alert(
        alert_id=alert_id,
        revision=1,
        case_id="c-1",
        status=status,
        resolution=resolution,
        signal="missed_payment",
        severity=severity,
        borrower_id="b-1",
        loan_id="l-1",
        event_time_ms=NOON_MS,
        detected_at_ms=NOON_MS,
        opened_at_ms=NOON_MS,
        risk=Risk(0.1, "medium", "m", "30+ DPD", 60),
        exposure=Exposure("CNY", 0, 0, 1, None, None, 0, ("l-1",)),
        priority=1,
        reasons=(Reason("MP-DPD", Text("1 day past due.", "逾期1天。"), {"days_past_due": 1}),),
        recommendation=Recommendation(
            stage="remind",
            actionable=True,
            not_before_ms=0,
            not_after_ms=0,
            attempts_left=3,
            hold=None,
            human_review_required=False,
        ),
        policy_version="p",
        caused_by=Cause("repayments", 0, 0, None),
        chain=Chain(1, "", ""),
    )


def test_speed_is_that_of_the_last_seconds() -> None:
    """Events/s forget what is longer ago than five seconds."""
    clock = HandClock()
    odometer = Odometer(clock)
    odometer.read(0, 0)

    for _ in range(10):
        clock.ms += 1_000
        odometer.read(10_000, (clock.ms - 1_000) // 10)
    clock.ms += 1_000
    snapshot = odometer.read(10_000, 2_000)

    assert snapshot.elapsed_seconds == 11
    assert snapshot.events_per_second == pytest.approx((2_000 - 600) / 5)
    assert snapshot.lag == 8_000


def test_standing_still_is_noticed() -> None:
    """Stalled is the time since anything moved; busy ends with the last move."""
    clock = HandClock()
    odometer = Odometer(clock)
    odometer.read(0, 0)
    clock.ms += 2_000
    odometer.read(5, 0)
    clock.ms += 3_000
    odometer.read(5, 5)
    clock.ms += 7_000
    odometer.read(5, 5)

    assert odometer.stalled_seconds == 7
    assert odometer.busy_seconds == 3


def test_open_alerts_are_those_not_closed() -> None:
    """An escalation moves an alert on, a resolution takes it away; revisions are counted all."""
    board = AlertBoard()
    for one in (
        alert("a-1"),
        alert("a-2"),
        alert("a-1", "escalated", "warning"),
        alert("a-2", "resolved", resolution="paid"),
    ):
        board.take(one)

    assert board.open_now() == {("missed_payment", "warning"): 1}
    assert board.opened == 2
    assert board.revisions["missed_payment", "resolved"] == 1
    assert [one.status for one in board.latest] == ["opened", "opened", "escalated"]


def test_an_alert_is_told_in_one_line() -> None:
    """When, how bad, what happened, which signal, to whom, and why."""
    line = one_line(alert(status="resolved", resolution="paid"))

    assert line == (
        "2025-06-15 15:06Z  watch     resolved (paid)  missed_payment              b-1  1 day past due."
    )


def test_an_alert_without_reasons_is_told_as_well() -> None:
    """A line never fails for what is missing."""
    assert "b-1" in one_line(msgspec.structs.replace(alert(), reasons=()))


def test_columns_put_numbers_to_the_right() -> None:
    """Words left, numbers right, a dash for what is not known."""
    text = columns(("signal", "count", "share"), [("a", 1, 0.25), ("longer", 12_345, None)])

    assert text.splitlines() == [
        "signal   count  share",
        "a            1    0.2",
        "longer  12,345      -",
    ]
    assert columns(("a", "b"), []) == "a  b"


def test_columns_of_figures_that_are_text_already_stand_to_the_right() -> None:
    """So many columns hold words, the others figures with their signs."""
    assert columns(("signal", "share"), [("a", "2.5%"), ("longer", "-")], words=1).splitlines() == [
        "signal  share",
        "a        2.5%",
        "longer      -",
    ]


def test_plain_lines_come_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """The first snapshot is printed at once with the latest alert, the next only seconds later."""
    view, board = PlainView(), AlertBoard()
    board.take(alert())

    view.show(Snapshot(1.0, 10, 4, 4.0), board)
    view.show(Snapshot(1.1, 10, 5, 4.0), board)

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "lag         6" in lines[0]
    assert "open now: watch 1" in lines[0]
    assert "1 day past due." in lines[1]


def test_the_terminal_shows_tables_and_the_latest_alerts() -> None:
    """Totals, open alerts by severity, and the alerts themselves."""
    console = Console(width=120, height=30, force_terminal=True, record=True)
    board = AlertBoard()
    board.take(alert(severity="critical"))
    with Live(console=console, auto_refresh=False) as live:
        TerminalView(live).show(Snapshot(12.0, 1_234, 1_000, 250.0), board)
        live.refresh()

    text = console.export_text()
    assert "1,000 events in" in text
    assert "250 events/s" in text
    assert "lag 234" in text
    assert "critical, open" in text
    assert "1 day past due." in text


def test_event_time_passes_at_the_speed_asked_for() -> None:
    """An hour at 3,600 times its speed takes a second; what has no time goes at once."""
    clock = HandClock()
    pace = EventTimePace(3_600, clock)

    assert pace.seconds_until(-1) == 0
    assert pace.seconds_until(NOON_MS) == 0
    assert pace.seconds_until(NOON_MS + 3_600_000) == pytest.approx(1.0)
    clock.ms += 400
    assert pace.seconds_until(NOON_MS + 3_600_000) == pytest.approx(0.6)
    clock.ms += 10_000
    assert pace.seconds_until(NOON_MS + 3_600_000) < 0
