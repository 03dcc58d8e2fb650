"""`forewarn demo`: the main job, whole, on one machine."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
import msgspec

from streams.commands.common import FILE, FOLDER, expected
from streams.wording import columns

if TYPE_CHECKING:
    from streams.demo import DemoOptions, DemoSummary

_INTERRUPTED = 128 + signal.SIGINT
_STATUSES = ("opened", "escalated", "eased", "updated", "resolved", "retracted")


@click.command()
@click.option("--events", type=FOLDER, metavar="DIR", help="Replay these events instead of a simulated book.")
@click.option(
    "--borrowers",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Of the simulated book.",
)
@click.option(
    "--months", type=click.IntRange(min=1), default=12, show_default=True, help="Whole months simulated."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Same seed, same book."
)
@click.option(
    "--partitions", type=click.IntRange(1, 64), default=4, show_default=True, help="Of every input topic."
)
@click.option("--workers", type=click.IntRange(1, 16), default=1, show_default=True, help="Worker processes.")
@click.option("--keep", is_flag=True, help="Leave all running at the end, until Ctrl-C, to look further.")
@click.option("--json-summary", type=FILE, metavar="FILE", help="Also write the summary as JSON.")
@click.option(
    "--plain", is_flag=True, help="Lines instead of a live view; so it is where stdout is no terminal."
)
def demo(
    *,
    events: Path | None,
    borrowers: int,
    months: int,
    seed: int,
    partitions: int,
    workers: int,
    keep: bool,
    json_summary: Path | None,
    plain: bool,
) -> None:
    """Run everything once: Kafka, topics, workers, a book of borrowers, alerts, and how good they were.

    Uses the Kafka named in FOREWARN_BROKER, else starts a real one, which is gone at the end with all data. Ctrl-C at
    any moment leaves nothing running.
    """
    from streams.demo import DemoOptions

    options = DemoOptions(
        events=events,
        borrowers=borrowers,
        months=months,
        seed=seed,
        partitions=partitions,
        workers=workers,
        keep=keep,
        plain=plain,
    )
    former = signal.signal(signal.SIGTERM, _end)
    try:
        _run(options, json_summary)
    except KeyboardInterrupt:
        click.echo("stopped; nothing is left running", err=True)
        sys.exit(_INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, former)


def _end(number: int, _frame: FrameType | None) -> None:
    """Clean up on the way out, as Ctrl-C does."""
    sys.exit(128 + number)


def _run(options: DemoOptions, json_summary: Path | None) -> None:
    from streams.clock import SystemClock
    from streams.demo import DemoError, running_demo
    from streams.event_files import EventFilesError
    from streams.kafka.inspection import InspectionError
    from streams.kafka.local import BrokerUnavailableError
    from streams.pipeline import PipelineError
    from streams.ports import PortError
    from streams.settings import SettingsError

    failures = (
        BrokerUnavailableError,
        DemoError,
        EventFilesError,
        InspectionError,
        PipelineError,
        PortError,
        SettingsError,
        OSError,
    )
    with expected(*failures), running_demo(options, SystemClock()) as running:
        _print(running.summary)
        if json_summary is not None:
            json_summary.write_bytes(
                msgspec.json.format(msgspec.json.encode(running.summary), indent=2) + b"\n"
            )
        _tell_how_to_look_further(running.summary, keep=options.keep)
        if options.keep:
            running.wait()


def _print(summary: DemoSummary) -> None:
    click.echo()
    click.echo(
        f"{summary.events:,} events and {summary.heartbeats:,} heartbeats in {summary.seconds:.1f} s: "
        f"{summary.events_per_second:,.0f} events/s, {summary.workers} worker(s), {summary.partitions} partitions, "
        f"{summary.kafka}"
    )
    if summary.dead_letters:
        click.echo(f"{summary.dead_letters:,} records were rejected: see `forewarn dead-letters list`")
    click.echo("\nalerts, read back read_committed (revisions)")
    rows = [
        (name, *(statuses.get(status, 0) for status in _STATUSES))
        for name, statuses in summary.alerts.items()
    ]
    click.echo(columns(("signal", *_STATUSES), rows) if rows else "  none")
    _print_judgement(summary)


def _print_judgement(summary: DemoSummary) -> None:
    judged = summary.judgement
    if judged is None:
        click.echo("\nno outcomes.jsonl in the folder: nothing to judge the alerts by")
        return
    told = [
        (name, one.truth_episodes, one.found, one.missed, one.false, one.lead_days_median)
        for name, one in judged.signals.items()
        if one.truth_episodes is not None
    ]
    if told:
        click.echo("\nagainst what each signal should have told (truth.jsonl), in episodes")
        click.echo(columns(("signal", "truth", "found", "missed", "false", "median lead days"), told))
    click.echo(
        f"\n{judged.borrowers_bad:,} of {judged.borrowers:,} borrowers went bad; {judged.borrowers_hit:,} of them were "
        f"warned of 1 to 180 days before, while nothing was past due"
    )
    click.echo(
        f"median lead time {_days(judged.lead_days_median)}; precision {_share(judged.precision)}, "
        f"recall {_share(judged.recall)}; "
        f"{_number(judged.alerts_per_1000_borrower_months)} alerts per 1,000 borrower-months"
    )


def _tell_how_to_look_further(summary: DemoSummary, *, keep: bool) -> None:
    click.echo()
    if summary.kafka == "memory":
        click.echo(
            "It ran in memory, so nothing is left to look at. With Java 17 and Maven it runs over Kafka."
        )
        return
    if not keep:
        click.echo("To look further, run it again with --keep, and in another terminal:")
    else:
        click.echo("All is still running, until Ctrl-C. In another terminal:")
    prefix = f" FOREWARN_TOPIC_PREFIX={summary.topic_prefix}" if summary.topic_prefix else ""
    where = f"FOREWARN_BROKER={summary.kafka}{prefix} FOREWARN_GROUP_ID={summary.group_id}"
    if keep:
        click.echo(f"  export {where}")
    else:
        click.echo("  export FOREWARN_BROKER=...    # it says which")
    for command in (
        "forewarn alerts tail --until-end --severity serious",
        "forewarn borrower show ID",
        "forewarn lag",
        "forewarn dead-letters list",
    ):
        click.echo(f"  {command}")


def _days(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} days"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"
