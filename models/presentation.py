"""What an alert shows beside its severity, as of an instant, and when time alone changes that."""

from __future__ import annotations

from typing import Final

from models import servicing
from models.alerts import Finding, SignalName
from models.borrower import Borrower
from models.contacts import are_attempts_used_up, attempts_return_ms, is_promise_pending, promise_wait_ends_ms
from models.deadlines import NEVER
from models.episodes import Episode, Presentation
from models.holds import hold_of
from models.recommendation import CONTACT_STAGES, Circumstances, needs_human_review, stage_of
from models.rules import Rules
from models.signals.binding import known_of

_NONE: Final = Circumstances()


def present(
    borrower: Borrower,
    signal: SignalName,
    finding: Finding,
    episode: Episode | None,
    past: tuple[Episode, ...],
    at_ms: int,
    rules: Rules,
    *,
    deadline: bool,
) -> Presentation:
    """What an alert shows as of `at_ms`; `past` holds the earlier missed payments, `episode` the alert where it is open.

    Circumstances decide of a missed payment alone, and only of one they are asked.
    """
    known_ms = known_of(at_ms, deadline=deadline)
    evidence = borrower.servicing
    circumstances = _NONE
    if signal == "missed_payment":
        circumstances = _circumstances(borrower, finding, episode, past, at_ms, known_ms, rules)
    stage = stage_of(signal, finding, circumstances, rules)
    hold = hold_of(borrower, episode, known_ms, at_ms)
    actionable = finding.actionable and hold is None
    used_up = (
        actionable and stage in CONTACT_STAGES and are_attempts_used_up(evidence, known_ms, at_ms, rules)
    )
    is_restricted = servicing.is_restricted(evidence, known_ms)
    return Presentation(
        stage=stage,
        actionable=actionable,
        hold=hold,
        bucket=circumstances.bucket,
        attempts_used_up=used_up,
        human_review_required=needs_human_review(
            stage, finding.severity, is_restricted=is_restricted, signal=signal
        ),
    )


def next_change_ms(borrower: Borrower, episode: Episode, after_ms: int, rules: Rules) -> int:
    """The first instant after `after_ms` at which what an open alert shows may change by time alone, or `NEVER`.

    A hold, a snooze, the wait for a promise ends; or attempts may be made again.
    """
    evidence = borrower.servicing
    if evidence.is_empty:
        return NEVER
    changes_ms = [entry.until_ms for entry in evidence.holds if entry.until_ms is not None]
    changes_ms += [
        note.until_ms
        for note in evidence.notes
        if note.until_ms is not None and note.alert_id == episode.alert_id
    ]
    if evidence.contacts:
        changes_ms += promise_wait_ends_ms(evidence, after_ms, rules)
    if episode.presentation.attempts_used_up:
        changes_ms.append(attempts_return_ms(evidence, after_ms, rules))
    return min([change_ms for change_ms in changes_ms if change_ms > after_ms], default=NEVER)


def _circumstances(
    borrower: Borrower,
    finding: Finding,
    episode: Episode | None,
    past: tuple[Episode, ...],
    at_ms: int,
    known_ms: int,
    rules: Rules,
) -> Circumstances:
    evidence = finding.reasons[0].evidence
    bucket, overdue_minor = evidence.get("bucket"), evidence.get("overdue_minor")
    answer = servicing.last_answer(borrower.servicing, known_ms)
    return Circumstances(
        bucket=bucket if isinstance(bucket, str) else None,
        overdue_minor=overdue_minor if isinstance(overdue_minor, int) else None,
        is_restructured=any(reason.code == "MP-RESTRUCTURED" for reason in finding.reasons),
        earlier_episodes=len(past),
        worst_before=max((earlier.worst_severity for earlier in past), default=0),
        has_refused=answer is not None
        and answer.outcome == "refused"
        and episode is not None
        and episode.opened_ms <= answer.time_ms,
        has_promised=is_promise_pending(borrower.servicing, known_ms, at_ms, rules),
        stage_before=None if episode is None else episode.presentation.stage,
    )
