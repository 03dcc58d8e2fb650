"""Which dead letters a command is about: its options, and the letters as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import click

from streams.commands.common import Command
from streams.retrying import Place, Selection, place_of

if TYPE_CHECKING:
    from streams.dead_letters import Letter, Receipt, Settled
    from streams.kafka.inspection import Inspector
    from streams.settings import Settings


class PlaceType(click.ParamType):
    """A record by where it stands."""

    name = "PLACE"

    def convert(self, value: str | Place, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Read it, or say what is expected."""
        if isinstance(value, Place):
            return value
        place = place_of(value)
        if place is None:
            self.fail(
                f"{value!r}: expected PARTITION/OFFSET of the letter, or TOPIC:PARTITION/OFFSET of the refused record",
                param,
                ctx,
            )
        return place


places_argument = click.argument("places", metavar="[PLACE]...", nargs=-1, type=PlaceType())


def filter_options(command: Command) -> Command:
    """Add `--reason` and `--topic`."""
    reason = click.option("--reason", metavar="WORD", multiple=True, help="Only these reasons.")
    topic = click.option("--topic", metavar="NAME", multiple=True, help="Only from these input topics.")
    return reason(topic(command))


def chosen_by(
    places: tuple[Place, ...],
    reason: tuple[str, ...],
    topic: tuple[str, ...],
    *,
    everything: bool,
    instead: str = "--all",
) -> Selection:
    """The letters that are meant: the user must say which, or that it is all of them, and not both.

    Raises:
        click.UsageError: neither was said, or both.
    """
    if everything == bool(places or reason or topic):
        raise click.UsageError(f"say which: a PLACE, --reason or --topic, or else {instead}")
    return Selection(frozenset(places), frozenset(reason), frozenset(topic))


def settled_in(inspector: Inspector, settings: Settings) -> dict[tuple[int, int], Settled]:
    """What became of letters: receipts stand behind them, so they are read first."""
    from streams.retrying import settled_letters

    return settled_letters(_records(inspector, settings))


def letters_in(inspector: Inspector, settings: Settings) -> Iterator[Letter]:
    """Every dead letter, settled or not; those of one partition in their order."""
    from streams.dead_letters import Letter

    return (record for record in _records(inspector, settings) if isinstance(record, Letter))


def _records(inspector: Inspector, settings: Settings) -> Iterator[Letter | Receipt]:
    from streams.dead_letters import read_letter
    from streams.ports import Headers
    from streams.topics import names_of

    name = names_of(settings).dead_letters
    for read in inspector.read(name, range(inspector.require(name))):
        headers = cast(Headers, read.headers)
        yield read_letter(read.partition, read.offset, read.key, read.value, headers)
