"""Ids of accounts, loans, lenders and receivers as the state keeps them: long ones by a hash, so that it stays small."""

from __future__ import annotations

import hashlib
from typing import Final

ID_CHARACTERS_MAX: Final = 32
"""Longer ids are kept as a hash of 16 characters."""


def short_id(name: str) -> str:
    """An id as it is kept; of one as it is kept, the same."""
    if len(name) <= ID_CHARACTERS_MAX:
        return name
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
