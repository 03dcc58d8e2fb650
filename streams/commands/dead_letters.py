"""`forewarn dead-letters`: what came in and could not be used, and what is done about it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from streams.commands.common import (
    Command,
    broker_options,
    expected,
    json_option,
    policy_from,
    policy_option,
    print_json,
    settings_from,
)
from streams.retrying import TRIES_MAX, WHY, Place, Retry, Selection, place_of

if TYPE_CHECKING:
    from streams.dead_letters import Letter, Receipt, Settled
    from streams.kafka.inspection import Inspector
    from streams.kafka.releases import Releases
    from streams.kafka.writing import RecordWriter
    from streams.retrying import Return
    from streams.settings import Settings

_SHOWN_BYTES: Final = 200
"""Of a payload, in the list for the eye; `show` and --json have all of it."""
_AT_ONCE: Final = 200
"""Letters put back before their receipts are written: what is repeated at most when the command is killed between."""
_HEX_COLUMNS: Final = 16


class _PlaceType(click.ParamType):
    """A record by where it stands."""

    name = "PLACE"

    def convert(self, value: str | Place, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Read it, or say what is expected."""
        if isinstance(value, Place):
            return value
        place = place_of(value)
        if place is None:
            self.fail(
                f"{value!r}: expected PARTITION/OFFSET of the letter, or TOPIC:PARTITION/OFFSET of the refused record",
                param,
                ctx,
            )
        return place


_places = click.argument("places", metavar="[PLACE]...", nargs=-1, type=_PlaceType())


def _filters(command: Command) -> Command:
    reason = click.option("--reason", metavar="WORD", multiple=True, help="Only these reasons.")
    topic = click.option("--topic", metavar="NAME", multiple=True, help="Only from these input topics.")
    return reason(topic(command))


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at what was rejected, and put it right.

    A PLACE is PARTITION/OFFSET of a dead letter, or TOPIC:PARTITION/OFFSET of the record that was refused; `list` prints
    both.
    """


@dead_letters.command("list")
@broker_options
@_filters
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
        settled = _settled(inspector, settings)
        for letter in _letters(inspector, settings):
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


@dead_letters.command()
@click.argument("place", type=_PlaceType())
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
        settled = _settled(inspector, settings)
        found = [letter for letter in _letters(inspector, settings) if selection.has(letter)]
    if not found:
        raise click.ClickException(f"no dead letter at {place}")
    for letter in found:
        became = settled.get((letter.partition, letter.offset))
        if as_json:
            print_json(_as_document(letter, became) | {"headers": [list(pair) for pair in letter.headers]})
        else:
            _print_in_full(letter, became)


@dead_letters.command()
@_places
@broker_options
@_filters
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
    from streams.topics import TopicNames

    _require_choice(places, reason, topic, everything=everything)
    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    names = TopicNames(settings.topic_prefix)
    with expected(InspectionError, WritingError), Inspector(settings) as inspector:
        count = inspector.require(names.inputs[0])
        run = Retry(
            Selection(frozenset(places), frozenset(reason), frozenset(topic)),
            _settled(inspector, settings),
            names.inputs,
            tries_max=tries_max,
            partition_of=(lambda key: partition_of(key, count)) if repartition else None,
        )
        chosen = run.choose(_letters(inspector, settings))
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


@dead_letters.command()
@_places
@broker_options
@_filters
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
    from streams.progress import CorruptProgressError
    from streams.releasing import held_borrower

    _require_choice(places, reason, topic, everything=borrower is not None, instead="--borrower")
    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    rules = Rules(policy_from(policy_file))
    clock = SystemClock()
    selection = Selection(frozenset(places), frozenset(reason), frozenset(topic))
    with expected(InspectionError, WritingError, CorruptProgressError), Inspector(settings) as inspector:
        releases = Releases(inspector, settings, rules, clock.now_ms(), _settled(inspector, settings))
        chosen = [
            letter
            for letter in _letters(inspector, settings)
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


def _require_choice(
    places: tuple[Place, ...],
    reason: tuple[str, ...],
    topic: tuple[str, ...],
    *,
    everything: bool,
    instead: str = "--all",
) -> None:
    if everything == bool(places or reason or topic):
        raise click.UsageError(f"say which: a PLACE, --reason or --topic, or else {instead}")


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


# ---- reading ---------------------------------------------------------------------------------------------------------


def _records(inspector: Inspector, settings: Settings) -> Iterator[Letter | Receipt]:
    from streams.dead_letters import read_letter
    from streams.ports import Headers
    from streams.topics import TopicNames

    name = TopicNames(settings.topic_prefix).dead_letters
    for read in inspector.read(name, range(inspector.require(name))):
        headers = cast(Headers, read.headers)
        yield read_letter(read.partition, read.offset, read.key, read.value, headers)


def _settled(inspector: Inspector, settings: Settings) -> dict[tuple[int, int], Settled]:
    """What became of letters: receipts stand behind them, so they are read first."""
    from streams.retrying import settled_letters

    return settled_letters(_records(inspector, settings))


def _letters(inspector: Inspector, settings: Settings) -> Iterator[Letter]:
    from streams.dead_letters import Letter

    return (record for record in _records(inspector, settings) if isinstance(record, Letter))


# ---- printing --------------------------------------------------------------------------------------------------------


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
