"""The scorecards of the topic as workers take them up: which were put in force when, and what of it can be used.

Workers follow the topic as they follow that of the policies (`streams/policies.py`). They need no more of it than the contents and
of each step when it takes effect: how cards are learnt and told of is the trainer's (`streams/scorecards.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from models.limits import CARDS_REMEMBERED_MAX
from models.risk.scorecard import Scorecard
from models.rulebook import SINCE_EVER_MS, Adopted, Rulebook
from streams.metrics import Metrics
from streams.ports import Logs
from streams.reference import (
    CURRENT_KEY,
    Pointer,
    ReferenceError,  # noqa: A004 - ours
    latest_values,
)
from streams.scorecards import HISTORY_PREFIX, card_of, is_version

logger = logging.getLogger(__name__)

_STEPS_LOOKED_AT_MAX: Final = 4 * CARDS_REMEMBERED_MAX
"""The newest steps; among them are refusals, which put no card in force."""


class AdoptingEngine(Protocol):
    """What of an engine is asked for here."""

    @property
    def adopted_cards(self) -> Adopted:
        """The cards taken up."""
        ...

    def adopt_card(self, publication: int, card: Scorecard, effective_from_ms: int) -> None:
        """Take up a card."""
        ...


class _Told(Struct, frozen=True):
    """What of a step matters here."""

    number: int
    version: str
    effective_from_ms: int
    refused: str | None


class PublishedCards(Struct, frozen=True):
    """What the topic holds for workers."""

    publications: tuple[Pointer, ...]
    """The newest, in order."""
    contents: Mapping[str, bytes]
    """By version."""
    faults: tuple[str, ...] = ()
    """Records that should say what is in force, and cannot be read."""


async def read_published_cards(logs: Logs, topic: str) -> PublishedCards:
    """Read the topic to its end.

    Raises:
        PortError: no answer within the time limit.
    """
    return published_cards_of(await latest_values(logs, topic))


def published_cards_of(values: Mapping[bytes, bytes | None]) -> PublishedCards:
    """What the last record of every key says. A pointer without a history is the latest, and bears no number of its own."""
    contents = {
        key.decode(errors="replace"): value
        for key, value in values.items()
        if value is not None and is_version(key)
    }
    faults: list[str] = []
    history = _history(values, faults)
    last = history[-1].number if history else 0
    current = values.get(CURRENT_KEY)
    if current is None:  # withdrawn, or there never was one
        return PublishedCards((), contents, tuple(faults))
    try:
        pointer = msgspec.json.decode(current, type=Pointer)
    except (msgspec.DecodeError, ValueError) as error:
        faults.append(f"what is current is not readable: {error}")
    else:
        if pointer.number == 0:
            history.append(msgspec.structs.replace(pointer, number=last))
        else:
            history = [*(one for one in history if one.number < pointer.number), pointer]
    return PublishedCards(tuple(history[-CARDS_REMEMBERED_MAX:]), contents, tuple(faults))


def _history(values: Mapping[bytes, bytes | None], faults: list[str]) -> list[Pointer]:
    keys = sorted((key for key in values if key.startswith(HISTORY_PREFIX)), key=lambda key: (len(key), key))
    found: list[Pointer] = []
    for key in keys[-_STEPS_LOOKED_AT_MAX:]:
        value = values[key]
        if value is None:
            continue
        try:
            told = msgspec.json.decode(value, type=_Told)
        except (msgspec.DecodeError, ValueError) as error:
            faults.append(f"{key.decode(errors='replace')} is not readable: {error}")
            continue
        if told.refused is None:
            found.append(Pointer(told.version, told.effective_from_ms, told.number))
    return sorted(found, key=lambda publication: publication.number)


class KnownCards:
    """The cards that a worker knows, ready for use."""

    def __init__(self, fallback: Scorecard) -> None:
        """`fallback`: what holds while nothing is published."""
        self._fallback = fallback
        self._publications: tuple[Pointer, ...] = ()
        self._contents: Mapping[str, bytes] = {}
        self._cards = {fallback.version: fallback}
        self._refused: set[str] = set()

    @property
    def current(self) -> Scorecard:
        """The one published last, or the fallback."""
        return self._cards[self._publications[-1].version] if self._publications else self._fallback

    def take(self, published: PublishedCards, metrics: Metrics) -> bool:
        """Take over what can be used; refuse, tell and count the rest, each once. Returns whether there is anything new."""
        self._contents = published.contents
        for fault in published.faults:
            self._refuse(fault, fault, metrics)
        good: list[Pointer] = []
        for publication in published.publications:
            try:
                self._know(publication.version)
            except ReferenceError as error:
                self._refuse(f"step {publication.number}", f"step {publication.number}: {error}", metrics)
            else:
                good.append(publication)
        if tuple(good) == self._publications or (published.publications and not good):
            return False
        self._publications = tuple(good)
        named = {self._fallback.version, *(one.version for one in good)}
        self._cards = {version: card for version, card in self._cards.items() if version in named}
        metrics.count("scorecards", 1, "taken")
        effective_from_ms = good[-1].effective_from_ms if good else SINCE_EVER_MS
        logger.info("scorecard %s in force, effective from %d", self.current.version, effective_from_ms)
        return True

    def enter(self, book: Rulebook, adopted: Adopted | None) -> None:
        """Have a task's rules hold the cards that it had adopted, or that of the beginning. One whose content is gone is left out."""
        spans: list[tuple[int, Scorecard]] = []
        for span in () if adopted is None else adopted.spans:
            try:
                spans.append((span.from_ms, self._know(span.version)))
            except ReferenceError as error:
                logger.warning("a scorecard that was adopted is left out: %s", error)
        beginning = self._fallback if adopted is None else self.current
        book.hold_cards(spans or [(SINCE_EVER_MS, beginning)], 0 if adopted is None else adopted.publication)

    def bring_up_to_date(self, engine: AdoptingEngine) -> None:
        """Have an engine adopt what was published since it last did; in the end it has what is current here."""
        before = engine.adopted_cards
        for publication in self._publications:
            if publication.number > before.publication:
                card = self._cards[publication.version]
                engine.adopt_card(publication.number, card, publication.effective_from_ms)
        adopted = engine.adopted_cards
        if adopted.spans[-1].version != self.current.version:
            # Withdrawn, or put there without a number; or the prior of a new release is another.
            engine.adopt_card(adopted.publication, self.current, SINCE_EVER_MS)

    def _know(self, version: str) -> Scorecard:
        """A card by its version, made sure of once.

        Raises:
            ReferenceError: it is not there, or cannot be used.
        """
        card = self._cards.get(version)
        if card is None:
            card = self._cards[version] = card_of(self._contents, version)
        return card

    def _refuse(self, what: str, said: str, metrics: Metrics) -> None:
        if what not in self._refused:
            self._refused.add(what)
            metrics.count("scorecards", 1, "refused")
            logger.warning("scorecard refused, those in force stay: %s", said)
