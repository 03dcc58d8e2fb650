"""What a client says again and again is told once in a while, with how often it was said.

While a partition has no leader the producer's client asks without a pause and tells every answer: 18,000 lines in one
rolling restart of three brokers. An operator who looks for the cause must not have to look between them.
"""

from __future__ import annotations

import logging
from typing import Final

AGAIN_AFTER_SECONDS: Final = 10.0
"""The same sentence is told no more often."""
_REMEMBERED_MAX: Final = 512
"""Sentences remembered: a client has some dozens. Beyond that all are forgotten, and told once more."""


class RepeatFilter(logging.Filter):
    """Lets a sentence (logger, level and text before its values are put in) through once in `AGAIN_AFTER_SECONDS`."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        super().__init__()
        self._told: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is told; the next that is says how many were not."""
        sentence = (record.name, record.levelno, str(record.msg))
        told_at, withheld = self._told.get(sentence, (None, 0))
        if told_at is not None and record.created - told_at < AGAIN_AFTER_SECONDS:
            self._told[sentence] = (told_at, withheld + 1)
            return False
        if withheld:
            record.msg = f"{record.getMessage()} ({withheld} more like this)"
            record.args = None
        if len(self._told) >= _REMEMBERED_MAX:
            self._told.clear()
        self._told[sentence] = (record.created, 0)
        return True


def tell_repeats_once(loggers: tuple[str, ...]) -> None:
    """Put a filter on loggers. Their children need one of their own: a filter is asked only where a record is made."""
    for name in loggers:
        logging.getLogger(name).addFilter(RepeatFilter())
