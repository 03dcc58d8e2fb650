"""How good the probabilities were: what became of the borrowers, against what was foretold of them.

Each borrower is looked at every 30 days, on a day drawn from the id, as the online model's own examples are (blueprint, section 6):
who has many events counts no more than who has few. It counts as bad who goes bad within the horizon, as good who is observed
to its end without that; whoever is neither is left out, and so is everybody where the horizon reaches beyond the book. A second count does the same for the 1 to 180 days by which alerts are
judged: most defaults are further away than the score's own horizon.

Probabilities are counted to four decimals, as alerts show them, and every count is an integer: so the figures are the same
whatever the order of the observations, and however many counters there are.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from math import log
from typing import Final

from models import score_cells
from models.calendars import DAY_MS
from models.judging import HIT_DAYS_MAX, Fate
from models.report import Ranking, RankingPeriod, ScorePeriod, ScoreReport
from models.score_cells import STEPS

OBSERVED_EVERY_DAYS: Final = 30

_HORIZON: Final = 0
_HIT_DAYS: Final = 1
"""The windows that are counted."""


def observed_slot(borrower_id: str) -> int:
    """The day among thirty at which a borrower is looked at."""
    return zlib.crc32(borrower_id.encode()) % OBSERVED_EVERY_DAYS


class ScoreCounter:
    """Counts observations of borrowers whose fate is known."""

    def __init__(self, horizon_days: int, observed_until_ms: int) -> None:
        """Nothing observed yet.

        Args:
            horizon_days: of the score.
            observed_until_ms: when the observation of the book ended. A window that reaches beyond counts nobody: were the bad
                ones counted as soon as they are known, the last observations would be nearly all bad.
        """
        self._horizon_ms = horizon_days * DAY_MS
        self._observed_until_ms = observed_until_ms
        self.counts: Counter[int] = Counter()
        """By window, period, past due or not, probability and outcome, as one number each (`_cell`)."""

    def add(self, fate: Fate, at_ms: int, probability: float, *, is_past_due: bool) -> None:
        """Count what was foretold at an instant; of who is not bad by then."""
        if fate.bad_ms is not None and fate.bad_ms <= at_ms:
            return
        is_bad = fate.bad_ms is not None and fate.bad_ms <= at_ms + self._horizon_ms
        windows = (
            (_HORIZON, at_ms + self._horizon_ms, is_bad),
            (_HIT_DAYS, at_ms + HIT_DAYS_MAX * DAY_MS, fate.goes_bad_in_time(at_ms)),
        )
        period = at_ms // DAY_MS // OBSERVED_EVERY_DAYS
        step = round(probability * STEPS)
        for window, until_ms, is_bad in windows:
            if until_ms <= self._observed_until_ms and (is_bad or fate.observed_until_ms >= until_ms):
                self.counts[_cell(window, period, step, is_past_due, is_bad)] += 1


def _cell(window: int, period: int, step: int, is_past_due: bool, is_bad: bool) -> int:
    return (((period * 2 + is_past_due) * (STEPS + 1) + step) * 2 + is_bad) * 2 + window


class _Counted:
    """The cells of one window, as the figures need them."""

    def __init__(self, counted: Iterable[Mapping[int, int]], window: int) -> None:
        periods: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
        current: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        overall: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for counts in counted:
            for cell, count in counts.items():
                rest, of_window = divmod(cell, 2)
                if of_window != window:
                    continue
                rest, is_bad = divmod(rest, 2)
                rest, step = divmod(rest, STEPS + 1)
                period, is_past_due = divmod(rest, 2)
                periods[period][step][is_bad] += count
                overall[step][is_bad] += count
                if not is_past_due:
                    current[step][is_bad] += count
        self.overall = score_cells.in_order(overall)
        self.not_past_due = score_cells.in_order(current)
        self.periods = {number: score_cells.in_order(periods[number]) for number in sorted(periods)}


def score_report(counted: Iterable[Mapping[int, int]], horizon_days: int) -> ScoreReport:
    """The figures of all that was counted, in any number of counters."""
    counters = list(counted)
    within = _Counted(counters, _HORIZON)
    cells = within.overall
    goods, bads = score_cells.totals(cells)
    total = goods + bads
    deciles = score_cells.deciles(cells)
    rate = bads / total if total else 0.0
    return ScoreReport(
        horizon_days=horizon_days,
        observations=total,
        observations_bad=bads,
        auc=score_cells.auc(cells),
        auc_not_past_due=score_cells.auc(within.not_past_due),
        ks=score_cells.ks(cells),
        log_loss=score_cells.log_loss(cells),
        log_loss_of_the_rate=score_cells.rounded(-rate * log(rate) - (1 - rate) * log(1 - rate))
        if 0 < rate < 1
        else None,
        calibration_error=score_cells.calibration_error(deciles),
        calibration=deciles,
        roc=score_cells.roc(cells),
        periods=tuple(
            ScorePeriod(
                from_ms=number * OBSERVED_EVERY_DAYS * DAY_MS,
                observations=sum(score_cells.totals(own)),
                observations_bad=score_cells.totals(own)[1],
                auc=score_cells.auc(own),
                ks=score_cells.ks(own),
                log_loss=score_cells.log_loss(own),
            )
            for number, own in within.periods.items()
        ),
        ranking=_ranking(_Counted(counters, _HIT_DAYS)),
    )


def _ranking(within: _Counted) -> Ranking:
    goods, bads = score_cells.totals(within.overall)
    return Ranking(
        days=HIT_DAYS_MAX,
        observations=goods + bads,
        observations_bad=bads,
        auc=score_cells.auc(within.overall),
        auc_not_past_due=score_cells.auc(within.not_past_due),
        ks=score_cells.ks(within.overall),
        roc=score_cells.roc(within.overall),
        periods=tuple(
            RankingPeriod(
                from_ms=number * OBSERVED_EVERY_DAYS * DAY_MS,
                observations=sum(score_cells.totals(own)),
                observations_bad=score_cells.totals(own)[1],
                auc=score_cells.auc(own),
                ks=score_cells.ks(own),
            )
            for number, own in within.periods.items()
        ),
    )
