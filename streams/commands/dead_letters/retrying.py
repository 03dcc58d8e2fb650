"""`forewarn dead-letters retry`: back to where they came from."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from streams.commands.common import broker_options, expected, json_option, print_json, settings_from
from streams.commands.dead_letters.choosing import (
    chosen_by,
    filter_options,
    letters_in,
    places_argument,
    settled_in,
)
from streams.retrying import TRIES_MAX, WHY, Place, Retry

if TYPE_CHECKING:
    from streams.kafka.writing import RecordWriter
    from streams.retrying import Return

_AT_ONCE: Final = 200
"""Letters put back before their receipts are written: what is repeated at most when the command is killed between."""


@click.command()
@places_argument
@broker_options
@filter_options
@click.option("--all", "everything", is_flag=True, help="All of them; otherwise say which.")
@click.option(
    "--tries-max",
    type=click.IntRange(min=1),
    default=TRIES_MAX,
    show_default=True,
    help="Leave alone what was retried so often and came back.",
)
@click.option(
    "--repartition", is_flag=True, help="Put records of wrong partitions where murmur2 of their key says."
)
@click.option("--dry-run", is_flag=True, help="Tell what would be retried, and do nothing.")
@json_option
def retry(
    places: tuple[Place, ...],
    *,
    bootstrap: str | None,
    prefix: str | None,
    reason: tuple[str, ...],
    topic: tuple[str, ...],
    everything: bool,
    tries_max: int,
    repartition: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put rejected records back where they came from: same topic, same partition, same key, the very bytes and headers.

    For causes that lay with us, or in the order of things: a release that understands more, a clock that was wrong, a loan
    that has come meanwhile. A payload that is itself wrong is mended by its producer, who sends it anew.

    The header `forewarn.retry.count` says how often a record was retried. A letter is retried once: behind it a receipt
    is written, and the next run passes it over. If the record is refused again, that is a new letter, with the count in
    its headers; after --tries-max of them it is left alone. Killed half-way, a run may repeat up to 200 records; a record
    that was accepted meanwhile is a duplicate and changes nothing.

    Exit status 1 where a record named by its PLACE was not retried.
    """
    from streams.clock import SystemClock
    from streams.kafka.inspection import InspectionError, Inspector
    from streams.kafka.writing import RecordWriter, WritingError
    from streams.partitioner import partition_of
    from streams.topics import names_of

    selection = chosen_by(places, reason, topic, everything=everything)
    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    names = names_of(settings)
    with expected(InspectionError, WritingError), Inspector(settings) as inspector:
        count = inspector.require(names.inputs[0])
        run = Retry(
            selection,
            settled_in(inspector, settings),
            names.inputs,
            tries_max=tries_max,
            partition_of=(lambda key: partition_of(key, count)) if repartition else None,
        )
        chosen = run.choose(letters_in(inspector, settings))
        if dry_run:
            for _ in chosen:
                pass
        else:
            asyncio.run(_put_back(chosen, names.dead_letters, RecordWriter(settings, SystemClock())))
    _tell(run, dry_run=dry_run, as_json=as_json)
    for place in sorted(map(str, run.missing)):
        click.echo(f"no dead letter at {place}", err=True)
    if run.missing or run.unretried:
        raise click.exceptions.Exit(1)


async def _put_back(chosen: Iterable[Return], letters_topic: str, writer: RecordWriter) -> None:
    """Write records, then their receipts, some at a time: a receipt without its record would lose the record."""
    from streams.dead_letters import receipt_record
    from streams.kafka.writing import Written

    remaining = iter(chosen)
    async with writer:
        while batch := list(islice(remaining, _AT_ONCE)):
            await writer.write(Written(one.topic, one.partition, one.record) for one in batch)
            await writer.write(
                Written(letters_topic, one.letter.partition, receipt_record(one.letter, "retried"))
                for one in batch
            )


def _tell(run: Retry, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "retried": [
                    {"topic": topic, "reason": reason, "count": count}
                    for (topic, reason), count in sorted(run.returned.items())
                ],
                "not_retried": [
                    {"topic": topic, "reason": reason, "why": why, "count": count}
                    for (topic, reason, why), count in sorted(run.passed.items())
                ],
            }
        )
        return
    done = "would be retried" if dry_run else "retried"
    for (topic, reason), count in sorted(run.returned.items()):
        click.echo(f"{count:,} {done}: {topic}, {reason}")
    for (topic, reason, why), count in sorted(run.passed.items()):
        click.echo(f"{count:,} not retried: {topic}, {reason}: {WHY[why]}")
    click.echo(f"{run.returned.total():,} {done}, {run.passed.total():,} not", err=True)
