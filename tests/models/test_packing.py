"""Packed bodies: what went in comes out, nothing else does, and whoever reads them has the dictionary they were written with."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from models.borrower import (
    STATE_VERSION,
    CorruptStateError,
    check_record,
    deadlines_of,
    decode_borrower,
    encode_borrower,
    new_borrower,
)
from models.packing import BODY_BYTES_MAX, Packing, PackingError
from models.sealed import Format
from tests.models.keep_dictionary import DICTIONARY_BYTES, ROOT

SHIPPED = {
    "state-4.zdict": "48998df6589201d810c86f5bc0a2a95a5b209a47229d105c372561c4446a18f0",
    "state-5.zdict": "ad381537321e4c15272190b02c7bcf1c865012e71a1992666235e761139ab2bb",
}
NAME, SHA256 = list(SHIPPED.items())[-1]
PACKING = Packing(NAME, SHA256)
DEADLINES_BYTES = 8 * 6


def sealed(body: bytes) -> bytes:
    """A record with a checksum that fits, whatever stands behind its deadlines."""
    return Format([None] * (STATE_VERSION - 1)).seal(bytes(DEADLINES_BYTES) + body)


def test_the_dictionaries_are_those_that_were_shipped() -> None:
    """For ever: records were compressed with them, and are lost without. Another dictionary is another format version."""
    contents = {path.name: path.read_bytes() for path in ROOT.iterdir()}

    assert {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()} == SHIPPED
    assert {len(content) for content in contents.values()} == {DICTIONARY_BYTES}


def test_another_dictionary_is_refused() -> None:
    """With other bytes than were shipped a body would come back as another one, and no checksum would tell."""
    with pytest.raises(PackingError, match=rf"{NAME} is damaged: its SHA-256 is {SHA256} instead of 00"):
        Packing(NAME, "00" * 32)


@given(st.binary(max_size=5_000))
def test_a_body_comes_back(body: bytes) -> None:
    """Whatever it is, and however it is handed over."""
    packed = PACKING.pack(body)

    assert PACKING.unpack(packed) == body
    assert PACKING.unpack(memoryview(packed)) == body
    assert PACKING.pack(body) == packed


def test_a_body_is_packed_alike_by_whoever_packs_it() -> None:
    """What was packed before leaves no trace."""
    bodies = [Random(number).randbytes(64) * (number % 50) for number in range(500)]

    assert [Packing(NAME, SHA256).pack(body) for body in bodies] == [PACKING.pack(body) for body in bodies]


def test_threads_do_not_disturb_each_other() -> None:
    """Each has a compressor and a decompressor of its own while it works."""
    texts = [[f"{thread}-{number}".encode() * 3_000 for number in range(40)] for thread in range(8)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda bodies: [PACKING.unpack(PACKING.pack(body)) for body in bodies], texts))

    assert found == texts


def test_the_largest_body_comes_back_and_a_larger_one_is_never_written() -> None:
    """What is written can be read."""
    largest = bytes(BODY_BYTES_MAX)

    assert PACKING.unpack(PACKING.pack(largest)) == largest
    with pytest.raises(AssertionError, match="the limits of a picture do not hold"):
        PACKING.pack(largest + b"\0")


def test_no_packed_bytes_ask_for_more_than_a_body() -> None:
    """Before anything is unpacked: sixty bytes may claim to hold gigabytes."""
    larger = zstandard.ZstdCompressor().compress(bytes(BODY_BYTES_MAX + 1))
    streamed = zstandard.ZstdCompressor(write_content_size=False).compress(b"body")

    with pytest.raises(PackingError, match=f"^{BODY_BYTES_MAX + 1:,} bytes are said to be packed"):
        PACKING.unpack(larger)
    with pytest.raises(PackingError, match=r"^an unknown number of bytes are said to be packed"):
        PACKING.unpack(streamed)


@pytest.mark.parametrize(
    "damaged", [b"", b"\x93\x01\x02", PACKING.pack(b"body")[:-1], PACKING.pack(b"body") + b"\0"]
)
def test_what_is_no_packed_body_is_refused(damaged: bytes) -> None:
    """Nothing, a body that was never packed, one cut short, one with more behind it."""
    with pytest.raises(PackingError, match="cannot be unpacked"):
        PACKING.unpack(damaged)

    assert PACKING.unpack(PACKING.pack(b"the next one")) == b"the next one"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x93\x01\x02\x03", "cannot be unpacked"),
        (zstandard.ZstdCompressor().compress(bytes(BODY_BYTES_MAX + 1)), "bytes are said to be packed"),
        (PACKING.pack(b"\x93\x01"), "at least length"),
        (PACKING.pack(b""), "truncated"),
    ],
    ids=["not packed", "too large", "packed, but no document", "nothing packed"],
)
def test_a_state_that_cannot_be_unpacked_is_corrupt_though_its_checksum_fits(
    body: bytes, reason: str
) -> None:
    """As one is whose document is none; the message names the borrower."""
    with pytest.raises(
        CorruptStateError, match=rf"'b-9': its checksum fits, its content does not: .*{reason}"
    ):
        decode_borrower("b-9", sealed(body))


def test_deadlines_are_read_without_unpacking() -> None:
    """A restore looks at every header, and at no body."""
    known = new_borrower(5)

    assert check_record("b-9", sealed(b"no body at all")) == (0,) * 6
    assert check_record("b-9", encode_borrower(known)) == deadlines_of(known)
