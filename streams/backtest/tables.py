"""A report or a comparison as text for a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final, get_args

from models.alerts import Status
from models.comparison import Comparison
from models.learning_report import LearningReport
from models.report import Report, ScoreReport
from streams.backtest.figures import (
    CALIBRATION_HEADS,
    CARD_HEADS,
    LEARNING_HEADS,
    LEARNT_PERIOD_HEADS,
    MOVE_HEADS,
    PERIOD_HEADS,
    RAISED_HEADS,
    SIGNAL_HEADS,
    WORTH_HEADS,
    Row,
    calibration_rows,
    card_rows,
    compared_rows,
    learning_rows,
    learnt_period_rows,
    move_rows,
    period_rows,
    policy_rows,
    raised_rows,
    setting_rows,
    signal_rows,
    summary_rows,
    worth_rows,
)
from streams.wording import columns

PERIODS_MAX: Final = 12
"""Of the score's course, and of the cards, the last ones shown; all are in `report.json`."""
_ROWS_MAX: Final = 20
"""Settings and moves of severity shown; all are in `comparison.json`."""
_VALUE_MAX: Final = 24
"""Characters of a setting's value: some are whole tables."""
_GAP: Final = "     "


def revisions_table(alerts: dict[str, dict[str, int]]) -> str:
    """Revisions of alerts, by signal and status."""
    statuses = get_args(Status)
    rows = [(name, *(counts.get(status, 0) for status in statuses)) for name, counts in alerts.items()]
    return columns(("signal", *statuses), rows)


def report_tables(report: Report, score: ScoreReport) -> Iterator[str]:
    """What alerts and score were worth."""
    yield columns(("judged by outcomes.jsonl", ""), summary_rows(report, score), words=1)
    if report.signals:
        yield columns(SIGNAL_HEADS, signal_rows(report), words=1)
    if score.observations:
        yield _beside(_calibration(score), _course(score))


def learning_tables(learning: LearningReport) -> Iterator[str]:
    """What learning was worth, and which cards came of it."""
    yield columns(LEARNING_HEADS, learning_rows(learning), words=1)
    if learning.periods:
        yield _last_of(LEARNT_PERIOD_HEADS, learnt_period_rows(learning), words=1)
    if learning.cards:
        yield _last_of(CARD_HEADS, card_rows(learning), words=2)


def _last_of(heads: Sequence[str], rows: Sequence[Row], words: int) -> str:
    shown = columns(heads, rows[-PERIODS_MAX:], words=words)
    if len(rows) <= PERIODS_MAX:
        return shown
    return f"{shown}\nthe last {PERIODS_MAX} of {len(rows)}; all in report.json"


def _calibration(score: ScoreReport) -> str:
    return columns(CALIBRATION_HEADS, calibration_rows(score), words=0)


def _course(score: ScoreReport) -> str:
    return _last_of(PERIOD_HEADS, period_rows(score), words=1)


def _beside(left: str, right: str) -> str:
    lines = left.splitlines()
    width = max(map(len, lines))
    pairs = zip_longest(lines, right.splitlines(), fillvalue="")
    return "\n".join(f"{one:<{width}}{_GAP}{other}".rstrip() for one, other in pairs)


def comparison_tables(comparison: Comparison) -> Iterator[str]:
    """How two policies differ."""
    yield "\n".join(f"{side}: {name}" for side, name in policy_rows(comparison))
    settings = setting_rows(comparison)
    if settings:
        shown = [(key, _short(a), _short(b)) for key, a, b in settings[:_ROWS_MAX]]
        yield columns(("settings that differ", "a", "b"), shown, words=3) + _left_out(len(settings))
    yield columns(("in all", "a", "b"), compared_rows(comparison), words=1)
    if not comparison.signals:
        return
    yield columns(RAISED_HEADS, raised_rows(comparison), words=1)
    worth = worth_rows(comparison)
    if worth:
        yield columns(WORTH_HEADS, worth, words=1)
    moves = move_rows(comparison)
    if moves:
        yield columns(MOVE_HEADS, moves[:_ROWS_MAX], words=3) + _left_out(len(moves))


def _short(value: str) -> str:
    return value if len(value) <= _VALUE_MAX else f"{value[: _VALUE_MAX - 3]}..."


def _left_out(rows: int) -> str:
    return "" if rows <= _ROWS_MAX else f"\n{rows - _ROWS_MAX:,} more in comparison.json"
