"""What is kept of servicing: bounded, in order of time whatever the order of arrival, asked as of an instant."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import servicing
from models.calendars import DAY_MS
from models.contacts import attempts_left, first_day_with_attempts, is_promise_pending
from models.events import (
    AlertAcknowledged,
    AlertReviewed,
    AlertSnoozed,
    ContactAttempted,
    HoldPlaced,
    HoldReleased,
    RestrictionLifted,
    RestrictionListed,
)
from models.limits import CONTACTS_MAX
from models.servicing import (
    ALERT_NOTES_MAX,
    EXACT_DAYS,
    HOLD_ENTRIES_MAX,
    HOLD_STRENGTH,
    RESTRICTIONS_MAX,
    TEXT_CHARACTERS_MAX,
    ServicingEvidence,
    hold_as_of,
    is_restricted,
    last_answer,
    newest_note,
    unreached_since,
)
from tests.support.events import at, rules
from tests.support.servicing import (
    acknowledged,
    contact,
    hold,
    lifted,
    listed,
    promise,
    release,
    reviewed,
    snoozed,
)

RULES = rules()
ServicingEvent = (
    HoldPlaced
    | HoldReleased
    | ContactAttempted
    | RestrictionListed
    | RestrictionLifted
    | AlertAcknowledged
    | AlertReviewed
    | AlertSnoozed
)


def evidence_of(*events: ServicingEvent) -> ServicingEvidence:
    """The evidence of events, in their order of arrival."""
    evidence = ServicingEvidence()
    for event in events:
        if isinstance(event, HoldPlaced | HoldReleased):
            assert servicing.record_hold(evidence, event)
        elif isinstance(event, ContactAttempted):
            servicing.record_contact(evidence, event)
        elif isinstance(event, RestrictionListed | RestrictionLifted):
            servicing.record_restriction(evidence, event)
        else:
            servicing.record_note(evidence, event, known={"a-1"})
    return evidence


def held(evidence: ServicingEvidence, at_ms: int) -> str | None:
    """The hold as of an instant at which events of that instant count."""
    return hold_as_of(evidence, at_ms, at_ms)


# ---- holds -------------------------------------------------------------------------------------------------------


def test_a_hold_lasts_from_its_placing_to_its_release() -> None:
    """To the millisecond, the placing's own instant included, the release's not."""
    evidence = evidence_of(hold("2025-03-01"), release("2025-03-05"))

    assert held(evidence, at("2025-03-01") - 1) is None
    assert held(evidence, at("2025-03-01")) == "dispute"
    assert held(evidence, at("2025-03-05") - 1) == "dispute"
    assert held(evidence, at("2025-03-05")) is None


def test_a_hold_ends_by_itself_at_its_end() -> None:
    """At `until_ms` it holds no more."""
    evidence = evidence_of(hold("2025-03-01", until=at("2025-03-05")))

    assert held(evidence, at("2025-03-05") - 1) == "dispute"
    assert held(evidence, at("2025-03-05")) is None


def test_the_newest_placing_of_a_hold_counts() -> None:
    """A hold may be made longer or shorter, change its reason, and be placed again after its release."""
    evidence = evidence_of(
        hold("2025-03-01", until=at("2025-03-05")),
        hold("2025-03-02", "hardship", until=at("2025-03-09")),
        release("2025-03-06"),
        hold("2025-03-07", "legal"),
    )

    assert held(evidence, at("2025-03-01")) == "dispute"
    assert held(evidence, at("2025-03-05")) == "hardship"
    assert held(evidence, at("2025-03-06")) is None
    assert held(evidence, at("2025-03-10")) == "legal"


def test_the_hold_that_forbids_most_is_named() -> None:
    """In the documented order, whatever came first."""
    for strong, weak in pairwise(HOLD_STRENGTH):
        evidence = evidence_of(
            hold("2025-03-01", weak, hold_id="one"), hold("2025-03-02", strong, hold_id="other")
        )
        assert held(evidence, at("2025-03-03")) == strong


def test_releasing_one_hold_leaves_the_other() -> None:
    """Holds are told apart by their ids."""
    evidence = evidence_of(
        hold("2025-03-01", hold_id="one"),
        hold("2025-03-01", "hardship", hold_id="other"),
        release("2025-03-02", hold_id="one"),
        release("2025-03-02", hold_id="nobody"),
    )

    assert held(evidence, at("2025-03-03")) == "hardship"


def test_one_hold_too_many_is_refused_while_none_is_over() -> None:
    """What is over makes room, an open one never does; so a refused record fails closed."""
    evidence = ServicingEvidence()
    for number in range(HOLD_ENTRIES_MAX):
        assert servicing.record_hold(evidence, hold("2025-03-01", hold_id=f"h-{number}"))

    assert not servicing.record_hold(evidence, hold("2025-03-02", hold_id="more"))
    evidence.holds[-1] = msgspec.structs.replace(evidence.holds[-1], until_ms=at("2025-03-01", "13:00"))
    assert not servicing.record_hold(evidence, release("2025-03-01", hold_id="h-0", time="12:30"))
    evidence.holds[-1] = msgspec.structs.replace(evidence.holds[-1], until_ms=at("2025-03-01"))
    assert servicing.record_hold(evidence, hold("2025-03-02", hold_id="more"))
    assert len(evidence.holds) == HOLD_ENTRIES_MAX


def test_a_hold_that_is_made_longer_again_and_again_keeps_room() -> None:
    """What a placing replaced goes before anything is refused."""
    evidence = ServicingEvidence()
    for number in range(HOLD_ENTRIES_MAX * 3):
        until = at("2027-01-01") + number
        assert servicing.record_hold(evidence, hold("2025-03-01", until=until, event_time_ms=number))

    assert held(evidence, at("2026-12-31")) == "dispute"


def test_holds_long_over_are_forgotten_and_open_ones_never() -> None:
    """A hold of years ago that nobody released still holds."""
    evidence = evidence_of(
        hold("2020-01-01", hold_id="open"),
        hold("2020-01-01", hold_id="over"),
        release("2020-02-01", hold_id="over"),
        hold("2020-01-01", hold_id="ended", until=at("2020-02-02")),
        hold("2025-01-01", hold_id="new"),
    )

    assert {entry.hold_id for entry in evidence.holds} == {"open", "new"}


# ---- lists -------------------------------------------------------------------------------------------------------


def test_a_listing_lasts_until_it_is_lifted() -> None:
    """List by list."""
    evidence = evidence_of(
        listed("2025-03-01"), listed("2025-03-02", "bank"), lifted("2025-03-03"), lifted("2025-03-04", "bank")
    )

    known = [is_restricted(evidence, at(f"2025-03-0{day}")) for day in range(1, 5)]
    assert known == [True, True, True, False]
    assert not is_restricted(evidence, at("2025-03-01") - 1)


# ---- contacts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "party", "length"),
    [
        ("reached", None, 1),
        ("refused", None, 1),
        ("promised", "borrower", 1),
        ("reached", "third_party", 3),
        ("promised", "guarantor", 3),
        ("reached", "co_borrower", 3),
        ("reached", "other", 3),
        ("other", None, 3),
        ("unreached", None, 4),
        ("unreached", "third_party", 3),
        ("unreached", "other", 3),
    ],
)
def test_only_the_borrower_answers_for_the_borrower(outcome: str, party: str | None, length: int) -> None:
    """An answer of the borrower's ends the row; other people's neither end nor lengthen it, nor what is unknown."""
    evidence = evidence_of(
        contact("2025-03-01"),
        contact("2025-03-02"),
        contact("2025-03-03", outcome, party=party),
        contact("2025-03-04"),
    )

    assert len(unreached_since(evidence, 0, at("2025-03-05"))) == length


def test_a_row_begins_where_it_is_asked_to_and_ends_where_it_is_asked() -> None:
    """Both ends included, to the millisecond."""
    evidence = evidence_of(*[contact(f"2025-03-0{day}") for day in range(1, 6)])

    assert len(unreached_since(evidence, at("2025-03-02"), at("2025-03-04"))) == 3
    assert len(unreached_since(evidence, at("2025-03-02") + 1, at("2025-03-04") - 1)) == 1


def test_the_last_answer_is_the_newest_that_is_known() -> None:
    """Later ones do not count."""
    evidence = evidence_of(contact("2025-03-01", "refused"), contact("2025-03-03", "reached"))
    answers = [last_answer(evidence, at(f"2025-03-0{day}")) for day in (1, 2, 3)]

    assert [answer and answer.outcome for answer in answers] == ["refused", "refused", "reached"]
    assert last_answer(evidence, at("2025-03-01") - 1) is None


def left(evidence: ServicingEvidence, day: str, override: str = "", time: str = "23:00") -> int:
    """Attempts left on a day, at an hour of it."""
    own = rules(override)
    return attempts_left(evidence, at(day, time), own.calendar.day_of(at(day)), own)


def test_attempts_are_counted_by_local_day_and_by_seven_days() -> None:
    """Three a day, seven within today and the six days before."""
    evidence = evidence_of(
        *[contact("2025-03-01", time=time) for time in ("00:00", "12:00", "23:59")],
        *[contact("2025-03-03", "reached", time=time) for time in ("09:00", "10:00", "11:00")],
    )

    assert left(evidence, "2025-02-28") == 3
    assert left(evidence, "2025-03-01", time="00:30") == 2
    assert left(evidence, "2025-03-01", time="23:59") == 0
    assert left(evidence, "2025-03-02") == 3
    assert left(evidence, "2025-03-03") == 0
    assert left(evidence, "2025-03-04") == 1
    assert left(evidence, "2025-03-07") == 1
    assert left(evidence, "2025-03-08") == 3


def test_the_policy_sets_the_limits() -> None:
    """Other numbers count by those; none a day is none for ever."""
    evidence = evidence_of(contact("2025-03-01"))

    assert left(evidence, "2025-03-01", "[contact]\nattempts_per_day = 1") == 0
    assert left(evidence, "2025-03-02", "[contact]\nattempts_per_7_days = 1") == 0
    assert left(evidence, "2025-03-08", "[contact]\nattempts_per_7_days = 1") == 1
    assert left(ServicingEvidence(), "2025-03-08", "[contact]\nattempts_per_7_days = 2") == 2
    none = rules("[contact]\nattempts_per_day = 0")
    assert first_day_with_attempts(evidence, at("2025-03-01"), 20_000, none) is None


@pytest.mark.parametrize(
    ("party", "counted"),
    [(None, 1), ("borrower", 1), ("other", 1), ("third_party", 0), ("guarantor", 0), ("co_borrower", 0)],
)
def test_attempts_at_others_are_not_attempts_at_the_borrower(party: str | None, counted: int) -> None:
    """One whose party nobody could tell may have been, and counts."""
    assert 3 - left(evidence_of(contact("2025-03-01", party=party)), "2025-03-01") == counted


def test_after_a_conversation_the_policy_may_leave_the_borrower_alone() -> None:
    """Seven days count from that of the conversation, as Regulation F has it."""
    quiet = "[contact]\ndays_after_conversation = 7"
    evidence = evidence_of(contact("2025-03-01", "reached"))

    assert left(evidence, "2025-03-07", quiet) == 0
    assert left(evidence, "2025-03-08", quiet) == 3
    assert left(evidence_of(contact("2025-03-01")), "2025-03-02", quiet) == 3


def test_a_promise_is_waited_for_until_its_day_is_over() -> None:
    """Until the midnight that ends it, and no longer than the policy's days ahead."""
    pending = [
        is_promise_pending(evidence_of(promise("2025-03-01", "2025-03-05")), instant, instant, RULES)
        for instant in (
            at("2025-03-01") - 1,
            at("2025-03-01"),
            at("2025-03-06", "00:00") - 1,
            at("2025-03-06", "00:00"),
        )
    ]
    assert pending == [False, True, True, False]
    near, far = promise("2025-03-01", "2025-03-31"), promise("2025-03-01", "2025-04-01")
    now = at("2025-03-02")
    assert is_promise_pending(evidence_of(near), now, now, RULES)
    assert not is_promise_pending(evidence_of(far), now, now, RULES)


def test_a_refusal_ends_the_wait_for_a_promise() -> None:
    """The last word counts; another person's is none."""
    made = promise("2025-03-01", "2025-03-09")
    now = at("2025-03-03")

    assert not is_promise_pending(evidence_of(made, contact("2025-03-02", "refused")), now, now, RULES)
    assert is_promise_pending(
        evidence_of(made, contact("2025-03-02", "refused", party="third_party")), now, now, RULES
    )
    assert not is_promise_pending(
        evidence_of(promise("2025-03-01", "2025-03-09", party="guarantor")), now, now, RULES
    )


# ---- what was said of alerts -------------------------------------------------------------------------------------


def test_the_newest_note_of_a_kind_is_found() -> None:
    """Who, when, and what, by alert and kind, as of an instant."""
    evidence = evidence_of(
        acknowledged("2025-03-01", "a-1"),
        reviewed("2025-03-02", "a-1"),
        reviewed("2025-03-03", "a-1", "confirmed"),
        reviewed("2025-03-04", "a-2"),
    )

    note = newest_note(evidence, "a-1", "reviewed", at("2025-03-02"))
    assert note is not None
    assert (note.actor, note.verdict, note.time_ms) == ("officer-1", "false_positive", at("2025-03-02"))
    note = newest_note(evidence, "a-1", "reviewed", at("2025-03-05"))
    assert note is not None
    assert note.verdict == "confirmed"
    assert newest_note(evidence, "a-1", "snoozed", at("2025-03-05")) is None


def test_notes_on_unknown_alerts_make_room_first() -> None:
    """A flood of strange ids does not push out what was said of an alert that is known."""
    evidence = evidence_of(acknowledged("2025-03-01", "a-1"))
    for number in range(ALERT_NOTES_MAX * 2):
        servicing.record_note(evidence, acknowledged("2025-03-02", f"x-{number}"), known={"a-1"})

    assert len(evidence.notes) == ALERT_NOTES_MAX
    assert newest_note(evidence, "a-1", "acknowledged", at("2025-03-03")) is not None


# ---- laws --------------------------------------------------------------------------------------------------------

DAYS = st.integers(1, 28).map(lambda day: f"2025-03-{day:02d}")
EVENTS: st.SearchStrategy[ServicingEvent] = st.one_of(
    st.builds(
        lambda day, reason, end, name: hold(
            day, reason, None if end is None else at(day) + end * DAY_MS, hold_id=name
        ),
        DAYS,
        st.sampled_from(HOLD_STRENGTH),
        st.none() | st.integers(-1, 20),
        st.sampled_from(["h-1", "h-2", "h-3"]),
    ),
    st.builds(lambda day, name: release(day, hold_id=name), DAYS, st.sampled_from(["h-1", "h-2"])),
    st.builds(
        lambda day, outcome, party: contact(day, outcome, party=party),
        DAYS,
        st.sampled_from(["reached", "unreached", "refused", "other"]),
        st.sampled_from([None, "borrower", "third_party", "other"]),
    ),
    st.builds(promise, DAYS, DAYS, st.none() | st.just(50_000)),
    st.builds(listed, DAYS, st.sampled_from(["court", "bank"])),
    st.builds(lifted, DAYS, st.sampled_from(["court", "bank"])),
    st.builds(lambda day, name: snoozed(day, name, at(day) + DAY_MS), DAYS, st.sampled_from(["a-1", "a-2"])),
    st.builds(reviewed, DAYS, st.sampled_from(["a-1", "a-2"])),
)
LOGS = st.lists(EVENTS, max_size=24)


@given(LOGS.flatmap(lambda log: st.tuples(st.just(log), st.permutations(log))))
def test_the_order_of_arrival_does_not_matter(
    logs: tuple[list[ServicingEvent], list[ServicingEvent]],
) -> None:
    """Any order gives the same evidence, to the last byte."""
    one, other = (msgspec.msgpack.encode(evidence_of(*events)) for events in logs)

    assert one == other


@given(LOGS, st.integers(0, 30))
def test_what_is_later_does_not_count(log: list[ServicingEvent], day: int) -> None:
    """As of an instant, the whole log answers as the log cut there."""
    now = at("2025-03-01", "00:00") + day * DAY_MS
    whole, cut = evidence_of(*log), evidence_of(*[event for event in log if event.event_time_ms <= now])

    for evidence in (whole, cut):
        assert held(evidence, now) == held(cut, now)
        assert is_restricted(evidence, now) == is_restricted(cut, now)
        assert unreached_since(evidence, 0, now) == unreached_since(cut, 0, now)
        assert last_answer(evidence, now) == last_answer(cut, now)
        assert is_promise_pending(evidence, now, now, RULES) == is_promise_pending(cut, now, now, RULES)
        for ahead in range(9):
            today = RULES.calendar.day_of(now) + ahead
            assert attempts_left(evidence, now, today, RULES) == attempts_left(cut, now, today, RULES)


def test_everything_has_a_limit() -> None:
    """The newest are kept, however much is reported, and texts are cut off."""
    evidence = ServicingEvidence()
    for number in range(CONTACTS_MAX + 5):
        event_time_ms = at("2025-03-01") + number
        servicing.record_contact(
            evidence, contact("2025-03-01", event_time_ms=event_time_ms, channel="c" * 1000)
        )
        event = listed("2025-03-01", f"{number:04d}" * 100)
        servicing.record_restriction(evidence, event)

    assert len(evidence.contacts) == CONTACTS_MAX
    assert evidence.contacts[-1].time_ms == at("2025-03-01") + CONTACTS_MAX + 4
    assert len(evidence.contacts[0].channel) == TEXT_CHARACTERS_MAX
    assert len(evidence.restrictions) == RESTRICTIONS_MAX
    late = contact("2025-03-01", event_time_ms=at("2025-03-01") + (EXACT_DAYS + 1) * DAY_MS)
    servicing.record_contact(evidence, late)
    assert len(evidence.contacts) == 1
