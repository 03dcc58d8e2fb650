"""Records that can be trusted: a format version, a checksum, the content.

    1 byte: version │ 4 bytes: CRC-32, big-endian │ content

A record of an older version is brought to the present form step by step, each step from one version to the next, so
that a step once written never changes. A damaged record, or one of a version that is not known, is refused and never
guessed at.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

_HEAD: Final = struct.Struct(">BI")
HEAD_BYTES: Final = _HEAD.size
"""Before the content."""
_VERSIONS_MAX: Final = 255
"""What a byte holds."""

State = TypeVar("State")

Upgrade = Callable[[Any], Any]
"""From a decoded document (lists, dicts, numbers, text, bytes) of one version to one of the next."""


class UntrustedRecordError(Exception):
    """The bytes are not what was written, or were written by a release that this one does not know."""


class Format:
    """One kind of record through its versions."""

    def __init__(self, upgrades: Sequence[Upgrade | None] = ()) -> None:
        """`upgrades[0]` leads from version 1 to 2, and so on: the present version is the one they lead to.

        None: the document is the same in both, and only its bytes differ.
        """
        assert len(upgrades) < _VERSIONS_MAX, "the version is one byte"
        self.version: Final = len(upgrades) + 1
        changes = [version for version, step in enumerate(upgrades, start=2) if step is not None]
        self.first_of_present_shape: Final = changes[-1] if changes else 1
        """The version since which documents are as they are now, and need no upgrade."""
        self._upgrades = tuple(upgrades)

    def seal(self, content: bytes) -> bytes:
        """The record of a content in its present form."""
        return _HEAD.pack(self.version, _checksum(self.version, content)) + content

    def unseal(self, record: bytes) -> tuple[int, memoryview]:
        """The version of a record, and its content as that version wrote it.

        Raises:
            UntrustedRecordError: damaged, cut short, or of an unknown version; the message says which.
        """
        if len(record) <= _HEAD.size:
            raise UntrustedRecordError(f"{len(record)} bytes are too few: it was cut short")
        version, checksum = _HEAD.unpack_from(record)
        if version == 0:
            raise UntrustedRecordError("there is no format version 0: it is damaged, or something else")
        content = memoryview(record)[_HEAD.size :]
        fits = checksum == _checksum(version, content)
        if version > self.version and fits:
            raise UntrustedRecordError(
                f"it was written by a newer release, in format version {version}; this one knows up to {self.version}: go "
                f"back to the newer release"
            )
        if not fits:
            raise UntrustedRecordError("its checksum does not fit its bytes: it is damaged")
        return version, content

    def upgrade(self, document: Any, version: int) -> Any:
        """Bring a document of an older version to the present form."""
        for step in self._upgrades[version - 1 :]:
            if step is not None:
                document = step(document)
        return document


class SealedState(Generic[State]):
    """A state of one type as a record of one version; what cannot be read is an error of its owner's."""

    def __init__(self, kind: type[State], error: type[Exception], what: str) -> None:
        """`what` begins the message of every error."""
        self._format = Format()
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._error = error
        self._what = what

    def to_bytes(self, state: State) -> bytes:
        """The record of a state."""
        return self._format.seal(self._encode(state))

    def from_bytes(self, record: bytes) -> State:
        """The state of a record.

        Raises:
            Exception: the owner's; damaged, of a version that is not known, or something else.
        """
        try:
            _, content = self._format.unseal(record)
            return self._decode(content)
        except (UntrustedRecordError, msgspec.MsgspecError) as error:
            raise self._error(f"{self._what}: {error}") from error


def _checksum(version: int, content: bytes | memoryview) -> int:
    """The version is part of the sum, so that a changed one shows; version 1 counts as nothing."""
    return zlib.crc32(content, version - 1)
