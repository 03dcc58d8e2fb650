"""The progress record keeps what it was given, or says that it cannot be trusted."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alerts import ChainHead
from models.engine import EngineProgress, Passing
from models.rulebook import SINCE_EVER_MS, Adopted, Span
from streams.progress import (
    CorruptProgressError,
    Progress,
    decode_progress,
    encode_progress,
    is_progress_key,
    progress_key,
)

PROGRESS = Progress(
    task=3,
    partition_count=8,
    offsets=(1, 2, 3, 4, 5),
    merge_keys_ms=(10, 20, 30, 2**62),
    engine=EngineProgress(
        (-1, 5, 6, 7, 8), (-1, 1, 2, 3), ChainHead(17, "ab" * 32), Passing(1, 9, is_highest=True)
    ),
    policy_version="p",
    card_version="c",
    policies=Adopted(0, (Span(SINCE_EVER_MS, "p"),)),
    cards=Adopted(0, (Span(SINCE_EVER_MS, "c"),)),
)


def test_a_record_comes_back_as_it_was() -> None:
    """Writing and reading change nothing."""
    assert decode_progress(encode_progress(PROGRESS)) == PROGRESS


@given(st.integers(0, len(encode_progress(PROGRESS)) - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(place: int, change: int) -> None:
    """No single wrong byte passes for a position."""
    record = bytearray(encode_progress(PROGRESS))
    record[place] ^= change

    with pytest.raises(CorruptProgressError):
        decode_progress(bytes(record))


@given(st.binary(max_size=40))
def test_other_bytes_are_refused(record: bytes) -> None:
    """What was not written as progress is not read as such."""
    with pytest.raises(CorruptProgressError):
        decode_progress(record)


def test_another_number_of_topics_is_refused() -> None:
    """A record of another shape is named, not guessed at."""
    short = msgspec.structs.replace(PROGRESS, offsets=(1, 2, 3, 4))

    with pytest.raises(CorruptProgressError, match="4 offsets"):
        decode_progress(encode_progress(short))


@given(st.text(min_size=1), st.integers(0, 9_999))
def test_no_borrower_has_the_key_of_progress(borrower_id: str, task: int) -> None:
    """The key is no valid UTF-8, so it is no borrower's id."""
    assert is_progress_key(progress_key(task))
    assert not is_progress_key(borrower_id.encode(errors="ignore"))
