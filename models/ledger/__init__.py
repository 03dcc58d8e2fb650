"""The ledger of one own loan: instalments, payments, and what is past due as of any instant.

The journal (lines of schedules and bills, payments, new schedules) keeps event times. Folding it in order of time gives
the balances; the balances of all that is known are kept, so that an event in order costs one step, and an earlier
instant (or a late event) folds the journal again. Entries older than `EXACT_DAYS` are folded into a base for good.
"""

from models.ledger.compaction import EXACT_DAYS
from models.ledger.entries import bill, change_limit, close, open_loan, pay, reschedule, reverse
from models.ledger.folding import balances_at, oldest_unpaid
from models.ledger.journal import LINES_PER_LOAN_MAX, NOT_IN_FORCE, Balances, Line, Loan, Payment
from models.ledger.reconciling import Reconciled, complete, instant_ms, reconcile, take_on
from models.ledger.spells import Spell, may_have_spells, spells
from models.ledger.standing import (
    NONE_DUE,
    Position,
    Standing,
    credit_limit_minor,
    next_entry_ms,
    oldest_unpaid_day,
    position,
    standing,
    was_compensated,
    was_rescheduled_last,
    was_settled_for_less,
)
from models.ledger.voiding import Voided, void

__all__ = [
    "EXACT_DAYS",
    "LINES_PER_LOAN_MAX",
    "NONE_DUE",
    "NOT_IN_FORCE",
    "Balances",
    "Line",
    "Loan",
    "Payment",
    "Position",
    "Reconciled",
    "Spell",
    "Standing",
    "Voided",
    "balances_at",
    "bill",
    "change_limit",
    "close",
    "complete",
    "credit_limit_minor",
    "instant_ms",
    "may_have_spells",
    "next_entry_ms",
    "oldest_unpaid",
    "oldest_unpaid_day",
    "open_loan",
    "pay",
    "position",
    "reconcile",
    "reschedule",
    "reverse",
    "spells",
    "standing",
    "take_on",
    "void",
    "was_compensated",
    "was_rescheduled_last",
    "was_settled_for_less",
]
