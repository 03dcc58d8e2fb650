"""The form of `comparison.json`: two policies, `a` and `b`, that judged the same past. `models.comparing` finds the numbers.

Counts are plain numbers, shares lie between 0 and 1, times are days. What cannot be computed is null.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from models.alerts import SeverityName

T = TypeVar("T")


class Sides(Struct, Generic[T], frozen=True):
    """The same of either policy."""

    a: T
    b: T


class SeverityMove(Struct, frozen=True, kw_only=True):
    """Alerts that both policies raised, at different severities: the highest that each of them gave."""

    a: SeverityName
    b: SeverityName
    alerts: int


class WarningsCompared(Struct, frozen=True, kw_only=True):
    """What the alerts of a signal, or of all of them, were worth: each figure as in the policy's own `report.json`."""

    borrowers_warned: Sides[int]
    borrowers_hit: Sides[int]
    hit_only: Sides[int]
    """Bad borrowers of whom only the one warned in time."""
    warned_in_vain_only: Sides[int]
    """Borrowers warned of by the one alone who did not go bad in time."""
    precision: Sides[float | None]
    recall: Sides[float | None]
    lead_days_median: Sides[float | None]
    alerts_per_1000_borrower_months: Sides[float | None]


class Compared(Struct, frozen=True, kw_only=True):
    """The alerts of a signal, or of all of them.

    Both policies raised an alert if each has one of that signal for that borrower and loan, and both were open at some time
    together: so an alert that opens a few days later is still the same one. An alert has at most one counterpart.
    Retracted alerts are alerts here: they cost somebody a look.
    """

    alerts: Sides[int]
    """Raised, of borrowers without an outcome as well."""
    both: int
    """Raised by both."""
    only: Sides[int]
    """Raised by the one and not by the other: `both` and these are `alerts`."""
    opened_first: Sides[int]
    """Of `both`, opened earlier by the one than by the other."""
    days_first_median: Sides[float | None]
    """By how many days, over those alerts."""
    severity_moves: tuple[SeverityMove, ...]
    """Of `both`, those whose highest severity differs, by severities."""
    warnings: WarningsCompared | None
    """What the alerts were worth; null where no outcomes are known, or for a signal that neither policy has to judge."""


class CapacityCompared(Struct, frozen=True, kw_only=True):
    """A team that calls so many borrowers a day, by the alerts of either policy."""

    per_day: int
    called: Sides[int]
    bad: Sides[int]
    precision: Sides[float | None]


class ScoreCompared(Struct, frozen=True, kw_only=True):
    """The probabilities: where `horizon_days` differ, the policies foretell different things."""

    horizon_days: Sides[int]
    observations: Sides[int]
    observations_bad: Sides[int]
    auc: Sides[float | None]
    auc_not_past_due: Sides[float | None]
    ks: Sides[float | None]
    log_loss: Sides[float | None]
    calibration_error: Sides[float | None]
    ranking_auc: Sides[float | None]
    """As `ranking` of either report, where bad is who goes bad within half a year."""
    ranking_auc_not_past_due: Sides[float | None]
    ranking_ks: Sides[float | None]


class LearningCompared(Struct, frozen=True, kw_only=True):
    """What either policy learnt, by labels of its own: where targets or segments differ, they foretell different things."""

    cards: Sides[int]
    """Published."""
    examples: Sides[int]
    """That went bad or good."""
    examples_bad: Sides[int]
    auc: Sides[float | None]
    """Of the cards in force, as in `learning` of either report."""
    log_loss: Sides[float | None]
    calibration_error: Sides[float | None]


class Comparison(Struct, frozen=True, kw_only=True):
    """What `comparison.json` says."""

    policy_names: Sides[str]
    policy_versions: Sides[str]
    settings: dict[str, Sides[Any]]
    """Keys of the policy whose values differ, by name; null where a policy has no such key."""
    total: Compared
    """All signals together."""
    capacity: CapacityCompared | None
    """Null, as what follows, where no outcomes are known."""
    lift_over_worst_payers: Sides[float | None] | None
    score: ScoreCompared | None
    signals: dict[str, Compared]
    """By signal, those with an alert of either policy."""
    learning: LearningCompared | None
    """Null where the expert prior was to stay."""


class OneAlert(Struct, frozen=True, kw_only=True):
    """An alert as one policy raised it."""

    alert_id: str
    opened_at_ms: int
    severity: SeverityName
    """The highest that it had."""


class Difference(Struct, frozen=True, kw_only=True):
    """A line of `differences.jsonl`: an alert that one policy did not raise, or raised at another time or severity."""

    signal: str
    borrower_id: str
    loan_id: str | None
    difference: Literal["only_a", "only_b", "opening", "severity", "opening_and_severity"]
    """`opening`: it opened at another time."""
    a: OneAlert | None
    b: OneAlert | None
