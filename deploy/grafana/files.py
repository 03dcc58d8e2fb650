"""The dashboards as the files that are committed, and mounted into Grafana."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana import model, pipeline, risk_operations

FOLDER: Final = Path(__file__).with_name("dashboards")


def written() -> dict[str, str]:
    """File names and contents of all dashboards."""
    made = {
        "risk-operations.json": risk_operations.dashboard(),
        "pipeline.json": pipeline.dashboard(),
        "model.json": model.dashboard(),
    }
    return {
        name: json.dumps(document, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for name, document in made.items()
    }
