"""The queue of deadlines: each comes once, when it stands, in order of time, whatever it was before."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from models.borrower import CLOCKS, HIGHEST, Borrower, new_borrower
from models.calendars import DAY_MS, HOUR_MS
from models.deadlines import NEVER, DeadlineQueue
from models.events import REPAYMENTS
from models.levels import Announcer
from models.lifecycle import Lifecycle
from models.publication import Publisher
from models.reviews import Reviews
from models.rulebook import Rulebook
from models.schedule import Schedule
from tests.support.events import rules

IDS: Final = ("A", "B", "C")
HOURS: Final = st.integers(1, 100).map(lambda hours: hours * HOUR_MS)
MOVES: Final = st.tuples(st.sampled_from(IDS), st.one_of(st.integers(1, 40), HOURS, st.just(NEVER)))
"""A borrower's deadline is another from now on: so many milliseconds away, up to some days, or none."""
PASSES: Final = st.one_of(st.integers(1, 12), HOURS)
"""The watermark goes on by so much."""


def schedule_of(borrowers: dict[str, Borrower]) -> Schedule:
    """The schedule of some borrowers, who have no signal to ask."""
    book = Rulebook(rules())
    lifecycle = Lifecycle(
        book, Publisher(book, []), Announcer(book, []), lambda _, borrower, __: borrower.episodes
    )
    return Schedule(book, lifecycle, Reviews(CLOCKS, REPAYMENTS), borrowers, [-1] * CLOCKS)


@given(steps=st.lists(st.one_of(MOVES, PASSES), max_size=60))
def test_every_deadline_that_stands_comes_once_and_in_order(steps: list[tuple[str, int] | int]) -> None:
    """However deadlines moved, nearer or away: those passed are the ones that a plain table says are."""
    borrowers = {borrower_id: new_borrower(0) for borrower_id in IDS}
    schedule, table, now_ms = schedule_of(borrowers), dict.fromkeys(IDS, NEVER), 0
    for step in steps:
        if isinstance(step, tuple):
            borrower_id, away_ms = step
            due_ms = NEVER if away_ms == NEVER else now_ms + away_ms
            table[borrower_id] = due_ms
            schedule.renew(borrower_id, borrowers[borrower_id], HIGHEST, (), due_ms)
            continue
        now_ms += step
        expected = sorted((due_ms, borrower_id) for borrower_id, due_ms in table.items() if due_ms <= now_ms)
        assert expected == passed(schedule, borrowers, now_ms)
        table.update(dict.fromkeys([borrower_id for _, borrower_id in expected], NEVER))
        assert schedule.queue.earliest_ms <= min(table.values())


def passed(schedule: Schedule, borrowers: dict[str, Borrower], now_ms: int) -> list[tuple[int, str]]:
    """The deadlines up to an instant that stand, as the engine takes them; none follows."""
    found: list[tuple[int, str]] = []
    while (earliest := schedule.queue.pop_due({HIGHEST: now_ms})) is not None:
        due_ms, clock, borrower_id = earliest
        borrower = borrowers[borrower_id]
        if borrower.deadlines_ms[clock] == due_ms:
            found.append((due_ms, borrower_id))
            schedule.renew(borrower_id, borrower, clock, (), NEVER)
        schedule.await_next(clock, due_ms, borrower_id, borrower)
    schedule.queue.settle()
    return found


def test_of_one_instant_the_lower_clock_comes_first() -> None:
    """Whatever the order in which they were queued, or asked for; one queued twice comes once."""
    queue = DeadlineQueue(CLOCKS, lambda _, __: 7)
    for clock, borrower_id in ((2, "A"), (1, "B"), (1, "A"), (2, "A"), (1, "A")):
        queue.push(clock, 7, borrower_id)
    queue.push_exactly(0, 6, "C")

    targets = {2: 7, 1: 7}
    taken = [queue.pop_due(targets) for _ in range(4)]
    queue.settle()

    assert taken == [(7, 1, "A"), (7, 1, "B"), (7, 2, "A"), None]
    assert queue.earliest_ms == 6


def test_a_day_is_put_in_order_by_the_deadlines_that_stand_when_it_comes() -> None:
    """Who has moved on within the day comes at the new instant, who has moved to another day on that one, and who is gone never."""
    standing = {"A": 5, "B": 3, "C": DAY_MS + 1, "D": NEVER}
    queue = DeadlineQueue(CLOCKS, lambda _, borrower_id: standing[borrower_id])
    for due_ms, borrower_id in enumerate(standing):
        queue.push(HIGHEST, due_ms, borrower_id)
    queue.push(HIGHEST, 2, "A")
    queue.push_exactly(HIGHEST, 4, "no borrower's")

    taken = [queue.pop_until([HIGHEST], 2 * DAY_MS) for _ in range(5)]

    assert taken == [
        (3, HIGHEST, "B"),
        (4, HIGHEST, "no borrower's"),
        (5, HIGHEST, "A"),
        (DAY_MS + 1, HIGHEST, "C"),
        None,
    ]


def test_what_is_due_later_is_not_asked_for_before_its_day() -> None:
    """A deadline of another day costs nothing until then, whatever is taken meanwhile."""
    asked: list[str] = []

    def standing(_: int, borrower_id: str) -> int:
        asked.append(borrower_id)
        return int(borrower_id)

    queue = DeadlineQueue(CLOCKS, standing)
    for due_ms in (3 * DAY_MS + 7, 7, DAY_MS):
        queue.push(HIGHEST, due_ms, str(due_ms))

    assert queue.pop_until([HIGHEST], 3 * DAY_MS - 1) == (7, HIGHEST, "7")
    assert queue.pop_until([HIGHEST], 3 * DAY_MS - 1) == (DAY_MS, HIGHEST, str(DAY_MS))
    assert queue.pop_until([HIGHEST], 3 * DAY_MS - 1) is None
    queue.settle()
    assert asked == ["7", str(DAY_MS)]
    assert queue.earliest_ms == 3 * DAY_MS


def test_replaced_deadlines_never_pile_up() -> None:
    """A deadline that comes nearer again and again, by days and within one, leaves a bounded number of entries."""
    borrowers = {borrower_id: new_borrower(0) for borrower_id in IDS}
    schedule, count = schedule_of(borrowers), 20_000
    for nearer in range(count):
        for borrower_id, borrower in borrowers.items():
            schedule.renew(borrower_id, borrower, HIGHEST, (), (count - nearer) * HOUR_MS)
        assert not schedule.queue.is_overgrown(HIGHEST, len(borrowers))
    assert passed(schedule, borrowers, HOUR_MS) == [(HOUR_MS, borrower_id) for borrower_id in IDS]
