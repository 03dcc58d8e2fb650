"""What Kafka's authorizer refuses is told by its name, whichever client heard it."""

from __future__ import annotations

import pytest
from aiokafka import errors as aiokafka_errors
from kafka import errors as kafka_errors

from streams.kafka.denials import denial

WAY_OUT = "; `forewarn topics acls` prints what each role needs"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (aiokafka_errors.TopicAuthorizationFailedError("alerts"), "topic alerts"),
        (aiokafka_errors.TopicAuthorizationFailedError({"b", "a"}), "topic a, b"),
        (aiokafka_errors.GroupAuthorizationFailedError("forewarn"), "group forewarn"),
        (aiokafka_errors.TransactionalIdAuthorizationFailed("t-0"), "transactional id t-0"),
        (aiokafka_errors.TopicAuthorizationFailedError(), "topic"),
        (kafka_errors.TopicAuthorizationFailedError("alerts"), "topic alerts"),
        (kafka_errors.GroupAuthorizationFailedError("forewarn"), "group forewarn"),
        (kafka_errors.TransactionalIdAuthorizationFailedError("t-0"), "transactional id t-0"),
        (kafka_errors.ClusterAuthorizationFailedError(), "the cluster"),
    ],
    ids=repr,
)
def test_a_denial_names_the_resource(error: Exception, said: str) -> None:
    """And the command that tells what is needed."""
    assert denial(error) == f"Kafka does not allow this user to use {said}{WAY_OUT}"


def test_a_denial_is_found_behind_what_a_client_made_of_it() -> None:
    """A client's background task dies of it, and its user hears of that."""
    outer = aiokafka_errors.KafkaError("Unexpected error during batch delivery")
    outer.__cause__ = aiokafka_errors.GroupAuthorizationFailedError("forewarn")

    assert denial(outer) == f"Kafka does not allow this user to use group forewarn{WAY_OUT}"


def test_other_errors_are_no_denials() -> None:
    """They keep their own words; the system's errors have numbers of their own."""
    for error in (aiokafka_errors.KafkaError("x"), aiokafka_errors.RequestTimedOutError(), OSError(30, "x")):
        assert denial(error) is None
