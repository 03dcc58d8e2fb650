"""The progress record: where a task stands, written with every transaction beside the state it belongs to.

It is sealed (`models/sealed.py`): version, checksum, then msgpack. The key is no valid UTF-8, so that no borrower's id can
ever be it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from models.engine import EngineProgress
from models.events import TOPICS
from models.rulebook import SINCE_EVER_MS, Adopted
from models.sealed import Format, UntrustedRecordError, Upgrade

_OFFSETS_OF_1, _POLICY_VERSION_OF_1 = 2, 5
"""Where a body of version 1 keeps its offsets and the version of the policy."""
_CARD_VERSION_OF_2 = 6
"""Where a body of version 2 keeps the version of the card."""
_ENGINE_OF_3 = 4
"""Where a body of version 3 keeps what the engine must know."""


def _to_2(body: list[Any]) -> list[Any]:
    """Policies have a time from which on they judge: there was one, since ever, and nobody had numbered it.

    Linked borrowers talk: what they tell is read from the beginning.
    """
    body[_OFFSETS_OF_1] = [*body[_OFFSETS_OF_1], 0]
    return [*body, [0, [[SINCE_EVER_MS, body[_POLICY_VERSION_OF_1]]]]]


def _to_3(body: list[Any]) -> list[Any]:
    """Cards have a time from which on they judge: there was one, since ever, and nobody had numbered it."""
    return [*body, [0, [[SINCE_EVER_MS, body[_CARD_VERSION_OF_2]]]]]


def _to_4(body: list[Any]) -> list[Any]:
    """A task may stand amid deadlines: nobody did."""
    body[_ENGINE_OF_3] = [*body[_ENGINE_OF_3], None]
    return body


_UPGRADES: Final[tuple[Upgrade, ...]] = (_to_2, _to_3, _to_4)
"""Each from the body of one version to that of the next, as plain lists. Whoever changes the shape of `Progress`, or what a
field means, adds a step here and keeps bytes of the new version: `python -m tests.streams.keep_progress`."""

_FORMAT: Final = Format(_UPGRADES)
PROGRESS_VERSION: Final = _FORMAT.version
_KEY_MARK: Final = b"\xff"


class CorruptProgressError(Exception):
    """A progress record that cannot be trusted: the message says why."""


class Progress(Struct, frozen=True, array_like=True):
    """Everything beside the borrowers that a task must know again."""

    task: int
    partition_count: int
    offsets: tuple[int, ...]
    """The next record to read, by feed, and after the feeds that of `linked-risk`."""
    merge_keys_ms: tuple[int, ...]
    """The merge key of the last record processed, by feed."""
    engine: EngineProgress
    policy_version: str
    """In force as of the highest watermark."""
    card_version: str
    """The same."""
    policies: Adopted
    """What was taken up, and from when on each judges: a restart, here or elsewhere, judges by the same."""
    cards: Adopted
    """The same of the cards."""


def progress_key(task: int) -> bytes:
    """The record key under which a task's progress is kept."""
    return _KEY_MARK + task.to_bytes(4, "big")


def is_progress_key(key: bytes) -> bool:
    """Whether a changelog record is a progress record and no borrower's state."""
    return key.startswith(_KEY_MARK)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Progress)


def encode_progress(progress: Progress) -> bytes:
    """Write a progress record."""
    return _FORMAT.seal(_encoder.encode(progress))


def decode_progress(record: bytes) -> Progress:
    """Read a progress record of this version or an older one.

    Raises:
        CorruptProgressError: unknown version, wrong sum, or not what was written.
    """
    try:
        version, body = _FORMAT.unseal(record)
        if version != PROGRESS_VERSION:
            body = memoryview(_encoder.encode(_FORMAT.upgrade(msgspec.msgpack.decode(body), version)))
        progress = _decoder.decode(body)
    except (UntrustedRecordError, msgspec.MsgspecError) as error:
        raise CorruptProgressError(str(error)) from error
    if len(progress.offsets) != len(TOPICS) + 1 or len(progress.merge_keys_ms) != len(TOPICS):
        raise CorruptProgressError(
            f"{len(progress.offsets)} offsets where there are {len(TOPICS)} input topics and one of messages"
        )
    return progress
