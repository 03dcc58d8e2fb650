"""The engine observes borrowers and hands out what became of them: when, of whom, and that nothing else makes a difference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import example as at_least
from hypothesis import given, settings
from hypothesis import strategies as st

from models.borrower import decode_borrower, encode_borrower
from models.calendars import DAY_MS, HOUR_MS
from models.engine import RiskEngine
from models.events import (
    REPAYMENTS,
    SERVICING,
    TOPICS,
    BorrowerErased,
    BorrowerEvent,
    ClosingReason,
    Event,
    EventVoided,
    Heartbeat,
)
from models.limits import LOANS_MAX
from models.risk.examples import Example, order_of
from models.risk.labels import is_observed_at
from models.risk.observation import observe
from models.risk.pending import PENDING_OBSERVATIONS_MAX
from models.risk.scorecard import expert_prior
from tests.support.equality import comparable
from tests.support.events import (
    alive,
    at,
    bounced,
    end_of,
    ended,
    engine,
    event_id,
    feed_of,
    in_order,
    loan,
    local,
    paid,
    rescheduled,
    rules,
    voided,
)
from tests.support.lives import lives
from tests.support.logs import logs, logs_in_order
from tests.support.restarting import go_on
from tests.support.servicing import contact, hold, release

RULES = rules()
OBSERVED = "2025-03-01"
MATURED = "2025-04-30"
"""Sixty days later."""
NOT_OBSERVING = "[model]\nobserves = false"
UNTIL = "2025-11-30"


def observed_on(day: str) -> str:
    """The id of a borrower whose day it is."""
    names = (f"b-{number}" for number in count())
    return next(name for name in names if is_observed_at(name, at(day, "00:00"), RULES))


SOMEBODY = observed_on(OBSERVED)


def feed(risk_engine: RiskEngine, events: Iterable[Event], first_offset: int = 0) -> None:
    """Let an engine take events as they stand."""
    for offset, event in enumerate(events, start=first_offset):
        topic = REPAYMENTS if isinstance(event, EventVoided) else feed_of(event)
        risk_engine.process(event, topic, offset)


def owing(due: str, **fields: Any) -> BorrowerEvent:
    """A loan of long ago with one instalment."""
    return loan("2024-12-01", [(due, 100_000)], borrower=SOMEBODY, **fields)


def examples_of(events: Iterable[Event], until: str = UNTIL, override: str = "") -> list[Example]:
    """What matures of events in order, up to the end of a day."""
    risk_engine = engine(override)
    feed(risk_engine, in_order(events))
    risk_engine.advance_together(end_of(until))
    return risk_engine.take_examples()


def became(*events: Event) -> tuple[str, str, str]:
    """Outcome, reason and instant of decision of the observation of 1 March, of a borrower with these events."""
    (found,) = (example for example in examples_of(events) if example.observed_ms == at(OBSERVED, "00:00"))
    return found.outcome, found.reason, local(found.decided_ms)


def days_of(examples: Iterable[Example]) -> list[str]:
    """When they were observed."""
    return [local(example.observed_ms)[:10] for example in examples]


# ---- what became of it ---------------------------------------------------------------------------------------------


def test_who_pays_is_good_and_matures_after_sixty_days() -> None:
    """Not a millisecond before the watermark of repayments has passed the midnight; other feeds do not count."""
    risk_engine = engine()
    feed(risk_engine, [owing("2025-12-01")])
    matures_ms = at(MATURED, "00:00")
    risk_engine.advance_together(dict.fromkeys(range(len(TOPICS)), matures_ms - 1))
    before = [example.observed_ms for example in risk_engine.take_examples()]
    risk_engine.advance_together({clock: matures_ms for clock in range(len(TOPICS)) if clock != REPAYMENTS})
    beside = risk_engine.take_examples()
    risk_engine.advance(REPAYMENTS, matures_ms)
    (found,) = risk_engine.take_examples()

    assert at(OBSERVED, "00:00") not in before
    assert beside == []
    assert (found.outcome, found.reason) == ("good", "paid_as_agreed")
    assert (found.observed_ms, found.matured_ms) == (at(OBSERVED, "00:00"), matures_ms)


def test_who_reaches_the_target_is_bad_since_then_and_matures_with_the_others() -> None:
    """It is known weeks before; learnt from as soon as it is known, the newest examples would nearly all be bad."""
    found = became(owing("2025-03-05"))
    assert found == ("bad", "days_late", "2025-04-04 00:00")
    early = examples_of([owing("2025-03-05")], until="2025-04-28")
    assert at(OBSERVED, "00:00") not in [example.observed_ms for example in early]


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("settled", ("good", "paid_as_agreed", "2025-04-30 00:00")),
        ("cancelled", ("good", "paid_as_agreed", "2025-04-30 00:00")),
        ("compensated", ("bad", "compensated", "2025-03-20 12:00")),
        ("written_off", ("bad", "written_off", "2025-03-20 12:00")),
        ("sold", ("bad", "sold", "2025-03-20 12:00")),
        ("deceased", ("censored", "deceased", "2025-03-20 12:00")),
        ("refinanced", ("censored", "refinanced", "2025-03-20 12:00")),
        ("other", ("censored", "closed", "2025-03-20 12:00")),
    ],
)
def test_the_end_of_the_loan_decides(reason: ClosingReason, outcome: tuple[str, str, str]) -> None:
    """And nobody observes the borrower again, whose pending observations mature all the same."""
    events = [owing("2025-06-01"), ended("2025-03-20", reason, borrower=SOMEBODY)]
    assert became(*events) == outcome
    assert days_of(examples_of(events)) == ["2024-12-31", "2025-01-30", "2025-03-01"]


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (paid("2025-03-20", 100_000, payer="guarantor", borrower=SOMEBODY), ("bad", "compensated")),
        (rescheduled("2025-03-20", [("2025-09-10", 100_000)], borrower=SOMEBODY), ("bad", "restructured")),
        (hold("2025-03-20", "dispute", borrower=SOMEBODY), ("censored", "disputed")),
        (paid("2025-03-20", 100_000, borrower=SOMEBODY), ("good", "paid_as_agreed")),
    ],
)
def test_what_comes_while_past_due_decides(event: Event, outcome: tuple[str, str]) -> None:
    """Paid by others, put off or disputed."""
    assert became(owing("2025-03-10"), event)[:2] == outcome


def test_what_is_learnt_by_maturity_counts_and_nothing_later() -> None:
    """A payment that bounced was none, and an event that never happened has no part in it."""
    payment = paid("2025-03-06", 100_000, borrower=SOMEBODY)
    bounce = bounced("2025-04-20", payment)
    too_late = bounced("2025-05-02", payment)
    assert became(owing("2025-03-05"), payment)[0] == "good"
    assert became(owing("2025-03-05"), payment, bounce)[0] == "bad"
    assert became(owing("2025-03-05"), payment, too_late)[0] == "good"
    assert became(owing("2025-03-05"), payment, voided("2025-04-20", payment))[0] == "bad"


def test_contacts_between_are_told_and_no_borrower_is_named() -> None:
    """Beside the features, which are those of the observation; the borrower is a hash."""
    events = [
        owing("2025-03-05"),
        contact("2025-02-20", borrower=SOMEBODY),
        contact("2025-03-09", borrower=SOMEBODY),
        contact("2025-03-11", borrower=SOMEBODY),
    ]
    (found,) = (one for one in examples_of(events) if one.observed_ms == at(OBSERVED, "00:00"))
    assert found.contacts == 2
    assert found.features["unreached_attempts"] == 1
    assert SOMEBODY not in msgspec.json.encode(found).decode()
    assert SOMEBODY not in encode_example_fields(found)


def encode_example_fields(found: Example) -> list[object]:
    """Every value of an example."""
    return list(msgspec.structs.asdict(found).values())


# ---- whom, and when --------------------------------------------------------------------------------------------------


def test_a_borrower_is_observed_every_thirty_days_while_a_loan_is_open() -> None:
    """From the first day after the opening to the last before the end, and again when another loan is opened."""
    events = [
        owing("2025-12-01"),
        ended("2025-03-15", borrower=SOMEBODY),
        loan("2025-07-01", [("2025-12-20", 100_000)], borrower=SOMEBODY, loan_id="l-2"),
    ]
    assert days_of(examples_of(events)) == [
        "2024-12-31",
        "2025-01-30",
        "2025-03-01",
        "2025-07-29",
        "2025-08-28",
        "2025-09-27",
    ]


def test_nobody_is_observed_at_the_target_nor_in_a_dispute() -> None:
    """Afterwards again."""
    events = [
        owing("2025-01-29"),
        paid("2025-03-20", 100_000, borrower=SOMEBODY),
        hold("2025-04-20", "dispute", borrower=SOMEBODY),
        release("2025-05-20", borrower=SOMEBODY),
    ]
    assert days_of(examples_of(events, until="2025-08-10")) == [
        "2024-12-31",
        "2025-01-30",
        "2025-03-31",
        "2025-05-30",
    ]


def test_an_end_that_was_none_has_the_borrower_observed_again() -> None:
    """The void of an end opens the loan, and with it the observing."""
    end = ended("2025-03-15", borrower=SOMEBODY)
    assert days_of(examples_of([owing("2025-12-01"), end, voided("2025-07-20", end)])) == [
        "2024-12-31",
        "2025-01-30",
        "2025-03-01",
        "2025-07-29",
        "2025-08-28",
        "2025-09-27",
    ]


def test_who_has_been_silent_for_long_is_observed_no_more_until_something_falls_due() -> None:
    """A book's dates may be absurd: decades are passed without a look, and the next due date is found."""
    risk_engine = engine()
    feed(risk_engine, [owing("2095-06-01")])
    risk_engine.advance_together(end_of("2093-12-31"))
    silent = days_of(risk_engine.take_examples())
    risk_engine.advance_together(end_of("2095-08-31"))
    near = days_of(risk_engine.take_examples())
    risk_engine.advance_together(end_of("9990-12-31"))

    assert silent[0] == "2024-12-31"
    assert silent[-1] == "2025-12-26"
    assert near[0] > "2094-04-27"
    assert len(risk_engine.take_examples()) < 20
    assert risk_engine.earliest_deadline_ms > at("9990-12-31")


def test_a_payment_wakes_who_was_forgotten() -> None:
    """At the very next day of its own."""
    risk_engine = engine()
    feed(risk_engine, [owing("2095-06-01"), alive("2030-01-01"), paid("2030-01-02", 10, borrower=SOMEBODY)])
    risk_engine.advance_together(end_of("2030-05-31"))
    days = days_of(risk_engine.take_examples())

    assert min(day for day in days if day > "2029") < "2030-02-02"


def test_who_is_erased_leaves_no_observation_behind() -> None:
    """What was pending is gone; an example that had matured before knows no more than a hash."""
    erased = BorrowerErased(event_id=event_id(), borrower_id=SOMEBODY, event_time_ms=at("2025-03-20"))
    risk_engine = engine()
    feed(risk_engine, in_order([owing("2025-12-01"), alive("2025-03-02"), erased]))
    assert risk_engine.borrower(SOMEBODY) is None
    assert days_of(risk_engine.take_examples()) == ["2024-12-31"]
    risk_engine.advance_together(end_of(UNTIL))
    assert risk_engine.take_examples() == []


def test_the_policy_switches_observing_off() -> None:
    """Then there is neither an observation nor a deadline for one."""
    risk_engine = engine(NOT_OBSERVING)
    feed(risk_engine, [owing("2095-12-01")])
    borrower = risk_engine.borrower(SOMEBODY)
    assert borrower is not None
    assert borrower.observation_due_ms > at("9999-01-01")
    assert examples_of([owing("2025-12-01")], override=NOT_OBSERVING) == []


def test_a_policy_that_observes_reaches_those_of_whom_nothing_comes() -> None:
    """Within a day everybody is asked; one that observes no more lets the pending ones mature."""
    risk_engine = engine(NOT_OBSERVING)
    feed(risk_engine, in_order([owing("2026-12-01"), alive("2025-01-10")]))
    risk_engine.adopt(1, rules(), at("2025-02-01"))
    risk_engine.adopt(2, rules(NOT_OBSERVING), at("2025-04-10"))
    risk_engine.advance_together(end_of(UNTIL))
    assert days_of(risk_engine.take_examples()) == ["2025-03-01", "2025-03-31"]


def test_the_policy_at_the_observation_says_what_is_foretold() -> None:
    """Its target and its horizon hold to the end, whatever comes into force meanwhile."""
    risk_engine = engine("[risk]\ntarget_days_late = 10")
    feed(risk_engine, [owing("2025-03-10"), alive("2025-01-10")])
    risk_engine.adopt(1, rules("[risk]\nhorizon_days = 30"), at("2025-03-05"))
    feed(risk_engine, [paid("2025-03-25", 100_000, borrower=SOMEBODY)])
    risk_engine.advance_together(end_of(UNTIL))
    found = {local(one.observed_ms)[:10]: one for one in risk_engine.take_examples()}

    assert (found["2025-03-01"].outcome, local(found["2025-03-01"].matured_ms)[:10]) == ("bad", "2025-04-30")
    assert local(found["2025-03-31"].matured_ms)[:10] == "2025-04-30"


# ---- limits ----------------------------------------------------------------------------------------------------------


def test_only_so_many_observations_wait_and_the_rest_are_counted() -> None:
    """With a horizon of two years the thirteenth is not made until the first has matured."""
    risk_engine = engine("[risk]\nhorizon_days = 720")
    feed(risk_engine, [owing("2026-12-01")])
    risk_engine.advance_together(end_of("2026-03-01"))
    borrower = risk_engine.borrower(SOMEBODY)
    assert borrower is not None
    assert len(borrower.observations) == PENDING_OBSERVATIONS_MAX
    assert risk_engine.counts["observations.too-many-pending"] == 3
    risk_engine.advance_together(end_of("2026-12-25"))
    assert len(risk_engine.take_examples()) == 1


def test_a_loan_that_makes_room_for_others_leaves_what_it_decided() -> None:
    """It was written off, and sixty-four others were opened before the observation matures."""
    sold = [owing("2025-12-01"), ended("2025-03-02", "written_off", borrower=SOMEBODY)]
    others = [
        loan(
            "2025-03-03",
            [("2025-12-01", 1_000)],
            borrower=SOMEBODY,
            loan_id=f"l-{number}",
            event_time_ms=at("2025-03-03") + number * HOUR_MS,
        )
        for number in range(2, LOANS_MAX + 2)
    ]
    risk_engine = engine()
    feed(risk_engine, in_order([*sold, *others]))
    borrower = risk_engine.borrower(SOMEBODY)
    assert borrower is not None
    assert "l-1" not in borrower.loans
    again = decode_borrower(SOMEBODY, encode_borrower(borrower))
    assert again.observations == borrower.observations

    assert became(*sold, *others) == became(*sold) == ("bad", "written_off", "2025-03-02 12:00")


# ---- laws ------------------------------------------------------------------------------------------------------------


def finish(risk_engine: RiskEngine) -> list[Example]:
    """Pass the end of the world on every feed, and take what has matured."""
    risk_engine.advance_together(end_of(UNTIL))
    return risk_engine.take_examples()


def with_beats(events: Sequence[Event]) -> list[Event]:
    """The same with a heartbeat of repayments every week: whoever is silent for months is observed on what is left of them."""
    beats: list[Event] = [Heartbeat(event_time_ms=at("2025-01-01") + week * 7 * DAY_MS) for week in range(40)]
    return sorted([*events, *beats], key=lambda event: event.event_time_ms)


def all_of(events: Sequence[Event], override: str = "") -> list[Example]:
    """What matures of a log in one go."""
    risk_engine = engine(override)
    feed(risk_engine, events)
    return finish(risk_engine)


def by_order(examples: Iterable[Example]) -> list[Example]:
    """As they are merged."""
    return sorted(examples, key=order_of)


@settings(deadline=None, max_examples=50)
@given(logs(), st.data())
def test_batches_and_restarts_change_no_example(events: list[BorrowerEvent], data: st.DataObject) -> None:
    """Taken at any points, and gone on with from the changelog: the same examples in the same order, to the last bit."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
    changelog: dict[str, bytes | None] = {}
    found: list[Example] = []
    risk_engine = engine()
    for begin, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        feed(risk_engine, events[begin:end], begin)
        output = risk_engine.take_output(detected_at_ms=0)
        found += output.examples
        if data.draw(st.booleans()):
            changelog.update(output.changed)
            risk_engine = go_on(risk_engine, changelog, engine())
        else:
            changelog.update(output.changed)
    found += finish(risk_engine)

    assert list(map(msgspec.json.encode, all_of(events))) == list(map(msgspec.json.encode, found))


@settings(deadline=None, max_examples=50)
@given(logs(), st.data())
def test_a_duplicate_changes_no_example(events: list[BorrowerEvent], data: st.DataObject) -> None:
    """Delivered again at any later place."""
    repeated = list(events)
    for _ in range(data.draw(st.integers(1, 5))):
        if repeated:
            first = data.draw(st.integers(0, len(repeated) - 1))
            repeated.insert(data.draw(st.integers(first + 1, len(repeated))), repeated[first])

    assert all_of(events) == all_of(repeated)


@settings(deadline=None, max_examples=60)
@given(logs_in_order())
def test_in_order_other_borrowers_change_no_example(events: list[BorrowerEvent]) -> None:
    """What each borrower gives alone, merged by the order of examples, is what all give together: so over any partitions."""
    alone: list[Example] = []
    for borrower_id in {event.borrower_id for event in events}:
        alone += all_of([event for event in events if event.borrower_id == borrower_id])

    assert by_order(alone) == by_order(all_of(events))


@at_least(
    events=[
        loan("2025-01-01", [("2025-08-01", 100_000)], borrower="b-0"),
        contact("2025-05-09", time="23:50", borrower="b-0"),
        paid("2025-05-10", 20_000, time="00:10", borrower="b-0"),
    ],
    late_minutes=[0, 59, 0],
)
@settings(deadline=None, max_examples=100)
@given(lives(), st.lists(st.integers(0, 59), min_size=1, max_size=7))
def test_events_late_within_what_is_allowed_change_no_example(
    events: list[BorrowerEvent], late_minutes: list[int]
) -> None:
    """Whatever comes up to an hour late, past what happened meanwhile, on whatever feed."""
    minute_ms = HOUR_MS // 60
    delivered = sorted(
        enumerate(with_beats(events)),
        key=lambda place: (
            place[1].event_time_ms + late_minutes[place[0] % len(late_minutes)] * minute_ms,
            place[0],
        ),
    )

    assert all_of(with_beats(events)) == all_of([event for _, event in delivered])


@settings(deadline=None, max_examples=60)
@given(lives(), st.integers(0, 240))
def test_what_happens_later_changes_no_example(events: list[BorrowerEvent], days: int) -> None:
    """What had matured by an instant is the same whether anything comes after it or not."""
    until_ms = at("2025-01-01", "00:00") + days * DAY_MS
    risk_engine = engine()
    feed(risk_engine, [event for event in with_beats(events) if event.event_time_ms < until_ms])
    risk_engine.advance_together(dict.fromkeys(range(len(TOPICS)), until_ms))
    known = risk_engine.take_examples()

    assert known == [example for example in all_of(with_beats(events)) if example.matured_ms <= until_ms]


@settings(deadline=None, max_examples=40)
@given(lives())
def test_features_are_those_of_who_looks_at_the_midnight(events: list[BorrowerEvent]) -> None:
    """What the engine froze is what is observed by itself, on the events before the midnight alone."""
    for example in all_of(with_beats(events)):
        risk_engine = engine()
        feed(risk_engine, [event for event in events if event.event_time_ms < example.observed_ms])
        borrower = risk_engine.borrower("b-0")
        assert borrower is not None
        features = observe(borrower, example.observed_ms, RULES, deadline=True)
        assert example.features == features._asdict()
        card = expert_prior()
        assert example.probability == card.score(card.pick(features))


@settings(deadline=None, max_examples=50)
@given(logs())
def test_observing_changes_no_alert(events: list[BorrowerEvent]) -> None:
    """No judgement waits for it and no deadline is moved by it, whatever comes late."""
    told = []
    for override in ("", NOT_OBSERVING):
        risk_engine = engine(override)
        feed(risk_engine, events)
        risk_engine.advance_together(end_of(UNTIL))
        alerts = list(map(comparable, risk_engine.take_alerts(0)))
        told.append([{**alert, "policy_version": ""} for alert in alerts])

    assert told[0] == told[1]


def test_who_is_watched_alone_is_not_observed() -> None:
    """Servicing alone, without a loan, has nobody looked at."""
    risk_engine = engine()
    risk_engine.process(contact("2025-01-01", borrower=SOMEBODY), SERVICING, 0)
    assert finish(risk_engine) == []
