"""Which institutions a borrower has turned to, and when: what `multi_platform_borrowing` counts.

A *sighting* is an institution at an instant:

- a query for an application (`loan_application`, `card_application`), a new bureau account, and a loan disbursement
  to the borrower can count as new;
- a post-loan review never counts, yet it shows that the borrower already has a loan there: from then on the
  institution is known. A guarantee is somebody else's loan, a self-query is the borrower, and `other` says nothing:
  these are no sightings.

An institution is *new* at a sighting when it has none before it within the policy's `memory_days`. A disbursement can
only tell new from old once `flow_history_days_min` days of flows are known; before that it makes its platform known.

One application sent to several funders stands for its first funder alone. At the further funders it neither counts
nor makes them known to later applications: whoever turns to one of them by an application of its own counts. But a
disbursement or account at a further funder is the fruit of that application, not another new institution.

**What is kept.** Sightings of one institution that follow each other within the memory are one *track* (first instant,
span, kind of the first): what lies inside a track can never be new, so it is not kept. Tracks are a union of
intervals, hence independent of the order of arrival. A track is forgotten once it lies further back than window +
memory + `LATE_DAYS` before the newest sighting; nothing within `LATE_DAYS` of the newest can depend on it. Queries
of an application are kept a memory longer, so that its first funder is still known where a further one matters.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from models.calendars import DAY_MS
from models.events import CreditAccountOpened, CreditQuery, FundFlow
from models.policy import Policy
from models.recent_flows import RecentFlow, RecentFlows, all_of
from models.recent_ids import fingerprint_of
from models.rules import Rules

QUERY, ACCOUNT, DISBURSEMENT, REVIEW = range(4)
"""Kinds of sightings. Of several at one instant the smallest is kept: what is certain to count goes first."""

LATE_DAYS: Final = 90
"""How far before the newest sighting judgements stay exact: beyond the latest lateness a policy can set (60 days)."""

TRACKS_MAX: Final = 96
"""Tracks kept for one borrower: ten times what is `serious`. Beyond it the one seen longest ago goes, counted."""

SIGHTINGS_MAX: Final = 32
"""Sightings kept one by one for one borrower, the newest: the void of an older one is counted, and changes nothing."""

_ALIKE_MAX: Final = 4
"""Sightings of one institution and application kept one by one."""

_APPLICATIONS: Final = frozenset({"loan_application", "card_application"})


class Track(Struct, array_like=True, gc=False):
    """Sightings of one institution without a gap as long as the memory, from `start_ms` for `span_ms`.

    `application_id` is set where they are queries of one application, and empty otherwise. `kind` is the first's.
    """

    institution_id: str
    application_id: str
    start_ms: int
    span_ms: int
    kind: int


class Sighting(Struct, array_like=True, frozen=True, order=True, gc=False):
    """A recent sighting by itself, so that its event can be taken back."""

    at_ms: int
    fingerprint: bytes
    institution_id: str
    application_id: str
    kind: int


class InstitutionEvidence(Struct, array_like=True, dict=True):
    """All that is kept of one borrower: 4 bytes while empty, about 40 a track.

    `dict`: what is new is kept beside it until it changes, and never in the state.
    """

    first_flow_ms: int | None = None
    """Event time of the first fund flow: since when flows are known."""
    tracks: list[Track] = []
    """By start, institution, application."""
    forgotten: int = 0
    """Tracks given up for `TRACKS_MAX`: above zero, an institution seen before may be taken for new."""
    recent: list[Sighting] = []
    """Sightings within `LATE_DAYS` of the newest, one by one, by time: what a void may name. About 30 bytes
    each, and at most four an institution."""


class NewInstitution(Struct, frozen=True, gc=False):
    """An institution at the sighting at which it was new."""

    first_ms: int
    institution_id: str
    kind: int


def record_query(evidence: InstitutionEvidence, event: CreditQuery, rules: Rules) -> bool:
    """Take in a bureau query; tell whether a judgement may have changed."""
    if event.purpose in _APPLICATIONS:
        application_id, kind = event.application_id or "", QUERY
    elif event.purpose == "post_loan_review":
        application_id, kind = "", REVIEW
    else:
        return False
    return _see(evidence, event, event.institution_id, application_id, kind, rules)


def record_account(evidence: InstitutionEvidence, event: CreditAccountOpened, rules: Rules) -> bool:
    """Take in a new account elsewhere; tell whether a judgement may have changed."""
    return _see(evidence, event, event.institution_id, "", ACCOUNT, rules)


def record_flow(evidence: InstitutionEvidence, event: FundFlow, rules: Rules) -> bool:
    """Take in a fund flow; tell whether a judgement may have changed.

    Every flow tells since when flows are known; only a disbursement that names its platform tells more.
    """
    first_flow_ms = evidence.first_flow_ms
    longer_history = False
    if first_flow_ms is None or event.event_time_ms < first_flow_ms:
        _note_change(evidence)
        evidence.first_flow_ms = event.event_time_ms
        longer_history = any(track.kind == DISBURSEMENT for track in evidence.tracks)
    if event.category != "loan_disbursement" or event.direction != "in" or event.counterparty_id is None:
        return longer_history
    seen = _see(evidence, event, event.counterparty_id, "", DISBURSEMENT, rules)
    return seen or longer_history


def void(evidence: InstitutionEvidence, fingerprint: bytes) -> bool:
    """Take back the sighting of a voided event; False where it is not remembered.

    What lay inside a track changes nothing. At its end, a sighting before it that is not kept one by one any more is taken
    to have been as late as it can have been: an institution is rather known than new.
    """
    voided = next((sighting for sighting in evidence.recent if sighting.fingerprint == fingerprint), None)
    if voided is None:
        return False
    _note_change(evidence)
    evidence.recent.remove(voided)
    for track in evidence.tracks:
        end_ms = track.start_ms + track.span_ms
        if (track.institution_id, track.application_id) == (
            voided.institution_id,
            voided.application_id,
        ) and track.start_ms <= voided.at_ms <= end_ms:
            _shorten(evidence, track, voided)
            break
    return True


def take_back_flow(evidence: InstitutionEvidence, gone: RecentFlow, recent: RecentFlows) -> None:
    """Since when flows are known, without a voided one; as it was where earlier flows may have made room."""
    if gone.time_ms != evidence.first_flow_ms or recent.forgotten_ms >= 0:
        return
    first_ms = min((flow.time_ms for flow in all_of(recent)), default=None)
    if first_ms is not None or all(track.kind != DISBURSEMENT for track in evidence.tracks):
        _note_change(evidence)
        evidence.first_flow_ms = first_ms


def _note_change(evidence: InstitutionEvidence) -> None:
    """What is new may be about to change."""
    vars(evidence).clear()


def _shorten(evidence: InstitutionEvidence, track: Track, voided: Sighting) -> None:
    """A track without one of its sightings."""
    end_ms = track.start_ms + track.span_ms
    left = [
        sighting
        for sighting in evidence.recent
        if (sighting.institution_id, sighting.application_id) == (track.institution_id, track.application_id)
        and track.start_ms <= sighting.at_ms <= end_ms
    ]
    evidence.tracks.remove(track)
    if voided.at_ms == track.start_ms:
        if not left:
            return
        first = min(left, key=lambda sighting: (sighting.at_ms, sighting.kind))
        track.start_ms, track.kind = first.at_ms, first.kind
        track.span_ms = end_ms - first.at_ms
    if voided.at_ms == end_ms:
        before_ms = max(track.start_ms, voided.at_ms - LATE_DAYS * DAY_MS)
        track.span_ms = max([before_ms, *(sighting.at_ms for sighting in left)]) - track.start_ms
    insort(evidence.tracks, track, key=_place)


def _keep_recent(evidence: InstitutionEvidence, sighting: Sighting, newest_ms: int) -> None:
    """Of one institution and application the first two and the last two: what lies between changes nothing when it goes."""
    since_ms = newest_ms - LATE_DAYS * DAY_MS
    if sighting.at_ms <= since_ms or sighting in evidence.recent:
        return
    insort(evidence.recent, sighting)
    recent = [kept for kept in evidence.recent[-SIGHTINGS_MAX:] if kept.at_ms > since_ms]
    alike = [
        kept
        for kept in recent
        if (kept.institution_id, kept.application_id) == (sighting.institution_id, sighting.application_id)
    ]
    if len(alike) > _ALIKE_MAX:
        recent.remove(alike[_ALIKE_MAX // 2])
    evidence.recent = recent


class _Known(NamedTuple):
    """What was found to be new, and what was asked."""

    own: frozenset[str]
    policy: Policy
    found: list[NewInstitution]


def new_institutions(
    evidence: InstitutionEvidence, own: Collection[str], rules: Rules
) -> Sequence[NewInstitution]:
    """Every institution at every sighting kept at which it was new, by time.

    Whether a sighting is new depends only on what was before it, so those up to an instant are what was known then.
    `own` holds the platform ids of the borrower's own loans, as reported; they and the lender's never count.

    Two signals ask for it, and ask again and again: it is kept beside the evidence, which drops it when it changes.
    """
    if not evidence.tracks:
        return []
    own = frozenset(own)
    known: _Known | None = vars(evidence).get("new")
    if known is None or known.own != own or known.policy is not rules.policy:
        known = vars(evidence)["new"] = _Known(own, rules.policy, _new_institutions(evidence, own, rules))
    return known.found


def _new_institutions(
    evidence: InstitutionEvidence, own: frozenset[str], rules: Rules
) -> list[NewInstitution]:
    memory_ms = rules.policy.signals.multi_platform_borrowing.memory_days * DAY_MS
    ours = rules.own_institutions.union(map(rules.institution, own))
    by_institution: dict[str, list[_Led]] = {}
    for led in _led(evidence.tracks, memory_ms):
        if led[0].institution_id not in ours:
            by_institution.setdefault(led[0].institution_id, []).append(led)
    found: dict[tuple[int, str], NewInstitution] = {}
    for institution_id, tracks in by_institution.items():
        for track, leader in tracks:
            if (
                leader is track
                and _can_count(track, evidence.first_flow_ms, rules)
                and not _known_before(track, tracks, memory_ms)
            ):
                new = NewInstitution(track.start_ms, institution_id, track.kind)
                found.setdefault((track.start_ms, institution_id), new)
    return [found[key] for key in sorted(found)]


def within_window(
    institutions: Iterable[NewInstitution], at_ms: int, window_days: int
) -> list[NewInstitution]:
    """Those first seen in the half-open window that ends at `at_ms`: later than its start, not after its end."""
    start_ms = at_ms - window_days * DAY_MS
    return [institution for institution in institutions if start_ms < institution.first_ms <= at_ms]


def exact_from_ms(evidence: InstitutionEvidence) -> int:
    """The instant from which on judgements are exact: before it, some of the evidence may be forgotten."""
    newest_ms = max((track.start_ms + track.span_ms for track in evidence.tracks), default=0)
    return max(newest_ms - LATE_DAYS * DAY_MS, 0)


_Led = tuple[Track, Track]
"""A track, and the one that stands for it: the first of its application, or itself."""


def _led(tracks: list[Track], memory_ms: int) -> Iterable[_Led]:
    """Each track with its leader. An application id that comes again after the memory is another application."""
    leaders: dict[str, tuple[Track, int]] = {}
    for track in tracks:
        if not track.application_id:
            yield track, track
            continue
        end_ms = track.start_ms + track.span_ms
        leader, until_ms = leaders.get(track.application_id, (track, end_ms))
        if track.start_ms >= until_ms + memory_ms:
            leader = track
        leaders[track.application_id] = leader, max(until_ms, end_ms)
        yield track, leader


def _can_count(track: Track, first_flow_ms: int | None, rules: Rules) -> bool:
    if track.kind != DISBURSEMENT:
        return track.kind != REVIEW
    assert first_flow_ms is not None, "a disbursement is a flow"
    history_days_min = rules.policy.signals.multi_platform_borrowing.flow_history_days_min
    return track.start_ms - first_flow_ms >= history_days_min * DAY_MS


def _known_before(track: Track, same_institution: list[_Led], memory_ms: int) -> bool:
    """Whether a sighting within the memory before a track's start makes its institution known there."""
    for other, leader in same_institution:
        if other.start_ms > track.start_ms:
            break
        if other.start_ms + other.span_ms + memory_ms <= track.start_ms:
            continue
        if leader.institution_id != other.institution_id:
            if track.kind != QUERY:
                return True  # the fruit of an application that came here by way of its first funder
        elif other.start_ms < track.start_ms:
            return True
    return False


def _see(
    evidence: InstitutionEvidence,
    event: CreditQuery | CreditAccountOpened | FundFlow,
    reported_id: str,
    application_id: str,
    kind: int,
    rules: Rules,
) -> bool:
    """Insert a sighting in its place; tell whether what is new anywhere may have changed."""
    _note_change(evidence)
    policy = rules.policy.signals.multi_platform_borrowing
    memory_ms = policy.memory_days * DAY_MS
    institution_id = rules.institution(reported_id)
    at_ms = newest_ms = event.event_time_ms
    late = False
    joined: list[Track] = []
    for track in evidence.tracks:
        end_ms = track.start_ms + track.span_ms
        newest_ms = max(newest_ms, end_ms)
        if track.institution_id == institution_id:
            late = late or track.start_ms > at_ms
            if track.application_id == application_id and (
                track.start_ms - memory_ms < at_ms < end_ms + memory_ms
            ):
                joined.append(track)
    keep_after_ms = newest_ms - (policy.window_days + policy.memory_days + LATE_DAYS) * DAY_MS
    if at_ms <= keep_after_ms - (memory_ms if application_id else 0):
        return False
    _keep_recent(
        evidence,
        Sighting(at_ms, fingerprint_of(event.event_id), institution_id, application_id, kind),
        newest_ms,
    )
    whole = _joined(joined, Track(institution_id, application_id, at_ms, 0, kind))
    if joined == [whole]:
        return False
    if len(joined) == 1 and joined[0].start_ms == whole.start_ms and joined[0].kind == whole.kind:
        joined[0].span_ms = whole.span_ms
        return late
    _replace(evidence, joined, whole)
    _forget(evidence, keep_after_ms, memory_ms)
    return late or kind != REVIEW


def _joined(tracks: list[Track], sighting: Track) -> Track:
    """One track of a sighting and those it touches."""
    whole = [sighting, *tracks]
    first = min(whole, key=lambda track: (track.start_ms, track.kind))
    end_ms = max(track.start_ms + track.span_ms for track in whole)
    return Track(
        sighting.institution_id, sighting.application_id, first.start_ms, end_ms - first.start_ms, first.kind
    )


def _replace(evidence: InstitutionEvidence, old: list[Track], new: Track) -> None:
    """Put a track in its place instead of those it joins."""
    for track in old:
        evidence.tracks.remove(track)
    insort(evidence.tracks, new, key=_place)


def _forget(evidence: InstitutionEvidence, keep_after_ms: int, memory_ms: int) -> None:
    """Forget what can no longer matter, and beyond the limit what was seen longest ago."""
    tracks = [
        track
        for track in evidence.tracks
        if track.start_ms + track.span_ms > keep_after_ms - (memory_ms if track.application_id else 0)
    ]
    if len(tracks) > TRACKS_MAX:
        tracks.remove(min(tracks, key=lambda track: (track.start_ms + track.span_ms, _place(track))))
        evidence.forgotten += 1
    evidence.tracks = tracks


def _place(track: Track) -> tuple[int, str, str]:
    return (track.start_ms, track.institution_id, track.application_id)
