"""`forewarn worker`: one worker process."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from streams.commands.common import broker_options, expected, policy_from, policy_option, settings_from

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@click.command()
@broker_options
@click.option("--group", metavar="NAME", help="Consumer group. [default: FOREWARN_GROUP_ID, else forewarn]")
@click.option(
    "--clock",
    type=click.Choice(["event", "wall"]),
    help="event: wait until every topic shows what it has next (replays). [default: FOREWARN_CLOCK, else wall]",
)
@policy_option
@click.option(
    "--until-end", is_flag=True, help="Stop when what is in the input topics now is processed and committed."
)
@click.option(
    "--web-port", type=int, help="Serve Faust's pages there. [default: FOREWARN_WEB_PORT, else none]"
)
@click.option(
    "--web-host",
    metavar="ADDRESS",
    help="Bind the pages to this address. [default: FOREWARN_WEB_HOST, else 127.0.0.1]",
)
@click.option(
    "--log-level",
    type=click.Choice(_LOG_LEVELS, case_sensitive=False),
    default="INFO",
    show_default=True,
    help="What is logged.",
)
@click.option(
    "--set",
    "others",
    metavar="NAME=VALUE",
    multiple=True,
    help="Any other setting by its name, as commit_interval_ms=50; see streams/settings.py.",
)
def worker(
    *,
    bootstrap: str | None,
    prefix: str | None,
    group: str | None,
    clock: str | None,
    policy_file: Path | None,
    until_end: bool,
    web_port: int | None,
    web_host: str | None,
    log_level: str,
    others: tuple[str, ...],
) -> None:
    """Run a worker until it is stopped (Ctrl-C or SIGTERM): it finishes the batch, commits and leaves the group.

    Start as many as there are partitions at most; they share the tasks out among themselves. The policy file is used
    while the topic `policies` names none.
    """
    from streams.mapping.errors import MappingError
    from streams.mapping.loading import decoders_from
    from streams.pseudonym import PseudonymError, pseudonyms_from
    from streams.worker import run

    policy_from(policy_file)  # refused here, with file and key, and not in the middle of a start
    settings = settings_from(
        **_pairs(others),
        broker=bootstrap,
        topic_prefix=prefix,
        group_id=group,
        clock=clock,
        policy_file=None if policy_file is None else str(policy_file),
        until_end=True if until_end else None,
        web_port=web_port,
        web_host=web_host,
    )
    with expected(PseudonymError, MappingError):
        pseudonyms_from(settings.pseudonym_key_file)
        decoders_from(settings)
    sys.exit(run(settings, log_level=log_level.upper()))


def _pairs(others: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for other in others:
        name, equals, value = other.partition("=")
        if not equals:
            raise click.BadParameter(f"{other!r} is not NAME=VALUE", param_hint="--set")
        if name in _WITH_OPTION:
            raise click.BadParameter(
                f"{name} has an option of its own: {_WITH_OPTION[name]}", param_hint="--set"
            )
        pairs[name] = value
    return pairs


_WITH_OPTION = {
    "broker": "--bootstrap",
    "topic_prefix": "--prefix",
    "group_id": "--group",
    "clock": "--clock",
    "policy_file": "--policy",
    "until_end": "--until-end",
    "web_port": "--web-port",
    "web_host": "--web-host",
}
