"""JSON Schemas (draft 2020-12) of every event that comes in and of every record that goes out, out of the structs themselves.

msgspec makes them; what is put right here is what its schema cannot know: a nullable field is one type with `null` (what
generators of classes understand), a field that is always written is required, a field that no producer sends is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from models.alerts import Alert
from models.events import TOPICS, TYPES_BY_TOPIC
from models.publication import BorrowerRisk
from streams.codec import tag_of
from streams.contract.meanings import MEANINGS, OPEN_WORDS

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ALERT: Final = "forewarn.alert.v1"
BORROWER_RISK: Final = "forewarn.borrower-risk.v1"
OUTPUTS: Final[dict[str, type[Struct]]] = {ALERT: Alert, BORROWER_RISK: BorrowerRisk}
"""What goes out, by the name that each record says itself."""
EVENTS: Final[dict[str, type[Struct]]] = {
    tag_of(kind): kind for topic in TOPICS for kind in TYPES_BY_TOPIC[topic]
}
"""What comes in, by `type`."""
_WORDS_FALL_BACK: Final = "A word that is not listed counts as `other`, and is counted."
_STRICT_WORDS: Final = frozenset({"type", "direction"})
"""An unknown word in these refuses the event."""
_SCALARS: Final = ("string", "integer", "number", "boolean")


def schema_names() -> list[str]:
    """Every schema there is."""
    return [*OUTPUTS, *sorted(EVENTS)]


def schema_of(name: str) -> Schema:
    """One schema, complete in itself."""
    kind = OUTPUTS.get(name) or EVENTS[name]
    components = components_of([kind], "#/$defs/{name}")
    root = components.pop(kind.__name__)
    schema: Schema = {
        "$schema": DIALECT,
        "$id": f"urn:{name.replace('.', ':')}" if name in OUTPUTS else f"urn:forewarn:event:{name}:v1",
    }
    return schema | root | ({"$defs": components} if components else {})


def components_of(kinds: Sequence[type[Struct]], reference: str) -> dict[str, Schema]:
    """The schemas of these structs and of all within, by name.

    Args:
        kinds: structs of the contract.
        reference: how one refers to another: `#/$defs/{name}`.
    """
    _, components = msgspec.json.schema_components(kinds, ref_template=reference)
    return {name: _mended(name, schema) for name, schema in sorted(components.items())}


def _mended(name: str, schema: Mapping[str, Any]) -> Schema:
    """One struct's schema, as the contract means it."""
    meanings = MEANINGS.get(name)
    properties = {
        field: _described(
            _property(field, value, is_output=meanings is not None), (meanings or {}).get(field)
        )
        for field, value in schema["properties"].items()
        if not field.startswith("__")
    }
    required = list(properties) if meanings is not None else schema.get("required", [])
    return {
        "title": name,
        "description": " ".join(schema["description"].split()),
        "type": "object",
        "properties": properties,
        "required": required,
    }


def _described(schema: Schema, meaning: str | None) -> Schema:
    return schema if meaning is None else {"description": meaning} | schema


def _property(field: str, schema: Mapping[str, Any], *, is_output: bool) -> Schema:
    mended = _nullable(dict(schema))
    mended.pop("default", None)  # absent and null are the same, and an output is never absent
    words = mended.get("enum")
    if words is None:
        return mended
    mended.setdefault("type", "string")
    if field in OPEN_WORDS and is_output:
        mended["x-extensible-enum"] = mended.pop("enum")
    elif not is_output and field not in _STRICT_WORDS:
        mended["description"] = _WORDS_FALL_BACK
    return mended


def _nullable(schema: Schema) -> Schema:
    """`anyOf` a scalar and null, as one schema of two types."""
    choices = schema.get("anyOf", [])
    plain = [choice for choice in choices if choice != {"type": "null"}]
    if len(choices) != 2 or len(plain) != 1:
        return schema
    (choice,) = plain
    kind = choice.get("type", "string" if "enum" in choice else None)
    if kind not in _SCALARS:
        return schema
    schema = {key: value for key, value in schema.items() if key != "anyOf"} | choice
    schema["type"] = [kind, "null"]
    if "enum" in choice:
        schema["enum"] = [*choice["enum"], None]
    return schema
