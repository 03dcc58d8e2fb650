"""The fast way of a mapping says what the plain way says, of every record."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.events import Event, FundFlow, Instalment, LoanOpened, Repayment
from streams.codec import CONTRACT_HEADER, Ignored, KeptRecord, Reject
from streams.mapping.decoder import MappedDecoder
from streams.mapping.parsing import parse_mapping
from tests.support.breaking import broken
from tests.support.lender import MAPPING, payload_of, theirs

FEEDS = parse_mapping(MAPPING, "lender.toml").feeds
KNOWN_BY_MS = 1_900_000_000_000


class Watched(MappedDecoder):
    """Counts how often the plain way was asked."""

    asked = 0

    def _decide(self, record: Any) -> Event | Reject | Ignored:
        self.asked += 1
        return super()._decide(record)


REPAYMENTS = Watched(FEEDS["repayments"])
FLOWS = Watched(FEEDS["fund-flows"])

ids = st.text("abcdefghij0123456789", min_size=1, max_size=12)
minor = st.integers(0, 10**13)
times = st.integers(0, KNOWN_BY_MS)
seconds = st.integers(0, KNOWN_BY_MS // 1000).map(lambda at: at * 1000)
dates = st.dates(min_value=date(2000, 1, 1), max_value=date(2060, 1, 1))
repayments = st.builds(
    Repayment,
    event_id=ids,
    borrower_id=ids,
    event_time_ms=times,
    loan_id=ids,
    amount_minor=minor,
    instalment_number=st.none() | st.integers(0, 999),
    payer=st.just("borrower"),
    kind=st.just("cash"),
)
openings = st.builds(
    LoanOpened,
    event_id=st.tuples(ids, ids).map("-".join),
    borrower_id=ids,
    event_time_ms=times,
    loan_id=ids,
    platform_id=st.just("own"),
    currency=st.just("CNY"),
    principal_minor=minor,
    product=st.none() | ids,
    instalments=st.lists(
        st.builds(Instalment, number=st.integers(1, 99), due_date=dates, amount_minor=minor), max_size=3
    ).map(tuple),
)
flows = st.builds(
    FundFlow,
    event_id=ids,
    borrower_id=ids,
    event_time_ms=seconds,
    account_id=ids,
    direction=st.sampled_from(["in", "out"]),
    amount_minor=st.integers(1, 10**13),
    currency=st.just("CNY"),
    category=st.none() | st.sampled_from(["salary", "rent"]),
    counterparty_id=st.none() | ids,
    balance_after_minor=st.none() | st.integers(-(10**13), 10**13),
)


def record_of(event: Event, payload: bytes | None = None) -> KeptRecord:
    """As the lender wrote it."""
    assert hasattr(event, "borrower_id")
    return KeptRecord(payload or payload_of(theirs(event)), event.borrower_id.encode(), KNOWN_BY_MS)


@given(st.lists(repayments | openings, max_size=5))
def test_honest_records_become_their_events_without_the_plain_way(events: list[Event]) -> None:
    """Every field, exactly: and so the fast way is what is really used."""
    REPAYMENTS.asked = 0
    assert REPAYMENTS.decode_all([record_of(event) for event in events]) == events
    assert REPAYMENTS.asked == 0


@given(st.lists(flows, max_size=5))
def test_a_signed_amount_tells_the_direction(events: list[Event]) -> None:
    """Without the plain way, too."""
    FLOWS.asked = 0
    assert FLOWS.decode_all([record_of(event) for event in events]) == events
    assert FLOWS.asked == 0


@settings(max_examples=400)
@given(repayments | openings | flows, st.data())
def test_whatever_is_done_to_a_record_both_ways_say_the_same(event: Event, data: st.DataObject) -> None:
    """A value replaced by anything, or taken away, anywhere."""
    decoder = FLOWS if isinstance(event, FundFlow) else REPAYMENTS
    document = broken(theirs(event), data)
    payload = payload_of(document)
    record = record_of(event, payload)

    assert decoder.decode_all([record]) == [decoder.decode(payload, record.key, record.timestamp)]


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_garbage_is_refused_both_ways(payload: bytes) -> None:
    """And nothing is raised."""
    record = KeptRecord(payload, b"b", KNOWN_BY_MS)
    (found,) = REPAYMENTS.decode_all([record])

    assert isinstance(found, Reject)
    assert found == REPAYMENTS.decode(payload, b"b", KNOWN_BY_MS)


@given(st.integers(0, 10**15), st.sampled_from([0, 1, 2, 3]))
def test_every_amount_is_exact_however_it_is_spelled(amount: int, more_zeros: int) -> None:
    """Up to ten thousand billion yuan: with or without zeros, as number or text."""
    for text in {
        f"{amount // 100}.{amount % 100:02d}" + "0" * more_zeros,
        f"{amount / 100:.2f}" if amount < 10**13 else "0.00",
    }:
        payload = payload_of(theirs(FLOW)).replace(b'"amount": 0.01', b'"amount": ' + text.encode())
        (found,) = FLOWS.decode_all([KeptRecord(payload, b"b", KNOWN_BY_MS)])
        assert isinstance(found, FundFlow)
        assert found.amount_minor == (amount if text != "0.00" else 0)


FLOW = FundFlow(
    event_id="e",
    borrower_id="b",
    event_time_ms=0,
    account_id="a",
    direction="in",
    amount_minor=1,
    currency="CNY",
)


@pytest.mark.parametrize("text", ["12.301", "0.001", "12.3000001", "1e-3", "90071992547409.925"])
def test_what_is_no_whole_fen_is_refused(text: str) -> None:
    """Nothing is rounded unless the mapping says so."""
    payload = payload_of(theirs(FLOW)).replace(b'"amount": 0.01', b'"amount": ' + text.encode())
    (found,) = FLOWS.decode_all([KeptRecord(payload, b"b", KNOWN_BY_MS)])

    assert isinstance(found, Reject)
    assert found.reason == "wrong-type"
    assert text not in found.detail


@pytest.mark.parametrize(
    "text", ["1e999999999", "1E+400", "-1e999999", "9" * 400, "1e307", "-1.7e308", "4e-324"]
)
def test_a_monstrous_number_costs_nothing(text: str) -> None:
    """An integer of a gigabyte is not made of it."""
    payload = payload_of(theirs(FLOW)).replace(b'"amount": 0.01', b'"amount": ' + text.encode())
    (found,) = FLOWS.decode_all([KeptRecord(payload, b"b", KNOWN_BY_MS)])

    assert isinstance(found, Reject)
    assert found == FLOWS.decode(payload, b"b", KNOWN_BY_MS)


def test_a_record_of_forewarns_own_passes_by_the_mapping() -> None:
    """What a release writes beside the lender's records says so in a header."""
    void = {
        "type": "event_voided",
        "event_id": "v",
        "borrower_id": "b",
        "event_time_ms": 1,
        "target_event_id": "e",
    }
    payload = json.dumps(void).encode()
    own, other = REPAYMENTS.decode_all(
        [KeptRecord(payload, b"b", 1, [(CONTRACT_HEADER, b"1")]), KeptRecord(payload, b"b", 1)]
    )

    assert msgspec.to_builtins(own)["target_event_id"] == "e"
    assert isinstance(other, Reject)


def test_the_key_must_be_the_borrowers() -> None:
    """As for every event."""
    payload = payload_of(theirs(FLOW))
    right, wrong, none = FLOWS.decode_all(
        [KeptRecord(payload, key, KNOWN_BY_MS) for key in (b"b", b"c", None)]
    )

    assert right == FLOW
    assert [found.reason for found in (wrong, none) if isinstance(found, Reject)] == ["key-mismatch"] * 2


def test_what_lies_ahead_is_refused() -> None:
    """As for every event."""
    (found,) = FLOWS.decode_all(
        [KeptRecord(payload_of(theirs(msgspec.structs.replace(FLOW, event_time_ms=10**12))), b"b", 1)]
    )

    assert isinstance(found, Reject)
    assert found.reason == "future-dated"


def test_a_refusal_says_whose_record_it_was() -> None:
    """So that the borrower's alerts are held."""
    document = theirs(Repayment(event_id="p", borrower_id="b", event_time_ms=5, loan_id="l", amount_minor=1))
    document["loan"]["amount"] = "much"
    (found,) = REPAYMENTS.decode_all([KeptRecord(payload_of(document), b"b", KNOWN_BY_MS)])

    assert found == Reject("wrong-type", "repayments", "b", "p", 5, "loan.amount (amount_minor): no number")


def test_an_unknown_word_is_counted_as_ever() -> None:
    """A word that the table lacks is the contract's to judge."""
    document = theirs(Repayment(event_id="p", borrower_id="b", event_time_ms=5, loan_id="l", amount_minor=1))
    document["method"] = "BARTER"
    (found,) = REPAYMENTS.decode_all([KeptRecord(payload_of(document), b"b", KNOWN_BY_MS)])

    assert isinstance(found, Repayment)
    assert found.kind == "other"
    assert REPAYMENTS.unknown_words["repayment.kind"] > 0
