"""One signal, one subject, one instant: what becomes of its episode, and which revision goes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from models.alerts import SEVERITIES, Finding, Reason, Resolution, Severity, Text, alert_id, case_id
from models.borrower import Borrower
from models.calendars import DAY_MS
from models.combinations import confirmed, is_alone, is_raised, next_confirmation_ms
from models.deadlines import NEVER
from models.episodes import (
    Episode,
    Presentation,
    Step,
    cooldown_began_ms,
    earlier_episodes,
    forget_oldest_closed,
    next_step,
    open_episode,
)
from models.events import Origin
from models.holds import attend
from models.levels import Announcer
from models.limits import CLOSED_EPISODES_MAX, CLOSED_REMEMBERED_DAYS
from models.presentation import next_change_ms, present
from models.publication import Publisher, Revision
from models.rulebook import Rulebook
from models.rules import Rules
from models.signal_table import LINKED_DISTRESS, MISSED_PAYMENT, OVER_INDEBTEDNESS, RISK_SCORE, SIGNALS
from models.signals import over_indebtedness, risk_score
from models.signals.binding import known_of

_CLOSED_BY_OTHERS_MAX: Final = 4
"""Closed alerts of `linked_distress` kept: they come as others tell, and must not push the borrower's own out."""


def _score_stands(
    borrower: Borrower, at_ms: int, known_ms: int, open_severity: Severity, rules: Rules
) -> bool:
    return risk_score.stands(borrower, at_ms, open_severity, rules)


_STANDS: Final[dict[int, Callable[[Borrower, int, int, Severity, Rules], bool]]] = {
    OVER_INDEBTEDNESS: over_indebtedness.stands,
    RISK_SCORE: _score_stands,
}
"""By signal, where it can be told for less than a whole finding: whether it finds an open alert's severity again, actionable,
and with nothing in its reasons that decides what the alert shows."""
_LOOKS_FROM_MS: Final[dict[int, Callable[[int, Rules], int]]] = {RISK_SCORE: risk_score.look_from_ms}
"""By signal, where it looks more often while an alert is open: the first look at or after an instant. Its cooldowns end with one: an
alert that opened between two would rest on the older, and the next might take it back."""
_UNTOLD: Final = (Reason("", Text("", ""), {}),)
"""Stands for reasons that nobody will read."""


class Occasion(Struct, frozen=True, gc=False):
    """Why and as of when a judgement is made."""

    at_ms: int
    event_time_ms: int
    """What its revisions carry."""
    origin: Origin
    deadline: bool = False
    """Time alone caused it."""

    @property
    def known_ms(self) -> int:
        """The last instant whose events count."""
        return known_of(self.at_ms, deadline=self.deadline)


Foresee = Callable[[str, Borrower, Occasion], Sequence[Episode]]
"""A borrower's alerts as they will be known when every feed is as far as an occasion."""


class Lifecycle:
    """Judges signals and moves the episodes of their alerts on; every revision goes to the publisher."""

    def __init__(self, book: Rulebook, publisher: Publisher, announcer: Announcer, foresee: Foresee) -> None:
        """`publisher` takes the revisions, `announcer` tells of them to those who watch the borrower."""
        self._book = book
        self._publisher = publisher
        self._announcer = announcer
        self._foresee = foresee

    def judge(
        self, borrower_id: str, borrower: Borrower, signal: int, subject: str | None, occasion: Occasion
    ) -> None:
        """Judge a signal as of the occasion."""
        kind = SIGNALS[signal]
        rules = self._book.only or self._book.of(borrower, subject, occasion.at_ms)
        episode = open_episode(borrower.episodes, signal, subject) if borrower.episodes else None
        if episode is not None and self._stays(borrower, episode, occasion, rules):
            return
        at_ms, deadline = occasion.at_ms, occasion.deadline
        finding = kind.judge(borrower, subject, at_ms, episode, rules, deadline=deadline)
        if finding is None:
            if episode is not None:
                resolution = kind.resolution(borrower, subject, at_ms, episode, rules)
                self._resolve(borrower_id, borrower, episode, resolution, occasion)
            return
        finding = confirmed(borrower, signal, finding, episode, at_ms, rules, deadline=deadline)
        if episode is None:
            if self._cooldown_end_ms(borrower, signal, subject, finding, at_ms) is None:
                self._open(borrower_id, borrower, signal, subject, finding, occasion)
        else:
            attend(borrower, episode, int(finding.severity), occasion.known_ms)
            presentation = self._presentation(borrower, signal, finding, episode, occasion)
            step = next_step(episode, finding, presentation)
            if step is not None:
                episode.severity = int(finding.severity)
                episode.worst_severity = max(episode.worst_severity, episode.severity)
                episode.presentation = presentation
                episode.is_raised = is_raised(finding)
                self._report(borrower_id, borrower, episode, step, finding, occasion)

    def _stays(self, borrower: Borrower, episode: Episode, occasion: Occasion, rules: Rules) -> bool:
        """Whether it is plain that an open alert shows what it showed before, so that nobody asks for its reasons."""
        stands = _STANDS.get(episode.signal)
        if stands is None or not is_alone(episode.signal, rules):
            return False
        severity = SEVERITIES[episode.severity]
        if not stands(borrower, occasion.at_ms, occasion.known_ms, severity, rules):
            return False
        finding = Finding(severity, _UNTOLD)
        attend(borrower, episode, episode.severity, occasion.known_ms)
        presentation = self._presentation(borrower, episode.signal, finding, episode, occasion)
        return next_step(episode, finding, presentation) is None

    def retract_disproved(
        self,
        borrower_id: str,
        borrower: Borrower,
        signal: int,
        subject: str | None,
        since_ms: int,
        occasion: Occasion,
    ) -> None:
        """Retract the alerts opened after `since_ms` that, on what is known now, would never have opened."""
        kind = SIGNALS[signal]
        for episode in list(borrower.episodes):
            if (episode.signal, episode.loan_id) != (signal, subject) or episode.retracted:
                continue
            opened_ms = episode.opened_as_of_ms
            if opened_ms <= since_ms:
                continue
            rules = self._book.of(borrower, subject, opened_ms)
            if kind.judge(borrower, subject, opened_ms, None, rules, deadline=episode.opened_by_deadline):
                continue
            self.retract(borrower_id, borrower, episode, occasion)

    def retract(self, borrower_id: str, borrower: Borrower, episode: Episode, occasion: Occasion) -> None:
        """Take an alert back: it should not have opened."""
        episode.retracted = True
        episode.closed_ms = occasion.at_ms if episode.closed_ms is None else episode.closed_ms
        self._report(borrower_id, borrower, episode, Step("retracted"), None, occasion)

    def cooldown_deadline_ms(
        self, borrower: Borrower, signal: int, subject: str | None, after_ms: int
    ) -> int:
        """When a cooldown ends that may be holding an alert back, or `NEVER`; for a signal of which none is open."""
        end_ms = self._cooldown_end_ms(borrower, signal, subject, None, after_ms)
        return end_ms if end_ms is not None and end_ms > after_ms else NEVER

    def presentation_deadline_ms(self, borrower: Borrower, episode: Episode, after_ms: int) -> int:
        """When time alone changes what an open alert shows, or what confirms it."""
        rules = self._book.only or self._book.of(borrower, episode.loan_id, after_ms)
        change_ms = next_change_ms(borrower, episode, after_ms, rules)
        return min(change_ms, next_confirmation_ms(borrower, episode, after_ms, rules))

    def _cooldown_end_ms(
        self, borrower: Borrower, signal: int, subject: str | None, finding: Finding | None, at_ms: int
    ) -> int | None:
        rules = self._book.of(borrower, subject, at_ms)
        days = SIGNALS[signal].cooldown_days(rules)
        severity = Severity.WATCH if finding is None else finding.severity
        began_ms = cooldown_began_ms(borrower.episodes, signal, subject, severity) if days else None
        if began_ms is None:
            return None
        end_ms = began_ms + days * DAY_MS
        if signal in _LOOKS_FROM_MS:
            end_ms = _LOOKS_FROM_MS[signal](end_ms, rules)
        return end_ms if at_ms < end_ms else None

    def _open(
        self,
        borrower_id: str,
        borrower: Borrower,
        signal: int,
        subject: str | None,
        finding: Finding,
        occasion: Occasion,
    ) -> None:
        opened_ms = occasion.event_time_ms
        twins = sum(
            (episode.signal, episode.loan_id, episode.opened_ms) == (signal, subject, opened_ms)
            for episode in borrower.episodes
        )
        episode = Episode(
            signal=signal,
            loan_id=subject,
            alert_id=alert_id(borrower_id, SIGNALS[signal].name, subject, opened_ms, twins),
            case_id=self._case_of(borrower_id, borrower, (signal, subject), occasion),
            opened_ms=opened_ms,
            opened_as_of_ms=occasion.at_ms,
            opened_by_deadline=occasion.deadline,
            revision=0,
            severity=int(finding.severity),
            worst_severity=int(finding.severity),
            presentation=self._presentation(borrower, signal, finding, None, occasion),
            is_raised=is_raised(finding),
        )
        borrower.episodes.append(episode)
        self._report(borrower_id, borrower, episode, Step("opened"), finding, occasion)

    def _case_of(
        self, borrower_id: str, borrower: Borrower, opening: tuple[int, str | None], occasion: Occasion
    ) -> str:
        """The case of the borrower's alerts that are open as of the occasion, or a new one.

        What a deadline ends or opens at the very instant of another deadline comes after it: which of two clocks is first
        is no matter of order. Nor does a case depend on other borrowers: `linked_distress` joins one and makes none that
        others join.
        """
        standing_ms = [
            (episode.opened_ms, episode.case_id)
            for episode in self._foresee(borrower_id, borrower, occasion)
            if (episode.signal, episode.loan_id) != opening
            and episode.signal != LINKED_DISTRESS
            and episode.opened_ms <= occasion.event_time_ms
            and (episode.closed_ms is None or episode.closed_ms > occasion.known_ms)
        ]
        return min(standing_ms)[1] if standing_ms else case_id(borrower_id, occasion.event_time_ms)

    def _resolve(
        self,
        borrower_id: str,
        borrower: Borrower,
        episode: Episode,
        resolution: Resolution | None,
        occasion: Occasion,
    ) -> None:
        episode.closed_ms = occasion.at_ms
        self._report(borrower_id, borrower, episode, Step("resolved", resolution), None, occasion)
        since_ms = occasion.at_ms - CLOSED_REMEMBERED_DAYS * DAY_MS
        own = [known for known in borrower.episodes if known.signal != LINKED_DISTRESS]
        told = [known for known in borrower.episodes if known.signal == LINKED_DISTRESS]
        forget_oldest_closed(own, CLOSED_EPISODES_MAX, since_ms)
        forget_oldest_closed(told, _CLOSED_BY_OTHERS_MAX, since_ms)
        borrower.episodes = own + told

    def _presentation(
        self, borrower: Borrower, signal: int, finding: Finding, episode: Episode | None, occasion: Occasion
    ) -> Presentation:
        return present(
            borrower,
            SIGNALS[signal].name,
            finding,
            episode,
            earlier_episodes(borrower.episodes, signal, occasion.at_ms) if signal == MISSED_PAYMENT else (),
            occasion.at_ms,
            self._book.of(borrower, episode.loan_id if episode is not None else None, occasion.at_ms),
            deadline=occasion.deadline,
        )

    def _report(
        self,
        borrower_id: str,
        borrower: Borrower,
        episode: Episode,
        step: Step,
        finding: Finding | None,
        occasion: Occasion,
    ) -> None:
        episode.revision += 1
        revision = Revision(
            step=step,
            finding=finding,
            at_ms=occasion.at_ms,
            event_time_ms=occasion.event_time_ms,
            origin=occasion.origin,
            deadline=occasion.deadline,
        )
        self._publisher.publish(borrower_id, borrower, episode, revision)
        if borrower.links is not None:
            self._announcer.announce(borrower_id, borrower, occasion.at_ms, occasion.event_time_ms)
