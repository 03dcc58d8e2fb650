"""`forewarn topics`: make the topics, see whether they are as they must be, who has to be allowed what; change their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from streams.commands.common import broker_options, expected, json_option, print_json, settings_from
from streams.commands.repartition import repartition

if TYPE_CHECKING:
    from streams.acls import Role

_ROLES = ("worker", "producer", "subscriber", "operator", "scaler", "administrator")
"""As `streams.acls`, which takes a second to import."""


@click.group()
def topics() -> None:
    """Make or check the topics, change the number of partitions, and tell who has to be allowed what."""


topics.add_command(repartition)


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


@topics.command()
@click.option("--prefix", metavar="TEXT", help="[default: FOREWARN_TOPIC_PREFIX, else nothing]")
@click.option("--group", metavar="NAME", help="Consumer group. [default: FOREWARN_GROUP_ID, else forewarn]")
@click.option(
    "--role", "roles", type=click.Choice(_ROLES), multiple=True, help="Only these. [default: all roles]"
)
@click.option(
    "--principal",
    metavar="TYPE:NAME",
    help="Who has the role, as Kafka's authorizer calls them. [default: User:<role>]",
)
@json_option
def acls(
    *,
    prefix: str | None,
    group: str | None,
    roles: tuple[Role, ...],
    principal: str | None,
    as_json: bool,
) -> None:
    """Print the least that each role must be allowed, as arguments of Kafka's own kafka-acls.sh. Asks nobody.

    With --json, as the entries of `spec.authorization.acls` of a KafkaUser of Strimzi, by role.
    """
    from streams import acls as table

    if principal is not None and len(roles) != 1:
        raise click.UsageError("--principal needs one --role")
    settings = settings_from(topic_prefix=prefix, group_id=group)
    found = {role: table.grants(settings, [role]) for role in roles or table.ROLES}
    if as_json:
        print_json({role: list(table.strimzi(granted)) for role, granted in found.items()})
        return
    for role, granted in found.items():
        for command in table.commands(granted, principal or f"User:{role}"):
            click.echo(command)
