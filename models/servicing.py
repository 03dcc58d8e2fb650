"""What servicing staff report of a borrower: holds, contacts and promises, lists, and what was said of alerts.

Everything keeps its event time, and every question is asked as of an instant: `known_ms` is the last instant whose events
count, `at_ms` the one to which time has come (they differ at the midnight of a deadline, `models.deadlines`). The order of
arrival does not matter.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol, TypeVar

from msgspec import Struct

from models.calendars import DAY_MS, day_of_date
from models.events import (
    AlertAcknowledged,
    AlertReviewed,
    AlertSnoozed,
    ContactAttempted,
    ContactOutcome,
    ContactParty,
    HoldPlaced,
    HoldReason,
    HoldReleased,
    RestrictionLifted,
    RestrictionListed,
    Verdict,
)
from models.limits import CONTACTS_MAX
from models.recent_ids import fingerprint_of
from models.rules import Rules

EXACT_DAYS: Final = 400
"""How long what is over stays known: as long as the ledger can be asked for the past (`models.ledger.EXACT_DAYS`)."""
HOLD_ENTRIES_MAX: Final = 32
"""Placings and releases of holds: one more, while none is over, is refused, so that it fails closed."""
RESTRICTIONS_MAX: Final = 16
"""Listings and liftings, the newest: few borrowers stand on more than one list."""
ALERT_NOTES_MAX: Final = 48
"""What was said of alerts, the newest: twice as many as closed alerts are remembered."""
TEXT_CHARACTERS_MAX: Final = 120
"""Free text (a channel, a list, a reason) is cut off here: the picture stays small, whatever a form lets through."""
INSTANTS_FROM_DAY_MAX: Final = 2_900_000
"""The last day of which a midnight is asked (the year 9909): promises for later are for never."""

HOLD_STRENGTH: Final[tuple[HoldReason, ...]] = (
    "legal",
    "consent_withdrawn",
    "vulnerable",
    "dispute",
    "hardship",
    "other",
)
"""Where several hold, the first of these is named: what forbids most comes first (decisions/0004-holds.md)."""

NoteKind = Literal["acknowledged", "reviewed", "snoozed"]


class HoldEntry(Struct, array_like=True, frozen=True, gc=False):
    """A hold is placed, perhaps until an instant, or released. The newest entry of a hold is the one that counts."""

    time_ms: int
    hold_id: str
    is_release: bool
    reason: HoldReason
    until_ms: int | None = None
    fingerprint: bytes = b""
    """Of its event's id, here and below: a void names it."""


class Contact(Struct, array_like=True, frozen=True, gc=False):
    """One attempt to reach somebody; `promise_day` is local, the amount in minor units of the loans' currency."""

    time_ms: int
    channel: str
    outcome: ContactOutcome
    party: ContactParty
    promise_day: int | None = None
    promise_amount_minor: int | None = None
    fingerprint: bytes = b""

    @property
    def is_at_borrower(self) -> bool:
        """Whether it was the borrower who was tried."""
        return self.party == "borrower"

    @property
    def may_be_at_borrower(self) -> bool:
        """The same, with a party that nobody could tell: limits fail closed."""
        return self.party in _PERHAPS_BORROWER

    @property
    def has_reached_borrower(self) -> bool:
        """Whether the borrower was spoken to: a refusal and a promise are answers, another person's are none."""
        return self.party == "borrower" and self.outcome in _ANSWERS

    @property
    def is_promise(self) -> bool:
        """Whether the borrower promised to pay by a day that has not passed already."""
        return self.promise_day is not None and self.outcome == "promised" and self.party == "borrower"


class Restriction(Struct, array_like=True, frozen=True, gc=False):
    """The borrower came on a list, or left it."""

    time_ms: int
    list_name: str
    is_lifting: bool
    reason: str
    fingerprint: bytes = b""


class AlertNote(Struct, array_like=True, frozen=True, gc=False):
    """Somebody took an alert on, reviewed it, or put it to sleep."""

    time_ms: int
    alert_id: str
    kind: NoteKind
    actor: str
    verdict: Verdict | None = None
    until_ms: int | None = None
    reason: str | None = None
    fingerprint: bytes = b""


class ServicingEvidence(Struct, array_like=True):
    """Of one borrower, each list in order of event time."""

    holds: list[HoldEntry] = []
    contacts: list[Contact] = []
    restrictions: list[Restriction] = []
    notes: list[AlertNote] = []

    @property
    def is_empty(self) -> bool:
        """Of most borrowers nothing was ever reported."""
        return not (self.holds or self.contacts or self.restrictions or self.notes)


_PERHAPS_BORROWER: Final = frozenset({"borrower", "other"})
_ANSWERS: Final = frozenset({"reached", "refused", "promised"})


class _Timed(Protocol):
    @property
    def time_ms(self) -> int: ...


_Entry = TypeVar("_Entry", bound=_Timed)


# ---- events ------------------------------------------------------------------------------------------------------


def record_hold(evidence: ServicingEvidence, event: HoldPlaced | HoldReleased) -> bool:
    """Note that a hold began or ended; False where there is no room for one more."""
    is_release = isinstance(event, HoldReleased)
    entry = HoldEntry(
        time_ms=event.event_time_ms,
        hold_id=event.hold_id,
        is_release=is_release,
        reason=event.reason,
        until_ms=None if is_release else event.until_ms,
        fingerprint=fingerprint_of(event.event_id),
    )
    _forget_holds_that_are_over(evidence, entry.time_ms - EXACT_DAYS * DAY_MS)
    while len(evidence.holds) >= HOLD_ENTRIES_MAX:
        if not _forget_one_hold_that_is_over(evidence):
            return False
    insort(evidence.holds, entry, key=_hold_order)
    return True


def record_contact(evidence: ServicingEvidence, event: ContactAttempted) -> None:
    """Note an attempt. Where nobody says who was tried, it was the borrower."""
    promise = event.promise_date
    contact = Contact(
        time_ms=event.event_time_ms,
        channel=event.channel[:TEXT_CHARACTERS_MAX],
        outcome=event.outcome,
        party="borrower" if event.party is None else event.party,
        promise_day=None if promise is None else day_of_date(promise),
        promise_amount_minor=event.promise_amount_minor,
        fingerprint=fingerprint_of(event.event_id),
    )
    _insert_newest(evidence.contacts, contact, _contact_order, CONTACTS_MAX)


def record_restriction(evidence: ServicingEvidence, event: RestrictionListed | RestrictionLifted) -> None:
    """Note that the borrower came on a list or left it."""
    entry = Restriction(
        time_ms=event.event_time_ms,
        list_name=event.list[:TEXT_CHARACTERS_MAX],
        is_lifting=isinstance(event, RestrictionLifted),
        reason=event.reason[:TEXT_CHARACTERS_MAX],
        fingerprint=fingerprint_of(event.event_id),
    )
    _insert_newest(evidence.restrictions, entry, _restriction_order, RESTRICTIONS_MAX)


def record_note(
    evidence: ServicingEvidence, event: AlertAcknowledged | AlertReviewed | AlertSnoozed, known: set[str]
) -> None:
    """Note what was said of an alert. Where there is no room, notes on alerts that are not `known` go first."""
    insort(evidence.notes, _note_of(event), key=_note_order)
    if len(evidence.notes) > ALERT_NOTES_MAX:
        place = next((i for i, note in enumerate(evidence.notes) if note.alert_id not in known), 0)
        del evidence.notes[place]


def _note_of(event: AlertAcknowledged | AlertReviewed | AlertSnoozed) -> AlertNote:
    time_ms, alert_id, actor = event.event_time_ms, event.alert_id, event.actor
    fingerprint = fingerprint_of(event.event_id)
    if isinstance(event, AlertAcknowledged):
        return AlertNote(time_ms, alert_id, "acknowledged", actor, fingerprint=fingerprint)
    if isinstance(event, AlertReviewed):
        return AlertNote(time_ms, alert_id, "reviewed", actor, verdict=event.verdict, fingerprint=fingerprint)
    return AlertNote(
        time_ms,
        alert_id,
        "snoozed",
        actor,
        until_ms=event.until_ms,
        reason=event.reason[:TEXT_CHARACTERS_MAX],
        fingerprint=fingerprint,
    )


def void(evidence: ServicingEvidence, fingerprint: bytes) -> bool:
    """Take back what a voided event reported; False where nothing of it is remembered."""
    before = sum(map(len, _lists_of(evidence)))
    evidence.holds = [entry for entry in evidence.holds if entry.fingerprint != fingerprint]
    evidence.contacts = [entry for entry in evidence.contacts if entry.fingerprint != fingerprint]
    evidence.restrictions = [entry for entry in evidence.restrictions if entry.fingerprint != fingerprint]
    evidence.notes = [entry for entry in evidence.notes if entry.fingerprint != fingerprint]
    return sum(map(len, _lists_of(evidence))) < before


def _lists_of(evidence: ServicingEvidence) -> tuple[Sequence[object], ...]:
    return evidence.holds, evidence.contacts, evidence.restrictions, evidence.notes


# ---- questions: holds and lists ----------------------------------------------------------------------------------


def hold_as_of(evidence: ServicingEvidence, known_ms: int, at_ms: int) -> HoldReason | None:
    """The strongest reason for which nobody may act on this borrower's alerts, or None."""
    if not evidence.holds:
        return None
    newest = {entry.hold_id: entry for entry in evidence.holds if entry.time_ms <= known_ms}
    standing = {entry.reason for entry in newest.values() if _holds(entry, at_ms)}
    return next((reason for reason in HOLD_STRENGTH if reason in standing), None)


def is_restricted(evidence: ServicingEvidence, known_ms: int) -> bool:
    """Whether the borrower stands on some list."""
    if not evidence.restrictions:
        return False
    newest = {entry.list_name: entry for entry in evidence.restrictions if entry.time_ms <= known_ms}
    return any(not entry.is_lifting for entry in newest.values())


def _holds(entry: HoldEntry, at_ms: int) -> bool:
    return not entry.is_release and (entry.until_ms is None or at_ms < entry.until_ms)


# ---- questions: alerts -------------------------------------------------------------------------------------------


def newest_note(
    evidence: ServicingEvidence, alert_id: str, kind: NoteKind, known_ms: int
) -> AlertNote | None:
    """The newest note of a kind on an alert. A verdict that nobody could tell takes none back: it fails closed."""
    for note in reversed(evidence.notes):
        is_clear = note.verdict != "other"
        if note.time_ms <= known_ms and note.kind == kind and note.alert_id == alert_id and is_clear:
            return note
    return None


# ---- questions: contacts -----------------------------------------------------------------------------------------


def unreached_since(evidence: ServicingEvidence, since_ms: int, known_ms: int) -> list[Contact]:
    """Failed attempts at the borrower from `since_ms` on, since the last one that reached, in order of time.

    An attempt whose outcome or party nobody could tell neither counts nor ends the row.
    """
    row: list[Contact] = []
    for contact in reversed(evidence.contacts):
        if contact.time_ms > known_ms:
            continue
        if contact.time_ms < since_ms or contact.has_reached_borrower:
            break
        if contact.is_at_borrower and contact.outcome == "unreached":
            row.append(contact)
    return row[::-1]


def last_answer(evidence: ServicingEvidence, known_ms: int) -> Contact | None:
    """The last time the borrower was spoken to."""
    for contact in reversed(evidence.contacts):
        if contact.time_ms <= known_ms and contact.has_reached_borrower:
            return contact
    return None


def promises(evidence: ServicingEvidence, known_ms: int) -> list[Contact]:
    """The borrower's promises with a date, in order of time."""
    return [contact for contact in evidence.contacts if contact.time_ms <= known_ms and contact.is_promise]


def end_of_day_ms(day: int, rules: Rules) -> int:
    """The midnight that ends a local day, within what a calendar can tell."""
    return rules.calendar.midnight_ms((day if day < INSTANTS_FROM_DAY_MAX else INSTANTS_FROM_DAY_MAX) + 1)


def attempt_days(evidence: ServicingEvidence, known_ms: int, since_ms: int, rules: Rules) -> Sequence[int]:
    """The local days of the attempts at the borrower since `since_ms`, newest first; a day for each attempt."""
    days: list[int] = []
    for contact in reversed(evidence.contacts):
        if contact.time_ms > known_ms:
            continue
        if contact.time_ms < since_ms:
            break
        if contact.may_be_at_borrower:
            days.append(rules.calendar.day_of(contact.time_ms))
    return days


# ---- keeping it small --------------------------------------------------------------------------------------------


def _hold_order(entry: HoldEntry) -> tuple[int, bool, str, str, int, bytes]:
    """At one instant a release comes after the placing that it ends."""
    until_ms = -1 if entry.until_ms is None else entry.until_ms
    return entry.time_ms, entry.is_release, entry.hold_id, entry.reason, until_ms, entry.fingerprint


def _contact_order(contact: Contact) -> tuple[int, str, str, str, int, int, bytes]:
    day = -1 if contact.promise_day is None else contact.promise_day
    amount_minor = -1 if contact.promise_amount_minor is None else contact.promise_amount_minor
    return (
        contact.time_ms,
        contact.outcome,
        contact.party,
        contact.channel,
        day,
        amount_minor,
        contact.fingerprint,
    )


def _restriction_order(entry: Restriction) -> tuple[int, bool, str, str, bytes]:
    return entry.time_ms, entry.is_lifting, entry.list_name, entry.reason, entry.fingerprint


def _note_order(note: AlertNote) -> tuple[int, str, str, str, str, int, str, bytes]:
    until_ms = -1 if note.until_ms is None else note.until_ms
    return (
        note.time_ms,
        note.kind,
        note.alert_id,
        note.actor,
        note.verdict or "",
        until_ms,
        note.reason or "",
        note.fingerprint,
    )


def _insert_newest(
    entries: list[_Entry],
    entry: _Entry,
    order: Callable[[_Entry], tuple[int | str | bool | bytes, ...]],
    kept: int,
) -> None:
    """Put an entry at its place in time, and keep what is newest."""
    insort(entries, entry, key=order)
    since_ms = entries[-1].time_ms - EXACT_DAYS * DAY_MS
    while len(entries) > kept or entries[0].time_ms < since_ms:
        del entries[0]


def _ended_ms(evidence: ServicingEvidence) -> dict[str, int]:
    """The holds that are over or will be by themselves, each with the end of its newest entry."""
    newest = {entry.hold_id: entry for entry in evidence.holds}
    return {
        hold_id: entry.time_ms if entry.is_release else (entry.until_ms or 0)
        for hold_id, entry in newest.items()
        if entry.is_release or entry.until_ms is not None
    }


def _forget_holds_that_are_over(evidence: ServicingEvidence, since_ms: int) -> None:
    ended = {hold_id for hold_id, end_ms in _ended_ms(evidence).items() if end_ms < since_ms}
    if ended:
        evidence.holds = [entry for entry in evidence.holds if entry.hold_id not in ended]


def _forget_one_hold_that_is_over(evidence: ServicingEvidence) -> bool:
    """Forget the hold that has been over for longest, or what was replaced of one that is not; False where there is none."""
    latest_ms = evidence.holds[-1].time_ms
    ended = sorted(
        (end_ms, hold_id) for hold_id, end_ms in _ended_ms(evidence).items() if end_ms <= latest_ms
    )
    if ended:
        evidence.holds = [entry for entry in evidence.holds if entry.hold_id != ended[0][1]]
        return True
    newest = {entry.hold_id: entry for entry in evidence.holds}
    for entry in evidence.holds:
        if newest[entry.hold_id] is not entry:
            evidence.holds.remove(entry)
            return True
    return False
