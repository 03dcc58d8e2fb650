"""Feed health: is a feed as a whole silent, or is only this partition idle?

Judging an absence (a missing salary) by the wall clock is right only while the feed lives: an outage of the feed must
never become ten thousand false alerts. So a feed none of whose partitions moved for `silence_ms` is silent, and after its
return it has `grace_ms` to bring what it held back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from models.events import TOPICS
from streams.clock import Clock
from streams.metrics import Metrics
from streams.settings import Settings
from streams.steady_clock import SteadyClock

logger = logging.getLogger(__name__)


class FeedHealth:
    """What is known of every feed's life. Times are stop-watch milliseconds."""

    def __init__(self, feeds: int, silence_ms: int, grace_ms: int) -> None:
        """At the start nothing is known, which counts as silence: a restart amid an outage must not end it."""
        self._silence_ms = silence_ms
        self._grace_ms = grace_ms
        self._ends: list[Sequence[int] | None] = [None] * feeds
        self._moved_at_ms: list[int | None] = [None] * feeds
        self._trusted_from_ms: list[int] = [0] * feeds
        self._watched_from_ms: list[int] = [0] * feeds

    def observe(self, feed: int, ends: Sequence[int], now_ms: int) -> None:
        """Take in the end offsets of all partitions of a feed."""
        before = self._ends[feed]
        self._ends[feed] = tuple(ends)
        if before is None:
            self._watched_from_ms[feed] = now_ms
        if before is None or tuple(before) == tuple(ends):
            return
        if self.is_silent(feed, now_ms):
            self._trusted_from_ms[feed] = now_ms + self._grace_ms
        self._moved_at_ms[feed] = now_ms

    def idle_ms(self, feed: int, now_ms: int) -> int:
        """Since the feed was last seen to move; before that, since it is watched."""
        moved_at_ms = self._moved_at_ms[feed]
        return now_ms - (self._watched_from_ms[feed] if moved_at_ms is None else moved_at_ms)

    def is_silent(self, feed: int, now_ms: int) -> bool:
        """Whether no partition of the feed has moved for so long."""
        moved_at_ms = self._moved_at_ms[feed]
        return moved_at_ms is None or now_ms - moved_at_ms >= self._silence_ms

    def follows_wall_clock(self, feed: int, now_ms: int) -> bool:
        """Whether an idle partition's watermark may follow the wall clock."""
        return not self.is_silent(feed, now_ms) and now_ms >= self._trusted_from_ms[feed]


class LiveFeeds:
    """What the time of day may tell of the feeds, with every change of their health told to the operator."""

    def __init__(self, settings: Settings, clock: Clock, metrics: Metrics) -> None:
        """For all feeds of `TOPICS`."""
        self._settings = settings
        self._clock = clock
        self._steady = SteadyClock(clock)
        self._metrics = metrics
        self._health = FeedHealth(len(TOPICS), settings.feed_silence_ms, settings.feed_return_grace_ms)
        self._told_silent: list[bool | None] = [None] * len(TOPICS)

    def watermarks_ms(self, ends: Sequence[Sequence[int]], lateness_ms: Sequence[int]) -> Mapping[int, int]:
        """Take in the ends of all partitions; return, by feed, how far an idle partition's watermark may go.

        Args:
            ends: by feed and partition.
            lateness_ms: allowed lateness by feed.
        """
        now_ms = self._clock.monotonic_ms()
        for feed, ends_of_feed in enumerate(ends):
            self._health.observe(feed, ends_of_feed, now_ms)
            self._tell(feed, silent=self._health.is_silent(feed, now_ms))
            self._metrics.set("feed_idle_seconds", self._health.idle_ms(feed, now_ms) / 1000, TOPICS[feed])
        today_ms = self._steady.now_ms()
        return {
            feed: today_ms - lateness_ms[feed]
            for feed in range(len(TOPICS))
            if self._health.follows_wall_clock(feed, now_ms)
        }

    def _tell(self, feed: int, *, silent: bool) -> None:
        told, self._told_silent[feed] = self._told_silent[feed], silent
        if silent == told:
            return
        self._metrics.set("feed_silent", silent, TOPICS[feed])
        if not silent:
            logger.info(
                "feed %s moves: what is absent from it is judged by the time of day again in %.0f s (feed_return_grace_ms)",
                TOPICS[feed],
                self._settings.feed_return_grace_ms / 1000,
            )
        elif told is None:
            logger.info("feed %s has not moved since the start: what is absent from it waits", TOPICS[feed])
        else:
            logger.warning(
                "feed %s is silent: none of its partitions moved for %.0f s (feed_silence_ms), what is absent from it waits",
                TOPICS[feed],
                self._settings.feed_silence_ms / 1000,
            )
