"""`forewarn mapping`: try a mapping of the lender's own payloads before a worker uses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from models.events import TOPICS, Topic
from streams.commands.common import FILE, expected, json_option, print_json, settings_from

if TYPE_CHECKING:
    from streams.mapping.trying import Tried, Trying

_SHOWN_MAX: Final = 20
"""Lines of a sample that are printed one by one, unless asked for more; all are counted."""

topic_option = click.option(
    "--topic",
    type=click.Choice(TOPICS),
    help="Which feed the sample is of. [default: the one that FILE maps, where it maps one only]",
)


@click.group()
def mapping() -> None:
    """Read a lender's own payloads as events, by a mapping file."""


@mapping.command()
@click.argument("file", type=FILE)
@click.argument("sample", type=FILE, required=False)
@topic_option
@click.option(
    "--show",
    type=click.IntRange(min=0),
    default=_SHOWN_MAX,
    show_default=True,
    help="How many lines to print one by one.",
)
@json_option
def check(file: Path, sample: Path | None, *, topic: Topic | None, show: int, as_json: bool) -> None:
    """Check the mapping in FILE and its examples, and tell what it makes of each line of SAMPLE.

    SAMPLE has a payload a line: JSON as it is, Avro and Protobuf in base64. Behind the lines stands what the mapping
    covers: how often each rule was used, fields that were never filled, and what the payloads hold that nobody reads.

    Exit status 1 where the mapping is not valid, an example fails, or a line is rejected.
    """
    trying = _trying(file, topic if sample is not None else None, needed=sample is not None)
    if trying is None or sample is None:
        click.echo(f"{file}: valid; its examples hold")
        return
    tried = _tried(trying, sample)
    if as_json:
        lines = [one.as_json() for one in tried]
        print_json({"lines": lines, "coverage": trying.coverage()})
    else:
        for one in islice(tried, show):
            click.echo(one.as_text())
        left = sum(1 for _ in tried)
        if left:
            click.echo(f"... and {left:,} more lines")
        for line in trying.told():
            click.echo(line)
    if trying.rejected:
        raise click.exceptions.Exit(1)


@mapping.command()
@click.argument("file", type=FILE)
@click.argument("sample", type=FILE)
@topic_option
def apply(file: Path, sample: Path, *, topic: Topic | None) -> None:
    """Print the events of SAMPLE, one a line, as `replay` and `backtest` read them from files.

    Exit status 1 where a line is rejected: it is told on stderr, and the others are printed all the same.
    """
    trying = _trying(file, topic, needed=True)
    assert trying is not None
    for one in _tried(trying, sample):
        if one.event is not None:
            click.echo(one.event)
        elif one.reason is not None:
            click.echo(one.as_text(), err=True)
    if trying.rejected:
        raise click.exceptions.Exit(1)


def _trying(file: Path, topic: Topic | None, *, needed: bool) -> Trying | None:
    from streams.mapping.decoder import MappedDecoder
    from streams.mapping.errors import MappingError
    from streams.mapping.loading import documents_of, read_mapping
    from streams.mapping.trying import Trying

    with expected(MappingError):
        mapping = read_mapping(file)
    if not needed:
        return None
    feeds = mapping.feeds
    if topic is None and len(feeds) == 1:
        (topic,) = feeds
    if topic is None or topic not in feeds:
        named = ", ".join(feeds)
        raise click.BadParameter(f"say which feed the sample is of: {named}", param_hint="--topic")
    feed = feeds[topic]
    with expected(MappingError):
        documents = documents_of(feed, mapping, settings_from())
    return Trying(MappedDecoder(feed, documents, keyed=False))


def _tried(trying: Trying, sample: Path) -> Iterator[Tried]:
    from streams.mapping.registry import RegistryError

    with expected(OSError, RegistryError), sample.open("rb") as lines:
        yield from trying.lines(_without_blanks(lines))


def _without_blanks(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if stripped:
            yield number, stripped
