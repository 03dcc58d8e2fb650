"""The signals of the engine, by the numbers under which the state remembers them."""

from __future__ import annotations

from typing import Final

from models.borrower import CLOCKS
from models.signals.binding import Signal
from models.signals.income_drop import IncomeDrop
from models.signals.missed_payment import MissedPayment
from models.signals.multi_platform_borrowing import MultiPlatformBorrowing

MISSED_PAYMENT, INCOME_DROP, MULTI_PLATFORM_BORROWING = range(3)
SIGNALS: Final[tuple[Signal, ...]] = (MissedPayment(), IncomeDrop(), MultiPlatformBorrowing())
"""In the order of their numbers in the state: append, never reorder."""
SIGNALS_BY_CLOCK: Final[dict[int, tuple[int, ...]]] = {
    clock: tuple(number for number, signal in enumerate(SIGNALS) if signal.clock == clock)
    for clock in range(CLOCKS)
}
