"""Feed health: is a feed as a whole silent, or is only this partition idle?

Judging an absence (a missing salary) by the wall clock is right only while the feed lives: an outage of the feed must
never become ten thousand false alerts. So a feed none of whose partitions moved for `silence_ms` is silent, and after its
return it has `grace_ms` to bring what it held back.
"""

from __future__ import annotations

from collections.abc import Sequence


class FeedHealth:
    """What is known of every feed's life. Times are stop-watch milliseconds."""

    def __init__(self, feeds: int, silence_ms: int, grace_ms: int) -> None:
        """At the start nothing is known, which counts as silence: a restart amid an outage must not end it."""
        self._silence_ms = silence_ms
        self._grace_ms = grace_ms
        self._ends: list[Sequence[int] | None] = [None] * feeds
        self._moved_at_ms: list[int | None] = [None] * feeds
        self._trusted_from_ms: list[int] = [0] * feeds

    def observe(self, feed: int, ends: Sequence[int], now_ms: int) -> None:
        """Take in the end offsets of all partitions of a feed."""
        before = self._ends[feed]
        self._ends[feed] = tuple(ends)
        if before is None or tuple(before) == tuple(ends):
            return
        if self.is_silent(feed, now_ms):
            self._trusted_from_ms[feed] = now_ms + self._grace_ms
        self._moved_at_ms[feed] = now_ms

    def is_silent(self, feed: int, now_ms: int) -> bool:
        """Whether no partition of the feed has moved for so long."""
        moved_at_ms = self._moved_at_ms[feed]
        return moved_at_ms is None or now_ms - moved_at_ms >= self._silence_ms

    def follows_wall_clock(self, feed: int, now_ms: int) -> bool:
        """Whether an idle partition's watermark may follow the wall clock."""
        return not self.is_silent(feed, now_ms) and now_ms >= self._trusted_from_ms[feed]
