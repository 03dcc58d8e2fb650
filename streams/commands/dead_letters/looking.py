"""`forewarn dead-letters list` and `show`: letters for the eye, and for machines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click

from streams.commands.common import broker_options, expected, json_option, print_json, settings_from
from streams.commands.dead_letters.choosing import PlaceType, filter_options, letters_in, settled_in
from streams.retrying import Place, Selection

if TYPE_CHECKING:
    from streams.dead_letters import Letter, Settled

_SHOWN_BYTES: Final = 200
"""Of a payload, in the list for the eye; `show` and --json have all of it."""
_HEX_COLUMNS: Final = 16


@click.command("list")
@broker_options
@filter_options
@click.option("--pending", is_flag=True, help="Only those that were neither retried nor released.")
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
    pending: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List rejected records: why, and where each was read. All are counted, also those beyond --limit.

    With --json, a line is a record, its bytes in base64 (`value`, `key`).
    """
    from streams.kafka.inspection import InspectionError, Inspector

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    selection = Selection(reasons=frozenset(reason), topics=frozenset(topic))
    counts: Counter[str] = Counter()
    settled_counts: Counter[str] = Counter()
    with expected(InspectionError), Inspector(settings) as inspector:
        settled = settled_in(inspector, settings)
        for letter in letters_in(inspector, settings):
            became = settled.get((letter.partition, letter.offset))
            if not selection.has(letter) or (pending and became is not None):
                continue
            counts[str(letter.reason)] += 1
            if became is not None:
                settled_counts[became] += 1
            if counts.total() <= limit:
                _print(letter, became, as_json=as_json)
    total = counts.total()
    told = ", ".join(f"{count:,} {word}" for word, count in counts.most_common())
    done = "".join(f"; {count:,} of them {word}" for word, count in settled_counts.most_common())
    click.echo(f"{total:,} dead letters{': ' + told if told else ''}{done}", err=True)
    if total > limit:
        click.echo(f"{total - limit:,} more than --limit {limit:,} are not shown", err=True)


@click.command()
@click.argument("place", type=PlaceType())
@broker_options
@json_option
def show(place: Place, *, bootstrap: str | None, prefix: str | None, as_json: bool) -> None:
    """Show one rejected record in full: why, where it stood, how often it was retried, its headers and its bytes.

    PLACE is PARTITION/OFFSET of the letter, or TOPIC:PARTITION/OFFSET of the refused record. Bytes that are no text are
    dumped in hexadecimal.
    """
    from streams.kafka.inspection import InspectionError, Inspector

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    selection = Selection(places=frozenset({place}))
    with expected(InspectionError), Inspector(settings) as inspector:
        settled = settled_in(inspector, settings)
        found = [letter for letter in letters_in(inspector, settings) if selection.has(letter)]
    if not found:
        raise click.ClickException(f"no dead letter at {place}")
    for letter in found:
        became = settled.get((letter.partition, letter.offset))
        if as_json:
            print_json(_as_document(letter, became) | {"headers": [list(pair) for pair in letter.headers]})
        else:
            _print_in_full(letter, became)


def _as_document(letter: Letter, became: Settled | None) -> dict[str, Any]:
    return {
        "reason": letter.reason,
        "message": letter.message,
        "topic": letter.topic,
        "partition": letter.origin_partition,
        "offset": letter.origin_offset,
        "key": letter.key,
        "value": letter.value,
        "letter": f"{letter.partition}/{letter.offset}",
        "tries": letter.tries,
        "settled": became,
    }


def _print(letter: Letter, became: Settled | None, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_document(letter, became))
        return
    payload = letter.value or b""
    shown = payload[:_SHOWN_BYTES].decode(errors="backslashreplace")
    more = f"... ({len(payload):,} bytes)" if len(payload) > _SHOWN_BYTES else ""
    click.echo(
        f"{letter.partition}/{letter.offset}  {_origin(letter)}  {letter.message}  {shown!r}{more}{_history(letter, became)}"
    )


def _print_in_full(letter: Letter, became: Settled | None) -> None:
    from streams.outputs import rfc3339

    click.echo(f"letter   {letter.partition}/{letter.offset}{_history(letter, became)}")
    click.echo(f"refused  {_origin(letter)}")
    if letter.produced_at_ms is not None:
        click.echo(f"written  {rfc3339(letter.produced_at_ms)}")
    click.echo(f"reason   {letter.message or letter.reason}")
    click.echo(f"key      {_text_of(letter.key)}")
    click.echo("headers")
    for name, value in letter.headers:
        click.echo(f"  {name}: {_text_of(value)}")
    payload = letter.value
    click.echo("payload  none" if payload is None else f"payload  {len(payload):,} bytes")
    if payload:
        click.echo(_readable(payload) or hex_dump(payload))


def _origin(letter: Letter) -> str:
    return f"{letter.topic or '?'}:{_or_unknown(letter.origin_partition)}/{_or_unknown(letter.origin_offset)}"


def _or_unknown(number: int | None) -> str:
    return "?" if number is None else str(number)


def _history(letter: Letter, became: Settled | None) -> str:
    tries = f"  came back after {letter.tries} tries" if letter.tries else ""
    return tries + (f"  {became}" if became is not None else "")


def _text_of(data: bytes | None) -> str:
    return "none" if data is None else _readable(data) or data.decode(errors="backslashreplace")


def _readable(data: bytes) -> str | None:
    """As text, where it is text that a terminal can show."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if all(letter.isprintable() or letter in "\n\t" for letter in text) else None


def hex_dump(data: bytes) -> str:
    """Offset, sixteen bytes, and what of them is ASCII, a line each."""
    lines = []
    for begin in range(0, len(data), _HEX_COLUMNS):
        row = data[begin : begin + _HEX_COLUMNS]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{begin:08x}  {row.hex(' '):<{3 * _HEX_COLUMNS - 1}}  {text}")
    return "\n".join(lines)
