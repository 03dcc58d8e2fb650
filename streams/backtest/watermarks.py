"""How the watermarks move over a stretch of rows, computed at once: every shard must know what all borrowers' events move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.events import TOPICS
from streams.event_files import EventColumns

_FEEDS: Final = len(TOPICS)
_NOT_MOVED: Final = -1

Lateness = Callable[[int], Sequence[int]]
"""Allowed lateness by feed, as of the highest watermark."""


class Stretch:
    """Rows `begin` to `end`: where watermarks and offsets stand before each row and after the last."""

    def __init__(self, begin: int, end: int) -> None:
        """Nothing known yet."""
        self.begin = begin
        self.end = end
        rows = end - begin
        self.watermarks: NDArray[np.int64] = np.empty((rows + 1, _FEEDS + 1), np.int64)
        """Before each row: by feed, and last the highest of them."""
        self.offsets: NDArray[np.int64] = np.empty((rows + 1, _FEEDS), np.int64)
        """Before each row: the last record of each topic that names a borrower."""
        self.moved_to: NDArray[np.int64] = np.empty(rows, np.int64)
        """Where each row moves the watermark of its feed to; -1 where it does not."""


class Watermarks:
    """The watermarks of a run, a stretch of rows after the other."""

    def __init__(self, columns: EventColumns, lateness: Lateness, changes_ms: Sequence[int]) -> None:
        """`changes_ms`: at which highest watermarks the lateness may become another one, in order."""
        self._columns = columns
        self._lateness = lateness
        self._changes_ms = list(changes_ms)
        self._standing_ms = [-1] * (_FEEDS + 1)
        self._last_offsets = [-1] * _FEEDS

    def over(self, begin: int, end: int, rejected: Sequence[int], nameless: Sequence[int]) -> Stretch:
        """The next stretch of rows. Rejected rows move no watermark, nameless ones among them are of no offset."""
        stretch = Stretch(begin, end)
        feeds = self._columns.topics[begin:end]
        is_event = np.ones(end - begin, np.bool_)
        is_event[np.asarray(rejected, np.intp) - begin] = False
        at = 0
        while at < end - begin:
            at = self._move(stretch, feeds, is_event, at)
        is_named = np.ones(end - begin, np.bool_)
        is_named[np.asarray(nameless, np.intp) - begin] = False
        self._count(stretch, feeds, is_named)
        return stretch

    def _move(self, stretch: Stretch, feeds: NDArray[np.int8], is_event: NDArray[Any], at: int) -> int:
        """Fill the watermarks from row `at` on until the lateness may have changed; return from where to go on."""
        highest_ms = self._standing_ms[-1]
        lateness = np.asarray(self._lateness(highest_ms), np.int64)
        rows = slice(stretch.begin + at, stretch.end)
        times = self._columns.times[rows]
        feeds = feeds[at:]
        told = np.where(self._columns.heartbeats[rows], times, times - lateness[feeds])
        told = np.where(is_event[at:], told, _NOT_MOVED)
        standing = np.empty((len(told) + 1, _FEEDS + 1), np.int64)
        standing[0] = self._standing_ms
        for feed in range(_FEEDS):
            own = np.where(feeds == feed, told, _NOT_MOVED)
            standing[1:, feed] = np.maximum(np.maximum.accumulate(own), self._standing_ms[feed])
        standing[:, -1] = standing[:, :-1].max(axis=1)
        done = self._rows_until_change(standing[1:, -1], highest_ms)
        before = standing[np.arange(done), feeds[:done]]
        after = standing[np.arange(1, done + 1), feeds[:done]]
        stretch.moved_to[at : at + done] = np.where(after > before, after, _NOT_MOVED)
        stretch.watermarks[at : at + done + 1] = standing[: done + 1]
        self._standing_ms = standing[done].tolist()
        return at + done

    def _rows_until_change(self, highest: NDArray[np.int64], highest_ms: int) -> int:
        change_ms = next((change_ms for change_ms in self._changes_ms if change_ms > highest_ms), None)
        if change_ms is None or highest[-1] < change_ms:
            return len(highest)
        return int(np.argmax(highest >= change_ms)) + 1

    def _count(self, stretch: Stretch, feeds: NDArray[np.int8], is_named: NDArray[Any]) -> None:
        offsets = self._columns.offsets[stretch.begin : stretch.end]
        for feed in range(_FEEDS):
            own = np.where((feeds == feed) & is_named, offsets, -1)
            stretch.offsets[0, feed] = last = self._last_offsets[feed]
            stretch.offsets[1:, feed] = np.maximum(np.maximum.accumulate(own), last)
        self._last_offsets = stretch.offsets[-1].tolist()
