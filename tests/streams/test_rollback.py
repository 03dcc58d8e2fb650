"""Which scorecard is meant, what two differ in, and what is printed of them."""

from __future__ import annotations

from functools import cache

import msgspec
import pytest

from models.risk.issuing import Issuing
from models.risk.learning import Learner
from models.risk.published import PublishedCard
from models.risk.scorecard import Scorecard, expert_prior
from streams.commands import model
from streams.rollback import (
    CardError,
    Difference,
    differences,
    former_version,
    named_version,
    step_of,
    used_versions,
)
from streams.scorecards import Cards, cards_of, step_records
from tests.support.examples import START, weeks_of_examples

PRIOR = expert_prior()


@cache
def steps() -> list[PublishedCard]:
    """Two refused, two published."""
    issuing = Issuing(Learner(PRIOR))
    book = weeks_of_examples(1, weeks=5, a_week=600)
    return [step for offset, one in enumerate(book) if (step := issuing.take(offset, one)) is not None]


def cards(*made: PublishedCard) -> Cards:
    """What the topic holds after these steps."""
    records = [record for step in made for record in step_records(step)]
    return cards_of({record.key or b"": (record.value or b"", 1_700_000_000_000) for record in records})


def test_the_card_before_the_present_one_is_gone_back_to_unless_one_is_named() -> None:
    """By its first characters; what learning began with was in use, too."""
    topic = cards(*steps())
    second, first = steps()[3].version, steps()[2].version
    assert used_versions(topic) == [second, first, PRIOR.version]
    assert former_version(topic, None) == first
    assert former_version(topic, PRIOR.version[:4]) == PRIOR.version


@pytest.mark.parametrize("wanted", ["", "zzzz", "abc"])
def test_what_names_no_one_card_is_told(wanted: str) -> None:
    """Nothing, nobody's, and too short."""
    with pytest.raises(CardError, match="model history"):
        named_version([step.version for step in steps()], wanted)


def test_a_refused_card_and_the_present_one_are_not_gone_back_to() -> None:
    """The one was never in use, the other is."""
    topic = cards(*steps())
    with pytest.raises(CardError, match="no scorecard that is known"):
        former_version(topic, steps()[0].version)
    with pytest.raises(CardError, match="is the scorecard in use"):
        former_version(topic, steps()[3].version)
    with pytest.raises(CardError, match="no scorecard before"):
        former_version(cards(*steps()[:2]), None)


def test_the_step_of_a_card_is_the_one_that_put_it_in_use() -> None:
    """A card that was refused has the step that refused it; the expert prior has none."""
    topic = cards(*steps())
    assert step_of(topic, steps()[2].version) == steps()[2].told()
    refused = step_of(topic, steps()[0].version)
    assert refused is not None
    assert refused.refused == "too_few_examples"
    assert step_of(topic, PRIOR.version) is None


def test_differences_come_largest_first_and_bins_of_one_card_alone_before_all() -> None:
    """Each with its bin's edges, the bias among them."""
    other = msgspec.structs.replace(START, weights=((0.0, 0.5, -1.0),), bias=-2.9)
    assert differences(START, START) == []
    found = differences(START, other)
    assert found[:2] == [
        Difference("new_institutions", 3.0, None, 0.0, -1.0),
        Difference("new_institutions", 1.0, 3.0, 0.0, 0.5),
    ]
    assert found[2].feature == "(bias)"
    fewer = Scorecard(("new_institutions",), ((1.0,),), ((0.0, 0.0),), -3.0)
    assert [(one.old, one.new) for one in differences(START, fewer)] == [
        (0.0, None),
        (0.0, None),
        (None, 0.0),
    ]


def test_a_step_is_told_in_two_lines() -> None:
    """What became of the card and why, and both cards' figures over the same examples."""
    topic = cards(*steps())
    refused, published = model._told(topic.entries[0]), model._told(topic.entries[3])
    assert "refused: too few examples\n" in refused
    assert f"4  {steps()[3].version}" in published
    assert "published, effective from 2024-" in published
    assert "AUC 0." in published
    assert ", against AUC 0." in published


def test_a_card_is_printed_bin_by_bin() -> None:
    """Edges as words, weights with their sign; so is a difference."""
    assert list(model._weights(START)) == [
        "bias -3.0000 (log-odds)",
        "new_institutions",
        f"  {'below 1':>24}  +0.0000",
        f"  {'1 to 3':>24}  +0.0000",
        f"  {'from 3':>24}  +0.0000",
    ]
    assert model._difference(Difference("a", 1.0, None, None, 0.5)) == "  a from 1: (none) -> +0.5000"
    assert model._difference(Difference("(bias)", None, None, -1.0, -2.0)) == "  (bias): -1.0000 -> -2.0000"
