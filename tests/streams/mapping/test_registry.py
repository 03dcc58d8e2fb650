"""Avro and Protobuf in the wire format of a schema registry."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st

from models.events import Repayment
from streams.codec import Ignored, KeptRecord, Reject
from streams.mapping.avro import AvroDocuments
from streams.mapping.decoder import MappedDecoder
from streams.mapping.errors import MappingError, UnfitError
from streams.mapping.loading import documents_of, read_mapping
from streams.mapping.parsing import parse_mapping
from streams.mapping.protobuf import ProtobufDocuments
from streams.mapping.registry import Registry, RegistryError, Schema, SchemaFiles
from streams.settings import load_settings
from tests.support.registry import (
    AVRO_MAPPING,
    AVRO_REPAYMENT,
    FakeRegistry,
    avro_record,
    fake_registry,
)

KNOWN_BY_MS = 1_900_000_000_000
PAID_AT_MS = 1_740_794_400_123
DOCUMENT = {
    "txnNo": "p-1",
    "custNo": "b-1",
    "loanNo": "l-1",
    "amount": Decimal("12.30"),
    "paidAt": datetime.fromtimestamp(PAID_AT_MS // 1000, UTC).replace(microsecond=123_000),
    "period": 3,
    "kind": "PAY",
}
EVENT = Repayment(
    event_id="p-1",
    borrower_id="b-1",
    event_time_ms=PAID_AT_MS,
    loan_id="l-1",
    amount_minor=1230,
    instalment_number=3,
)


class Fixed:
    """Schemas out of a table."""

    def __init__(self, schemas: dict[int, Schema]) -> None:
        self.schemas = schemas

    def get(self, schema_id: int) -> Schema:
        if schema_id not in self.schemas:
            raise UnfitError("not-json", "unknown")
        return self.schemas[schema_id]


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry that runs."""
    with fake_registry() as running:
        yield running


def decoded(decoder: MappedDecoder, payload: bytes) -> Any:
    """One record of borrower b-1."""
    (found,) = decoder.decode_all([KeptRecord(payload, b"b-1", KNOWN_BY_MS)])
    return found


def avro_decoder(schemas: Any) -> MappedDecoder:
    """Of the lender's repayments."""
    return MappedDecoder(parse_mapping(AVRO_MAPPING, "avro.toml").feeds["repayments"], AvroDocuments(schemas))


def test_avro_of_a_registry_becomes_events_and_each_schema_is_asked_for_once(registry: FakeRegistry) -> None:
    """Decimals, instants, a union and an enumeration."""
    registry.add(17, json.dumps(AVRO_REPAYMENT))
    decoder = avro_decoder(Registry(registry.url))

    assert decoded(decoder, avro_record(17, AVRO_REPAYMENT, DOCUMENT)) == EVENT
    assert decoded(decoder, avro_record(17, AVRO_REPAYMENT, DOCUMENT)) == EVENT
    assert decoded(decoder, avro_record(17, AVRO_REPAYMENT, {**DOCUMENT, "kind": "PING"})) == Ignored()
    assert registry.asked == {"/schemas/ids/17": 1}


def test_a_schema_that_refers_to_another_is_read_with_it(registry: FakeRegistry) -> None:
    """As registries keep named types apart."""
    kind = AVRO_REPAYMENT["fields"][-1]["type"]  # type: ignore[index] # a literal above
    apart = {
        **AVRO_REPAYMENT,
        "fields": [*AVRO_REPAYMENT["fields"][:-1], {"name": "kind", "type": "lender.Kind"}],
    }
    registry.answers["/subjects/kinds/versions/2"] = {"schema": json.dumps({**kind, "namespace": "lender"})}
    registry.add(
        18, json.dumps(apart), references=[{"name": "lender.Kind", "subject": "kinds", "version": 2}]
    )

    assert decoded(avro_decoder(Registry(registry.url)), avro_record(18, AVRO_REPAYMENT, DOCUMENT)) == EVENT


def test_an_unknown_schema_refuses_its_records_and_is_not_asked_for_each_time(registry: FakeRegistry) -> None:
    """A flood of them is no flood of requests."""
    decoder = avro_decoder(Registry(registry.url))
    for _ in range(3):
        found = decoded(decoder, avro_record(99, AVRO_REPAYMENT, DOCUMENT))
        assert isinstance(found, Reject)
        assert found.detail == "the schema registry does not know schema 99"

    assert registry.asked.total() == 1


def test_a_registry_that_stumbles_is_asked_again(registry: FakeRegistry) -> None:
    """Twice, and then it has the schema."""
    registry.add(17, json.dumps(AVRO_REPAYMENT))
    registry.failures = [503, 500]

    assert decoded(avro_decoder(Registry(registry.url)), avro_record(17, AVRO_REPAYMENT, DOCUMENT)) == EVENT


@pytest.mark.parametrize("failures", [[503] * 3, [401]])
def test_a_registry_that_is_down_or_refuses_is_an_error_and_no_reject(
    registry: FakeRegistry, failures: list[int]
) -> None:
    """The record is not to blame, so it must not be refused."""
    registry.failures = list(failures)
    with pytest.raises(RegistryError, match=str(failures[0])):
        decoded(avro_decoder(Registry(registry.url)), avro_record(17, AVRO_REPAYMENT, DOCUMENT))


def test_nobody_there_is_an_error_that_names_the_address() -> None:
    """Whoever reads it knows where to look."""
    with fake_registry() as gone:
        url = gone.url
    with pytest.raises(RegistryError, match=url):
        Registry(url).get(1)


def test_the_password_comes_from_a_file(registry: FakeRegistry, tmp_path: Path) -> None:
    """And is read anew at each request, so that it may be rotated."""
    registry.add(17, json.dumps(AVRO_REPAYMENT))
    secret = tmp_path / "registry"
    secret.write_text("user:pass\n", encoding="utf-8")
    Registry(registry.url, str(secret)).get(17)

    assert registry.authorizations == ["Basic " + base64.b64encode(b"user:pass").decode()]


def test_a_password_that_is_too_long_is_refused_and_not_cut(registry: FakeRegistry, tmp_path: Path) -> None:
    """Half of it would be a wrong one, and the registry would be blamed."""
    secret = tmp_path / "registry"
    secret.write_text("user:" + "p" * 5000, encoding="utf-8")

    with pytest.raises(RegistryError, match="larger than 4096 bytes"):
        Registry(registry.url, str(secret)).get(17)

    assert not registry.authorizations


def test_an_address_of_a_registry_is_one_of_the_web() -> None:
    """No file, and no path."""
    with pytest.raises(MappingError, match="expected an address"):
        Registry("file:///etc/passwd")


def test_a_schema_of_a_file_needs_no_registry(tmp_path: Path) -> None:
    """It stands beside the mapping."""
    (tmp_path / "repayment.avsc").write_text(json.dumps(AVRO_REPAYMENT), encoding="utf-8")
    file = tmp_path / "lender.toml"
    file.write_text(AVRO_MAPPING + '\n[schemas]\n17 = "repayment.avsc"\n', encoding="utf-8")
    mapping = read_mapping(file)
    feed = mapping.feeds["repayments"]
    decoder = MappedDecoder(feed, documents_of(feed, mapping, load_settings({})))

    assert decoded(decoder, avro_record(17, AVRO_REPAYMENT, DOCUMENT)) == EVENT
    assert isinstance(decoded(decoder, avro_record(18, AVRO_REPAYMENT, DOCUMENT)), Reject)


def test_a_schema_file_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(MappingError, match=r"gone\.avsc"):
        SchemaFiles({1: str(tmp_path / "gone.avsc")}, None)


AVRO = avro_decoder(
    Fixed({17: Schema(json.dumps(AVRO_REPAYMENT)), 18: Schema("nonsense"), 19: Schema('{"type": "x"}')})
)


@given(
    st.binary(max_size=40), st.sampled_from([b"", b"\0", b"\0\0\0\0\x11", b"\0\0\0\0\x12", b"\0\0\0\0\x13"])
)
def test_garbage_of_avro_is_refused(garbage: bytes, front: bytes) -> None:
    """Nothing is raised, whatever the bytes; an event comes only of bytes that are one."""
    found = decoded(AVRO, front + garbage)

    assert isinstance(found, Reject | Ignored | Repayment)
    if front != b"\0\0\0\0\x11":
        assert isinstance(found, Reject)


@given(st.integers(0, 30))
def test_a_record_that_is_cut_off_or_too_long_is_refused(cut: int) -> None:
    """Wherever."""
    whole = avro_record(17, AVRO_REPAYMENT, DOCUMENT)

    assert isinstance(decoded(AVRO, whole[: len(whole) - 1 - cut]), Reject)
    assert isinstance(decoded(AVRO, whole + b"\0"), Reject)


# ---- Protobuf ----------------------------------------------------------------------------------------------------

_PROTOBUF_MAPPING = """
[repayments]
format = "protobuf"

[[repayments.events]]
type = "repayment"
when = { kind = "PAY" }
event_id = "txn_no"
borrower_id = "customer.no"
event_time_ms = { from = "paid_at", time = "timestamp" }
loan_id = "loan_no"
amount_minor = { from = "amount", unit = "yuan" }
instalment_number = "period"

[[repayments.ignored]]
when = { kind = "PING" }
"""


def proto_file() -> descriptor_pb2.FileDescriptorProto:
    """A file with an outer message beside the one that is sent."""
    file = descriptor_pb2.FileDescriptorProto(name="lender.proto", package="lender", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    other = file.message_type.add(name="Envelope")
    sent = other.nested_type.add(name="Repayment")
    kinds = file.enum_type.add(name="Kind")
    kinds.value.add(name="PING", number=0)
    kinds.value.add(name="PAY", number=1)
    customer = file.message_type.add(name="Customer")
    field = descriptor_pb2.FieldDescriptorProto
    customer.field.add(name="no", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    for number, (name, kind, of) in enumerate(
        (
            ("txn_no", field.TYPE_STRING, None),
            ("customer", field.TYPE_MESSAGE, ".lender.Customer"),
            ("loan_no", field.TYPE_STRING, None),
            ("amount", field.TYPE_DOUBLE, None),
            ("paid_at", field.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
            ("period", field.TYPE_INT32, None),
            ("kind", field.TYPE_ENUM, ".lender.Kind"),
        ),
        start=1,
    ):
        sent.field.add(name=name, number=number, type=kind, type_name=of, label=field.LABEL_OPTIONAL)
    return file


def proto_record(schema_id: int, indexes: bytes = b"\x04\x00\x00", **changed: Any) -> bytes:
    """A record as Confluent's serializer writes it: two indexes, both 0."""
    pool = descriptor_pool.DescriptorPool()
    stamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
    pool.Add(stamp)
    pool.Add(proto_file())
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("lender.Envelope.Repayment"))
    values: dict[str, Any] = {
        "txn_no": "p-1",
        "loan_no": "l-1",
        "amount": 12.30,
        "period": 3,
        "kind": 1,
        **changed,
    }
    message: Any = kind(customer={"no": "b-1"}, **values)
    message.paid_at.FromMilliseconds(PAID_AT_MS)
    body: bytes = message.SerializeToString()
    return b"\0" + schema_id.to_bytes(4, "big") + indexes + body


def proto_decoder(schemas: Any) -> MappedDecoder:
    """Of the lender's repayments."""
    return MappedDecoder(
        parse_mapping(_PROTOBUF_MAPPING, "protobuf.toml").feeds["repayments"], ProtobufDocuments(schemas)
    )


def test_protobuf_of_a_registry_becomes_events(registry: FakeRegistry) -> None:
    """Nested messages, a timestamp, a double that is an exact amount, an enumeration by its word."""
    registry.add(21, base64.b64encode(proto_file().SerializeToString()).decode(), schemaType="PROTOBUF")
    decoder = proto_decoder(Registry(registry.url, serialized=True))

    assert decoded(decoder, proto_record(21)) == EVENT
    assert decoded(decoder, proto_record(21, kind=0)) == Ignored()
    assert registry.asked == {"/schemas/ids/21?format=serialized": 1}


def test_a_descriptor_set_of_protoc_needs_no_registry(tmp_path: Path) -> None:
    """It stands beside the mapping."""
    one = descriptor_pb2.FileDescriptorSet(file=[proto_file()])
    (tmp_path / "lender.desc").write_bytes(one.SerializeToString())
    schemas = SchemaFiles({21: str(tmp_path / "lender.desc")}, None)

    assert decoded(proto_decoder(schemas), proto_record(21)) == EVENT


@pytest.mark.parametrize("indexes", [b"\x04\x00\x04", b"\x02\x10", b"\x03", b"\xff\xff\xff\xff\xff\xff"])
def test_a_message_that_the_schema_lacks_is_refused(indexes: bytes) -> None:
    """Nothing is read by a wrong one."""
    schemas = Fixed({21: Schema(base64.b64encode(proto_file().SerializeToString()).decode())})

    assert isinstance(decoded(proto_decoder(schemas), proto_record(21, indexes)), Reject)


PROTO = proto_decoder(
    Fixed(
        {
            21: Schema(base64.b64encode(proto_file().SerializeToString()).decode()),
            22: Schema('syntax = "proto3";'),
        }
    )
)


@given(
    st.binary(max_size=40),
    st.sampled_from([b"\0\0\0\0\x15\x04\0\0", b"\0\0\0\0\x15", b"\0\0\0\0\x16\0", b"\0\0\0\0\x17\0"]),
)
def test_garbage_of_protobuf_is_refused(garbage: bytes, front: bytes) -> None:
    """Nothing is raised, whatever the bytes."""
    assert isinstance(decoded(PROTO, front + garbage), Reject | Ignored)
