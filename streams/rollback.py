"""The cards as an operator sees them: which were in use, how two differ, and going back to one."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from models.risk.published import CardStep
from models.risk.scorecard import Scorecard
from models.risk.training import UnusableTrainingError
from streams.clock import Clock
from streams.ports import FencedError, Ports
from streams.scorecards import Cards, read_cards
from streams.settings import Settings
from streams.topics import TopicNames
from streams.trainer import TASK, write_step

_PREFIX_CHARACTERS_MIN: Final = 4
"""A version is 16 characters; so many tell a dozen apart."""
_ATTEMPTS_MAX: Final = 3
"""A trainer that starts just then takes over once; taken over from in turn, it rests before it begins anew. One more to spare."""


class CardError(Exception):
    """There is nothing to do it with; the message says why and what to do."""


class Difference(Struct, frozen=True):
    """One bin that weighs otherwise."""

    feature: str
    """Or `(bias)`."""
    from_value: float | None
    """The bin's lower edge; None for the first bin."""
    to_value: float | None
    """Its upper edge; None for the last bin."""
    old: float | None
    """In log-odds; None where the other card has no such bin."""
    new: float | None


# ---- which is meant ----------------------------------------------------------------------------------------------


def used_versions(cards: Cards) -> list[str]:
    """Versions that were in use, the present one first, each once; the last is what learning began with."""
    versions = [one.version for one in reversed(cards.publications)]
    if cards.entries:
        versions.append(cards.entries[0].told.replaces)
    return list(dict.fromkeys(versions))


def named_version(known: list[str], wanted: str) -> str:
    """The version that `wanted` begins.

    Raises:
        CardError: none, or several.
    """
    found = [version for version in dict.fromkeys(known) if version.startswith(wanted)]
    if len(found) != 1 or len(wanted) < _PREFIX_CHARACTERS_MIN:
        what = "names no one scorecard" if found else "is no scorecard that is known here"
        raise CardError(f"{wanted} {what}: see `forewarn model history`")
    return found[0]


def former_version(cards: Cards, wanted: str | None) -> str:
    """The version to go back to: the one that `wanted` begins, or the one in use before the present one.

    Raises:
        CardError: there is none, it was never in use, or it is in use.
    """
    used = used_versions(cards)
    if wanted is None:
        if len(used) < 2:
            raise CardError("there is no scorecard before the present one: see `forewarn model history`")
        return used[1]
    version = named_version(used, wanted)
    if version == used[0]:
        raise CardError(f"{version} is the scorecard in use")
    return version


def step_of(cards: Cards, version: str) -> CardStep | None:
    """The last step that put a version in use, else the last that refused it; None for what learning began with."""
    steps = [entry.told for entry in reversed(cards.entries) if entry.told.version == version]
    return next((step for step in steps if step.refused is None), steps[0] if steps else None)


def differences(old: Scorecard, new: Scorecard) -> list[Difference]:
    """Bins that weigh otherwise, the largest differences first; those that only one card has come before all others."""
    before, after = _bins(old), _bins(new)
    found = [
        Difference(*place, before.get(place), after.get(place))
        for place in dict.fromkeys([*before, *after])
        if before.get(place) != after.get(place)
    ]
    return sorted(found, key=lambda one: -_size(one))


def _bins(card: Scorecard) -> dict[tuple[str, float | None, float | None], float]:
    bins: dict[tuple[str, float | None, float | None], float] = {("(bias)", None, None): card.bias}
    for name, edges, weights in zip(card.features, card.edges, card.weights, strict=True):
        for low, high, weight in zip((None, *edges), (*edges, None), weights, strict=True):
            bins[name, low, high] = weight
    return bins


def _size(one: Difference) -> float:
    return float("inf") if one.old is None or one.new is None else abs(one.new - one.old)


# ---- reading and going back --------------------------------------------------------------------------------------


async def read_topic(ports: Ports, settings: Settings) -> Cards:
    """What the topic holds.

    Raises:
        CardError: there is no such topic.
        ReferenceError: it is not readable.
        PortError: Kafka does not answer.
    """
    topic = TopicNames(settings.topic_prefix).scorecards
    logs = ports.logs()
    await logs.start()
    try:
        if (await logs.partition_counts([topic]))[topic] == 0:
            raise CardError(
                f"topic {topic} is missing, or hidden from this user: run `forewarn topics apply`"
            )
        return await read_cards(logs, topic)
    finally:
        await logs.stop()


async def go_back(
    ports: Ports, settings: Settings, version: str, effective_from_ms: int, clock: Clock
) -> CardStep:
    """Put an earlier card in use again, and have learning go on from it.

    The trainer's own producer is taken over for it: whoever learns at the moment can write no more, and begins anew with what
    is written here as the last step. A trainer that starts at this very moment may take over in turn: then it is tried again.

    Args:
        ports: the trainers'.
        settings: of the installation.
        version: was in use before.
        effective_from_ms: event time.
        clock: stamps the records.

    Raises:
        CardError: the version has come into use meanwhile, or there is nothing to go back from.
        ReferenceError: the card, or where learning stands, is not readable.
        FencedError: other trainers took over each time; nothing was written, or it was and learning goes on from it.
        PortError: Kafka does not answer; whether it was written is open.
    """
    tried: list[CardStep] = []
    for _ in range(_ATTEMPTS_MAX - 1):
        try:
            return await _try_to_go_back(ports, settings, version, effective_from_ms, clock, tried)
        except FencedError:
            continue
    return await _try_to_go_back(ports, settings, version, effective_from_ms, clock, tried)


async def _try_to_go_back(
    ports: Ports,
    settings: Settings,
    version: str,
    effective_from_ms: int,
    clock: Clock,
    tried: list[CardStep],
) -> CardStep:
    """Go back, unless one of the steps `tried` before has been written after all; the step is added to them."""
    sink = ports.sink(TASK)
    try:
        await sink.open()
        cards = await read_topic(ports, settings)
        for entry in reversed(cards.entries):
            if entry.told in tried:
                return entry.told
        issuing, offset = cards.resume()
        if offset is None:
            raise CardError("nothing was learnt yet: there is no scorecard to go back from")
        if version == used_versions(cards)[0]:
            raise CardError(f"{version} is the scorecard in use")
        step = step_of(cards, version)
        optimiser = None if step is None or step.refused is not None else step.optimiser
        try:
            back = issuing.go_back(cards.card(version), optimiser, offset, effective_from_ms)
        except UnusableTrainingError as error:
            raise CardError(f"{version}: learning cannot go on from it: {error}") from error
        tried.append(back.told())
        await write_step(sink, TopicNames(settings.topic_prefix).scorecards, back, clock.now_ms())
        return back.told()
    finally:
        await sink.close()
