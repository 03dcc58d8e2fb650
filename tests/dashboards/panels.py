"""What the committed dashboards ask, and what a Prometheus answers: one row for each query of each panel."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.support.prometheus import Prometheus, Series

FOLDER: Final = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards"
DASHBOARDS: Final = ("risk-operations.json", "pipeline.json", "model.json")

NO_LEGEND: Final = "__auto"
_LABEL: Final = re.compile(r"\{\{(\w+)\}\}")


class Asked(NamedTuple):
    """A query as it stands in a dashboard."""

    dashboard: str
    panel: str
    expression: str
    legend: str
    """How its series are called; `{{label}}` is the label's value."""


class Answered(NamedTuple):
    """What came of it: how many series, and the one that went highest."""

    asked: Asked
    series: int
    one: str = ""
    """As its legend calls it."""
    last: float | None = None
    highest: float | None = None


def asked() -> Iterator[Asked]:
    """Every query of every panel, in the order in which they stand."""
    for name in DASHBOARDS:
        document = json.loads((FOLDER / name).read_text(encoding="utf-8"))
        for panel in _panels(document["panels"]):
            for target in panel["targets"]:
                yield Asked(document["title"], panel["title"], target["expr"], target["legendFormat"])


class Span(NamedTuple):
    """Over which time is asked, and how finely; all in seconds."""

    start: float
    end: float
    step: float
    rate_interval: str


def answer(prometheus: Prometheus, one: Asked, job: str, span: Span) -> Answered:
    """Ask as Grafana would."""
    whole = f"{max(1, round(span.end - span.start))}s"
    expression = filled(one.expression, job, span.rate_interval, whole)
    found = prometheus.query_range(expression, span.start, span.end, span.step)
    if not found:
        return Answered(one, 0)
    shown = max(found, key=_highest)
    return Answered(one, len(found), _named(shown, one.legend), shown.samples[-1][1], _highest(shown))


def filled(expression: str, job: str, rate_interval: str, whole: str) -> str:
    """Put in what Grafana puts in."""
    values = {"$job": job, "$__rate_interval": rate_interval, "$__range": whole}
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def table(rows: Sequence[Answered]) -> str:
    """The rows as lines to read, dashboard by dashboard."""
    said: list[str] = []
    dashboard = ""
    for row in rows:
        if row.asked.dashboard != dashboard:
            dashboard = row.asked.dashboard
            said += ["", f"{dashboard:<50}series         last      highest  which is the highest"]
        said += [
            f"  {row.asked.panel:<48}{row.series:>6}  {_figure(row.last):>11}  {_figure(row.highest):>11}  {row.one}",
            f"    {row.asked.expression}",
        ]
    return "\n".join(said[1:])


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        if panel["type"] == "row":
            yield from _panels(panel["panels"])
        else:
            yield panel


def _highest(series: Series) -> float:
    return max(value for _, value in series.samples)


def _figure(value: float | None) -> str:
    if value is None:
        return "no data"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _named(series: Series, legend: str) -> str:
    if legend == NO_LEGEND:
        return ""
    return _LABEL.sub(lambda found: series.labels.get(found[1], ""), legend)
