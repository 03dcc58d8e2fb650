"""`forewarn alerts`: what goes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, get_args

import click
import msgspec

from models.alerts import Alert, SeverityName, SignalName, Status
from streams.commands.common import broker_options, expected, json_option, settings_from
from streams.wording import one_line

if TYPE_CHECKING:
    from streams.kafka.inspection import Read

_SEVERITIES: tuple[str, ...] = get_args(SeverityName)


_WAIT_MS = 500
"""How long to wait for alerts before looking whether somebody pressed Ctrl-C."""


@click.group()
def alerts() -> None:
    """Look at the alerts."""


@alerts.command()
@broker_options
@click.option("--from-beginning", is_flag=True, help="Also what was published before now.")
@click.option("--until-end", is_flag=True, help="All there are as of now, and no waiting for more.")
@click.option("--signal", type=click.Choice(get_args(SignalName)), multiple=True, help="Only these signals.")
@click.option("--status", type=click.Choice(get_args(Status)), multiple=True, help="Only these statuses.")
@click.option("--severity", type=click.Choice(_SEVERITIES), help="Only this severity and above.")
@click.option("--borrower", metavar="ID", help="Only this borrower.")
@json_option
def tail(
    *,
    bootstrap: str | None,
    prefix: str | None,
    from_beginning: bool,
    until_end: bool,
    signal: tuple[str, ...],
    status: tuple[str, ...],
    severity: str | None,
    borrower: str | None,
    as_json: bool,
) -> None:
    """Print alerts as they are published, one a line; only committed ones. Ctrl-C ends it.

    --until-end prints all there are, from the beginning.

    With --json each line is the very record of the topic.
    """
    from streams.kafka.inspection import InspectionError, Inspector
    from streams.partitioner import partition_of
    from streams.pseudonym import PseudonymError, is_pseudonym, pseudonyms_from
    from streams.topics import TopicNames

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    topic = TopicNames(settings.topic_prefix).alerts
    with expected(InspectionError, PseudonymError), Inspector(settings) as inspector:
        count = inspector.require(topic)
        partitions: Sequence[int] = range(count)
        # A pseudonym does not tell its partition.
        if borrower is not None and not is_pseudonym(borrower):
            partitions = [partition_of(borrower.encode(), count)]
            pseudonyms = pseudonyms_from(settings.pseudonym_key_file)
            borrower = borrower if pseudonyms is None else pseudonyms.of(borrower)
        wanted = _filter(signal, status, severity, borrower)
        try:
            if until_end:
                for record in inspector.read(topic, partitions):
                    _print(record, wanted, as_json=as_json)
                return
            inspector.begin(topic, partitions, from_beginning=from_beginning)
            while True:
                for record in inspector.poll(_WAIT_MS):
                    _print(record, wanted, as_json=as_json)
        except KeyboardInterrupt:
            return  # how one stops watching


def _filter(
    signals: tuple[str, ...], statuses: tuple[str, ...], severity: str | None, borrower: str | None
) -> Callable[[Alert], bool]:
    severities = _SEVERITIES[_SEVERITIES.index(severity) :] if severity else _SEVERITIES

    def wanted(alert: Alert) -> bool:
        return (
            (not signals or alert.signal in signals)
            and (not statuses or alert.status in statuses)
            and alert.severity in severities
            and (borrower is None or alert.borrower_id == borrower)
        )

    return wanted


_decode = msgspec.json.Decoder(Alert).decode


def _print(record: Read, wanted: Callable[[Alert], bool], *, as_json: bool) -> None:
    if record.value is None:
        return
    try:
        alert = _decode(record.value)
    except msgspec.DecodeError as error:
        click.echo(f"{record.topic} {record.partition}/{record.offset} is no alert: {error}", err=True)
        return
    if wanted(alert):
        click.echo(record.value if as_json else one_line(alert))
