"""A worker that ends at its start says why in a sentence, also where it is Faust that Kafka did not serve."""

from __future__ import annotations

import pytest
from aiokafka.errors import KafkaError, NodeNotReadyError
from mode.worker import exiting

from streams.kafka.reaching import kafkas_word


def ended_by(error: Exception | None) -> SystemExit:
    """As Faust's worker ends."""
    try:
        with exiting():
            if error is not None:
                raise error
    except SystemExit as end:
        return end
    raise AssertionError("Faust goes on")


@pytest.mark.parametrize("error", [NodeNotReadyError("node 3 is away"), KafkaError("no quorum")])
def test_what_kafka_said_to_faust_is_told(error: KafkaError) -> None:
    """Faust itself leaves a traceback alone."""
    end = ended_by(error)

    assert end.code == 1
    assert str(error) in str(kafkas_word(end))


@pytest.mark.parametrize("error", [None, ValueError("a bug")])
def test_nothing_else_is_laid_to_kafka(error: Exception | None) -> None:
    """A clean end, and a fault of our own, which keeps its traceback."""
    assert kafkas_word(ended_by(error)) is None
