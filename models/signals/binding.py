"""What the engine needs of a signal: how each file of this folder is bound to the evidence it judges and to its clock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from models.alerts import SEVERITIES, Finding, Resolution, Severity, SignalName
from models.borrower import Borrower
from models.episodes import Episode
from models.rules import Rules

BORROWER_LEVEL: Final[tuple[None]] = (None,)
"""The subjects of a signal that is about the borrower as a whole."""


class Signal(Protocol):
    """One early warning as the engine drives it.

    A subject is a loan id, or None for a signal that is about the borrower. `at_ms` is the instant to judge as of:
    evidence with a later event time does not count. `deadline` is set where time alone asks: what happens at
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

    @property
    def looks_often(self) -> bool:
        """Whether it looks at every deadline of its clock while it awaits one of its own: it samples what changes all the time."""
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


def open_state(episode: Episode | None) -> tuple[Severity | None, int | None]:
    """Severity and opening (event time) of the open episode, where there is one."""
    return (None, None) if episode is None else (SEVERITIES[episode.severity], episode.opened_ms)


def known_of(at_ms: int, *, deadline: bool) -> int:
    """The last instant whose events count: what happens at the very instant of a deadline comes after it."""
    return at_ms - 1 if deadline else at_ms
