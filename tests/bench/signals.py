"""How good is each signal? `nice python -m tests.bench.signals --borrowers 10000 --months 24 --seeds 1,2,3`.

Simulates a book a seed, runs `forewarn backtest`'s engine over it, and judges the alerts by `truth.jsonl` (what each signal
should have told, defined by the simulated cause: see `streams/simulator/__init__.py`) and `outcomes.jsonl`. Prints a Markdown
table, or with `--json` everything, also by cause and seed. Several seeds are pooled: their counts are summed.

- **recall**: episodes of the truth during which an alert was open, of all.
- **precision**: alerts that stood (not retracted) and were open during some episode of the truth, of all that stood.
- **lead days**: median from a bad borrower's first alert of the signal that stood to `bad`, where 1 to 180 days lie between.
- **delay days**: median from the beginning of an episode to the opening of the first alert that found it; 0 where it was open.
- **alerts a month**: alerts opened, retracted ones included, per 1,000 borrowers and month of 365.25 / 12 days, until `bad`.
- **false among stable**: alerts that stood and were open during no episode of the truth, per 100 borrower-years of borrowers
  whom no cause befell.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from msgspec import Struct

from models.calendars import DAY_MS, date_of_day
from models.judging import HIT_DAYS_MAX, HIT_DAYS_MIN, MONTH_DAYS, Outcome, Truth
from models.policy import default_policy
from models.signal_table import SIGNALS
from streams.backtest import ALERTS_FILE, run
from streams.event_files import read_outcomes, read_truth
from streams.simulator import SimulationSettings, write_folder
from streams.simulator.horizon import Horizon
from streams.simulator.lives import causes

PLANNED: Final = (
    "missed_payment",
    "income_drop",
    "multi_platform_borrowing",
    "payment_at_risk",
    "borrowing_to_repay",
    "over_indebtedness",
    "fund_misuse",
    "asset_flight",
    "unreachable",
    "relapse",
    "risk_score",
    "linked_distress",
)
"""The blueprint's signals, in the order of their numbers."""
_LATER_MS: Final = 10**13
"""The time of the run: everything simulated lies in its past."""


class _Revision(Struct, frozen=True):
    """What is needed of a line of `alerts.jsonl`."""

    alert_id: str
    status: str
    signal: str
    borrower_id: str
    event_time_ms: int
    opened_at_ms: int


class Episode(Struct):
    """One alert, opened and maybe closed."""

    borrower_id: str
    signal: str
    opened_ms: int
    closed_ms: int | None = None
    retracted: bool = False

    def overlaps(self, truth: Truth) -> bool:
        """As `models.judging` has it: open at some time of it, if only for an instant."""
        ended_ms = truth.until_ms if self.closed_ms is None else max(self.closed_ms, self.opened_ms + 1)
        return self.opened_ms < truth.until_ms and ended_ms > truth.from_ms


class Tally(Struct):
    """One signal's counts, which can be summed over books."""

    truths: Counter[str] = msgspec.field(default_factory=Counter)
    """By cause."""
    found: Counter[str] = msgspec.field(default_factory=Counter)
    alerts: int = 0
    stood: int = 0
    false: int = 0
    false_stable: int = 0
    false_by_cause: Counter[str] = msgspec.field(default_factory=Counter)
    """By what had befallen, or would befall, the borrower."""
    lead_days: list[float] = []
    delay_days: list[float] = []

    def add(self, other: Tally) -> None:
        """Pool another book's counts."""
        for name in ("truths", "found", "false_by_cause"):
            getattr(self, name).update(getattr(other, name))
        for name in ("alerts", "stood", "false", "false_stable", "lead_days", "delay_days"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Book(Struct):
    """The counts of one book, or of several."""

    borrower_months: float = 0.0
    stable_years: float = 0.0
    borrowers: int = 0
    stable: int = 0
    bad: int = 0
    tallies: dict[str, Tally] = {}

    def add(self, other: Book) -> None:
        """Pool another book."""
        for name in ("borrower_months", "stable_years", "borrowers", "stable", "bad"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for signal, tally in other.tallies.items():
            self.tallies.setdefault(signal, Tally()).add(tally)


class Row(Struct, frozen=True):
    """What is told of one signal; null where it is not built, or cannot be computed."""

    signal: str
    truths: int
    built: bool = False
    recall: float | None = None
    precision: float | None = None
    lead_days: float | None = None
    delay_days: float | None = None
    alerts_per_1000_borrower_months: float | None = None
    false_per_100_stable_years: float | None = None
    recall_by_cause: dict[str, str] = {}
    """Found of all, by cause of the truth."""
    false_by_cause: dict[str, int] = {}


def evaluate(settings: SimulationSettings) -> Book:
    """Simulate a book, run the engine over it, and count."""
    horizon = Horizon(settings)
    with tempfile.TemporaryDirectory(prefix="forewarn-signals-") as folder:
        there, out = Path(folder) / "in", Path(folder) / "out"
        write_folder(settings, there)
        until = date_of_day(horizon.end_day - 1)
        run(there, out, default_policy(), now_ms=_LATER_MS, until=until)
        outcomes, truths = read_outcomes(there) or [], read_truth(there) or []
        with (out / ALERTS_FILE).open("rb") as file:
            episodes = episodes_of(msgspec.json.decode(line, type=_Revision) for line in file)
    return count(outcomes, truths, episodes, causes(settings), horizon.begin_ms)


def episodes_of(revisions: Iterable[_Revision]) -> list[Episode]:
    """The alerts, of their revisions in the order in which they were published."""
    episodes: dict[str, Episode] = {}
    for revision in revisions:
        episode = episodes.setdefault(
            revision.alert_id, Episode(revision.borrower_id, revision.signal, revision.opened_at_ms)
        )
        if revision.status in ("resolved", "retracted"):
            episode.closed_ms = revision.event_time_ms
            episode.retracted = revision.status == "retracted"
    return list(episodes.values())


def count(
    outcomes: Iterable[Outcome],
    truths: Iterable[Truth],
    episodes: Iterable[Episode],
    cause_of: Mapping[str, str],
    begin_ms: int,
) -> Book:
    """Compare the alerts of one book with its truth.

    Args:
        outcomes: one a borrower.
        truths: what each signal should have told.
        episodes: the alerts.
        cause_of: what befell each borrower, or `none`.
        begin_ms: when the observation began.
    """
    fates = {outcome.borrower_id: outcome for outcome in outcomes}
    book = Book(borrowers=len(fates), bad=sum(fate.outcome == "bad" for fate in fates.values()))
    for borrower_id, fate in fates.items():
        days = (fate.time_ms - begin_ms) / DAY_MS
        book.borrower_months += days / MONTH_DAYS
        if cause_of[borrower_id] == "none":
            book.stable += 1
            book.stable_years += days / 365.25
    told: dict[tuple[str, str], list[Truth]] = defaultdict(list)
    for truth in truths:
        told[truth.signal, truth.borrower_id].append(truth)
    raised: dict[tuple[str, str], list[Episode]] = defaultdict(list)
    for episode in episodes:
        raised[episode.signal, episode.borrower_id].append(episode)
    for signal, borrower_id in sorted(told.keys() | raised.keys()):
        tally = book.tallies.setdefault(signal, Tally(lead_days=[], delay_days=[]))
        key = signal, borrower_id
        _count_one(tally, fates[borrower_id], told.get(key, []), raised.get(key, []), cause_of[borrower_id])
    return book


def _count_one(tally: Tally, fate: Outcome, truths: list[Truth], episodes: list[Episode], cause: str) -> None:
    """One signal, one borrower."""
    standing = [episode for episode in episodes if not episode.retracted]
    tally.alerts += len(episodes)
    tally.stood += len(standing)
    for truth in truths:
        opened_ms = [episode.opened_ms for episode in standing if episode.overlaps(truth)]
        tally.truths[truth.cause] += 1
        if opened_ms:
            tally.found[truth.cause] += 1
            tally.delay_days.append(max(0, min(opened_ms) - truth.from_ms) / DAY_MS)
    false = sum(not any(episode.overlaps(truth) for truth in truths) for episode in standing)
    tally.false += false
    if false:
        tally.false_by_cause[cause] += false
    if cause == "none":
        tally.false_stable += false
    if fate.outcome == "bad":
        lead_days = [(fate.time_ms - episode.opened_ms) / DAY_MS for episode in standing]
        in_time = [days for days in lead_days if HIT_DAYS_MIN <= days <= HIT_DAYS_MAX]
        if in_time:
            tally.lead_days.append(max(in_time))


def rows(book: Book) -> Iterator[Row]:
    """One a planned signal."""
    built = {signal.name for signal in SIGNALS}
    for signal in PLANNED:
        tally = book.tallies.get(signal, Tally(lead_days=[], delay_days=[]))
        truths = sum(tally.truths.values())
        if signal not in built:
            yield Row(signal=signal, truths=truths)
            continue
        yield Row(
            signal=signal,
            built=True,
            truths=truths,
            recall=_ratio(sum(tally.found.values()), truths),
            precision=_ratio(tally.stood - tally.false, tally.stood) if truths else None,
            lead_days=_median(tally.lead_days),
            delay_days=_median(tally.delay_days),
            alerts_per_1000_borrower_months=_ratio(1000 * tally.alerts, book.borrower_months),
            false_per_100_stable_years=_ratio(100 * tally.false_stable, book.stable_years)
            if truths
            else None,
            recall_by_cause={cause: f"{tally.found[cause]}/{n}" for cause, n in sorted(tally.truths.items())},
            false_by_cause=dict(sorted(tally.false_by_cause.items())),
        )


def markdown(table: Iterable[Row]) -> str:
    """The rows for a README."""
    heads = (
        "signal",
        "episodes",
        "recall",
        "precision",
        "lead days",
        "delay days",
        "alerts a month per 1,000",
        "false among stable, per 100 borrower-years",
    )
    lines = [f"| {' | '.join(heads)} |", "|---|--:|--:|--:|--:|--:|--:|--:|"]
    for row in table:
        if not row.built:
            lines.append(f"| `{row.signal}` | {row.truths:,} | not built | | | | | |")
            continue
        cells = (
            f"`{row.signal}`",
            f"{row.truths:,}",
            _share(row.recall),
            _share(row.precision),
            _number(row.lead_days, 0),
            _number(row.delay_days, 1),
            _number(row.alerts_per_1000_borrower_months, 1),
            _number(row.false_per_100_stable_years, 2),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:,.{decimals}f}"


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _median(values: list[float]) -> float | None:
    return round(median(values), 2) if values else None


def main() -> None:
    """Evaluate the books asked for, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.signals", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--borrowers", type=int, default=10_000)
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--start", type=date.fromisoformat, default=SimulationSettings().start)
    parser.add_argument("--seeds", default="1,2,3", help="comma-separated")
    parser.add_argument("--json", action="store_true", help="everything, by seed and pooled")
    given = parser.parse_args()
    pooled, by_seed = Book(tallies={}), {}
    seeds = [int(seed) for seed in given.seeds.split(",")]
    books = [
        SimulationSettings(borrowers=given.borrowers, months=given.months, seed=seed, start=given.start)
        for seed in seeds
    ]
    with ProcessPoolExecutor() as processes:
        for seed, book in zip(seeds, processes.map(evaluate, books), strict=True):
            by_seed[seed] = list(rows(book))
            pooled.add(book)
    table = list(rows(pooled))
    head = (
        f"{pooled.borrowers:,} borrowers, {pooled.borrower_months:,.0f} borrower-months; {pooled.bad:,} bad; "
        f"{pooled.stable:,} stable, {pooled.stable_years:,.0f} borrower-years"
    )
    if given.json:
        everything = {"book": head, "signals": table, "by_seed": {str(s): r for s, r in by_seed.items()}}
        print(msgspec.json.format(msgspec.json.encode(everything), indent=2).decode())
    else:
        print(f"{head}\n\n{markdown(table)}")


if __name__ == "__main__":
    main()
