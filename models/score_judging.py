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

from models.calendars import DAY_MS
from models.judging import HIT_DAYS_MAX, Fate
from models.report import CalibrationDecile, Ranking, RankingPeriod, ScorePeriod, ScoreReport

OBSERVED_EVERY_DAYS: Final = 30
_STEPS: Final = 10_000
_DECILES: Final = 10
_DECIMALS: Final = 4
_ROC_POINTS_MAX: Final = 200
"""Of the curve: more cannot be told apart in a plot."""

_HORIZON: Final = 0
_HIT_DAYS: Final = 1
"""The windows that are counted."""

_Cells = Mapping[int, tuple[int, int]]
"""By probability in ten-thousandths: goods and bads."""


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
        step = round(probability * _STEPS)
        for window, until_ms, is_bad in windows:
            if until_ms <= self._observed_until_ms and (is_bad or fate.observed_until_ms >= until_ms):
                self.counts[_cell(window, period, step, is_past_due, is_bad)] += 1


def _cell(window: int, period: int, step: int, is_past_due: bool, is_bad: bool) -> int:
    return (((period * 2 + is_past_due) * (_STEPS + 1) + step) * 2 + is_bad) * 2 + window


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
                rest, step = divmod(rest, _STEPS + 1)
                period, is_past_due = divmod(rest, 2)
                periods[period][step][is_bad] += count
                overall[step][is_bad] += count
                if not is_past_due:
                    current[step][is_bad] += count
        self.overall = _sorted(overall)
        self.not_past_due = _sorted(current)
        self.periods = {number: _sorted(periods[number]) for number in sorted(periods)}


def score_report(counted: Iterable[Mapping[int, int]], horizon_days: int) -> ScoreReport:
    """The figures of all that was counted, in any number of counters."""
    counters = list(counted)
    within = _Counted(counters, _HORIZON)
    cells = within.overall
    goods, bads = _totals(cells)
    total = goods + bads
    deciles = _deciles(cells)
    rate = bads / total if total else 0.0
    return ScoreReport(
        horizon_days=horizon_days,
        observations=total,
        observations_bad=bads,
        auc=_auc(cells),
        auc_not_past_due=_auc(within.not_past_due),
        ks=_ks(cells),
        log_loss=_log_loss(cells),
        log_loss_of_the_rate=_rounded(-rate * log(rate) - (1 - rate) * log(1 - rate))
        if 0 < rate < 1
        else None,
        calibration_error=_rounded(
            sum(d.observations * abs(d.mean_probability - d.bad_rate) for d in deciles) / total
        )
        if total
        else None,
        calibration=deciles,
        roc=_roc(cells),
        periods=tuple(
            ScorePeriod(
                from_ms=number * OBSERVED_EVERY_DAYS * DAY_MS,
                observations=sum(_totals(own)),
                observations_bad=_totals(own)[1],
                auc=_auc(own),
                ks=_ks(own),
                log_loss=_log_loss(own),
            )
            for number, own in within.periods.items()
        ),
        ranking=_ranking(_Counted(counters, _HIT_DAYS)),
    )


def _ranking(within: _Counted) -> Ranking:
    goods, bads = _totals(within.overall)
    return Ranking(
        days=HIT_DAYS_MAX,
        observations=goods + bads,
        observations_bad=bads,
        auc=_auc(within.overall),
        auc_not_past_due=_auc(within.not_past_due),
        ks=_ks(within.overall),
        roc=_roc(within.overall),
        periods=tuple(
            RankingPeriod(
                from_ms=number * OBSERVED_EVERY_DAYS * DAY_MS,
                observations=sum(_totals(own)),
                observations_bad=_totals(own)[1],
                auc=_auc(own),
                ks=_ks(own),
            )
            for number, own in within.periods.items()
        ),
    )


def _sorted(cells: Mapping[int, list[int]]) -> _Cells:
    return {step: (cells[step][0], cells[step][1]) for step in sorted(cells)}


def _totals(cells: _Cells) -> tuple[int, int]:
    return sum(good for good, _ in cells.values()), sum(bad for _, bad in cells.values())


def _auc(cells: _Cells) -> float | None:
    """Of a bad and a good one drawn at random, how often the bad one has the higher probability; a tie counts half."""
    goods, bads = _totals(cells)
    if not goods or not bads:
        return None
    below = twice_pairs = 0
    for good, bad in cells.values():
        twice_pairs += bad * (2 * below + good)
        below += good
    return _rounded(twice_pairs / (2 * goods * bads))


def _ks(cells: _Cells) -> float | None:
    """Largest distance between the distributions of goods and bads (Kolmogorov and Smirnov)."""
    goods, bads = _totals(cells)
    if not goods or not bads:
        return None
    below_good = below_bad = 0
    furthest = 0.0
    for good, bad in cells.values():
        below_good += good
        below_bad += bad
        furthest = max(furthest, abs(below_good / goods - below_bad / bads))
    return _rounded(furthest)


def _log_loss(cells: _Cells) -> float | None:
    """Mean of -log(probability of what happened); none is taken for nearer to 0 or 1 than half a step."""
    total = sum(map(sum, cells.values()))
    if not total:
        return None
    loss = 0.0
    for step, (good, bad) in cells.items():
        probability = min(max(step / _STEPS, 0.5 / _STEPS), 1 - 0.5 / _STEPS)
        loss -= bad * log(probability) + good * log(1 - probability)
    return _rounded(loss / total)


def _deciles(cells: _Cells) -> tuple[CalibrationDecile, ...]:
    """Tenths of the observations, lowest probabilities first. Equal ones stay together, so that there may be fewer."""
    total = sum(map(sum, cells.values()))
    sums = [[0, 0, 0] for _ in range(_DECILES)]
    below = 0
    for step, (good, bad) in cells.items():
        count = good + bad
        tenth = sums[min(_DECILES * (2 * below + count) // (2 * total), _DECILES - 1)]
        tenth[0] += count
        tenth[1] += count * step
        tenth[2] += bad
        below += count
    return tuple(
        CalibrationDecile(
            observations=count,
            mean_probability=_rounded(steps / _STEPS / count),
            bad_rate=_rounded(bad / count),
        )
        for count, steps, bad in sums
        if count
    )


def _roc(cells: _Cells) -> tuple[tuple[float, float], ...]:
    """Share of goods and share of bads above each probability, from (0, 0) to (1, 1)."""
    goods, bads = _totals(cells)
    if not goods or not bads:
        return ()
    points = [(0.0, 0.0)]
    above_good = above_bad = 0
    for good, bad in reversed(list(cells.values())):
        above_good += good
        above_bad += bad
        points.append((_rounded(above_good / goods), _rounded(above_bad / bads)))
    every = -(-len(points) // _ROC_POINTS_MAX)
    return (*points[:-1:every], points[-1])


def _rounded(value: float) -> float:
    return round(value, _DECIMALS)
