"""What a mapping file says, as it is used: rules by feed, each with the fields of one type of event."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct

from models.events import Topic
from streams.mapping.paths import Path
from streams.mapping.values import Convert

Format = Literal["json", "avro", "protobuf"]
Category = Literal["identifier", "text", "money", "instant", "date", "count", "word", "instalments"]
"""What kind of value an event's field holds; it decides what may be said of it."""

ABSENT: Final = object()
"""Stands where no constant and no default is given."""


class Condition(Struct, frozen=True):
    """What must hold at a path for a rule to take a record."""

    path: Path
    words: frozenset[str]
    """Any of these, as `values.text_of` writes them."""
    negated: bool = False
    """None of them, instead."""
    present: bool | None = None
    """Only whether there is a value at all; `words` counts for nothing then."""


class Field(Struct, frozen=True):
    """Where one field of an event comes from."""

    target: str
    category: Category
    required: bool
    paths: tuple[Path, ...]
    """None for a constant; several are joined to one id."""
    convert: Convert
    options: dict[str, Any]
    """As written, for what is made faster from them."""
    words: tuple[str, ...] = ()
    """Of a word: those that the contract knows."""
    constant: Any = ABSENT
    default: Any = ABSENT
    """Where nothing stands at the path."""
    separator: str = "-"
    each: tuple[Field, ...] = ()
    """Of a schedule: the fields of an instalment, with paths of their own."""


class Rule(Struct, frozen=True):
    """Which records become which type of event."""

    where: str
    """As the file names it, for messages."""
    event_type: type[Struct]
    tag: str
    when: tuple[Condition, ...]
    fields: tuple[Field, ...]


class IgnoreRule(Struct, frozen=True):
    """Which records are not for us."""

    where: str
    when: tuple[Condition, ...]


class Example(Struct, frozen=True):
    """A payload, and what must become of it."""

    where: str
    payload: bytes
    event: dict[str, Any] | None
    rejected: str | None
    """The reason; with neither this nor an event, the record is one to be ignored."""


class FeedMapping(Struct, frozen=True):
    """How the records of one of our feeds are read."""

    topic: Topic
    format: Format
    time_zone: str
    rules: tuple[Rule, ...]
    ignored: tuple[IgnoreRule, ...]
    examples: tuple[Example, ...]


class Mapping(Struct, frozen=True):
    """A whole file. Feeds it does not name come in the contract's own form."""

    feeds: dict[Topic, FeedMapping]
    schemas: dict[int, str]
    """Files of schemas by their id in the registry, as written: relative to the mapping file."""
