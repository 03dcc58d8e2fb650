"""What the probability is computed from: each feature documented once, in the one order that scorecards use."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

UNKNOWN: Final = -1.0
"""Value of a feature that cannot be told; it lies below the range of all that can."""
PAID_DAYS: Final = 90
"""How far back payments are added up: three monthly ones."""
LOOKBACK_DAYS: Final = 180
"""Statements and payments before then are not looked at: the ledger keeps them one by one for `EXACT_DAYS`, so that what
arrives later cannot change what was seen."""
UNREACHED_DAYS: Final = 30
"""How far back attempts at the borrower that failed are counted."""
TREND_MAX: Final = 100.0
"""Fractions and months are cut off here, on both sides of zero: beyond, they say nothing more."""

Kind = Literal[
    "loans",
    "granted",
    "payments",
    "statements",
    "dues",
    "income",
    "debts",
    "institutions",
    "money",
    "rollovers",
    "servicing",
]
"""What is looked at together for a feature: a card that does not use a kind need not pay for it."""
KINDS: Final[frozenset[Kind]] = frozenset(get_args(Kind))


class Feature(NamedTuple):
    """What a number means, in which unit, between which bounds it lies where it can be told, and where it comes from."""

    name: str
    meaning: str
    unit: str
    low: float
    high: float
    kind: Kind
    may_be_unknown: bool = False
    """Whether it may be `UNKNOWN`, too."""


class Features(NamedTuple):
    """The features of one borrower as of an instant, in the order of `FEATURES`; the defaults say "nothing known".

    New ones are appended: examples and cards of earlier releases hold the first so many.
    """

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
    granted_months: float = UNKNOWN
    paid_months: float = UNKNOWN
    days_since_payment: float = UNKNOWN
    statement_paid_share: float = UNKNOWN
    statement_utilisation: float = UNKNOWN
    statement_change: float = 0.0
    statement_change_3: float = 0.0
    debt_months: float = UNKNOWN
    debt_service_share: float = UNKNOWN
    cash_cover: float = UNKNOWN
    rollovers: float = 0.0
    unreached_attempts: float = 0.0
    broken_promises: float = 0.0
    days_to_due: float = UNKNOWN
    days_since_late: float = UNKNOWN


FEATURES: Final[tuple[Feature, ...]] = (
    Feature("days_past_due", "highest days past due of the open own loans now", "days", 0, 36_600, "loans"),
    Feature(
        "worst_days_past_due",
        "highest days past due that any remembered own loan ever came to, also where cured since",
        "days",
        0,
        36_600,
        "loans",
    ),
    Feature(
        "overdue_share",
        "overdue amount of the open own loans by their outstanding amount",
        "fraction",
        0,
        1,
        "loans",
    ),
    Feature(
        "missed_instalments",
        "instalments of the open own loans that are past due now",
        "count",
        0,
        10_000,
        "loans",
    ),
    Feature(
        "income_lost_fraction",
        "fraction of the borrower's own earlier income that is missing; 0 where none is or none can be seen",
        "fraction",
        0,
        1,
        "income",
    ),
    Feature(
        "income_visible", "whether enough income is seen to tell a loss: 1, else 0", "flag", 0, 1, "income"
    ),
    Feature(
        "new_institutions",
        "institutions that are new within the window of multi_platform_borrowing",
        "count",
        0,
        1_000,
        "institutions",
    ),
    Feature(
        "utilisation",
        "outstanding amount of the own credit lines by their limits; above 1 over the limit",
        "fraction",
        0,
        TREND_MAX,
        "loans",
        may_be_unknown=True,
    ),
    Feature(
        "relation_days",
        "days since the first remembered own loan was opened; 0 without one",
        "days",
        0,
        36_600,
        "loans",
    ),
    Feature("open_loans", "own loans that are open", "count", 0, 64, "loans"),
    Feature(
        "granted_months",
        "limits of the open own credit lines and principals of the other open own loans, in ordinary months' wages of "
        "their currency (models/risk/scale.py)",
        "months",
        0,
        36_600,
        "granted",
        may_be_unknown=True,
    ),
    Feature(
        "paid_months",
        f"what was paid on own loans within {PAID_DAYS} days, in ordinary months' wages of their currency; without "
        "waivers and what others than the borrower made good",
        "months",
        0,
        36_600,
        "payments",
        may_be_unknown=True,
    ),
    Feature(
        "days_since_payment",
        f"days since the last such payment on any own loan; unknown where none was made for {LOOKBACK_DAYS} days",
        "days",
        0,
        LOOKBACK_DAYS,
        "payments",
        may_be_unknown=True,
    ),
    Feature(
        "statement_paid_share",
        "what was paid on own credit lines from a statement to the next by its balance; of each line the newest statement whose "
        "due date has ended, so that it means the same on every day of the cycle",
        "fraction",
        0,
        TREND_MAX,
        "statements",
        may_be_unknown=True,
    ),
    Feature(
        "statement_utilisation",
        "balances of the newest statements of the own credit lines by their limits; below 0 where in credit is 0",
        "fraction",
        0,
        TREND_MAX,
        "statements",
        may_be_unknown=True,
    ),
    Feature(
        "statement_change",
        "change of those balances from the statement before, by the limits; 0 where it cannot be told",
        "fraction",
        -TREND_MAX,
        TREND_MAX,
        "statements",
    ),
    Feature(
        "statement_change_3",
        "change of those balances over three statements, by the limits; 0 where it cannot be told",
        "fraction",
        -TREND_MAX,
        TREND_MAX,
        "statements",
    ),
    Feature(
        "debt_months",
        "what is outstanding on open own loans by the borrower's recognised income a month in its currency",
        "months",
        0,
        TREND_MAX,
        "debts",
        may_be_unknown=True,
    ),
    Feature(
        "debt_service_share",
        "what falls due within a month, here and elsewhere, by recognised income a month, as over_indebtedness has it",
        "fraction",
        0,
        TREND_MAX,
        "debts",
        may_be_unknown=True,
    ),
    Feature(
        "cash_cover",
        "money in sight by what falls due next on own loans of its currency, the least over currencies",
        "fraction",
        0,
        TREND_MAX,
        "money",
        may_be_unknown=True,
    ),
    Feature(
        "rollovers",
        "times that money borrowed in one place repaid another, within the window of borrowing_to_repay",
        "count",
        0,
        64,
        "rollovers",
    ),
    Feature(
        "unreached_attempts",
        f"failed attempts at reaching the borrower within {UNREACHED_DAYS} days, since the last that succeeded",
        "count",
        0,
        100,
        "servicing",
    ),
    Feature(
        "broken_promises",
        "promises to pay that were broken within the window of unreachable",
        "count",
        0,
        100,
        "servicing",
    ),
    Feature(
        "days_to_due",
        "days until the next own instalment that is not paid yet falls due; unknown where none is billed: it tells where in its "
        "cycle a loan is looked at",
        "days",
        0,
        36_600,
        "dues",
        may_be_unknown=True,
    ),
    Feature(
        "days_since_late",
        f"days since an own loan was past due, 0 while one is; unknown where none was for {LOOKBACK_DAYS} days",
        "days",
        0,
        LOOKBACK_DAYS,
        "dues",
        may_be_unknown=True,
    ),
)
