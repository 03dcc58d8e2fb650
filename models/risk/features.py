"""What the probability is computed from: each feature documented once, in the one order that scorecards use."""

from __future__ import annotations

from typing import Final, NamedTuple

UNKNOWN: Final = -1.0
"""Value of a feature that cannot be told; it lies below the range of all that can."""


class Feature(NamedTuple):
    """What a number means, in which unit, and between which bounds it lies."""

    name: str
    meaning: str
    unit: str
    low: float
    high: float


class Features(NamedTuple):
    """The features of one borrower as of an instant, in the order of `FEATURES`; the defaults say "nothing known"."""

    days_past_due: float = 0.0
    worst_days_past_due: float = 0.0
    overdue_share: float = 0.0
    missed_instalments: float = 0.0
    income_lost_fraction: float = 0.0
    income_visible: float = 0.0
    new_institutions: float = 0.0
    utilisation: float = UNKNOWN
    relation_days: float = 0.0
    open_loans: float = 0.0


FEATURES: Final[tuple[Feature, ...]] = (
    Feature("days_past_due", "highest days past due of the open own loans now", "days", 0, 36_600),
    Feature(
        "worst_days_past_due",
        "highest days past due that any remembered own loan ever came to, also where cured since",
        "days",
        0,
        36_600,
    ),
    Feature(
        "overdue_share", "overdue amount of the open own loans by their outstanding amount", "fraction", 0, 1
    ),
    Feature(
        "missed_instalments", "instalments of the open own loans that are past due now", "count", 0, 10_000
    ),
    Feature(
        "income_lost_fraction",
        "fraction of the borrower's own earlier income that is missing; 0 where none is or none can be seen",
        "fraction",
        0,
        1,
    ),
    Feature("income_visible", "whether enough income is seen to tell a loss: 1, else 0", "flag", 0, 1),
    Feature(
        "new_institutions",
        "institutions that are new within the window of multi_platform_borrowing",
        "count",
        0,
        1_000,
    ),
    Feature(
        "utilisation",
        "outstanding amount of the own credit lines by their limits; above 1 over the limit, -1 without a limit",
        "fraction",
        UNKNOWN,
        100,
    ),
    Feature(
        "relation_days",
        "days since the first remembered own loan was opened; 0 without one",
        "days",
        0,
        36_600,
    ),
    Feature("open_loans", "own loans that are open", "count", 0, 64),
)
