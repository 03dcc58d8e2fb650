from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events import TOPICS, TYPES_BY_TOPIC, CreditQuery, FundFlow, Heartbeat, Repayment, Topic
from models.limits import (
    FUTURE_TOLERANCE_MS,
    IDENTIFIER_CHARACTERS_MAX,
    INSTALMENTS_MAX,
    INT64_MAX,
    NESTING_DEPTH_MAX,
    PAYLOAD_BYTES_MAX,
)
from streams.codec import Decoder, Reject, tag_of

NOW_MS = 1_700_000_000_000
KEY = b"b-1"
COMMON: dict[str, Any] = {"event_id": "e-1", "borrower_id": "b-1", "event_time_ms": NOW_MS}
REPAYMENT = COMMON | {"type": "repayment", "loan_id": "l-1", "amount_minor": 100}
FLOW = COMMON | {
    "type": "fund_flow",
    "account_id": "a-1",
    "direction": "in",
    "amount_minor": 100,
    "currency": "CNY",
}
BILLED = COMMON | {
    "type": "instalment_billed",
    "loan_id": "l-1",
    "number": 1,
    "due_date": "2023-12-01",
    "amount_minor": 100,
}
OPENED = COMMON | {
    "type": "loan_opened",
    "loan_id": "l-1",
    "platform_id": "p-1",
    "currency": "CNY",
    "principal_minor": 100,
    "instalments": [{"number": 1, "due_date": "2023-12-01", "amount_minor": 100}],
}

EVERY_TYPE: dict[Topic, list[dict[str, Any]]] = {
    "repayments": [
        OPENED,
        BILLED,
        REPAYMENT,
        {"type": "repayment_reversed", "loan_id": "l", "repayment_event_id": "e", "amount_minor": 1},
        {"type": "schedule_changed", "loan_id": "l", "reason": "hardship", "instalments": []},
        {"type": "limit_changed", "loan_id": "l", "credit_limit_minor": 1},
        {
            "type": "loan_snapshot",
            "loan_id": "l",
            "as_of_date": "2023-01-31",
            "outstanding_minor": 1,
            "overdue_minor": 0,
            "days_past_due": 0,
        },
        {"type": "loan_closed", "loan_id": "l", "reason": "settled"},
    ],
    "fund-flows": [
        FLOW,
        {"type": "account_linked", "account_id": "a"},
        {"type": "account_unlinked", "account_id": "a"},
    ],
    "credit-queries": [
        {"type": "credit_query", "institution_id": "i", "purpose": "loan_application"},
        {"type": "credit_account_opened", "institution_id": "i", "credit_account_id": "c"},
        {"type": "credit_account_closed", "institution_id": "i", "credit_account_id": "c"},
        {"type": "credit_summary", "source": "s", "window_days": 30, "applications": 1, "institutions": 1},
    ],
    "servicing": [
        {"type": "contact_attempted", "channel": "phone", "outcome": "reached"},
        {"type": "hold_placed", "hold_id": "h", "reason": "dispute"},
        {"type": "hold_released", "hold_id": "h", "reason": "dispute"},
        {"type": "alert_acknowledged", "alert_id": "a", "actor": "x"},
        {"type": "alert_reviewed", "alert_id": "a", "actor": "x", "verdict": "confirmed"},
        {"type": "alert_snoozed", "alert_id": "a", "actor": "x", "until_ms": 1, "reason": "r"},
        {"type": "borrower_linked", "linked_borrower_id": "b-2", "relation": "spouse"},
        {"type": "borrower_unlinked", "linked_borrower_id": "b-2", "relation": "spouse"},
        {"type": "restriction_listed", "list": "court", "reason": "r"},
        {"type": "restriction_lifted", "list": "court", "reason": "r"},
        {"type": "borrower_erased"},
    ],
}


def decode(document: dict[str, Any] | bytes, topic: Topic = "repayments", key: bytes | None = KEY) -> Any:
    """Decode one record of a topic."""
    payload = document if isinstance(document, bytes) else msgspec.json.encode(document)
    return Decoder(topic).decode(payload, key, NOW_MS)


def reason(document: dict[str, Any] | bytes, topic: Topic = "repayments", key: bytes | None = KEY) -> str:
    """Why a record is rejected."""
    reject = decode(document, topic, key)
    assert isinstance(reject, Reject), reject
    return reject.reason


@pytest.mark.parametrize("topic", TOPICS)
def test_every_type_of_the_contract_decodes_on_its_topic(topic: Topic) -> None:
    """Each type with its required fields alone is an event, and no type of the topic is left out here."""
    documents = [COMMON | fields for fields in EVERY_TYPE[topic]]
    documents.append(COMMON | {"type": "event_voided", "target_event_id": "e-0"})
    documents.append({"type": "heartbeat", "event_time_ms": 1})

    events = [decode(document, topic) for document in documents]

    assert {tag_of(kind) for kind in TYPES_BY_TOPIC[topic]} == {document["type"] for document in documents}
    assert [document["type"] for document in documents] == [tag_of(type(event)) for event in events]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_required_field_is_required(topic: Topic) -> None:
    """Without any one of its required fields an event is rejected as incomplete."""
    for fields in EVERY_TYPE[topic]:
        document = COMMON | fields
        for field in document:
            without = {name: value for name, value in document.items() if name != field}
            assert reason(without, topic) in ("missing-field", "key-mismatch"), (fields["type"], field)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", "empty"),
        (b"\x00\x01", "not-json"),
        (b"{", "not-json"),
        (b'{"type":"repayment"} trailing', "not-json"),
        (b"[]", "not-an-object"),
        (b"null", "not-an-object"),
        (b"7", "not-an-object"),
        (b"{}", "missing-field"),
        (b'\xef\xbb\xbf{"type":"heartbeat","event_time_ms":1}', "not-json"),
        (msgspec.json.encode(REPAYMENT | {"extra": "x"})[:-2] + b"\xff\xfe" + b'"}', "invalid-utf8"),
        (b'{"pad":"' + b"x" * PAYLOAD_BYTES_MAX + b'"}', "too-large"),
        (b"[" * 5000, "too-deep"),
        (b'{"a":' * 5000, "too-deep"),
    ],
)
def test_garbage_is_rejected_with_its_reason(payload: bytes, expected: str) -> None:
    """Bytes that are no event say why."""
    assert expected == reason(payload)


@pytest.mark.parametrize(
    ("document", "topic", "expected"),
    [
        (REPAYMENT | {"type": "repaiment"}, "repayments", "unknown-type"),
        (REPAYMENT | {"type": 7}, "repayments", "wrong-type"),
        (FLOW, "repayments", "wrong-topic"),
        (FLOW | {"direction": "sideways"}, "fund-flows", "unknown-direction"),
        (REPAYMENT | {"amount_minor": -1}, "repayments", "negative-amount"),
        (REPAYMENT | {"amount_minor": 1.5}, "repayments", "wrong-type"),
        (REPAYMENT | {"amount_minor": "100"}, "repayments", "wrong-type"),
        (REPAYMENT | {"amount_minor": None}, "repayments", "wrong-type"),
        (REPAYMENT | {"amount_minor": True}, "repayments", "wrong-type"),
        (REPAYMENT | {"amount_minor": INT64_MAX + 1}, "repayments", "integer-overflow"),
        (REPAYMENT | {"instalment_number": -1}, "repayments", "negative-number"),
        (FLOW | {"balance_after_minor": -INT64_MAX - 2}, "fund-flows", "integer-overflow"),
        (REPAYMENT | {"event_time_ms": -1}, "repayments", "negative-time"),
        (BILLED | {"due_date": "2023-02-29"}, "repayments", "impossible-date"),
        (BILLED | {"due_date": "20230228"}, "repayments", "impossible-date"),
        (BILLED | {"due_date": "2023-W01-1"}, "repayments", "impossible-date"),
        (REPAYMENT | {"loan_id": ""}, "repayments", "invalid-identifier"),
        (
            REPAYMENT | {"loan_id": "x" * (IDENTIFIER_CHARACTERS_MAX + 1)},
            "repayments",
            "invalid-identifier",
        ),
        (
            OPENED | {"instalments": OPENED["instalments"] * (INSTALMENTS_MAX + 1)},
            "repayments",
            "too-many-instalments",
        ),
        (REPAYMENT | {"borrower_id": "b-2"}, "repayments", "key-mismatch"),
    ],
)
def test_a_wrong_field_is_rejected_with_its_reason(
    document: dict[str, Any], topic: Topic, expected: str
) -> None:
    """Each way in which a field can be wrong has its own reason."""
    assert expected == reason(document, topic)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_an_amount_that_is_not_finite_is_rejected(number: bytes) -> None:
    """No payload can bring a number that is none."""
    payload = msgspec.json.encode(REPAYMENT).replace(b":100", b":" + number)

    assert reason(payload) in ("not-json", "integer-overflow")


def test_the_largest_integer_is_accepted() -> None:
    """Int64 is within the contract to its last value."""
    assert decode(REPAYMENT | {"amount_minor": INT64_MAX}).amount_minor == INT64_MAX


def test_a_balance_may_be_negative() -> None:
    """An overdrawn account is no bad input."""
    assert decode(FLOW | {"balance_after_minor": -5}, "fund-flows").balance_after_minor == -5


def test_unknown_fields_are_ignored() -> None:
    """Producers may add fields."""
    assert decode(REPAYMENT) == decode(REPAYMENT | {"added_later": {"deep": [1, 2]}})


def test_an_unknown_word_becomes_other_and_is_counted() -> None:
    """Any word but those of type and direction may be new to us."""
    decoder = Decoder("fund-flows")

    event = decoder.decode(
        msgspec.json.encode(FLOW | {"category": "lottery", "counterparty_kind": "dao"}), KEY, NOW_MS
    )

    assert isinstance(event, FundFlow)
    assert (event.category, event.counterparty_kind) == ("other", "other")
    assert decoder.unknown_words == {"fund_flow.category": 1, "fund_flow.counterparty_kind": 1}


def test_an_unknown_word_does_not_excuse_another_mistake() -> None:
    """A mended word leaves the real reason standing."""
    assert reason(REPAYMENT | {"payer": "aunt", "amount_minor": -1}) == "negative-amount"


def test_a_required_word_may_be_unknown() -> None:
    """A purpose nobody heard of is a query all the same."""
    event = decode(
        COMMON | {"type": "credit_query", "institution_id": "i", "purpose": "curiosity"}, "credit-queries"
    )

    assert isinstance(event, CreditQuery)
    assert event.purpose == "other"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"event_time_ms": NOW_MS + FUTURE_TOLERANCE_MS}, None),
        ({"event_time_ms": NOW_MS + FUTURE_TOLERANCE_MS + 1}, "future-dated"),
        ({"event_time_ms": 1000 + FUTURE_TOLERANCE_MS, "ingested_at_ms": 1000}, None),
        ({"event_time_ms": 1001 + FUTURE_TOLERANCE_MS, "ingested_at_ms": 1000}, "future-dated"),
        ({"event_time_ms": 1, "ingested_at_ms": NOW_MS + FUTURE_TOLERANCE_MS + 1}, "future-dated"),
    ],
)
def test_a_day_ahead_is_the_farthest(fields: dict[str, int], expected: str | None) -> None:
    """Event time may lie a day beyond when it was learnt, and no more."""
    decoded = decode(REPAYMENT | fields)

    assert expected == (decoded.reason if isinstance(decoded, Reject) else None)


def test_nesting_inside_strings_does_not_count() -> None:
    """Brackets in a text are text."""
    payload = REPAYMENT | {"note": '[{"\\' * 5000}

    assert isinstance(decode(payload), Repayment)


def test_nesting_up_to_the_limit_is_accepted() -> None:
    """The limit itself is allowed: the object is one level, the list the rest."""
    levels = NESTING_DEPTH_MAX - 1
    payload = msgspec.json.encode(REPAYMENT)[:-1] + b',"n":' + b"[" * levels + b"]" * levels + b"}"

    assert isinstance(decode(payload), Repayment)
    assert reason(payload.replace(b"[" * levels, b"[" * (levels + 1)).replace(b"]}", b"]]}")) == "too-deep"


def test_a_heartbeat_needs_no_borrower_and_no_key() -> None:
    """The producer names the partition; nobody is meant."""
    heartbeat = decode({"type": "heartbeat", "event_time_ms": 5}, key=None)

    assert heartbeat == Heartbeat(event_time_ms=5)


def test_a_reject_tells_what_could_be_read() -> None:
    """Key, event id and time of a refused record are kept where they can be read."""
    reject = decode(REPAYMENT | {"amount_minor": -1})

    assert (reject.borrower_id, reject.event_id, reject.event_time_ms) == ("b-1", "e-1", NOW_MS)


def test_a_reject_in_a_file_takes_the_borrower_from_the_line() -> None:
    """Files have no record key."""
    decoder = Decoder("repayments", keyed=False)

    reject = decoder.decode(msgspec.json.encode(REPAYMENT | {"amount_minor": -1}), None, NOW_MS)

    assert isinstance(reject, Reject)
    assert reject.borrower_id == "b-1"


@given(st.binary(max_size=600), st.none() | st.binary(max_size=20))
def test_no_bytes_raise(payload: bytes, key: bytes | None) -> None:
    """Whatever arrives is an event or a reject."""
    for topic in TOPICS:
        Decoder(topic).decode(payload, key, NOW_MS)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(EVERY_TYPE)), st.data())
def test_no_json_raises(topic: Topic, data: st.DataObject) -> None:
    """Whatever stands in a field, the answer is an event or a reject."""
    document = COMMON | data.draw(st.sampled_from(EVERY_TYPE[topic]))
    field = data.draw(st.sampled_from(sorted(document)))
    document[field] = data.draw(_JSON)

    Decoder(topic).decode(msgspec.json.encode(document), KEY, NOW_MS)
