"""How much decode speed a mapping costs: the contract's own decoder and mappings of the same events, in turns, in one run.

`python -m tests.bench.mapping` prints, for each mapping, its part of the speed of the plain codec, and how long Avro and
Protobuf take, which the contract has no plain form of.
"""

from __future__ import annotations

import base64
import gc
import json
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from models.events import FlowCategory, FundFlow, Topic
from streams.codec import Decoder, NotAnEvent
from streams.mapping.avro import AvroDocuments
from streams.mapping.decoder import MappedDecoder
from streams.mapping.parsing import parse_mapping
from streams.mapping.protobuf import ProtobufDocuments
from streams.mapping.registry import Schema
from tests.support.registry import avro_record

RECORDS = 1_000
"""About what one fetch of half a megabyte brings."""
ROUNDS = 60
_TOPIC: Topic = "fund-flows"
_BEGIN_MS = 1_735_689_600_123
_CHINA = timezone(timedelta(hours=8))
_CATEGORIES: dict[str, FlowCategory] = {"SAL": "salary", "RNT": "rent", "SHP": "shopping", "LIV": "living"}


class Record(NamedTuple):
    """As a client hands it over."""

    value: bytes
    key: bytes
    timestamp: int
    offset: int = 0
    headers: tuple[()] = ()


class Contender(NamedTuple):
    """The same events in another form, and what reads them."""

    name: str
    decode_all: Callable[[Sequence[Any]], Sequence[Any]]
    records: list[Record]


def flows(count: int, seed: int = 1) -> list[FundFlow]:
    """Money of some borrowers, in the order of its time."""
    dice = random.Random(seed)
    return [
        FundFlow(
            event_id=f"flow-{place:012d}",
            borrower_id=f"b-{dice.randrange(100_000):08d}",
            event_time_ms=_BEGIN_MS + place * 1_371,
            ingested_at_ms=None,
            account_id=f"acc-{dice.randrange(100_000):08d}",
            direction=dice.choice(("in", "out")),
            amount_minor=dice.randrange(100, 10_000_000),
            currency="CNY",
            category=dice.choice(tuple(_CATEGORIES.values())),
            counterparty_id=f"cp-{dice.randrange(10_000):06d}",
            balance_after_minor=dice.randrange(100, 100_000_000),
        )
        for place in range(count)
    ]


def _records(payload: Callable[[FundFlow], Any], events: Sequence[FundFlow]) -> list[Record]:
    return [
        Record(msgspec.json.encode(payload(event)), event.borrower_id.encode(), _BEGIN_MS + 10**9)
        for event in events
    ]


_RENAMED = """
[[fund-flows.events]]
type = "fund_flow"
event_id = "txnNo"
borrower_id = "custNo"
event_time_ms = "txnTime"
account_id = "acctNo"
direction = "dcFlag"
amount_minor = "amount"
currency = "ccy"
category = "bizType"
counterparty_id = "oppNo"
balance_after_minor = "balance"
"""

_CONVERTED = """
time_zone = "Asia/Shanghai"

[[fund-flows.events]]
type = "fund_flow"
when = { msgType = ["TXN", "ADJ"] }
event_id = "txnNo"
borrower_id = "custNo"
event_time_ms = { from = "txnTime", time = "epoch_s" }
account_id = "acctNo"
direction = { from = "dcFlag", words = { C = "in", D = "out" } }
amount_minor = { from = "amount", unit = "yuan" }
currency = { constant = "CNY" }
category = { from = "bizType", words = { SAL = "salary", RNT = "rent", SHP = "shopping", LIV = "living" } }
counterparty_id = "oppNo"
"""

_EVERYTHING = """
time_zone = "Asia/Shanghai"

[[fund-flows.events]]
type = "fund_flow"
when = { "header.kind" = ["TXN", "ADJ"] }
event_id = ["header.source", "header.txnNo"]
borrower_id = "customer.no"
event_time_ms = { from = "header.time", time = "iso" }
account_id = "account.no"
direction = { from = "account.dcFlag", words = { C = "in", D = "out" } }
amount_minor = { from = "account.amount", unit = "yuan" }
currency = { constant = "CNY" }
category = { from = "bizType", words = { SAL = "salary", RNT = "rent", SHP = "shopping", LIV = "living" } }
counterparty_id = "opposite.no"
balance_after_minor = { from = "account.balance", unit = "yuan" }

[[fund-flows.ignored]]
when = { "header.kind" = "PING" }
"""


_BINARY = """
[fund-flows]
format = "FORMAT"

[[fund-flows.events]]
type = "fund_flow"
event_id = "txnNo"
borrower_id = "custNo"
event_time_ms = "txnTime"
account_id = "acctNo"
direction = { from = "dcFlag", words = { C = "in", D = "out" } }
amount_minor = { from = "amount", unit = "fen" }
currency = { constant = "CNY" }
counterparty_id = "oppNo"
"""
_BINARY_FIELDS = ("txnNo", "custNo", "txnTime", "acctNo", "dcFlag", "amount", "oppNo")


def _binary(event: FundFlow) -> dict[str, Any]:
    sign = "C" if event.direction == "in" else "D"
    values = (
        event.event_id,
        event.borrower_id,
        event.event_time_ms,
        event.account_id,
        sign,
        event.amount_minor,
    )
    return dict(zip(_BINARY_FIELDS, (*values, event.counterparty_id), strict=True))


_AVRO_SCHEMA = {
    "type": "record",
    "name": "Flow",
    "fields": [
        {"name": name, "type": "long" if name in {"txnTime", "amount"} else "string"}
        for name in _BINARY_FIELDS
    ],
}


def _avro(events: Sequence[FundFlow]) -> Contender:
    records = [
        Record(avro_record(1, _AVRO_SCHEMA, _binary(event)), event.borrower_id.encode(), _BEGIN_MS + 10**9)
        for event in events
    ]
    feed = parse_mapping(_BINARY.replace("FORMAT", "avro"), "avro").feeds[_TOPIC]
    documents = AvroDocuments(OneSchema(Schema(json.dumps(_AVRO_SCHEMA))))
    return Contender("Avro", MappedDecoder(feed, documents).decode_all, records)


def _protobuf(events: Sequence[FundFlow]) -> Contender:
    file = descriptor_pb2.FileDescriptorProto(name="flow.proto", package="lender", syntax="proto3")
    sent = file.message_type.add(name="Flow")
    field = descriptor_pb2.FieldDescriptorProto
    for number, name in enumerate(_BINARY_FIELDS, start=1):
        kind = field.TYPE_INT64 if name in {"txnTime", "amount"} else field.TYPE_STRING
        sent.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("lender.Flow"))
    records = [
        Record(
            b"\0\0\0\0\1\0" + message(**_binary(event)).SerializeToString(),
            event.borrower_id.encode(),
            _BEGIN_MS + 10**9,
        )
        for event in events
    ]
    feed = parse_mapping(_BINARY.replace("FORMAT", "protobuf"), "protobuf").feeds[_TOPIC]
    documents = ProtobufDocuments(OneSchema(Schema(base64.b64encode(file.SerializeToString()).decode())))
    return Contender("Protobuf", MappedDecoder(feed, documents).decode_all, records)


class OneSchema:
    """Knows one schema, for every id."""

    def __init__(self, schema: Schema) -> None:
        """That one."""
        self._schema = schema

    def get(self, schema_id: int) -> Schema:
        """See `streams.mapping.registry.Schemas`."""
        return self._schema


def _yuan(minor: int | None) -> msgspec.Raw:
    assert minor is not None
    return msgspec.Raw(f"{minor // 100}.{minor % 100:02d}".encode())


def _renamed(event: FundFlow) -> dict[str, Any]:
    return {
        "txnNo": event.event_id,
        "custNo": event.borrower_id,
        "txnTime": event.event_time_ms,
        "acctNo": event.account_id,
        "dcFlag": event.direction,
        "amount": event.amount_minor,
        "ccy": event.currency,
        "bizType": event.category,
        "oppNo": event.counterparty_id,
        "balance": event.balance_after_minor,
    }


def _theirs(event: FundFlow) -> str:
    return next(theirs for theirs, ours in _CATEGORIES.items() if ours == event.category)


def _converted(event: FundFlow) -> dict[str, Any]:
    return {
        "msgType": "TXN",
        "txnNo": event.event_id,
        "custNo": event.borrower_id,
        "txnTime": event.event_time_ms // 1000,
        "acctNo": event.account_id,
        "dcFlag": "C" if event.direction == "in" else "D",
        "amount": _yuan(event.amount_minor),
        "bizType": _theirs(event),
        "oppNo": event.counterparty_id,
    }


def _everything(event: FundFlow) -> dict[str, Any]:
    at = (
        datetime.fromtimestamp(event.event_time_ms // 1000, UTC)
        .replace(microsecond=123_000)
        .astimezone(_CHINA)
    )
    return {
        "header": {
            "kind": "TXN",
            "source": "core",
            "txnNo": event.event_id,
            "time": at.isoformat(timespec="milliseconds"),
        },
        "customer": {"no": event.borrower_id},
        "account": {
            "no": event.account_id,
            "dcFlag": "C" if event.direction == "in" else "D",
            "amount": _yuan(event.amount_minor),
            "balance": _yuan(event.balance_after_minor),
        },
        "bizType": _theirs(event),
        "opposite": {"no": event.counterparty_id},
        "teller": "T0071",
    }


def contenders(count: int = RECORDS) -> list[Contender]:
    """The plain codec first."""
    events = flows(count)

    def mapped(name: str, text: str, payload: Callable[[FundFlow], Any]) -> Contender:
        decoder = MappedDecoder(parse_mapping(text, name).feeds[_TOPIC])
        assert decoder.slow_because is None
        return Contender(name, decoder.decode_all, _records(payload, events))

    return [
        Contender("plain codec", Decoder(_TOPIC).decode_all, _records(lambda event: event, events)),
        mapped("renames", _RENAMED, _renamed),
        mapped("renames, words, yuan, seconds, a filter", _CONVERTED, _converted),
        mapped("everything: nested, joined id, ISO times, two amounts", _EVERYTHING, _everything),
        _avro(events),
        _protobuf(events),
    ]


def best_ns(contender: Contender) -> float:
    """One round: nanoseconds a record."""
    begin = time.perf_counter_ns()
    contender.decode_all(contender.records)
    return (time.perf_counter_ns() - begin) / len(contender.records)


def main() -> None:
    """Print the table."""
    all_of_them = contenders()
    for contender in all_of_them:
        assert not any(isinstance(found, NotAnEvent) for found in contender.decode_all(contender.records))
    gc.disable()
    times: dict[str, list[float]] = {contender.name: [] for contender in all_of_them}
    for _ in range(ROUNDS):
        for contender in all_of_them:
            times[contender.name].append(best_ns(contender))
    plain_ns = min(times["plain codec"])
    print(f"{'':56}{'bytes':>7}{'ns':>7}{'of plain':>10}")
    for contender in all_of_them:
        ns = min(times[contender.name])
        print(f"{contender.name:56}{len(contender.records[0].value):>7}{ns:>7.0f}{plain_ns / ns:>10.2f}")


if __name__ == "__main__":
    main()
