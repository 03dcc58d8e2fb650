"""Every type of event, in a form that shares nothing with ours, JSON and Avro, comes through whole and the fast way."""

from __future__ import annotations

import json
from datetime import date
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from models.events import TOPICS, TYPES_BY_TOPIC, Event, Instalment, Topic
from streams.codec import Ignored, KeptRecord, Reject
from streams.mapping.avro import AvroDocuments
from streams.mapping.decoder import MappedDecoder
from streams.mapping.parsing import category_of, parse_mapping
from streams.mapping.registry import Schema
from streams.mapping.spec import Category
from tests.support.breaking import broken
from tests.support.lender import payload_of
from tests.support.lender_of_everything import avro_schema, lenders_document, mapping_text
from tests.support.registry import avro_record

KNOWN_BY_MS = 1_900_000_000_000
FORMS = ("json", "avro")

ids = st.text("ab0-", min_size=1, max_size=4)
PLAIN: dict[Category, st.SearchStrategy[Any]] = {
    "identifier": ids,
    "text": ids,
    "money": st.integers(0, 10**13),
    "instant": st.integers(0, KNOWN_BY_MS),
    "date": st.dates(date(2000, 1, 1), date(2050, 1, 1)),
    "count": st.integers(0, 10**6),
}


def events_of(kind: type[Struct]) -> st.SearchStrategy[Any]:
    """Of one type, with or without each field that may be missing."""
    hints = get_type_hints(kind, include_extras=True)
    parts: dict[str, st.SearchStrategy[Any]] = {}
    for field in msgspec.structs.fields(kind):
        if field.name == "linked_partition":
            continue
        if field.name == "ingested_at_ms":
            parts[field.name] = st.none() | st.just(KNOWN_BY_MS)
            continue
        category = category_of(field.name, hints[field.name])
        if category == "instalments":
            part: st.SearchStrategy[Any] = st.lists(events_of(Instalment), max_size=3).map(tuple)
        elif category == "word":
            options = (hints[field.name], *get_args(hints[field.name]))
            words = next(get_args(one) for one in options if get_origin(one) is Literal)
            part = st.sampled_from(words)
        else:
            part = PLAIN[category]
        parts[field.name] = part if field.required else st.none() | part
    return st.builds(kind, **parts)


class OneSchema:
    """Knows one, for every id."""

    def __init__(self, topic: Topic) -> None:
        self.schema = Schema(json.dumps(avro_schema(topic)))

    def get(self, schema_id: int) -> Schema:
        return self.schema


class Watched(MappedDecoder):
    """Counts how often the plain way was asked."""

    asked = 0

    def _decide(self, record: Any) -> Event | Reject | Ignored:
        self.asked += 1
        return super()._decide(record)


DECODERS = {
    (topic, form): Watched(
        parse_mapping(mapping_text({topic: form}), "every.toml").feeds[topic],
        *([AvroDocuments(OneSchema(topic))] if form == "avro" else []),
    )
    for topic in TOPICS
    for form in FORMS
    if (topic, form) != ("repayments", "avro")  # Avro's schema of the tests has no lists
}


@pytest.mark.parametrize(("topic", "form"), DECODERS)
@settings(max_examples=60, phases=(Phase.generate,))
@given(data=st.data())
def test_every_type_comes_through(topic: Topic, form: str, data: st.DataObject) -> None:
    """Field by field, and without the plain way."""
    kind = data.draw(st.sampled_from(TYPES_BY_TOPIC[topic]))
    event: Any = data.draw(events_of(kind))
    document = lenders_document(event, form)
    payload = avro_record(1, avro_schema(topic), document) if form == "avro" else payload_of(document)
    decoder = DECODERS[topic, form]
    decoder.asked = 0
    record = KeptRecord(payload, getattr(event, "borrower_id", "").encode(), KNOWN_BY_MS)

    assert decoder.decode_all([record]) == [event]
    assert decoder.asked == 0


@pytest.mark.parametrize("topic", TOPICS)
@settings(max_examples=120)
@given(data=st.data())
def test_whatever_is_done_to_any_type_both_ways_say_the_same(topic: Topic, data: st.DataObject) -> None:
    """A value replaced by anything, or taken away, anywhere in the lender's JSON."""
    kind = data.draw(st.sampled_from(TYPES_BY_TOPIC[topic]))
    event: Any = data.draw(events_of(kind))
    document = broken(lenders_document(event), data)
    payload = payload_of(document)
    decoder = DECODERS[topic, "json"]
    record = KeptRecord(payload, getattr(event, "borrower_id", "").encode(), KNOWN_BY_MS)

    assert decoder.decode_all([record]) == [decoder.decode(payload, record.key, record.timestamp)]
