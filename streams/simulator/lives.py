"""One borrower after the other, from birth in the book to the end of the observation."""

from __future__ import annotations

from collections.abc import Iterator

from models.judging import Outcome
from streams.simulator.credit import ask_bureau
from streams.simulator.dice import Dice
from streams.simulator.horizon import Horizon
from streams.simulator.income import earn
from streams.simulator.loans import borrow_and_repay
from streams.simulator.persons import draw_person
from streams.simulator.settings import SimulationSettings
from streams.simulator.spending import spend
from streams.simulator.story import Life, Story


def lives(settings: SimulationSettings) -> Iterator[Life]:
    """All borrowers of a book, in order of their number. Nothing of one depends on another."""
    horizon = Horizon(settings)
    for number in range(1, settings.borrowers + 1):
        yield live(number, settings, horizon)


def live(number: int, settings: SimulationSettings, horizon: Horizon) -> Life:
    """The life of borrower `number`.

    The outcome is `bad` when a loan reaches 90 days past due within the observed time, dated to the local midnight at
    which it does; else `good`, observed until the end.
    """
    dice = Dice(settings.seed, number)
    person = draw_person(number, settings, horizon, dice)
    story = Story(person.borrower_id, horizon, dice)
    story.account_linked(horizon.begin_ms)
    earn(person, story)
    bad_ms = borrow_and_repay(person, settings.platform_id, story)
    spend(person, story)
    ask_bureau(person, settings.platform_id, story)
    lines = list(story.lines(person.savings_minor, settings.late_share, settings.late_days_max))
    outcome = Outcome(
        borrower_id=person.borrower_id,
        outcome="good" if bad_ms is None else "bad",
        time_ms=horizon.end_ms if bad_ms is None else bad_ms,
    )
    return Life(person.borrower_id, lines, outcome, sorted(story.truths, key=lambda t: (t.from_ms, t.signal)))
