"""Repeated sentences of the clients are told once in a while, and counted."""

from __future__ import annotations

import logging

from streams.log_repeats import AGAIN_AFTER_SECONDS, RepeatFilter


def said(message: str, node: int, at: float, level: int = logging.ERROR) -> logging.LogRecord:
    """A record as a client makes it."""
    record = logging.LogRecord("client", level, __file__, 1, message, (node,), None)
    record.created = at
    return record


def test_a_sentence_is_told_once_in_a_while_with_how_often_it_was_said() -> None:
    """The first at once; what follows within the time is counted, whatever its values, and told with the next."""
    repeats = RepeatFilter()
    told = [
        record.getMessage()
        for record in (said("no node %d", number, number / 100) for number in range(1_001))
        if repeats.filter(record)
    ]
    later = said("no node %d", 7, 3 * AGAIN_AFTER_SECONDS)
    assert repeats.filter(later)

    assert told == ["no node 0", "no node 1000 (999 more like this)"]
    assert later.getMessage() == "no node 7"


def test_other_sentences_and_levels_are_told_apart() -> None:
    """What is new is never held back."""
    repeats = RepeatFilter()

    assert repeats.filter(said("no node %d", 1, 0))
    assert repeats.filter(said("no leader of %d", 1, 0))
    assert repeats.filter(said("no node %d", 1, 0, logging.WARNING))
    assert not repeats.filter(said("no node %d", 2, 1))


def test_the_memory_of_sentences_is_bounded() -> None:
    """A client that puts its values into the sentence itself does not fill the memory."""
    repeats = RepeatFilter()
    for number in range(10_000):
        assert repeats.filter(said(f"no node {number} of %d", 1, 0))

    assert len(repeats._told) <= 512
