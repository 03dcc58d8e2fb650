"""Every metric is in the catalogue, and the two ways to keep figures agree."""

from __future__ import annotations

from typing import get_args

from prometheus_client import generate_latest

from streams.metrics import PlainMetrics, PrometheusMetrics
from streams.metrics_catalogue import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    CounterName,
    GaugeName,
    HistogramName,
)


def test_every_name_is_described() -> None:
    """The names that type-check are those of the catalogue."""
    assert set(get_args(CounterName)) == set(COUNTERS)
    assert set(get_args(GaugeName)) == set(GAUGES)
    assert set(get_args(HistogramName)) == set(HISTOGRAMS)


def test_prometheus_shows_what_was_counted() -> None:
    """Counters add up, gauges hold the last, labels come in the catalogue's order."""
    metrics = PrometheusMetrics()
    metrics.count("processed", 3)
    metrics.count("rejects", 1, "repayments", "not-json")
    metrics.set("tasks", 2, "open")
    metrics.observe("commit_seconds", 0.03)
    shown = generate_latest(metrics.registry).decode()

    assert "forewarn_processed_total 3.0" in shown
    assert 'forewarn_rejects_total{reason="not-json",topic="repayments"} 1.0' in shown
    assert 'forewarn_tasks{phase="open"} 2.0' in shown
    assert "forewarn_commit_seconds_count 1.0" in shown


def test_plain_figures_add_up_over_labels() -> None:
    """A total is over all labels."""
    metrics = PlainMetrics()
    metrics.count("rejects", 1, "repayments", "not-json")
    metrics.count("rejects", 2, "servicing", "empty")
    metrics.set("borrowers", 5)
    metrics.observe("restore_seconds", 1)

    assert metrics.total("rejects") == 3
    assert metrics.gauges["borrowers",] == 5
    assert metrics.observed["restore_seconds"] == 1


def test_what_is_forgotten_is_shown_no_more() -> None:
    """A gauge of one label, in both ways; the others stay."""
    metrics, plain = PrometheusMetrics(), PlainMetrics()
    for kept in (metrics, plain):
        kept.set("scorecard_tasks", 1, "old")
        kept.set("scorecard_tasks", 2, "new")
        kept.forget("scorecard_tasks", "old")

    assert plain.gauges == {("scorecard_tasks", "new"): 2}
    shown = generate_latest(metrics.registry).decode()
    assert 'version="new"' in shown
    assert 'version="old"' not in shown
