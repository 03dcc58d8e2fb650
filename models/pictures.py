"""Which borrowers are held as pictures, ready to be asked, and which as bytes: a bounded number, and all others.

A picture takes ten times the memory of its record. Whoever is touched is decoded, so in time that would be everybody. Those
decoded first are kept, as many as there is room for. All others are passing: each becomes its record again right after it was
touched, while the processor's cache still holds all of it.

Nobody is let go of to make room for another: all borrowers come about equally often, and a midnight asks for them one after
the other, so that whoever was let go of would be asked for next.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, MutableMapping
from itertools import islice
from typing import Final

from models.borrower import Borrower, decode_borrower, encode_borrower

_SELDOM_FACTOR: Final = 4
"""With so many times as many borrowers as may be kept, at most one touch in four would find its picture: then none is."""
_PASSING_MAX: Final = 16
"""Pictures that become records together: several events of one borrower at once decode it once, and the processor's cache holds all."""


class Pictures:
    """Decodes at first touch, and lets go of what is too much."""

    def __init__(self, borrowers: MutableMapping[str, Borrower | bytes], pictures_max: int) -> None:
        """`borrowers` is the engine's, and changed here; `pictures_max` are kept, and may change."""
        self._borrowers = borrowers
        self.pictures_max = pictures_max
        self._kept: dict[str, bytes] = {}
        """What the pictures that are kept were decoded from, or written as last."""
        self._passing: dict[str, bytes] = {}
        """The same of those for which there is no room."""
        self._decoded = 0
        """Of them, since the last `pack`."""

    @property
    def must_pack(self) -> bool:
        """Whether `pack` is due before more are decoded."""
        return self._decoded >= _PASSING_MAX

    def known(self, borrower_id: str) -> Borrower | None:
        """A borrower's picture, decoded at first touch.

        Raises:
            CorruptStateError: as `decode_borrower`.
        """
        known = self._borrowers.get(borrower_id)
        if not isinstance(known, bytes):
            return known
        picture = self._borrowers[borrower_id] = decode_borrower(borrower_id, known)
        if len(self._kept) < self._room():
            self._kept[borrower_id] = known
        else:
            self._passing[borrower_id] = known
            self._decoded += 1
        return picture

    def pack(self, changed: Container[str], held: Container[str]) -> None:
        """Let those that are passing become their records again, but for `held`: of whom somebody keeps the picture.

        Args:
            changed: borrowers whose pictures have changed since `settle`.
            held: some of them.
        """
        borrowers, passing = self._borrowers, self._passing
        self._passing, self._decoded = {}, 0
        for borrower_id, record in passing.items():
            picture = borrowers.get(borrower_id)
            if not isinstance(picture, Borrower):
                continue  # forgotten
            if borrower_id in held:
                self._passing[borrower_id] = record
            else:
                borrowers[borrower_id] = encode_borrower(picture) if borrower_id in changed else record

    def settle(self, changed: Mapping[str, bytes | None]) -> None:
        """Keep as many pictures as there is room for; the others become records.

        Args:
            changed: the records of all borrowers whose pictures have changed since the last time, or who are new.
        """
        kept, borrowers, room = self._kept, self._borrowers, self._room()
        for borrower_id, record in changed.items():
            self._passing.pop(borrower_id, None)
            kept.pop(borrower_id, None)
            if record is None or isinstance(borrowers[borrower_id], bytes):
                continue
            if len(kept) < room:
                kept[borrower_id] = record
            else:
                borrowers[borrower_id] = record
        self.pack((), ())
        for borrower_id in list(islice(kept, max(0, len(kept) - room))):
            record = kept.pop(borrower_id)
            if isinstance(borrowers.get(borrower_id), Borrower):
                borrowers[borrower_id] = record

    def _room(self) -> int:
        """How many may be kept."""
        return self.pictures_max if len(self._borrowers) <= _SELDOM_FACTOR * self.pictures_max else 0
