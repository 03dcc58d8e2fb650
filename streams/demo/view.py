"""What the demo shows while it runs: a table that renews itself on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, get_args

import click
from msgspec import Struct
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from models.alerts import Alert, SeverityName, SignalName
from streams.clock import Clock
from streams.wording import one_line

LATEST_MAX: Final = 8
"""Alerts shown one by one: what fits beside the tables on a small terminal."""
PLAIN_EVERY_SECONDS: Final = 3.0
"""Between two plain lines: often enough to see that it lives, seldom enough for a log."""

_RATE_SECONDS: Final = 5
"""Events/s are shown over so long: short enough to live, long enough to stand still."""

SEVERITIES: Final[tuple[SeverityName, ...]] = get_args(SeverityName)
_SEVERITY_STYLES: Final = {
    "watch": "cyan",
    "warning": "yellow",
    "serious": "red",
    "critical": "bold white on red",
}
_CLOSED: Final = frozenset({"resolved", "retracted"})


class AlertBoard:
    """Counts alerts as they come: revisions by signal and status, open ones by signal and severity."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.revisions: Counter[tuple[SignalName, str]] = Counter()
        self.latest: deque[Alert] = deque(maxlen=LATEST_MAX)
        self._open: dict[str, tuple[SignalName, SeverityName]] = {}

    def take(self, alert: Alert) -> None:
        """Count one revision."""
        self.revisions[alert.signal, alert.status] += 1
        if alert.status in _CLOSED:
            self._open.pop(alert.alert_id, None)
            return
        self._open[alert.alert_id] = (alert.signal, alert.severity)
        if alert.status in ("opened", "escalated"):
            self.latest.append(alert)

    def open_now(self) -> Counter[tuple[SignalName, SeverityName]]:
        """Open alerts by signal and severity."""
        return Counter(self._open.values())

    @property
    def opened(self) -> int:
        """Alerts ever opened."""
        return sum(count for (_, status), count in self.revisions.items() if status == "opened")


class Snapshot(Struct, frozen=True):
    """How far things are at one instant."""

    elapsed_seconds: float
    written: int
    """Records in the input topics."""
    consumed: int
    """Of them, processed and committed."""
    events_per_second: float
    """Over the last `_RATE_SECONDS`."""

    @property
    def lag(self) -> int:
        """Written and not yet consumed."""
        return max(0, self.written - self.consumed)


class Odometer:
    """Makes speed out of totals looked up now and then."""

    def __init__(self, clock: Clock) -> None:
        """The watch starts now."""
        self._clock = clock
        self._began_ms = self._moved_ms = clock.monotonic_ms()
        self._first_record_ms: int | None = None
        self._totals = (0, 0)
        self._recent: deque[tuple[int, int]] = deque()

    def read(self, written: int, consumed: int) -> Snapshot:
        """Take the totals of now."""
        now_ms = self._clock.monotonic_ms()
        if (written, consumed) != self._totals:
            self._totals, self._moved_ms = (written, consumed), now_ms
        if written and self._first_record_ms is None:
            self._first_record_ms = now_ms
        self._recent.append((now_ms, consumed))
        while now_ms - self._recent[0][0] > _RATE_SECONDS * 1000:
            self._recent.popleft()
        began_ms, consumed_before = self._recent[0]
        rate = 1000 * (consumed - consumed_before) / (now_ms - began_ms) if now_ms > began_ms else 0.0
        return Snapshot((now_ms - self._began_ms) / 1000, written, consumed, rate)

    @property
    def stalled_seconds(self) -> float:
        """Since anything was written or consumed."""
        return (self._clock.monotonic_ms() - self._moved_ms) / 1000

    @property
    def busy_seconds(self) -> float:
        """From the first record seen to the last one consumed."""
        began_ms = self._began_ms if self._first_record_ms is None else self._first_record_ms
        return (self._moved_ms - began_ms) / 1000


class View(Protocol):
    """What the demo tells its watcher."""

    def say(self, text: str) -> None:
        """A line that stays."""
        ...

    def show(self, snapshot: Snapshot, board: AlertBoard) -> None:
        """How far things are; called several times a second."""
        ...


@contextmanager
def open_view(*, plain: bool) -> Iterator[View]:
    """A view for as long as the block lasts: tables on a terminal, else (or with `plain`) lines."""
    if plain or not sys.stdout.isatty():
        yield PlainView()
        return
    console = Console()
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield TerminalView(live)


class PlainView:
    """A line every few seconds."""

    def __init__(self) -> None:
        """The first line comes at once."""
        self._next_at = 0.0

    def say(self, text: str) -> None:
        """Print a line."""
        click.echo(text)

    def show(self, snapshot: Snapshot, board: AlertBoard) -> None:
        """Print a line now and then, and the latest alert below it."""
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + PLAIN_EVERY_SECONDS
        still = ", ".join(
            f"{severity} {count:,}"
            for severity in SEVERITIES
            if (count := sum(n for (_, s), n in board.open_now().items() if s == severity))
        )
        click.echo(
            f"{snapshot.elapsed_seconds:6.1f} s  {snapshot.consumed:>9,} events  "
            f"{snapshot.events_per_second:>8,.0f} events/s  lag {snapshot.lag:>9,}  "
            f"alerts opened {board.opened:,}; open now: {still or 'none'}"
        )
        if board.latest:
            click.echo(f"          {one_line(board.latest[-1])}")


class TerminalView:
    """Tables that renew themselves."""

    def __init__(self, live: Live) -> None:
        """`live` has been started."""
        self._live = live

    def say(self, text: str) -> None:
        """Print a line above the tables."""
        self._live.console.print(text, highlight=False, markup=False)

    def show(self, snapshot: Snapshot, board: AlertBoard) -> None:
        """Renew the tables."""
        self._live.update(Group(_progress(snapshot), Text(), _table(board), Text(), *_latest(board.latest)))


def _progress(snapshot: Snapshot) -> RenderableType:
    grid = Table.grid(padding=(0, 3))
    grid.add_row(
        Text(f"{snapshot.elapsed_seconds:.0f} s"),
        Text.assemble((f"{snapshot.consumed:,}", "bold"), " events in"),
        Text.assemble((f"{snapshot.events_per_second:,.0f}", "bold green"), " events/s"),
        Text.assemble("lag ", (f"{snapshot.lag:,}", "bold")),
    )
    return grid


def _table(board: AlertBoard) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("alerts")
    table.add_column("opened", justify="right")
    for severity in SEVERITIES:
        table.add_column(f"{severity}, open", justify="right", style=_SEVERITY_STYLES[severity])
    open_now = board.open_now()
    for signal in get_args(SignalName):
        counts = (f"{open_now[signal, severity]:,}" for severity in SEVERITIES)
        table.add_row(signal, f"{board.revisions[signal, 'opened']:,}", *counts)
    return table


def _latest(alerts: Sequence[Alert]) -> list[Text]:
    return [
        Text(one_line(alert), style=_SEVERITY_STYLES[alert.severity], overflow="ellipsis", no_wrap=True)
        for alert in reversed(alerts)
    ]
