"""A lender whose payloads share no name, unit or word with ours, for every type of event; and the mapping that reads them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from msgspec import Struct

from models.events import TOPICS, TYPES_BY_TOPIC, Event, Instalment, Topic
from streams.codec import tag_of
from streams.mapping.parsing import category_of

_CHINA: Final = timezone(timedelta(hours=8))
_HEAD: Final = {"event_id": "txn", "borrower_id": "cust", "event_time_ms": "at", "ingested_at_ms": "booked"}
_NOT_SENT: Final = "linked_partition"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _theirs(name: str) -> str:
    return "x" + "".join(part.capitalize() for part in name.removesuffix("_minor").split("_"))


def _path(name: str, flat: bool) -> str:
    if flat:
        return _HEAD.get(name) or _theirs(name)
    return f"head.{_HEAD[name]}" if name in _HEAD else f"body.data.{_theirs(name)}"


def _words_of(hint: Any) -> tuple[str, ...]:
    for option in (hint, *get_args(hint)):
        if get_origin(option) is Literal:
            return tuple(get_args(option))
    raise AssertionError(hint)


def _option(name: str, hint: Any, path: str, form: str) -> str:
    match category_of(name, hint):
        case "money":
            return f'{{ from = "{path}", unit = "yuan" }}'
        case "instant":
            time = "timestamp" if form == "avro" else "iso" if name == "event_time_ms" else "epoch_us"
            return f'{{ from = "{path}", time = "{time}" }}'
        case "date":
            return f'{{ from = "{path}", date = "%Y/%m/%d" }}'
        case "word":
            words = ", ".join(f'{word.upper()} = "{word}"' for word in _words_of(hint))
            return f'{{ from = "{path}", words = {{ {words} }} }}'
        case "instalments":
            hints = get_type_hints(Instalment, include_extras=True)
            each = ", ".join(f"{part} = {_option(part, hints[part], _theirs(part), form)}" for part in hints)
            return f'{{ from = "{path}", each = {{ {each} }} }}'
    return f'"{path}"'


def _hints(kind: type[Struct]) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {name: hints[name] for name in kind.__struct_fields__ if name != _NOT_SENT}


def mapping_text(forms: dict[Topic, str] | None = None) -> str:
    """The mapping of all feeds; JSON, but for those that `forms` says otherwise of (`avro`: flat)."""
    lines = []
    for topic in TOPICS:
        form = (forms or {}).get(topic, "json")
        flat = form == "avro"
        lines += [f"[{topic}]", f'format = "{form}"']
        for kind in TYPES_BY_TOPIC[topic]:
            lines += [f"[[{topic}.events]]", f'type = "{tag_of(kind)}"']
            lines.append(f'when = {{ "{"kind" if flat else "head.kind"}" = "K_{tag_of(kind).upper()}" }}')
            lines += [
                f"{name} = {_option(name, hint, _path(name, flat), form)}"
                for name, hint in _hints(kind).items()
            ]
    return "\n".join(lines)


def _value(name: str, hint: Any, value: Any, form: str) -> Any:
    match category_of(name, hint):
        case "money":
            return Decimal(value).scaleb(-2)
        case "instant":
            at = _EPOCH + timedelta(milliseconds=value)
            if form == "avro":
                return at
            return (
                at.astimezone(_CHINA).isoformat(timespec="milliseconds")
                if name == "event_time_ms"
                else value * 1000
            )
        case "date":
            assert isinstance(value, date)
            return value.strftime("%Y/%m/%d")
        case "word":
            return value.upper()
        case "instalments":
            hints = _hints(Instalment)
            return [
                {
                    _theirs(part): _value(part, hints[part], getattr(one, part), form)
                    for part in hints
                    if getattr(one, part) is not None
                }
                for one in value
            ]
    return value


def lenders_document(event: Event, form: str = "json") -> dict[str, Any]:
    """An event as this lender sends it."""
    kind = type(event)
    found: dict[str, Any] = {"kind": f"K_{tag_of(kind).upper()}"}
    nested: dict[str, Any] = {"head": found, "body": {"data": {}}, "trace": "7f3a"}
    for name, hint in _hints(kind).items():
        value = getattr(event, name)
        if value is None:
            continue
        given = _value(name, hint, value, form)
        if form == "avro":
            found[_path(name, flat=True)] = given
        elif name in _HEAD:
            found[_HEAD[name]] = given
        else:
            nested["body"]["data"][_theirs(name)] = given
    return found if form == "avro" else nested


def avro_schema(topic: Topic) -> dict[str, Any]:
    """One record for all types of a feed, every field but the kind with a union of null."""
    fields: dict[str, Any] = {}
    for kind in TYPES_BY_TOPIC[topic]:
        for name, hint in _hints(kind).items():
            fields[_path(name, flat=True)] = _AVRO.get(category_of(name, hint), "string")
    return {
        "type": "record",
        "name": "Feed",
        "fields": [
            {"name": "kind", "type": "string"},
            *({"name": name, "type": ["null", kind], "default": None} for name, kind in fields.items()),
        ],
    }


_AVRO: Final[dict[str, Any]] = {
    "money": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2},
    "instant": {"type": "long", "logicalType": "timestamp-millis"},
    "count": "long",
}
