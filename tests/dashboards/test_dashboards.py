"""The dashboards as files: made by the generator, asking only for what there is, and laid out so that all can be seen."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.grafana.files import FOLDER, written
from streams.metrics_catalogue import COUNTERS, GAUGES, HISTOGRAMS, LABELS, shown_name
from tests.alerting.rules import FILES, rules_of
from tests.dashboards.panels import DASHBOARDS, asked

DEPLOY: Final = FOLDER.parents[1]
_METRIC: Final = re.compile(r"\b(?:forewarn|process)_[a-z0-9_]+\b(?!\")")
_MATCHED: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_GROUPED: Final = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
_GRID_WIDTH: Final = 24
OF_EVERY_PROCESS: Final = {
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_start_time_seconds",
}
OF_PROMETHEUS: Final = {"job", "instance", "le"}
LOOKED_UP_BY_HAND: Final = {
    "forewarn_unknown_words_total",
    "forewarn_state_records_total",
    "forewarn_restored_records",
    "forewarn_challengers_withdrawn_total",
    "forewarn_portfolio_currencies_left_out",
    "forewarn_portfolio_tasks",
}


def shown() -> set[str]:
    """Every series that the catalogue promises."""
    plain = {shown_name(name) for name in (*COUNTERS, *GAUGES)}
    spread = {f"{shown_name(name)}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")}
    return plain | spread | OF_EVERY_PROCESS


def expressions() -> dict[str, str]:
    """All PromQL that is shipped, by where it stands."""
    panels = {f"{one.dashboard}, {one.panel}: {one.expression}": one.expression for one in asked()}
    rules = {
        f"{file}: {rule.get('alert') or rule['record']}": rule["expr"]
        for file in FILES
        for rule in rules_of(file)
    }
    return panels | rules


def panels_of(name: str) -> list[dict[str, Any]]:
    """The panels of a dashboard, its headings left out."""
    panels = json.loads((FOLDER / name).read_text(encoding="utf-8"))["panels"]
    return [panel for panel in panels if panel["type"] != "row"]


def test_the_files_are_what_the_generator_makes() -> None:
    """Whoever changes a dashboard runs `python -m deploy.grafana`."""
    assert set(written()) == set(DASHBOARDS) == {file.name for file in FOLDER.iterdir()}
    assert {name: (FOLDER / name).read_text(encoding="utf-8") for name in DASHBOARDS} == written()


def test_every_metric_that_is_asked_for_is_in_the_catalogue() -> None:
    """In dashboards and rules; `job:...` are recorded by the rules themselves."""
    plain = {where: re.sub(r"\bjob:\w+:\w+", "", text) for where, text in expressions().items()}
    asked_for = {where: set(_METRIC.findall(text)) for where, text in plain.items()}

    assert {where: names - shown() for where, names in asked_for.items() if names - shown()} == {}


def test_every_label_that_is_asked_for_is_in_the_catalogue() -> None:
    """What is matched or grouped by exists: a mistyped label finds nothing, and says nothing."""
    known = {*LABELS, *OF_PROMETHEUS}
    for where, text in expressions().items():
        named = set(_MATCHED.findall(text))
        named |= {label.strip() for found in _GROUPED.findall(text) for label in found.split(",")}
        assert named - known == set(), where


def test_every_figure_of_the_catalogue_that_a_room_looks_at_is_on_a_dashboard() -> None:
    """All but what only a closer look needs, each named here."""
    asked_for = {name for text in expressions().values() for name in _METRIC.findall(text)}
    bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked_for}
    left = {shown_name(name) for name in (*COUNTERS, *GAUGES, *HISTOGRAMS)} - bases

    assert left == LOOKED_UP_BY_HAND


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_panel_lies_on_another_or_leaves_the_grid(name: str) -> None:
    """And each says what it shows, and has an id of its own."""
    panels = panels_of(name)
    places = [panel["gridPos"] for panel in panels]

    assert all(place["x"] + place["w"] <= _GRID_WIDTH for place in places)
    for one, other in combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["description"] and panel["title"] for panel in panels)


def test_what_is_mounted_fits_together() -> None:
    """Grafana finds Prometheus and the folder where `deploy/compose.yaml` puts them, and Prometheus the workers."""
    (source,) = yaml.safe_load(read("grafana/provisioning/datasources/prometheus.yaml"))["datasources"]
    (provider,) = yaml.safe_load(read("grafana/provisioning/dashboards/forewarn.yaml"))["providers"]
    prometheus = yaml.safe_load(read("prometheus/prometheus.yaml"))
    compose = yaml.safe_load(read("compose.yaml"))["services"]

    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in compose["grafana"]["volumes"]
    assert urlsplit(source["url"]).hostname in compose
    (job,) = prometheus["scrape_configs"]
    assert job["job_name"] == "forewarn"
    assert set(job["dns_sd_configs"][0]["names"]) <= set(compose)


def read(path: str) -> str:
    """A file below deploy/."""
    return (DEPLOY / Path(path)).read_text(encoding="utf-8")
