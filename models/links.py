"""Who stands in for whom: whom a borrower watches, who watches it, and what they say to each other.

A borrower and the one it is linked to may be in different partitions, so they talk: `Watch` goes to the linked one, `LinkedState`
comes back at once and on every change. Nothing else crosses. What is heard counts from its arrival on
(decisions/0008-linked-borrowers.md), so evidence here is asked for what it holds, not for what it held.
"""

from __future__ import annotations

from bisect import insort
from typing import Final, Literal

from msgspec import Struct

from models.events import BorrowerLinked, BorrowerUnlinked, Relation
from models.recent_ids import fingerprint_of

LINK_ENTRIES_MAX: Final = 32
"""Links and their ends remembered for one borrower: several loans with several guarantors each. What is over goes first."""
WATCHERS_MAX: Final = 200
"""Watchers of one borrower: each change of its level is as many messages. Who guarantees more loans is a company of guarantees."""

NO_LEVEL: Final = 0
"""The level of a borrower without counted alerts; above it a level is a `Severity`."""
FORGOTTEN: Final = -1
"""Instead of a level: the source was erased, so the link to it is to be forgotten."""


class Watch(Struct, frozen=True, tag="watch"):
    """To the linked borrower: tell the watcher from now on, or no more."""

    watcher: str
    relation: Relation
    on: bool
    watcher_partition: int
    """Where answers go: with pseudonyms the id does not tell."""


class LinkedState(Struct, frozen=True, tag="state"):
    """To a watcher: how bad it is with the source. `cause_time_ms` rises from each state of a source to its next."""

    source: str
    level: int
    cause_time_ms: int


LinkMessage = Watch | LinkedState


class Outgoing(Struct, frozen=True):
    """A message on its way."""

    receiver: str
    partition: int | None
    """Of the receiver, where it was told; else its id tells."""
    message: LinkMessage


class LinkEntry(Struct, array_like=True, frozen=True, gc=False):
    """A link was reported, or its end. The newest entry of an id and relation is the one that counts."""

    time_ms: int
    linked_id: str
    relation: Relation
    is_end: bool
    fingerprint: bytes
    """Of its event's id: a void names it."""
    partition: int | None
    """Of the linked borrower, where the event told it."""


class Watched(Struct, array_like=True, frozen=True, gc=False):
    """A linked borrower that was asked to tell."""

    linked_id: str
    relation: Relation
    since_ms: int
    partition: int | None


class Heard(Struct, array_like=True, frozen=True, gc=False):
    """The last state of a linked borrower."""

    level: int
    cause_time_ms: int


class Watcher(Struct, array_like=True, frozen=True, gc=False):
    """Who has asked to be told."""

    watcher_id: str
    relation: Relation
    partition: int


class LinkEvidence(Struct, array_like=True):
    """Of one borrower; absent until it has a link, or somebody has one to it."""

    entries: list[LinkEntry] = []
    """What servicing reported, in order of event time."""
    watched: list[Watched] = []
    """Whom I have asked: brought in line with `entries` by `reconcile`."""
    heard: dict[str, Heard] = {}
    """By linked id; only of those watched."""
    watchers: list[Watcher] = []
    told_level: int = NO_LEVEL
    told_ms: int = -1
    """The last state told to anybody: its level, and its `cause_time_ms`."""
    judged_ms: int = -1
    """The latest instant as of which the links were judged."""


Recorded = Literal["recorded", "to-itself", "too-many"]
HeardAs = Literal["news", "stale", "unasked"]


def record(evidence: LinkEvidence, event: BorrowerLinked | BorrowerUnlinked) -> Recorded:
    """Note a link or its end."""
    if event.linked_borrower_id == event.borrower_id:
        return "to-itself"
    entry = LinkEntry(
        time_ms=event.event_time_ms,
        linked_id=event.linked_borrower_id,
        relation=event.relation,
        is_end=isinstance(event, BorrowerUnlinked),
        fingerprint=fingerprint_of(event.event_id),
        partition=event.linked_partition,
    )
    insort(evidence.entries, entry, key=_order)
    if len(evidence.entries) > LINK_ENTRIES_MAX and not _forget_one_that_is_over(evidence):
        evidence.entries.remove(entry)
        return "too-many"
    return "recorded"


def void(evidence: LinkEvidence | None, fingerprint: bytes) -> bool:
    """Take back what a voided event reported; False where nothing of it is remembered."""
    if evidence is None:
        return False
    kept = [entry for entry in evidence.entries if entry.fingerprint != fingerprint]
    is_known = len(kept) < len(evidence.entries)
    evidence.entries = kept
    return is_known


def reconcile(evidence: LinkEvidence) -> list[tuple[Watched, bool]]:
    """Bring those watched in line with the links that stand; return who is to be asked (True), and who no more (False)."""
    standing = {key: entry for key, entry in _newest(evidence).items() if not entry.is_end}
    asked = {(watched.linked_id, watched.relation) for watched in evidence.watched}
    ended = [watched for watched in evidence.watched if (watched.linked_id, watched.relation) not in standing]
    begun = [
        Watched(entry.linked_id, entry.relation, entry.time_ms, entry.partition)
        for key, entry in standing.items()
        if key not in asked
    ]
    evidence.watched = [watched for watched in evidence.watched if watched not in ended] + begun
    still = {watched.linked_id for watched in evidence.watched}
    evidence.heard = {linked_id: heard for linked_id, heard in evidence.heard.items() if linked_id in still}
    return [(watched, False) for watched in ended] + [(watched, True) for watched in begun]


def hear(evidence: LinkEvidence, state: LinkedState) -> HeardAs:
    """Take what a linked borrower tells. What is not newer than what was heard, or was not asked for, changes nothing."""
    if all(watched.linked_id != state.source for watched in evidence.watched):
        return "unasked"
    before = evidence.heard.get(state.source)
    if before is not None and state.cause_time_ms <= before.cause_time_ms:
        return "stale"
    if state.level == FORGOTTEN:
        evidence.entries = [
            entry
            for entry in evidence.entries
            if entry.linked_id != state.source or entry.time_ms > state.cause_time_ms
        ]
        evidence.watched = [watched for watched in evidence.watched if watched.linked_id != state.source]
        evidence.heard.pop(state.source, None)
    else:
        evidence.heard[state.source] = Heard(state.level, state.cause_time_ms)
    return "news"


def since_ms(evidence: LinkEvidence, linked_id: str) -> int:
    """Since when somebody is linked; -1 where nobody is."""
    return min(
        (watched.since_ms for watched in evidence.watched if watched.linked_id == linked_id), default=-1
    )


def take_watch(evidence: LinkEvidence, watch: Watch) -> bool:
    """Note who watches, or does so no more; False where there is no room for one more."""
    kept = [
        watcher
        for watcher in evidence.watchers
        if (watcher.watcher_id, watcher.relation) != (watch.watcher, watch.relation)
    ]
    if watch.on:
        if len(kept) >= WATCHERS_MAX:
            return False
        kept.append(Watcher(watch.watcher, watch.relation, watch.watcher_partition))
    evidence.watchers = kept
    return True


def tell(evidence: LinkEvidence, source: str, level: int, cause_time_ms: int) -> LinkedState:
    """The state to tell from now on; the same level is the same state, another one is later than the one before."""
    if level != evidence.told_level or evidence.told_ms < 0:
        evidence.told_level = level
        evidence.told_ms = max(cause_time_ms, evidence.told_ms + 1)
    return LinkedState(source, level, evidence.told_ms)


def to_watchers(evidence: LinkEvidence, state: LinkedState) -> list[Outgoing]:
    """A state for everybody who watches, once each."""
    partitions = {watcher.watcher_id: watcher.partition for watcher in evidence.watchers}
    return [Outgoing(watcher_id, partition, state) for watcher_id, partition in partitions.items()]


def _newest(evidence: LinkEvidence) -> dict[tuple[str, Relation], LinkEntry]:
    return {(entry.linked_id, entry.relation): entry for entry in evidence.entries}


def _order(entry: LinkEntry) -> tuple[int, bool, str, str, bytes]:
    """At one instant an end comes after the link that it ends."""
    return entry.time_ms, entry.is_end, entry.linked_id, entry.relation, entry.fingerprint


def _forget_one_that_is_over(evidence: LinkEvidence) -> bool:
    """Forget the oldest entry that was replaced, else the oldest end; False where every entry is a link that stands."""
    newest = _newest(evidence)
    for entry in evidence.entries:
        if newest[entry.linked_id, entry.relation] is not entry:
            evidence.entries.remove(entry)
            return True
    for entry in evidence.entries:
        if entry.is_end:
            evidence.entries.remove(entry)
            return True
    return False
