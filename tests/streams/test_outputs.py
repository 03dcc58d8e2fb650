"""Records as they are written."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.dead_letters import CONNECT_PREFIX, REASON_HEADER, TIMESTAMP_HEADER, dead_letter
from streams.memory.broker import MemoryRecord
from streams.outputs import rfc3339, risk_records, state_records
from streams.ports import OutputRecord
from streams.topics import INPUT_RECORD_BYTES_MAX, OUTPUT_RECORD_BYTES_MAX


@given(st.integers(0, 253_402_300_799_999))
def test_instants_are_written_as_cloud_events_want_them(instant_ms: int) -> None:
    """RFC 3339 in UTC, to the millisecond, and readable again."""
    written = rfc3339(instant_ms)
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

    assert written.endswith("Z")
    assert (datetime.fromisoformat(written) - epoch) / timedelta(milliseconds=1) == instant_ms


def test_an_instant_beyond_the_calendar_is_its_last() -> None:
    """An absurd event time cannot stop an alert."""
    assert rfc3339(2**63 - 1).startswith("9999-12-31T23:59:59")


def test_a_forgotten_borrower_is_a_tombstone() -> None:
    """None becomes a record without a value."""
    assert state_records({"b": None, "c": b"s"}) == [OutputRecord(b"b", None), OutputRecord(b"c", b"s")]
    assert risk_records({}) == []


def letter(record: MemoryRecord, detail: str = "why") -> OutputRecord:
    """Its dead letter."""
    return dead_letter(record, "t-repayments", 3, "not-json", detail, "forewarn")


def test_own_headers_stay_and_old_reasons_go() -> None:
    """A record that was retried and refused again tells of the last refusal only."""
    own = [("trace", b"1"), (CONNECT_PREFIX + "topic", b"old"), (REASON_HEADER, b"old")]
    headers = letter(MemoryRecord(7, 5, b"k", b"v", own)).headers

    assert headers[0] == ("trace", b"1")
    assert [value for name, value in headers if name == CONNECT_PREFIX + "topic"] == [b"t-repayments"]
    assert [value for name, value in headers if name == REASON_HEADER] == [b"not-json"]
    assert dict(headers)[TIMESTAMP_HEADER] == b"5"


def test_what_the_engine_refuses_says_so() -> None:
    """Without a decoder's message the engine's reason stands alone."""
    headers = dict(letter(MemoryRecord(7, 5, b"k", b"v", ()), detail="").headers)

    assert headers[CONNECT_PREFIX + "stage"] == b"TASK_PUT"
    assert headers[CONNECT_PREFIX + "exception.message"] == b"not-json"


@pytest.mark.parametrize("headers_bytes", [0, 10_000, 200_000])
def test_the_largest_input_fits_into_a_dead_letter(headers_bytes: int) -> None:
    """A record as large as an input may be, with long headers and a long message, stays below the output's limit."""
    own = [("h", bytes(headers_bytes))]
    value = bytes(INPUT_RECORD_BYTES_MAX - 10_000)
    record = letter(MemoryRecord(2**62, 2**62, b"k" * 1_024, value, own), detail="x" * 100_000)
    size = len(value) + 1_024 + sum(len(name) + len(content) + 10 for name, content in record.headers)

    assert size < OUTPUT_RECORD_BYTES_MAX - 1_000
