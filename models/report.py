"""The form of `report.json`: how good the alerts were. `models.judging` says how each number is found.

Counts are plain numbers, shares lie between 0 and 1, times are days. What cannot be computed is null.
"""

from __future__ import annotations

from msgspec import Struct


class WorstPayers(Struct, frozen=True, kw_only=True):
    """Warned borrowers against as many with the worst payment record, at the same instants.

    Every 30 days the borrowers are taken who are not bad, not past due, and observed. Warned are those with an early alert
    open. As many are chosen by the worst days past due they ever had; where the choice is among equals (most never were
    past due), the expected number of hits is counted. A borrower counts who goes bad 1 to 180 days later.
    """

    snapshots: int
    """Instants at which at least one borrower was warned."""
    chosen: int
    """Borrowers chosen by either, summed over the snapshots."""
    bad_among_warned: int
    """Of them, gone bad within 1 to 180 days, chosen by open alerts."""
    bad_among_worst_payers: float
    """The same, chosen by worst days past due (expected number)."""


class Capacity(Struct, frozen=True, kw_only=True):
    """A team that calls `per_day` borrowers a day, each once, always those with the highest priority first.

    Each day it chooses among the borrowers with an early alert open at the end of that day, by the priority at opening.
    """

    per_day: int
    called: int
    """Borrowers called in all."""
    bad: int
    """Of them, gone bad 1 to 180 days after the alert that they were called for had opened."""
    precision: float | None
    """`bad / called`."""


class MonthVolume(Struct, frozen=True, kw_only=True):
    """Thirty days of the book."""

    from_ms: int
    borrowers: int
    """Of those with an outcome, observed at its beginning and not bad by then."""
    alerts: dict[str, int]
    """Alerts opened for borrowers with an outcome, by signal, retracted ones included."""


class CalibrationDecile(Struct, frozen=True, kw_only=True):
    """A tenth of the observations, by probability."""

    observations: int
    mean_probability: float
    bad_rate: float


class RankingPeriod(Struct, frozen=True, kw_only=True):
    """Thirty days: what was foretold in them, before anything later was known."""

    from_ms: int
    observations: int
    observations_bad: int
    auc: float | None
    ks: float | None


class ScorePeriod(RankingPeriod, frozen=True, kw_only=True):
    """The same, of the score's own horizon."""

    log_loss: float | None


class Ranking(Struct, frozen=True, kw_only=True):
    """How well the probabilities order the borrowers by whether they go bad 1 to `days` days later, as alerts are judged.

    A default comes months after what the score foretells (so many days late within its horizon): that it foretells the
    default as well can be told by its order alone, so there is neither a log-loss nor a calibration.
    """

    days: int
    observations: int
    observations_bad: int
    auc: float | None
    auc_not_past_due: float | None
    """Among observations with nothing past due: there is nothing to see yet, so this is foresight."""
    ks: float | None
    roc: tuple[tuple[float, float], ...]
    """Share of goods and of bads with at least some probability, from (0, 0) to (1, 1)."""
    periods: tuple[RankingPeriod, ...]


class ScoreReport(Struct, frozen=True, kw_only=True):
    """How good the probabilities were (`models.score_judging`): each borrower looked at every 30 days, until bad."""

    horizon_days: int
    """Bad is who goes bad within so many days."""
    observations: int
    observations_bad: int
    auc: float | None
    auc_not_past_due: float | None
    """As in `ranking`."""
    ks: float | None
    log_loss: float | None
    log_loss_of_the_rate: float | None
    """Of who says the mean rate of all: what has a higher loss tells less than that."""
    calibration_error: float | None
    """Mean over the observations of |mean probability - bad rate| of their decile."""
    calibration: tuple[CalibrationDecile, ...]
    roc: tuple[tuple[float, float], ...]
    """As in `ranking`."""
    periods: tuple[ScorePeriod, ...]
    ranking: Ranking
    """By who goes bad within half a year."""


class PastDueAlerts(Struct, frozen=True, kw_only=True):
    """Alerts that opened while something was past due: no foresight, so in none of the other rates."""

    borrowers_alerted: int
    """With at least one such alert that stood and opened before `bad`."""
    borrowers_bad: int
    """Of them, bad 1 to 180 days after one of these alerts had opened."""
    precision: float | None
    """`borrowers_bad` here, of `borrowers_alerted`."""
    recall: float | None
    """`borrowers_bad` here, of all bad borrowers."""
    lead_days_median: float | None
    """Days from the first of these alerts to `bad`."""


class SignalReport(Struct, frozen=True, kw_only=True):
    """One signal, against the outcomes and against the truth."""

    alerts: int
    """Episodes opened, retracted ones included."""
    alerts_retracted: int
    alerts_per_1000_borrower_months: float | None
    """`alerts` per 1,000 `borrower_months` of the report."""
    borrowers_warned: int
    """Borrowers with an early alert of this signal that stood."""
    borrowers_hit: int
    """Of them, bad 1 to 180 days later."""
    precision: float | None
    """`borrowers_hit / borrowers_warned`."""
    recall: float | None
    """`borrowers_hit` of all bad borrowers."""
    lead_days_median: float | None
    """Days from a hit borrower's first hit of this signal to `bad`."""
    past_due: PastDueAlerts
    """This signal's alerts that opened while something was past due."""
    truth_episodes: int | None
    """Episodes this signal should have told of; null (as all below) where the truth never names the signal."""
    found: int | None
    """Of them, with an alert that was open at some time between `from_ms` and `until_ms`."""
    missed: int | None
    """Of them, without."""
    false: int | None
    """Alerts that stood and were open during no episode of the truth."""
    borrowers_found: int | None
    borrowers_missed: int | None
    """Borrowers with an episode missed."""
    borrowers_false: int | None
    """Borrowers with a false alert."""
    delay_days_median: float | None
    """Days from `from_ms` to the opening of the first alert that found the episode; 0 where it was open already."""


class Report(Struct, frozen=True, kw_only=True):
    """What `report.json` says. Counts are of borrowers unless named otherwise; rates are null where undefined."""

    borrowers: int
    """Borrowers with an outcome: the only ones judged."""
    borrowers_bad: int
    borrower_months: float | None
    """Observed time of all of them, in mean months, until `bad` or until the observation ended."""
    alerts: int
    """Alert episodes opened for judged borrowers, retracted ones included."""
    alerts_retracted: int
    alerts_without_outcome: int
    """Alert episodes of borrowers without an outcome: not judged, and in no other number."""
    alerts_per_1000_borrower_months: float | None
    """`alerts` (retracted ones included) per 1,000 `borrower_months`."""
    borrowers_warned: int
    """With at least one early alert that stood."""
    borrowers_hit: int
    """Of them, bad 1 to 180 days after one of these alerts had opened."""
    borrowers_warned_unmatured: int
    """Of them, good so far, but observed for less than 180 days after their last early alert: counted as no hit."""
    precision: float | None
    """`borrowers_hit / borrowers_warned`."""
    precision_matured: float | None
    """`borrowers_hit / (borrowers_warned - borrowers_warned_unmatured)`."""
    recall: float | None
    """`borrowers_hit / borrowers_bad`."""
    lead_days_median: float | None
    """Days from a hit borrower's first hit to `bad`."""
    lead_days_histogram: tuple[int, ...]
    """Hit borrowers by these days: below 15, below 30, and so on to 180."""
    past_due: PastDueAlerts
    """Alerts that opened while something was past due, reported apart."""
    bad_warned_too_early: int
    """Bad without a hit, whose early alerts all opened more than 180 days before."""
    bad_warned_late: int
    """Bad without a hit or an alert too early: the first one opened while past due, or less than a day before `bad`."""
    bad_silent: int
    """Bad without any alert before (retracted ones are none)."""
    lift_over_worst_payers: float | None
    """How many times more borrowers go bad among the warned than among as many worst payers (`worst_payers`)."""
    worst_payers: WorstPayers | None
    capacity: Capacity
    signals: dict[str, SignalReport]
    """By signal, those with an alert or an episode of the truth."""
    volume: tuple[MonthVolume, ...]
    """By thirty days from the beginning of the observation on; empty where that is unknown."""
    not_computed: dict[str, str]
    """Why a field is null, by the field's name; within `signals` the description of the field says it."""
