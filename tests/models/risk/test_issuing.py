"""Which cards come of the examples, and that nothing but the examples decides it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.risk.examples import Example
from models.risk.issuing import (
    EXAMPLES_BETWEEN_MAX,
    EXAMPLES_BETWEEN_MIN,
    STEP_MS,
    Issuing,
    UnusableIssuingError,
)
from models.risk.learning import Learner
from models.risk.published import PublishedCard
from models.risk.scorecard import Scorecard
from tests.support.examples import FIRST_WEEK_MS, MIDNIGHT_MS, START, weeks_of_examples

BOOK = weeks_of_examples(1, weeks=16, a_week=300)
MISLED = Scorecard(("new_institutions",), ((1.0, 3.0),), ((3.0, 0.0, -3.0),), -1.0)
GOOD = Scorecard(("new_institutions",), ((1.0, 3.0),), ((-1.9, -0.2, 1.6),), -2.0)


def issued(issuing: Issuing, examples: list[Example], first_offset: int = 0) -> list[PublishedCard]:
    """What comes of examples; offsets leave a gap at every thousandth, as the ends of transactions do."""
    steps = []
    for place, one in enumerate(examples, start=first_offset):
        step = issuing.take(place + place // 1000, one)
        if step is not None:
            steps.append(step)
    return steps


def test_a_card_is_due_with_the_first_example_of_a_week_once_there_are_enough() -> None:
    """Three hundred a week: every other week there are five hundred, and the card names the example it has not seen."""
    steps = issued(Issuing(Learner(START)), BOOK)

    assert EXAMPLES_BETWEEN_MIN == 500
    offsets = [600 * number + 600 * number // 1000 for number in range(1, 8)]
    assert [step.examples_offset for step in steps] == offsets
    assert [step.number for step in steps] == [1, 2, 3, 4, 5, 6, 7]
    assert [sum(step.counts.values()) for step in steps] == [600 * number for number in range(1, 8)]


def test_one_example_less_than_enough_makes_no_card() -> None:
    """499 of one week and the first of the next: no step; 500 of one week: a step."""
    for count, expected in ((EXAMPLES_BETWEEN_MIN - 1, 0), (EXAMPLES_BETWEEN_MIN, 1)):
        examples = [*weeks_of_examples(3, 1, count), *weeks_of_examples(3, 1, 1, first_week=1)]
        assert len(issued(Issuing(Learner(START)), examples)) == expected


def test_a_card_is_refused_until_it_has_proven_itself_then_takes_the_place_of_the_other() -> None:
    """A refusal leaves the card in use and says why; the first that is published replaces the starting card."""
    steps = issued(Issuing(Learner(START)), BOOK)

    assert [(step.step, step.refused) for step in steps[:4]] == [
        ("refused", "too_few_examples"),
        ("refused", "too_few_examples"),
        ("published", None),
        ("published", None),
    ]
    started = START.version
    assert [step.replaces for step in steps[:4]] == [started, started, started, steps[2].version]
    assert steps[-1].card.score((3,)) == pytest.approx(0.40, abs=0.08)
    assert all(step.card.version == step.version for step in steps)


def test_a_card_takes_effect_after_everything_it_has_learnt() -> None:
    """At the first boundary after the last midnight in it, and never before the card that it replaces."""
    steps = issued(Issuing(Learner(START)), BOOK)

    weeks_in = [2 * step.number - 1 for step in steps]  # the last week in it, counted from 0
    expected = [FIRST_WEEK_MS + (week + 1) * STEP_MS for week in weeks_in]
    assert [step.effective_from_ms for step in steps] == expected
    assert all(
        FIRST_WEEK_MS + week * STEP_MS + MIDNIGHT_MS < step.effective_from_ms
        for week, step in zip(weeks_in, steps, strict=True)
    )


def test_a_partition_that_is_behind_makes_no_card_of_the_past() -> None:
    """Examples older than others that were learnt begin no new step; those that come after the newest do."""
    ahead = weeks_of_examples(1, 1, 600, first_week=10)
    behind = weeks_of_examples(2, 6, 600)
    issuing = Issuing(Learner(START))
    assert issued(issuing, [*ahead, *behind]) == []
    (step,) = issued(issuing, weeks_of_examples(3, 1, 1, first_week=11), first_offset=4_200)
    assert step.effective_from_ms == FIRST_WEEK_MS + 11 * STEP_MS


def test_a_week_with_very_many_examples_makes_a_step_within_it() -> None:
    """What a restart reads again is bounded."""
    one_week = weeks_of_examples(1, 1, EXAMPLES_BETWEEN_MAX + 1)
    (step,) = issued(Issuing(Learner(START)), one_week)
    assert sum(step.counts.values()) == EXAMPLES_BETWEEN_MAX
    assert step.effective_from_ms == FIRST_WEEK_MS + STEP_MS


def test_what_cannot_be_read_is_counted_and_bounded_too() -> None:
    """Garbage teaches nothing, and is not read again after a restart either."""
    issuing = Issuing(Learner(START))
    steps = [issuing.take(offset, None) for offset in range(EXAMPLES_BETWEEN_MAX + 1)]
    (step,) = [step for step in steps if step is not None]
    assert step.counts == {"unreadable": EXAMPLES_BETWEEN_MAX, "drift.residual": 0, "drift.log_loss": 0}
    assert (step.refused, step.examples_offset) == ("too_few_examples", EXAMPLES_BETWEEN_MAX)


@settings(max_examples=15)
@given(st.lists(st.integers(0, 2_400), max_size=6), st.integers(0, 2**16))
def test_going_on_from_the_last_step_is_going_on(crashes: list[int], seed: int) -> None:
    """However often learning begins anew at the offset of the last step, steps are the same to the last bit."""
    book = weeks_of_examples(seed, weeks=8, a_week=300)
    expected = issued(Issuing(Learner(START)), book)

    found: dict[int, PublishedCard] = {}
    state, offset = None, 0
    for crash in [*sorted(crashes), len(book)]:
        issuing = Issuing(Learner(START)) if state is None else Issuing.from_bytes(state)
        for place in range(offset, crash):
            step = issuing.take(place + place // 1000, book[place])
            if step is not None:
                assert step.number not in found
                found[step.number] = step
                state, offset = step.state, place
    assert list(found.values()) == expected


def test_going_back_uses_the_card_and_its_optimiser_and_the_next_must_prove_itself() -> None:
    """After a rollback the card stays until a thousand examples have judged both; the offset does not move back."""
    issuing = Issuing(Learner(START))
    steps = issued(issuing, BOOK[:4201])
    earlier, last = steps[2], steps[-1]
    issuing = Issuing.from_bytes(last.state)

    back = issuing.go_back(earlier.card, earlier.optimiser, last.examples_offset, 10**13)

    assert (back.step, back.version, back.replaces) == ("rolled_back", earlier.version, last.version)
    assert (back.number, back.examples_offset) == (last.number + 1, last.examples_offset)
    assert issuing.learner.candidate() == earlier.card
    assert back.examples == earlier.examples
    further = [*BOOK[4200:], *weeks_of_examples(2, weeks=4, a_week=300, first_week=16)]
    later = issued(Issuing.from_bytes(back.state), further, first_offset=4_200)
    assert [step.refused for step in later] == ["too_few_examples", "too_few_examples"]
    assert {step.replaces for step in later} == {earlier.version}


def test_what_is_published_after_a_rollback_takes_effect_no_earlier() -> None:
    """Else it would call the rollback off for the time before."""
    issuing = Issuing(Learner(START))
    last = issued(issuing, BOOK[:601])[-1]
    far_ms = FIRST_WEEK_MS + 10**12
    issuing = Issuing.from_bytes(last.state)
    issuing.go_back(START, None, last.examples_offset, far_ms)
    later = [step for step in issued(issuing, BOOK[600:], first_offset=600) if step.refused is None]
    assert later
    assert {step.effective_from_ms for step in later} == {far_ms}


def test_a_worse_card_is_refused_and_learning_goes_on() -> None:
    """Begun with a wrong card beside a good one in use: refused by its log-loss, until it has caught up."""
    learner = Learner(MISLED)
    learner.use(GOOD)
    steps = issued(Issuing(learner), weeks_of_examples(1, weeks=80, a_week=500))
    assert steps[2].refused == "worse_log_loss"
    assert {step.replaces for step in steps[:3]} == {GOOD.version}
    assert steps[-1].refused is None


def test_damaged_state_is_told() -> None:
    """Never gone on from by guess."""
    state = bytearray(Issuing(Learner(START)).to_bytes())
    state[len(state) // 2] ^= 1
    with pytest.raises(UnusableIssuingError, match="damaged"):
        Issuing.from_bytes(bytes(state))
    assert Issuing.from_bytes(Issuing(Learner(START)).to_bytes()).number == 0
