"""`forewarn simulate`: a made-up book of borrowers, as files or straight to Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    print_json,
    progress_bar,
    settings_from,
)
from streams.simulator.settings import VERSIONS, SimulationSettings

if TYPE_CHECKING:
    from streams.event_files import Line
    from streams.settings import Settings
    from streams.simulator import Delivery

_DEFAULTS = SimulationSettings()


@click.command()
@click.argument("folder", type=FOLDER, required=False)
@click.option("--borrowers", type=int, default=_DEFAULTS.borrowers, show_default=True, help="How many.")
@click.option(
    "--months", type=int, default=_DEFAULTS.months, show_default=True, help="Whole months observed."
)
@click.option("--start", type=IsoDate(), default=_DEFAULTS.start, show_default=True, help="First day.")
@click.option(
    "--seed", type=int, default=_DEFAULTS.seed, show_default=True, help="Same seed, same book, same bytes."
)
@click.option(
    "--late-share",
    type=float,
    default=_DEFAULTS.late_share,
    show_default=True,
    help="Part of the events (0 to 1) that the lender learns hours to days late.",
)
@click.option(
    "--duplicate-share",
    type=float,
    default=_DEFAULTS.duplicate_share,
    show_default=True,
    help="Part of the events (0 to 1) that are delivered twice.",
)
@click.option(
    "--book",
    type=click.IntRange(1, VERSIONS),
    default=_DEFAULTS.version,
    show_default=True,
    help="Version of the book: 1, in which each cause has a schedule of its own, or 2, in which defaults come from a hazard "
    "that shows in the events.",
)
@click.option("--gzip", "packed", is_flag=True, help="Write .jsonl.gz.")
@click.option("--to-kafka", is_flag=True, help="Write to the input topics instead of FOLDER.")
@broker_options
@json_option
def simulate(
    folder: Path | None,
    *,
    borrowers: int,
    months: int,
    start: date,
    seed: int,
    late_share: float,
    duplicate_share: float,
    book: int,
    packed: bool,
    to_kafka: bool,
    bootstrap: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Simulate a book of borrowers with jobs, loans, habits and hidden causes of trouble.

    Writes the event files, outcomes.jsonl (how it ended with each borrower) and truth.jsonl (what each signal should
    tell) to FOLDER. With --to-kafka, the events go to the input topics, with the heartbeats of a replay.
    """
    if (folder is None) != to_kafka:
        raise click.UsageError("name a FOLDER, or use --to-kafka")
    with expected(ValueError):
        settings = SimulationSettings(
            version=book,
            borrowers=borrowers,
            months=months,
            start=start,
            seed=seed,
            late_share=late_share,
            duplicate_share=duplicate_share,
        )
    if folder is not None:
        _to_folder(settings, folder, packed=packed, as_json=as_json)
    else:
        _to_kafka(settings, settings_from(broker=bootstrap, topic_prefix=prefix), as_json=as_json)


def _to_folder(settings: SimulationSettings, folder: Path, *, packed: bool, as_json: bool) -> None:
    from streams.event_folder_writer import FolderInUseError
    from streams.simulator import write_folder

    with expected(FolderInUseError, OSError), progress_bar("simulating", "borrowers") as progress:
        counts = write_folder(settings, folder, progress, packed=packed)
    if as_json:
        print_json(counts)
    else:
        click.echo(
            f"{counts.borrowers:,} borrowers, {counts.bad:,} of them bad; {counts.events:,} events in {folder}"
        )


def _to_kafka(settings: SimulationSettings, where: Settings, *, as_json: bool) -> None:
    from models.rules import Rules
    from streams.clock import SystemClock
    from streams.commands.sending import count_partitions, send
    from streams.kafka.feeding import FeedingError
    from streams.kafka.inspection import InspectionError
    from streams.replay import ReplayError
    from streams.simulator import simulate as deliveries_of

    clock = SystemClock()
    now_ms = clock.now_ms()
    with expected(InspectionError, FeedingError, ReplayError):
        partitions = count_partitions(where)
        with progress_bar("simulating", "borrowers") as progress:
            lines = _lines_of(deliveries_of(settings, progress=progress), now_ms)
            records = send(
                lines, where, Rules(policy_from(None)), partitions, clock=clock, known_by_ms=now_ms
            )
    if as_json:
        print_json({"borrowers": settings.borrowers, "records": records})
    else:
        click.echo(f"{settings.borrowers:,} borrowers; {records:,} records written to {where.broker}")


def _lines_of(deliveries: Iterable[Delivery], now_ms: int) -> Iterator[Line]:
    """Simulated events as if they were read from files."""
    from models.events import TOPICS
    from streams.codec import Decoder
    from streams.event_files import Line, file_of

    decoders = {topic: Decoder(topic, keyed=False) for topic in TOPICS}
    indices = {topic: index for index, topic in enumerate(TOPICS)}
    for number, delivery in enumerate(deliveries, start=1):
        content = decoders[delivery.topic].decode(delivery.payload, None, now_ms)
        yield Line(
            indices[delivery.topic],
            file_of(delivery.topic),
            number,
            delivery.place_ms,
            delivery.payload,
            content,
        )
