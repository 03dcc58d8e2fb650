"""Which borrowers are held as pictures, ready to be asked, and which as bytes: a bounded number, and all others.

A picture takes six times the memory of its record. Whoever is touched is decoded, so in time that would be everybody. When
state is handed over, picture and record say the same; then the pictures that have not changed for longest become their records again.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from itertools import islice

from models.borrower import Borrower, decode_borrower


class Pictures:
    """Decodes at first touch, and lets go of what is too much."""

    def __init__(self, borrowers: MutableMapping[str, Borrower | bytes], pictures_max: int) -> None:
        """`borrowers` is the engine's, and changed here; `pictures_max` are left after each `settle`, and may change."""
        self._borrowers = borrowers
        self.pictures_max = pictures_max
        self.decoded = 0
        """Pictures decoded since the last `settle`: so many more there are at most than were left by it."""
        self._records: dict[str, bytes] = {}
        """What pictures were decoded from, or written as last; those first that have been so for longest."""

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
        too_many = len(records) - self.pictures_max
        for borrower_id in list(islice(records, max(0, too_many))):
            record = records.pop(borrower_id)
            if isinstance(borrowers.get(borrower_id), Borrower):
                borrowers[borrower_id] = record
