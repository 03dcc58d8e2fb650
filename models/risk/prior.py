"""The expert prior: what each feature is worth before there are outcomes to learn from.

Weights are log-odds added to those of an ordinary good borrower (`BIAS`), and are **expert judgement** unless a source
is named; what a source gives is the direction and, where it names a number, the size. They are set so that the sums
meet these marks for "30+ DPD within 60 days": clean 1-2 %, DPD 1-6 10-15 %, DPD 7-29 30-45 %, five new institutions
about 10 %, eighty per cent of income lost about 6 %. Learning replaces them; nobody should tune them to four digits.
"""

from __future__ import annotations

from math import inf, log
from typing import Final, NamedTuple


class Bin(NamedTuple):
    """From `edge` (the lowest value in it) to the next bin's edge: log-odds, and why."""

    edge: float
    weight: float
    reason: str


BIAS: Final = -4.2
"""Log-odds of 1.5 %: a borrower who pays, whose income comes, who asks nobody else for money. Expert judgement."""

_FICO: Final = "myFICO, What's in my FICO Scores"

PRIOR: Final[dict[str, tuple[Bin, ...]]] = {
    "days_past_due": (
        Bin(-inf, 0.0, "nothing past due"),
        Bin(1, 1.6, "expert judgement: most who are days late pay within the month, one in eight does not"),
        Bin(7, 2.6, "expert judgement: a full week without payment is rarely an oversight"),
        Bin(15, 2.9, "expert judgement: halfway to the target"),
        Bin(
            30,
            6.0,
            "at the target already; IFRS 9 5.5.11 presumes a significant increase in risk from 30 days",
        ),
        Bin(90, 6.6, "in default by the Basel definition: 90 days past due"),
    ),
    "worst_days_past_due": (
        Bin(-inf, 0.0, "never late as far as is remembered"),
        Bin(1, 0.3, f"payment history weighs most, 35 % of a score ({_FICO}); size by expert judgement"),
        Bin(7, 0.6, "expert judgement: was late by a week or more before"),
        Bin(30, 1.3, "expert judgement: has been at the target before"),
        Bin(90, 1.8, "expert judgement: has been in default before"),
    ),
    "overdue_share": (
        Bin(-inf, 0.0, "next to nothing of the debt is overdue"),
        Bin(0.05, 0.1, "expert judgement: amounts are small beside the days"),
        Bin(0.25, 0.3, "expert judgement: a quarter of the debt has to be caught up with"),
        Bin(0.75, 0.4, "expert judgement: short loans whose whole sum fell due"),
    ),
    "missed_instalments": (
        Bin(-inf, 0.0, "none missed"),
        Bin(1, 0.2, "expert judgement: one missed instalment says little more than its days"),
        Bin(2, 0.6, "expert judgement: a second missed one shows that the first was no oversight"),
        Bin(3, 1.0, "expert judgement: three missed ones are seldom caught up with"),
    ),
    "income_lost_fraction": (
        Bin(-inf, 0.0, "income as before"),
        Bin(0.30, 0.5, "expert judgement: between none and the loss of a job"),
        Bin(
            0.50,
            log(3.0),
            "households whose head lost work default about three times as often: Gerardi, Herkenhoff, Ohanian and "
            "Willen, Can't Pay or Won't Pay?, working paper version of Review of Financial Studies 31(3), 2018",
        ),
        Bin(0.80, 1.5, "expert judgement: beyond the loss of one job of a household, nearly all is gone"),
    ),
    "income_visible": (
        Bin(-inf, 0.1, "expert judgement: whoever does not let us see an income has a little more to hide"),
        Bin(1, 0.0, "income can be seen"),
    ),
    "new_institutions": (
        Bin(-inf, 0.0, "asks nobody else for money"),
        Bin(1, 0.2, f"new credit is 10 % of a score ({_FICO}); size by expert judgement"),
        Bin(2, 0.6, "expert judgement: shopping around, or in need"),
        Bin(3, 1.2, "expert judgement: where the warning begins"),
        Bin(5, 2.0, "expert judgement: borrowing here to repay there, one in ten fails within two months"),
        Bin(8, 2.7, "expert judgement: whoever still lends will be last"),
    ),
    "utilisation": (
        Bin(-inf, 0.0, "no credit line"),
        Bin(
            0.0,
            -0.2,
            f"amounts owed are 30 % of a score, low use is good ({_FICO}); size by expert judgement",
        ),
        Bin(0.30, 0.0, "expert judgement: ordinary use"),
        Bin(0.75, 0.3, "expert judgement: little room left"),
        Bin(0.90, 0.7, "expert judgement: the line is used up, the next shock meets no reserve"),
    ),
    "relation_days": (
        Bin(-inf, 0.3, f"length of credit history is 15 % of a score ({_FICO}); size by expert judgement"),
        Bin(90, 0.1, "expert judgement: the first payments were made, early fraud would have shown"),
        Bin(365, 0.0, "known for a year"),
        Bin(1095, -0.3, "expert judgement: three years of good dealings"),
    ),
    "open_loans": (
        Bin(-inf, 0.0, "one loan, or none"),
        Bin(2, 0.1, "expert judgement: several payments to keep up with"),
        Bin(4, 0.4, "expert judgement: loans beside loans"),
    ),
}
"""By feature: bins with ascending edges, the first from below everything."""
