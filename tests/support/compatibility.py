"""What would break those who rely on the contract: two AsyncAPI documents of it are held against each other.

The rules. Of what comes in, whatever was valid stays valid and keeps being heard: no event, field or word goes away, nothing
becomes required, no type or bound narrower. Of what goes out, whatever may come was possible before: no field goes away or may
be missing, no type or bound wider, no new word where the list is closed (`x-extensible-enum` is open). On both sides topics,
keys, headers and the direction stay. New optional fields, new events and new topics break nobody: unknown fields are ignored.
A keyword that is not known here is an error and not a pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_LOWER: Final = ("minimum", "minLength", "minItems")
_UPPER: Final = ("maximum", "maxLength", "maxItems")
_KNOWN: Final = frozenset(
    {
        "title", "description", "type", "properties", "required", "enum", "const", "items", "additionalProperties",
        "anyOf", "format", "x-extensible-enum", "$ref", *_LOWER, *_UPPER,
    }
)  # fmt: skip


def breaks(old: Schema, new: Schema) -> list[str]:
    """Everything in `new` that breaks somebody who relies on `old`."""
    return list(_breaks(old, new))


def _breaks(old: Schema, new: Schema) -> Iterator[str]:
    for name, channel in old["channels"].items():
        if name not in new["channels"]:
            yield f"{name}: the topic is gone"
            continue
        now = new["channels"][name]
        if channel["address"] != now["address"]:
            yield f"{name}: the topic is called {now['address']} now"
        for message in channel["messages"]:
            if message not in now["messages"]:
                yield f"{name}: {message} is gone"
    for name, operation in old["operations"].items():
        if new["operations"].get(name) != operation:
            yield f"{name}: the direction changed"
            continue
        channel = old["channels"][operation["channel"]["$ref"].rpartition("/")[2]]
        for message in channel["messages"]:
            if message in new["components"]["messages"]:
                yield from _message_breaks(message, old, new, is_input=operation["action"] == "receive")


def _message_breaks(name: str, old: Schema, new: Schema, *, is_input: bool) -> Iterator[str]:
    before, after = old["components"]["messages"][name], new["components"]["messages"][name]
    for field in ("name", "contentType", "bindings"):
        if before.get(field) != after.get(field):
            yield f"{name}: its {field} changed"
    comparison = Comparison(old, new, is_input=is_input)
    yield from comparison.of(before["payload"], after["payload"], name)
    if "headers" in before:
        yield from comparison.of(before["headers"], after.get("headers", {}), f"{name} headers")


class Comparison:
    """Of the schemas of two documents, on one side of the contract."""

    def __init__(self, old: Schema, new: Schema, *, is_input: bool) -> None:
        self._old, self._new = old, new
        self._is_input = is_input

    def of(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        """What breaks between two schemas of the same thing."""
        before, after = self._resolved(old, self._old), self._resolved(new, self._new)
        yield from self._fields(before, after, where)
        # On the way in all that was valid must be valid; on the way out all that is valid must have been.
        narrow, wide = (before, after) if self._is_input else (after, before)
        yield from (f"{where}: {problem}" for problem in _beyond(narrow, wide))
        for keyword in ("items", "additionalProperties"):
            if keyword in before and keyword in after:
                yield from self.of(before[keyword], after[keyword], f"{where}[]")
            elif keyword in before or keyword in after:
                yield f"{where}: {keyword} changed"

    def _fields(self, before: Schema, after: Schema, where: str) -> Iterator[str]:
        fields, now = before.get("properties", {}), after.get("properties", {})
        for field, schema in fields.items():
            if field not in now:
                yield f"{where}.{field}: is gone"
            else:
                yield from self.of(schema, now[field], f"{where}.{field}")
        required, required_now = set(before.get("required", ())), set(after.get("required", ()))
        if self._is_input:
            yield from (f"{where}.{field}: became required" for field in sorted(required_now - required))
        else:
            yield from (f"{where}.{field}: may be missing" for field in sorted(required - required_now))

    @staticmethod
    def _resolved(schema: Schema, document: Schema) -> Schema:
        if "$ref" in schema:
            target: Any = document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            schema = target
        unknown = set(schema) - _KNOWN
        if unknown:
            raise AssertionError(f"say here what {sorted(unknown)} means for those who rely on it")
        return schema


def _beyond(narrow: Schema, wide: Schema) -> Iterator[str]:
    """Why something that `narrow` allows is not allowed by `wide`, as far as this level tells."""
    if not _types(narrow) <= _types(wide) | ({"integer"} if "number" in _types(wide) else set()):
        yield f"the type is {sorted(_types(narrow))} on one side and {sorted(_types(wide))} on the other"
    words, allowed = _words(narrow), _words(wide)
    if allowed is not None and (words is None or not words <= allowed):
        extra = "any" if words is None else ", ".join(sorted(map(str, words - allowed)))
        yield f"words on one side only: {extra}"
    for keyword in _LOWER:
        if keyword in wide and narrow.get(keyword, float("-inf")) < wide[keyword]:
            yield f"{keyword} differs"
    for keyword in _UPPER:
        if keyword in wide and narrow.get(keyword, float("inf")) > wide[keyword]:
            yield f"{keyword} differs"
    if wide.get("format", narrow.get("format")) != narrow.get("format"):
        yield "format differs"


def _types(schema: Schema) -> set[str]:
    if "anyOf" in schema:
        return set().union(*(_types(choice) for choice in schema["anyOf"]))
    kind = schema.get("type", [])
    return {kind} if isinstance(kind, str) else set(kind)


def _words(schema: Schema) -> set[str | None] | None:
    if "const" in schema:
        return {schema["const"]}
    return set(schema["enum"]) if "enum" in schema else None
