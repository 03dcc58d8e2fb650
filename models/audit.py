"""Audit: is a partition's chain of alerts whole, and if not, where is the first break and what is it?

The chain (`models.alerts.link`) is proved from the bytes that were published and not from what this program makes of them,
so alerts of older and newer versions are proved alike. Memory does not grow with the chain: one alert is held back until the
next one tells what is wrong with it, and of everything before only the last link is kept.

What a chain without a key can show: every change that is not carried on through all alerts behind it *and* into the
progress record. Whoever can rewrite all of that, can forge it; a head that was noted elsewhere (the report prints it) shows
even that.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from models.alerts import SCHEMA, ChainHead, sorted_bytes

BreakKind = Literal["changed", "missing", "moved", "doubled", "forged"]
"""changed: the content is not what was hashed. missing: alerts are gone. moved: an alert stands at another place.
doubled: a place is taken twice. forged: a hash was put in place of the one that the chain holds."""
Begin = Literal["first", "retention", "asked", "nothing"]
"""Where the proof begins: at the first alert ever; at the first that retention left; where it was asked to; nowhere."""


class Break(Struct, frozen=True):
    """The first place at which a chain is not whole."""

    kind: BreakKind
    offset: int
    """Of the record that is wrong; where something is missing, of the record behind the gap, or the end of the log."""
    sequence: int | None
    """Of the alert that is wrong, or of the first that is missing; None where it cannot be read."""
    detail: str
    """What differs. It quotes numbers and hashes, nothing else of an alert."""


class ChainReport(Struct, frozen=True):
    """What a proof found of one chain."""

    records: int
    first_sequence: int | None
    last_sequence: int | None
    """Of the alerts proved: up to the break, where there is one."""
    head_hash: str | None
    """The hash of the last alert proved. Note it elsewhere: a later proof must pass through it."""
    begin: Begin
    erased: int
    """Records that hold nothing but their link, for their borrower was erased: their place is proved, their content cannot be."""
    head_compared: bool
    """Whether the chain's end was compared with the progress record; without it, an end that was cut off does not show."""
    first_break: Break | None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.first_break is None


class _Link(Struct, frozen=True, gc=False):
    """What the chain needs to know of a record."""

    offset: int
    sequence: int
    previous: str
    hash: str
    computed: str
    """The hash of the content as it is now; empty where the bytes are not as an alert is written."""
    is_erased: bool = False
    """Nothing is left but the link, so there is nothing to hash."""

    @property
    def is_own_hash(self) -> bool:
        return self.computed == self.hash


_encode: Final = msgspec.json.Encoder().encode
_UNREADABLE: Final = "the record is no alert that could be read"
_NO_ALERTS_BEFORE: Final = 0


class ChainVerifier:
    """Takes the records of one chain in order, and tells in the end whether it is whole."""

    def __init__(
        self,
        begin: Literal["first", "retention", "asked"] = "first",
        head_before: ChainHead | None = None,
    ) -> None:
        """Begin a proof.

        Args:
            begin: `first` expects the chain's first alert; the others begin with the first record's `previous`.
            head_before: the head that the progress record held before reading began: the chain must pass through it.
        """
        self._begin: Begin = begin
        self._head_before: Final = head_before
        self._records = 0
        self._erased = 0
        self._first_sequence: int | None = None
        self._last: _Link | None = None
        """The last link that is proved."""
        self._proved: ChainHead | None = None
        self._suspect: _Link | None = None
        """Something is wrong with it; the next record tells what."""
        self._break: Break | None = None
        self._next_offset = 0

    def take(self, content: bytes | None, offset: int) -> None:
        """Take the next record's value; None, which no alert has, is told as changed."""
        self._records += 1
        self._next_offset = offset + 1
        link = _examine(content, offset)
        self._erased += link is not None and link.is_erased
        if self._break is not None:
            self._look_for_missing(link)
            return
        if self._suspect is not None:
            self._break = self._accuse(self._suspect, link)
        elif link is None:
            self._break = Break("changed", offset, None, _UNREADABLE)
        elif not link.is_own_hash:
            self._suspect = link
        else:
            self._append(link)

    @property
    def next_offset(self) -> int:
        """Behind the last record taken."""
        return self._next_offset

    @property
    def last_sequence(self) -> int:
        """Of the last alert proved; 0 before the first."""
        return 0 if self._proved is None else self._proved.sequence

    @property
    def awaits_more(self) -> bool:
        """Whether nothing is wrong so far, but the progress record knew of more alerts than came."""
        head = self._head_before
        is_sound = self._break is None and self._suspect is None
        return is_sound and head is not None and self.last_sequence < head.sequence

    def finish(self, head_after: ChainHead | None = None) -> ChainReport:
        """End the proof: nothing comes any more.

        Args:
            head_after: the head that the progress record held after the end was read: the chain must not go beyond it.
        """
        if self._suspect is not None and self._break is None:
            self._break = self._accuse_last(self._suspect, head_after)
        if self._break is None:
            self._break = self._compare_end(head_after)
        proved = self._proved
        if self._first_sequence == 1:
            self._begin = "first"
        return ChainReport(
            records=self._records,
            first_sequence=None if proved is None else self._first_sequence,
            last_sequence=None if proved is None else proved.sequence,
            head_hash=None if proved is None else proved.hash,
            begin="nothing" if self._records == 0 else self._begin,
            erased=self._erased,
            head_compared=self._head_before is not None or head_after is not None,
            first_break=self._break,
        )

    # ---- one link ------------------------------------------------------------------------------------------------

    def _append(self, link: _Link) -> None:
        """Put a link whose content is what its hash says behind the last one."""
        last = self._last
        if last is None:
            self._begin_with(link)
        elif link.sequence > last.sequence + 1:
            self._break = _gap(last.sequence + 1, link)
        elif link.sequence <= last.sequence:
            self._break = _second(link, last, self._first_sequence or 0)
        elif link.previous != last.hash:
            self._suspect = link
        else:
            self._prove(link)

    def _begin_with(self, link: _Link) -> None:
        if self._begin == "first" and link.sequence > 1:
            self._break = _gap(1, link)
        elif link.sequence < 1 or (link.sequence == 1) != (link.previous == ""):
            self._break = Break(
                "forged", link.offset, link.sequence, "only the first alert has nothing before it"
            )
        else:
            self._first_sequence = link.sequence
            self._prove(link)

    def _prove(self, link: _Link) -> None:
        head = self._head_before
        if head is not None and link.sequence == head.sequence and link.hash != head.hash:
            self._break = _not_the_head(link, head)
            return
        self._last = link
        self._proved = ChainHead(link.sequence, link.hash)

    # ---- what is wrong -------------------------------------------------------------------------------------------

    def _accuse(self, suspect: _Link, follower: _Link | None) -> Break:
        """Tell what is wrong with a link from what the record behind it remembers of it."""
        return self._accuse_by(suspect, None if follower is None else follower.previous)

    def _accuse_last(self, suspect: _Link, head_after: ChainHead | None) -> Break:
        """The same for the last record, of which the progress record remembers the hash."""
        heads = (self._head_before, head_after)
        remembered = [head.hash for head in heads if head is not None and head.sequence == suspect.sequence]
        return self._accuse_by(suspect, remembered[-1] if remembered else None)

    def _accuse_by(self, suspect: _Link, remembered: str | None) -> Break:
        if not suspect.is_own_hash:
            if remembered is not None and remembered == suspect.computed:
                detail = f"its hash reads {suspect.hash!r}; content and chain say {suspect.computed}"
                return Break("forged", suspect.offset, suspect.sequence, detail)
            detail = (
                f"its content hashes to {suspect.computed}, it was published as {suspect.hash!r}"
                if suspect.computed
                else "its bytes are not as they were written"
            )
            return Break("changed", suspect.offset, suspect.sequence, detail)
        last = self._last
        assert last is not None, "a link is compared with the one before it"
        is_as_remembered = remembered is not None and remembered == suspect.hash
        # Of an erased alert only the hash is remembered: its own `previous` may be the one that was changed.
        accused = last if is_as_remembered and not suspect.is_erased else suspect
        detail = (
            f"alert {suspect.sequence} follows on {suspect.previous!r}, alert {last.sequence} has {last.hash}"
        )
        if accused is last:
            is_first = last.sequence == self._first_sequence
            self._proved = None if is_first else ChainHead(last.sequence - 1, last.previous)
        return Break("forged", accused.offset, accused.sequence, detail)

    def _compare_end(self, head_after: ChainHead | None) -> Break | None:
        """Is the end of the log the end of the chain?"""
        last = self._last
        end = _NO_ALERTS_BEFORE if last is None else last.sequence
        head = self._head_before or head_after
        nothing_left = last is None and self._begin != "first"
        if head is not None and end < head.sequence and not nothing_left:
            detail = f"the log ends with alert {end}, the progress record says {head.sequence}"
            return Break("missing", self._next_offset, end + 1, detail)
        if head_after is None or last is None:
            return None
        if end > head_after.sequence:
            detail = (
                f"the progress record knows {head_after.sequence} alerts: no worker published this one so"
            )
            return Break("forged", last.offset, last.sequence, detail)
        if end == head_after.sequence and last.hash != head_after.hash:
            return _not_the_head(last, head_after)
        return None

    def _look_for_missing(self, link: _Link | None) -> None:
        """A gap that is filled later on was made by moving an alert, not by taking one away."""
        found = self._break
        assert found is not None
        if found.kind == "missing" and link is not None and link.is_own_hash:
            if link.sequence != found.sequence:
                return
            detail = f"{found.detail}; alert {link.sequence} stands at offset {link.offset}"
            self._break = Break("moved", found.offset, found.sequence, detail)


def _gap(expected: int, link: _Link) -> Break:
    detail = f"alert {link.sequence} stands where alert {expected} belongs"
    return Break("missing", link.offset, expected, detail)


def _second(link: _Link, last: _Link, first_sequence: int) -> Break:
    if link.sequence < first_sequence:
        detail = f"alert {link.sequence} stands behind alert {last.sequence}"
        return Break("moved", link.offset, link.sequence, detail)
    detail = f"alert {link.sequence} for the second time"
    if link.sequence == last.sequence:
        detail += ", the same" if link.hash == last.hash else ", with other content"
    return Break("doubled", link.offset, link.sequence, detail)


def _not_the_head(link: _Link, head: ChainHead) -> Break:
    detail = f"alert {link.sequence} has {link.hash}, the progress record says {head.hash!r}"
    return Break("forged", link.offset, link.sequence, detail)


def _examine(content: bytes | None, offset: int) -> _Link | None:
    """The link of a record, with the hash of what it holds; None where it is no alert at all."""
    document = _document(content)
    if content is None or document is None:
        return None
    chain = document.get("chain")
    if not isinstance(chain, dict):
        return None
    sequence, previous, stated = chain.get("sequence"), chain.get("previous"), chain.get("hash")
    if type(sequence) is not int or not isinstance(previous, str) or not isinstance(stated, str):
        return None
    if content == _erased_form(sequence, previous, stated):
        return _Link(offset, sequence, previous, stated, stated, is_erased=True)
    if type(document.get("detected_at_ms")) is not int:
        return None
    # The same content in other bytes (white space, a name twice, an escape) is not what was published either.
    is_as_written = _encode(document) == content
    del document["detected_at_ms"]
    del chain["hash"]
    computed = hashlib.sha256(sorted_bytes(document)).hexdigest() if is_as_written else ""
    return _Link(offset, sequence, previous, stated, computed)


def without_content(content: bytes) -> bytes:
    """What may be kept of an alert whose borrower was erased: its link in the chain, and nothing of the person.

    The hash stays the one of the content that is gone, so the chain can still be proved around it.

    Raises:
        ValueError: it is no alert.
    """
    link = _examine(content, 0)
    if link is None:
        raise ValueError(_UNREADABLE)
    return _erased_form(link.sequence, link.previous, link.hash)


def _erased_form(sequence: int, previous: str, stated: str) -> bytes:
    chain = {"sequence": sequence, "previous": previous, "hash": stated}
    return _encode({"schema": SCHEMA, "erased": True, "chain": chain})


def _document(content: bytes | None) -> dict[str, Any] | None:
    if content is None:
        return None
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
