"""`forewarn replay`: a folder of events to the input topics."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.commands.common import (
    FOLDER,
    IsoDate,
    broker_options,
    expected,
    json_option,
    policy_from,
    policy_option,
    print_json,
    progress_bar,
    settings_from,
)

if TYPE_CHECKING:
    from streams.event_files import Line

_NAMED_MAX = 10
"""Lines too large that are named one by one; the rest is counted."""


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@broker_options
@policy_option
@click.option("--until", type=IsoDate(), help="Let every feed be complete up to the end of this day.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    help="Times as fast as it once happened (1 is real time). [default: as fast as it goes]",
)
@json_option
def replay(
    folder: Path,
    *,
    bootstrap: str | None,
    prefix: str | None,
    policy_file: Path | None,
    until: date | None,
    speed: float | None,
    as_json: bool,
) -> None:
    """Write the event files in DIR to the input topics, in the order in which the lender learnt of them.

    Every line is sent unchanged, also what a worker will reject. Heartbeats keep a worker with FOREWARN_CLOCK=event in
    that order; the policy's time zone and lateness decide when they are due.
    """
    from models.rules import Rules
    from streams.clock import SystemClock
    from streams.commands.sending import count_partitions, counted, send, sendable
    from streams.event_files import EventFilesError, EventFolder
    from streams.kafka.feeding import FeedingError
    from streams.kafka.inspection import InspectionError
    from streams.replay import ReplayError

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    rules = Rules(policy_from(policy_file))
    clock = SystemClock()
    now_ms = clock.now_ms()
    too_large: list[Line] = []
    with expected(EventFilesError, FeedingError, InspectionError, ReplayError):
        partitions = count_partitions(settings)
        with progress_bar("reading", "bytes") as reading:
            lines = EventFolder(folder, now_ms, reading)
        with progress_bar("replaying", "lines") as progress:
            records = send(
                sendable(counted(lines, len(lines), progress), too_large),
                settings,
                rules,
                partitions,
                clock=clock,
                known_by_ms=now_ms,
                until=until,
                speed=speed,
            )
    sent = len(lines) - len(too_large)
    if as_json:
        print_json({"lines": sent, "heartbeats": records - sent, "too_large": len(too_large)})
    else:
        click.echo(f"{sent:,} lines and {records - sent:,} heartbeats written to {settings.broker}")
    _complain(too_large)


def _complain(too_large: list[Line]) -> None:
    if not too_large:
        return
    for line in too_large[:_NAMED_MAX]:
        click.echo(
            f"{line.file}:{line.number}: {len(line.raw):,} bytes are too large for Kafka: not sent", err=True
        )
    raise click.ClickException(f"{len(too_large)} lines were not sent; everything else was")
