"""Where figures go: to Prometheus, or into plain numbers. Touched per batch, never per event.

What there is to count is said in `streams/metrics_catalogue.py`.
"""

from __future__ import annotations

from collections import Counter as CountingDict
from collections.abc import Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from streams.metrics_catalogue import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    PREFIX,
    CounterName,
    GaugeName,
    HistogramName,
)


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


class ChangingGauge:
    """A gauge whose labels come and go: what is shown no more is forgotten, or it would stand as it was for ever."""

    def __init__(self, metrics: Metrics, name: GaugeName) -> None:
        """Nothing is shown yet."""
        self._metrics = metrics
        self.name: GaugeName = name
        self._shown: set[tuple[str, ...]] = set()

    def show(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Show these values, by labels, and no others."""
        for labels in self._shown - values.keys():
            self._metrics.forget(self.name, *labels)
        for labels, value in values.items():
            self._metrics.set(self.name, value, *labels)
        self._shown = set(values)


class PrometheusMetrics:
    """The figures for Prometheus, in a registry of their own."""

    def __init__(self) -> None:
        """Register the whole catalogue, and what Prometheus knows of every process: memory, CPU, open files."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._counters = {
            name: Counter(PREFIX + name, metric.meaning, metric.labels, registry=self.registry)
            for name, metric in COUNTERS.items()
        }
        self._gauges = {
            name: Gauge(PREFIX + name, metric.meaning, metric.labels, registry=self.registry)
            for name, metric in GAUGES.items()
        }
        self._histograms = {
            name: Histogram(PREFIX + name, metric.meaning, buckets=metric.buckets, registry=self.registry)
            for name, metric in HISTOGRAMS.items()
        }
        for name, metric in COUNTERS.items():
            for labels in metric.from_zero:
                self._counters[name].labels(*labels)

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
