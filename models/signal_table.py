"""The signals of the engine, by the numbers under which the state remembers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from models.alerts import SignalName
from models.borrower import CLOCKS, Borrower
from models.episodes import Episode
from models.rules import Rules
from models.signals.asset_flight import AssetFlight
from models.signals.binding import Signal
from models.signals.borrowing_to_repay import BorrowingToRepay
from models.signals.fund_misuse import FundMisuse
from models.signals.income_drop import IncomeDrop
from models.signals.linked_distress import LinkedDistress
from models.signals.missed_payment import MissedPayment
from models.signals.multi_platform_borrowing import MultiPlatformBorrowing
from models.signals.over_indebtedness import OverIndebtedness
from models.signals.payment_at_risk import PaymentAtRisk, next_look_of
from models.signals.relapse import Relapse
from models.signals.risk_score import RiskScore
from models.signals.unreachable import Unreachable

SIGNALS: Final[tuple[Signal, ...]] = (
    MissedPayment(),
    IncomeDrop(),
    MultiPlatformBorrowing(),
    PaymentAtRisk(),
    BorrowingToRepay(),
    OverIndebtedness(),
    FundMisuse(),
    AssetFlight(),
    Unreachable(),
    Relapse(),
    RiskScore(),
    LinkedDistress(),
)
"""In the order of their numbers in the state: append, never reorder."""


def _number_of(name: SignalName) -> int:
    return next(number for number, signal in enumerate(SIGNALS) if signal.name == name)


MISSED_PAYMENT: Final = _number_of("missed_payment")
INCOME_DROP: Final = _number_of("income_drop")
MULTI_PLATFORM_BORROWING: Final = _number_of("multi_platform_borrowing")
PAYMENT_AT_RISK: Final = _number_of("payment_at_risk")
BORROWING_TO_REPAY: Final = _number_of("borrowing_to_repay")
OVER_INDEBTEDNESS: Final = _number_of("over_indebtedness")
FUND_MISUSE: Final = _number_of("fund_misuse")
ASSET_FLIGHT: Final = _number_of("asset_flight")
UNREACHABLE: Final = _number_of("unreachable")
RELAPSE: Final = _number_of("relapse")
RISK_SCORE: Final = _number_of("risk_score")
LINKED_DISTRESS: Final = _number_of("linked_distress")
CLOCKS_BY_SIGNAL: Final = tuple(signal.clock for signal in SIGNALS)
SUBJECTS_DIFFER: Final = frozenset({MISSED_PAYMENT, FUND_MISUSE, LINKED_DISTRESS})
"""Signals that judge each own loan, or not everybody; the others judge any borrower as a whole."""
LOOKS_OFTEN: Final = frozenset(number for number, signal in enumerate(SIGNALS) if signal.looks_often)
SIGNALS_BY_CLOCK: Final[dict[int, tuple[int, ...]]] = {
    clock: tuple(number for number, signal in enumerate(SIGNALS) if signal.clock == clock)
    for clock in range(CLOCKS)
}
MOVED_WITH: Final[tuple[tuple[int, ...], ...]] = tuple(
    (
        number,
        *{
            MISSED_PAYMENT: (PAYMENT_AT_RISK, ASSET_FLIGHT, RELAPSE, RISK_SCORE),
            INCOME_DROP: (OVER_INDEBTEDNESS,),
        }.get(number, ()),
    )
    for number in range(len(SIGNALS))
)
"""By signal: itself, and those that rest on the same evidence, so that what touches it may bring their deadlines nearer though
they are not touched. `missed_payment` stands for the loans, `income_drop` for income. All of one clock."""
NextLookMs = Callable[[Borrower, str | None, int, Episode | None, Rules], int]
NEXT_LOOK_MS: Final[tuple[NextLookMs, ...]] = tuple(
    next_look_of if number == PAYMENT_AT_RISK else signal.next_deadline_ms
    for number, signal in enumerate(SIGNALS)
)
"""By signal: when it is looked at next. That is its next deadline; `payment_at_risk` lets those out who have enough, and leaves in
the picture which balance has it asked again."""
