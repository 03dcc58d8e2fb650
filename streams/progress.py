"""The progress record: where a task stands, written with every transaction beside the state it belongs to.

Bytes: one of format version, four of CRC-32 (big-endian) over the rest, then msgpack. The key is no valid UTF-8, so that no
borrower's id can ever be it.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec
from msgspec import Struct

from models.engine import EngineProgress
from models.events import TOPICS

_VERSION: Final = 1
_KEY_MARK: Final = b"\xff"
_HEAD_BYTES: Final = 5


class CorruptProgressError(Exception):
    """A progress record that cannot be trusted: the message says why."""


class Progress(Struct, frozen=True, array_like=True):
    """Everything beside the borrowers that a task must know again."""

    task: int
    partition_count: int
    offsets: tuple[int, ...]
    """The next record to read, by feed."""
    merge_keys_ms: tuple[int, ...]
    """The merge key of the last record processed, by feed."""
    engine: EngineProgress
    policy_version: str
    card_version: str


def progress_key(task: int) -> bytes:
    """The record key under which a task's progress is kept."""
    return _KEY_MARK + task.to_bytes(4, "big")


def is_progress_key(key: bytes) -> bool:
    """Whether a changelog record is a progress record and no borrower's state."""
    return key.startswith(_KEY_MARK)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Progress)


def encode_progress(progress: Progress) -> bytes:
    """Write a progress record."""
    body = _encoder.encode(progress)
    return bytes([_VERSION]) + zlib.crc32(body).to_bytes(4, "big") + body


def decode_progress(record: bytes) -> Progress:
    """Read a progress record.

    Raises:
        CorruptProgressError: unknown version, wrong sum, or not what was written.
    """
    if len(record) < _HEAD_BYTES or record[0] != _VERSION:
        raise CorruptProgressError(f"unknown format version {record[:1].hex() or 'of an empty record'}")
    body = record[_HEAD_BYTES:]
    if zlib.crc32(body) != int.from_bytes(record[1:_HEAD_BYTES], "big"):
        raise CorruptProgressError("its checksum does not fit its bytes")
    try:
        progress = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise CorruptProgressError(str(error)) from error
    if len(progress.offsets) != len(TOPICS) or len(progress.merge_keys_ms) != len(TOPICS):
        raise CorruptProgressError(
            f"{len(progress.offsets)} offsets where there are {len(TOPICS)} input topics"
        )
    return progress
