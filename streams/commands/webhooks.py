"""`forewarn webhooks`: what endpoints could not be told, and telling them once more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.commands.common import (
    FILE,
    broker_options,
    expected,
    instant_from,
    json_option,
    named_fields,
    print_json,
    settings_from,
)

if TYPE_CHECKING:
    from streams.settings import Settings
    from streams.webhooks.endpoints import Endpoint
    from streams.webhooks.letters import WebhookLetter


@click.group()
def webhooks() -> None:
    """Look after alerts that endpoints were not reached with."""


_SINCE = click.option(
    "--since",
    metavar="TIME",
    default="ever",
    show_default=True,
    help="Only those given up since: milliseconds, or ISO 8601 (UTC where it has no offset).",
)


@webhooks.command("list")
@click.argument("name", required=False)
@broker_options
@_SINCE
@json_option
def list_(name: str | None, *, bootstrap: str | None, prefix: str | None, since: str, as_json: bool) -> None:
    """List the dead letters of webhooks, of all endpoints or of NAME: when and why each was given up."""
    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    for letter in _letters(settings, name, since):
        if as_json:
            print_json(
                named_fields(letter)
                | {"value": None if letter.value is None else letter.value.decode(errors="replace")}
            )
        else:
            click.echo(_line(letter))


@webhooks.command()
@click.argument("name")
@broker_options
@click.option("--webhooks-file", type=FILE, help="The file of endpoints. [default: FOREWARN_WEBHOOKS_FILE]")
@_SINCE
def resend(
    name: str, *, bootstrap: str | None, prefix: str | None, webhooks_file: Path | None, since: str
) -> None:
    """Send the dead letters of endpoint NAME once more, under the same ids; exit status 1 where one is not taken.

    One attempt each, in the order in which they were given up within a partition. The letters stay where they are: who took
    one already tells the repeat by its id, and of an alert the highest revision holds.
    """
    settings = settings_from(
        broker=bootstrap,
        topic_prefix=prefix,
        webhooks_file=None if webhooks_file is None else str(webhooks_file),
    )
    endpoint = _endpoint(settings, name)
    letters = [letter for letter in _letters(settings, name, since) if letter.message_id]
    outcomes = asyncio.run(_resend(endpoint, letters))
    click.echo(
        ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "nothing to send"
    )
    if outcomes.total() != outcomes["delivered"]:
        raise click.ClickException("not all were taken; they are still in the topic")


async def _resend(endpoint: Endpoint, letters: Sequence[WebhookLetter]) -> Counter[str]:
    from streams.clock import SystemClock
    from streams.webhooks.sender import HttpSender

    sender, outcomes = HttpSender(endpoint, SystemClock()), Counter[str]()
    await sender.start()
    try:
        for letter in letters:
            attempt = await sender.send(letter.message_id, letter.value or b"")
            outcomes[attempt.outcome] += 1
            click.echo(f"{letter.message_id}  {attempt.outcome}  {attempt.detail}")
            if attempt.outcome == "gone":
                break
    finally:
        await sender.close()
    return outcomes


def _endpoint(settings: Settings, name: str) -> Endpoint:
    from streams.webhooks.endpoints import WebhooksError, load_endpoints

    if settings.webhooks_file is None:
        raise click.UsageError("no file of endpoints: --webhooks-file or FOREWARN_WEBHOOKS_FILE")
    with expected(WebhooksError):
        endpoints = {endpoint.name: endpoint for endpoint in load_endpoints(settings.webhooks_file)}
    if name not in endpoints:
        raise click.BadParameter(f"no endpoint {name}; there are: {', '.join(endpoints)}", param_hint="NAME")
    return endpoints[name]


def _letters(settings: Settings, name: str | None, since: str) -> Iterator[WebhookLetter]:
    from streams.kafka.inspection import InspectionError, Inspector
    from streams.topics import names_of
    from streams.webhooks.letters import read_webhook_letter

    since_ms = instant_from(since, "UTC", "--since")
    topic = names_of(settings).webhook_dead_letters
    with expected(InspectionError), Inspector(settings) as inspector:
        for record in inspector.read(topic, range(inspector.require(topic))):
            place = (record.partition, record.offset)
            letter = read_webhook_letter(place, record.timestamp_ms, record.value, record.headers)
            if letter is not None and letter.given_up_at_ms >= since_ms and name in (None, letter.endpoint):
                yield letter


def _line(letter: WebhookLetter) -> str:
    from streams.outputs import rfc3339

    what = letter.message_id or f"{letter.partition}/{letter.offset}"
    tries = f"{letter.attempts} attempts"
    return f"{rfc3339(letter.given_up_at_ms)}  {letter.endpoint}  {what}  {letter.reason}  {letter.detail}  {tries}"
