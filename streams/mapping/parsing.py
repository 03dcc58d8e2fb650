"""A mapping file's text to what it says, or a message that names the place and the nearest thing that is known."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Table
from datetime import datetime
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from msgspec import Struct

from models.events import TOPICS, TYPES_BY_TOPIC, Identifier, Instalment, Topic
from models.rejects import PayloadReason
from streams.codec import tag_of
from streams.mapping import values
from streams.mapping.errors import MappingError, unknown
from streams.mapping.paths import Path, parse_path
from streams.mapping.spec import (
    ABSENT,
    Category,
    Condition,
    Example,
    FeedMapping,
    Field,
    Format,
    IgnoreRule,
    Mapping,
    Rule,
)

_FEED_KEYS: Final = ("format", "events", "ignored", "examples")
_EXAMPLE_KEYS: Final = ("payload", "event", "ignored", "rejected")
_RULE_KEYS: Final = ("type", "when")
_ANY: Final = ("from", "constant", "default")
_OPTIONS: Final[dict[Category, tuple[str, ...]]] = {
    "identifier": (*_ANY, "separator", "given_as"),
    "text": (*_ANY, "given_as"),
    "money": (*_ANY, "unit", "given_as", "absolute", "rounding"),
    "instant": (*_ANY, "time"),
    "date": (*_ANY, "date"),
    "count": (*_ANY, "given_as"),
    "word": (*_ANY, "words", "other", "sign"),
    "instalments": ("from", "constant", "each"),
}
"""What may be said of a field, by what it holds."""
_NOT_SENT: Final = "linked_partition"
"""The one field of an event that no producer fills."""
_RULES_MAX: Final = 100
"""Rules of one feed: each is held against a record in turn, and the contract has twelve types at most for one feed."""


def parse_mapping(text: str, name: str) -> Mapping:
    """Read a mapping.

    Args:
        text: TOML.
        name: of the file, for messages.

    Raises:
        MappingError: it is not valid; the message names file, place, and the nearest known word.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"{name}: {error}") from error
    for key in table:
        if key not in {"time_zone", "schemas", *TOPICS}:
            raise MappingError(f"{name}: {unknown('key', key, ['time_zone', 'schemas', *TOPICS])}")
    zone = _zone(table.get("time_zone", "UTC"), name)
    feeds = {
        topic: _feed(topic, _table(table[topic], f"{name}: {topic}"), zone, f"{name}: {topic}")
        for topic in TOPICS
        if topic in table
    }
    if not feeds:
        raise MappingError(f"{name}: maps nothing; expected a table for one of {', '.join(TOPICS)}")
    return Mapping(feeds, _schemas(table.get("schemas", {}), f"{name}: schemas"))


def _zone(name: Any, where: str) -> ZoneInfo:
    zones = available_timezones()
    if not isinstance(name, str) or name not in zones:
        raise MappingError(f"{where}: time_zone: {unknown('IANA time zone', str(name), sorted(zones))}")
    return ZoneInfo(name)


def _schemas(table: Any, where: str) -> dict[int, str]:
    found = {}
    for key, file in _table(table, where).items():
        if not (key.isascii() and key.isdecimal() and isinstance(file, str)):
            raise MappingError(f'{where}: expected ids and files, like 17 = "repayment.avsc"')
        found[int(key)] = file
    return found


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MappingError(f"{where}: expected a table")
    return value


def _tables(value: Any, where: str) -> list[tuple[dict[str, Any], str]]:
    if not isinstance(value, list) or len(value) > _RULES_MAX:
        raise MappingError(f"{where}: expected at most {_RULES_MAX} tables, each begun with [[...]]")
    places = [f"{where}[{place}]" for place in range(len(value))]
    return [(_table(one, place), place) for one, place in zip(value, places, strict=True)]


def _check_keys(table: Table[str, Any], known: Sequence[str], where: str, what: str = "key") -> None:
    for key in table:
        if key not in known:
            raise MappingError(f"{where}: {unknown(what, key, known)}")


def _one_of(word: Any, known: Sequence[str], where: str, what: str) -> Any:
    if not isinstance(word, str) or word not in known:
        raise MappingError(f"{where}: {unknown(what, str(word), known)}; known are {', '.join(known)}")
    return word


def _feed(topic: Topic, table: dict[str, Any], zone: ZoneInfo, where: str) -> FeedMapping:
    _check_keys(table, _FEED_KEYS, where)
    form: Format = _one_of(table.get("format", "json"), get_args(Format), f"{where}.format", "format")
    rules = tuple(
        _rule(topic, one, zone, at) for one, at in _tables(table.get("events", []), f"{where}.events")
    )
    if not rules:
        raise MappingError(f"{where}: no rule; expected [[{topic}.events]]")
    ignored = tuple(
        IgnoreRule(at, _when(one, at, ("when",)))
        for one, at in _tables(table.get("ignored", []), f"{where}.ignored")
    )
    for one in ignored:
        if not one.when:
            raise MappingError(f"{one.where}: without `when` every record would be ignored")
    for rule in rules[:-1]:
        if not rule.when:
            raise MappingError(
                f"{rule.where}: without `when` it takes every record; nothing comes to the rules behind it"
            )
    examples = tuple(_example(one, at) for one, at in _tables(table.get("examples", []), f"{where}.examples"))
    if examples and form != "json":
        raise MappingError(f"{where}.examples: examples are JSON; there are none for {form}")
    return FeedMapping(topic, form, zone.key, rules, ignored, examples)


def _example(table: dict[str, Any], where: str) -> Example:
    _check_keys(table, _EXAMPLE_KEYS, where)
    payload, event = table.get("payload"), table.get("event")
    if not isinstance(payload, str):
        raise MappingError(f"{where}: payload must be the lender's JSON as text")
    if sum(key in table for key in ("event", "ignored", "rejected")) != 1:
        raise MappingError(f"{where}: must say one of event, ignored = true, rejected = REASON")
    rejected = table.get("rejected")
    if rejected is not None:
        _one_of(rejected, get_args(PayloadReason), f"{where}.rejected", "reason")
    return Example(
        where, payload.encode(), None if event is None else _table(event, f"{where}.event"), rejected
    )


# ---- rules -------------------------------------------------------------------------------------------------------


def _rule(topic: Topic, table: dict[str, Any], zone: ZoneInfo, where: str) -> Rule:
    types = {tag_of(kind): kind for kind in TYPES_BY_TOPIC[topic]}
    if "type" not in table:
        raise MappingError(f"{where}: type is missing; {topic} has {', '.join(types)}")
    tag = table["type"]
    if tag not in types:
        raise MappingError(f"{where}: {unknown('type', str(tag), types)}; {topic} has {', '.join(types)}")
    said = {key: value for key, value in table.items() if key not in _RULE_KEYS}
    fields = _fields(types[tag], said, zone, f"{where} ({tag})")
    return Rule(where, types[tag], tag, _when(table, where, tuple(table)), fields)


def _when(table: dict[str, Any], where: str, known: tuple[str, ...]) -> tuple[Condition, ...]:
    _check_keys(table, known, where)
    conditions = _table(table.get("when", {}), f"{where}.when")
    return tuple(_condition(path, said, f"{where}.when") for path, said in conditions.items())


def _condition(path: str, said: Any, where: str) -> Condition:
    where = f"{where}.{path}"
    if isinstance(said, dict):
        if set(said) == {"present"} and isinstance(said["present"], bool):
            return Condition(parse_path(path, where), frozenset(), present=said["present"])
        if set(said) == {"not"}:
            return Condition(parse_path(path, where), _words(said["not"], where), negated=True)
        raise MappingError(
            f"{where}: expected a word, a list of words, {{ not = ... }} or {{ present = true }}; a path with dots is put "
            f'in quotes: "header.kind"'
        )
    return Condition(parse_path(path, where), _words(said, where))


def _words(said: Any, where: str) -> frozenset[str]:
    words = [values.text_of(word) for word in (said if isinstance(said, list) else [said])]
    if not words or None in words:
        raise MappingError(f"{where}: expected words, whole numbers or true and false")
    return frozenset(word for word in words if word is not None)


# ---- fields ------------------------------------------------------------------------------------------------------


def _fields(kind: type[Struct], said: dict[str, Any], zone: ZoneInfo, where: str) -> tuple[Field, ...]:
    known = [name for name in kind.__struct_fields__ if name != _NOT_SENT]
    _check_keys(said, known, where, "field")
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    missing = [name for name in known if name in required and name not in said]
    if missing:
        raise MappingError(f"{where}: required and not mapped: {', '.join(missing)}")
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        _field(name, hints[name], said[name], zone, f"{where}.{name}", required=name in required)
        for name in known
        if name in said
    )


def category_of(name: str, hint: Any) -> Category:
    """What kind of value a field of the contract holds, by its name and type."""
    if name == "instalments":
        return "instalments"
    if name.endswith("_minor"):
        return "money"
    if name.endswith("_ms"):
        return "instant"
    if name.endswith("_date"):
        return "date"
    # Bounds on whole numbers are the same for money, times and counts: the name tells them apart, and the rest by type.
    for option in (hint, *get_args(hint)):
        if get_origin(option) is Literal:
            return "word"
        if option == Identifier:
            return "identifier"
        if option is str:
            return "text"
    return "count"


def _field(name: str, hint: Any, said: Any, zone: ZoneInfo, where: str, *, required: bool) -> Field:
    category = category_of(name, hint)
    options = {"from": said} if isinstance(said, str | list) else said
    if not isinstance(options, dict):
        raise MappingError(f'{where}: expected a path or a table, like {{ from = "a.b" }}')
    for option in options:
        if option not in _OPTIONS[category]:
            raise MappingError(
                f"{where}: {unknown('option', option, _OPTIONS[category])} ({category} takes {', '.join(_OPTIONS[category])})"
            )
    if ("from" in options) == ("constant" in options):
        raise MappingError(f"{where}: must have one of from and constant")
    if "constant" in options and len(options) > 1:
        raise MappingError(f"{where}: a constant takes no other option")
    given = {
        key: _checked(options[key], hint, f"{where}.{key}")
        for key in ("constant", "default")
        if key in options
    }
    return Field(
        target=name,
        category=category,
        required=required,
        paths=_paths(options, category, where),
        convert=_CONVERTS[category](options, hint, zone, where),
        options=options,
        words=_words_of(hint) if category == "word" else (),
        constant=given.get("constant", ABSENT),
        default=given.get("default", ABSENT),
        separator=_text(options.get("separator", "-"), f"{where}.separator"),
        each=_each(options, zone, where) if category == "instalments" and "from" in options else (),
    )


def _checked(value: Any, hint: Any, where: str) -> Any:
    """A value that stands in the file must be one of the contract's."""
    plain = value.isoformat() if hasattr(value, "isoformat") else value
    try:
        msgspec.convert(plain, hint)
    except msgspec.ValidationError as error:
        raise MappingError(f"{where}: {error}") from error
    if plain is None:
        raise MappingError(f"{where}: nothing is said by leaving the field away")
    return plain


def _paths(options: dict[str, Any], category: Category, where: str) -> tuple[Path, ...]:
    if "from" not in options:
        return ()
    said = options["from"]
    if isinstance(said, list) and category == "identifier" and len(said) > 1:
        return tuple(parse_path(_text(one, where), where) for one in said)
    if not isinstance(said, str):
        raise MappingError(
            f"{where}.from: expected a path" + (", or several for an id" if category == "identifier" else "")
        )
    return (parse_path(said, where),)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise MappingError(f"{where}: expected text")
    return value


def _each(options: dict[str, Any], zone: ZoneInfo, where: str) -> tuple[Field, ...]:
    said = _table(options.get("each", {}), f"{where}.each")
    return _fields(Instalment, said, zone, f"{where}.each")


# ---- what is done to a value -------------------------------------------------------------------------------------


def _identifier(options: dict[str, Any], hint: Any, zone: ZoneInfo, where: str) -> values.Convert:
    form = _one_of(options.get("given_as", "text"), ("text", "number"), f"{where}.given_as", "form")
    if isinstance(options.get("from"), list):
        if "given_as" in options:
            raise MappingError(f"{where}.given_as: parts of an id may be text and whole numbers")
        return _part
    return values.number_as_text if form == "number" else values.as_is


def _part(value: Any) -> Any:
    return value if isinstance(value, bool) else values.text_of(value) or value


def _count(options: dict[str, Any], hint: Any, zone: ZoneInfo, where: str) -> values.Convert:
    form = _one_of(options.get("given_as", "number"), ("number", "text"), f"{where}.given_as", "form")
    return values.text_as_number if form == "text" else values.as_is


def _money(options: dict[str, Any], hint: Any, zone: ZoneInfo, where: str) -> values.Convert:
    unit = _one_of(options.get("unit", "minor"), tuple(values.UNITS), f"{where}.unit", "unit")
    _one_of(options.get("given_as", "number"), ("number", "text"), f"{where}.given_as", "form")
    rounding = options.get("rounding", "none")
    _one_of(rounding, ("none", "half_even"), f"{where}.rounding", "rounding")
    if not isinstance(options.get("absolute", False), bool):
        raise MappingError(f"{where}.absolute: expected true or false")
    return values.money(unit, absolute=options.get("absolute", False), rounded=rounding != "none")


def _pattern(form: Any, known: Sequence[str], where: str, what: str) -> str:
    if isinstance(form, str) and "%" in form:
        try:
            datetime.strptime(datetime(2001, 2, 3, 4, 5, 6).strftime(form), form)  # noqa: DTZ001, DTZ007 - tried only
        except ValueError as error:
            raise MappingError(f"{where}: {form!r} is no pattern of strptime: {error}") from error
        return form
    known_words: str = _one_of(form, known, where, what)
    return known_words


def _instant(options: dict[str, Any], hint: Any, zone: ZoneInfo, where: str) -> values.Convert:
    form = _pattern(options.get("time", "epoch_ms"), values.TIMES, f"{where}.time", "form of a time")
    return values.instant(form, zone)


def _date(options: dict[str, Any], hint: Any, zone: ZoneInfo, where: str) -> values.Convert:
    return values.local_date(
        _pattern(options.get("date", "iso"), values.DATES, f"{where}.date", "form of a date")
    )


def _word(options: dict[str, Any], hint: Any, zone: ZoneInfo, where: str) -> values.Convert:
    if "sign" in options:
        signs = options["sign"]
        if (
            set(options) != {"from", "sign"}
            or not isinstance(signs, dict)
            or set(signs) != {"negative", "other"}
        ):
            raise MappingError(f'{where}.sign: stands alone, as {{ negative = "out", other = "in" }}')
        for word in signs.values():
            _checked(word, hint, f"{where}.sign")
        return values.sign_word(signs["negative"], signs["other"])
    words = _table(options.get("words", {}), f"{where}.words")
    for theirs, ours in words.items():
        _known_word(ours, hint, f"{where}.words.{theirs}")
    if "other" in options:
        _known_word(options["other"], hint, f"{where}.other")
    return values.word(words, options.get("other")) if words or "other" in options else values.as_is


def _known_word(word: Any, hint: Any, where: str) -> None:
    _one_of(word, _words_of(hint), where, "word")


def _words_of(hint: Any) -> tuple[str, ...]:
    return next(get_args(option) for option in (hint, *get_args(hint)) if get_origin(option) is Literal)


def _as_is(options: dict[str, Any], hint: Any, zone: ZoneInfo, where: str) -> values.Convert:
    return values.as_is


_CONVERTS: Final[dict[Category, Callable[[dict[str, Any], Any, ZoneInfo, str], values.Convert]]] = {
    "identifier": _identifier,
    "text": _identifier,
    "money": _money,
    "instant": _instant,
    "date": _date,
    "count": _count,
    "word": _word,
    "instalments": _as_is,
}
