"""The policies of the topic `policies`: what was published when, what of it can be used, and how a task takes it up.

Beside the contents and the pointer (`streams/reference.py`) the topic keeps a record for every publication, key
`history/<number>`: compaction keeps one record a key, so the history stays whole, and each says what the pointer said then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec
from msgspec import Struct

from models.limits import POLICIES_REMEMBERED_MAX
from models.policy import Policy, PolicyError, check_policy
from models.rulebook import SINCE_EVER_MS, Adopted, Rulebook
from models.rules import Rules
from streams.metrics import Metrics
from streams.metrics_catalogue import GaugeName
from streams.ports import Logs, PortError
from streams.reference import (
    CURRENT_KEY,
    Pointer,
    ReferenceError,  # noqa: A004 - ours
    content_records,
    latest_values,
)

logger = logging.getLogger(__name__)

_HISTORY_PREFIX: Final = b"history/"


class AdoptingEngine(Protocol):
    """What of an engine is asked for here."""

    @property
    def adopted(self) -> Adopted:
        """The policies taken up."""
        ...

    def adopt(self, publication: int, rules: Rules, effective_from_ms: int) -> None:
        """Take up a policy."""
        ...


class Published(Struct, frozen=True):
    """What the topic holds: every publication in order, and the contents by version."""

    publications: tuple[Pointer, ...]
    contents: Mapping[str, bytes]
    last_number: int
    """Of the last publication, also where it was withdrawn; 0 where there never was one."""

    def policy(self, version: str) -> Policy:
        """A content, made sure of.

        Raises:
            PolicyError: it is not there, not readable, not what its name says, or makes no sense.
        """
        content = self.contents.get(version)
        if content is None:
            raise PolicyError(f"{version}: no such version is there")
        try:
            policy = msgspec.json.decode(content, type=Policy)
        except (msgspec.DecodeError, ValueError) as error:
            raise PolicyError(f"{version}: not readable: {error}") from error
        if policy.version != version:
            raise PolicyError(f"{version}: what is named so is {policy.version}")
        check_policy(policy, version)
        return policy


def publication_records(policy: Policy, publication: Pointer) -> list[tuple[bytes, bytes]]:
    """The records, key and value, that publish a policy: content, history, pointer, in this order."""
    content, _ = content_records(policy)
    value = msgspec.json.encode(publication)
    return [content, (_HISTORY_PREFIX + b"%d" % publication.number, value), (CURRENT_KEY, value)]


async def read_published(logs: Logs, topic: str) -> Published:
    """Read the topic to its end.

    Raises:
        ReferenceError: the pointer is not readable.
        PortError: no answer within the time limit.
    """
    return published_of(await latest_values(logs, topic), topic)


def published_of(values: Mapping[bytes, bytes | None], topic: str = "policies") -> Published:
    """What the last record of every key says.

    Raises:
        ReferenceError: the pointer is not readable.
    """
    contents = {key.decode(errors="replace"): value for key, value in values.items() if value is not None}
    current = values.get(CURRENT_KEY)
    try:
        pointer = None if current is None else msgspec.json.decode(current, type=Pointer)
        history = sorted(
            (
                msgspec.json.decode(value, type=Pointer)
                for key, value in values.items()
                if key.startswith(_HISTORY_PREFIX) and value is not None
            ),
            key=lambda publication: publication.number,
        )
    except (msgspec.DecodeError, ValueError) as error:
        raise ReferenceError(
            f"{topic}: what is current is not readable: {error}; publish it again"
        ) from error
    last = history[-1].number if history else 0
    if pointer is None:
        return Published((), contents, last)
    if pointer.number == 0:  # written without a history: it is the latest
        return Published((*history, msgspec.structs.replace(pointer, number=last + 1)), contents, last + 1)
    former = [publication for publication in history if publication.number < pointer.number]
    return Published((*former, pointer), contents, max(last, pointer.number))


class Policies:
    """The policies that a worker knows, ready for use."""

    def __init__(self, fallback: Rules) -> None:
        """`fallback`: what holds while nothing is published."""
        self._fallback = fallback
        self._publications: tuple[Pointer, ...] = ()
        self._rules = {fallback.policy_version: fallback}
        self._refused: set[int] = set()

    @property
    def current(self) -> Rules:
        """Those published last, or the fallback."""
        return self._rules[self._publications[-1].version] if self._publications else self._fallback

    @property
    def lateness_ms(self) -> Sequence[int]:
        """Allowed lateness by feed: the longer one of the latest policy and that before it, which may be in force yet."""
        latest = [self._rules[publication.version] for publication in self._publications[-2:]]
        if len(latest) < 2:
            latest.append(self._fallback)
        return tuple(map(max, zip(*(rules.lateness_ms for rules in latest), strict=True)))

    def take(self, published: Published, metrics: Metrics) -> bool:
        """Take over what can be used; refuse, tell and count the rest. Returns whether there is anything new."""
        good: list[Pointer] = []
        for publication in published.publications[-POLICIES_REMEMBERED_MAX:]:
            try:
                if publication.version not in self._rules:
                    self._rules[publication.version] = Rules(published.policy(publication.version))
            except PolicyError as error:
                if publication.number not in self._refused:
                    self._refused.add(publication.number)
                    metrics.count("policies", 1, "refused")
                    logger.warning(
                        "policy refused, those in force stay: publication %d: %s", publication.number, error
                    )
                continue
            good.append(publication)
        if not good or tuple(good) == self._publications:
            return False
        self._publications = tuple(good)
        metrics.count("policies", 1, "taken")
        logger.info("policy %s published, effective from %d", good[-1].version, good[-1].effective_from_ms)
        return True

    def book(self, adopted: Adopted | None) -> Rulebook:
        """The rules of a task: as it had adopted them, or of the beginning. A policy whose content is gone is left out."""
        if adopted is None:
            return Rulebook(self._fallback)
        spans = [
            (span.from_ms, self._rules[span.version]) for span in adopted.spans if span.version in self._rules
        ]
        return Rulebook.resumed(spans or [(SINCE_EVER_MS, self.current)], adopted.publication)

    def bring_up_to_date(self, engine: AdoptingEngine) -> None:
        """Have an engine adopt what was published since it last did; in the end it has what is current here."""
        before = engine.adopted
        for publication in self._publications:
            if publication.number > before.publication:
                rules = self._rules[publication.version]
                engine.adopt(publication.number, rules, publication.effective_from_ms)
        if engine.adopted.spans[-1].version != self.current.policy_version:
            # The policy file or the packaged default is another than at the last start, or a content is gone.
            engine.adopt(engine.adopted.publication, self.current, SINCE_EVER_MS)


class Follower:
    """Looks into a topic now and then, beside the loop. That it cannot be read is told, counted and tried again."""

    def __init__(
        self,
        what: Literal["policies", "scorecards"],
        refresh: Callable[[], Coroutine[Any, Any, bool]],
        interval_ms: int,
        metrics: Metrics,
    ) -> None:
        """`refresh` reads what is new and says whether anything is; it is given up with a `PortError`."""
        self._what: Final = what
        self._age: Final[GaugeName] = (
            "policies_age_seconds" if what == "policies" else "scorecards_age_seconds"
        )
        self._refresh = refresh
        self._interval_ms = interval_ms
        self._metrics = metrics
        self._next_ms: int | None = None
        self._read_ms = 0
        self._asked: asyncio.Task[bool] | None = None
        self._failing = False

    def look(self, now_ms: int) -> bool:
        """Ask where it is time to; return whether something new has just come in. Stop-watch milliseconds."""
        if self._next_ms is None:  # all was read right before the start
            self._next_ms, self._read_ms = now_ms + self._interval_ms, now_ms
        if self._asked is None:
            if now_ms >= self._next_ms:
                self._next_ms = now_ms + self._interval_ms
                self._asked = asyncio.create_task(self._refresh(), name=f"look for {self._what}")
            return False
        if not self._asked.done():
            return False
        asked, self._asked = self._asked, None
        is_new = False
        try:
            is_new = asked.result()
            self._read_ms, self._failing = now_ms, False
        except (PortError, ReferenceError) as failure:
            self._metrics.count(self._what, 1, "unreadable")
            if not self._failing:
                logger.warning("%s cannot be read, those in force stay: %s", self._what, failure)
            self._failing = True
        self._metrics.set(self._age, (now_ms - self._read_ms) / 1000)
        return is_new

    async def stop(self) -> None:
        """Ask no more."""
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
