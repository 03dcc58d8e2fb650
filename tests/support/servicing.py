"""Short ways to write what servicing staff report."""

from __future__ import annotations

from datetime import date
from typing import Any

from models.events import (
    AlertAcknowledged,
    AlertReviewed,
    AlertSnoozed,
    BorrowerLinked,
    BorrowerUnlinked,
    ContactAttempted,
    HoldPlaced,
    HoldReleased,
    RestrictionLifted,
    RestrictionListed,
    Verdict,
)
from tests.support.events import at, event_id


def _common(when: str, time: str, borrower: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"event_id": event_id(), "borrower_id": borrower, "event_time_ms": at(when, time)} | fields


def contact(
    when: str, outcome: Any = "unreached", time: str = "12:00", borrower: str = "b-1", **fields: Any
) -> ContactAttempted:
    """An attempt, by default at the borrower, in vain."""
    return ContactAttempted(
        **{"channel": "phone", "outcome": outcome} | _common(when, time, borrower, fields)
    )


def promise(
    when: str, day: str, amount: int | None = None, time: str = "12:00", borrower: str = "b-1", **fields: Any
) -> ContactAttempted:
    """The borrower promises to pay by a day."""
    return contact(
        when,
        "promised",
        time,
        borrower,
        promise_date=date.fromisoformat(day),
        promise_amount_minor=amount,
        **fields,
    )


def hold(
    when: str,
    reason: Any = "dispute",
    until: int | None = None,
    time: str = "12:00",
    borrower: str = "b-1",
    **fields: Any,
) -> HoldPlaced:
    """A hold, by default a dispute without an end."""
    return HoldPlaced(
        **{"hold_id": "h-1", "reason": reason, "until_ms": until} | _common(when, time, borrower, fields)
    )


def release(
    when: str, time: str = "12:00", borrower: str = "b-1", hold_id: str = "h-1", **fields: Any
) -> HoldReleased:
    """A hold ends."""
    return HoldReleased(**{"hold_id": hold_id, "reason": "dispute"} | _common(when, time, borrower, fields))


def listed(when: str, name: str = "court", borrower: str = "b-1") -> RestrictionListed:
    """The borrower comes on a list."""
    return RestrictionListed(**_common(when, "12:00", borrower, {"list": name, "reason": "unpaid"}))


def lifted(when: str, name: str = "court", borrower: str = "b-1") -> RestrictionLifted:
    """The borrower leaves a list."""
    return RestrictionLifted(**_common(when, "12:00", borrower, {"list": name, "reason": "paid"}))


def snoozed(
    when: str, alert_id: str, until: int, time: str = "12:00", borrower: str = "b-1", **fields: Any
) -> AlertSnoozed:
    """An alert is put to sleep."""
    about: dict[str, Any] = {
        "alert_id": alert_id,
        "actor": "officer-1",
        "until_ms": until,
        "reason": "on holiday",
    }
    return AlertSnoozed(**about | _common(when, time, borrower, fields))


def reviewed(
    when: str,
    alert_id: str,
    verdict: Verdict = "false_positive",
    time: str = "12:00",
    borrower: str = "b-1",
    **fields: Any,
) -> AlertReviewed:
    """An officer judges an alert."""
    about = {"alert_id": alert_id, "actor": "officer-1", "verdict": verdict}
    return AlertReviewed(**about | _common(when, time, borrower, fields))


def acknowledged(
    when: str, alert_id: str, time: str = "12:00", borrower: str = "b-1", **fields: Any
) -> AlertAcknowledged:
    """Somebody takes an alert on."""
    return AlertAcknowledged(
        **{"alert_id": alert_id, "actor": "clerk-1"} | _common(when, time, borrower, fields)
    )


def linked(
    when: str,
    other: str,
    relation: Any = "guarantor",
    time: str = "12:00",
    borrower: str = "b-1",
    **fields: Any,
) -> BorrowerLinked:
    """Somebody stands in for the borrower."""
    link = {"linked_borrower_id": other, "relation": relation}
    return BorrowerLinked(**link | _common(when, time, borrower, fields))


def unlinked(
    when: str,
    other: str,
    relation: Any = "guarantor",
    time: str = "12:00",
    borrower: str = "b-1",
    **fields: Any,
) -> BorrowerUnlinked:
    """Nobody does any more."""
    link = {"linked_borrower_id": other, "relation": relation}
    return BorrowerUnlinked(**link | _common(when, time, borrower, fields))
