"""What the dashboards are built of: a query, the few kinds of panels, and the frame that all three share.

Queries are whole PromQL, as one would type it: a reader need not put pieces together. Grafana replaces `$job`, the choice at
the top of each dashboard, and `$__rate_interval`, at least four scrapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as shapes
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

TAG: Final = "forewarn"
WIDTH: Final = 24
"""Columns of Grafana's grid."""
HEIGHT: Final = 8
STAT_HEIGHT: Final = 4
DATASOURCE: Final = shapes.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = stat.Panel | timeseries.Panel | table.Panel | bargauge.Panel | heatmap.Panel
_AnyPanel = TypeVar("_AnyPanel", stat.Panel, timeseries.Panel, table.Panel, bargauge.Panel, heatmap.Panel)
Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; the first value is None."""


def query(expression: str, legend: str = "") -> prometheus.Dataquery:
    """A query over the time that is looked at; `legend` names its series, `{{label}}` a label's value."""
    return prometheus.Dataquery().expr(expression).legend_format(legend or "__auto").range()


def latest(expression: str, legend: str = "") -> prometheus.Dataquery:
    """A query for the last value only."""
    return prometheus.Dataquery().expr(expression).legend_format(legend or "__auto").instant()


def number(
    title: str,
    says: str,
    expression: str,
    *,
    unit: str = "short",
    span: int = 4,
    steps: Steps = ((None, "blue"),),
    legend: str = "",
    text_mode: looks.BigValueTextMode = looks.BigValueTextMode.AUTO,
) -> stat.Panel:
    """One large figure with its curve behind it, coloured by how it is."""
    panel = (
        stat.Panel()
        .unit(unit)
        .height(STAT_HEIGHT)
        .graph_mode(looks.BigValueGraphMode.AREA)
        .color_mode(looks.BigValueColorMode.VALUE)
        .text_mode(text_mode)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(steps))
    )
    return _dressed(panel, title, says, [query(expression, legend)], span)


def lines(
    title: str,
    says: str,
    *queries: prometheus.Dataquery,
    unit: str = "short",
    span: int = 12,
    lowest: float | None = 0,
    highest: float | None = None,
    limit: Steps = (),
) -> timeseries.Panel:
    """Curves over time; `limit` draws dashed lines where it becomes bad."""
    panel = _curves(unit).fill_opacity(0)
    if lowest is not None:
        panel = panel.min(lowest)
    if highest is not None:
        panel = panel.max(highest)
    if limit:
        panel = panel.thresholds(_thresholds(limit)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(looks.GraphThresholdsStyleMode.DASHED)
        )
    return _dressed(panel, title, says, queries, span)


def stacked(
    title: str, says: str, *queries: prometheus.Dataquery, unit: str = "short", span: int = 12
) -> timeseries.Panel:
    """Parts of a whole over time, one upon the other."""
    panel = (
        _curves(unit)
        .fill_opacity(60)
        .stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))
        .min(0)
    )
    return _dressed(panel, title, says, queries, span)


def bars(
    title: str, says: str, expression: str, legend: str, *, unit: str = "short", span: int = 12
) -> bargauge.Panel:
    """How it stands now, one bar for each series, the longest first."""
    panel = (
        bargauge.Panel()
        .unit(unit)
        .height(HEIGHT)
        .min(0)
        .orientation(looks.VizOrientation.HORIZONTAL)
        .display_mode(looks.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(((None, "blue"),)))
    )
    return _dressed(panel, title, says, [latest(expression, legend)], span)


def rows(
    title: str, says: str, expression: str, columns: dict[str, str], *, unit: str = "short", span: int = 12
) -> table.Panel:
    """A table of the last values, the largest first; `columns` names the labels that are shown, and `Value`."""
    panel = (
        table.Panel()
        .unit(unit)
        .height(HEIGHT)
        .with_transformation(
            shapes.DataTransformerConfig(
                id_val="organize",
                options={
                    "renameByName": columns,
                    "indexByName": {name: place for place, name in enumerate(columns)},
                    "excludeByName": {"Time": True},
                },
            )
        )
        .sort_by([common.TableSortByFieldState().display_name(columns["Value"]).desc(True)])
    )
    return _dressed(panel, title, says, [latest(expression).format(PromQueryFormat.TABLE)], span)


def heat_of(title: str, says: str, histogram: str, *, span: int = 12) -> heatmap.Panel:
    """How a histogram in seconds spreads over time: `histogram` is the rate of its buckets by `le`."""
    panel = (
        heatmap.Panel()
        .height(HEIGHT)
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heat.HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .scale(heat.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit("s"))
    )
    return _dressed(panel, title, says, [query(histogram, "{{le}}").format(PromQueryFormat.HEATMAP)], span)


def frame(uid: str, title: str, question: str, sections: dict[str, Sequence[Panel]]) -> dict[str, object]:
    """A whole dashboard: `sections` by heading, each begun on a line of its own.

    Returns:
        What Grafana reads as JSON. Panels are numbered in their order, so that a link to one stays good.
    """
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(question)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(shapes.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_jobs())
        .link(
            dashboard.DashboardLink("Forewarn")
            .type(shapes.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(False)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for heading, panels in sections.items():
        made = made.with_row(dashboard.Row(heading))
        for panel in panels:
            made = made.with_panel(panel)
    built = made.build()
    for place, one in enumerate(built.panels or [], start=1):
        one.id_val = place
    return built.to_json()


def _jobs() -> dashboard.QueryVariable:
    """Which installation: a job of Prometheus, all of them unless told otherwise."""
    return (
        dashboard.QueryVariable("job")
        .label("Installation")
        .datasource(DATASOURCE)
        .query("label_values(forewarn_tasks, job)")
        .refresh(shapes.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .current(shapes.VariableOption(text="All", value="$__all", selected=True))
    )


def _curves(unit: str) -> timeseries.Panel:
    return (
        timeseries.Panel()
        .unit(unit)
        .height(HEIGHT)
        .show_points(looks.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(looks.LegendDisplayMode.LIST)
            .placement(looks.LegendPlacement.BOTTOM)
        )
        .tooltip(
            common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)
        )
    )


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(shapes.ThresholdsMode.ABSOLUTE)
        .steps([shapes.Threshold(value=value, color=color) for value, color in steps])
    )


def _dressed(
    panel: _AnyPanel, title: str, says: str, queries: Sequence[prometheus.Dataquery], span: int
) -> _AnyPanel:
    panel = panel.title(title).description(says).datasource(DATASOURCE).span(span)
    for letter, one in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(one.ref_id(letter).datasource(DATASOURCE))
    return panel
