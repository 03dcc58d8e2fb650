"""What a transaction comes to, in figures: gathered while it is made, told once it is committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct, field

from models.engine import EngineOutput
from models.events import Topic
from models.rejects import RejectReason
from streams.metrics import Metrics


class Tally(Struct):
    """The figures of one transaction."""

    rejects: Counter[tuple[Topic, RejectReason]] = field(default_factory=Counter)
    alerts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Revisions by signal, status and severity."""
    matured: Counter[str] = field(default_factory=Counter)
    """Examples by outcome."""
    state_records: int = 0
    state_bytes: int = 0
    caused_at_ms: list[int] = field(default_factory=list)
    """Of each alert that an event caused: the timestamp of the event's record."""

    def take(self, output: EngineOutput) -> None:
        """Add what the engine handed over."""
        self.alerts.update((alert.signal, alert.status, alert.severity) for alert in output.alerts)
        self.matured.update(example.outcome for example in output.examples)
        self.state_records += len(output.changed)
        self.state_bytes += _bytes_of(output.changed.values())

    def tell(self, metrics: Metrics, now_ms: int) -> None:
        """Count it, committed at `now_ms` by the wall clock."""
        for (topic, reason), count in self.rejects.items():
            metrics.count("rejects", count, topic, reason)
        for labels, count in self.alerts.items():
            metrics.count("alerts", count, *labels)
        for outcome, count in self.matured.items():
            metrics.count("matured", count, outcome)
        metrics.count("state_records", self.state_records)
        metrics.count("state_written_bytes", self.state_bytes)
        for caused_at_ms in self.caused_at_ms:
            # Clocks differ between machines: what seems to be caused after it was told took no time.
            metrics.observe("alert_latency_seconds", max(0, now_ms - caused_at_ms) / 1000)


def _bytes_of(records: Iterable[bytes | None]) -> int:
    return sum(len(record) for record in records if record is not None)
