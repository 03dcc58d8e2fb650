"""The wire format of a schema registry: a zero byte, the schema's id in four bytes, and for Protobuf which message it is.

As Confluent's serializers write it, and Apicurio's and Karapace's in their compatible modes.
"""

from __future__ import annotations

from typing import Final

from streams.mapping.errors import UnfitError

_MAGIC: Final = 0
_HEAD_BYTES: Final = 5
_INDEXES_MAX: Final = 64
"""How deep messages may be nested in each other, and more than anybody does."""
_VARINT_BITS_MAX: Final = 35


def schema_id_of(payload: bytes) -> int:
    """The id of the schema that wrote a record.

    Raises:
        UnfitError: it is not of this format.
    """
    if len(payload) < _HEAD_BYTES or payload[0] != _MAGIC:
        raise UnfitError(
            "not-json", "not in the wire format of a schema registry: no zero byte and schema id in front"
        )
    return int.from_bytes(payload[1:_HEAD_BYTES], "big")


def avro_body(payload: bytes) -> bytes:
    """What stands behind the id."""
    return payload[_HEAD_BYTES:]


def message_of(payload: bytes) -> tuple[tuple[int, ...], bytes]:
    """For Protobuf: the place of the message in its file, from the outside in, and its bytes.

    Raises:
        UnfitError: the place cannot be read.
    """
    count, at = _zigzag(payload, _HEAD_BYTES)
    if count == 0:  # the usual case, the first message, is written short
        return (0,), payload[at:]
    if not 0 < count <= _INDEXES_MAX:
        raise UnfitError("not-json", "the place of the message in its schema cannot be read")
    indexes = []
    for _ in range(count):
        index, at = _zigzag(payload, at)
        indexes.append(index)
    return tuple(indexes), payload[at:]


def _zigzag(payload: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(payload) and shift < _VARINT_BITS_MAX:
        byte = payload[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
    raise UnfitError("not-json", "the place of the message in its schema cannot be read")
