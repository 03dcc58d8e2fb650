"""When time alone may change something: the next deadline of each signal, of each borrower, of all.

A deadline is the first instant at which a signal may find something else, or an alert show something else, though no event comes. One
too early costs a look that finds nothing; one too late would be an alert that is missed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from models import levels
from models.borrower import CLOCKS, Borrower, deadlines_in, deadlines_of
from models.combinations import confirmed_by
from models.deadlines import NEVER, DeadlineQueue
from models.episodes import Episode, open_episode
from models.lifecycle import Lifecycle
from models.obligations import oldest_lines
from models.reviews import Reviews
from models.rulebook import Rulebook
from models.rules import Rules
from models.signal_table import (
    ASSET_FLIGHT,
    CLOCKS_BY_SIGNAL,
    MISSED_PAYMENT,
    MOVED_WITH,
    NEXT_LOOK_MS,
    PAYMENT_AT_RISK,
    RISK_SCORE,
    SIGNALS,
    SIGNALS_BY_CLOCK,
    SUBJECTS_DIFFER,
)
from models.signals import asset_flight, missed_payment, payment_at_risk

REVIEW: Final = ""
"""Stands in the queue for the borrowers whose minute of a review it is: no borrower's id is empty."""
_CLOCK_OF_THE_SCORE: Final = (SIGNALS[RISK_SCORE].clock,)
"""On which a change of the card alone has borrowers judged once more."""
_MOVED_WITH_LOANS: Final = MOVED_WITH[MISSED_PAYMENT]
_BESIDE_OLDEST_LINES: Final = tuple(
    signal for signal in _MOVED_WITH_LOANS if signal not in (MISSED_PAYMENT, PAYMENT_AT_RISK, ASSET_FLIGHT)
)
"""Those of them that rest on more of the loans than their oldest unpaid lines."""


class Schedule:
    """The deadlines of a task's borrowers. A borrower remembers its own (`Borrower.deadlines_ms`); this finds and queues them."""

    def __init__(
        self,
        book: Rulebook,
        lifecycle: Lifecycle,
        reviews: Reviews,
        borrowers: Mapping[str, Borrower | bytes],
        watermarks_ms: Sequence[int],
    ) -> None:
        """Everything is the engine's, and read only."""
        self._book = book
        self._lifecycle = lifecycle
        self._reviews = reviews
        self._borrowers = borrowers
        self._watermarks_ms = watermarks_ms
        self.queue = DeadlineQueue(CLOCKS + 1, self._standing_ms)

    def renew(
        self,
        borrower_id: str,
        borrower: Borrower,
        clock: int,
        signals: Iterable[int],
        no_later_than_ms: int = NEVER,
    ) -> None:
        """Find the next deadlines of signals of a clock, after all that was judged, and with them the clock's."""
        after_ms, judged_ms = self._watermarks_ms[clock], borrower.judged_ms[clock]
        if judged_ms > after_ms:
            after_ms = judged_ms
        deadlines_ms = borrower.signal_deadlines_ms
        if len(deadlines_ms) < len(SIGNALS):
            missing = CLOCKS_BY_SIGNAL[len(deadlines_ms) :]
            deadlines_ms += [borrower.deadlines_ms[own_clock] for own_clock in missing]
        rules = self._book.for_all_at(after_ms)
        if rules is None or borrower.episodes:
            self._find(borrower, signals, after_ms, rules)
        else:  # most: no segments, and never an alert
            beside = signals
            if signals is _MOVED_WITH_LOANS:
                beside = self._find_with_loans(borrower, signals, after_ms, rules)
            for signal in beside:
                deadlines_ms[signal] = (
                    self._next_ms(borrower, signal, after_ms, ())
                    if signal in SUBJECTS_DIFFER
                    else NEXT_LOOK_MS[signal](borrower, None, after_ms, None, rules)
                )
        due_ms = no_later_than_ms
        if self._reviews.are_due:
            due_ms = min(due_ms, self._bring_forward(borrower_id, borrower, clock, signals))
        if borrower.links is not None:
            own = self._book.of(borrower, None, after_ms)
            due_ms = min(due_ms, levels.next_fall_ms(borrower, after_ms, own))
        due_ms = min([due_ms, *map(deadlines_ms.__getitem__, SIGNALS_BY_CLOCK[clock])])
        before_ms, borrower.deadlines_ms[clock] = borrower.deadlines_ms[clock], due_ms
        if due_ms < before_ms:
            self.push(clock, due_ms, borrower_id)

    def _find_with_loans(
        self, borrower: Borrower, signals: Iterable[int], after_ms: int, rules: Rules
    ) -> Iterable[int]:
        """Find those that follow from the oldest unpaid lines of the loans, looked at once; return the others."""
        oldest = oldest_lines(borrower.loans, after_ms, rules)
        if oldest is None:
            return signals
        deadlines_ms = borrower.signal_deadlines_ms
        deadlines_ms[MISSED_PAYMENT] = missed_payment.next_step_of_ms(oldest, after_ms, rules)
        deadlines_ms[PAYMENT_AT_RISK] = payment_at_risk.next_finding_ms(borrower, oldest, after_ms, rules)
        deadlines_ms[ASSET_FLIGHT] = asset_flight.next_finding_ms(borrower, oldest, after_ms, rules)
        return _BESIDE_OLDEST_LINES

    def _find(self, borrower: Borrower, signals: Iterable[int], after_ms: int, for_all: Rules | None) -> None:
        """Find the next deadlines of signals of any of which there may be alerts; `for_all`: the rules where they are the same."""
        deadlines_ms, episodes = borrower.signal_deadlines_ms, borrower.episodes
        told = [episode.signal for episode in episodes]
        for signal in signals:
            if signal in told:
                own = [episode for episode in episodes if episode.signal == signal]
                deadlines_ms[signal] = self._next_ms(borrower, signal, after_ms, own)
            elif for_all is None or signal in SUBJECTS_DIFFER:
                deadlines_ms[signal] = self._next_ms(borrower, signal, after_ms, ())
            else:
                deadlines_ms[signal] = NEXT_LOOK_MS[signal](borrower, None, after_ms, None, for_all)

    def await_next(self, clock: int, passed_ms: int, borrower_id: str, borrower: Borrower) -> None:
        """Queue the deadline that a borrower has after one that was taken from the queue: an earlier one is there already.

        So a deadline that moves away again and again, as with every pay, is queued once each time it is reached.
        """
        due_ms = borrower.deadlines_ms[clock]
        if passed_ms < due_ms != NEVER:
            self.push(clock, due_ms, borrower_id)

    def push(self, clock: int, due_ms: int, borrower_id: str) -> None:
        """Queue a borrower's deadline; `clock` may be `OBSERVING`, too. While it stands, an entry no later than it is in the queue."""
        is_long = self.queue.push(clock, due_ms, borrower_id)
        if is_long and self.queue.is_overgrown(clock, len(self._borrowers)):
            standing = [
                (due, known_id)
                for known_id, known in self._borrowers.items()
                if (due := _deadlines_of(known_id, known)[clock]) != NEVER
            ]
            self.queue.rebuild(clock, standing)
            if clock < CLOCKS:
                self.push_review(clock)

    def _standing_ms(self, clock: int, borrower_id: str) -> int:
        """A borrower's deadline as it stands; `NEVER` for one who was erased."""
        known = self._borrowers.get(borrower_id)
        return NEVER if known is None else _deadlines_of(borrower_id, known)[clock]

    def push_review(self, clock: int) -> None:
        """Queue the next minute of a review, where there is one."""
        due_ms = self._reviews.next_ms(clock, self._watermarks_ms[clock])
        if due_ms != NEVER:
            self.queue.push_exactly(clock, due_ms, REVIEW)

    def await_review(self, borrower_id: str, borrower: Borrower) -> None:
        """Let a borrower's deadlines show the review, now that somebody asks for them."""
        for clock in range(CLOCKS) if self._reviews.are_whole else _CLOCK_OF_THE_SCORE:
            if self.bring_forward(borrower_id, borrower, clock):
                self.push(clock, borrower.deadlines_ms[clock], borrower_id)

    def review_ms(self, borrower_id: str, clock: int) -> int:
        """A borrower's next review on a clock, of which its deadlines may not know yet."""
        if not self._reviews.are_due:
            return NEVER
        whole_ms, score_ms = self._reviews_ms(borrower_id, clock)
        return min(whole_ms, score_ms)

    def bring_forward(self, borrower_id: str, borrower: Borrower, clock: int) -> bool:
        """Have a borrower judged no later than at its next review on a clock; whether that is before every deadline."""
        review_ms = self._bring_forward(borrower_id, borrower, clock, SIGNALS_BY_CLOCK[clock])
        is_first = review_ms < borrower.deadlines_ms[clock]
        borrower.deadlines_ms[clock] = min(borrower.deadlines_ms[clock], review_ms)
        return is_first

    def _bring_forward(self, borrower_id: str, borrower: Borrower, clock: int, signals: Iterable[int]) -> int:
        """The same for some signals alone, or the score; when the review is."""
        whole_ms, score_ms = self._reviews_ms(borrower_id, clock)
        deadlines_ms = borrower.signal_deadlines_ms
        for signal in signals:
            due_ms = min(whole_ms, score_ms) if signal == RISK_SCORE else whole_ms
            if signal < len(deadlines_ms) and due_ms < deadlines_ms[signal]:
                deadlines_ms[signal] = due_ms
        return min(whole_ms, score_ms)

    def _reviews_ms(self, borrower_id: str, clock: int) -> tuple[int, int]:
        """A borrower's next review on a clock: of everything, and of the score alone."""
        after_ms = self._watermarks_ms[clock]
        whole_ms = self._book.review_ms(borrower_id, after_ms) if self._reviews.are_whole else NEVER
        if clock not in _CLOCK_OF_THE_SCORE:
            return whole_ms, NEVER
        return whole_ms, self._book.score_review_ms(borrower_id, after_ms)

    def _next_ms(self, borrower: Borrower, signal: int, after_ms: int, own: Sequence[Episode]) -> int:
        """The first instant after `after_ms` at which time alone may change what a signal finds or an alert of it shows.

        `own`: the signal's alerts, open or not.
        """
        next_look_ms, for_all, of = NEXT_LOOK_MS[signal], self._book.for_all_at(after_ms), self._book.of
        due_ms = NEVER
        for subject in SIGNALS[signal].subjects(borrower):
            episode = open_episode(own, signal, subject) if own else None
            rules = for_all or of(borrower, subject, after_ms)
            look_ms = next_look_ms(borrower, subject, after_ms, episode, rules)
            if look_ms < due_ms:
                due_ms = look_ms
            if episode is not None:
                due_ms = min(due_ms, self._lifecycle.presentation_deadline_ms(borrower, episode, after_ms))
            elif own:
                due_ms = min(
                    due_ms, self._lifecycle.cooldown_deadline_ms(borrower, signal, subject, after_ms)
                )
        return due_ms


def moved_by(
    borrower: Borrower, clock: int, touched: Sequence[tuple[int, str | None]], only: Rules | None
) -> Collection[int]:
    """Signals of a clock, one of which was touched, whose deadlines may have come nearer with what was touched.

    They are those touched, those that rest on the same evidence, and those with an open alert that one of these may confirm. Of
    others the deadline stands: what else an alert shows is reported by servicing, and that touches all alerts that are open. It
    may have moved further away; then a look finds nothing, and what comes next.

    Args:
        borrower: with what is known by now.
        clock: of the signals.
        touched: by an event.
        only: the rules of all time for everybody; None where there are several: then any open alert may be confirmed.
    """
    if len(touched) == 1 and not borrower.episodes:
        return MOVED_WITH[touched[0][0]]
    moved: set[int] = set()
    for signal, _ in touched:
        if CLOCKS_BY_SIGNAL[signal] == clock:
            moved.update(MOVED_WITH[signal])
    shown = SIGNALS_BY_CLOCK[clock]
    if only is not None:
        confirmed = {other for signal in moved for other in confirmed_by(signal, only)}
        shown = tuple(confirmed.intersection(shown))
    for episode in borrower.episodes if shown else ():
        if episode.closed_ms is None and episode.signal in shown:
            moved.add(episode.signal)
    return moved


def _deadlines_of(borrower_id: str, known: Borrower | bytes) -> Sequence[int]:
    return deadlines_in(borrower_id, known) if isinstance(known, bytes) else deadlines_of(known)
