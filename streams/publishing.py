"""Publishing policies: what a publication would change, writing it, and the history of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from models.policy import Policy
from models.policy_changes import Change, changes
from models.rulebook import SINCE_EVER_MS
from streams.clock import Clock
from streams.kafka.logs import KafkaLogs
from streams.kafka.writing import RecordWriter, Written
from streams.policies import Published, publication_records, read_published
from streams.ports import OutputRecord
from streams.reference import Pointer
from streams.settings import Settings
from streams.topics import TopicNames

_PREFIX_CHARACTERS_MIN: Final = 4
"""A version is 16 characters; so many tell a dozen apart."""

Phase = Literal["past", "in force", "to come", "called off"]


class PublishingError(Exception):
    """Nothing was published; the message says why and what to do."""


class Entry(Struct, frozen=True):
    """One publication, as `policy history` shows it."""

    number: int
    published_at_ms: int
    effective_from_ms: int | None
    """None: since ever."""
    version: str
    phase: Phase
    """At the time of asking, for events of that time."""
    changes: list[Change]
    """Against the publication before it; the first against what held while nothing was published."""


async def read_topic(settings: Settings) -> Published:
    """What the topic holds.

    Raises:
        PublishingError: there is no such topic.
        ReferenceError: its pointer is not readable.
        PortError: Kafka does not answer.
    """
    topic = TopicNames(settings.topic_prefix).policies
    logs = KafkaLogs(settings)
    await logs.start()
    try:
        if (await logs.partition_counts([topic]))[topic] == 0:
            raise PublishingError(
                f"topic {topic} is missing, or hidden from this user: run `forewarn topics apply`"
            )
        return await read_published(logs, topic)
    finally:
        await logs.stop()


async def publish(settings: Settings, policy: Policy, publication: Pointer, clock: Clock) -> None:
    """Write a publication, and make sure that it is what the topic holds then.

    Raises:
        WritingError: Kafka did not take it.
        PublishingError: somebody else published at the same time.
        PortError: Kafka does not answer.
    """
    topic = TopicNames(settings.topic_prefix).policies
    async with RecordWriter(settings, clock) as writer:
        await writer.write(
            Written(topic, 0, OutputRecord(key, value))
            for key, value in publication_records(policy, publication)
        )
    found = (await read_topic(settings)).publications
    if not found or found[-1] != publication:
        raise PublishingError(
            "somebody else published at the same time, and came last: see `forewarn policy history`, and publish again"
        )


def next_publication(
    published: Published, version: str, effective_from_ms: int | None, now_ms: int
) -> Pointer:
    """The publication of a version.

    Args:
        published: what is there.
        version: of the policy.
        effective_from_ms: event time; None for now, or since ever where nothing was published before.
        now_ms: time of publication.
    """
    if effective_from_ms is None:
        effective_from_ms = now_ms if published.last_number else SINCE_EVER_MS
    return Pointer(version, effective_from_ms, published.last_number + 1, now_ms)


def latest_policy(published: Published, fallback: Policy) -> Mapping[str, Any] | Policy:
    """What was published last, as its document, or what holds while nothing is."""
    return _content(published, published.publications[-1].version) if published.publications else fallback


def history(published: Published, fallback: Policy, now_ms: int) -> list[Entry]:
    """All publications, oldest first."""
    entries: list[Entry] = []
    before: Mapping[str, Any] | Policy = fallback
    phases = _phases(published.publications, now_ms)
    for publication, phase in zip(published.publications, phases, strict=True):
        content = _content(published, publication.version)
        from_ms = publication.effective_from_ms
        entries.append(
            Entry(
                number=publication.number,
                published_at_ms=publication.published_at_ms,
                effective_from_ms=None if from_ms == SINCE_EVER_MS else from_ms,
                version=publication.version,
                phase=phase,
                changes=changes(before, content),
            )
        )
        before = content
    return entries


def former_version(published: Published, wanted: str | None) -> str:
    """The version to go back to: the one that `wanted` begins, or the one published before the present one.

    Raises:
        PublishingError: there is none, or several.
    """
    versions = list(dict.fromkeys(publication.version for publication in reversed(published.publications)))
    if wanted is None:
        if len(versions) < 2:
            raise PublishingError("there is no version before the present one: see `forewarn policy history`")
        return versions[1]
    found = [version for version in versions if version.startswith(wanted)]
    if len(found) != 1 or len(wanted) < _PREFIX_CHARACTERS_MIN:
        known = ", ".join(versions) or "none"
        what = "names no one version" if found else "was never published"
        raise PublishingError(f"{wanted} {what}; published: {known}")
    return found[0]


def _content(published: Published, version: str) -> Mapping[str, Any]:
    """A content as its document: also one that this release no longer takes for a policy."""
    try:
        document = msgspec.json.decode(published.contents.get(version, b"{}"))
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _phases(publications: Sequence[Pointer], now_ms: int) -> list[Phase]:
    """A publication calls off those before it that were to take effect at its instant or later."""
    standing: list[Pointer] = []
    for publication in publications:
        standing = [one for one in standing if one.effective_from_ms < publication.effective_from_ms]
        standing.append(publication)
    begun = [one.number for one in standing if one.effective_from_ms <= now_ms]
    numbers = {one.number for one in standing}
    phases: list[Phase] = []
    for one in publications:
        if one.number not in numbers:
            was_in_force = any(
                later.published_at_ms > one.effective_from_ms
                for later in publications
                if later.number > one.number
            )
            phases.append("past" if was_in_force else "called off")
        elif one.effective_from_ms > now_ms:
            phases.append("to come")
        else:
            phases.append("in force" if one.number == begun[-1] else "past")
    return phases
