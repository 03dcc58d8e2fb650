"""The dashboards on a real Prometheus, which asks a real worker, which replays a simulated book from a real Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.kafka.local import Broker
from tests.alerting.rules import ALERTS
from tests.dashboards.panels import asked, table
from tests.dashboards.scene import watched_worker

pytestmark = pytest.mark.kafka


def test_every_panel_shows_something(broker: Broker, tmp_path: Path) -> None:
    """Each query of each panel has data, and each rule that is shipped is evaluated; what came is printed as a table."""
    with watched_worker(broker, tmp_path) as watched:
        rows = watched.answers(asked())
        rules = watched.prometheus.rules()

    print(table(rows))
    assert [row.asked for row in rows if not row.series] == []
    assert {name: health for name, health in rules.items() if health != "ok"} == {}
    assert set(ALERTS) <= set(rules)
