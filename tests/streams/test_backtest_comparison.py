"""Two policies on the same past: what each alone would write, and exactly where they differ."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Alert, Severity
from models.comparison import Comparison, Difference, OneAlert, Sides
from models.policy import Policy, default_policy, parse_policy
from streams.backtest import NamedPolicy, compare_policies, run
from streams.backtest.processes import crew, crew_here
from streams.backtest.tables import comparison_tables
from tests.support.event_folders import NOW_MS, STORIES, told_story, write
from tests.support.events import loan, query

UNTIL = date(2025, 12, 1)
PACKAGED = NamedPolicy("packaged.toml", default_policy())
STRICTER = NamedPolicy(
    "stricter.toml",
    parse_policy(
        "[feeds.repayments]\nlateness_minutes = 2880\n[signals.missed_payment]\ngrace_days = 3\n"
        "severity = { watch = 1, warning = 5, serious = 20, critical = 90 }\n",
        "stricter.toml",
    ),
)
FOUR_INSTITUTIONS = NamedPolicy(
    "four.toml",
    parse_policy(
        "[signals.multi_platform_borrowing]\nseverity = { watch = 4, warning = 5, serious = 8 }\n",
        "four.toml",
    ),
)
_RANKS = {severity.word: severity for severity in Severity}


def compared(
    folder: Path,
    out: Path,
    a: NamedPolicy,
    b: NamedPolicy,
    *,
    shards: int = 1,
    hire: Callable[..., Any] = crew_here,
) -> Comparison:
    """Two policies over a folder, the shards in this process."""
    return compare_policies(
        folder, out, a, b, now_ms=NOW_MS, scores=True, until=UNTIL, processes=shards, hire=hire
    )


def written(out: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def alone(folder: Path, policy: Policy) -> dict[str, bytes]:
    """What a run of one policy writes."""
    with TemporaryDirectory() as out:
        run(folder, Path(out), policy, now_ms=NOW_MS, scores=True, until=UNTIL, processes=1)
        return written(Path(out))


def differences(out: Path) -> list[Difference]:
    """What `differences.jsonl` holds."""
    lines = (out / "differences.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Difference) for line in lines]


def raised(out: Path) -> dict[str, OneAlert]:
    """The alerts of one policy: when each opened, and the highest severity it had."""
    found: dict[str, OneAlert] = {}
    for line in (out / "alerts.jsonl").read_bytes().splitlines():
        alert = msgspec.json.decode(line, type=Alert)
        before = found.get(alert.alert_id)
        words = [alert.severity] if before is None else [alert.severity, before.severity]
        severity = max(words, key=_RANKS.__getitem__)
        found[alert.alert_id] = OneAlert(
            alert_id=alert.alert_id, opened_at_ms=alert.opened_at_ms, severity=severity
        )
    return found


def applying(day: str, borrower: str, institutions: int) -> list[Any]:
    """A borrower who applies for a loan at so many institutions, one a day."""
    first = date.fromisoformat(day).toordinal()
    return [
        query(date.fromordinal(first + number).isoformat(), f"i-{number}", borrower=borrower)
        for number in range(institutions)
    ]


@settings(max_examples=15, deadline=None)
@given(STORIES)
def test_a_policy_does_not_differ_from_itself(story: list[Any]) -> None:
    """Whatever happens: the same files on both sides, and not one alert that differs."""
    with TemporaryDirectory() as name:
        folder = write(Path(name) / "in", story)
        out = Path(name) / "out"
        comparison = compared(folder, out, PACKAGED, PACKAGED)

        assert written(out / "a") == written(out / "b")
        assert differences(out) == []
        assert comparison.settings == {}
        for one in (comparison.total, *comparison.signals.values()):
            assert (one.only, one.opened_first, one.severity_moves) == (Sides(0, 0), Sides(0, 0), ())
            assert one.both == one.alerts.a == one.alerts.b


@settings(max_examples=15, deadline=None)
@given(STORIES, st.permutations([PACKAGED, STRICTER, FOUR_INSTITUTIONS]))
def test_exactly_the_alerts_that_differ_are_told(story: list[Any], chosen: list[NamedPolicy]) -> None:
    """Either side is what the policy alone gives; what differs, taken off both sides, leaves the same alerts."""
    a, b, _ = chosen
    with TemporaryDirectory() as name:
        folder = write(Path(name) / "in", story)
        out = Path(name) / "out"
        comparison = compared(folder, out, a, b)
        told = differences(out)
        of_a, of_b = raised(out / "a"), raised(out / "b")

        assert written(out / "a") == alone(folder, a.policy)
        assert written(out / "b") == alone(folder, b.policy)
        for side, alerts in ((0, of_a), (1, of_b)):
            for one in ((difference.a, difference.b)[side] for difference in told):
                if one is not None:
                    assert alerts.pop(one.alert_id) == one
        assert of_a == of_b
        assert all(difference.a != difference.b for difference in told)
        assert comparison.total.alerts == Sides(len(raised(out / "a")), len(raised(out / "b")))


def test_a_threshold_shows_whose_alert_depends_on_it(tmp_path: Path) -> None:
    """From three institutions on, or from four: who asked three is warned of by the one alone, who asked five a day later."""
    folder = write(
        tmp_path / "in",
        [
            *applying("2025-03-01", "two", 2),
            *applying("2025-03-01", "three", 3),
            *applying("2025-03-01", "five", 5),
        ],
        bad={"three": "2025-05-01"},
        good=["two", "five"],
    )

    comparison = compared(folder, tmp_path / "out", PACKAGED, FOUR_INSTITUTIONS)
    told = {one.borrower_id: one for one in differences(tmp_path / "out")}
    signal = comparison.signals["multi_platform_borrowing"]

    assert comparison.policy_names == Sides("packaged.toml", "four.toml")
    assert comparison.settings == {"signals.multi_platform_borrowing.severity.watch": Sides(3, 4)}
    assert {borrower: one.difference for borrower, one in told.items()} == {
        "three": "only_a",
        "five": "opening",
    }
    assert (signal.alerts, signal.both, signal.only) == (Sides(2, 1), 1, Sides(1, 0))
    assert (signal.opened_first, signal.days_first_median) == (Sides(1, 0), Sides(1.0, None))
    assert signal.warnings is not None
    assert (signal.warnings.hit_only, signal.warnings.recall) == (Sides(1, 0), Sides(1.0, 0.0))
    assert signal.warnings.precision == Sides(0.5, 0.0)


def test_severities_that_move_are_counted(tmp_path: Path) -> None:
    """The same missed payment, serious after twenty days or after thirty."""
    policy = parse_policy("[signals.missed_payment.severity]\nserious = 20\n", "sooner.toml")
    folder = write(tmp_path / "in", [loan("2025-01-01", [("2025-11-07", 100_000)])])

    comparison = compared(folder, tmp_path / "out", PACKAGED, NamedPolicy("sooner.toml", policy))
    (move,) = comparison.signals["missed_payment"].severity_moves

    assert (move.a, move.b, move.alerts) == ("warning", "serious", 1)
    assert re.search("missed_payment +warning +serious +1$", list(comparison_tables(comparison))[-1])
    assert [one.difference for one in differences(tmp_path / "out")] == ["severity"]


@settings(max_examples=15, deadline=None)
@given(STORIES, st.sampled_from([2, 3, 7]))
def test_the_number_of_shards_changes_no_byte(story: list[Any], shards: int) -> None:
    """Of the comparison, the page, the differences, and of what either policy wrote."""
    with TemporaryDirectory() as name:
        folder = write(Path(name) / "in", story)
        for count in (1, shards):
            compared(folder, Path(name) / str(count), PACKAGED, STRICTER, shards=count)

        assert written(Path(name) / "1") == written(Path(name) / str(shards))


def test_processes_of_their_own_write_the_same_files(tmp_path: Path) -> None:
    """One process, or two for each policy."""
    folder = write(tmp_path / "in", told_story())
    for count in (1, 2):
        compared(folder, tmp_path / str(count), PACKAGED, STRICTER, shards=count, hire=crew)

    assert written(tmp_path / "1") == written(tmp_path / "2")


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    """The comparison and, folded, the page of either policy, well-formed and loading nothing."""
    compared(write(tmp_path / "in", told_story()), tmp_path / "out", PACKAGED, STRICTER)
    page = (tmp_path / "out" / "report.html").read_text()

    assert page.count("<details>") == 2
    assert page.count("<svg") == 4 + 2 * 7
    assert "signals.missed_payment.grace_days" in page
    assert not re.search(r"https?:|src=|@import|<script", page)
    body = re.search("<body>.*</body>", page, flags=re.DOTALL)
    assert body is not None
    assert ET.fromstring(body.group()) is not None


def test_without_outcomes_the_page_shows_the_alerts(tmp_path: Path) -> None:
    """Which alerts differ can be told without knowing what became of anybody."""
    folder = write(tmp_path / "in", told_story())
    (folder / "outcomes.jsonl").unlink()
    comparison = compared(folder, tmp_path / "out", PACKAGED, STRICTER)
    page = (tmp_path / "out" / "report.html").read_text()

    assert comparison.total.warnings is None
    assert comparison.total.alerts.a > 0
    assert (page.count("<svg"), page.count("<details>")) == (1, 0)
    assert "report.html" not in written(tmp_path / "out" / "a")


def test_the_tables_fit_a_terminal_of_100_columns(tmp_path: Path) -> None:
    """All that is compared, and none of it wider."""
    comparison = compared(write(tmp_path / "in", told_story()), tmp_path / "out", PACKAGED, STRICTER)
    tables = list(comparison_tables(comparison))
    text = "\n".join(tables)

    assert max(map(len, text.splitlines())) <= 100
    for words in ("a: packaged.toml", "b: stricter.toml", "grace_days", "precision of 20 calls", "only b"):
        assert words in text
    assert len(tables) == 5


def test_a_file_of_an_earlier_run_is_not_taken_for_one_of_this(tmp_path: Path) -> None:
    """A comparison leaves no report of one policy beside it, a run of one policy no comparison."""
    folder = write(tmp_path / "in", told_story())
    out = tmp_path / "out"
    run(folder, out, PACKAGED.policy, now_ms=NOW_MS, scores=True)
    (out / "notes.txt").write_text("somebody's own")

    compared(folder, out, PACKAGED, STRICTER)
    files = {path.name for path in out.iterdir()}
    run(folder, out, PACKAGED.policy, now_ms=NOW_MS)

    assert files == {"a", "b", "comparison.json", "differences.jsonl", "report.html", "notes.txt"}
    assert {path.name for path in out.iterdir() if path.is_file()} == {
        "alerts.jsonl",
        "rejected.jsonl",
        "report.json",
        "report.html",
        "notes.txt",
    }


def test_progress_goes_once_through_both(tmp_path: Path) -> None:
    """It never falls back, and ends at twice the lines."""
    folder = write(tmp_path / "in", told_story())
    told: list[tuple[int, int]] = []
    compare_policies(
        folder,
        tmp_path / "out",
        PACKAGED,
        STRICTER,
        now_ms=NOW_MS,
        progress=lambda done, total: told.append((done, total)),
    )

    lines = msgspec.json.decode((tmp_path / "out" / "a" / "report.json").read_bytes())["lines"]
    assert told == sorted(told)
    assert told[-1] == (2 * lines, 2 * lines)
