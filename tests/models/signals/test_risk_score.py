"""`risk_score`: each threshold on both sides, when it is looked at, and what does not count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from math import inf, nextafter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import evidence
from models.alerts import Alert, Finding, Severity
from models.borrower import Borrower
from models.calendars import DAY_MS
from models.deadlines import NEVER
from models.engine import RiskEngine
from models.events import TOPICS, BorrowerEvent, CreditQuery, Event, Origin
from models.income_outlook import is_plain
from models.risk.features import UNKNOWN, Features, Kind
from models.risk.observation import observe
from models.risk.scorecard import Scorecard, broad_prior, expert_prior
from models.rules import Rules
from models.signal_table import RISK_SCORE
from models.signals.risk_score import (
    LOOK_DAYS,
    QUIET_DAYS,
    Look,
    _ceilings,
    _look_by,
    _most_by,
    _needed,
    _no_loss,
    _thresholds_reached,
    _told_loss,
    is_forgotten,
    is_in_reach,
    judge,
    next_deadline_ms,
    resolution,
    stands,
)
from tests.support.cards import cards, learnt_cards
from tests.support.events import (
    at,
    billed,
    end_of,
    ended,
    engine,
    feed_of,
    flow,
    loan,
    local,
    paid,
    query,
    rules,
    run,
    story,
)
from tests.support.lives import lives
from tests.support.logs import logs_in_order
from tests.support.servicing import contact

OPENED, DUE = "2025-01-02", "2025-04-10"
CROWD_DAY = "2025-03-03"
LOOK = "2025-03-04"
ALWAYS = "[signals.risk_score]\nbackground_min = 0.0\n"
NO_JUMP = "[signals.risk_score]\nrise = 1.0\n"


def later(day: str, days: int) -> str:
    """A date so many days after another."""
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def crowd(day: str = CROWD_DAY, institutions: int = 8, name: str = "i") -> list[BorrowerEvent]:
    """Applications to so many institutions, a minute apart."""
    return [query(day, f"{name}-{n}", event_time_ms=at(day, f"12:{n:02d}")) for n in range(institutions)]


def borrower_of(*events: Event) -> Borrower:
    """What is remembered of one borrower after events, with a loan of which an instalment falls due on 10 April."""
    risk_engine = engine()
    for offset, event in enumerate((loan(OPENED, [(DUE, 100_000), ("2025-09-10", 100_000)]), *events)):
        assert risk_engine.process(event, feed_of(event), offset) is None
    known = risk_engine.borrower("b-1")
    assert known is not None
    return known


def probability(borrower: Borrower, day: str, by: Rules | None = None) -> float:
    """What the card says at the midnight that begins a day."""
    by = by or rules()
    return weighed(observe(borrower, at(day, "00:00"), by, deadline=True), by)


def weighed(features: Features, by: Rules) -> float:
    """What the card says of features."""
    return by.card.score(by.card.pick(features))


def background_of(now: Features, by: Rules) -> float:
    """The same had nothing ever been late: of what might have been paid then, what weighs least, tried value by value."""
    if not now.worst_days_past_due:
        return weighed(now, by)
    never = now._replace(**NEVER_LATE)
    for name, end in MOST_PAID.items() if now.days_past_due else ():
        seen = getattr(now, name)
        if name == "days_since_payment":
            low, high = 0.0, end if seen == UNKNOWN else seen
        elif seen == UNKNOWN:
            continue
        else:
            low, high = seen, end
        edges = dict(zip(by.card.features, by.card.edges, strict=True)).get(name, ())
        tried = [low, high, *(edge for edge in edges if low <= edge <= high)]
        options = [never._replace(**{name: value}) for value in tried]
        never = min(options, key=lambda features: weighed(features, by))
    return weighed(never, by)


def found(
    borrower: Borrower, override: str = NO_JUMP, day: str = LOOK, opened: Severity | None = None
) -> Finding | None:
    """What the look that begins a day finds."""
    return judge(borrower, at(day, "00:00"), opened, rules(override))


def above(value: float) -> float:
    """The next number."""
    return nextafter(value, inf)


def tiers(medium: float, high: float, severe: float, **policy: float) -> str:
    """Tiers at exact probabilities, no jumps, and other keys of the signal."""
    keys = {"rise": 1.0, **policy}
    lines = "\n".join(f"{key} = {value!r}" for key, value in keys.items())
    return f"[signals.risk_score]\n{lines}\n[risk]\ntiers = {{ medium = {medium!r}, high = {high!r}, severe = {severe!r} }}"


CROWDED = borrower_of(*crowd())
"""Nothing past due, eight institutions at once: 25 %."""
P = probability(CROWDED, LOOK)
MISSED = borrower_of(*crowd("2025-04-05", 4))
"""Four institutions, then the instalment of 10 April is missed."""
PAST_DUE = later(DUE, 8)
FEARFUL = Scorecard(("unreached_attempts",), ((2.0,),), ((-3.0, 1.0),), 0.0)
"""A card that weighs nothing but attempts at the borrower that were in vain."""
NEVER_LATE = {
    "days_past_due": 0,
    "worst_days_past_due": 0,
    "overdue_share": 0,
    "missed_instalments": 0,
    "unreached_attempts": 0,
    "broken_promises": 0,
}
MOST_PAID = {"paid_months": 36_600.0, "statement_paid_share": 100.0, "days_since_payment": 180.0}
"""Features of what was paid, and the most that they can be."""


# ---- the tiers ---------------------------------------------------------------------------------------------------


def test_it_opens_at_the_tier_of_watch_and_not_below() -> None:
    """At the very probability it is found, a hair below it is not."""
    finding = found(CROWDED, tiers(0.01, P, 0.9))

    assert finding is not None
    assert finding.severity == Severity.WATCH
    assert found(CROWDED, tiers(0.01, above(P), 0.9)) is None


def test_it_rises_at_the_tier_of_warning() -> None:
    """Severe is a warning, a hair below it is watch."""
    at_tier, below = found(CROWDED, tiers(0.01, 0.1, P)), found(CROWDED, tiers(0.01, 0.1, above(P)))

    assert (at_tier and at_tier.severity, below and below.severity) == (Severity.WARNING, Severity.WATCH)


def test_an_open_alert_eases_below_a_part_of_where_it_rose() -> None:
    """With a ratio of a half, a warning stays down to half of its tier, and is watch below it."""
    kept = found(CROWDED, tiers(0.01, 0.1, 2 * P, ease_ratio=0.5), opened=Severity.WARNING)
    eased = found(CROWDED, tiers(0.01, 0.1, above(2 * P), ease_ratio=0.5), opened=Severity.WARNING)

    assert (kept and kept.severity, eased and eased.severity) == (Severity.WARNING, Severity.WATCH)


def test_an_open_alert_ends_below_a_part_of_where_it_opened() -> None:
    """Watch stays down to half of its tier; a severity that it does not have it does not keep."""
    kept = found(CROWDED, tiers(0.01, 2 * P, 0.9, ease_ratio=0.5), opened=Severity.WATCH)

    assert kept is not None
    assert kept.severity == Severity.WATCH
    assert kept.reasons[0].evidence["threshold"] == round(P, 4)
    assert found(CROWDED, tiers(0.01, above(2 * P), 0.9, ease_ratio=0.5), opened=Severity.WATCH) is None


# ---- jumps -------------------------------------------------------------------------------------------------------


def jumping(rise: float, days: int = 10, ease_ratio: float = 1.0) -> str:
    """No tier in reach; a jump is a rise by so much within so many days."""
    policy = f"rise = {rise!r}\nrise_days = {days}\nease_ratio = {ease_ratio!r}\n"
    return f"[signals.risk_score]\n{policy}[risk]\ntiers = {{ medium = 0.97, high = 0.98, severe = 0.99 }}"


def test_a_jump_opens_at_watch_at_its_very_size() -> None:
    """A rise by just as much as asked for is a jump, by a hair less is none."""
    risen = P - probability(CROWDED, later(LOOK, -10))
    finding = found(CROWDED, jumping(risen))

    assert finding is not None
    assert (finding.severity, finding.reasons[0].code) == (Severity.WATCH, "RS-JUMP")
    assert found(CROWDED, jumping(above(risen))) is None


def test_a_jump_from_next_to_nothing_opens_at_its_very_size_too() -> None:
    """Where the probability was too small to be seen in the difference."""
    card = expert_prior()
    place = card.features.index("new_institutions")
    sure = tuple(
        weight + 45.0 if weight == max(card.weights[place]) else weight for weight in card.weights[place]
    )
    weights = (*card.weights[:place], sure, *card.weights[place + 1 :])
    steep = msgspec.structs.replace(card, bias=card.bias - 45.0, weights=weights)
    most = probability(CROWDED, LOOK, rules().with_card(steep))

    assert judge(CROWDED, at(LOOK, "00:00"), None, rules(jumping(most)).with_card(steep)) is not None


def test_an_open_jump_lasts_down_to_a_part_of_its_size() -> None:
    """With a ratio of a half, half of the rise is enough to stay."""
    risen = P - probability(CROWDED, later(LOOK, -10))

    assert found(CROWDED, jumping(2 * risen, ease_ratio=0.5), opened=Severity.WATCH)
    assert found(CROWDED, jumping(above(2 * risen), ease_ratio=0.5), opened=Severity.WATCH) is None


@pytest.mark.parametrize(("days_later", "is_found"), [(9, True), (10, False)])
def test_a_jump_is_over_once_both_looks_are_after_it(days_later: int, *, is_found: bool) -> None:
    """Ten days are compared: the tenth look afterwards compares like with like."""
    assert (found(CROWDED, jumping(0.1), later(LOOK, days_later), Severity.WATCH) is not None) == is_found


def test_a_jump_within_a_tier_is_told_beside_the_tier() -> None:
    """Both reasons, the tier first."""
    finding = found(CROWDED, "")

    assert finding is not None
    assert [reason.code for reason in finding.reasons[:2]] == ["RS-TIER", "RS-JUMP"]


# ---- what does not count -----------------------------------------------------------------------------------------


def test_a_miss_counts_only_with_enough_of_a_background() -> None:
    """The probability had nothing ever been late must be as high as the policy asks, and no less."""
    by = rules()
    now = observe(MISSED, at(PAST_DUE, "00:00"), by, deadline=True)
    background = weighed(now._replace(**NEVER_LATE), by)

    assert now.days_past_due == 8
    assert found(MISSED, f"{NO_JUMP}background_min = {background!r}", PAST_DUE)
    assert found(MISSED, f"{NO_JUMP}background_min = {above(background)!r}", PAST_DUE) is None


def test_the_background_of_an_open_alert_may_ease_too() -> None:
    """By the same ratio as everything else."""
    by = rules()
    now = observe(MISSED, at(PAST_DUE, "00:00"), by, deadline=True)
    twice = 2 * weighed(now._replace(**NEVER_LATE), by)
    easing = f"{NO_JUMP}ease_ratio = 0.5\nbackground_min = "

    assert found(MISSED, f"{easing}{twice!r}", PAST_DUE, Severity.WATCH)
    assert found(MISSED, f"{easing}{above(twice)!r}", PAST_DUE, Severity.WATCH) is None


def test_a_miss_alone_is_left_to_missed_payment() -> None:
    """Who merely forgot an instalment is not told of, however the days go by; without the background they would be."""
    forgetful = borrower_of()
    days = [later(DUE, n) for n in range(1, 40)]

    assert all(found(forgetful, "", day) is None for day in days)
    assert any(found(forgetful, ALWAYS, day) for day in days)


@pytest.mark.parametrize(("days_past_due", "is_found"), [(29, True), (30, False)])
def test_who_is_at_the_target_is_foreseen_no_more(days_past_due: int, *, is_found: bool) -> None:
    """The day before a loan is 30 days past due is the last; an alert open then ends as passed."""
    day = later(DUE, days_past_due)
    finding = found(MISSED, ALWAYS + "rise = 1.0", day, Severity.WARNING)

    assert (finding is not None) == is_found
    assert resolution(MISSED, at(day, "00:00"), rules()) == (None if is_found else "passed")


def test_who_has_no_open_loan_cannot_be_late() -> None:
    """The crowd is the same; the loan has ended."""
    settled = borrower_of(paid("2025-02-01", 200_000), ended("2025-02-02"), *crowd())

    assert found(settled, "") is None
    assert found(settled, "", opened=Severity.WATCH) is None
    assert resolution(settled, at(LOOK, "00:00"), rules()) == "passed"


# ---- cards that weigh one thing ----------------------------------------------------------------------------------


def weighing(feature: str, edge: float) -> Scorecard:
    """A card for which nothing counts but whether a feature has come to so much."""
    return Scorecard((feature,), ((edge,),), ((-3.0, 1.0),), 0.0)


def found_by(card: Scorecard, borrower: Borrower, day: str = LOOK, override: str = NO_JUMP) -> bool:
    """Whether the look that begins a day finds anything by a card."""
    return judge(borrower, at(day, "00:00"), None, rules(override).with_card(card)) is not None


@pytest.mark.parametrize(("edge", "is_found"), [(0.9, True), (0.91, False)])
def test_what_is_used_of_a_limit_is_found(edge: float, *, is_found: bool) -> None:
    """Nine tenths of it are used, and nothing is past due."""
    card = loan(OPENED, [], loan_id="card", principal_minor=0, credit_limit_minor=100_000, product="card")
    bill = billed("2025-02-05", "2025-03-25", 90_000, 1, loan_id="card", balance_minor=90_000)

    assert found_by(weighing("utilisation", edge), borrower_of(card, bill)) == is_found


def test_what_is_left_of_a_limit_is_found_beside_income_that_is_not_lost() -> None:
    """By a card that fears who uses less than nearly all: the bounds hold whatever is used, little or much."""
    card = loan(OPENED, [], loan_id="card", principal_minor=0, credit_limit_minor=100_000, product="card")
    bill = billed("2025-02-05", "2025-03-25", 90_000, 1, loan_id="card", balance_minor=90_000)
    pays = [flow(f"2025-{month:02d}-20", 1_000_000) for month in (1, 2)]
    known = borrower_of(card, bill, *pays)

    by = rules(NO_JUMP).with_card(Scorecard(("utilisation",), ((0.95,),), ((1.0, -3.0),), 0.0))

    assert is_plain(known.income, at("2025-02-21"), by)
    assert judge(known, at(LOOK, "00:00"), None, by) is not None


@pytest.mark.parametrize(("days_later", "is_found"), [(3, False), (6, True)])
@pytest.mark.parametrize("also", [(), (loan("2025-02-20", [("2025-07-20", 100_000)], loan_id="l-2"),)])
def test_how_long_a_borrower_is_known_is_found_by_the_first_loan(
    also: tuple[BorrowerEvent, ...], days_later: int, *, is_found: bool
) -> None:
    """On the 66th day after it, whatever was opened since."""
    known = borrower_of(*also)

    assert found_by(weighing("relation_days", 66.0), known, later(LOOK, days_later)) == is_found


@pytest.mark.parametrize(("edge", "is_found"), [(15.0, True), (16.0, False)])
def test_how_late_a_loan_has_been_is_found_while_nothing_is_past_due(edge: float, *, is_found: bool) -> None:
    """Paid, but fifteen days late."""
    slow = borrower_of(
        loan(OPENED, [("2025-02-10", 50_000)], loan_id="l-2"), paid("2025-02-25", 50_000, loan_id="l-2")
    )

    assert found_by(weighing("worst_days_past_due", edge), slow, override=ALWAYS + "rise = 1.0") == is_found


@pytest.mark.parametrize(("institutions", "looks"), [(1, 0), (7, 0), (8, 1)])
def test_a_whole_look_is_taken_only_where_something_may_be_found(institutions: int, looks: int) -> None:
    """Seven institutions are enough of a background, but with nothing past due too little: that is told without a look."""
    crowded = borrower_of(*crowd(institutions=institutions))
    taken: list[int] = []

    def counted(*arguments: Any) -> Look:
        taken.append(1)
        return _look_by(*arguments)

    with pytest.MonkeyPatch.context() as counting:
        counting.setattr("models.signals.risk_score._look_by", counted)
        finding = found(crowded)
    assert (len(taken), finding is not None) == (looks, looks > 0)


# ---- when it looks -----------------------------------------------------------------------------------------------


def test_what_a_day_brings_is_looked_at_from_its_midnight_on() -> None:
    """Nothing is found on the day itself; the look shows the same until the next one."""
    on_the_day = judge(CROWDED, at(CROWD_DAY, "23:59"), None, rules())
    instants = [at(LOOK, "00:00"), at(LOOK, "11:11"), at(later(LOOK, 2), "23:59")]
    next_day = [judge(CROWDED, at_ms, None, rules()) for at_ms in instants]

    assert on_the_day is None
    assert next_day[0] is not None
    assert next_day == [next_day[0]] * 3


def test_what_happens_at_midnight_belongs_to_the_day_that_begins() -> None:
    """A crowd at the very midnight is looked at a day later."""
    at_midnight: list[Event] = [
        msgspec.structs.replace(event, event_time_ms=at(LOOK, "00:00")) for event in crowd()
    ]
    crowded = borrower_of(*at_midnight)

    assert found(crowded, "") is None
    assert found(crowded, "", opened=Severity.WATCH) is None
    assert found(crowded, "", later(LOOK, LOOK_DAYS))


def test_with_nothing_in_reach_the_next_look_is_when_an_instalment_is_missed() -> None:
    """Nobody looks daily at who has nothing against them."""
    quiet = borrower_of()

    assert local(next_deadline_ms(quiet, at("2025-01-20"), None, rules())) == "2025-04-12 00:00"


@settings(deadline=None)
@given(
    card=cards(),
    lost=st.none() | st.floats(0, 1),
    loans=st.integers(1, 4),
    worst_days=st.sampled_from([0, 1, 7, 29]),
    sightings=st.integers(0, 8),
    months=st.integers(0, 40),
    has_limit=st.booleans(),
)
def test_what_no_loss_can_find_no_part_of_a_loss_below_it_finds(
    card: Scorecard,
    lost: float | None,
    loans: int,
    worst_days: int,
    sightings: int,
    months: int,
    has_limit: bool,
) -> None:
    """Nobody tells what part of income is lost where the bound without a loss is out of reach already."""
    own, kinds = rules("[signals.risk_score]\nbackground_min = 0.05\n").with_card(card), frozenset[Kind]()
    part = None if lost is None else lost * _no_loss(own)
    used = inf if has_limit else UNKNOWN

    most = _most_by(_told_loss(part), months, loans, worst_days, sightings, kinds, own, has_limit=has_limit)
    enough_if_late, enough = (most_of >= needed for most_of, needed in zip(most, _needed(own), strict=True))
    found = enough_if_late, enough_if_late and enough
    bound = _thresholds_reached(loans, worst_days, sightings, used, _no_loss(own), kinds, own)
    assert not [name for name, by, most in zip(["late", "now"], found, bound, strict=True) if by > most]


def test_where_no_income_is_lost_is_where_income_drop_finds_nothing() -> None:
    """Just below the fraction from which on it warns."""
    watch = rules().policy.signals.income_drop.severity.watch
    assert watch * 0.999 < _no_loss(rules()) < watch


def test_in_reach_it_looks_every_third_day_and_daily_while_open() -> None:
    """The same days for everybody; an open alert is held daily to what opened it."""
    quiet = borrower_of()

    assert local(next_deadline_ms(CROWDED, at(CROWD_DAY, "13:00"), None, rules())) == f"{LOOK} 00:00"
    assert local(next_deadline_ms(quiet, at(LOOK), Severity.WATCH, rules())) == f"{later(LOOK, 1)} 00:00"
    assert local(next_deadline_ms(MISSED, at(PAST_DUE), None, rules())) == f"{later(PAST_DUE, 3)} 00:00"


def test_once_the_next_look_is_behind_a_due_date_none_is_announced_for_it() -> None:
    """Whether it will be missed changes nothing that is out of reach; another loan's later due date is waited for."""
    quiet = borrower_of()
    with_another = borrower_of(loan(OPENED, [(later(DUE, 5), 100_000)], loan_id="l-2"))
    by = rules("[signals.risk_score]\nbackground_min = 0.9")

    assert local(next_deadline_ms(quiet, at(later(DUE, -2)), None, by)) == f"{later(DUE, 2)} 00:00"
    assert next_deadline_ms(quiet, at(later(DUE, -1)), None, by) == NEVER
    assert local(next_deadline_ms(with_another, at(DUE), None, by)) == f"{later(DUE, 8)} 00:00"


@pytest.mark.parametrize(("days", "looked_at"), [(-15, "2025-03-28 00:00"), (15, "2025-04-12 00:00")])
def test_of_several_instalments_to_come_the_first_is_waited_for(days: int, looked_at: str) -> None:
    """In whatever order the loans were opened: the look after the sooner of the two due dates."""
    two = borrower_of(loan(OPENED, [(later(DUE, days), 100_000)], loan_id="l-2"))
    by = rules("[signals.risk_score]\nbackground_min = 0.9")

    assert local(next_deadline_ms(two, at(later(DUE, -30)), None, by)) == looked_at


@pytest.mark.parametrize(("days_past_due", "is_near"), [(29, True), (30, False)])
def test_who_will_be_at_the_target_is_out_of_reach(days_past_due: int, *, is_near: bool) -> None:
    """The next look finds whoever is at it by then no more."""
    assert is_in_reach(MISSED, at(later(DUE, days_past_due), "00:00") - 1, rules(ALWAYS)) == is_near


def test_whoever_is_at_the_target_at_the_very_next_look_is_out_of_reach() -> None:
    """Of three due dates in a row one is thirty days past at a look."""
    for shift in range(3):
        due = later(DUE, shift)
        risk_engine = engine()
        risk_engine.process(loan(OPENED, [(due, 100_000)]), 0, 0)
        missed = risk_engine.borrower("b-1")
        assert missed is not None
        assert not is_in_reach(missed, at(later(due, 30), "00:00") - 1, rules(ALWAYS))


def test_a_due_date_on_the_day_of_the_next_look_is_still_to_come() -> None:
    """Of three due dates in a row one is on such a day, and the look after it is announced; the others' is over by then."""
    by = rules("[signals.risk_score]\nbackground_min = 0.9")
    announced: list[int] = []
    for shift in range(3):
        due = later(DUE, shift)
        risk_engine = engine()
        risk_engine.process(loan(OPENED, [(due, 100_000)]), 0, 0)
        quiet = risk_engine.borrower("b-1")
        assert quiet is not None
        deadline_ms = next_deadline_ms(quiet, at(later(due, -1)), None, by)
        announced += [] if deadline_ms == NEVER else [deadline_ms - at(due, "00:00")]
    assert announced == [LOOK_DAYS * DAY_MS]


def test_out_of_reach_is_below_the_very_thresholds() -> None:
    """The highest probability there may be is enough for either of them, a hair less is not."""
    known_ms = at(LOOK, "00:00") - 1
    _, most = _ceilings(1, 0, 8, UNKNOWN, frozenset(), rules())

    for enough, in_reach in ((most, True), (above(most), False)):
        assert (
            is_in_reach(CROWDED, known_ms, rules(tiers(0.01, 0.02, 0.9, background_min=enough))) == in_reach
        )
        assert (
            is_in_reach(CROWDED, known_ms, rules(tiers(0.01, enough, 0.99, background_min=0.0))) == in_reach
        )
        jumps = tiers(0.01, 0.98, 0.99, background_min=0.0, rise=enough)
        assert is_in_reach(CROWDED, known_ms, rules(jumps)) == in_reach


def test_institutions_are_in_reach_from_their_instant_to_the_end_of_their_window() -> None:
    """Thirty days and no millisecond more."""
    asked_ms = at(CROWD_DAY)
    crowded = borrower_of(*(query(CROWD_DAY, f"i-{n}", event_time_ms=asked_ms) for n in range(8)))
    over_ms = asked_ms + 30 * DAY_MS

    assert [is_in_reach(crowded, asked_ms + ms, rules()) for ms in (-1, 0)] == [False, True]
    assert [is_in_reach(crowded, over_ms + ms, rules()) for ms in (-1, 0)] == [True, False]

    and_one_later = borrower_of(
        *(query(CROWD_DAY, f"i-{n}", event_time_ms=asked_ms) for n in range(8)), query(LOOK, "j")
    )
    assert [is_in_reach(and_one_later, over_ms + ms, rules()) for ms in (-1, 0)] == [True, False]


def test_who_has_asked_everywhere_is_in_reach_while_a_loan_is_open() -> None:
    """From the instant of its opening to before that of its end."""
    settled = borrower_of(*crowd("2024-12-30"), paid("2025-01-12", 200_000), ended("2025-01-12"))
    opened_ms, ended_ms = at(OPENED, "10:00"), at("2025-01-12")

    assert [is_in_reach(settled, opened_ms + ms, rules()) for ms in (-1, 0)] == [False, True]
    assert [is_in_reach(settled, ended_ms + ms, rules()) for ms in (-1, 0)] == [True, False]


def _touched(borrower: Borrower, event: BorrowerEvent) -> set[int]:
    feed = feed_of(event)
    noted = evidence.record(borrower, event, Origin(TOPICS[feed], 0, 99, event.event_id), rules())
    return {signal for signal, _ in noted.touched}


def test_an_event_that_brings_nothing_into_reach_asks_for_no_look() -> None:
    """Neither daily life, nor pay, nor one new institution; the fourth does."""
    borrower = borrower_of(*crowd(institutions=3))
    quiet = borrower_of()

    assert RISK_SCORE not in _touched(quiet, flow("2025-03-05", 5_000, "living", "out"))
    assert RISK_SCORE not in _touched(quiet, flow("2025-03-05", 500_000))
    assert RISK_SCORE not in _touched(quiet, query("2025-03-05", "i-1"))
    assert RISK_SCORE in _touched(borrower, query("2025-03-05", "i-9"))


@settings(deadline=None, max_examples=40)
@given(logs_in_order(borrowers_max=1))
def test_what_is_out_of_reach_would_not_be_found(events: list[BorrowerEvent]) -> None:
    """The cheap answer agrees with the whole one, at every midnight: an open alert without margin is always looked at."""
    by = rules("[signals.risk_score]\nease_ratio = 1.0")
    risk_engine = engine()
    for offset, event in enumerate(events):
        risk_engine.process(event, feed_of(event), offset)
    known = risk_engine.borrower("b-0")
    if known is None:
        return
    for days in range(0, 230, 2 * LOOK_DAYS):
        midnight_ms = at(later("2025-01-03", days), "00:00")
        alone, open_watch = judge(known, midnight_ms, None, by), judge(known, midnight_ms, Severity.WATCH, by)
        assert (alone and alone.severity) == (open_watch and min(open_watch.severity, Severity.WARNING))
        assert alone is None or is_in_reach(known, midnight_ms - 1, by)


def _whole_judgement(
    borrower: Borrower, at_ms: int, open_severity: Severity | None, by: Rules
) -> Severity | None:
    """What a look finds, from all features at once: no bound is asked, and no look further back is spared."""
    policy, ticks = by.policy.signals.risk_score, by.policy.risk.tiers
    ease = 1.0 if open_severity is None else policy.ease_ratio
    day = by.calendar.day_of(at_ms)
    day -= 0 if open_severity else day % LOOK_DAYS
    look_ms = by.calendar.midnight_ms(day)
    now = observe(borrower, look_ms, by, deadline=True)
    before = observe(borrower, by.calendar.midnight_ms(day - policy.rise_days), by, deadline=True)
    probability = weighed(now, by)
    if now.open_loans == 0 or now.days_past_due >= by.policy.risk.target_days_late:
        return None
    if background_of(now, by) < policy.background_min * ease:
        return None
    severe = ticks.severe * (ease if open_severity is Severity.WARNING else 1)
    if probability >= severe:
        return Severity.WARNING
    has_jumped = probability - weighed(before, by) >= policy.rise * ease
    return Severity.WATCH if probability >= ticks.high * ease or has_jumped else None


WITHIN_REACH = tiers(0.02, 0.05, 0.15, background_min=0.025, rise=0.04)


def _after(events: Sequence[BorrowerEvent]) -> Borrower | None:
    """What is remembered of a borrower after a whole log."""
    risk_engine = engine()
    for offset, event in enumerate(events):
        risk_engine.process(event, feed_of(event), offset)
    return risk_engine.borrower("b-0")


@settings(deadline=None, max_examples=80)
@given(
    logs_in_order(borrowers_max=1) | lives(),
    st.sampled_from((None, Severity.WATCH, Severity.WARNING)),
    st.none() | cards() | learnt_cards(),
)
def test_the_bounds_spare_no_finding(
    events: list[BorrowerEvent], open_severity: Severity | None, card: Scorecard | None
) -> None:
    """Whatever is told from a part of the features, all of them together say the same, by any card."""
    by = rules(WITHIN_REACH).with_card(card or expert_prior())
    known = _after(events)
    if known is None:
        return
    for days in range(0, 230, 7):
        at_ms = at(later("2025-01-03", days), "00:00")
        finding = judge(known, at_ms, open_severity, by)
        assert (finding and finding.severity) == _whole_judgement(known, at_ms, open_severity, by)
        if open_severity is not None and stands(known, at_ms, open_severity, by):
            assert finding is not None
            assert finding.severity == open_severity
            assert finding.actionable


@settings(deadline=None, max_examples=150)
@given(
    logs_in_order(borrowers_max=1) | lives(),
    cards() | learnt_cards() | st.sampled_from((expert_prior(), broad_prior())),
    st.integers(0, 3),
)
def test_what_is_just_enough_is_found_and_looked_at_in_time(
    events: list[BorrowerEvent], card: Scorecard, first_look: int
) -> None:
    """By any card: where the thresholds are what all features together give, no bound is below, and no deadline too late."""
    known = _after(events)
    if known is None:
        return
    first_ms, last_ms = events[0].event_time_ms, events[-1].event_time_ms
    for look in range(first_look, 80, 4):
        day = (rules().calendar.day_of(first_ms) // LOOK_DAYS + look) * LOOK_DAYS
        look_ms = rules().calendar.midnight_ms(day)
        by = _just_enough(known, look_ms, card)
        if by is None:
            continue
        assert judge(known, look_ms, None, by) is not None
        if look_ms > last_ms:
            assert next_deadline_ms(known, last_ms, None, by) <= look_ms


def _just_enough(borrower: Borrower, look_ms: int, card: Scorecard) -> Rules | None:
    """Rules whose thresholds are what the card says of all features; None where it may not be found or is too sure of it."""
    by = rules().with_card(card)
    now = observe(borrower, look_ms, by, deadline=True)
    most, background = weighed(now, by), background_of(now, by)
    if now.open_loans == 0 or now.days_past_due >= by.policy.risk.target_days_late or not 1e-6 < most < 0.999:
        return None
    return rules(tiers(most / 2, most, (1 + most) / 2, background_min=background)).with_card(card)


def test_a_card_that_weighs_more_looks_at_who_has_such_evidence() -> None:
    """Attempts in vain weigh so much that they alone are found; before there were any nobody was in reach."""
    by = rules(NO_JUMP).with_card(FEARFUL)
    known_ms = at(LOOK, "00:00") - 1
    hunted = borrower_of(contact("2025-03-02"), contact("2025-03-03"))

    assert not is_in_reach(borrower_of(), known_ms, by)
    assert is_in_reach(hunted, known_ms, by)
    finding = judge(hunted, at(LOOK, "00:00"), None, by)
    assert finding is not None
    assert finding.reasons[1].evidence == {"feature": "unreached_attempts", "value": 2, "log_odds": 1.0}


def test_an_open_alert_stands_by_its_tier_alone() -> None:
    """Neither a tier that was left nor a jump is plain enough."""
    at_ms = at(LOOK, "00:00")

    assert stands(CROWDED, at_ms, Severity.WATCH, rules(tiers(0.01, P, 0.9)))
    assert not stands(CROWDED, at_ms, Severity.WATCH, rules(tiers(0.01, 0.1, P)))
    assert not stands(CROWDED, at_ms, Severity.WARNING, rules(tiers(0.01, P, 0.9)))
    assert not stands(CROWDED, at_ms, Severity.WATCH, rules(jumping(0.1)))
    assert not stands(borrower_of(), at_ms, Severity.WATCH, rules())


# ---- in the engine -----------------------------------------------------------------------------------------------


def _told(events: list[Event], until: str, override: str = "") -> list[Alert]:
    return [alert for alert in run(events, override, until) if alert.signal == "risk_score"]


STORY: list[Event] = [loan(OPENED, [(DUE, 100_000), ("2025-09-10", 100_000)]), *crowd()]


def test_the_whole_story_of_a_crowd() -> None:
    """It opens at the next midnight, and ends as the institutions leave their window."""
    assert story(_told(STORY, "2025-04-09")) == [
        "2025-03-04 00:00 risk_score opened watch",
        "2025-04-03 00:00 risk_score resolved watch",
    ]


def test_within_the_cooldown_only_a_higher_severity_opens_again() -> None:
    """A second crowd within a month is held back for as long as its severity is no higher."""
    again: list[Event] = [*STORY, *crowd("2025-04-05", name="j")]

    assert len(_told(again, "2025-04-09")) == 2
    assert story(_told(again, "2025-05-09"))[2] == "2025-04-12 00:00 risk_score opened warning"
    assert len(_told(again, "2025-05-09", "[signals.risk_score]\ncooldown_days = 0")) > 3


def test_a_cooldown_ends_with_a_look() -> None:
    """A second crowd found by the last look before the cooldown ends, and gone by that day, opens nothing; one still there does."""
    calm: list[Event] = [loan(OPENED, [("2025-09-10", 100_000)]), *crowd()]
    cooldown = "[signals.risk_score]\ncooldown_days = {}\n" + "rise = 1.0"
    gone = [*calm, *crowd("2025-04-04", name="j")]
    there = [*calm, *crowd("2025-04-06", name="j")]

    assert len(_told(gone, "2025-05-31", cooldown.format(32))) == 2
    assert story(_told(there, "2025-05-31", cooldown.format(32)))[2:] == [
        "2025-05-06 00:00 risk_score opened watch",
        "2025-05-07 00:00 risk_score resolved watch",
    ]


def test_alert_and_borrower_risk_agree_with_the_card() -> None:
    """Tier and probability of reason, alert and `borrower-risk` are one; so are the model's version, and the stage."""
    risk_engine = engine()
    for offset, event in enumerate(STORY):
        risk_engine.process(event, feed_of(event), offset)
    risk_engine.advance_together(end_of(CROWD_DAY))
    output = risk_engine.take_output(detected_at_ms=0)
    alert = next(alert for alert in output.alerts if alert.signal == "risk_score")
    shown = alert.reasons[0].evidence
    risk = output.risks["b-1"]

    assert risk is not None
    assert (risk.tier, risk.probability) == (alert.risk.tier, alert.risk.probability) == ("high", round(P, 4))
    assert (shown["tier"], shown["probability"]) == (alert.risk.tier, alert.risk.probability)
    assert shown["model_version"] == alert.risk.model_version == expert_prior().version
    assert alert.recommendation.stage == "review_limit"


def test_another_card_judges_as_well() -> None:
    """The engine's card weighs, whatever it is: one that is afraid of nobody finds nothing."""
    fearless = msgspec.structs.replace(expert_prior(), bias=-9.0)
    timid = msgspec.structs.replace(expert_prior(), bias=-3.0)
    by_card = {}
    for card in (fearless, timid):
        risk_engine = RiskEngine(rules(), card)
        for offset, event in enumerate(STORY):
            risk_engine.process(event, feed_of(event), offset)
        risk_engine.advance_together(end_of(CROWD_DAY))
        alerts = [a for a in risk_engine.take_alerts(detected_at_ms=0) if a.signal == "risk_score"]
        by_card[card.version] = [alert.severity for alert in alerts]
        assert all(alert.risk.model_version == card.version for alert in alerts)

    assert by_card == {fearless.version: [], timid.version: ["warning"]}


@pytest.mark.parametrize(("known_until", "found_on"), [("2025-03-01", LOOK), ("2025-03-06", "2025-03-07")])
def test_evidence_that_only_another_card_weighs_brings_a_look(known_until: str, found_on: str) -> None:
    """Attempts in vain, at somebody nobody had reason to look at, are found by the next look, and by the last when late."""
    risk_engine = RiskEngine(rules(NO_JUMP), FEARFUL)
    risk_engine.process(STORY[0], feed_of(STORY[0]), 0)
    risk_engine.advance_together(end_of(known_until))
    for offset, day in enumerate(("2025-03-02", "2025-03-03")):
        event = contact(day)
        risk_engine.process(event, feed_of(event), offset)
    risk_engine.advance_together(end_of("2025-03-06"))
    alerts = [a for a in risk_engine.take_alerts(detected_at_ms=0) if a.signal == "risk_score"]

    assert [alert.status for alert in alerts] == ["opened"]
    assert alerts[0].reasons[0].evidence["as_of_date"] == found_on


def test_a_late_payment_disproves_what_a_miss_opened() -> None:
    """A payment made in time and learnt days later retracts the alert."""
    missed: list[Event] = [
        loan(OPENED, [(DUE, 100_000), ("2025-09-10", 100_000)]),
        *crowd("2025-04-05", 4),
        query("2025-04-13", "i-0"),
        paid("2025-04-10", 100_000, ingested_at_ms=at("2025-04-13")),
    ]
    until: list[Event] = [flow("2025-04-12", 10, "living", "out")]
    risk_engine = engine("[signals.risk_score]\nrise = 0.05")
    for offset, event in enumerate([*missed[:-2], *until]):
        risk_engine.process(event, feed_of(event), offset)
    risk_engine.advance_together(end_of("2025-04-12"))
    risk_engine.process(missed[-1], feed_of(missed[-1]), 90)
    alerts = [a for a in risk_engine.take_alerts(detected_at_ms=0) if a.signal == "risk_score"]

    assert [alert.status for alert in alerts] == ["opened", "retracted"]


def test_a_late_query_is_found_at_once() -> None:
    """Learnt after the midnight that should have shown it, it is judged as of then without waiting."""
    risk_engine = engine()
    for offset, event in enumerate(STORY[:-1]):
        risk_engine.process(event, feed_of(event), offset)
    risk_engine.advance_together(end_of(later(CROWD_DAY, 2)))
    before = [alert.signal for alert in risk_engine.take_alerts(detected_at_ms=0)]
    risk_engine.process(STORY[-1], feed_of(STORY[-1]), 99)
    after = [alert for alert in risk_engine.take_alerts(detected_at_ms=0) if alert.signal == "risk_score"]

    assert "risk_score" not in before
    assert [(alert.status, alert.caused_by.event_id) for alert in after] == [
        ("opened", STORY[-1].event_id if isinstance(STORY[-1], CreditQuery) else None)
    ]


# ---- what it says ------------------------------------------------------------------------------------------------


def test_the_reasons_in_both_languages() -> None:
    """Probability, threshold, tier, background; the jump; and what counts most."""
    finding = found(CROWDED, "")

    assert finding is not None
    tier, jump, factor = (reason.text for reason in finding.reasons[:3])
    assert tier.en == (
        "24.97 % likely on 2025-03-04 to be 30 days past due within 60 days: tier high (this severity holds from 15 %). "
        "Had nothing ever been late it would be 24.97 % (asked for: 4 %)."
    )
    assert tier.zh == (
        "截至 2025-03-04，60 天内逾期达 30 天的概率为 24.97 %：风险等级高（达到 15 % 即为此级别）；"
        "假设从未逾期则为 24.97 %（要求至少 4 %）。"
    )
    assert jump.en == (
        "The probability has risen by 22.79 points within 30 days (threshold 12): from 2.19 % on 2025-02-02 to 24.97 % on "
        "2025-03-04."
    )
    assert jump.zh == (
        "30 天内概率上升 22.79 个百分点（阈值 12）：由 2025-02-02 的 2.19 % 升至 2025-03-04 的 24.97 %。"
    )
    assert factor.en == "What counts most: new_institutions 8 adds 2.7 to the log-odds."
    assert factor.zh == "主要因素：新增机构数 8，使对数几率增加 2.7。"
    assert [reason.evidence for reason in finding.reasons[2:]] == [
        {"feature": "new_institutions", "value": 8, "log_odds": 2.7},
        {"feature": "relation_days", "value": 60, "log_odds": 0.3},
        {"feature": "income_visible", "value": 0, "log_odds": 0.1},
    ]


def test_a_loan_that_tells_nothing_for_long_is_forgotten_and_found_again_before_it_falls_due() -> None:
    """An entry keeps it alive for `QUIET_DAYS`, and so does a due date within as many days, before and after."""
    far = later(OPENED, 5_000)
    risk_engine = engine()
    risk_engine.process(loan(OPENED, [(far, 100_000)]), 0, 0)
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    opened_ms, due = at(OPENED, "10:00"), date.fromisoformat(far)
    quiet_ms = opened_ms + QUIET_DAYS * DAY_MS
    wakes = later(due.isoformat(), -QUIET_DAYS)

    assert [is_forgotten(borrower, quiet_ms + ms, rules()) for ms in (-1, 0)] == [False, True]
    assert [is_forgotten(borrower, at(wakes, "00:00") + ms, rules()) for ms in (-1, 0)] == [True, False]
    assert [
        is_forgotten(borrower, at(later(far, days), "00:00"), rules())
        for days in (QUIET_DAYS, QUIET_DAYS + 1)
    ] == [
        False,
        True,
    ]
    woken_ms = next_deadline_ms(borrower, quiet_ms, None, rules())
    assert at(wakes, "00:00") <= woken_ms < at(later(wakes, LOOK_DAYS), "00:00")


@pytest.mark.parametrize(("days", "is_found"), [(398, True), (401, True), (404, False)])
def test_a_miss_is_forgotten_after_a_year_and_a_month(days: int, *, is_found: bool) -> None:
    """Where the target is so far that it has not been reached by then; the last entry was made long before it."""
    far = tiers(0.001, 0.002, 0.9, background_min=0.0) + "\ntarget_days_late = 500"
    day = later(DUE, days)

    assert rules().calendar.day_of(at(day)) % LOOK_DAYS == 0
    assert found_by(expert_prior(), borrower_of(), day, far) == is_found


def test_a_loan_is_alive_from_the_instant_of_an_entry() -> None:
    """Its opening, a payment; what comes later than the instant that is asked about is not known yet."""
    far = later(OPENED, 5_000)
    paid_day = later(OPENED, 1_000)
    risk_engine = engine()
    risk_engine.process(loan(OPENED, [(far, 100_000)]), 0, 0)
    risk_engine.process(paid(paid_day, 1), 0, 1)
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    opened_ms, paid_ms = at(OPENED, "10:00"), at(paid_day)
    over_ms = paid_ms + QUIET_DAYS * DAY_MS

    assert [is_forgotten(borrower, opened_ms + ms, rules()) for ms in (-1, 0)] == [True, False]
    assert [is_forgotten(borrower, paid_ms + ms, rules()) for ms in (-1, 0)] == [True, False]
    assert [is_forgotten(borrower, over_ms + ms, rules()) for ms in (-1, 0)] == [False, True]
    assert local(next_deadline_ms(borrower, paid_ms - 30 * DAY_MS, None, rules()))[:10] >= paid_day


def test_an_alert_of_a_loan_that_tells_nothing_for_long_is_found_no_more() -> None:
    """Whatever the probability: there is nothing left to foresee."""
    crowded = borrower_of(paid("2025-03-01", 200_000), *crowd())
    heard_ms = at(CROWD_DAY) + (QUIET_DAYS + 2) * DAY_MS

    assert judge(crowded, at(LOOK), None, rules(ALWAYS)) is not None
    assert judge(crowded, heard_ms, Severity.WATCH, rules(ALWAYS)) is None
    assert next_deadline_ms(crowded, heard_ms, None, rules()) == NEVER
