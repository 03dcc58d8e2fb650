"""The institutions that show up about a borrower, as `multi_platform_borrowing` counts them."""

from __future__ import annotations

from typing import Final

from models.calendars import DAY_MS

PLATFORMS: Final = tuple(f"platform-{number:02d}" for number in range(1, 61))
WINDOW_MS: Final = 30 * DAY_MS
MEMORY_MS: Final = 180 * DAY_MS
FLOW_HISTORY_MS: Final = 90 * DAY_MS
THRESHOLD: Final = 3
"""The packaged policy's window, memory, flow history and `watch` threshold of `multi_platform_borrowing`."""


class Sightings:
    """The institutions that show up, as `multi_platform_borrowing` counts them."""

    def __init__(self) -> None:
        self._seen: list[tuple[int, str, bool]] = []

    def add(self, at_ms: int, institution_id: str, *, is_flow: bool = False) -> None:
        """An application, a new account, or (`is_flow`) a disbursement."""
        self._seen.append((at_ms, institution_id, is_flow))

    def crowded(self, flows_known_from_ms: int, end_ms: int) -> list[tuple[int, int]]:
        """From when until when three or more institutions were new within 30 days."""
        last_ms: dict[str, int] = {}
        changes: list[tuple[int, int]] = []
        for at_ms, institution_id, is_flow in sorted(self._seen):
            seen_ms = last_ms.get(institution_id)
            new = (seen_ms is None or at_ms - seen_ms > MEMORY_MS) and at_ms < end_ms
            if new and not (is_flow and at_ms < flows_known_from_ms + FLOW_HISTORY_MS):
                changes += [(at_ms, 1), (at_ms + WINDOW_MS, -1)]
            last_ms[institution_id] = at_ms
        crowds: list[tuple[int, int]] = []
        count = from_ms = 0
        for at_ms, change in sorted(changes):
            count += change
            if count == THRESHOLD and change > 0:
                from_ms = at_ms
            elif count == THRESHOLD - 1 and change < 0:
                crowds.append((from_ms, at_ms))
        return crowds
