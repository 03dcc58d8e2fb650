"""One document of a lender's to the fields of an event, rule by rule: slow, plain, and what decides in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from streams.mapping.errors import UnfitError
from streams.mapping.paths import path_text, value_at
from streams.mapping.spec import ABSENT, Condition, FeedMapping, Field, IgnoreRule, Rule
from streams.mapping.values import text_of


class Read(NamedTuple):
    """The fields of an event by the contract's names, `type` among them, and the rule that made them."""

    rule: Rule
    fields: dict[str, Any]


class Unread(NamedTuple):
    """What cannot be read: why, and the fields that could."""

    error: UnfitError
    fields: dict[str, Any]


_MISSING: Final = "{} ({}) is missing"


def read_document(mapping: FeedMapping, document: Any) -> Read | IgnoreRule | Unread:
    """Apply the first rule that takes the document; those that ignore are asked before."""
    if not isinstance(document, dict):
        return Unread(UnfitError("not-an-object", "no object"), {})
    for ignored in mapping.ignored:
        if _holds(ignored.when, document):
            return ignored
    for rule in mapping.rules:
        if _holds(rule.when, document):
            return _apply(rule, document)
    return Unread(UnfitError("unknown-type", "no rule of the mapping takes it"), {})


def _holds(conditions: Sequence[Condition], document: Any) -> bool:
    for condition in conditions:
        value = value_at(document, condition.path)
        if condition.present is not None:
            if (value is not None) is not condition.present:
                return False
        elif (text_of(value) in condition.words) is condition.negated:
            return False
    return True


def _apply(rule: Rule, document: Any) -> Read | Unread:
    fields: dict[str, Any] = {"type": rule.tag}
    unfit = None
    for field in rule.fields:
        try:
            value = read_field(field, document)
        except UnfitError as error:
            unfit = unfit or error  # the first is told; the other fields still say whose record it is
            continue
        if value is not ABSENT:
            fields[field.target] = value
    return Read(rule, fields) if unfit is None else Unread(unfit, fields)


def read_field(field: Field, document: Any) -> Any:
    """The value of one field; `ABSENT` where the event goes without.

    Raises:
        UnfitError: it is missing, or none of those that can be converted.
    """
    if not field.paths:
        return field.constant
    if len(field.paths) > 1:
        return _joined(field, document)
    value = value_at(document, field.paths[0])
    if value is None:
        if field.required and field.default is ABSENT:
            raise UnfitError("missing-field", _MISSING.format(path_text(field.paths[0]), field.target))
        return field.default
    if field.each:
        return _instalments(field, value)
    try:
        return field.convert(value)
    except UnfitError as error:
        where = f"{path_text(field.paths[0])} ({field.target})"
        raise UnfitError(error.reason, f"{where}: {error.detail}") from error


def _joined(field: Field, document: Any) -> Any:
    parts = []
    for path in field.paths:
        part = value_at(document, path)
        if part is None:
            if field.required and field.default is ABSENT:
                raise UnfitError("missing-field", _MISSING.format(path_text(path), field.target))
            return field.default
        text = None if isinstance(part, bool) else text_of(part)
        if text is None:
            where = f"{path_text(path)} ({field.target})"
            raise UnfitError("wrong-type", f"{where}: neither text nor a whole number")
        parts.append(text)
    return field.separator.join(parts)


def _instalments(field: Field, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise UnfitError("wrong-type", f"{path_text(field.paths[0])} ({field.target}): no list")
    found = []
    for one in value:
        line = {part.target: read_field(part, one) for part in field.each}
        found.append({name: part for name, part in line.items() if part is not ABSENT})
    return found
