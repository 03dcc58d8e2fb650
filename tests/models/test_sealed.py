"""Sealed records: nothing that was not written passes, and old forms come to the present one step by step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sealed import Format, UntrustedRecordError


def _second(document: Any) -> Any:
    return [*document, "second"]


def _third(document: Any) -> Any:
    return [*document, "third"]


FIRST, SECOND, THIRD = Format(), Format((_second,)), Format((_second, _third))
contents = st.binary(min_size=1, max_size=60)


@given(contents)
def test_a_content_comes_back_with_its_version(content: bytes) -> None:
    """Whatever it is."""
    for number, form in enumerate((FIRST, SECOND, THIRD), start=1):
        version, unsealed = form.unseal(form.seal(content))
        assert (version, bytes(unsealed)) == (number, content)


@given(contents)
def test_an_older_record_is_read_by_every_later_release(content: bytes) -> None:
    """With the version it was written in."""
    for older, number in ((FIRST, 1), (SECOND, 2)):
        version, unsealed = THIRD.unseal(older.seal(content))
        assert (version, bytes(unsealed)) == (number, content)


def test_a_document_takes_the_steps_it_has_not_taken() -> None:
    """From whichever version it is."""
    assert THIRD.upgrade(["first"], 1) == ["first", "second", "third"]
    assert THIRD.upgrade(["first", "second"], 2) == ["first", "second", "third"]
    assert THIRD.upgrade(["as it is"], 3) == ["as it is"]


def test_a_version_may_differ_in_its_bytes_alone() -> None:
    """It counts as one, its documents take no step, and they are of the same shape since the last one that was taken."""
    only_bytes = Format((_second, None))

    assert (only_bytes.version, only_bytes.first_of_present_shape) == (3, 2)
    assert only_bytes.upgrade(["first"], 1) == ["first", "second"]
    assert only_bytes.upgrade(["as it is"], 2) == ["as it is"]
    assert [form.first_of_present_shape for form in (FIRST, SECOND, THIRD)] == [1, 2, 3]


@given(contents)
def test_a_newer_record_says_that_a_newer_release_wrote_it(content: bytes) -> None:
    """And what to do: go back to it."""
    with pytest.raises(UntrustedRecordError, match=r"newer release, in format version 3.*go back"):
        FIRST.unseal(THIRD.seal(content))


@given(contents, st.data(), st.integers(1, 255))
def test_any_changed_byte_is_found(content: bytes, data: st.DataObject, change: int) -> None:
    """Also one that turns a version into another that is known."""
    record = bytearray(SECOND.seal(content))
    record[data.draw(st.integers(0, len(record) - 1))] ^= change

    with pytest.raises(UntrustedRecordError):
        THIRD.unseal(bytes(record))


@given(contents, st.data())
def test_a_record_cut_short_is_found(content: bytes, data: st.DataObject) -> None:
    """At any place."""
    record = FIRST.seal(content)

    with pytest.raises(UntrustedRecordError):
        FIRST.unseal(record[: data.draw(st.integers(0, len(record) - 1))])
