"""When two runs are equal: their alerts agree in all but what may differ (blueprint, section 4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from models.alerts import Alert


def comparable(alert: Alert) -> dict[str, Any]:
    """An alert without `detected_at_ms`, `chain` and where its cause was read."""
    document: dict[str, Any] = msgspec.to_builtins(alert)
    del document["detected_at_ms"], document["chain"]
    del document["caused_by"]["partition"], document["caused_by"]["offset"]
    return document


def by_borrower(alerts: Iterable[Alert]) -> dict[str, list[dict[str, Any]]]:
    """Comparable alerts of each borrower: by signal and loan, each in its order of revisions."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for alert in alerts:
        grouped.setdefault(alert.borrower_id, []).append(comparable(alert))
    for own in grouped.values():
        own.sort(key=lambda document: (document["signal"], document["loan_id"] or ""))
    return grouped
