"""Topics made and checked on a real broker."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from streams.kafka.admin import apply, check
from streams.kafka.local import Broker
from streams.ports import BrokerUnavailableError
from streams.settings import Settings
from streams.topics import MESSAGE_BYTES, TopicNames
from tests.support.processes import wait_until
from tests.support.world import settings_for

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(broker: Broker) -> Settings:
    """Names nobody else uses; no topics yet."""
    return settings_for("topics", broker.bootstrap_servers, partitions=3)


def set_config(settings: Settings, topic: str, name: str, value: str) -> None:
    """What an operator does by hand."""
    admin: Any = KafkaAdminClient(bootstrap_servers=settings.broker)
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={name: value})
    admin.alter_configs([resource])
    asked = ConfigResource(ConfigResourceType.TOPIC, topic)
    # The controller has it before the broker that answers shows it.
    wait_until(
        lambda: admin.describe_configs([asked], config_filter="all")["topic"][topic][name]["value"] == value,
        f"{name}={value}",
    )
    admin.close()


def test_apply_makes_what_check_misses(settings: Settings) -> None:
    """Before: every topic is missing. After: nothing is wrong, and a second apply has nothing to do."""
    missing = check(settings.broker, settings)
    done = apply(settings.broker, settings)

    assert len(missing) == len(done) == 12
    assert f"topic {settings.topic_prefix}repayments is missing" in missing
    assert f"made {settings.topic_prefix}forewarn-state with 3 partition(s)" in done
    assert check(settings.broker, settings) == []
    assert apply(settings.broker, settings) == []


def test_unequal_partition_counts_are_named(settings: Settings) -> None:
    """A topic of another size is told, and `apply` does not touch partitions."""
    apply(settings.broker, settings)
    admin: Any = KafkaAdminClient(bootstrap_servers=settings.broker)
    admin.create_partitions({f"{settings.topic_prefix}servicing": 4})
    admin.close()
    wait_until(lambda: check(settings.broker, settings) != [], "the new partition")
    problems = check(settings.broker, settings)

    assert len(problems) == 1
    assert "unequal partition counts" in problems[0]
    assert f"{settings.topic_prefix}servicing 4" in problems[0]
    assert apply(settings.broker, settings) == []


def test_any_number_of_partitions_will_do_if_it_is_one(settings: Settings) -> None:
    """The number of partitions is the lender's."""
    apply(settings.broker, settings)

    assert check(settings.broker, msgspec.structs.replace(settings, partitions=50)) == []


def test_a_limit_too_low_is_found_and_mended_a_higher_one_left(settings: Settings) -> None:
    """The outputs must hold a rejected megabyte; what holds more is the operator's choice."""
    apply(settings.broker, settings)
    names = TopicNames(settings.topic_prefix)
    set_config(settings, names.dead_letters, MESSAGE_BYTES, "1000000")
    set_config(settings, names.alerts, MESSAGE_BYTES, "9000000")
    problems = check(settings.broker, settings)

    assert len(problems) == 1
    assert problems[0].startswith(f"topic {names.dead_letters} has {MESSAGE_BYTES}=1000000, needs ")
    assert check(settings.broker, settings, with_configs=False) == []
    assert len(apply(settings.broker, settings)) == 1
    wait_until(lambda: check(settings.broker, settings) == [], "the mended limit")


def test_a_changelog_that_is_not_compacted_is_found(settings: Settings) -> None:
    """Deleting by age would lose borrowers."""
    apply(settings.broker, settings)
    state = TopicNames(settings.topic_prefix).state
    set_config(settings, state, "cleanup.policy", "delete")

    assert check(settings.broker, settings) == [f"topic {state} has cleanup.policy=delete, needs compact"]


def test_a_missing_broker_is_told() -> None:
    """With the address, and what to look at."""
    nowhere = settings_for("topics", "127.0.0.1:1", start_timeout_ms=100)

    with pytest.raises(BrokerUnavailableError, match=r"no broker answers at 127\.0\.0\.1:1"):
        check(nowhere.broker, nowhere)
