"""`forewarn backtest`: the engine on files, without Kafka."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

import click

from models.comparison import Comparison
from models.policy import Policy
from streams.commands.common import (
    FILE,
    FOLDER,
    IsoDate,
    Progress,
    expected,
    instant_from,
    json_option,
    policy_from,
    print_json,
    progress_bar,
)

if TYPE_CHECKING:
    from streams.backtest import BacktestSummary, LearningLimits

_POLICIES_MAX: Final = 2
"""One judges; two are compared."""


class _Course(TypedDict):
    """What a run of one policy and one of two have in common."""

    now_ms: int
    scores: bool
    until: date | None
    learning: LearningLimits | None
    processes: int | None
    capacity_per_day: int
    progress: Progress


@click.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--out", type=FOLDER, default=Path("out"), show_default=True, help="Folder for what comes out.")
@click.option(
    "--policy",
    "policy_files",
    type=FILE,
    multiple=True,
    help="TOML file that overrides the packaged policy. Given twice, both policies judge the same events and are compared, "
    "the first one as `a`, the second one as `b`. [default: FOREWARN_POLICY_FILE, else none]",
)
@click.option(
    "--then",
    "switches",
    nargs=2,
    multiple=True,
    metavar="INSTANT FILE",
    help="Judge by the policy FILE from an instant on (event time: milliseconds or ISO 8601), as if published.",
)
@click.option("--scores", is_flag=True, help="Also write scores.jsonl: the probability after every event.")
@click.option(
    "--no-learning",
    is_flag=True,
    help="Score by the expert prior from the first day to the last. Without it a scorecard is learnt on the way, as live.",
)
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
    policy_files: tuple[Path, ...],
    switches: tuple[tuple[str, str], ...],
    scores: bool,
    no_learning: bool,
    until: date | None,
    capacity: int,
    processes: int | None,
    as_json: bool,
) -> None:
    """Run the engine over the event files in DIR, in the order in which the lender learnt of them.

    Writes alerts.jsonl (every revision, in order), rejected.jsonl (lines that are no events, and why) and report.json
    (counts, how good alerts and score were, where DIR has outcomes.jsonl, and what was learnt; as report.html, too) to OUT.

    A scorecard is learnt from what becomes of the borrowers, as running workers learn it: a new one at most once a week, which
    scores only what comes after it. scorecards.jsonl has all of them.

    With two policies OUT gets comparison.json, differences.jsonl (the alerts that differ) and report.html, and the folders
    OUT/a and OUT/b what a run of either policy alone writes. For the packaged policy as one of them give the file that
    `forewarn policy show` prints.
    """
    from streams.backtest import BacktestError, LearningLimits, NamedPolicy, compare_policies, run
    from streams.clock import SystemClock
    from streams.event_files import EventFilesError
    from streams.garbage import look_rarely

    look_rarely()
    if len(policy_files) > _POLICIES_MAX:
        raise click.UsageError(f"--policy: {len(policy_files)} files; one judges, or two are compared")
    if len(policy_files) == _POLICIES_MAX and switches:
        raise click.UsageError("--then: a later policy has no place where two are compared")
    policies = [policy_from(file) for file in policy_files or (None,)]
    following: list[tuple[int, Policy]] = []
    for instant, file in switches:
        changed = policy_from(Path(file))
        following.append((instant_from(instant, changed.time_zone, "--then"), changed))
    with expected(EventFilesError, BacktestError, OSError), progress_bar("backtest", "lines") as progress:
        course: _Course = {
            "now_ms": SystemClock().now_ms(),
            "scores": scores,
            "until": until,
            "learning": None if no_learning else LearningLimits(),
            "processes": processes,
            "capacity_per_day": capacity,
            "progress": progress,
        }
        told: BacktestSummary | Comparison
        if len(policies) == 1:
            told = run(folder, out, policies[0], switches=following, **course)
        else:
            a, b = (
                NamedPolicy(file.name, policy) for file, policy in zip(policy_files, policies, strict=True)
            )
            told = compare_policies(folder, out, a, b, **course)
    if as_json:
        print_json(told)
    elif isinstance(told, Comparison):
        _print_comparison(told, out)
    else:
        _print(told, out)


def _print(summary: BacktestSummary, out: Path) -> None:
    from streams.backtest.tables import learning_tables, report_tables, revisions_table

    click.echo(
        f"{summary.events:,} events of {summary.borrowers:,} borrowers, {summary.duplicates:,} duplicates"
    )
    for reason, count in summary.rejected.items():
        click.echo(f"rejected, {reason}: {count:,}")
    if summary.alerts:
        click.echo(f"\n{revisions_table(summary.alerts)}")
    files = ["alerts.jsonl", "rejected.jsonl", "report.json"]
    if summary.judgement is not None and summary.score is not None:
        for table in report_tables(summary.judgement, summary.score):
            click.echo(f"\n{table}")
    if summary.learning is not None:
        for table in learning_tables(summary.learning):
            click.echo(f"\n{table}")
        files.append("scorecards.jsonl")
    if (out / "report.html").exists():
        files.append("report.html")
    click.echo(f"\nwritten to {out}: {', '.join(files)}")


def _print_comparison(comparison: Comparison, out: Path) -> None:
    from streams.backtest.tables import comparison_tables

    for table in comparison_tables(comparison):
        click.echo(f"{table}\n")
    click.echo(
        f"written to {out}: comparison.json, differences.jsonl, report.html; a/ and b/: what either alone writes"
    )
