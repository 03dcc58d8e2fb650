"""An observation that waits for what becomes of it: part of a borrower's state until it matures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from operator import ne
from typing import Final

import msgspec
from msgspec import Struct

from models.risk.labels import Label

PENDING_OBSERVATIONS_MAX: Final = 12
"""Observations of one borrower that wait to mature: a year's, where the policy's horizon is a year. Beyond, none is made."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[float, ...]).decode


class Observation(Struct, array_like=True, frozen=True, gc=False):
    """Features frozen at a midnight, with what was thought of them then."""

    observed_ms: int
    matures_ms: int
    packed: bytes
    """The features in the order of `Features`, as `packed` wrote them: a state is written far more often than they are read."""
    probability: float
    card_version: str
    segment: str | None = None
    decided: Label | None = None
    """What a loan that is remembered no more decided; others may have decided before it."""

    @property
    def values(self) -> tuple[float, ...]:
        """In the order of `Features`; one of an earlier release holds the first so many."""
        return _decode(self.packed)


def packed(values: Sequence[float]) -> bytes:
    """Numbers in few bytes, exactly: most features are whole numbers, and most of these small ones."""
    numbers: list[int | float] = list(map(int, values))
    for place in compress(range(len(numbers)), map(ne, numbers, values)):  # the fractions
        numbers[place] = values[place]
    return _encode(numbers)
