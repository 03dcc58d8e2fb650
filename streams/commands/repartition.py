"""`forewarn topics repartition`: another number of partitions, under another prefix."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click
import msgspec

from streams.commands.common import broker_options, expected, json_option, print_json, settings_from
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.repartition import Moved


@click.command()
@broker_options
@click.option("--group", metavar="NAME", help="Consumer group. [default: FOREWARN_GROUP_ID, else forewarn]")
@click.option("--partitions", type=int, required=True, help="Of each input topic, from now on.")
@click.option(
    "--to-prefix", metavar="TEXT", required=True, help="Stands before every new topic; nobody has used it."
)
@click.option(
    "--replication-factor",
    type=int,
    help="-1 leaves it to the broker. [default: FOREWARN_REPLICATION_FACTOR]",
)
@json_option
def repartition(
    *,
    bootstrap: str | None,
    prefix: str | None,
    group: str | None,
    partitions: int,
    to_prefix: str,
    replication_factor: int | None,
    as_json: bool,
) -> None:
    """Change the number of partitions: make topics under another prefix and move there what is known of every borrower.

    Producers and workers must have stopped, and everything be processed: it is refused otherwise. What stands under the
    present prefix is not changed: the way back is to go on with it. Alerts and dead letters stay there.
    """
    from streams.kafka import admin
    from streams.kafka.inspection import InspectionError, require_broker
    from streams.ports import PortError
    from streams.repartition import RepartitionError
    from streams.restore import RestoreError

    old = settings_from(
        broker=bootstrap, topic_prefix=prefix, group_id=group, replication_factor=replication_factor
    )
    new = settings_from(
        broker=bootstrap,
        topic_prefix=to_prefix,
        group_id=group,
        partitions=partitions,
        replication_factor=replication_factor,
    )
    if old.topic_prefix == new.topic_prefix:
        raise click.BadParameter("must differ from the present prefix", param_hint="--to-prefix")
    with expected(InspectionError, PortError, RepartitionError, RestoreError):
        require_broker(old)
        running = admin.members(old.broker, old)
        if running:
            raise RepartitionError(
                f"{running} worker(s) of group {old.group_id} are running: stop them first"
            )
        done = admin.apply(new.broker, new)
        moved = asyncio.run(_move(old, new))
    if as_json:
        print_json({"done": done, **msgspec.to_builtins(moved)})
        return
    for what in done:
        click.echo(what)
    click.echo(
        f"moved {moved.borrowers:,} borrowers, {moved.risks:,} of borrower-risk and {moved.examples:,} examples to "
        f"{partitions} partitions under {new.topic_prefix}"
    )
    for partition, head in sorted(moved.heads.items()):
        click.echo(f"the old chain of partition {partition} ends at {head.sequence} with {head.hash or '-'}")
    click.echo(f"start producers and workers with FOREWARN_TOPIC_PREFIX={new.topic_prefix}")


async def _move(old: Settings, new: Settings) -> Moved:
    from streams import repartition as book
    from streams.clock import SystemClock
    from streams.kafka.ports import KafkaPorts
    from streams.topics import TopicNames

    async def side(settings: Settings) -> book.Side:
        ports, names = KafkaPorts(settings), TopicNames(settings.topic_prefix)
        return book.Side(ports, names, await book.partition_count(ports, names))

    return await book.repartition(await side(old), await side(new), SystemClock())
