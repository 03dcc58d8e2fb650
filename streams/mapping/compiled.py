"""A mapping as code: msgspec reads the lender's JSON into structs made from the mapping, and one loop makes the events.

Only what is plainly right comes out here. Whatever is not (a field missing, an unknown word, a third decimal, a record for
another rule) goes the way of `streams.mapping.reading`, which decides; the tests hold one against the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import partial
from typing import Any, Final, get_type_hints
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from models.events import Heartbeat, Instalment
from models.limits import FUTURE_TOLERANCE_MS, IDENTIFIER_CHARACTERS_MAX, INT64_MAX
from streams.mapping import values
from streams.mapping.errors import NotCompiledError, UnfitError
from streams.mapping.quick_values import (
    Dates,
    Digits,
    Minutes,
    Seconds,
    WholeTimes,
    bounded,
    count_of,
    minor_of_number,
    minor_of_text,
    sign_of,
    split_of,
)
from streams.mapping.shape import Shape, is_plain_money, must_be_there
from streams.mapping.spec import ABSENT, Condition, FeedMapping, Field, Rule

REFUSED: Final = (
    msgspec.DecodeError,  # with its ValidationError
    ValueError,  # with UnicodeDecodeError
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    ArithmeticError,  # a number near the end of binary64
    RecursionError,
    UnfitError,
)
"""What the loop raises at a record that is not plainly right."""


Compiled = Callable[[Sequence[Any], Callable[[Any], Any]], list[Any]]
"""Records, and what decides on those that are not plainly right, to what becomes of each."""


def compile_mapping(
    mapping: FeedMapping,
    *,
    keyed: bool,
    fits: Callable[[bytes], bool],
    document: Callable[[bytes], Any] | None = None,
) -> Compiled:
    """Make the loop.

    Args:
        mapping: of a feed.
        keyed: whether the record's key must be the borrower's id.
        fits: whether a payload that is long or not ASCII may be read.
        document: reads what is not JSON.

    Raises:
        NotCompiledError: the same path is read in two ways.
    """
    return _Compiler(mapping, keyed=keyed, fits=fits, document=document).compile()


class _Compiler:
    """Writes the loop, and knows by name what it uses."""

    def __init__(
        self,
        mapping: FeedMapping,
        *,
        keyed: bool,
        fits: Callable[[bytes], bool],
        document: Callable[[bytes], Any] | None = None,
    ) -> None:
        self._mapping = mapping
        self._is_json = document is None
        self._keyed = keyed
        self._zone = ZoneInfo(mapping.time_zone)
        self._shape = Shape(mapping, document)
        self._names: dict[str, Any] = {"FITS": fits, "AHEAD": FUTURE_TOLERANCE_MS, "REFUSED": REFUSED}

    def compile(self) -> Compiled:
        self._name("READ", self._shape.reader())
        source = "\n".join(self._lines())
        exec(compile(source, f"<mapping of {self._mapping.topic}>", "exec"), self._names)  # noqa: S102 - made of names and numbers only
        made: Compiled = self._names["decode_all"]
        return made

    def _lines(self) -> Iterable[str]:
        yield "def decode_all(records, decide):"
        yield "    found = []"
        yield "    add = found.append"
        yield "    for record in records:"
        yield "        try:"
        yield "            payload = record.value"
        yield "            if (len(payload) > 400 or not payload.isascii()) and not FITS(payload):"
        yield "                raise ValueError"
        yield "            s = READ(payload)"
        for place, ignored in enumerate(self._mapping.ignored):
            yield f"            if {self._condition(ignored.when)}:"
            yield f"                raise ValueError  # {place}: counted where it is decided"
        branch = "if"
        for rule in self._mapping.rules:
            test = self._condition(rule.when)
            yield f"            {branch} {test}:" if rule.when or branch == "elif" else "            if True:"
            yield from (f"                {line}" for line in self._body(rule))
            branch = "elif"
        yield "            else:"
        yield "                raise ValueError"
        yield "        except REFUSED:"
        yield "            add(decide(record))"
        yield "    return found"

    def _condition(self, when: Sequence[Condition]) -> str:
        tests = []
        for condition in when:
            value = self._shape.access(condition.path)
            if condition.present is not None:
                tests.append(f"{value} is {'not ' if condition.present else ''}None")
                continue
            words = {form for text in condition.words for form in _forms(text)}
            test = "not in" if condition.negated else "in"
            tests.append(f"{value} {test} {self._name('WORDS', frozenset(words))}")
        return " and ".join(tests) or "True"

    def _body(self, rule: Rule) -> Iterable[str]:
        given = []
        for field in rule.fields:
            if field.paths:
                yield from self._value(field)
                given.append(f"{field.target}={field.target}")
            else:
                constant = msgspec.convert(field.constant, _hint(rule.event_type, field.target))
                given.append(f"{field.target}={self._name('CONSTANT', constant)}")
        event = f"{self._name('EVENT', rule.event_type)}({', '.join(given)})"
        targets = {field.target for field in rule.fields if field.paths}
        if rule.event_type is not Heartbeat and self._keyed:
            borrower = "borrower_id" if "borrower_id" in targets else "event.borrower_id"
            yield f"event = {event}"
            yield f"if {borrower}.encode() != record.key: raise ValueError"
        else:
            yield f"event = {event}"
        at = "event_time_ms" if "event_time_ms" in targets else "event.event_time_ms"
        ahead = "record.timestamp + AHEAD"
        if "ingested_at_ms" in targets:
            yield "if ingested_at_ms is None:"
            yield f"    if {at} > {ahead}: raise ValueError"
            yield f"elif {at} > ingested_at_ms + AHEAD or ingested_at_ms > {ahead}: raise ValueError"
        elif any(field.target == "ingested_at_ms" for field in rule.fields):
            yield "raise ValueError"
        else:
            yield f"if {at} > {ahead}: raise ValueError"
        yield "add(event)"

    def _value(self, field: Field) -> Iterable[str]:
        """Lines that put the field's value under its own name."""
        name = field.target
        if len(field.paths) > 1:
            yield from self._joined(field)
            return
        path = field.paths[0]
        if field.category == "money" and not is_plain_money(field) and self._is_json:
            yield from self._amount(field)
            return
        expression = self._converted(field, "x")
        if field.required and field.default is ABSENT:
            access = self._shape.access(path)
            if expression == "x":
                yield f"{name} = {access}"
                if not self._shape.is_sure(path):
                    yield f"if {name} is None: raise ValueError"
            else:
                yield f"x = {access}"
                if not self._shape.is_sure(path):
                    yield "if x is None: raise ValueError"
                yield f"{name} = {expression}"
            return
        default = "None"
        if field.default is not ABSENT:
            default = self._name("DEFAULT", field.default)
            if field.category == "date":
                default = self._name("DEFAULT", date.fromisoformat(field.default))
        yield f"x = {self._shape.access(path)}"
        yield f"{name} = {default} if x is None else {expression}"

    def _amount(self, field: Field) -> Iterable[str]:
        """In place: a call would cost as much as the rest."""
        name, scale = field.target, 10 ** values.UNITS[field.options.get("unit", "minor")]
        yield f"x = {self._shape.access(field.paths[0])}"
        begin = ""
        if not must_be_there(field):
            default = "None" if field.default is ABSENT else self._name("DEFAULT", field.default)
            yield f"if x is None: {name} = {default}"
            yield "else:"
            begin = "    "
        if field.options.get("given_as") == "text":
            yield f"{begin}{name} = {self._name('MONEY', self._money_of_text(field))}(x)"
            return
        # The number that the fraction is nearest to, and proof of it: see `values.EXACT_MINOR_MAX`.
        yield f"{begin}{name} = round(x * {scale})"
        if field.options.get("absolute"):
            yield f"{begin}if {name} < 0: {name}, x = -{name}, -x"
        least = -values.EXACT_MINOR_MAX if name == "balance_after_minor" else 0
        yield f"{begin}if {name} / {scale} != x or not {least} <= {name} <= {values.EXACT_MINOR_MAX}: raise ValueError"

    def _money_of_text(self, field: Field) -> Callable[[str], int]:
        digits = Digits(values.UNITS[field.options.get("unit", "minor")])
        least = -INT64_MAX - 1 if field.target == "balance_after_minor" else 0
        return partial(minor_of_text, digits, least, bool(field.options.get("absolute")))

    def _joined(self, field: Field) -> Iterable[str]:
        if not must_be_there(field):
            raise NotCompiledError(f"{field.target} is joined and may be missing")
        parts = []
        for place, path in enumerate(field.paths):
            yield f"p{place} = {self._shape.access(path)}"
            yield f"if p{place} is None: raise ValueError"
            parts.append(f"{{p{place}}}")
        text = field.separator.replace("{", "{{").replace("}", "}}")
        yield f"{field.target} = f{text.join(parts)!r}"
        yield f"if not 0 < len({field.target}) <= {IDENTIFIER_CHARACTERS_MAX}: raise ValueError"

    def _converted(self, field: Field, x: str) -> str:
        """The expression that makes the field's value out of what msgspec read."""
        options = field.options
        if self._shape.is_plainly(field):
            return self._converted_plainly(field, x)
        if field.each:
            parts = ", ".join(
                f"{part.target}={self._part(part, f'i.g{place}')}" for place, part in enumerate(field.each)
            )
            return f"tuple([{self._name('INSTALMENT', Instalment)}({parts}) for i in {x}])"
        match field.category:
            case "identifier" | "text" if options.get("given_as") == "number":
                return f"str({x})"
            case "count" if options.get("given_as") == "text":
                return f"{self._name('COUNT', count_of)}({x})"
            case "money":
                return self._money(field, x)
            case "instant":
                return self._instant(options.get("time", "epoch_ms"), x)
            case "date" if "%" in options.get("date", "iso"):
                return f"{self._name('DATES', Dates(options['date']))}[{x}]"
            case "word" if "sign" in options:
                sign = options["sign"]
                return f"{self._name('SIGN', partial(sign_of, sign['negative'], sign['other']))}({x})"
            case "word" if "words" in options or "other" in options:
                words = {
                    form: ours for theirs, ours in options.get("words", {}).items() for form in _forms(theirs)
                }
                return f"{self._name('WORDS', words)}[{x}]"
        return x

    def _converted_plainly(self, field: Field, x: str) -> str:
        converted = f"{self._name('CONVERT', field.convert)}({x})"
        if field.category == "date":
            return f"{self._name('DATE', date.fromisoformat)}({converted})"
        if field.category in {"money", "instant"}:
            least = -INT64_MAX - 1 if field.target == "balance_after_minor" else 0
            return f"{self._name('BOUNDED', partial(bounded, least))}({converted})"
        return converted

    def _part(self, part: Field, x: str) -> str:
        converted = self._converted(part, x)
        return converted if part.required or converted == x else f"(None if {x} is None else {converted})"

    def _money(self, field: Field, x: str) -> str:
        if is_plain_money(field):
            return x
        if field.options.get("given_as") == "text":
            return f"{self._name('MONEY', self._money_of_text(field))}({x})"
        scale = 10 ** values.UNITS[field.options.get("unit", "minor")]
        return f"{self._name('MONEY', partial(minor_of_number, scale, bool(field.options.get('absolute'))))}({x})"

    def _instant(self, form: str, x: str) -> str:
        if form in values.EPOCHS:
            times, divided_by = values.EPOCHS[form]
            return f"{x} * {times}" if times > 1 else f"{x} // {divided_by}" if divided_by > 1 else x
        split = split_of(form)
        if split is None:
            return f"{self._name('TIMES', WholeTimes(values.instant(form, self._zone)))}[{x}]"
        minutes = self._name("MINUTES", Minutes(split, self._zone))
        seconds = self._name("SECONDS", Seconds(split))
        return f"{minutes}[{x}[:{split.width}]] + {seconds}[{x}[{split.width}:]]"

    def _name(self, stem: str, value: Any) -> str:
        """Make a value known to the code."""
        name = stem if stem == "READ" else f"{stem}_{len(self._names)}"
        self._names[name] = value
        return name


def _hint(event_type: type[Struct], name: str) -> Any:
    return get_type_hints(event_type, include_extras=True)[name]


def _forms(text: str) -> tuple[str | int, ...]:
    """A word as JSON may hold it: `1` as number too."""
    if re.fullmatch(r"0|-?[1-9]\d{0,17}", text, re.ASCII):
        return text, int(text)
    return (text,)
