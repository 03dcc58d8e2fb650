"""Which borrowers are held as pictures, ready to be asked, and which as bytes: a bounded number, and all others.

A picture takes six times the memory of its record. Whoever is touched is decoded, so in time that would be everybody. While
picture and record say the same, which they do when state was handed over, those that have been so for longest become their records again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, MutableMapping
from itertools import islice
from typing import Final

from models.borrower import Borrower, decode_borrower, encode_borrower
from models.limits import INT64_MAX

_SELDOM_FACTOR: Final = 4
"""With so many times as many borrowers as may be held decoded, at most one touch in four would find its picture there."""


class Pictures:
    """Decodes at first touch, and lets go of what is too much."""

    def __init__(self, borrowers: MutableMapping[str, Borrower | bytes], pictures_max: int) -> None:
        """`borrowers` is the engine's, and changed here; `pictures_max` are left at most after each `settle`, and may change."""
        self._borrowers = borrowers
        self.pictures_max = pictures_max
        self.decoded_max = INT64_MAX
        """So many are decoded at most before `settle` or `pack` is due."""
        self.decoded = 0
        """Pictures decoded since the last `settle` or `pack`: so many more there are at most than were left by it."""
        self._records: dict[str, bytes] = {}
        """What pictures were decoded from, or written as last; those first that have been so for longest."""

    @property
    def has_decoded_enough(self) -> bool:
        """Whether `settle` or `pack` is due before more are decoded.

        Never where all may be held: they would be packed to be decoded again. Of those who come seldom, after half as many.
        """
        count = len(self._borrowers)
        if count <= self.pictures_max:
            return False
        is_seldom = count > _SELDOM_FACTOR * self.pictures_max
        return self.decoded >= (max(1, self.decoded_max // 2) if is_seldom else self.decoded_max)

    def known(self, borrower_id: str) -> Borrower | None:
        """A borrower's picture, decoded at first touch.

        Raises:
            CorruptStateError: as `decode_borrower`.
        """
        known = self._borrowers.get(borrower_id)
        if not isinstance(known, bytes):
            return known
        picture = self._borrowers[borrower_id] = decode_borrower(borrower_id, known)
        self._records[borrower_id] = known
        self.decoded += 1
        return picture

    def settle(self, changed: Mapping[str, bytes | None]) -> None:
        """Keep the pictures decoded or changed last; the others become records.

        Args:
            changed: the records of all borrowers whose pictures have changed since the last time.
        """
        records, borrowers = self._records, self._borrowers
        self.decoded = 0
        for borrower_id, record in changed.items():
            records.pop(borrower_id, None)
            if record is not None and not isinstance(borrowers[borrower_id], bytes):
                records[borrower_id] = record
        self.let_go(())

    def pack(self, changed: Iterable[str], held: Container[str]) -> None:
        """Let those become their records again that have changed, too, but for `held`: of whom somebody keeps the picture.

        For when a midnight is the deadline of a tenth of all borrowers, and nothing can be handed over before all are judged.
        """
        records, borrowers = self._records, self._borrowers
        self.decoded = 0
        for borrower_id in changed:
            picture = borrowers.get(borrower_id)
            if isinstance(picture, Borrower) and borrower_id not in held:
                borrowers[borrower_id] = encode_borrower(picture)
                records.pop(borrower_id, None)

    def let_go(self, changed: Container[str]) -> None:
        """Let those that are too many become their records again, but for whom the record does not say what the picture says.

        Nobody may hold a picture meanwhile, and then change it. Let go of a few at a time, memory is used again at once; let go of
        after thousands, it is given back to the system and asked for anew.
        """
        records, borrowers = self._records, self._borrowers
        too_many = len(records) - self._worth_keeping()
        if too_many <= 0:
            return
        for borrower_id in list(islice(records, too_many)):
            record = records.pop(borrower_id)
            if borrower_id in changed:
                records[borrower_id] = record  # behind all others: `settle` has its new record
            elif isinstance(borrowers.get(borrower_id), Borrower):
                borrowers[borrower_id] = record

    def _worth_keeping(self) -> int:
        """Fewer than are allowed where a picture is seldom asked again: then half as many as are decoded there until the next `settle`.

        So many have to be held at times anyway, and the memory of those that are let go of is taken by those that are decoded.
        """
        if len(self._borrowers) > _SELDOM_FACTOR * self.pictures_max:
            return min(self.pictures_max, self.decoded_max // 4)
        return self.pictures_max
