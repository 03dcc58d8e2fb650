"""The alerting rules as they are shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

RULES: Final = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "rules"


def rules_of(file: str) -> list[dict[str, Any]]:
    """All rules of a file, those that only record among them."""
    groups = yaml.safe_load((RULES / file).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts_of(file: str) -> dict[str, dict[str, Any]]:
    """The alerting rules of a file by name."""
    return {rule["alert"]: rule for rule in rules_of(file) if "alert" in rule}


FILES: Final = tuple(sorted(file.name for file in RULES.glob("*.yaml")))
ALERTS: Final = {name: rule for file in FILES for name, rule in alerts_of(file).items()}
