"""How good the probabilities were by the stream's own labels: every example as it was foretold when it was observed.

That is prequential evaluation with labels that come late: what the card in force said is judged, not what a card would say
that has learnt meanwhile. The expert prior is asked about the same features, so that the difference is what learning brings.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

from models import score_cells
from models.calendars import DAY_MS
from models.learning_report import CardReport, Foretold, ForetoldPeriod, LearningReport
from models.policy import RiskPolicy
from models.risk.examples import Example
from models.risk.scorecard import expert_prior
from models.score_cells import STEPS, Cells
from models.score_judging import OBSERVED_EVERY_DAYS

_OUTCOMES: Final = ("good", "bad", "censored")


class LearningJudge:
    """Takes matured examples, in any order."""

    def __init__(self) -> None:
        """Nothing matured yet."""
        self._prior = expert_prior()
        self._outcomes: Counter[str] = Counter()
        self._in_force: Counter[tuple[int, int, bool]] = Counter()
        """By period of observation, probability in ten-thousandths, and whether it went bad."""
        self._of_prior: Counter[tuple[int, int, bool]] = Counter()

    def take(self, example: Example) -> None:
        """Count one example; one that is censored tells nothing of the probabilities."""
        self._outcomes[example.outcome] += 1
        if example.outcome == "censored":
            return
        is_bad = example.outcome == "bad"
        period = example.observed_ms // DAY_MS // OBSERVED_EVERY_DAYS
        by_prior = self._prior.score(example.values(self._prior.features))
        self._in_force[period, round(example.probability * STEPS), is_bad] += 1
        self._of_prior[period, round(by_prior * STEPS), is_bad] += 1

    def report(self, risk: RiskPolicy, cards: Iterable[CardReport]) -> LearningReport:
        """All figures, with the cards that came of it."""
        in_force, of_prior = _by_period(self._in_force), _by_period(self._of_prior)
        return LearningReport(
            target_days_late=risk.target_days_late,
            horizon_days=risk.horizon_days,
            examples={outcome: self._outcomes[outcome] for outcome in _OUTCOMES},
            cards=tuple(cards),
            in_force=_foretold(_all(self._in_force)),
            expert_prior=_foretold(_all(self._of_prior)),
            periods=tuple(_period(period, in_force[period], of_prior[period]) for period in in_force),
        )


def _by_period(counts: Counter[tuple[int, int, bool]]) -> dict[int, Cells]:
    periods: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for (period, step, is_bad), count in counts.items():
        periods[period][step][is_bad] += count
    return {period: score_cells.in_order(periods[period]) for period in sorted(periods)}


def _all(counts: Counter[tuple[int, int, bool]]) -> Cells:
    cells: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for (_, step, is_bad), count in counts.items():
        cells[step][is_bad] += count
    return score_cells.in_order(cells)


def _foretold(cells: Cells) -> Foretold:
    tenths = score_cells.deciles(cells)
    return Foretold(
        auc=score_cells.auc(cells),
        ks=score_cells.ks(cells),
        log_loss=score_cells.log_loss(cells),
        calibration_error=score_cells.calibration_error(tenths),
        calibration=tenths,
    )


def _period(period: int, in_force: Cells, of_prior: Cells) -> ForetoldPeriod:
    goods, bads = score_cells.totals(in_force)
    return ForetoldPeriod(
        from_ms=period * OBSERVED_EVERY_DAYS * DAY_MS,
        examples=goods + bads,
        examples_bad=bads,
        auc=score_cells.auc(in_force),
        auc_of_the_prior=score_cells.auc(of_prior),
        ks=score_cells.ks(in_force),
        ks_of_the_prior=score_cells.ks(of_prior),
        log_loss=score_cells.log_loss(in_force),
        log_loss_of_the_prior=score_cells.log_loss(of_prior),
    )
