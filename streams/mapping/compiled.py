"""A mapping as code: msgspec reads the lender's JSON into structs made from the mapping, and one loop makes the events.

Only what is plainly right comes out here. Whatever is not (a field missing, an unknown word, a third decimal, a record for
another rule) goes the way of `streams.mapping.reading`, which decides; the tests hold one against the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, defstruct

from models.events import Count, EpochMs, Heartbeat, Identifier, Instalment, Minor, SignedMinor
from models.limits import FUTURE_TOLERANCE_MS, IDENTIFIER_CHARACTERS_MAX, INSTALMENTS_MAX, INT64_MAX
from streams.mapping import values
from streams.mapping.errors import UnfitError
from streams.mapping.paths import Path, path_text
from streams.mapping.spec import ABSENT, Condition, FeedMapping, Field, Rule

_MEMO_MAX: Final = 100_000
"""Texts of times and dates remembered by one mapping, each: some 15 MB. Then they are forgotten and learnt anew."""

_Word = Union[str, int]  # noqa: UP007 - put together with others at run time

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


class NotCompiledError(Exception):
    """This mapping has no fast way; the message says why."""


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


class _Leaf(NamedTuple):
    kind: Any
    """How msgspec reads it."""
    needed: int
    """How many rules need it."""


class _Compiler:
    """Gathers the paths of all rules in one tree, for one struct must serve every record of the feed."""

    def __init__(
        self,
        mapping: FeedMapping,
        *,
        keyed: bool,
        fits: Callable[[bytes], bool],
        document: Callable[[bytes], Any] | None = None,
    ) -> None:
        self._mapping = mapping
        self._document = document
        self._keyed = keyed
        self._zone = ZoneInfo(mapping.time_zone)
        self._leaves: dict[Path, _Leaf] = {}
        self._lines_known: list[tuple[Any, type[Struct]]] = []
        self._names: dict[str, Any] = {"FITS": fits, "AHEAD": FUTURE_TOLERANCE_MS, "REFUSED": REFUSED}
        self._needed_by_all = 0 if mapping.ignored else len(mapping.rules)

    def compile(self) -> Compiled:
        for rule in self._mapping.rules:
            needed = {path for field in rule.fields if _must_be_there(field) for path in field.paths}
            for condition in rule.when:
                self._want(condition.path, _kind_of_condition(condition), needed=condition.path in needed)
            seen: set[Path] = {condition.path for condition in rule.when}
            for field in rule.fields:
                for path in field.paths:
                    self._want(path, self._kind_of(field), needed=path in needed and path not in seen)
                    seen.add(path)
        for ignored in self._mapping.ignored:
            for condition in ignored.when:
                self._want(condition.path, _kind_of_condition(condition), needed=False)
        self._name("READ", self._reader(self._struct(())))
        source = "\n".join(self._lines())
        exec(compile(source, f"<mapping of {self._mapping.topic}>", "exec"), self._names)  # noqa: S102 - made of names and numbers only
        made: Compiled = self._names["decode_all"]
        return made

    def _reader(self, struct: type[Struct]) -> Callable[[bytes], Any]:
        document = self._document
        if document is None:
            return msgspec.json.Decoder(struct).decode
        return lambda payload: msgspec.convert(document(payload), struct)

    # ---- the struct that is read -------------------------------------------------------------------------------------

    def _want(self, path: Path, kind: Any, *, needed: bool) -> None:
        known = self._leaves.get(path)
        merged = kind if known is None else _merged(known.kind, kind, path)
        self._leaves[path] = _Leaf(merged, needed + (0 if known is None else known.needed))

    def _is_sure(self, path: Path) -> bool:
        """Whether the struct itself demands a value there."""
        return self._leaves[path].needed >= self._needed_by_all > 0 and all(
            isinstance(step, str) for step in path
        )

    def _struct(self, at: Path) -> type[Struct]:
        """The struct of what stands at a path, with everything below."""
        depth = len(at)
        names = dict.fromkeys(
            path[depth] for path in self._leaves if path[:depth] == at and len(path) > depth
        )
        fields: list[Any] = []
        for place, name in enumerate(names):
            below = (*at, name)
            kind = self._kind_at(below)
            sure = any(path[: depth + 1] == below and self._is_sure(path) for path in self._leaves)
            fields.append((f"f{place}", kind) if sure else (f"f{place}", _or_none(kind), None))
        if not all(isinstance(name, str) for name in names):
            raise NotCompiledError(f"{path_text(at)} is read as a list and as an object")
        fields.sort(key=len)
        renamed = {f"f{place}": str(name) for place, name in enumerate(names)}
        return defstruct("Read", fields, rename=renamed, frozen=True, gc=False)

    def _kind_at(self, at: Path) -> Any:
        leaf = self._leaves.get(at)
        below = [path[len(at)] for path in self._leaves if path[: len(at)] == at and len(path) > len(at)]
        if leaf is not None:
            if below:
                raise NotCompiledError(f"{path_text(at)} is read as a value and as an object")
            return leaf.kind
        if isinstance(below[0], int):
            indexes = set(below)
            if len(indexes) > 1 or not all(isinstance(step, int) for step in below):
                raise NotCompiledError(f"{path_text(at)} is read at several places of a list")
            return list[self._kind_at((*at, below[0]))]  # type: ignore[misc] # made at run time
        return self._struct(at)

    def _access(self, path: Path) -> str:
        """The expression for what stands at a path; it raises where something on the way is not there."""
        text = "s"
        at: Path = ()
        for step in path:
            depth = len(at)
            if isinstance(step, int):
                text += f"[{step}]"
            else:
                names = list(
                    dict.fromkeys(p[depth] for p in self._leaves if p[:depth] == at and len(p) > depth)
                )
                text += f".f{names.index(step)}"
            at = (*at, step)
        return text

    def _kind_of(self, field: Field) -> Any:
        if not field.each:
            return self._kind_of_one(field)
        line: Any = self._line_struct(field)
        return Annotated[list[line], msgspec.Meta(max_length=INSTALMENTS_MAX)]

    def _kind_of_one(self, field: Field) -> Any:
        """What is not JSON knows decimals, dates and instants of its own: they are converted the plain way, one by one."""
        return Any if self._is_plainly(field) else _kind_of_value(field)

    def _is_plainly(self, field: Field) -> bool:
        """Whether a value is converted by `values` itself."""
        converts = field.category in {"money", "instant", "date"} or "sign" in field.options
        return self._document is not None and converts and field.convert is not values.as_is

    def _line_struct(self, field: Field) -> type[Struct]:
        fields = []
        for place, part in enumerate(field.each):
            if len(part.paths) != 1 or len(part.paths[0]) != 1 or part.default is not ABSENT:
                raise NotCompiledError(f"{part.target} of a schedule is more than a plain field")
            kind = self._kind_of_one(part)
            fields.append((f"g{place}", kind) if part.required else (f"g{place}", _or_none(kind), None))
        fields.sort(key=len)
        renamed = {f"g{place}": str(part.paths[0][0]) for place, part in enumerate(field.each)}
        # Two rules that read the same lines (a loan's, and those of its new schedule) read them into the same struct.
        for known, struct in self._lines_known:
            if known == (fields, renamed):
                return struct
        struct = defstruct("ReadLine", fields, rename=renamed, frozen=True, gc=False)
        self._lines_known.append(((fields, renamed), struct))
        return struct

    # ---- the loop ----------------------------------------------------------------------------------------------------

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
            value = self._access(condition.path)
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
        if field.category == "money" and not _is_plain_money(field) and self._document is None:
            yield from self._amount(field)
            return
        expression = self._converted(field, "x")
        if field.required and field.default is ABSENT:
            access = self._access(path)
            if expression == "x":
                yield f"{name} = {access}"
                if not self._is_sure(path):
                    yield f"if {name} is None: raise ValueError"
            else:
                yield f"x = {access}"
                if not self._is_sure(path):
                    yield "if x is None: raise ValueError"
                yield f"{name} = {expression}"
            return
        default = "None"
        if field.default is not ABSENT:
            default = self._name("DEFAULT", field.default)
            if field.category == "date":
                default = self._name("DEFAULT", date.fromisoformat(field.default))
        yield f"x = {self._access(path)}"
        yield f"{name} = {default} if x is None else {expression}"

    def _amount(self, field: Field) -> Iterable[str]:
        """In place: a call would cost as much as the rest."""
        name, scale = field.target, 10 ** values.UNITS[field.options.get("unit", "minor")]
        yield f"x = {self._access(field.paths[0])}"
        begin = ""
        if not _must_be_there(field):
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
        digits = _Digits(values.UNITS[field.options.get("unit", "minor")])
        least = -INT64_MAX - 1 if field.target == "balance_after_minor" else 0
        return partial(_minor_of_text, digits, least, bool(field.options.get("absolute")))

    def _joined(self, field: Field) -> Iterable[str]:
        if not _must_be_there(field):
            raise NotCompiledError(f"{field.target} is joined and may be missing")
        parts = []
        for place, path in enumerate(field.paths):
            yield f"p{place} = {self._access(path)}"
            yield f"if p{place} is None: raise ValueError"
            parts.append(f"{{p{place}}}")
        text = field.separator.replace("{", "{{").replace("}", "}}")
        yield f"{field.target} = f{text.join(parts)!r}"
        yield f"if not 0 < len({field.target}) <= {IDENTIFIER_CHARACTERS_MAX}: raise ValueError"

    def _converted(self, field: Field, x: str) -> str:
        """The expression that makes the field's value out of what msgspec read."""
        options = field.options
        if self._is_plainly(field):
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
                return f"{self._name('COUNT', _count_of)}({x})"
            case "money":
                return self._money(field, x)
            case "instant":
                return self._instant(options.get("time", "epoch_ms"), x)
            case "date" if "%" in options.get("date", "iso"):
                return f"{self._name('DATES', _Dates(options['date']))}[{x}]"
            case "word" if "sign" in options:
                sign = options["sign"]
                return f"{self._name('SIGN', partial(_sign, sign['negative'], sign['other']))}({x})"
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
            return f"{self._name('BOUNDED', partial(_bounded, least))}({converted})"
        return converted

    def _part(self, part: Field, x: str) -> str:
        converted = self._converted(part, x)
        return converted if part.required or converted == x else f"(None if {x} is None else {converted})"

    def _money(self, field: Field, x: str) -> str:
        if _is_plain_money(field):
            return x
        if field.options.get("given_as") == "text":
            return f"{self._name('MONEY', self._money_of_text(field))}({x})"
        scale = 10 ** values.UNITS[field.options.get("unit", "minor")]
        return f"{self._name('MONEY', partial(_minor_of_number, scale, bool(field.options.get('absolute'))))}({x})"

    def _instant(self, form: str, x: str) -> str:
        if form in values.EPOCHS:
            times, divided_by = values.EPOCHS[form]
            return f"{x} * {times}" if times > 1 else f"{x} // {divided_by}" if divided_by > 1 else x
        split = _split_of(form)
        if split is None:
            return f"{self._name('TIMES', _WholeTimes(values.instant(form, self._zone)))}[{x}]"
        minutes = self._name("MINUTES", _Minutes(split, self._zone))
        seconds = self._name("SECONDS", _Seconds(split))
        return f"{minutes}[{x}[:{split.width}]] + {seconds}[{x}[{split.width}:]]"

    def _name(self, stem: str, value: Any) -> str:
        """Make a value known to the code."""
        name = stem if stem == "READ" else f"{stem}_{len(self._names)}"
        self._names[name] = value
        return name


def _must_be_there(field: Field) -> bool:
    return field.required and field.default is ABSENT


def _hint(event_type: type[Struct], name: str) -> Any:
    return get_type_hints(event_type, include_extras=True)[name]


def _forms(text: str) -> tuple[str | int, ...]:
    """A word as JSON may hold it: `1` as number too."""
    if re.fullmatch(r"0|-?[1-9]\d{0,17}", text, re.ASCII):
        return text, int(text)
    return (text,)


# ---- how msgspec reads what ------------------------------------------------------------------------------------------


def _or_none(kind: Any) -> Any:
    return Union[kind, None]  # noqa: UP007 - see above


def _kind_of_condition(condition: Condition) -> Any:
    if condition.present is not None:
        return Any
    # true and 1 are the same key of a set: what tells them apart is the plain way.
    return _Word


def _is_plain_money(field: Field) -> bool:
    options = field.options
    return values.UNITS[options.get("unit", "minor")] == 0 and not options.keys() & {
        "absolute",
        "rounding",
        "given_as",
    }


def _kind_of_value(field: Field) -> Any:
    options = field.options
    if len(field.paths) > 1:
        return _Word
    match field.category:
        case "identifier":
            return int if options.get("given_as") == "number" else Identifier
        case "text":
            return int if options.get("given_as") == "number" else str
        case "count":
            return str if options.get("given_as") == "text" else Count
        case "money":
            if not _is_plain_money(field):
                return str if options.get("given_as") == "text" else float
            return SignedMinor if field.target == "balance_after_minor" else Minor
        case "instant":
            return _kind_of_instant(options.get("time", "epoch_ms"))
        case "date":
            return str if "%" in options.get("date", "iso") else date
    if "sign" in options:
        return float
    return _Word if options.keys() & {"words", "other"} else Literal[field.words]


def _kind_of_instant(form: str) -> Any:
    if form == "timestamp":
        raise NotCompiledError("timestamp is of Avro and Protobuf")
    if form not in values.EPOCHS:
        return str
    times, _ = values.EPOCHS[form]
    return EpochMs if times == 1 else Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX // times)]


def _is_whole_or_text(kind: Any) -> bool:
    return (kind.__origin__ if get_origin(kind) is Annotated else kind) in (str, int)


def _merged(one: Any, other: Any, path: Path) -> Any:
    """One kind for two uses of the same value, where the stricter one serves both."""
    if one == other:
        return one
    for loose, strict in ((one, other), (other, one)):
        if loose == _Word and (_is_whole_or_text(strict) or get_origin(strict) is Literal):
            return strict
    raise NotCompiledError(f"{path_text(path)} is read in two ways")


def _bounded(least: int, number: int) -> int:
    if not least <= number <= INT64_MAX:
        raise ValueError
    return number


# ---- values ----------------------------------------------------------------------------------------------------------


def _count_of(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or (count := int(text)) > INT64_MAX:
        raise ValueError
    return count


def _sign(negative: str, other: str, number: float) -> str:
    if number == 0:
        raise ValueError  # or so small that a binary fraction does not hold it
    return negative if number < 0 else other


def _minor_of_number(scale: int, absolute: bool, number: float) -> int:
    """As `_Compiler._amount`, for the lines of a schedule: no amount there is negative."""
    minor = round(number * scale)
    if minor / scale != number or not 0 <= (abs(minor) if absolute else minor) <= values.EXACT_MINOR_MAX:
        raise ValueError
    return abs(minor) if absolute else minor


def _minor_of_text(digits: _Digits, least: int, absolute: bool, text: str) -> int:
    """Minor units out of a number's own digits."""
    whole, _, part = text.partition(".")
    if not whole.removeprefix("-").isdecimal() or not whole.isascii():
        raise ValueError
    minor = int(whole + digits[part])
    if absolute:
        minor = abs(minor)
    if not least <= minor <= INT64_MAX:
        raise ValueError
    return minor


class _Digits(dict[str, str]):
    """Digits behind the point, as many as the unit has: `5` is `50` of a hundred."""

    def __init__(self, exponent: int) -> None:
        super().__init__({"": "0" * exponent})
        self._exponent = exponent

    def __missing__(self, digits: str) -> str:
        if not digits.isdecimal() or not digits.isascii() or len(digits) > self._exponent:
            raise ValueError
        padded = digits.ljust(self._exponent, "0")
        if len(self) < _MEMO_MAX:
            self[digits] = padded
        return padded


class _Dates(dict[str, date]):
    """Texts of dates of one pattern."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self._form = form

    def __missing__(self, text: str) -> date:
        found = datetime.strptime(text, self._form).date()  # noqa: DTZ007 - only the date is taken
        if len(self) >= _MEMO_MAX:
            self.clear()
        self[text] = found
        return found


class _WholeTimes(dict[str, int]):
    """Texts of times of a pattern that cannot be split."""

    def __init__(self, convert: values.Convert) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, text: str) -> int:
        try:
            found: int = self._convert(text)
        except UnfitError as error:
            raise ValueError from error
        if len(self) >= _MEMO_MAX:
            self.clear()
        self[text] = found
        return found


class _Split(NamedTuple):
    """A form of times whose text falls into minutes, of a fixed width, and the rest."""

    width: int
    form: str
    """Of the minutes, for strptime."""
    rest: re.Pattern[str]
    """Groups: seconds, digits behind them, offset."""
    is_local: bool


_WIDTHS: Final = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2}
_RESTS: Final = {"%S": r"([0-5]\d)", "%f": r"(\d{1,6})", "%z": r"(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)"}
_ISO_REST: Final = re.compile(r"([0-5]\d)(?:\.(\d{1,6}))?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)\Z", re.ASCII)
_ISO_LOCAL_REST: Final = re.compile(r"([0-5]\d)(?:\.(\d{1,6}))?()\Z", re.ASCII)
_ISO_MINUTES: Final = "%Y-%m-%dT%H:%M:"


def _split_of(form: str) -> _Split | None:
    """Split a form behind its minutes; None where that cannot be done."""
    if form in {"iso", "iso_local"}:
        is_local = form == "iso_local"
        return _Split(17, _ISO_MINUTES, _ISO_LOCAL_REST if is_local else _ISO_REST, is_local)
    head, minutes, tail = form.partition("%M")
    if (
        not minutes
        or re.sub("%[YmdH]", "", head).count("%")
        or sorted(re.findall("%.", head)) != ["%H", "%Y", "%d", "%m"]
    ):
        return None
    pieces = re.fullmatch(r"([^%]*)%S(?:(\.)%f)?(%z)?", tail)
    if pieces is None:
        return None
    form_of_minutes = head + minutes + pieces.group(1)
    width = len(form_of_minutes) + sum(_WIDTHS[one] - 2 for one in re.findall("%.", form_of_minutes))
    rest = (
        _RESTS["%S"]
        + (rf"\.{_RESTS['%f']}" if pieces.group(2) else "()")
        + (_RESTS["%z"] if pieces.group(3) else "()")
    )
    return _Split(width, form_of_minutes, re.compile(rest + r"\Z", re.ASCII), pieces.group(3) is None)


class _Minutes(dict[str, int]):
    """Texts up to the minute, as epoch milliseconds: of UTC, or of the mapping's zone where they are local."""

    def __init__(self, split: _Split, zone: ZoneInfo) -> None:
        super().__init__()
        self._form = split.form
        self._zone = zone if split.is_local else UTC

    def __missing__(self, text: str) -> int:
        naive = datetime.strptime(text, self._form)  # noqa: DTZ007 - its zone is put in below
        if naive.strftime(self._form) != text:
            raise ValueError
        at = naive.replace(tzinfo=self._zone)
        if at.utcoffset() != (at + timedelta(seconds=59)).utcoffset():
            raise ValueError
        found = int(at.timestamp()) * 1000
        if len(self) >= _MEMO_MAX:
            self.clear()
        self[text] = found
        return found


class _Seconds(dict[str, int]):
    """What stands behind the minutes, as milliseconds to add."""

    def __init__(self, split: _Split) -> None:
        super().__init__()
        self._rest = split.rest

    def __missing__(self, text: str) -> int:
        pieces = self._rest.match(text)
        if pieces is None:
            raise ValueError
        seconds, digits, offset = pieces.groups()
        found = int(seconds) * 1000 + int((digits or "")[:3].ljust(3, "0")) - _offset_ms(offset)
        if len(self) < _MEMO_MAX:
            self[text] = found
        return found


def _offset_ms(text: str) -> int:
    if text in {"", "Z"}:
        return 0
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return (-minutes if text[0] == "-" else minutes) * 60_000
