"""One borrower after the other, from birth in the book to the end of the observation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from models.judging import Outcome
from streams.simulator.credit import ask_bureau, note_crowds
from streams.simulator.debts import note_burden, owe_elsewhere, report_debts
from streams.simulator.dice import Dice
from streams.simulator.flight import note_flight, take_money_away
from streams.simulator.foretold import note_foretold
from streams.simulator.hazards import draw_traits
from streams.simulator.horizon import Horizon
from streams.simulator.income import earn
from streams.simulator.links import Link, draw_link, infect, link_up
from streams.simulator.loan_use import note_misuse, use_loans
from streams.simulator.loans import Borrowing, borrow_and_repay
from streams.simulator.persons import Cause, Person, draw_person
from streams.simulator.relapses import note_relapses
from streams.simulator.servicing import collect
from streams.simulator.settings import SimulationSettings
from streams.simulator.shortage import note_shortages
from streams.simulator.sightings import Sightings
from streams.simulator.spending import spend
from streams.simulator.story import Life, Story


def lives(settings: SimulationSettings) -> Iterator[Life]:
    """All borrowers of a book, in order of their number. Nothing of one depends on those who come after."""
    horizon = Horizon(settings)
    for number in range(1, settings.borrowers + 1):
        yield live(number, settings, horizon)


def causes(settings: SimulationSettings) -> dict[str, Cause]:
    """What befalls each borrower of a book, by borrower id: `none` is a stable one."""
    horizon = Horizon(settings)
    people = (_who(number, settings, horizon)[0] for number in range(1, settings.borrowers + 1))
    return {person.borrower_id: person.cause for person in people}


def people_with_loans(settings: SimulationSettings) -> Iterator[tuple[Person, Borrowing]]:
    """Every borrower of a book, hidden traits included, with what became of the loans; for whoever may know it."""
    horizon = Horizon(settings)
    for number in range(1, settings.borrowers + 1):
        person, _, dice = _who(number, settings, horizon)
        story = Story(person.borrower_id, horizon, dice, partial(Dice, settings.seed, number))
        yield person, _go_through(person, settings.platform_id, story)


def live(number: int, settings: SimulationSettings, horizon: Horizon) -> Life:
    """The life of borrower `number`.

    The outcome is `bad` when a loan reaches 90 days past due within the observed time, dated to the local midnight at
    which it does; else `good`, observed until the end.
    """
    person, link, dice = _who(number, settings, horizon)
    story = Story(person.borrower_id, horizon, dice, partial(Dice, settings.seed, number))
    if link is not None:
        other = live(link.number, settings, horizon)
        link_up(link, other.borrower_id, other.truths, story)
    bad_ms = _go_through(person, settings.platform_id, story).bad_ms
    outage = None if person.traits is None else person.traits.outage
    late = (settings.late_share, settings.late_days_max)
    lines = list(story.lines(*late, settings.duplicate_share, outage))
    outcome = Outcome(
        borrower_id=person.borrower_id,
        outcome="good" if bad_ms is None else "bad",
        time_ms=horizon.end_ms if bad_ms is None else bad_ms,
    )
    truths = sorted(story.truths, key=lambda t: (t.from_ms, t.signal))
    return Life(person.borrower_id, lines, outcome, truths)


def _who(number: int, settings: SimulationSettings, horizon: Horizon) -> tuple[Person, Link | None, Dice]:
    """Borrower `number` with what the link to another one does, and the dice that go on rolling."""
    dice = Dice(settings.seed, number)
    person = _drawn(number, settings, horizon, dice)
    link = draw_link(number, settings, horizon)
    if link is None:
        return person, None, dice
    other = _drawn(link.number, settings, horizon, Dice(settings.seed, link.number))
    return infect(person, other, link, Dice(settings.seed, number, "infection")), link, dice


def _drawn(number: int, settings: SimulationSettings, horizon: Horizon, dice: Dice) -> Person:
    person = draw_person(number, settings, horizon, dice)
    return person if settings.version == 1 else draw_traits(person, settings, horizon)


def _go_through(person: Person, platform_id: str, story: Story) -> Borrowing:
    """Let everything happen, then settle the account, then tell what could be told of it; say what became of the loans."""
    story.account_linked(story.horizon.begin_ms)
    earn(person, story)
    borrowing = borrow_and_repay(person, platform_id, story)
    misuses = use_loans(person, borrowing, story)
    spend(person, story)
    sightings = Sightings()
    debts = ask_bureau(person, platform_id, story, sightings)
    debts += owe_elsewhere(person, story, sightings)
    report_debts(person, debts, story)
    collect(person, borrowing, story)
    transfers = take_money_away(person, borrowing, story)
    account = story.settle(person.savings_minor)
    note_crowds(person, story, sightings)
    note_burden(person, borrowing, debts, story)
    note_relapses(person, borrowing, story)
    note_foretold(person, borrowing, story)
    note_shortages(person, borrowing, account, story)
    note_misuse(person, misuses, story)
    note_flight(person, transfers, story)
    return borrowing
