"""What msgspec reads a lender's records into: one struct for all rules of a feed, made from the paths and kinds that they name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal, NamedTuple, Union, get_origin

import msgspec
from msgspec import Struct, defstruct

from models.events import Count, EpochMs, Identifier, Minor, SignedMinor
from models.limits import INSTALMENTS_MAX, INT64_MAX
from streams.mapping import values
from streams.mapping.errors import NotCompiledError
from streams.mapping.paths import Path, path_text
from streams.mapping.spec import ABSENT, Condition, FeedMapping, Field

_Word = Union[str, int]  # noqa: UP007 - put together with others at run time


class _Leaf(NamedTuple):
    kind: Any
    """How msgspec reads it."""
    needed: int
    """How many rules need it."""


class Shape:
    """The paths of all rules in one tree, for one struct must serve every record of the feed."""

    def __init__(self, mapping: FeedMapping, document: Callable[[bytes], Any] | None) -> None:
        """Gather them.

        Args:
            mapping: of a feed.
            document: reads what is not JSON.

        Raises:
            NotCompiledError: the same path is read in two ways.
        """
        self._document = document
        self._leaves: dict[Path, _Leaf] = {}
        self._lines_known: list[tuple[Any, type[Struct]]] = []
        # A record to be ignored may lack it: refused by the struct, it is decided the plain way, as every ignored one is.
        self._needed_by_all = len(mapping.rules)
        self._gather(mapping)

    def reader(self) -> Callable[[bytes], Any]:
        """What reads a payload into the struct.

        Raises:
            NotCompiledError: as when made.
        """
        struct = self._struct(())
        document = self._document
        if document is None:
            return msgspec.json.Decoder(struct).decode
        return lambda payload: msgspec.convert(document(payload), struct)

    def access(self, path: Path) -> str:
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

    def is_sure(self, path: Path) -> bool:
        """Whether the struct itself demands a value there."""
        return self._leaves[path].needed >= self._needed_by_all > 0 and all(
            isinstance(step, str) for step in path
        )

    def is_plainly(self, field: Field) -> bool:
        """Whether a value is converted by `values` itself."""
        converts = field.category in {"money", "instant", "date"} or "sign" in field.options
        return self._document is not None and converts and field.convert is not values.as_is

    def _gather(self, mapping: FeedMapping) -> None:
        for rule in mapping.rules:
            needed = {path for field in rule.fields if must_be_there(field) for path in field.paths}
            for condition in rule.when:
                self._want(condition.path, _kind_of_condition(condition), needed=condition.path in needed)
            seen: set[Path] = {condition.path for condition in rule.when}
            for field in rule.fields:
                for path in field.paths:
                    self._want(path, self._kind_of(field), needed=path in needed and path not in seen)
                    seen.add(path)
        for ignored in mapping.ignored:
            for condition in ignored.when:
                self._want(condition.path, _kind_of_condition(condition), needed=False)

    def _want(self, path: Path, kind: Any, *, needed: bool) -> None:
        known = self._leaves.get(path)
        merged = kind if known is None else _merged(known.kind, kind, path)
        self._leaves[path] = _Leaf(merged, needed + (0 if known is None else known.needed))

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
            sure = any(path[: depth + 1] == below and self.is_sure(path) for path in self._leaves)
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

    def _kind_of(self, field: Field) -> Any:
        if not field.each:
            return self._kind_of_one(field)
        line: Any = self._line_struct(field)
        return Annotated[list[line], msgspec.Meta(max_length=INSTALMENTS_MAX)]

    def _kind_of_one(self, field: Field) -> Any:
        """What is not JSON knows decimals, dates and instants of its own: they are converted the plain way, one by one."""
        return Any if self.is_plainly(field) else _kind_of_value(field)

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


def must_be_there(field: Field) -> bool:
    """Whether there is no event without it."""
    return field.required and field.default is ABSENT


def _or_none(kind: Any) -> Any:
    return Union[kind, None]  # noqa: UP007 - see above


def _kind_of_condition(condition: Condition) -> Any:
    if condition.present is not None:
        return Any
    # true and 1 are the same key of a set: what tells them apart is the plain way.
    return _Word


def is_plain_money(field: Field) -> bool:
    """Whether the amount stands there in minor units, as a number."""
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
            if not is_plain_money(field):
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
