"""What contacts bring with time is found without walking over all of them; here they are walked over."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from models.calendars import DAY_MS, HOUR_MS
from models.contacts import promise_wait_ends_ms
from models.servicing import Contact, ServicingEvidence, end_of_day_ms
from models.signals import unreachable
from tests.support.events import at, rules

RULES: Final = rules('time_zone = "Europe/Berlin"\n[recommendation]\npromise_days_max = 7\n')
"""Where clocks change."""
FROM_MS: Final = at("2025-03-10")
FROM_DAY: Final = RULES.calendar.day_of(FROM_MS)


@st.composite
def contact_logs(draw: st.DrawFn) -> ServicingEvidence:
    """Some contacts around a change of clocks, in order of time, and promises made with them."""
    hours = sorted(draw(st.lists(st.integers(0, 40 * 24), max_size=8)))
    contacts = [
        Contact(
            FROM_MS + hour * HOUR_MS,
            "phone",
            draw(st.sampled_from(("promised", "promised", "unreached", "refused"))),
            draw(st.sampled_from(("borrower", "borrower", "other"))),
            None if away is None else FROM_DAY + hour // 24 + away,
        )
        for hour in hours
        for away in [draw(st.none() | st.integers(-2, 12))]
    ]
    return ServicingEvidence(contacts=contacts)


@given(contact_logs(), st.integers(0, 60 * 24))
def test_waits_end_as_a_walk_over_all_contacts_tells(evidence: ServicingEvidence, hours: int) -> None:
    """Of every promise for a day near enough, the midnight that ends it, where that is still to come."""
    after_ms = FROM_MS + hours * HOUR_MS
    expected = [
        end_of_day_ms(contact.promise_day, RULES)
        for contact in evidence.contacts
        if contact.is_promise
        and contact.promise_day is not None
        and contact.promise_day - RULES.calendar.day_of(contact.time_ms) <= 7
    ]

    assert sorted(promise_wait_ends_ms(evidence, after_ms, RULES)) == sorted(
        end_ms for end_ms in expected if end_ms > after_ms
    )


@given(contact_logs(), st.integers(0, 200 * 24))
def test_promises_change_unreachable_when_they_are_broken_and_when_they_are_old(
    evidence: ServicingEvidence, hours: int
) -> None:
    """The next of all those instants."""
    after_ms, policy = FROM_MS + hours * HOUR_MS, RULES.policy.signals.unreachable
    ends_ms = [
        end_of_day_ms(contact.promise_day + policy.promise_grace_days, RULES)
        for contact in evidence.contacts
        if contact.is_promise
        and contact.promise_day is not None
        and contact.promise_day >= RULES.calendar.day_of(contact.time_ms)
    ]
    changes_ms = [*ends_ms, *(end_ms + policy.promise_window_days * DAY_MS for end_ms in ends_ms)]

    assert unreachable.next_deadline_ms(evidence, after_ms, RULES) == min(
        (change_ms for change_ms in changes_ms if change_ms > after_ms), default=None
    )
