"""Is the worker getting on? A consumer that looks alive and does nothing is worse than one that died.

Whoever looks (`Pipeline`) names what must not last: records in the log that are not read, read and not processed, processed
and not committed, a group that assigns nothing, a broker that does not answer. Here is only counted for how long each of
them has stood.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final, NamedTuple

_UNSEEN_MS_MAX: Final = 5_000
"""Between two looks at most so much counts: a process that was stopped, or starved, was not watching either."""


class Concern(NamedTuple):
    """Something that is fine for a moment and must not last."""

    what: Hashable
    """Which one: the same from look to look."""
    standing: Hashable
    """Changes as soon as it gets on."""
    said: str
    """What the operator reads."""


class Watchdog:
    """How long every concern has stood without getting on. Times are stop-watch milliseconds."""

    def __init__(self) -> None:
        """Nothing is of concern yet."""
        self._standing: dict[Hashable, tuple[Concern, int]] = {}
        self._looked_at_ms: int | None = None

    def look(self, concerns: Iterable[Concern], now_ms: int) -> None:
        """Take in what is of concern now; what is not named any more is settled."""
        passed_ms = 0 if self._looked_at_ms is None else min(now_ms - self._looked_at_ms, _UNSEEN_MS_MAX)
        self._looked_at_ms = now_ms
        before = self._standing
        self._standing = {}
        for concern in concerns:
            known, lasted_ms = before.get(concern.what, (None, 0))
            stands = known is not None and known.standing == concern.standing
            self._standing[concern.what] = (concern, lasted_ms + passed_ms if stands else 0)

    @property
    def longest_ms(self) -> int:
        """How long what stands longest has stood; 0 where all gets on."""
        return max((lasted_ms for _, lasted_ms in self._standing.values()), default=0)

    def lasting(self, at_least_ms: int) -> list[str]:
        """What has stood for so long, each with the seconds it stands."""
        return [
            f"{concern.said} (for {lasted_ms / 1000:.0f} s)"
            for concern, lasted_ms in self._standing.values()
            if lasted_ms >= at_least_ms
        ]
