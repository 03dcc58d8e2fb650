"""Bodies as they are kept: each compressed by itself, with a dictionary that every reader has.

A body of some kilobytes is too short to repeat itself much. The dictionary (`models/dictionaries`) holds what bodies have in
common, so that each can be as short as if it stood among many, and be read alone. Nothing in a packed body says which dictionary
it needs, nor holds a sum of its bytes: the format version of the record around it does the one, its checksum the other.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

import zstandard

LEVEL: Final = -1
"""Zstandard's. Level 3 saves a thirtieth of the bytes more and takes twice the CPU time, at every state that is written."""
_MATCH_BYTES_MIN: Final = 4
"""Shortest repetition that is looked for: the level's own five bytes leave a state 2 % larger and take as long, within a microsecond."""
_BODY_BYTES_USUAL: Final = 4096
"""After a year; the compressor's tables are as large as that needs."""

BODY_BYTES_MAX: Final = 16 * 1024 * 1024
"""Largest body: the limits of a picture allow about half of it (64 loans, each of 1,200 lines and 400 payments), and packed it
must fit a record of one mebibyte. Without a bound a few forged bytes could ask for all the memory that there is."""


class PackingError(Exception):
    """Bytes that are no packed body, or a dictionary that is not the one that was shipped: the message says which."""


class Packing:
    """One dictionary, and what compresses and decompresses with it."""

    def __init__(self, name: str, sha256: str) -> None:
        """Read a dictionary.

        Args:
            name: its file in `models/dictionaries`.
            sha256: of its bytes, in hexadecimal digits. With other bytes a body would come back as another one.

        Raises:
            PackingError: the file has other bytes.
        """
        content = files("models").joinpath("dictionaries", name).read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise PackingError(
                f"models/dictionaries/{name} is damaged: its SHA-256 is {found} instead of {sha256}"
            )
        self._parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL,
            source_size=_BODY_BYTES_USUAL,
            dict_size=len(content),
            min_match=_MATCH_BYTES_MIN,
            write_checksum=False,
            write_dict_id=False,
        )
        self._dictionary = zstandard.ZstdCompressionDict(content)
        self._dictionary.precompute_compress(compression_params=self._parameters)
        # Today each process reads and writes states in one thread alone; but both of these let other threads run meanwhile and bear
        # no second one, so whoever needs one takes it out, or makes one where none is left, and puts it back (0.2 µs).
        self._compressors: list[zstandard.ZstdCompressor] = []
        self._decompressors: list[zstandard.ZstdDecompressor] = []

    def pack(self, body: bytes) -> bytes:
        """A body, compressed."""
        assert len(body) <= BODY_BYTES_MAX, (
            f"a body of {len(body):,} bytes: the limits of a picture do not hold"
        )
        try:
            compressor = self._compressors.pop()
        except IndexError:
            compressor = zstandard.ZstdCompressor(
                compression_params=self._parameters, dict_data=self._dictionary
            )
        packed = compressor.compress(body)
        self._compressors.append(compressor)
        return packed

    def unpack(self, packed: bytes | memoryview) -> bytes:
        """The body of packed bytes.

        Raises:
            PackingError: they are none, or more than a body can be.
        """
        try:
            size = zstandard.frame_content_size(packed)
            if not 0 <= size <= BODY_BYTES_MAX:
                claimed = "an unknown number of" if size < 0 else f"{size:,}"
                raise PackingError(f"{claimed} bytes are said to be packed, {BODY_BYTES_MAX:,} are the most")
            try:
                decompressor = self._decompressors.pop()
            except IndexError:
                decompressor = zstandard.ZstdDecompressor(dict_data=self._dictionary)
            body = decompressor.decompress(packed, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise PackingError(f"it cannot be unpacked: {error}") from error
        self._decompressors.append(decompressor)
        return body
