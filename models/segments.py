"""Which loans a segment of the policy speaks of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from models.policy import Names, SegmentMatch


class _Described(Protocol):
    """A loan by what its opening said of it."""

    platform_id: str
    product: str | None
    segment: str | None
    borrower_kind: str | None


class Accepted(NamedTuple):
    """The words that fit, by what they describe; None where every word does."""

    product: frozenset[str] | None
    segment: frozenset[str] | None
    borrower_kind: frozenset[str] | None
    platform: frozenset[str] | None

    def fits(self, loan: _Described) -> bool:
        """Whether a loan belongs here. One of which nothing is known belongs nowhere that asks for it."""
        return (
            (self.product is None or loan.product in self.product)
            and (self.segment is None or loan.segment in self.segment)
            and (self.borrower_kind is None or loan.borrower_kind in self.borrower_kind)
            and (self.platform is None or loan.platform_id in self.platform)
        )

    def fits_any(self, loans: Iterable[_Described]) -> bool:
        """Whether one of the loans belongs here."""
        return any(self.fits(loan) for loan in loans)


def accepted_by(match: SegmentMatch) -> Accepted:
    """A policy's `match`, ready to be asked."""
    return Accepted(
        _set_of(match.product), _set_of(match.segment), _set_of(match.borrower_kind), _set_of(match.platform)
    )


def _set_of(names: Names | None) -> frozenset[str] | None:
    if names is None:
        return None
    return frozenset((names,) if isinstance(names, str) else names)
