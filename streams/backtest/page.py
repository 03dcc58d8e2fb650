"""`report.html`: the report as one page that needs nothing else, to be read by people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final, NamedTuple

from models.comparison import Comparison, Sides
from models.judging import LEAD_BUCKET_DAYS
from models.learning_report import Foretold, LearningReport
from models.report import Report, ScoreReport
from streams.backtest.figures import (
    CARD_HEADS,
    LEARNING_HEADS,
    MOVE_HEADS,
    RAISED_HEADS,
    SIGNAL_HEADS,
    WORTH_HEADS,
    card_rows,
    compared_rows,
    day,
    learning_rows,
    move_rows,
    policy_rows,
    raised_rows,
    setting_rows,
    signal_rows,
    summary_rows,
    worth_rows,
)
from streams.backtest.plots import Point, bars, lines

_STYLE: Final = (
    "body{font:14px/1.5 sans-serif;max-width:1180px;margin:2em auto;padding:0 1em;color:#111827}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;border-bottom:1px solid #e5e7eb;text-align:right}"
    "td:first-child,th:first-child{text-align:left;white-space:pre-wrap}"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr))}"
)


class Judged(NamedTuple):
    """What is known of a run: of its alerts and score where there are outcomes, of its learning where it learnt."""

    report: Report | None
    score: ScoreReport | None
    learning: LearningReport | None

    @property
    def is_anything(self) -> bool:
        """Whether there is anything to show."""
        return self.report is not None or (self.learning is not None and bool(self.learning.periods))


def page(judged: Judged) -> str:
    """The whole page."""
    return _document("Forewarn: backtest", f"<h1>Backtest</h1>{_judgement(judged)}")


def comparison_page(comparison: Comparison, judgements: Sides[Judged]) -> str:
    """The page of a comparison: how the policies differ, and what a page of either alone would show."""
    named = policy_rows(comparison)
    own = [
        f"<details><summary>{side}: {escape(name)}</summary>{_judgement(judged)}</details>"
        for (side, name), judged in zip(named, (judgements.a, judgements.b), strict=True)
        if judged.is_anything
    ]
    body = f"<h1>Backtest of two policies</h1>{_comparison(comparison, judgements)}{''.join(own)}"
    return _document("Forewarn: backtest of two policies", body)


def _document(title: str, body: str) -> str:
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _judgement(judged: Judged) -> str:
    report, score, learning = judged
    parts = []
    if report is not None and score is not None:
        parts += [_table(("", ""), summary_rows(report, score)), _table(SIGNAL_HEADS, signal_rows(report))]
        parts.append(_plots([*_plots_of_alerts(report), *_plots_of_score(score)]))
    if learning is not None:
        parts += ["<h2>Learning</h2>", _table(LEARNING_HEADS, learning_rows(learning))]
        parts.append(_plots(_plots_of_learning(learning)))
        parts.append(_section("Scorecards", CARD_HEADS, card_rows(learning)))
    return "".join(parts)


def _plots(drawn: Iterable[str]) -> str:
    return f'<div class="plots">{"".join(drawn)}</div>'


# ---- two policies ------------------------------------------------------------------------------------------------


def _comparison(comparison: Comparison, judgements: Sides[Judged]) -> str:
    parts = [
        _table(("policy", ""), policy_rows(comparison)),
        _section("Settings that differ", ("key", "a", "b"), setting_rows(comparison)),
        _section("In all", ("", "a", "b"), compared_rows(comparison)),
        _section("Alerts raised, by signal", RAISED_HEADS, raised_rows(comparison)),
        _section("What they were worth, by signal", WORTH_HEADS, worth_rows(comparison)),
        _section("Alerts that both raised, at different severities", MOVE_HEADS, move_rows(comparison)),
        _plots(_plots_of_both(comparison, judgements)),
    ]
    return "".join(parts)


def _section(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return f"<h2>{escape(title)}</h2>{_table(heads, rows) if rows else '<p>none</p>'}"


def _plots_of_both(comparison: Comparison, judgements: Sides[Judged]) -> list[str]:
    """Both policies in one plot each."""
    signals = comparison.signals
    only = {
        "only a": [one.only.a for one in signals.values()],
        "only b": [one.only.b for one in signals.values()],
    }
    drawn = [bars("Alerts that only one policy raised, by signal", only, _short_names(signals))]
    report_a, score_a, learning_a = judgements.a
    report_b, score_b, learning_b = judgements.b
    if report_a is not None and report_b is not None:
        lead_times = {"a": report_a.lead_days_histogram, "b": report_b.lead_days_histogram}
        volumes = {"a": _per_thousand(report_a), "b": _per_thousand(report_b)}
        months = [day(month.from_ms) for month in report_a.volume]
        drawn.append(bars(_LEAD_TITLE, lead_times, _lead_labels(report_a)))
        drawn.append(bars(_VOLUME_TITLE, volumes, months))
    if score_a is not None and score_b is not None:
        curves = {
            f"{side}, {days} days": roc
            for side, score in (("a", score_a), ("b", score_b))
            for days, roc in ((score.horizon_days, score.roc), (score.ranking.days, score.ranking.roc))
        }
        drawn.append(lines(_ROC_TITLE, curves, _SHARES, x_max=1, y_max=1, diagonal=True))
    if learning_a is not None and learning_b is not None:
        days = [period.from_ms for period in max(learning_a.periods, learning_b.periods, key=len)]
        aucs = {
            side: _placed(days, {period.from_ms: period.auc for period in learning.periods})
            for side, learning in (("a", learning_a), ("b", learning_b))
        }
        drawn.append(_over_time(_LEARNT_AUC_TITLE, aucs, days, y_max=1))
    return drawn


# ---- plots -------------------------------------------------------------------------------------------------------

_LEAD_TITLE: Final = "Lead time of hits: borrowers, by days before bad"
_VOLUME_TITLE: Final = "Alerts per 1,000 borrowers, by 30 days"
_ROC_TITLE: Final = "ROC of the score"
_LEARNT_AUC_TITLE: Final = "AUC by the stream's own labels, by 30 days"
_SHARES: Final = {0.0: "0", 0.5: "0.5", 1.0: "1"}


def _lead_labels(report: Report) -> list[str]:
    return [f"<{bucket * LEAD_BUCKET_DAYS}" for bucket in range(1, len(report.lead_days_histogram) + 1)]


def _per_thousand(report: Report) -> list[float]:
    return [
        1000 * sum(month.alerts.values()) / month.borrowers if month.borrowers else 0.0
        for month in report.volume
    ]


def _short_names(signals: Iterable[str]) -> list[str]:
    return [name.split("_")[0] for name in signals]


def _plots_of_alerts(report: Report) -> list[str]:
    signals = report.signals
    return [
        bars(_LEAD_TITLE, {"borrowers": report.lead_days_histogram}, _lead_labels(report)),
        bars(
            "Precision and recall by signal (numbers as in the table)",
            {
                "precision": [told.precision or 0.0 for told in signals.values()],
                "recall": [told.recall or 0.0 for told in signals.values()],
            },
            _short_names(signals),
        ),
        bars(
            _VOLUME_TITLE, {"alerts": _per_thousand(report)}, [day(month.from_ms) for month in report.volume]
        ),
    ]


def _plots_of_score(score: ScoreReport) -> list[str]:
    ranking = score.ranking
    periods = score.periods
    days = [period.from_ms for period in periods]
    ranked = {period.from_ms: period.auc for period in ranking.periods}
    ranks = {
        f"AUC, {score.horizon_days} d": _curve(p.auc for p in periods),
        f"KS, {score.horizon_days} d": _curve(p.ks for p in periods),
        f"AUC, {ranking.days} d": _placed(days, ranked),
    }
    losses = _curve(period.log_loss for period in periods)
    rocs = {
        f"bad within {score.horizon_days} days": score.roc,
        f"bad within {ranking.days} days": ranking.roc,
    }
    return [
        lines(_ROC_TITLE, rocs, _SHARES, x_max=1, y_max=1, diagonal=True),
        _calibration({"deciles": [(tenth.mean_probability, tenth.bad_rate) for tenth in score.calibration]}),
        _over_time("AUC and KS of what was foretold, by 30 days", ranks, days, y_max=1),
        _over_time("Log-loss of what was foretold, by 30 days", {"log-loss": losses}, days),
    ]


def _plots_of_learning(learning: LearningReport) -> list[str]:
    """What the cards in force foretold beside what the expert prior would have, and what the guard went by."""
    periods, cards = learning.periods, learning.cards
    days = [period.from_ms for period in periods]
    aucs = {
        "cards in force": _curve(period.auc for period in periods),
        "expert prior": _curve(period.auc_of_the_prior for period in periods),
    }
    losses = {
        "cards in force": _curve(period.log_loss for period in periods),
        "expert prior": _curve(period.log_loss_of_the_prior for period in periods),
    }
    deciles = {
        "cards in force": _deciles(learning.in_force),
        "expert prior": _deciles(learning.expert_prior),
    }
    steps = [card.effective_from_ms for card in cards]
    recent = {
        "learnt": _curve(card.recent.auc for card in cards),
        "card in use": _curve(card.recent_in_use.auc for card in cards),
    }
    return [
        _over_time(_LEARNT_AUC_TITLE, aucs, days, y_max=1),
        _over_time("Log-loss by the stream's own labels, by 30 days", losses, days),
        _calibration(deciles),
        _over_time("AUC of recent examples whenever a card was due", recent, steps, y_max=1),
    ]


def _deciles(foretold: Foretold) -> list[Point]:
    return [(tenth.mean_probability, tenth.bad_rate) for tenth in foretold.calibration]


def _calibration(series: Mapping[str, Sequence[Point]]) -> str:
    shares = [share for points in series.values() for point in points for share in point]
    highest = max(shares, default=0.0) or 1.0
    labels = {highest * share: f"{highest * share:.2g}" for share in _SHARES}
    title = "Calibration by deciles: foretold, and what happened"
    return lines(title, series, labels, x_max=highest, y_max=highest, diagonal=True)


def _over_time(
    title: str, series: Mapping[str, Sequence[Point]], instants_ms: Sequence[int], y_max: float | None = None
) -> str:
    """Lines over instants that lie equally far apart in the plot; up to the highest value unless `y_max` says more."""
    every = -(-len(instants_ms) // 8) or 1
    labels = {float(at): day(instant) for at, instant in enumerate(instants_ms) if at % every == 0}
    if y_max is None:
        y_max = max((value for points in series.values() for _, value in points), default=0.0) or 1.0
    return lines(title, series, labels, x_max=max(1, len(instants_ms) - 1), y_max=y_max)


def _placed(instants_ms: Sequence[int], values: Mapping[int, float | None]) -> list[Point]:
    return _curve(values.get(instant_ms) for instant_ms in instants_ms)


def _curve(values: Iterable[float | None]) -> list[Point]:
    return [(place, value) for place, value in enumerate(values) if value is not None]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
