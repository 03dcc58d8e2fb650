"""One catalogue: what code, page and read-mes say of metrics is what is in it, and no label grows without bound."""

from __future__ import annotations

import ast
import re
from collections import Counter as CountingDict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final, get_args

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from models.alerts import SignalName
from models.events import TOPICS, TYPES_BY_TOPIC
from models.portfolio import BUCKETS
from models.rejects import PayloadReason, StateReason
from models.risk.drift import WATCHED
from models.risk.prequential import OTHER_SEGMENTS, SEGMENTS_MAX
from streams.metrics import PlainMetrics, PrometheusMetrics
from streams.metrics_catalogue import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    LABELS,
    CounterName,
    GaugeName,
    HistogramName,
    LabelName,
    MetricName,
    shown_name,
    whole,
)
from streams.metrics_page import catalogue_page

ROOT: Final = Path(__file__).resolve().parents[2]
CATALOGUE: Final = {name: described for name, _, described in whole()}
_SETS: Final = {"count": 2, "set": 2, "observe": 2, "forget": 1, "ChangingGauge": 2}
"""Calls that name a metric, and how many arguments stand before the labels."""
_NAMED: Final = re.compile(r"forewarn_[a-z_]*[a-z](?![a-z_{]|\()")


def sources() -> Iterator[tuple[Path, ast.Module]]:
    """The code that may count."""
    for path in sorted((ROOT / "streams").rglob("*.py")):
        if not path.name.startswith("metrics"):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def names_in_code() -> set[str]:
    """Every word in the code that is a metric's name."""
    return {
        node.value
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in CATALOGUE
    }


def calls() -> Iterator[tuple[str, str, int]]:
    """Where metrics are counted, set or observed by a name that is written there: method, name, number of labels."""
    for _, tree in sources():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            before_labels = _SETS.get(node.func.attr)
            name = node.args[0] if node.args else None
            if before_labels is None or not isinstance(name, ast.Constant) or name.value not in CATALOGUE:
                continue
            if not any(isinstance(argument, ast.Starred) for argument in node.args):
                given = len(node.args)
                labels = given - before_labels if node.func.attr != "count" else max(0, given - 2)
                yield node.func.attr, str(name.value), labels


# ---- the catalogue -----------------------------------------------------------------------------------------------


def test_every_name_is_described() -> None:
    """The names that type-check are those of the catalogue, each of one kind."""
    assert set(get_args(CounterName)) == set(COUNTERS)
    assert set(get_args(GaugeName)) == set(GAUGES)
    assert set(get_args(HistogramName)) == set(HISTOGRAMS)
    assert len(CATALOGUE) == len(COUNTERS) + len(GAUGES) + len(HISTOGRAMS)


@pytest.mark.parametrize("name", CATALOGUE)
def test_names_follow_prometheus(name: MetricName) -> None:
    """Base units end a name, and nothing that a kind adds is in it; it says what it means in both languages."""
    described = CATALOGUE[name]
    suffix = {"seconds": "_seconds", "bytes": "_bytes", "minor units": "_minor"}.get(described.unit)

    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
    assert suffix is None or name.endswith(suffix)
    assert suffix is not None or not name.endswith(
        ("_seconds", "_bytes", "_minor", "_ms", "_total", "_count")
    )
    assert described.meaning
    assert described.meaning_zh
    assert ("|" in described.meaning + described.meaning_zh) is False
    assert bool(described.buckets) == (name in HISTOGRAMS)
    assert list(described.buckets) == sorted(described.buckets)
    assert shown_name(name).endswith("_total") == (name in COUNTERS)


# ---- labels ------------------------------------------------------------------------------------------------------------


def test_every_label_has_a_bound_and_a_reason() -> None:
    """Each that is used, and no others; none is a person's."""
    used = set(chain.from_iterable(described.labels for described in CATALOGUE.values()))

    assert used == set(LABELS) == set(get_args(LabelName))
    assert all(bound.values_max > 0 and bound.why for bound in LABELS.values())
    assert not used & {
        "borrower",
        "borrower_id",
        "loan",
        "loan_id",
        "account",
        "event_id",
        "le",
        "job",
        "instance",
    }


def test_bounds_are_those_of_the_code() -> None:
    """What is closed elsewhere is as large as the catalogue says."""
    types = {kind for kinds in TYPES_BY_TOPIC.values() for kind in kinds}

    assert LABELS["topic"].values_max == len(TOPICS) + 1
    assert LABELS["type"].values_max >= len(types) + 2
    assert LABELS["reason"].values_max == len({*get_args(PayloadReason), *get_args(StateReason)})
    assert LABELS["signal"].values_max == len(get_args(SignalName))
    assert LABELS["segment"].values_max == SEGMENTS_MAX + len({OTHER_SEGMENTS, ""})
    assert LABELS["bucket"].values_max == len(BUCKETS)
    assert COUNTERS["drifts"].from_zero == tuple((watched,) for watched in WATCHED)


def test_what_starts_at_zero_has_as_many_labels_as_it_must() -> None:
    """And so few combinations that they are worth it."""
    for name, described in COUNTERS.items():
        assert all(len(labels) == len(described.labels) for labels in described.from_zero), name
        assert len(described.from_zero) <= 300, name
    assert not any(described.from_zero for described in [*GAUGES.values(), *HISTOGRAMS.values()])


# ---- the code ------------------------------------------------------------------------------------------------------------


def test_every_metric_is_fed() -> None:
    """What no code names is no metric: it is fed or it is gone."""
    assert set(CATALOGUE) - names_in_code() == set()


def test_every_call_gives_the_labels_of_the_catalogue() -> None:
    """As many as the metric has, by the method of its kind."""
    names: dict[str, set[str]] = {
        "count": set(COUNTERS),
        "set": set(GAUGES),
        "forget": set(GAUGES),
        "observe": set(HISTOGRAMS),
    }
    labels_of = {str(name): len(described.labels) for name, described in CATALOGUE.items()}
    found = list(calls())

    assert len(found) > 30
    for method, name, labels in found:
        assert name in names[method], (method, name)
        assert labels == labels_of[name], (method, name)


# ---- page and read-mes ------------------------------------------------------------------------------------------------


def test_the_page_is_made_of_the_catalogue() -> None:
    """`python -m streams.metrics_page > deploy/METRICS.md` was run after the last change."""
    assert (ROOT / "deploy" / "METRICS.md").read_text(encoding="utf-8") == catalogue_page()


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_read_mes_name_only_what_there_is(name: str) -> None:
    """Every metric that a read-me names is shown under that very name, and it leads to the page of all."""
    text = (ROOT / name).read_text(encoding="utf-8")
    shown = {shown_name(one) for one in CATALOGUE}
    series = shown | {f"{shown_name(one)}_{end}" for one in HISTOGRAMS for end in ("bucket", "sum", "count")}
    named = set(_NAMED.findall(text))

    assert named
    assert named - series == set()
    assert "(deploy/METRICS.md)" in text


# ---- the two ways to keep figures ----------------------------------------------------------------------------------------


def test_what_happens_for_the_first_time_is_an_increase() -> None:
    """Prometheus sees none in a series that begins with 1: what can be known before is shown as 0."""
    text = generate_latest(PrometheusMetrics().registry).decode()
    samples = CountingDict(
        sample.name
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.value == 0 and sample.name.startswith("forewarn")
    )

    assert samples["forewarn_alerts_total"] == 12 * 6 * 4
    assert samples["forewarn_rejects_total"] == len(TOPICS) * LABELS["reason"].values_max


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
