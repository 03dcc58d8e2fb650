"""`forewarn dead-letters release`: answering for what will not come again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.commands.common import broker_options, expected, policy_from, policy_option, settings_from
from streams.commands.dead_letters.choosing import (
    chosen_by,
    filter_options,
    letters_in,
    places_argument,
    settled_in,
)
from streams.retrying import Place

if TYPE_CHECKING:
    from streams.kafka.releases import Releases
    from streams.kafka.writing import RecordWriter


@click.command()
@places_argument
@broker_options
@filter_options
@click.option(
    "--borrower", metavar="ID", help="Everything refused of one borrower, also what has no letter any more."
)
@policy_option
@click.option("--dry-run", is_flag=True, help="Tell what would be released, and do nothing.")
def release(
    places: tuple[Place, ...],
    *,
    bootstrap: str | None,
    prefix: str | None,
    reason: tuple[str, ...],
    topic: tuple[str, ...],
    borrower: str | None,
    policy_file: Path | None,
    dry_run: bool,
) -> None:
    """Answer for rejected records that will not come again, and end the hold that they put on their borrowers' alerts.

    Until a rejected record of repayments or servicing is put right, its borrower's alerts are on hold (data_incomplete).
    The hold ends by itself when a record with the same `event_id` is accepted. Where none will come, or the id could not
    be read, release it: an `event_voided` on the same topic and partition says that the record is nothing to wait for.
    It is kept in the topic like any event, so a replay releases again.

    A letter is released once. Exit status 1 where a record named by its PLACE holds nobody or was settled before.
    """
    from models.rules import Rules
    from streams.clock import SystemClock
    from streams.kafka.inspection import InspectionError, Inspector
    from streams.kafka.releases import Releases
    from streams.kafka.writing import RecordWriter, WritingError
    from streams.mapping.errors import MappingError
    from streams.progress import CorruptProgressError
    from streams.releasing import held_borrower

    selection = chosen_by(places, reason, topic, everything=borrower is not None, instead="--borrower")
    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    rules = Rules(policy_from(policy_file))
    clock = SystemClock()
    with (
        expected(MappingError, InspectionError, WritingError, CorruptProgressError),
        Inspector(settings) as inspector,
    ):
        releases = Releases(inspector, settings, rules, clock.now_ms(), settled_in(inspector, settings))
        chosen = [
            letter
            for letter in letters_in(inspector, settings)
            if selection.has(letter) and borrower in (None, held_borrower(letter))
        ]
        for letter in chosen:
            releases.add(letter)
        if borrower is not None:
            releases.add_more(borrower)
        if not dry_run:
            asyncio.run(_write_releases(releases, RecordWriter(settings, clock)))
    for line in releases.told:
        click.echo(line)
    done = "would be released" if dry_run else "released"
    click.echo(f"{len(releases.receipts):,} letters {done}", err=True)
    missed = selection.places - releases.places
    for place in sorted(map(str, missed)):
        click.echo(f"nothing to release at {place}", err=True)
    if missed:
        raise click.exceptions.Exit(1)


async def _write_releases(releases: Releases, writer: RecordWriter) -> None:
    """Events first: a repeat of them is a duplicate, a receipt without its event would leave the hold for good."""
    async with writer:
        await writer.write(releases.events)
        await writer.write(releases.receipts)
