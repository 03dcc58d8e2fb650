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
    """Comparable alerts of each borrower: by signal and loan, each in its order of revisions.

    Without `linked_distress`, which comes as others tell: it has a law of its own (`open_linked_distress`).
    """
    grouped: dict[str, list[dict[str, Any]]] = {}
    for alert in alerts:
        if alert.signal == "linked_distress":
            continue
        grouped.setdefault(alert.borrower_id, []).append(comparable(alert))
    for own in grouped.values():
        own.sort(key=lambda document: (document["signal"], document["loan_id"] or ""))
    return grouped


def open_linked_distress(alerts: Iterable[Alert]) -> dict[str, str]:
    """Who has `linked_distress` open at last, and how severe: the same for every order of arrival."""
    found: dict[str, str] = {}
    for alert in alerts:
        if alert.signal == "linked_distress":
            found[alert.borrower_id] = alert.severity
            if alert.status in ("resolved", "retracted"):
                del found[alert.borrower_id]
    return found
