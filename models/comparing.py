"""Two policies on the same past: which alerts only one of them raised, and what either's were worth.

Pure: what two judges took, in; one `Comparison` and the alerts that differ, out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final, Literal, NamedTuple

from models.calendars import DAY_MS
from models.comparison import (
    CapacityCompared,
    Compared,
    Comparison,
    Difference,
    LearningCompared,
    OneAlert,
    ScoreCompared,
    SeverityMove,
    Sides,
    WarningsCompared,
)
from models.judging import SEVERITIES, Episode, Judge, Warned
from models.learning_report import LearningReport
from models.policy import Policy
from models.policy_changes import changes
from models.report import Report, ScoreReport

_DECIMALS: Final = 4
"""As in the report."""

_Subject = tuple[str, str, str]
"""Signal, borrower and loan (empty for none): what an alert is about."""


class Run(NamedTuple):
    """What came of one policy."""

    name: str
    """What people call it: that of its file."""
    policy: Policy
    judge: Judge
    report: Report | None
    """None where no outcomes are known."""
    score: ScoreReport | None
    learning: LearningReport | None
    """None where the expert prior stayed."""


class Pair(NamedTuple):
    """An alert as either policy raised it; None where it did not. Never is neither there."""

    a: Episode | None
    b: Episode | None


def compare(a: Run, b: Run) -> tuple[Comparison, list[Difference]]:
    """Compare what two policies made of the same past.

    Returns:
        The comparison, and the alerts that differ, in order of their opening.
    """
    pairs = paired(a.judge.episodes, b.judge.episodes)
    by_signal: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_signal[_one_of(pair).signal].append(pair)
    comparison = Comparison(
        policy_names=Sides(a.name, b.name),
        policy_versions=Sides(a.policy.version, b.policy.version),
        settings={key: Sides(old, new) for key, old, new in changes(a.policy, b.policy)},
        total=_compared(pairs, _warnings(a, b)),
        capacity=_capacity(a.report, b.report),
        lift_over_worst_payers=None
        if a.report is None or b.report is None
        else Sides(a.report.lift_over_worst_payers, b.report.lift_over_worst_payers),
        score=_score(a.score, b.score),
        signals={
            signal: _compared(by_signal[signal], _warnings(a, b, signal)) for signal in sorted(by_signal)
        },
        learning=_learning(a.learning, b.learning),
    )
    differences = [difference for pair in pairs if (difference := _difference(pair)) is not None]
    return comparison, sorted(differences, key=_place_of)


# ---- which alerts are the same -----------------------------------------------------------------------------------


def paired(a: Iterable[Episode], b: Iterable[Episode]) -> list[Pair]:
    """Each alert of either policy once, with its counterpart: the same subject, open at some time together.

    Of one subject a policy has one alert open at a time, so going through both in order finds as many pairs as there are.
    """
    of_a, of_b = _by_subject(a), _by_subject(b)
    pairs: list[Pair] = []
    for subject in sorted(of_a.keys() | of_b.keys()):
        pairs += _paired_of_subject(of_a.get(subject, ()), of_b.get(subject, ()))
    return pairs


def _by_subject(episodes: Iterable[Episode]) -> dict[_Subject, list[Episode]]:
    grouped: dict[_Subject, list[Episode]] = defaultdict(list)
    for episode in episodes:
        grouped[episode.signal, episode.borrower_id, episode.loan_id or ""].append(episode)
    for own in grouped.values():
        own.sort(key=lambda episode: (episode.opened_ms, episode.alert_id))
    return grouped


def _paired_of_subject(a: Sequence[Episode], b: Sequence[Episode]) -> list[Pair]:
    same = {episode.alert_id for episode in a} & {episode.alert_id for episode in b}
    pairs: list[Pair] = []
    left, right = list(reversed(a)), list(reversed(b))
    while left and right:
        one, other = left[-1], right[-1]
        if one.alert_id == other.alert_id:
            pairs.append(Pair(left.pop(), right.pop()))
        elif one.alert_id in same:  # its counterpart is still to come
            pairs.append(Pair(None, right.pop()))
        elif other.alert_id in same or _ends_before(one, other):
            pairs.append(Pair(left.pop(), None))
        elif _ends_before(other, one):
            pairs.append(Pair(None, right.pop()))
        else:
            pairs.append(Pair(left.pop(), right.pop()))
    return [
        *pairs,
        *(Pair(one, None) for one in reversed(left)),
        *(Pair(None, other) for other in reversed(right)),
    ]


def _ends_before(one: Episode, other: Episode) -> bool:
    """Whether an alert was open no longer when another one opened."""
    return one.ended_ms is not None and one.ended_ms <= other.opened_ms


def _one_of(pair: Pair) -> Episode:
    episode = pair.a or pair.b
    assert episode is not None, "a pair of nothing"
    return episode


def _difference(pair: Pair) -> Difference | None:
    """How the alert differs; None where both policies raised it alike."""
    how = _how_they_differ(pair)
    if how is None:
        return None
    episode = _one_of(pair)
    return Difference(
        signal=episode.signal,
        borrower_id=episode.borrower_id,
        loan_id=episode.loan_id,
        difference=how,
        a=_told(pair.a),
        b=_told(pair.b),
    )


def _how_they_differ(
    pair: Pair,
) -> Literal["only_a", "only_b", "opening", "severity", "opening_and_severity"] | None:
    a, b = pair
    if a is None or b is None:
        return "only_b" if a is None else "only_a"
    if a.opened_ms == b.opened_ms:
        return None if a.severity == b.severity else "severity"
    return "opening" if a.severity == b.severity else "opening_and_severity"


def _told(episode: Episode | None) -> OneAlert | None:
    if episode is None:
        return None
    return OneAlert(alert_id=episode.alert_id, opened_at_ms=episode.opened_ms, severity=episode.severity)


def _place_of(difference: Difference) -> tuple[int, str, str, str]:
    opened_ms = min(alert.opened_at_ms for alert in (difference.a, difference.b) if alert is not None)
    return opened_ms, difference.borrower_id, difference.signal, difference.loan_id or ""


# ---- in numbers --------------------------------------------------------------------------------------------------


def _compared(pairs: Sequence[Pair], warnings: WarningsCompared | None) -> Compared:
    common = [(a, b) for a, b in pairs if a is not None and b is not None]
    only = Sides(sum(b is None for _, b in pairs), sum(a is None for a, _ in pairs))
    days_a = [(b.opened_ms - a.opened_ms) / DAY_MS for a, b in common if a.opened_ms < b.opened_ms]
    days_b = [(a.opened_ms - b.opened_ms) / DAY_MS for a, b in common if b.opened_ms < a.opened_ms]
    moves = Counter((a.severity, b.severity) for a, b in common if a.severity != b.severity)
    return Compared(
        alerts=Sides(len(common) + only.a, len(common) + only.b),
        both=len(common),
        only=only,
        opened_first=Sides(len(days_a), len(days_b)),
        days_first_median=Sides(_median(days_a), _median(days_b)),
        severity_moves=tuple(
            SeverityMove(a=of_a, b=of_b, alerts=moves[of_a, of_b])
            for of_a in SEVERITIES
            for of_b in SEVERITIES
            if (of_a, of_b) in moves
        ),
        warnings=warnings,
    )


class _Worth(NamedTuple):
    """What one policy's alerts were worth."""

    warned: Warned
    precision: float | None
    recall: float | None
    lead_days_median: float | None
    alerts_per_1000_borrower_months: float | None


def _worth(judge: Judge, report: Report, signal: str | None) -> _Worth:
    told = report if signal is None else report.signals.get(signal)
    if told is None:  # this policy raised none of them
        recall = 0.0 if report.borrowers_bad else None
        return _Worth(judge.warned(signal), None, recall, None, 0.0 if report.borrower_months else None)
    return _Worth(
        judge.warned(signal),
        told.precision,
        told.recall,
        told.lead_days_median,
        told.alerts_per_1000_borrower_months,
    )


def _warnings(a: Run, b: Run, signal: str | None = None) -> WarningsCompared | None:
    if a.report is None or b.report is None:
        return None
    if signal is not None and signal not in a.report.signals and signal not in b.report.signals:
        return None  # all its alerts are of borrowers without an outcome
    of_a, of_b = _worth(a.judge, a.report, signal), _worth(b.judge, b.report, signal)
    (warned_a, hit_a), (warned_b, hit_b) = of_a.warned, of_b.warned
    return WarningsCompared(
        borrowers_warned=Sides(len(warned_a), len(warned_b)),
        borrowers_hit=Sides(len(hit_a), len(hit_b)),
        hit_only=Sides(len(hit_a - hit_b), len(hit_b - hit_a)),
        warned_in_vain_only=Sides(len(warned_a - hit_a - warned_b), len(warned_b - hit_b - warned_a)),
        precision=Sides(of_a.precision, of_b.precision),
        recall=Sides(of_a.recall, of_b.recall),
        lead_days_median=Sides(of_a.lead_days_median, of_b.lead_days_median),
        alerts_per_1000_borrower_months=Sides(
            of_a.alerts_per_1000_borrower_months, of_b.alerts_per_1000_borrower_months
        ),
    )


def _capacity(a: Report | None, b: Report | None) -> CapacityCompared | None:
    if a is None or b is None:
        return None
    return CapacityCompared(
        per_day=a.capacity.per_day,
        called=Sides(a.capacity.called, b.capacity.called),
        bad=Sides(a.capacity.bad, b.capacity.bad),
        precision=Sides(a.capacity.precision, b.capacity.precision),
    )


def _score(a: ScoreReport | None, b: ScoreReport | None) -> ScoreCompared | None:
    if a is None or b is None:
        return None
    return ScoreCompared(
        horizon_days=Sides(a.horizon_days, b.horizon_days),
        observations=Sides(a.observations, b.observations),
        observations_bad=Sides(a.observations_bad, b.observations_bad),
        auc=Sides(a.auc, b.auc),
        auc_not_past_due=Sides(a.auc_not_past_due, b.auc_not_past_due),
        ks=Sides(a.ks, b.ks),
        log_loss=Sides(a.log_loss, b.log_loss),
        calibration_error=Sides(a.calibration_error, b.calibration_error),
        ranking_auc=Sides(a.ranking.auc, b.ranking.auc),
        ranking_auc_not_past_due=Sides(a.ranking.auc_not_past_due, b.ranking.auc_not_past_due),
        ranking_ks=Sides(a.ranking.ks, b.ranking.ks),
    )


def _learning(a: LearningReport | None, b: LearningReport | None) -> LearningCompared | None:
    if a is None or b is None:
        return None
    return LearningCompared(
        cards=Sides(a.cards_published, b.cards_published),
        examples=Sides(a.examples_known, b.examples_known),
        examples_bad=Sides(a.examples["bad"], b.examples["bad"]),
        auc=Sides(a.in_force.auc, b.in_force.auc),
        log_loss=Sides(a.in_force.log_loss, b.in_force.log_loss),
        calibration_error=Sides(a.in_force.calibration_error, b.in_force.calibration_error),
    )


def _median(values: list[float]) -> float | None:
    return round(median(values), _DECIMALS) if values else None
