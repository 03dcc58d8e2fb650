"""The life of an alert: what of it is remembered, and which revision a new judgement makes.

(nothing) ─ finding ─▶ opened ─▶ escalated | eased | updated … ─▶ resolved
                          └──────────── disproved by a late event ─▶ retracted
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from models.alerts import Finding, Resolution, Severity, Stage, Status


class Presentation(Struct, array_like=True, frozen=True, gc=False):
    """What of an alert, beside its severity, is worth a revision when it changes."""

    stage: Stage
    actionable: bool
    hold: str | None
    bucket: str | None
    attempts_used_up: bool = False
    human_review_required: bool = False


AWAKE: Final = 0
"""The severity of an attention that was woken: every severity is above it."""


class Attention(Struct, array_like=True, frozen=True, gc=False):
    """A snooze or a review as an alert remembers it: when, of how severe an alert, and until when where it ends."""

    time_ms: int
    severity: int
    until_ms: int | None


class Episode(Struct, array_like=True):
    """One alert from its opening on. `closed_ms` and `retracted` are set when it ends."""

    signal: int
    loan_id: str | None
    alert_id: str
    case_id: str
    opened_ms: int
    """Event time of the opening revision."""
    opened_as_of_ms: int
    """The instant as of which it was found: what a late event may disprove."""
    opened_by_deadline: bool
    revision: int
    severity: int
    worst_severity: int
    presentation: Presentation
    closed_ms: int | None = None
    retracted: bool = False
    snooze: Attention | None = None
    review: Attention | None = None
    """Set where a person found the alert to be a false positive."""
    is_raised: bool = False
    """Another signal confirms it, so it is a step worse than by itself (`models.combinations`)."""


class Step(Struct, frozen=True, gc=False):
    """The next revision of an episode."""

    status: Status
    resolution: Resolution | None = None


def next_step(episode: Episode, finding: Finding, presentation: Presentation) -> Step | None:
    """What a finding makes of an open episode; None where nothing changed that is worth a revision."""
    if finding.severity > episode.severity:
        return Step("escalated")
    if finding.severity < episode.severity:
        return Step("eased")
    if presentation != episode.presentation:
        return Step("updated")
    return None


def open_episode(episodes: Sequence[Episode], signal: int, loan_id: str | None) -> Episode | None:
    """The open episode of a signal and loan: there is one at most."""
    for episode in episodes:
        if episode.closed_ms is None and episode.signal == signal and episode.loan_id == loan_id:
            return episode
    return None


def earlier_episodes(episodes: list[Episode], signal: int, at_ms: int) -> tuple[Episode, ...]:
    """The alerts of a signal, of any loan, that were over by an instant and had been right."""
    return tuple(
        episode
        for episode in episodes
        if episode.signal == signal
        and not episode.retracted
        and episode.closed_ms is not None
        and episode.closed_ms <= at_ms
    )


def cooldown_began_ms(
    episodes: list[Episode], signal: int, loan_id: str | None, severity: Severity
) -> int | None:
    """When the latest cooldown that holds back a finding of `severity` began; None where there is none.

    A severity above the worst of the episode that began the cooldown breaks it. A retracted alert was
    wrong from the start and begins none.
    """
    latest: Episode | None = None
    for episode in episodes:
        if (
            episode.closed_ms is not None
            and not episode.retracted
            and episode.signal == signal
            and episode.loan_id == loan_id
            and (latest is None or latest.closed_ms is None or episode.closed_ms >= latest.closed_ms)
        ):
            latest = episode
    if latest is None or latest.closed_ms is None or severity > latest.worst_severity:
        return None
    return latest.closed_ms


def forget_oldest_closed(episodes: list[Episode], closed_max: int, since_ms: int) -> None:
    """Keep the episodes that closed since `since_ms`, and at most `closed_max` of them: the ones that closed last."""
    closed = [episode for episode in episodes if episode.closed_ms is not None]
    closed.sort(key=lambda episode: (episode.closed_ms or 0, episode.alert_id))
    for place, episode in enumerate(closed):
        if place < len(closed) - closed_max or (episode.closed_ms or 0) < since_ms:
            episodes.remove(episode)
