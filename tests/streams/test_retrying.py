"""Which dead letters go back, as what, and how often."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codec import Decoder
from streams.commands.dead_letters.looking import hex_dump
from streams.dead_letters import (
    CONNECT_PREFIX,
    REASON_HEADER,
    RETRY_COUNT_HEADER,
    RETRY_OF_HEADER,
    TIMESTAMP_HEADER,
    Letter,
    Receipt,
    dead_letter,
    name_of_retried,
    read_letter,
    receipt_record,
    returned_record,
)
from streams.memory.broker import MemoryRecord
from streams.ports import Headers, OutputRecord
from streams.releasing import held_borrower, missing_name, release_time_ms
from streams.retrying import Place, Retry, Selection, place_of, settled_letters

TOPIC = "t-repayments"
OWN: Headers = (("trace", b"\x00\xff"), ("trace", b"again"), ("source", b""))


def refused(record: OutputRecord, offset: int, partition: int = 3) -> OutputRecord:
    """What the worker makes of a record that it refuses."""
    read = MemoryRecord(offset, 1_750_000_000_000, record.key, record.value, record.headers)
    return dead_letter(read, TOPIC, partition, "not-json", "broken", "forewarn")


def letter_of(record: OutputRecord, offset: int, partition: int = 3) -> Letter:
    """A dead letter, read back."""
    letter = read_letter(partition, offset, record.key, record.value, record.headers)
    assert isinstance(letter, Letter)
    return letter


def letter(**changes: Any) -> Letter:
    """A letter of the record at offset 81 of partition 3, itself at offset 5."""
    plain = letter_of(refused(OutputRecord(b"b-1", b"{", OWN), 81), 5)
    return msgspec.structs.replace(plain, **changes)


@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=50), st.integers(1, 6))
def test_a_record_refused_again_and_again_stays_itself(
    key: bytes | None, value: bytes | None, tries: int
) -> None:
    """Key, bytes and own headers never change; the count does, and where it stood first is known for ever."""
    record = OutputRecord(key, value, OWN)
    for offset in range(81, 81 + tries):
        came = letter_of(refused(record, offset), offset - 50)
        assert came.tries == offset - 81
        record = returned_record(came)

        assert (record.key, record.value) == (key, value)
        assert tuple(record.headers[: len(OWN)]) == OWN
        assert dict(record.headers[len(OWN) :]) == {
            RETRY_COUNT_HEADER: str(offset - 80).encode(),
            RETRY_OF_HEADER: b"3/81",
        }


def test_a_letter_says_each_thing_once_however_often_it_came_back() -> None:
    """The headers of the last refusal replace those of the one before."""
    again = refused(returned_record(letter()), 99)

    names = [name for name, _ in again.headers]
    for name in (REASON_HEADER, TIMESTAMP_HEADER, CONNECT_PREFIX + "offset", RETRY_COUNT_HEADER):
        assert names.count(name) == 1
    assert letter_of(again, 6).origin_offset == 99


def test_the_count_stays_when_own_headers_are_too_large_to_keep() -> None:
    """A record cannot be retried for ever by carrying much."""
    record = OutputRecord(
        b"b", b"{", (("big", b"x" * 20_000), (RETRY_COUNT_HEADER, b"2"), (RETRY_OF_HEADER, b"3/1"))
    )

    came = letter_of(refused(record, 90), 7)

    assert (came.tries, name_of_retried("repayments", 3, came.headers)) == (2, "repayments@1")


@pytest.mark.parametrize("count", [b"", b"x", b"-1", b"9" * 30, "٣".encode()])
def test_a_count_that_is_none_counts_as_nothing(count: bytes) -> None:
    """Producers may write what they like into headers."""
    record = OutputRecord(b"b", b"{", ((RETRY_COUNT_HEADER, count), (RETRY_OF_HEADER, count)))
    came = letter_of(refused(record, 90), 7)

    assert came.tries == 0
    assert dict(returned_record(came).headers)[RETRY_OF_HEADER] == b"3/90"


def test_a_receipt_is_no_letter_and_a_letter_without_payload_no_receipt() -> None:
    """An empty record may be refused as well."""
    came = letter()
    receipt = receipt_record(came, "retried")

    assert read_letter(3, 9, receipt.key, receipt.value, receipt.headers) == Receipt(3, 5, "retried")
    assert isinstance(read_letter(3, 9, b"b", None, refused(OutputRecord(b"b", None), 1).headers), Letter)


def test_what_was_settled_is_not_retried_again() -> None:
    """Whichever run did it; another letter at the same offset of another partition is another letter."""
    mine, other = letter(), letter(partition=4)
    settled = settled_letters([mine, Receipt(3, 5, "retried")])
    run = Retry(Selection(), settled, [TOPIC])

    assert [one.letter.partition for one in run.choose([mine, other])] == [4]
    assert run.passed == {(TOPIC, "not-json", "settled"): 1}


def test_a_hopeless_record_is_left_alone_after_its_tries() -> None:
    """Counted, and told apart from what goes back."""
    run = Retry(Selection(), {}, [TOPIC], tries_max=2)

    assert [one.letter.tries for one in run.choose([letter(tries=tries) for tries in range(4)])] == [0, 1]
    assert run.returned == {(TOPIC, "not-json"): 2}
    assert run.passed == {(TOPIC, "not-json", "tries-used-up"): 2}


def test_records_go_back_where_they_were_unless_that_was_wrong() -> None:
    """A record of a wrong partition goes nowhere, or where its key belongs when that is asked for."""
    stray = letter(reason="wrong-partition")
    stay, move = Retry(Selection(), {}, [TOPIC]), Retry(Selection(), {}, [TOPIC], partition_of=len)

    assert list(stay.choose([stray])) == []
    assert [(one.topic, one.partition) for one in move.choose([letter(), stray])] == [(TOPIC, 3)] * 2
    assert list(move.choose([letter(reason="wrong-partition", key=None)])) == []


def test_letters_of_other_origins_are_left_alone() -> None:
    """Another prefix, a topic that is no input, or headers that somebody else wrote."""
    run = Retry(Selection(), {}, [TOPIC])
    strangers = [letter(topic="t-alerts"), letter(topic=None), letter(origin_partition=None)]

    assert list(run.choose(strangers)) == []
    assert {why for _, _, why in run.passed} == {"not-ours"}


def test_a_selection_means_all_of_its_conditions() -> None:
    """Places by letter or by origin, reasons, topics."""
    came = letter()
    by_letter, by_origin = Place(None, 3, 5), Place(TOPIC, 3, 81)

    assert Selection(frozenset({by_letter})).has(came)
    assert Selection(frozenset({by_origin})).has(came)
    assert not Selection(frozenset({Place(None, 3, 81)})).has(came)
    assert not Selection(frozenset({by_letter}), frozenset({"empty"})).has(came)
    assert not Selection(topics=frozenset({"repayments"})).has(came)
    assert Selection(reasons=frozenset({"empty", "not-json"}), topics=frozenset({TOPIC})).has(came)


def test_places_that_were_named_and_not_served_are_known() -> None:
    """One does not exist, one was settled before."""
    known, unknown, done = Place(None, 3, 5), Place(None, 3, 6), Place(TOPIC, 3, 7)
    run = Retry(Selection(frozenset({known, unknown, done})), {(3, 8): "released"}, [TOPIC])

    assert len(list(run.choose([letter(), letter(offset=8, origin_offset=7)]))) == 1
    assert (run.missing, run.unretried) == ({unknown}, {done})


@given(st.from_regex(r"([a-z.:-]{1,9}:)?[0-9]{1,6}/[0-9]{1,9}", fullmatch=True))
def test_a_place_is_read_as_it_is_written(text: str) -> None:
    """Whatever the topic's prefix holds."""
    place = place_of(text)

    assert place is not None
    assert place_of(str(place)) == place


@pytest.mark.parametrize("text", ["", "3", "3/", "/5", "3/x", ":3/5", "-3/5", "topic:3", "٣/5"])
def test_other_words_are_no_places(text: str) -> None:
    """Said before anything is read or written."""
    assert place_of(text) is None


def test_a_missing_record_is_named_by_its_id_or_its_first_place() -> None:
    """By what the engine remembers it."""
    with_id = letter(value=b'{"type":"repayment","event_id":"e-7"}')
    retried = letter_of(refused(returned_record(letter()), 99), 6)

    assert missing_name(with_id, "repayments", Decoder("repayments")) == "e-7"
    assert missing_name(letter(), "repayments", Decoder("repayments")) == "repayments@81"
    assert missing_name(retried, "repayments", Decoder("repayments")) == "repayments@81"


def test_who_is_held_is_told_by_the_key() -> None:
    """No key, no text, or another partition's borrower: nobody is."""
    assert held_borrower(letter()) == "b-1"
    assert held_borrower(letter(key=b"\xff")) is None
    assert held_borrower(letter(key=None)) is None
    assert held_borrower(letter(reason="wrong-partition")) is None


def test_a_release_moves_no_watermark_and_is_never_ahead_of_now() -> None:
    """In a replay of years ago as in a live stream."""
    assert release_time_ms(watermark_ms=1_000, lateness_ms=60, now_ms=9_999) == 1_060
    assert release_time_ms(watermark_ms=9_990, lateness_ms=60, now_ms=9_999) == 9_999
    assert release_time_ms(watermark_ms=-1, lateness_ms=60, now_ms=9_999) == 60


def test_bytes_are_dumped_as_every_tool_dumps_them() -> None:
    """Offset, hexadecimal, ASCII."""
    assert hex_dump(b"\x00{not json}\xff more") == (
        "00000000  00 7b 6e 6f 74 20 6a 73 6f 6e 7d ff 20 6d 6f 72  .{not json}. mor\n"
        "00000010  65                                               e"
    )
