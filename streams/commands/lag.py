"""`forewarn lag`: how far the workers are behind."""

from __future__ import annotations

import click

from streams.commands.common import (
    broker_options,
    expected,
    json_option,
    print_json,
    settings_from,
)
from streams.wording import columns


@click.command()
@broker_options
@click.option("--group", metavar="NAME", help="Consumer group. [default: FOREWARN_GROUP_ID, else forewarn]")
@json_option
def lag(*, bootstrap: str | None, prefix: str | None, group: str | None, as_json: bool) -> None:
    """Show how far the workers are behind, by topic and partition: the inputs, and what linked borrowers tell each other.

    After a replay, up to one heartbeat a topic and partition waits for what comes next; that is all right.
    """
    from streams.kafka.inspection import InspectionError, Inspector
    from streams.topics import names_of

    settings = settings_from(broker=bootstrap, topic_prefix=prefix, group_id=group)
    names = names_of(settings)
    with expected(InspectionError), Inspector(settings) as inspector:
        lags = inspector.lags(names.consumed, settings.group_id, transactional=[names.linked_risk])
    total = sum(one.lag for one in lags)
    if as_json:
        partitions = [one._asdict() for one in lags]
        print_json({"group": settings.group_id, "lag": total, "partitions": partitions})
        return
    header = ("topic", "partition", "end", "committed", "lag")
    click.echo(columns(header, [(one.topic, one.partition, one.end, one.committed, one.lag) for one in lags]))
    click.echo(f"total lag of group {settings.group_id}: {total:,}")
