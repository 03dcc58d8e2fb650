"""How bad it is with a borrower, as far as those linked to it are concerned: one level, told to whoever watches.

The level is the worst severity among the borrower's own alerts of the signals that the policy counts. `linked_distress` is never
one of them: trouble goes one hop, and nobody's trouble comes back to it. What a person found wrong or contests does not count.

A level does not fall at once: an alert that is over counts for some days more (`settle_days`), so that a payment made good and
missed again is one story to those who watch. That is their hysteresis; being a matter of the source's own past, it is the same for
everybody who asks, whenever they ask.
"""

from __future__ import annotations

from typing import Final

from models.borrower import Borrower
from models.calendars import DAY_MS
from models.deadlines import NEVER
from models.episodes import Episode
from models.links import FORGOTTEN, NO_LEVEL, Outgoing, Watch, tell, to_watchers
from models.rulebook import Rulebook
from models.rules import Rules
from models.signal_table import SIGNALS

_CONTESTED: Final = frozenset({"reviewed_false_positive", "dispute"})
"""Holds under which an alert says nothing certain of its borrower."""


def level_of(borrower: Borrower, at_ms: int, rules: Rules) -> int:
    """The borrower's level as of an instant."""
    settle_ms = rules.policy.signals.linked_distress.settle_days * DAY_MS
    return max(
        (
            episode.severity
            for episode in borrower.episodes
            if _counts(episode, rules)
            and (episode.closed_ms is None or at_ms < episode.closed_ms + settle_ms)
        ),
        default=NO_LEVEL,
    )


def next_fall_ms(borrower: Borrower, after_ms: int, rules: Rules) -> int:
    """The first instant after `after_ms` at which an alert that is over counts no more, or `NEVER`; for whom somebody watches."""
    if borrower.links is None or not borrower.links.watchers:
        return NEVER
    settle_ms = rules.policy.signals.linked_distress.settle_days * DAY_MS
    falls_ms = [
        episode.closed_ms + settle_ms
        for episode in borrower.episodes
        if episode.closed_ms is not None and _counts(episode, rules)
    ]
    return min((fall_ms for fall_ms in falls_ms if fall_ms > after_ms), default=NEVER)


def _counts(episode: Episode, rules: Rules) -> bool:
    return (
        not episode.retracted
        and SIGNALS[episode.signal].name in rules.policy.signals.linked_distress.counted
        and episode.presentation.hold not in _CONTESTED
    )


class Announcer:
    """Tells watchers what changes, in order."""

    def __init__(self, book: Rulebook, messages: list[Outgoing]) -> None:
        """`messages` takes what is to be sent."""
        self._book = book
        self._messages = messages

    def announce(self, borrower_id: str, borrower: Borrower, at_ms: int, event_time_ms: int) -> None:
        """Tell the level as of `at_ms` to those who watch, where it is another one; `event_time_ms` is that of its cause."""
        links = borrower.links
        if links is None or not links.watchers:
            return
        level = level_of(borrower, at_ms, self._book.of(borrower, None, at_ms))
        if level != links.told_level:
            self._messages += to_watchers(links, tell(links, borrower_id, level, event_time_ms))

    def answer(self, borrower_id: str, borrower: Borrower, watch: Watch, at_ms: int) -> None:
        """Tell the level to one who begins to watch, dated by the question: since when it holds is not remembered."""
        links = borrower.links
        assert links is not None, borrower_id
        level = level_of(borrower, at_ms, self._book.of(borrower, None, at_ms))
        state = tell(links, borrower_id, level, 0 if level == NO_LEVEL else at_ms)
        self._messages.append(Outgoing(watch.watcher, watch.watcher_partition, state))

    def take_leave(self, borrower_id: str, borrower: Borrower, partition: int, event_time_ms: int) -> None:
        """The borrower is to be forgotten: those linked need not tell it, those who watch forget the link."""
        links = borrower.links
        if links is None:
            return
        for watched in links.watched:
            message = Watch(borrower_id, watched.relation, on=False, watcher_partition=partition)
            self._messages.append(Outgoing(watched.linked_id, watched.partition, message))
        self._messages += to_watchers(links, tell(links, borrower_id, FORGOTTEN, event_time_ms))
