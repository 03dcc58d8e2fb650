"""Large transfers to other people, and since when each receiver is known: what `asset_flight` looks at.

**A transfer** is an outflow of at least the policy's `transfer_minor` to a named counterparty, without a category or of one by which
wealth moves (`CATEGORIES`). Consumption (living, shopping, fees), rent, debts and own accounts are none, nor is what goes to a
merchant, an employer, an authority, a lender or a payment company: the last hides who receives, the others are where
money belongs. Nor are cash withdrawals, which name nobody.

**What is kept.** Transfers of the window and `LATE_DAYS`, one by one. Transfers to one receiver that follow each other within the
policy's memory are one *track* (first instant and span), as in `models.institutions`: a receiver is new where a track begins.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from msgspec import Struct

from models.balances import is_excused
from models.calendars import DAY_MS
from models.events import FundFlow
from models.recent_ids import fingerprint_of
from models.rules import Rules
from models.short_ids import short_id

LATE_DAYS: Final = 30
"""How far before the newest transfer judgements stay exact: half of the latest lateness that a policy can set."""
TRANSFERS_MAX: Final = 64
"""Transfers kept of one borrower: nearly two a day for the window and the lateness. The oldest goes first."""
TRACKS_MAX: Final = 48
"""Receivers kept of one borrower: beyond it the one paid longest ago goes, and is remembered in `forgotten_ms`."""
CATEGORIES: Final = frozenset({None, "other", "securities", "property", "gambling"})
_RECEIVERS: Final = frozenset({None, "other", "linked"})


class Transfer(Struct, array_like=True, gc=False):
    """One of them."""

    time_ms: int
    counterparty_id: str
    currency: str
    amount_minor: int
    before_minor: int | None
    """What was on the account before, where that was told."""
    fingerprint: bytes
    """Of the event id, for one that is taken back."""


class Track(Struct, array_like=True, gc=False):
    """Transfers to one receiver without a gap as long as the memory, from `start_ms` for `span_ms`."""

    counterparty_id: str
    start_ms: int
    span_ms: int


class OutflowEvidence(Struct, array_like=True):
    """All that is kept of one borrower: 5 bytes while empty, about 40 a transfer and 25 a receiver."""

    transfers: list[Transfer] = []
    """By time, receiver, fingerprint."""
    tracks: list[Track] = []
    """By start, receiver."""
    newest_ms: int = 0
    forgotten_ms: int = -1
    """The latest instant at which a receiver was paid that was given up for `TRACKS_MAX`: whoever seems new within the
    memory after it may be that one."""


def is_transfer(flow: FundFlow, rules: Rules) -> bool:
    """Whether an outflow is a large transfer to somebody."""
    return (
        flow.direction == "out"
        and flow.category in CATEGORIES
        and flow.counterparty_id is not None
        and flow.amount_minor >= rules.policy.signals.asset_flight.transfer_minor
        and flow.counterparty_kind in _RECEIVERS
        and not is_excused(flow)
    )


def record_flow(evidence: OutflowEvidence, flow: FundFlow, rules: Rules) -> bool:
    """Remember a transfer. Return whether it is one that is kept."""
    if not is_transfer(flow, rules):
        return False
    policy = rules.policy.signals.asset_flight
    time_ms = flow.event_time_ms
    evidence.newest_ms = max(evidence.newest_ms, time_ms)
    kept_ms = evidence.newest_ms - (policy.window_days + LATE_DAYS) * DAY_MS
    counterparty_id = short_id(flow.counterparty_id or "")
    if time_ms > kept_ms - policy.memory_days * DAY_MS:
        _see(evidence, counterparty_id, time_ms, policy.memory_days * DAY_MS)
        _forget_tracks(evidence, kept_ms - policy.memory_days * DAY_MS)
    if time_ms <= kept_ms:
        return False
    told_minor = flow.balance_after_minor
    before_minor = None if told_minor is None else max(0, told_minor + flow.amount_minor)
    transfer = Transfer(
        time_ms,
        counterparty_id,
        flow.currency,
        flow.amount_minor,
        before_minor,
        fingerprint_of(flow.event_id),
    )
    insort(evidence.transfers, transfer, key=_transfer_order)
    evidence.transfers = [one for one in evidence.transfers if one.time_ms > kept_ms][-TRANSFERS_MAX:]
    return True


def void(evidence: OutflowEvidence, fingerprint: bytes, rules: Rules) -> bool:
    """Forget a transfer that was taken back; False where it is not remembered.

    Of its receiver's track remains what the other transfers make. Where it began before all that are kept one by one, the last
    of those is taken to have been as late as it can have been: a receiver is rather known than new.
    """
    gone = next((transfer for transfer in evidence.transfers if transfer.fingerprint == fingerprint), None)
    if gone is None:
        return False
    evidence.transfers.remove(gone)
    policy = rules.policy.signals.asset_flight
    kept_ms = evidence.newest_ms - (policy.window_days + LATE_DAYS) * DAY_MS
    for track in evidence.tracks:
        end_ms = track.start_ms + track.span_ms
        if track.counterparty_id == gone.counterparty_id and track.start_ms <= gone.time_ms <= end_ms:
            evidence.tracks.remove(track)
            if track.start_ms <= kept_ms:
                older = Track(track.counterparty_id, track.start_ms, kept_ms - track.start_ms)
                insort(evidence.tracks, older, key=_track_order)
            for left in evidence.transfers:
                if left.counterparty_id == gone.counterparty_id and track.start_ms <= left.time_ms <= end_ms:
                    _see(evidence, left.counterparty_id, left.time_ms, policy.memory_days * DAY_MS)
            break
    return True


def new_transfers(
    evidence: OutflowEvidence, after_ms: int, known_ms: int, first_flow_ms: int | None, rules: Rules
) -> list[Transfer]:
    """The transfers later than `after_ms`, up to `known_ms`, to receivers whose first one they contain.

    `first_flow_ms`: since when flows are known; without enough of them before, nobody can be told to be new.
    """
    policy = rules.policy.signals.asset_flight
    if first_flow_ms is None:
        return []
    known_from_ms = first_flow_ms + policy.flow_history_days_min * DAY_MS
    unsure_until_ms = (
        evidence.forgotten_ms + policy.memory_days * DAY_MS if evidence.forgotten_ms >= 0 else -1
    )
    new = {
        track.counterparty_id: track.start_ms
        for track in evidence.tracks
        if after_ms < track.start_ms <= known_ms
        and track.start_ms >= known_from_ms
        and track.start_ms >= unsure_until_ms
    }
    return [
        transfer
        for transfer in evidence.transfers
        if after_ms < transfer.time_ms <= known_ms
        and transfer.time_ms >= new.get(transfer.counterparty_id, known_ms + 1)
    ]


def _see(evidence: OutflowEvidence, counterparty_id: str, time_ms: int, memory_ms: int) -> None:
    """Put a sighting into its track, or join the tracks that it touches."""
    start_ms = end_ms = time_ms
    others: list[Track] = []
    for track in evidence.tracks:
        track_end_ms = track.start_ms + track.span_ms
        if track.counterparty_id == counterparty_id and (
            track.start_ms - memory_ms < time_ms < track_end_ms + memory_ms
        ):
            start_ms, end_ms = min(start_ms, track.start_ms), max(end_ms, track_end_ms)
        else:
            others.append(track)
    insort(others, Track(counterparty_id, start_ms, end_ms - start_ms), key=_track_order)
    evidence.tracks = others


def _forget_tracks(evidence: OutflowEvidence, kept_ms: int) -> None:
    evidence.tracks = [track for track in evidence.tracks if track.start_ms + track.span_ms > kept_ms]
    if len(evidence.tracks) > TRACKS_MAX:
        oldest = min(evidence.tracks, key=lambda track: (track.start_ms + track.span_ms, _track_order(track)))
        evidence.tracks.remove(oldest)
        evidence.forgotten_ms = max(evidence.forgotten_ms, oldest.start_ms + oldest.span_ms)


def _transfer_order(transfer: Transfer) -> tuple[int, str, bytes]:
    return transfer.time_ms, transfer.counterparty_id, transfer.fingerprint


def _track_order(track: Track) -> tuple[int, str]:
    return track.start_ms, track.counterparty_id
