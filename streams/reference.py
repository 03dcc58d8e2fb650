"""Policies and scorecards as inputs: what the compacted topics say is in force, read to the end before a gate opens.

Both topics have the same form. Key `<version>` holds a content as JSON, key `current` names the version in force:
`{"version": "..."}`. A content's version is the hash of itself, so what was read is checked against its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from models.policy import Policy, default_policy, parse_policy
from models.risk.scorecard import Scorecard
from models.rulebook import SINCE_EVER_MS
from streams.ports import Logs
from streams.settings import Settings
from streams.topics import TopicNames

CURRENT_KEY: Final = b"current"


class ReferenceError(Exception):  # noqa: A001 - Python's own, about weak references, is never meant here
    """A policy or scorecard that cannot be used: the message says which and what to do."""


class Pointer(Struct, frozen=True, omit_defaults=True):
    """Which version is in force. A policy's says more: `streams/policies.py`."""

    version: str
    effective_from_ms: int = SINCE_EVER_MS
    """Event time; without it, since ever."""
    number: int = 0
    """Of the publication, counted from 1; 0 where it was not numbered."""
    published_at_ms: int = 0


def content_records(content: Policy | Scorecard) -> list[tuple[bytes, bytes]]:
    """The records, key and value, that put a policy or scorecard in force: its content, then the pointer."""
    return [
        (content.version.encode(), msgspec.json.encode(content, order="sorted")),
        (CURRENT_KEY, msgspec.json.encode(Pointer(content.version))),
    ]


async def policy_in_force(logs: Logs, settings: Settings) -> Policy:
    """The policy that the topic names; without one the file that the settings name; without that the packaged default.

    Raises:
        ReferenceError: the topic's current policy is missing or not readable.
        PolicyError: the file is not valid.
        OSError: the file cannot be read.
    """
    published = await _current_policy(logs, TopicNames(settings.topic_prefix).policies)
    if published is not None:
        return published
    return fallback_policy(settings)


def fallback_policy(settings: Settings) -> Policy:
    """What holds while the topic names none: the file that the settings name, or the packaged default.

    Raises:
        PolicyError: the file is not valid.
        OSError: the file cannot be read.
    """
    if settings.policy_file is not None:
        return _policy_of_file(Path(settings.policy_file))
    return default_policy()


def _policy_of_file(path: Path) -> Policy:
    return parse_policy(path.read_text(encoding="utf-8"), path.name)


async def latest_values(logs: Logs, topic: str) -> dict[bytes, bytes | None]:
    """The last value of every key of a compacted topic, read to its end; None where it was taken back.

    Raises:
        PortError: no answer within the time limit.
    """
    values: dict[bytes, bytes | None] = {}
    async for records in logs.read(topic, 0):
        values.update((record.key, record.value) for record in records if record.key is not None)
    return values


async def _current_policy(logs: Logs, topic: str) -> Policy | None:
    values = await latest_values(logs, topic)
    pointer = values.get(CURRENT_KEY)
    if pointer is None:
        return None
    try:
        version = msgspec.json.decode(pointer, type=Pointer).version
        content = values.get(version.encode())
        if content is None:
            raise ReferenceError(
                f"{topic}: current is {version}, but no such version is there; publish it again"
            )
        current = msgspec.json.decode(content, type=Policy)
    except (msgspec.DecodeError, ValueError) as error:
        raise ReferenceError(
            f"{topic}: what is current is not readable: {error}; publish it again"
        ) from error
    if current.version != version:
        raise ReferenceError(f"{topic}: what is named {version} is {current.version}; publish it again")
    return current
