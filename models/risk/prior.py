"""The expert prior: what each feature is worth before there are outcomes to learn from.

Weights are log-odds added to those of an ordinary good borrower (`BIAS`), and are **expert judgement** unless a source
is named; what a source gives is the direction and, where it names a number, the size. They are set so that the sums
meet these marks for "30+ DPD within 60 days": clean 1-2 %, DPD 1-6 10-15 %, DPD 7-29 30-45 %, five new institutions
about 10 %, eighty per cent of income lost about 6 %. Learning replaces them; nobody should tune them to four digits.

The card of day one weighs `FIRST_WEIGHED`, which the marks were set by and cost little to look at. The others are where learning
starts from, and come into use with the first card that has learnt.
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

FIRST_WEIGHED: Final = (
    "days_past_due",
    "worst_days_past_due",
    "overdue_share",
    "missed_instalments",
    "income_lost_fraction",
    "income_visible",
    "new_institutions",
    "utilisation",
    "relation_days",
    "open_loans",
)
"""The features of the card of day one."""

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
    "granted_months": (
        Bin(-inf, 0.0, "cannot be told"),
        Bin(0.0, 0.2, "expert judgement: small sums are lent to those of whom little is known or expected"),
        Bin(0.5, 0.1, "expert judgement"),
        Bin(1.0, 0.0, "ordinary"),
        Bin(1.5, 0.0, "not known better than ordinary; finer for learning"),
        Bin(2.5, 0.0, "not known better than ordinary; finer for learning"),
        Bin(4.0, -0.1, "expert judgement: a lender trusted this borrower with more"),
        Bin(6.0, -0.1, "expert judgement"),
        Bin(10.0, -0.1, "not known better than the bin below; finer for learning"),
        Bin(16.0, -0.1, "not known better than the bin below; finer for learning"),
    ),
    "paid_months": (
        Bin(-inf, 0.0, "cannot be told"),
        Bin(0.0, 0.0, "nothing paid: often because nothing was due; days past due tell of the rest"),
        Bin(0.001, 0.0, "ordinary"),
        Bin(0.02, 0.0, "not known better than ordinary; finer for learning"),
        Bin(0.05, 0.0, "not known better than ordinary; finer for learning"),
        Bin(0.1, 0.0, "not known better than ordinary; finer for learning"),
        Bin(0.15, 0.0, "not known better than ordinary; finer for learning"),
        Bin(0.25, -0.1, "expert judgement: whoever pays much has much to pay from"),
        Bin(0.4, -0.1, "expert judgement"),
        Bin(0.7, -0.2, "expert judgement"),
        Bin(1.5, -0.2, "not known better than the bin below; finer for learning"),
        Bin(4.0, -0.2, "not known better than the bin below; finer for learning"),
    ),
    "days_since_payment": (
        Bin(-inf, 0.0, "no payment seen: often because none was due yet"),
        Bin(0, 0.0, "paid lately"),
        Bin(15, 0.0, "not known better; finer for learning"),
        Bin(20, 0.0, "not known better; finer for learning"),
        Bin(32, 0.1, "expert judgement: a month was left out, or there is none to pay in"),
        Bin(45, 0.2, "expert judgement"),
        Bin(62, 0.2, "not known better than the bin below; finer for learning"),
        Bin(92, 0.2, "quarterly payers are here, too"),
    ),
    "statement_paid_share": tuple(
        Bin(
            edge,
            0.0,
            "judged by it, borrowers are told apart worse than without (decision 0010); to be learnt",
        )
        for edge in (-inf, 0.0, 0.001, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.5, 0.95)
    ),
    "statement_utilisation": tuple(
        Bin(edge, 0.0, "utilisation weighs the same thing as of today; the bins are there to be learnt")
        for edge in (-inf, 0.0, 0.001, 0.05, 0.15, 0.30, 0.50, 0.75, 0.90, 1.0)
    ),
    "statement_change": (
        Bin(-inf, -0.1, "expert judgement: pays down"),
        Bin(-0.1, 0.0, "ordinary"),
        Bin(-0.03, 0.0, "not known better; finer for learning"),
        Bin(-0.01, 0.0, "not known better; finer for learning"),
        Bin(0.0, 0.0, "no change, or not known"),
        Bin(0.001, 0.0, "not known better; finer for learning"),
        Bin(0.01, 0.0, "not known better; finer for learning"),
        Bin(0.03, 0.0, "not known better; finer for learning"),
        Bin(0.1, 0.1, "expert judgement: a tenth of the line within a month"),
    ),
    "statement_change_3": (
        Bin(-inf, -0.1, "expert judgement: pays down"),
        Bin(-0.3, -0.1, "expert judgement: pays down"),
        Bin(-0.1, 0.0, "ordinary"),
        Bin(-0.03, 0.0, "not known better; finer for learning"),
        Bin(0.0, 0.0, "no change, or not known"),
        Bin(0.001, 0.0, "not known better; finer for learning"),
        Bin(0.03, 0.0, "not known better; finer for learning"),
        Bin(0.1, 0.1, "expert judgement: lives on the line"),
        Bin(0.3, 0.3, "expert judgement: a third of the line within three months"),
    ),
    "debt_months": (
        Bin(-inf, 0.0, "income or debt not known"),
        Bin(0.0, -0.1, "expert judgement: could be paid off from a pay or two"),
        Bin(1.0, 0.0, "ordinary"),
        Bin(3.0, 0.0, "not known better; finer for learning"),
        Bin(6.0, 0.0, "not known better; finer for learning"),
        Bin(12.0, 0.1, "expert judgement: a year's income without security"),
        Bin(24.0, 0.1, "homes are financed so: what falls due a month says more"),
    ),
    "debt_service_share": (
        Bin(-inf, 0.0, "income or debt not known"),
        Bin(0.0, -0.1, "expert judgement: little of the income is spoken for"),
        Bin(0.15, 0.0, "ordinary"),
        Bin(0.30, 0.0, "ordinary"),
        Bin(0.50, 0.2, "expert judgement: where over_indebtedness begins to look"),
        Bin(0.70, 0.5, "expert judgement: what is left has to feed a household"),
        Bin(1.0, 0.9, "expert judgement: more falls due than comes in"),
    ),
    "cash_cover": (
        Bin(-inf, 0.0, "no money in sight, or nothing falls due"),
        Bin(
            0.0, 0.4, "expert judgement: next to nothing is there for the next instalment; pay may still come"
        ),
        Bin(0.25, 0.3, "expert judgement"),
        Bin(0.5, 0.2, "expert judgement"),
        Bin(1.0, 0.0, "enough for the next instalment"),
        Bin(2.0, -0.1, "expert judgement"),
        Bin(5.0, -0.3, "expert judgement: a reserve of several instalments"),
        Bin(15.0, -0.4, "expert judgement: a reserve of a year"),
    ),
    "rollovers": (
        Bin(-inf, 0.0, "none seen"),
        Bin(1, 0.3, "expert judgement: once may be a refinancing"),
        Bin(2, 0.8, "expert judgement: where the warning begins"),
        Bin(3, 1.2, "expert judgement: lives from lender to lender"),
    ),
    "unreached_attempts": (
        Bin(-inf, 0.0, "nobody tried in vain"),
        Bin(1, 0.0, "one missed call says nothing"),
        Bin(3, 0.3, "expert judgement: perhaps does not want to be found"),
        Bin(6, 0.5, "expert judgement: does not want to be found, or cannot be"),
    ),
    "broken_promises": (
        Bin(-inf, 0.0, "none broken"),
        Bin(1, 0.4, "expert judgement: wanted to pay and could not"),
        Bin(2, 0.8, "expert judgement: says what ends the call"),
    ),
    "days_to_due": (
        Bin(-inf, 0.0, "nothing is billed: paid already, or between two statements"),
        *(
            Bin(edge, 0.0, "where in its cycle a loan is looked at weighs by itself little; to be learnt")
            for edge in (0, 2, 4, 7)
        ),
        Bin(10, -0.1, "expert judgement: there is time, and whoever is late has not missed the next one yet"),
        Bin(14, -0.1, "not known better than the bin below; finer for learning"),
        Bin(18, -0.1, "not known better than the bin below; finer for learning"),
        Bin(21, -0.1, "not known better than the bin below; finer for learning"),
    ),
    "days_since_late": (
        Bin(-inf, 0.0, "not late for half a year"),
        Bin(0, 0.0, "late now: days past due tell of it"),
        Bin(0.001, 0.1, "expert judgement: a fresh cure is the least certain"),
        Bin(10, 0.1, "not known better than the bin below; finer for learning"),
        Bin(20, 0.1, "not known better than the bin below; finer for learning"),
        Bin(30, 0.0, "paid for a month"),
        Bin(60, 0.0, "not known better; finer for learning"),
        Bin(90, 0.0, "not known better; finer for learning"),
    ),
}
"""By feature: bins with ascending edges, the first from below everything."""
