"""`forewarn backtest`: the engine on files, without Kafka."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from models.policy import Policy
from streams.commands.common import (
    FOLDER,
    IsoDate,
    expected,
    instant_from,
    json_option,
    policy_from,
    policy_option,
    print_json,
    progress_bar,
)

if TYPE_CHECKING:
    from streams.backtest import BacktestSummary


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--out", type=FOLDER, default=Path("out"), show_default=True, help="Folder for what comes out.")
@policy_option
@click.option(
    "--then",
    "switches",
    nargs=2,
    multiple=True,
    metavar="INSTANT FILE",
    help="Judge by the policy FILE from an instant on (event time: milliseconds or ISO 8601), as if published.",
)
@click.option("--scores", is_flag=True, help="Also write scores.jsonl: the probability after every event.")
@click.option("--until", type=IsoDate(), help="Let every feed be complete up to the end of this day.")
@click.option(
    "--capacity",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Borrowers that a team calls a day: the report tells how many of them it calls for good reason.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1, max=1024),
    metavar="N",
    help="Among how many the borrowers are parted; changes no byte. [default: all cores, fewer for a small folder]",
)
@json_option
def backtest(
    folder: Path,
    *,
    out: Path,
    policy_file: Path | None,
    switches: tuple[tuple[str, str], ...],
    scores: bool,
    until: date | None,
    capacity: int,
    processes: int | None,
    as_json: bool,
) -> None:
    """Run the engine over the event files in DIR, in the order in which the lender learnt of them.

    Writes alerts.jsonl (every revision, in order), rejected.jsonl (lines that are no events, and why) and report.json
    (counts, and how good the alerts were, where DIR has outcomes.jsonl) to OUT.
    """
    from streams.backtest import BacktestError, run
    from streams.clock import SystemClock
    from streams.event_files import EventFilesError

    policy = policy_from(policy_file)
    following: list[tuple[int, Policy]] = []
    for instant, file in switches:
        changed = policy_from(Path(file))
        following.append((instant_from(instant, changed.time_zone, "--then"), changed))
    with expected(EventFilesError, BacktestError, OSError), progress_bar("backtest", "lines") as progress:
        summary = run(
            folder,
            out,
            policy,
            now_ms=SystemClock().now_ms(),
            scores=scores,
            until=until,
            switches=following,
            processes=processes,
            capacity_per_day=capacity,
            progress=progress,
        )
    if as_json:
        print_json(summary)
    else:
        _print(summary, out)


def _print(summary: BacktestSummary, out: Path) -> None:
    click.echo(
        f"{summary.events:,} events of {summary.borrowers:,} borrowers, {summary.duplicates:,} duplicates"
    )
    for reason, count in summary.rejected.items():
        click.echo(f"rejected, {reason}: {count:,}")
    for signal, statuses in summary.alerts.items():
        told = ", ".join(f"{count:,} {status}" for status, count in statuses.items())
        click.echo(f"{signal}: {told}")
    judged = summary.judgement
    if judged is not None:
        click.echo(
            f"of {judged.borrowers_bad:,} bad borrowers {judged.borrowers_hit:,} were warned of in time; "
            f"precision {_share(judged.precision)}, recall {_share(judged.recall)}, "
            f"median lead {'-' if judged.lead_days_median is None else f'{judged.lead_days_median:.0f} days'}"
        )
    click.echo(f"written to {out}: alerts.jsonl, rejected.jsonl, report.json")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
