"""What records of the changelog say: where a body is compressed, a search through its bytes finds nothing and proves nothing."""

from __future__ import annotations

import msgspec

from models.borrower import decode_borrower
from streams.progress import is_progress_key


def said_by(key: bytes | None, value: bytes | None) -> bytes:
    """The value of a record of the state topic, in which an id can be searched for: of a state its unpacked document."""
    if not key or not value or is_progress_key(key):
        return value or b""
    return msgspec.msgpack.encode(decode_borrower(key.decode(), value))
