"""A loan's ledger from its events: entered one by one, in the order given, as the engine enters them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from models import ledger
from models.events import (
    InstalmentBilled,
    LimitChanged,
    LoanClosed,
    LoanOpened,
    Repayment,
    RepaymentReversed,
    ScheduleChanged,
)
from models.ledger import Loan
from models.rules import Rules

LoanEvent = InstalmentBilled | LimitChanged | LoanClosed | Repayment | RepaymentReversed | ScheduleChanged

_ENTER: dict[type, Callable[[Loan, Any, Rules], object]] = {
    InstalmentBilled: ledger.bill,
    LimitChanged: ledger.change_limit,
    LoanClosed: ledger.close,
    Repayment: ledger.pay,
    ScheduleChanged: ledger.reschedule,
}


def enter(loan: Loan, events: Iterable[LoanEvent], rules: Rules) -> Loan:
    """Enter events as they come; a reversal waits until its payment is known."""
    waiting: list[RepaymentReversed] = []
    for event in events:
        if isinstance(event, RepaymentReversed):
            waiting.append(event)
        else:
            _ENTER[type(event)](loan, event, rules)
        waiting = [reversal for reversal in waiting if not ledger.reverse(loan, reversal, rules)]
    return loan


def ledger_of(opened: LoanOpened, *events: LoanEvent, rules: Rules) -> Loan:
    """The ledger of a loan, its events entered in the order given."""
    return enter(ledger.open_loan(opened, rules), events, rules)
