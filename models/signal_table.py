"""The signals of the engine: each bound to the evidence it judges and the clock its deadlines follow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from models.alerts import Finding, Resolution, Severity, SignalName
from models.borrower import HIGHEST, Borrower
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import CREDIT_QUERIES, FUND_FLOWS, REPAYMENTS
from models.rules import Rules
from models.signals import income_drop, missed_payment, multi_platform_borrowing

_BORROWER_LEVEL: Final[tuple[None]] = (None,)


class Signal(Protocol):
    """One early warning as the engine drives it.

    A subject is a loan id, or None for a signal that is about the borrower. `at_ms` is the instant to judge as of:
    evidence with a later event time does not count. `before_midnight` is set for a deadline: what happens at
    that very instant belongs to the day that begins.
    """

    @property
    def name(self) -> SignalName:
        """The contract's word."""
        ...

    @property
    def clock(self) -> int:
        """The feed whose watermark judges its deadlines, or `HIGHEST`."""
        ...

    @property
    def feed(self) -> int:
        """The topic that its deadlines name as their cause."""
        ...

    def cooldown_days(self, rules: Rules) -> int:
        """Days after a resolution in which only a higher severity opens again."""
        ...

    def subjects(self, borrower: Borrower) -> Iterable[str | None]:
        """What can be judged apart."""
        ...

    def judge(
        self,
        borrower: Borrower,
        subject: str | None,
        at_ms: int,
        episode: Episode | None,
        rules: Rules,
        *,
        deadline: bool,
    ) -> Finding | None:
        """The state of the signal as of `at_ms`; `episode` is the open one."""
        ...

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The first instant after `after_ms` at which time alone may change the judgement, or `NEVER`."""
        ...

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """How an episode ended that is found no more."""
        ...


class MissedPayment:
    """`missed_payment`, a loan at a time, on the watermark of `repayments`; severity follows DPD, no cooldown."""

    name: Final = "missed_payment"
    clock: Final = REPAYMENTS
    feed: Final = REPAYMENTS

    def cooldown_days(self, rules: Rules) -> int:
        """Every miss counts."""
        return 0

    def subjects(self, borrower: Borrower) -> Iterable[str | None]:
        """Each own loan."""
        return borrower.loans

    def judge(
        self,
        borrower: Borrower,
        subject: str | None,
        at_ms: int,
        episode: Episode | None,
        rules: Rules,
        *,
        deadline: bool,
    ) -> Finding | None:
        """Days past due as of `at_ms`."""
        assert subject is not None
        return missed_payment.judge(borrower.loans[subject], at_ms, rules, deadline=deadline)

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next local midnight at which severity or DPD bucket changes."""
        assert subject is not None
        due_ms = missed_payment.next_deadline_ms(borrower.loans[subject], after_ms, rules)
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """How the loan came right, or ended."""
        assert subject is not None
        return missed_payment.resolution(borrower.loans[subject], episode.opened_ms, at_ms, rules)


class IncomeDrop:
    """`income_drop`, a borrower at a time, on the watermark of `fund-flows`."""

    name: Final = "income_drop"
    clock: Final = FUND_FLOWS
    feed: Final = FUND_FLOWS

    def cooldown_days(self, rules: Rules) -> int:
        """As the policy says."""
        return rules.policy.signals.income_drop.cooldown_days

    def subjects(self, borrower: Borrower) -> Iterable[str | None]:
        """The borrower as a whole."""
        return _BORROWER_LEVEL

    def judge(
        self,
        borrower: Borrower,
        subject: str | None,
        at_ms: int,
        episode: Episode | None,
        rules: Rules,
        *,
        deadline: bool,
    ) -> Finding | None:
        """Income lost as of `at_ms`."""
        return income_drop.judge(borrower.income, at_ms, *_open_state(episode), rules)

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next local midnight by which pay is expected, or the new level has settled."""
        due_ms = income_drop.next_deadline_ms(borrower.income, after_ms, *_open_state(episode), rules)
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """None where income returned, `passed` where it settled at a new level."""
        return income_drop.resolution(borrower.income, episode.opened_ms, at_ms, rules)


class MultiPlatformBorrowing:
    """`multi_platform_borrowing`, a borrower at a time; its window follows the task's highest watermark."""

    name: Final = "multi_platform_borrowing"
    clock: Final = HIGHEST
    feed: Final = CREDIT_QUERIES

    def cooldown_days(self, rules: Rules) -> int:
        """As the policy says."""
        return rules.policy.signals.multi_platform_borrowing.cooldown_days

    def subjects(self, borrower: Borrower) -> Iterable[str | None]:
        """The borrower as a whole."""
        return _BORROWER_LEVEL

    def judge(
        self,
        borrower: Borrower,
        subject: str | None,
        at_ms: int,
        episode: Episode | None,
        rules: Rules,
        *,
        deadline: bool,
    ) -> Finding | None:
        """Distinct new institutions in the window that ends at `at_ms`."""
        severity, _ = _open_state(episode)
        return multi_platform_borrowing.judge(
            borrower.institutions, at_ms, severity, own_platforms(borrower, at_ms), rules
        )

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next instant at which an institution leaves the window."""
        severity, _ = _open_state(episode)
        due_ms = multi_platform_borrowing.next_deadline_ms(
            borrower.institutions, after_ms, severity, own_platforms(borrower, after_ms), rules
        )
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """The window has emptied."""
        return "passed"


def own_platforms(borrower: Borrower, at_ms: int) -> frozenset[str]:
    """The platforms of the own loans opened up to an instant: never counted as elsewhere."""
    return frozenset(loan.platform_id for loan in borrower.loans.values() if loan.opened_ms <= at_ms)


def _open_state(episode: Episode | None) -> tuple[Severity | None, int | None]:
    return (None, None) if episode is None else (Severity(episode.severity), episode.opened_ms)


MISSED_PAYMENT, INCOME_DROP, MULTI_PLATFORM_BORROWING = range(3)
SIGNALS: Final[tuple[Signal, ...]] = (MissedPayment(), IncomeDrop(), MultiPlatformBorrowing())
"""In the order of their numbers in the state: append, never reorder."""
SIGNALS_BY_CLOCK: Final[dict[int, tuple[int, ...]]] = {
    clock: tuple(number for number, signal in enumerate(SIGNALS) if signal.clock == clock)
    for clock in range(HIGHEST + 1)
}
