"""`forewarn topics`: make the topics, or see whether they are as they must be."""

from __future__ import annotations

import click

from streams.commands.common import broker_options, expected, json_option, print_json, settings_from


@click.group()
def topics() -> None:
    """Make or check the topics."""


@topics.command()
@broker_options
@click.option("--partitions", type=int, help="Of each input topic. [default: FOREWARN_PARTITIONS, else 8]")
@click.option(
    "--replication-factor",
    type=int,
    help="-1 leaves it to the broker. [default: FOREWARN_REPLICATION_FACTOR]",
)
@json_option
def apply(
    *,
    bootstrap: str | None,
    prefix: str | None,
    partitions: int | None,
    replication_factor: int | None,
    as_json: bool,
) -> None:
    """Make the topics that are missing and set what differs. Doing it again changes nothing.

    Partitions are never added to a topic that exists: borrowers would be on other tasks than their state.
    """
    from streams.kafka import admin
    from streams.kafka.inspection import InspectionError, require_broker
    from streams.ports import PortError

    settings = settings_from(
        broker=bootstrap, topic_prefix=prefix, partitions=partitions, replication_factor=replication_factor
    )
    with expected(InspectionError, PortError):
        require_broker(settings)
        done = admin.apply(settings.broker, settings)
    if as_json:
        print_json({"done": done})
        return
    for what in done:
        click.echo(what)
    click.echo("all topics are as they must be")


@topics.command()
@broker_options
@json_option
def check(*, bootstrap: str | None, prefix: str | None, as_json: bool) -> None:
    """Compare the topics with what they must be; exit status 1 where something is wrong."""
    from streams.kafka import admin
    from streams.kafka.inspection import InspectionError, require_broker
    from streams.ports import PortError

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    with expected(InspectionError, PortError):
        require_broker(settings)
        problems = admin.check(settings.broker, settings)
    if as_json:
        print_json({"problems": problems})
    else:
        for problem in problems:
            click.echo(problem)
    if problems:
        raise click.ClickException(
            f"{len(problems)} things are wrong; `forewarn topics apply` mends what it can"
        )
    if not as_json:
        click.echo("all topics are as they must be")
