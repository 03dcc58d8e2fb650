"""Every metric, with its kind and its meaning. Touched per batch, never per event.

The names are one `Literal`, so that a mistyped one does not type-check.
"""

from __future__ import annotations

from collections import Counter as CountingDict
from typing import Final, Literal, Protocol

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

CounterName = Literal[
    "polled",
    "events",
    "rejects",
    "ignored",
    "alerts",
    "commits",
    "state_records",
    "noticed",
    "rebalances",
    "policies",
    "matured",
    "scorecards",
    "examples",
    "card_steps",
    "drifts",
    "training_restarts",
    "challenger_examples",
    "challengers_withdrawn",
]
GaugeName = Literal[
    "tasks",
    "buffered_records",
    "borrowers",
    "feed_silent",
    "restored_records",
    "restore_remaining_records",
    "restore_seconds_left",
    "policy_tasks",
    "policies_age_seconds",
    "scorecard_tasks",
    "scorecards_age_seconds",
    "training",
    "model_examples",
    "model_bad_rate",
    "model_auc",
    "model_ks",
    "model_log_loss",
    "model_calibration_error",
    "challenger_judged",
    "challenger_auc",
    "challenger_ks",
    "challenger_log_loss",
    "challenger_calibration_error",
]
HistogramName = Literal["commit_seconds", "restore_seconds"]


class Described(Struct, frozen=True):
    """What a metric says, and by what it is told apart."""

    meaning: str
    labels: tuple[str, ...] = ()


COUNTERS: Final[dict[CounterName, Described]] = {
    "polled": Described("Records read from the input topics, and messages of linked borrowers", ("topic",)),
    "events": Described("Records processed, accepted or not"),
    "rejects": Described("Records sent to dead-letters", ("topic", "reason")),
    "ignored": Described("Records that the lender's mapping says are not for us", ("topic",)),
    "alerts": Described("Alert revisions published", ("signal", "status", "severity")),
    "commits": Described("Transactions committed"),
    "state_records": Described("Borrower states written to the changelog"),
    "noticed": Described("What the engine noticed and did not act on", ("what",)),
    "rebalances": Described("Assignments received"),
    "policies": Described(
        "Policies published: taken, refused as not valid, or not readable for now", ("outcome",)
    ),
    "matured": Described(
        "Observed borrowers of whom is known what became, sent to training-examples", ("outcome",)
    ),
    "scorecards": Described(
        "Scorecards put in force: taken up, refused as not usable, or not readable for now", ("outcome",)
    ),
    "examples": Described(
        "Examples learnt from, read again after a restart too; lost: deleted before they were learnt from",
        ("outcome",),
    ),
    "card_steps": Described("Scorecards published, or refused and why", ("outcome",)),
    "drifts": Described("Times that the model was found to foretell another way than before", ("watched",)),
    "training_restarts": Described("Times that learning began anew at the last card after a failure"),
    "challenger_examples": Described(
        "Sampled examples that challengers learnt from; skipped: too many waited", ("outcome",)
    ),
    "challengers_withdrawn": Described("Challengers that failed and learn no more", ("model",)),
}
GAUGES: Final[dict[GaugeName, Described]] = {
    "tasks": Described("Tasks by phase", ("phase",)),
    "buffered_records": Described("Records that wait for their place in the order", ("topic",)),
    "borrowers": Described("Borrowers held in memory"),
    "feed_silent": Described(
        "1 while a feed as a whole is silent and its judgements of absence wait", ("topic",)
    ),
    "restored_records": Described(
        "Changelog records read by the restore under way; 0 when it is done", ("task",)
    ),
    "restore_remaining_records": Described(
        "Changelog records left to read, at most; 0 when it is done", ("task",)
    ),
    "restore_seconds_left": Described("How long a restore still takes if it goes on like this", ("task",)),
    "policy_tasks": Described("Tasks that judge by a policy", ("version",)),
    "policies_age_seconds": Described("Since the published policies were last read without failure"),
    "scorecard_tasks": Described("Tasks that weigh risk by a scorecard", ("version",)),
    "scorecards_age_seconds": Described("Since the published scorecards were last read without failure"),
    "training": Described("1 in the worker that learns; 0 in the others"),
    "model_examples": Described("Examples that the figures of the model rest on, by weight", ("segment",)),
    "model_bad_rate": Described("Part of them that went bad", ("segment",)),
    "model_auc": Described("AUC of the model, each example judged before it was learnt from", ("segment",)),
    "model_ks": Described("The same: distance of Kolmogorov and Smirnov", ("segment",)),
    "model_log_loss": Described("The same: log-loss", ("segment",)),
    "model_calibration_error": Described("The same: calibration error by deciles", ("segment",)),
    "challenger_judged": Described(
        "Sampled examples on which challengers and cards were judged, since the start"
    ),
    "challenger_auc": Described(
        "AUC of a challenger, or of the card, on the sample; each example judged before it was learnt from",
        ("model",),
    ),
    "challenger_ks": Described("The same: distance of Kolmogorov and Smirnov", ("model",)),
    "challenger_log_loss": Described("The same: log-loss", ("model",)),
    "challenger_calibration_error": Described("The same: calibration error by deciles", ("model",)),
}
HISTOGRAMS: Final[dict[HistogramName, Described]] = {
    "commit_seconds": Described("From the start of a transaction to its commit"),
    "restore_seconds": Described("From the start of a task's producer to its open gate"),
}
_BUCKETS_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)


class Metrics(Protocol):
    """Where figures go."""

    def count(self, name: CounterName, amount: float = 1, *labels: str) -> None:
        """Add to a counter; labels in the catalogue's order."""
        ...

    def set(self, name: GaugeName, value: float, *labels: str) -> None:
        """Set a gauge."""
        ...

    def forget(self, name: GaugeName, *labels: str) -> None:
        """Show a gauge with these labels no more."""
        ...

    def observe(self, name: HistogramName, value: float) -> None:
        """Add to a histogram."""
        ...


class PrometheusMetrics:
    """The figures for Prometheus, in a registry of their own."""

    def __init__(self) -> None:
        """Register the whole catalogue."""
        self.registry = CollectorRegistry()
        self._counters = {
            name: Counter(f"forewarn_{name}", metric.meaning, metric.labels, registry=self.registry)
            for name, metric in COUNTERS.items()
        }
        self._gauges = {
            name: Gauge(f"forewarn_{name}", metric.meaning, metric.labels, registry=self.registry)
            for name, metric in GAUGES.items()
        }
        self._histograms = {
            name: Histogram(
                f"forewarn_{name}", metric.meaning, buckets=_BUCKETS_SECONDS, registry=self.registry
            )
            for name, metric in HISTOGRAMS.items()
        }

    def count(self, name: CounterName, amount: float = 1, *labels: str) -> None:
        """Add to a counter."""
        counter = self._counters[name]
        (counter.labels(*labels) if labels else counter).inc(amount)

    def set(self, name: GaugeName, value: float, *labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def forget(self, name: GaugeName, *labels: str) -> None:
        """Show a gauge with these labels no more."""
        self._gauges[name].remove(*labels)

    def observe(self, name: HistogramName, value: float) -> None:
        """Add to a histogram."""
        self._histograms[name].observe(value)


class PlainMetrics:
    """The figures as plain numbers: for the demo's live view, and for tests."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.counters: CountingDict[tuple[str, ...]] = CountingDict()
        """(name, *labels) to amount."""
        self.gauges: dict[tuple[str, ...], float] = {}
        self.observed: CountingDict[str] = CountingDict()
        """How often each histogram was added to."""
        self.sums: dict[str, float] = {}
        """What was added to each histogram."""

    def count(self, name: CounterName, amount: float = 1, *labels: str) -> None:
        """Add to a counter."""
        self.counters[name, *labels] += int(amount)

    def set(self, name: GaugeName, value: float, *labels: str) -> None:
        """Set a gauge."""
        self.gauges[name, *labels] = value

    def forget(self, name: GaugeName, *labels: str) -> None:
        """Show a gauge with these labels no more."""
        self.gauges.pop((name, *labels), None)

    def observe(self, name: HistogramName, value: float) -> None:
        """Count an observation, and add it up."""
        self.observed[name] += 1
        self.sums[name] = self.sums.get(name, 0.0) + value

    def total(self, name: CounterName) -> int:
        """A counter over all its labels."""
        return sum(amount for key, amount in self.counters.items() if key[0] == name)
