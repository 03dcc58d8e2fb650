"""`forewarn borrower`: all that is known of one borrower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from streams.commands.common import (
    broker_options,
    expected,
    json_option,
    named_fields,
    print_json,
    settings_from,
)
from streams.wording import one_line

if TYPE_CHECKING:
    from models.alerts import Alert
    from streams.kafka.inspection import Inspector
    from streams.topics import TopicNames

_CLOSED = frozenset({"resolved", "retracted"})


@click.group()
def borrower() -> None:
    """Look at one borrower."""


@borrower.command()
@click.argument("borrower_id", metavar="ID")
@broker_options
@json_option
def show(borrower_id: str, *, bootstrap: str | None, prefix: str | None, as_json: bool) -> None:
    """Show a borrower's risk, open alerts and state, as the workers last committed them.

    The borrower's partition is found as Kafka's Java client finds it (murmur2 of the id), and read from its beginning.
    """
    from models.borrower import CorruptStateError
    from streams.kafka.inspection import InspectionError, Inspector
    from streams.topics import TopicNames

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    names = TopicNames(settings.topic_prefix)
    with expected(InspectionError, CorruptStateError), Inspector(settings) as inspector:
        found = _look_up(inspector, names, borrower_id)
    if found is None:
        raise click.ClickException(f"nothing is known of borrower {borrower_id}")
    if as_json:
        print_json(found)
    else:
        _print(found)


def _look_up(inspector: Inspector, names: TopicNames, borrower_id: str) -> dict[str, Any] | None:
    from models.borrower import decode_borrower
    from streams.partitioner import partition_of

    key = borrower_id.encode()
    partition = partition_of(key, inspector.require(names.state))
    state = inspector.latest(names.state, partition, key)
    risk = inspector.latest(names.borrower_risk, partition, key)
    open_alerts = _open_alerts(inspector, names.alerts, partition, key)
    if state is None and risk is None and not open_alerts:
        return None
    return {
        "borrower_id": borrower_id,
        "partition": partition,
        "risk": None if risk is None else msgspec.Raw(risk),
        "open_alerts": open_alerts,
        "state": None if state is None else named_fields(decode_borrower(borrower_id, state)),
        "state_bytes": None if state is None else len(state),
    }


def _open_alerts(inspector: Inspector, topic: str, partition: int, key: bytes) -> list[Alert]:
    from models.alerts import Alert

    decode = msgspec.json.Decoder(Alert).decode
    latest: dict[str, Alert] = {}
    for record in inspector.read(topic, [partition]):
        if record.key == key and record.value is not None:
            alert = decode(record.value)
            latest[alert.alert_id] = alert
    return [alert for alert in latest.values() if alert.status not in _CLOSED]


def _print(found: dict[str, Any]) -> None:
    click.echo(f"borrower {found['borrower_id']}, partition {found['partition']}")
    click.echo("\nrisk")
    risk = found["risk"]
    click.echo("  none yet" if risk is None else _indented(msgspec.json.decode(risk)))
    click.echo(f"\nopen alerts: {len(found['open_alerts'])}")
    for alert in found["open_alerts"]:
        click.echo(f"  {one_line(alert)}")
        for classified in _classes_of(alert):
            click.echo(f"    class: {classified}")
    click.echo(f"\nstate ({found['state_bytes'] or 0:,} bytes)")
    if found["state"] is not None:
        click.echo(_indented(found["state"]))


def _classes_of(alert: Alert) -> list[str]:
    """The regulatory classes that an alert shows, each with its pack and the rule that set it."""
    return [
        f"{reason.evidence['classification']} "
        f"({reason.evidence.get('classification_pack')}, by {reason.evidence.get('classification_rule')})"
        for reason in alert.reasons
        if "classification" in reason.evidence
    ]


def _indented(value: object) -> str:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return "\n".join(f"  {line}" for line in text.splitlines())
