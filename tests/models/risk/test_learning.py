"""Learning as a whole: judged before it is learnt from, published when no worse, the same after a restart."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.risk.drift import Drift
from models.risk.examples import Example
from models.risk.labels import Outcome
from models.risk.learning import Learner, UnusableLearningError
from models.risk.scorecard import Scorecard, broad_prior

START = Scorecard(("new_institutions",), ((1.0, 3.0),), ((0.0, 0.0, 0.0),), -3.0)
MISLED = Scorecard(("new_institutions",), ((1.0, 3.0),), ((3.0, 0.0, -3.0),), -1.0)


def example(institutions: float, outcome: Outcome, segment: str | None = None) -> Example:
    """A matured example with one feature that matters."""
    return Example(
        borrower="0" * 16,
        observed_ms=0,
        matured_ms=1,
        features={"new_institutions": institutions, "open_loans": 1.0},
        outcome=outcome,
        reason="disputed" if outcome == "censored" else "days_late" if outcome == "bad" else "paid_as_agreed",
        decided_ms=1,
        contacts=0,
        segment=segment,
        probability=0.1,
        card_version="v",
    )


def book(seed: int, count: int, rates: tuple[float, float, float] = (0.02, 0.10, 0.40)) -> list[Example]:
    """Examples of which a share goes bad by the number of new institutions."""
    dice = Random(seed)
    examples = []
    for _ in range(count):
        place = dice.randrange(3)
        is_bad = dice.random() < rates[place]
        examples.append(example((0, 1, 3)[place], "bad" if is_bad else "good", "ab"[place % 2]))
    return examples


def test_a_card_is_published_when_it_has_proven_itself() -> None:
    """Too few examples at first; then the learnt card is better than the one in use."""
    learner = Learner(START)
    for one in book(1, 500):
        learner.learn(one)
    assert learner.refusal() == "too_few_examples"
    for one in book(2, 3_000):
        learner.learn(one)
    assert learner.refusal() is None
    assert learner.candidate().score((3,)) == pytest.approx(0.40, abs=0.06)
    assert START.score((3,)) < 0.05


def test_a_card_worse_than_the_one_in_use_is_refused() -> None:
    """Learning that began with a wrong card loses against a good one in use, until it has learnt as much."""
    good = Scorecard(("new_institutions",), ((1.0, 3.0),), ((-1.9, -0.2, 1.6),), -2.0)
    learner = Learner(MISLED)
    learner.use(good)
    for one in book(1, 1_500):
        learner.learn(one)
    assert learner.refusal() == "worse_log_loss"
    for one in book(2, 20_000):
        learner.learn(one)
    assert learner.refusal() is None


def test_learning_may_start_from_more_than_the_card_in_use_weighs() -> None:
    """The card in use is judged by its own features, the candidate has those of the start."""
    learner = Learner(START, start=broad_prior())
    for one in book(1, 3_000):
        learner.learn(one)
    assert learner.in_use == START
    assert learner.candidate().features == broad_prior().features
    assert learner.refusal() is None


def test_what_is_censored_teaches_nothing() -> None:
    """It is counted, and the card stays as it was."""
    learner = Learner(START)
    assert learner.learn(example(3, "censored")) == ()
    assert learner.candidate().version == Learner(START).candidate().version
    assert learner.counts["censored.disputed"] == 1
    assert learner.figures().examples == 0


def test_figures_are_told_by_segment() -> None:
    """Of each segment its own bad rate, and of all together."""
    learner = Learner(START)
    for one in book(5, 3_000):
        learner.learn(one)
    found = learner.figures_by_segment()
    assert set(found) == {"a", "b"}
    assert found["a"].bad_rate == pytest.approx(0.21, abs=0.03)
    assert found["b"].bad_rate == pytest.approx(0.10, abs=0.03)
    assert learner.counts["bad.days_late"] + learner.counts["good.paid_as_agreed"] == 3_000


def test_a_world_turned_over_is_noticed_and_followed() -> None:
    """Who was safest is now worst: a drift is found, and four thousand examples later the card has the new order."""
    learner = Learner(START)
    drifts = [drift for one in book(1, 20_000) for drift in learner.learn(one)]
    assert not any(drift.is_worse for drift in drifts)
    drifts = [drift for one in book(2, 4_000, rates=(0.40, 0.10, 0.02)) for drift in learner.learn(one)]
    assert any(drift.is_worse for drift in drifts)
    card = learner.candidate()
    assert card.score((0,)) > 1.5 * card.score((3,))


BOOKS = st.lists(
    st.tuples(st.sampled_from((0.0, 1.0, 3.0)), st.sampled_from(("good", "good", "bad", "censored"))),
    max_size=60,
)


@given(BOOKS, BOOKS)
@settings(deadline=None, max_examples=25)
def test_restore_and_continue_is_continue(
    before: list[tuple[float, Outcome]], after: list[tuple[float, Outcome]]
) -> None:
    """Wherever learning is cut, the state at the end is the same to the last bit."""
    learner = Learner(MISLED)
    for institutions, outcome in before:
        learner.learn(example(institutions, outcome, "a"))
    learner.use(learner.candidate())
    restored = Learner.from_bytes(learner.to_bytes())
    for institutions, outcome in after:
        learner.learn(example(institutions, outcome))
        restored.learn(example(institutions, outcome))
    assert restored.to_bytes() == learner.to_bytes()
    assert restored.candidate().version == learner.candidate().version
    assert restored.in_use == learner.in_use


def test_restore_and_continue_is_continue_through_a_drift() -> None:
    """The windows that find a drift are part of the state."""
    examples = [*book(1, 6_000), *book(2, 2_000, rates=(0.40, 0.10, 0.02))]
    whole = Learner(START)
    drifts = [drift for one in examples for drift in whole.learn(one)]
    parts = Learner(START)
    again: list[Drift] = []
    for number, one in enumerate(examples):
        if number % 997 == 0:
            parts = Learner.from_bytes(parts.to_bytes())
        again += parts.learn(one)
    assert drifts
    assert again == drifts
    assert parts.to_bytes() == whole.to_bytes()


def test_bytes_that_cannot_be_trusted_are_refused() -> None:
    """A flipped bit is an error, never a guess."""
    record = bytearray(Learner(START).to_bytes())
    record[-1] ^= 1
    with pytest.raises(UnusableLearningError, match="checksum"):
        Learner.from_bytes(bytes(record))
