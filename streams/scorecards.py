"""The scorecards of the topic `scorecards`: what was published, refused and gone back to, and where learning stands.

Beside the contents and the pointer (`streams/reference.py`) the topic keeps a record for every step, key `history/<number>`,
and one with all that learning goes on from, key `learning`. The records of a step are written in one transaction
together with the offset of the examples: there is no card without the state that made it, and no half of a step. When a step
was made is the time of its records: with it left out of them, the same examples give the same bytes. Key `challengers` alone
does not: it says how freer models stood at the last step, since the trainer's last start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from models.limits import PAYLOAD_BYTES_MAX
from models.risk.challengers import Compared
from models.risk.issuing import Issuing, UnusableIssuingError
from models.risk.learning import Learner
from models.risk.published import CardStep, PublishedCard
from models.risk.scorecard import Scorecard, expert_prior
from streams.ports import Logs, OutputRecord
from streams.reference import (
    CURRENT_KEY,
    Pointer,
    ReferenceError,  # noqa: A004 - ours
)

LEARNING_KEY: Final = b"learning"
CHALLENGERS_KEY: Final = b"challengers"
STEPS_KEPT: Final = 2_000
"""Steps that are told, five years of daily ones, some ten kilobytes each. The cards themselves stay: alerts name them."""
HISTORY_PREFIX: Final = b"history/"
"""Of the keys of steps, before their numbers."""


class Learning(Struct, frozen=True):
    """Where learning stands after the last step."""

    number: int
    """Of that step."""
    examples_offset: int
    state: bytes


class Entry(Struct, frozen=True):
    """One step, and when it was made."""

    told: CardStep
    published_at_ms: int


class Told(Struct, frozen=True):
    """How the challengers stood at a step, and when it was made."""

    compared: Compared
    published_at_ms: int


class Cards(Struct, frozen=True):
    """What the topic holds: every step in order, the contents by version, and what is current."""

    entries: tuple[Entry, ...]
    contents: Mapping[str, bytes]
    pointer: Pointer | None
    learning: Learning | None
    challengers: tuple[bytes, int] | None = None
    """Their record as it stands, and its time: read where it is asked for, so that learning does not depend on it."""

    @property
    def compared(self) -> Told | None:
        """How the challengers stood when they were last told of; None where they never were.

        Raises:
            ReferenceError: it is not readable.
        """
        if self.challengers is None:
            return None
        content, at_ms = self.challengers
        try:
            return Told(msgspec.json.decode(content, type=Compared), at_ms)
        except (msgspec.DecodeError, ValueError) as error:
            raise ReferenceError(
                f"scorecards: what is told of challengers is not readable: {error}"
            ) from error

    def card(self, version: str) -> Scorecard:
        """A content, made sure of.

        Raises:
            ReferenceError: it is not there, not readable, or not what its name says.
        """
        return card_of(self.contents, version)

    @property
    def in_force(self) -> Scorecard:
        """The card that is current, or the expert prior while none is.

        Raises:
            ReferenceError: it is not there, or not readable.
        """
        return expert_prior() if self.pointer is None else self.card(self.pointer.version)

    @property
    def publications(self) -> tuple[Pointer, ...]:
        """Every card that was put in force, in order; no refusals. A rollback chooses among them."""
        steps = [
            Pointer(
                entry.told.version, entry.told.effective_from_ms, entry.told.number, entry.published_at_ms
            )
            for entry in self.entries
            if entry.told.refused is None
        ]
        if self.pointer is not None and self.pointer.number == 0:  # put there without a history: the latest
            number = self.entries[-1].told.number if self.entries else 0
            steps.append(msgspec.structs.replace(self.pointer, number=number + 1))
        return tuple(steps)

    def resume(self) -> tuple[Issuing, int | None]:
        """What learns, as of the last step, and the offset of the first example to take; None: of the first there is.

        Raises:
            ReferenceError: the state is not usable, or does not belong to the last step; or the card in force is not.
        """
        if self.learning is None:
            if self.entries:
                raise ReferenceError("scorecards: there are steps and no state of learning")
            return Issuing(Learner(self.in_force)), None
        last = self.entries[-1].told.number if self.entries else 0
        try:
            issuing = Issuing.from_bytes(self.learning.state)
        except UnusableIssuingError as error:
            raise ReferenceError(f"scorecards: learning cannot go on: {error}") from error
        if not last == self.learning.number == issuing.number:
            raise ReferenceError(
                f"scorecards: the last step is {last}, the state of learning is of {self.learning.number}"
            )
        return issuing, self.learning.examples_offset


def card_of(contents: Mapping[str, bytes], version: str) -> Scorecard:
    """A content by its version, made sure of.

    Raises:
        ReferenceError: it is not there, not readable, not what its name says, or weighs what is not known here.
    """
    content = contents.get(version)
    if content is None:
        raise ReferenceError(f"scorecard {version}: no such version is there")
    try:
        card = msgspec.json.decode(content, type=Scorecard)
    except (msgspec.DecodeError, ValueError) as error:
        raise ReferenceError(f"scorecard {version}: not readable: {error}") from error
    if card.version != version:
        raise ReferenceError(f"scorecard {version}: what is named so is {card.version}")
    if card.unknown_features:
        unknown = ", ".join(card.unknown_features)
        raise ReferenceError(f"scorecard {version}: this release knows no feature {unknown}")
    return card


def step_records(step: PublishedCard) -> list[OutputRecord]:
    """The records of a step, to be written in one transaction: contents, history, state, and the pointer where it moves."""
    records = [_content(step.card)]
    if step.number == 1 and step.former != step.card:
        records.insert(0, _content(step.former))  # what was in force without ever having been published
    told = msgspec.json.encode(step.told())
    records.append(OutputRecord(_history_key(step.number), told))
    if step.number > STEPS_KEPT:
        records.append(OutputRecord(_history_key(step.number - STEPS_KEPT), None))
    learning = Learning(step.number, step.examples_offset, step.state)
    records.append(OutputRecord(LEARNING_KEY, msgspec.json.encode(learning)))
    if step.refused is None:
        pointer = Pointer(step.version, step.effective_from_ms, step.number)
        records.append(OutputRecord(CURRENT_KEY, msgspec.json.encode(pointer)))
    assert all(len(record.value or b"") < PAYLOAD_BYTES_MAX for record in records), (
        "a step outgrew its records"
    )
    return records


def challengers_record(compared: Compared) -> OutputRecord:
    """How challengers stand: beside a step and not part of it, for it depends on when the trainer was started."""
    return OutputRecord(CHALLENGERS_KEY, msgspec.json.encode(compared))


async def read_cards(logs: Logs, topic: str) -> Cards:
    """Read the topic to its end.

    Raises:
        ReferenceError: a step, the state or the pointer is not readable.
        PortError: no answer within the time limit.
    """
    values: dict[bytes, tuple[bytes, int]] = {}
    async for records in logs.read(topic, 0):
        for record in records:
            if record.key is None:
                continue
            if record.value is None:
                values.pop(record.key, None)
            else:
                values[record.key] = record.value, record.timestamp
    return cards_of(values, topic)


def cards_of(values: Mapping[bytes, tuple[bytes, int]], topic: str = "scorecards") -> Cards:
    """What the last record of every key says, with its time.

    Raises:
        ReferenceError: a step, the state or the pointer is not readable.
    """
    try:
        entries = sorted(
            (
                Entry(msgspec.json.decode(value, type=CardStep), at_ms)
                for key, (value, at_ms) in values.items()
                if key.startswith(HISTORY_PREFIX)
            ),
            key=lambda entry: entry.told.number,
        )
        current, learning = values.get(CURRENT_KEY), values.get(LEARNING_KEY)
        return Cards(
            entries=tuple(entries),
            contents={
                key.decode(errors="replace"): value for key, (value, _) in values.items() if is_version(key)
            },
            pointer=None if current is None else msgspec.json.decode(current[0], type=Pointer),
            learning=None if learning is None else msgspec.json.decode(learning[0], type=Learning),
            challengers=values.get(CHALLENGERS_KEY),
        )
    except (msgspec.DecodeError, ValueError) as error:
        raise ReferenceError(f"{topic}: not readable: {error}") from error


def _content(card: Scorecard) -> OutputRecord:
    return OutputRecord(card.version.encode(), msgspec.json.encode(card, order="sorted"))


def _history_key(number: int) -> bytes:
    return HISTORY_PREFIX + b"%d" % number


def is_version(key: bytes) -> bool:
    """Whether a record of this key is a content."""
    return key not in (CURRENT_KEY, LEARNING_KEY, CHALLENGERS_KEY) and not key.startswith(HISTORY_PREFIX)
