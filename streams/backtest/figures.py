"""The figures of reports and comparisons as people read them: rows of text, for the page and for the terminal alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from models.comparison import Comparison, Sides
from models.judging import HIT_DAYS_MAX
from models.learning_report import CardReport, LearningReport
from models.report import Ranking, RankingPeriod, Report, ScoreReport

Row = tuple[str, ...]

UNKNOWN: Final = "-"
"""Stands for what cannot be computed; `report.json` says why."""


def share(value: float | None) -> str:
    """A share as a percentage."""
    return UNKNOWN if value is None else f"{value:.1%}"


def number(value: float | None) -> str:
    """Four digits that count."""
    return UNKNOWN if value is None else f"{value:,.4g}"


def tenths(value: float | None) -> str:
    """Days, or alerts for so many borrowers: what is behind the first decimal tells nobody anything."""
    return UNKNOWN if value is None else f"{value:,.1f}"


def count(value: int) -> str:
    """Things counted."""
    return f"{value:,}"


def day(instant_ms: int) -> str:
    """The day (UTC) of an instant."""
    return datetime.fromtimestamp(instant_ms / 1000, UTC).strftime("%y-%m-%d")


# ---- one policy --------------------------------------------------------------------------------------------------


def summary_rows(report: Report, score: ScoreReport) -> list[Row]:
    """What the alerts and the score were worth, a name and a figure each."""
    capacity = report.capacity
    past_due = report.past_due
    return [
        ("borrowers judged", count(report.borrowers)),
        ("of them bad", count(report.borrowers_bad)),
        ("warned in time (recall)", f"{report.borrowers_hit:,} ({share(report.recall)})"),
        ("precision", share(report.precision)),
        ("precision, warnings of 180 days ago and more", share(report.precision_matured)),
        ("median lead time, days", tenths(report.lead_days_median)),
        ("alerts per 1,000 borrower-months", tenths(report.alerts_per_1000_borrower_months)),
        ("lift over the worst payers", number(report.lift_over_worst_payers)),
        (
            f"precision of {capacity.per_day} calls a day by priority",
            f"{share(capacity.precision)} ({capacity.bad:,} of {capacity.called:,})",
        ),
        (
            "alerted when past due already: precision, recall",
            f"{share(past_due.precision)}, {share(past_due.recall)}",
        ),
        *_score_rows(score),
    ]


def _score_rows(score: ScoreReport) -> list[Row]:
    ranking = score.ranking
    return [
        (f"score: bad within {score.horizon_days} days", _bad_of(score)),
        ("  AUC, all and with nothing past due", _two(score.auc, score.auc_not_past_due)),
        ("  KS", number(score.ks)),
        ("  log-loss, and that of the mean rate", _two(score.log_loss, score.log_loss_of_the_rate)),
        ("  calibration error", number(score.calibration_error)),
        (f"score: bad within {ranking.days} days", _bad_of(ranking)),
        ("  AUC, all and with nothing past due", _two(ranking.auc, ranking.auc_not_past_due)),
        ("  KS", number(ranking.ks)),
    ]


def _bad_of(counted: ScoreReport | Ranking) -> str:
    return f"{counted.observations_bad:,} of {counted.observations:,}"


def _two(one: float | None, other: float | None) -> str:
    return f"{number(one)}, {number(other)}"


SIGNAL_HEADS: Final = (
    "signal",
    "alerts",
    "retracted",
    "per 1,000",
    "warned",
    "hit",
    "precision",
    "recall",
    "lead days",
)


def signal_rows(report: Report) -> list[Row]:
    """A row a signal: its alerts, how many they are for 1,000 borrower-months, and what they were worth."""
    return [
        (
            name,
            count(told.alerts),
            count(told.alerts_retracted),
            tenths(told.alerts_per_1000_borrower_months),
            count(told.borrowers_warned),
            count(told.borrowers_hit),
            share(told.precision),
            share(told.recall),
            tenths(told.lead_days_median),
        )
        for name, told in report.signals.items()
    ]


CALIBRATION_HEADS: Final = ("foretold", "happened", "observed")


def calibration_rows(score: ScoreReport) -> list[Row]:
    """A row a tenth of the observations, lowest probabilities first."""
    return [
        (share(tenth.mean_probability), share(tenth.bad_rate), count(tenth.observations))
        for tenth in score.calibration
    ]


PERIOD_HEADS: Final = (
    "30 days from",
    "observed",
    "bad",
    "AUC",
    "KS",
    "log-loss",
    f"bad in {HIT_DAYS_MAX}",
    "AUC",
)


def period_rows(score: ScoreReport) -> list[Row]:
    """A row for each 30 days: what was foretold in them, before anything later was known."""
    ranking = {period.from_ms: period for period in score.ranking.periods}
    return [
        (
            day(period.from_ms),
            count(period.observations),
            count(period.observations_bad),
            number(period.auc),
            number(period.ks),
            number(period.log_loss),
            *_ranked(ranking.get(period.from_ms)),
        )
        for period in score.periods
    ]


def _ranked(period: RankingPeriod | None) -> Row:
    return (UNKNOWN, UNKNOWN) if period is None else (count(period.observations_bad), number(period.auc))


# ---- learning ----------------------------------------------------------------------------------------------------

LEARNING_HEADS: Final = ("learnt from the stream's own labels", "cards in force", "expert prior")


def learning_rows(learning: LearningReport) -> list[Row]:
    """What the probabilities were worth by the stream's own labels, and what those of the expert prior would have been."""
    learnt, prior = learning.in_force, learning.expert_prior
    target = f"{learning.target_days_late} days late within {learning.horizon_days} days"
    return [
        ("cards published, of so many due", f"{learning.cards_published:,} of {len(learning.cards):,}", ""),
        (f"borrowers observed: {target}", f"{learning.examples['bad']:,} of {learning.examples_known:,}", ""),
        ("  AUC", number(learnt.auc), number(prior.auc)),
        ("  KS", number(learnt.ks), number(prior.ks)),
        ("  log-loss", number(learnt.log_loss), number(prior.log_loss)),
        ("  calibration error", number(learnt.calibration_error), number(prior.calibration_error)),
    ]


LEARNT_PERIOD_HEADS: Final = (
    "30 days from",
    "observed",
    "bad",
    "AUC",
    "prior",
    "KS",
    "prior",
    "log-loss",
    "prior",
)


def learnt_period_rows(learning: LearningReport) -> list[Row]:
    """A row for each 30 days: what was foretold in them by the cards in force, and what the expert prior would have foretold."""
    return [
        (
            day(period.from_ms),
            count(period.examples),
            count(period.examples_bad),
            number(period.auc),
            number(period.auc_of_the_prior),
            number(period.ks),
            number(period.ks_of_the_prior),
            number(period.log_loss),
            number(period.log_loss_of_the_prior),
        )
        for period in learning.periods
    ]


CARD_HEADS: Final = ("card", "in force from", "learnt from", "bad", "AUC", "before", "log-loss", "before")


def card_rows(learning: LearningReport) -> list[Row]:
    """A row a card: since when it scores, or why not, and how well what was learnt foretold recent examples beside the card before."""
    return [
        (
            card.version,
            _since(card),
            count(card.examples),
            count(card.bads),
            number(card.recent.auc),
            number(card.recent_in_use.auc),
            number(card.recent.log_loss),
            number(card.recent_in_use.log_loss),
        )
        for card in learning.cards
    ]


def _since(card: CardReport) -> str:
    if card.refused is not None:
        return card.refused.replace("_", " ")
    return "never" if card.in_force_from_ms is None else day(card.in_force_from_ms)


# ---- two policies ------------------------------------------------------------------------------------------------


def policy_rows(comparison: Comparison) -> list[tuple[str, str]]:
    """Which policy is which."""
    names, versions = comparison.policy_names, comparison.policy_versions
    return [("a", f"{names.a}, version {versions.a}"), ("b", f"{names.b}, version {versions.b}")]


def setting_rows(comparison: Comparison) -> list[Row]:
    """A row a key of the policy whose values differ."""
    return [(key, _value(sides.a), _value(sides.b)) for key, sides in comparison.settings.items()]


def _value(value: Any) -> str:
    return UNKNOWN if value is None else msgspec.json.encode(value).decode()


def compared_rows(comparison: Comparison) -> list[Row]:
    """What either policy was worth: a name, the figure of `a`, that of `b`."""
    total = comparison.total
    rows: list[Row] = [
        ("alerts", *_both(total.alerts, count)),
        ("of them raised by it alone", *_both(total.only, count)),
    ]
    if total.warnings is not None:
        rows += [
            ("bad borrowers warned in time", *_both(total.warnings.borrowers_hit, count)),
            ("of them by it alone", *_both(total.warnings.hit_only, count)),
            ("warned in vain by it alone", *_both(total.warnings.warned_in_vain_only, count)),
            ("recall", *_both(total.warnings.recall, share)),
            ("precision", *_both(total.warnings.precision, share)),
            ("median lead time, days", *_both(total.warnings.lead_days_median, tenths)),
            (
                "alerts per 1,000 borrower-months",
                *_both(total.warnings.alerts_per_1000_borrower_months, tenths),
            ),
        ]
    if comparison.lift_over_worst_payers is not None:
        rows.append(("lift over the worst payers", *_both(comparison.lift_over_worst_payers, number)))
    if comparison.capacity is not None:
        name = f"precision of {comparison.capacity.per_day} calls a day by priority"
        rows.append((name, *_both(comparison.capacity.precision, share)))
    if comparison.score is not None:
        score = comparison.score
        rows += [
            ("score: bad within so many days", *_both(score.horizon_days, count)),
            ("  AUC", *_both(score.auc, number)),
            ("  AUC, nothing past due", *_both(score.auc_not_past_due, number)),
            ("  KS", *_both(score.ks, number)),
            ("  log-loss", *_both(score.log_loss, number)),
            ("  calibration error", *_both(score.calibration_error, number)),
            (f"score: AUC, bad within {HIT_DAYS_MAX} days", *_both(score.ranking_auc, number)),
            ("  AUC, nothing past due", *_both(score.ranking_auc_not_past_due, number)),
            ("  KS", *_both(score.ranking_ks, number)),
        ]
    if comparison.learning is not None:
        learning = comparison.learning
        rows += [
            ("cards published", *_both(learning.cards, count)),
            ("score by the stream's own labels: examples", *_both(learning.examples, count)),
            ("  bad", *_both(learning.examples_bad, count)),
            ("  AUC", *_both(learning.auc, number)),
            ("  log-loss", *_both(learning.log_loss, number)),
            ("  calibration error", *_both(learning.calibration_error, number)),
        ]
    return rows


def _both(sides: Sides[Any], shown: Callable[[Any], str]) -> tuple[str, str]:
    return shown(sides.a), shown(sides.b)


RAISED_HEADS: Final = (
    "signal",
    "a",
    "b",
    "both",
    "only a",
    "only b",
    "a first",
    "days",
    "b first",
    "days",
)


def raised_rows(comparison: Comparison) -> list[Row]:
    """A row a signal: which alerts both policies raised or only one of them, and which of the two was first."""
    return [
        (
            name,
            *_both(one.alerts, count),
            count(one.both),
            *_both(one.only, count),
            count(one.opened_first.a),
            tenths(one.days_first_median.a),
            count(one.opened_first.b),
            tenths(one.days_first_median.b),
        )
        for name, one in comparison.signals.items()
    ]


WORTH_HEADS: Final = (
    "signal",
    "precision a",
    "b",
    "recall a",
    "b",
    "lead a",
    "b",
    "per 1,000 a",
    "b",
)


def worth_rows(comparison: Comparison) -> list[Row]:
    """A row a signal: what its alerts were worth to either policy; nothing where no outcomes are known."""
    return [
        (
            name,
            *_both(one.warnings.precision, share),
            *_both(one.warnings.recall, share),
            *_both(one.warnings.lead_days_median, tenths),
            *_both(one.warnings.alerts_per_1000_borrower_months, tenths),
        )
        for name, one in comparison.signals.items()
        if one.warnings is not None
    ]


MOVE_HEADS: Final = ("signal", "severity a", "severity b", "alerts")


def move_rows(comparison: Comparison) -> list[Row]:
    """A row for each way in which the highest severity of alerts that both raised differs."""
    return [
        (name, move.a, move.b, count(move.alerts))
        for name, one in comparison.signals.items()
        for move in one.severity_moves
    ]
