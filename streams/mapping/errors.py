"""What can be wrong with a mapping, and with a value under it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from models.rejects import PayloadReason


class MappingError(Exception):
    """A mapping file that cannot be used: the message says where, and what is allowed."""


class UnfitError(Exception):
    """A value of a payload that the mapping cannot turn into the event's. It never leaves `streams.mapping`."""

    def __init__(self, reason: PayloadReason, detail: str) -> None:
        """`detail` quotes nothing of the payload."""
        super().__init__(detail)
        self.reason: PayloadReason = reason
        self.detail = detail


class NotCompiledError(Exception):
    """A mapping has no fast way; the message says why."""


def unknown(what: str, found: str, known: Iterable[str]) -> str:
    """Say that a word is not known, and which known one is nearest."""
    words = list(known)
    nearest = difflib.get_close_matches(found, words, n=1, cutoff=0)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    return f"unknown {what} {found!r}{hint}"
