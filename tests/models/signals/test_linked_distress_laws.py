"""The law of `linked_distress`: once all input is consumed, the same alerts are open, whatever came first.

Partitions and interleavings change when something is heard, and so the way there; not where it ends. And to the alerts of
the other signals they change nothing at all.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from models.calendars import DAY_MS
from models.events import BorrowerErased, BorrowerEvent, BorrowerLinked, BorrowerUnlinked, EventVoided
from models.links import LinkedState
from tests.support.equality import by_borrower
from tests.support.events import at, event_id, loan, paid, voided
from tests.support.partitions import Partitions
from tests.support.servicing import hold, linked, release, unlinked

BORROWERS = ("a", "b", "c", "d", "e")
UNTIL = "2025-08-31"
OVERRIDE = (
    '[signals.linked_distress]\nthreshold = { guarantor = "watch", owner = "warning" }\nsettle_days = 5'
)
_RELATIONS = ("guarantor", "owner", "spouse")


@st.composite
def lives(draw: st.DrawFn) -> list[BorrowerEvent]:
    """Five borrowers with a loan each, paid late or never, and links that come and go among them; in order of time."""
    events: list[BorrowerEvent] = []
    for borrower in BORROWERS:
        dues = [("2025-02-10", 100_000), ("2025-03-10", 100_000)]
        events.append(loan("2025-01-01", dues, borrower=borrower))
        for day in draw(st.lists(st.integers(20, 150), max_size=2, unique=True)):
            at_ms = at("2025-01-01") + day * DAY_MS
            events.append(paid("2025-01-01", 100_000, borrower=borrower, event_time_ms=at_ms))
        if draw(st.booleans()):
            since = draw(st.integers(30, 80))
            at_ms = at("2025-01-01") + since * DAY_MS
            events.append(hold("2025-01-01", borrower=borrower, event_time_ms=at_ms))
            events.append(release("2025-01-01", borrower=borrower, event_time_ms=at_ms + 9 * DAY_MS))
    for _ in range(draw(st.integers(1, 7))):
        events.append(draw(_link_events(events)))
    if draw(st.integers(0, 4)) == 0:
        gone = draw(st.sampled_from(BORROWERS))
        events.append(BorrowerErased(event_id=event_id(), borrower_id=gone, event_time_ms=at("2025-06-20")))
    return sorted(events, key=lambda event: event.event_time_ms)


@st.composite
def _link_events(draw: st.DrawFn, former: list[BorrowerEvent]) -> BorrowerEvent:
    when: Any = {"event_time_ms": at("2025-01-01") + draw(st.integers(1, 160)) * DAY_MS + len(former)}
    links = [event for event in former if isinstance(event, BorrowerLinked)]
    what = draw(st.sampled_from(("link", "link", "end", "void"))) if links else "link"
    if what == "link":
        own, other = draw(st.permutations(BORROWERS))[:2]
        return linked("2025-01-01", other, draw(st.sampled_from(_RELATIONS)), borrower=own, **when)
    link = draw(st.sampled_from(links))
    if what == "end":
        return unlinked(
            "2025-01-01", link.linked_borrower_id, link.relation, borrower=link.borrower_id, **when
        )
    later = {"event_time_ms": max(when["event_time_ms"], link.event_time_ms + 1)}
    return voided("2025-01-01", link, **later)


def at_rest(world: Partitions) -> Partitions:
    """All that there is has been told."""
    world.settle()
    world.advance(UNTIL)
    world.settle()
    return world


@settings(deadline=None, max_examples=40)
@given(lives(), st.sampled_from((1, 4, 8)), st.data())
def test_the_same_episodes_are_open_at_rest(
    events: list[BorrowerEvent], count: int, data: st.DataObject
) -> None:
    """Whether everything is told at once, or partitions run ahead of each other and restart on the way."""
    orderly = Partitions(1, OVERRIDE)
    orderly.run(events)
    expected = at_rest(orderly)
    world = Partitions(count, OVERRIDE)
    queues = [
        [event for event in events if world.home_of(event.borrower_id) == number] for number in range(count)
    ]
    while any(queues):
        number = data.draw(st.sampled_from([number for number, queue in enumerate(queues) if queue]))
        world.process(queues[number].pop(0))
        for _ in range(data.draw(st.integers(0, 3))):
            world.deliver(data.draw(st.integers(0, count - 1)))
        if data.draw(st.integers(0, 5)) == 0:
            world.restart(data.draw(st.integers(0, count - 1)))
    at_rest(world)

    assert world.open_episodes() == expected.open_episodes()


@settings(deadline=None, max_examples=40)
@given(lives())
def test_links_change_no_other_alert(events: list[BorrowerEvent]) -> None:
    """The other signals say what they would have said without any link, to the last number."""
    with_links, without = Partitions(2, OVERRIDE), Partitions(2, OVERRIDE)
    with_links.run(events)
    without.run([event for event in events if not isinstance(event, _ABOUT_LINKS)])
    at_rest(with_links)
    at_rest(without)

    own = [alert for alert in with_links.alerts if alert.signal != "linked_distress"]
    assert by_borrower(own) == by_borrower(without.alerts)


_ABOUT_LINKS = (BorrowerLinked, BorrowerUnlinked, EventVoided)


@settings(deadline=None, max_examples=40)
@given(lives(), st.data())
def test_a_message_told_again_changes_nothing(events: list[BorrowerEvent], data: st.DataObject) -> None:
    """A state that comes twice, or once more much later, neither opens nor ends anything."""
    world = Partitions(4, OVERRIDE)
    world.run(events)
    at_rest(world)
    before = world.open_episodes()
    states = [told for told in world.sent if isinstance(told.message, LinkedState)]
    for told in data.draw(st.lists(st.sampled_from(states), max_size=5)) if states else []:
        world.waiting[world.home_of(told.receiver)].append(told)
    world.settle()

    assert world.open_episodes() == before
