"""`report.html`: the report as one page that needs nothing else, to be read by people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from models.judging import LEAD_BUCKET_DAYS
from models.report import Report, ScoreReport
from streams.backtest.plots import Point, bars, lines

_STYLE: Final = (
    "body{font:14px/1.5 sans-serif;max-width:1180px;margin:2em auto;padding:0 1em;color:#111827}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;border-bottom:1px solid #e5e7eb;text-align:right}"
    "td:first-child,th:first-child{text-align:left}.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr))}"
)


def page(report: Report, score: ScoreReport) -> str:
    """The whole page."""
    plots = "".join([*_plots_of_alerts(report), *_plots_of_score(score)])
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Forewarn: backtest</title>'
        f"<style>{_STYLE}</style></head><body><h1>Backtest</h1>"
        f"{_table(('', ''), _summary_rows(report, score))}{_table(_SIGNAL_HEADS, _signal_rows(report))}"
        f'<div class="plots">{plots}</div></body></html>\n'
    )


def _summary_rows(report: Report, score: ScoreReport) -> list[tuple[str, ...]]:
    capacity = report.capacity
    return [
        ("borrowers judged", f"{report.borrowers:,}"),
        ("of them bad", f"{report.borrowers_bad:,}"),
        ("warned in time (recall)", f"{report.borrowers_hit:,} ({_share(report.recall)})"),
        ("precision", _share(report.precision)),
        ("median lead time, days", _number(report.lead_days_median)),
        ("alerts per 1,000 borrower-months", _number(report.alerts_per_1000_borrower_months)),
        ("lift over the worst payers", _number(report.lift_over_worst_payers)),
        (f"precision of {capacity.per_day} calls a day by priority", _share(capacity.precision)),
        (
            f"score: bad within {score.horizon_days} days",
            f"{score.observations_bad:,} of {score.observations:,}",
        ),
        ("score: AUC", _number(score.auc)),
        ("score: AUC, nothing past due", _number(score.auc_not_past_due)),
        ("score: KS", _number(score.ks)),
        (
            "score: log-loss (of the mean rate)",
            f"{_number(score.log_loss)} ({_number(score.log_loss_of_the_rate)})",
        ),
        ("score: calibration error", _number(score.calibration_error)),
    ]


_SIGNAL_HEADS: Final = ("signal", "alerts", "warned", "hit", "precision", "recall", "lead days")


def _signal_rows(report: Report) -> list[tuple[str, ...]]:
    return [
        (
            name,
            f"{told.alerts:,}",
            f"{told.borrowers_warned:,}",
            f"{told.borrowers_hit:,}",
            _share(told.precision),
            _share(told.recall),
            _number(told.lead_days_median),
        )
        for name, told in report.signals.items()
    ]


def _plots_of_alerts(report: Report) -> list[str]:
    signals = report.signals
    buckets = range(1, len(report.lead_days_histogram) + 1)
    per_thousand = [
        1000 * sum(month.alerts.values()) / month.borrowers if month.borrowers else 0.0
        for month in report.volume
    ]
    return [
        bars(
            "Lead time of hits: borrowers, by days before bad",
            {"borrowers": report.lead_days_histogram},
            [f"<{bucket * LEAD_BUCKET_DAYS}" for bucket in buckets],
        ),
        bars(
            "Precision and recall by signal (numbers as in the table)",
            {
                "precision": [told.precision or 0.0 for told in signals.values()],
                "recall": [told.recall or 0.0 for told in signals.values()],
            },
            [name.split("_")[0] for name in signals],
        ),
        bars(
            "Alerts per 1,000 borrowers, by 30 days",
            {"alerts": per_thousand},
            [_day(month.from_ms) for month in report.volume],
        ),
    ]


def _plots_of_score(score: ScoreReport) -> list[str]:
    deciles = [(decile.mean_probability, decile.bad_rate) for decile in score.calibration]
    highest = max((share for point in deciles for share in point), default=0.0) or 1.0
    shares = {0.0: "0", 0.5: "0.5", 1.0: "1"}
    periods = score.periods
    every = -(-len(periods) // 8) or 1
    days = {float(place): _day(period.from_ms) for place, period in enumerate(periods) if place % every == 0}
    last = max(1, len(periods) - 1)
    ranks = {"AUC": _curve(p.auc for p in periods), "KS": _curve(p.ks for p in periods)}
    losses = _curve(period.log_loss for period in periods)
    return [
        lines("ROC of the score", {"score": score.roc}, shares, x_max=1, y_max=1, diagonal=True),
        lines(
            "Calibration by deciles: foretold, and what happened",
            {"deciles": deciles},
            {highest * share: f"{highest * share:.2g}" for share in shares},
            x_max=highest,
            y_max=highest,
            diagonal=True,
        ),
        lines("AUC and KS of what was foretold, by 30 days", ranks, days, x_max=last, y_max=1),
        lines(
            "Log-loss of what was foretold, by 30 days",
            {"log-loss": losses},
            days,
            x_max=last,
            y_max=max((loss for _, loss in losses), default=0.0) or 1.0,
        ),
    ]


def _curve(values: Iterable[float | None]) -> list[Point]:
    return [(place, value) for place, value in enumerate(values) if value is not None]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}"


def _day(instant_ms: int) -> str:
    return datetime.fromtimestamp(instant_ms / 1000, UTC).strftime("%y-%m-%d")
