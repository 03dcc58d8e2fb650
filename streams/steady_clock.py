"""The wall clock without its leaps, for what must not depend on somebody's setting it.

The watermark of an idle partition follows the time of day. Were that to leap ahead by an hour, absences would be judged an
hour early and people warned of payments that are on their way.
"""

from __future__ import annotations

import logging
from typing import Final

from streams.clock import Clock

logger = logging.getLogger(__name__)

_DRIFT_MS_MAX: Final = 1_000
"""What a clock that is disciplined in small steps may gain between two looks; more is a leap."""
_TRUSTED_AFTER_MS: Final = 3_600_000
"""A leap ahead that has stood for so long was a correction, and is followed."""


class SteadyClock:
    """Never ahead of the wall clock, and after a leap of it no further than the stop-watch says."""

    def __init__(self, clock: Clock) -> None:
        """Takes the wall clock as it is now for right."""
        self._clock = clock
        self._offset_ms = clock.now_ms() - clock.monotonic_ms()
        self._leap_ms = 0
        self._leapt_at_ms = 0

    def now_ms(self) -> int:
        """The time of day, epoch milliseconds UTC: late after a leap, never early."""
        stopwatch_ms = self._clock.monotonic_ms()
        wall_ms = self._clock.now_ms()
        ahead_ms = wall_ms - (stopwatch_ms + self._offset_ms)
        if ahead_ms <= _DRIFT_MS_MAX:
            self._leap_ms = 0
            if ahead_ms >= -_DRIFT_MS_MAX:
                self._offset_ms += ahead_ms
            return wall_ms
        if abs(ahead_ms - self._leap_ms) > _DRIFT_MS_MAX:
            logger.warning(
                "the wall clock is %.1f s ahead of the stop-watch: idle partitions follow it when that has stood for an hour",
                ahead_ms / 1000,
            )
            self._leap_ms, self._leapt_at_ms = ahead_ms, stopwatch_ms
        elif stopwatch_ms - self._leapt_at_ms >= _TRUSTED_AFTER_MS:
            self._offset_ms += ahead_ms
            return wall_ms
        return stopwatch_ms + self._offset_ms
