"""`forewarn dead-letters`: what came in and could not be used."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from streams.commands.common import broker_options, expected, json_option, print_json, settings_from

if TYPE_CHECKING:
    from streams.kafka.inspection import Read

_SHOWN_BYTES = 200
"""Of a payload, in the list for the eye; --json has all of it."""


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at what was rejected."""


@dead_letters.command("list")
@broker_options
@click.option("--reason", metavar="WORD", multiple=True, help="Only these reasons.")
@click.option("--topic", metavar="NAME", multiple=True, help="Only from these input topics.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Print at most so many."
)
@json_option
def list_(
    *,
    bootstrap: str | None,
    prefix: str | None,
    reason: tuple[str, ...],
    topic: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """List rejected records: why, and where each was read. All are counted, also those beyond --limit.

    With --json, a line is a record, its bytes in base64 (`value`, `key`).
    """
    from streams.kafka.inspection import InspectionError, Inspector
    from streams.topics import TopicNames

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    name = TopicNames(settings.topic_prefix).dead_letters
    counts: Counter[str] = Counter()
    with expected(InspectionError), Inspector(settings) as inspector:
        for record in inspector.read(name, range(inspector.require(name))):
            letter = letter_of(record)
            if (reason and letter["reason"] not in reason) or (topic and letter["topic"] not in topic):
                continue
            counts[str(letter["reason"])] += 1
            if counts.total() <= limit:
                _print(letter, as_json=as_json)
    total = counts.total()
    told = ", ".join(f"{count:,} {word}" for word, count in counts.most_common())
    click.echo(f"{total:,} dead letters{': ' + told if told else ''}", err=True)
    if total > limit:
        click.echo(f"{total - limit:,} more than --limit {limit:,} are not shown", err=True)


def letter_of(record: Read) -> dict[str, Any]:
    """A dead letter out of its headers: the record refused, why, and where it stood."""
    from streams.dead_letters import CONNECT_PREFIX, REASON_HEADER

    headers = {name: value.decode(errors="replace") for name, value in record.headers if value is not None}
    return {
        "reason": headers.get(REASON_HEADER),
        "message": headers.get(CONNECT_PREFIX + "exception.message"),
        "topic": headers.get(CONNECT_PREFIX + "topic"),
        "partition": _number(headers.get(CONNECT_PREFIX + "partition")),
        "offset": _number(headers.get(CONNECT_PREFIX + "offset")),
        "key": record.key,
        "value": record.value,
    }


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _print(letter: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(letter)
        return
    payload = letter["value"] or b""
    shown = payload[:_SHOWN_BYTES].decode(errors="backslashreplace")
    more = f"... ({len(payload):,} bytes)" if len(payload) > _SHOWN_BYTES else ""
    click.echo(
        f"{letter['topic']} {letter['partition']}/{letter['offset']}  {letter['message']}  {shown!r}{more}"
    )
