"""A mapping tried on a sample: what becomes of each line, and what of mapping and payloads is left over."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from models.limits import FUTURE_TOLERANCE_MS, INT64_MAX
from streams.codec import Ignored, KeptRecord, Reject, tag_of
from streams.mapping.decoder import MappedDecoder
from streams.mapping.paths import path_text
from streams.mapping.reading import Read
from streams.mapping.spec import FeedMapping

_KNOWN_BY_MS: Final = INT64_MAX - FUTURE_TOLERANCE_MS
"""A sample may be of any time."""
_UNREAD_MAX: Final = 1_000
"""Paths of payloads that are remembered because nobody reads them."""


class Tried(Struct, frozen=True):
    """What became of one line. Of `event`, `ignored` and `reason` one is given."""

    line: int
    event: str | None = None
    ignored: str | None = None
    """The rule that says so."""
    reason: str | None = None
    detail: str = ""

    def as_text(self) -> str:
        """One line for people."""
        if self.event is not None:
            return f"{self.line:>5}  {self.event}"
        if self.ignored is not None:
            return f"{self.line:>5}  ignored by {self.ignored}"
        return f"{self.line:>5}  rejected: {self.reason}" + (f": {self.detail}" if self.detail else "")

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        found: dict[str, Any] = {"line": self.line}
        if self.event is not None:
            found["event"] = msgspec.json.decode(self.event)
        elif self.ignored is not None:
            found["ignored"] = self.ignored
        else:
            found |= {"rejected": self.reason, "detail": self.detail}
        return found


class Trying:
    """One run over a sample."""

    def __init__(self, decoder: MappedDecoder) -> None:
        """`decoder` reads the feed as a file's, without keys."""
        self.rejected = 0
        """Lines that were."""
        feed = self._feed = decoder.mapping
        self._decoder = decoder
        self._lines = 0
        self._ignored = 0
        self._used: Counter[str] = Counter()
        """By rule: how many lines it took."""
        self._filled: Counter[tuple[str, str]] = Counter()
        """By rule and field: how many events have it."""
        self._unread: Counter[str] = Counter()
        """By path: how many lines hold what nobody reads."""
        self._read_paths = _paths_of(feed)

    def lines(self, payloads: Iterable[tuple[int, bytes]]) -> Iterator[Tried]:
        """Try each payload, with its number: JSON as it is, all else in base64."""
        for number, line in payloads:
            self._lines += 1
            payload = line if self._feed.format == "json" else _bytes_of(line)
            (found,) = self._decoder.decode_all([KeptRecord(payload, None, _KNOWN_BY_MS)])
            read = self._decoder.read(payload)
            if isinstance(found, Ignored):
                self._ignored += 1
                where = getattr(read, "where", "")
                self._used[where] += 1
                yield Tried(number, ignored=_short(where))
            elif isinstance(found, Reject):
                self.rejected += 1
                yield Tried(number, reason=found.reason, detail=found.detail)
            else:
                assert isinstance(read, Read)
                self._note(read, payload)
                yield Tried(number, event=_without_nulls(found))

    def _note(self, read: Read, payload: bytes) -> None:
        where = read.rule.where
        self._used[where] += 1
        self._filled.update((where, name) for name in read.fields)
        for path in _leaves_of(self._decoder.document(payload)):
            if len(self._unread) < _UNREAD_MAX and not any(
                path == known or path.startswith((known + ".", known + "[")) for known in self._read_paths
            ):
                self._unread[path] += 1

    def coverage(self) -> dict[str, Any]:
        """What the sample says of the mapping."""
        rules = [
            {
                "rule": _short(rule.where),
                "type": rule.tag,
                "lines": self._used[rule.where],
                "never_filled": [
                    field.target
                    for field in rule.fields
                    if self._used[rule.where] and not self._filled[rule.where, field.target]
                ],
            }
            for rule in self._feed.rules
        ]
        return {
            "lines": self._lines,
            "events": self._lines - self.rejected - self._ignored,
            "ignored": self._ignored,
            "rejected": self.rejected,
            "rules": rules,
            "ignoring": [
                {"rule": _short(rule.where), "lines": self._used[rule.where]} for rule in self._feed.ignored
            ],
            "not_read": dict(sorted(self._unread.items())),
            "unknown_words": dict(sorted(self._decoder.unknown_words.items())),
            "slow_because": self._decoder.slow_because,
        }

    def told(self) -> Iterator[str]:
        """The same for people."""
        found = self.coverage()
        yield ""
        yield "{lines:,} lines: {events:,} events, {ignored:,} ignored, {rejected:,} rejected".format(**found)
        for rule in found["rules"]:
            never = f"; never filled: {', '.join(rule['never_filled'])}" if rule["never_filled"] else ""
            yield f"  {rule['rule']} {rule['type']}: {rule['lines']:,} lines{never}"
        for rule in found["ignoring"]:
            yield f"  {rule['rule']}: {rule['lines']:,} lines"
        if found["not_read"]:
            yield f"  not read by any rule: {', '.join(found['not_read'])}"
        if found["unknown_words"]:
            words = ", ".join(f"{field} {count:,}" for field, count in found["unknown_words"].items())
            yield f"  unknown words, taken as other: {words}"
        if found["slow_because"] and self._feed.format == "json":
            yield f"  read the slow way, because {found['slow_because']}"


def _bytes_of(line: bytes) -> bytes:
    """What is no base64 is tried as it is, and refused as such."""
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error:
        return line


def _short(where: str) -> str:
    """A place in the file without the file's name."""
    return where.rpartition(": ")[2]


def _without_nulls(event: Struct) -> str:
    plain = _filled(msgspec.to_builtins(event))
    return msgspec.json.encode({"type": tag_of(type(event)), **plain}).decode()


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _filled(inner) for name, inner in value.items() if inner is not None}
    return [_filled(inner) for inner in value] if isinstance(value, list | tuple) else value


def _paths_of(feed: FeedMapping) -> frozenset[str]:
    paths = {path for rule in feed.rules for field in rule.fields for path in field.paths}
    paths |= {one.path for rule in feed.rules for one in rule.when}
    paths |= {one.path for rule in feed.ignored for one in rule.when}
    return frozenset(path_text(path) for path in paths)


def _leaves_of(document: Any, at: str = "") -> Iterator[str]:
    """The paths of all values, without the indexes of lists."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from _leaves_of(value, f"{at}.{name}" if at else str(name))
    elif isinstance(document, list):
        yield from {path for value in document for path in _leaves_of(value, f"{at}[]")}
    else:
        yield at
