"""The common job (`tests/bench/JOB.md`) for the peers in Python: what happens to a picture, a plain `dict`."""

from __future__ import annotations

from typing import Any

WINDOW_MS = 30 * 24 * 3600 * 1000
DISTINCT = 3
REPAYMENTS_EVERY = 12
FLOWS_EVERY = 48

Picture = dict[str, Any]


def new_picture() -> Picture:
    """A borrower nobody has seen."""
    return {"repayments": 0, "repaid": 0, "flows": 0, "moved": 0, "newest": 0, "seen": {}}


def repaid(picture: Picture, amount_minor: int) -> tuple[int, int] | None:
    """Count a repayment; return what is told, if it is."""
    picture["repayments"] += 1
    picture["repaid"] += amount_minor
    if picture["repayments"] % REPAYMENTS_EVERY == 0:
        return picture["repayments"], picture["repaid"]
    return None


def flowed(picture: Picture, amount_minor: int) -> tuple[int, int] | None:
    """Count a fund flow; return what is told, if it is."""
    picture["flows"] += 1
    picture["moved"] += amount_minor
    if picture["flows"] % FLOWS_EVERY == 0:
        return picture["flows"], picture["moved"]
    return None


def queried(picture: Picture, institution_id: str, at_ms: int) -> tuple[int, int] | None:
    """Remember a credit query; return what is told, if it is."""
    seen = picture["seen"]
    before = len(seen)
    newest = picture["newest"] = max(picture["newest"], at_ms)
    seen[institution_id] = max(seen.get(institution_id, 0), at_ms)
    oldest = newest - WINDOW_MS
    for institution in [name for name, last in seen.items() if last <= oldest]:
        del seen[institution]
    if before < DISTINCT <= len(seen):
        return len(seen), 0
    return None
