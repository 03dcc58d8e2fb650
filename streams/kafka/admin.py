"""Topics made and checked, over kafka-python's admin client. Blocking: call it from a thread where a loop runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    KafkaError,
    TopicAlreadyExistsError,
)

from streams.kafka.denials import denial
from streams.kafka.reaching import require_reachable
from streams.kafka.security import kafka_python_options
from streams.ports import BrokerUnavailableError, PortError
from streams.settings import Settings
from streams.topics import MESSAGE_BYTES, TopicSpec, topic_specs

_ATTEMPTS_MAX: Final = 3
"""A controller change or a lost connection is over after one repetition; a third shows that it is something else."""
_RETRY_SECONDS: Final = 0.5
_REQUEST_TIMEOUT_MS: Final = 10_000
_VISIBLE_TIMEOUT_MS: Final = 15_000
"""How long every broker may take to know of a new topic."""

T = TypeVar("T")


def apply(bootstrap: str, settings: Settings) -> list[str]:
    """Make the topics that are missing and set required configs that differ; return what was done, a line each.

    Partitions are never added to a topic that exists: borrowers would be on other tasks than their state.

    Raises:
        BrokerUnavailableError: no broker answers within `start_timeout_ms`.
        PortError: the broker refused.
    """
    done: list[str] = []
    with _admin(bootstrap, settings) as admin:
        found = _describe(admin, settings)
        _refuse_unlike_lenders(found, settings)
        missing = [spec for spec in topic_specs(settings) if spec.name not in found]
        if missing:
            _create(admin, missing, settings)
            done += [f"made {spec.name} with {spec.partitions} partition(s)" for spec in missing]
        for spec in topic_specs(settings):
            differing = _differing(spec, found.get(spec.name))
            if differing:
                resource = ConfigResource(ConfigResourceType.TOPIC, spec.name, configs=dict(differing))
                _retried(partial(admin.alter_configs, [resource]))
                done += [f"set {name}={value} on {spec.name}" for name, value in differing.items()]
    return done


def check(bootstrap: str, settings: Settings, *, with_configs: bool = True) -> list[str]:
    """Compare the topics with what they must be; return what is wrong, a line each. Nothing wrong: an empty list.

    The number of partitions is the lender's; it only has to be one number for all topics of tasks. `with_configs` looks at
    topic configs too: what a worker can start without, but the promise of section 4 does not hold without.

    Raises:
        BrokerUnavailableError: no broker answers within `start_timeout_ms`.
        PortError: the broker refused.
    """
    with _admin(bootstrap, settings) as admin:
        # A worker asks without: it need not be allowed to see them.
        found = _describe(admin, settings, with_configs=with_configs)
    problems = [
        f"topic {spec.name} is missing{_missing_hint(spec, settings)}"
        for spec in topic_specs(settings)
        if spec.name not in found
    ]
    counts = {
        spec.name: found[spec.name].partitions
        for spec in topic_specs(settings)
        if spec.counts_as_task and spec.name in found
    }
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        problems.append(f"topics have unequal partition counts: {listed}")
    for spec in topic_specs(settings):
        topic = found.get(spec.name)
        if topic is None:
            continue
        if not spec.counts_as_task and topic.partitions != spec.partitions:
            problems.append(f"topic {spec.name} has {topic.partitions} partitions, needs {spec.partitions}")
        if with_configs:
            problems += [
                f"topic {spec.name} has {name}={topic.configs.get(name)}, needs {value}"
                for name, value in _differing(spec, topic).items()
            ]
    return problems


def _refuse_unlike_lenders(found: Mapping[str, _Found], settings: Settings) -> None:
    """The lender's topics are as they are: the others are made to fit them, or not at all.

    Raises:
        PortError: one is missing, or has another number of partitions than asked for.
    """
    for spec in topic_specs(settings):
        if not spec.is_lenders:
            continue
        topic = found.get(spec.name)
        if topic is None:
            raise PortError(f"topic {spec.name} is missing; it is your own, so it is not made here")
        if topic.partitions != settings.partitions:
            raise PortError(
                f"topic {spec.name} has {topic.partitions} partitions, and all must have the same number: use --partitions "
                f"{topic.partitions}, or read a copy of it with {settings.partitions} partitions, keyed by borrower"
            )


def members(bootstrap: str, settings: Settings) -> int:
    """How many workers the group has now.

    Raises:
        BrokerUnavailableError: no broker answers within `start_timeout_ms`.
        PortError: the broker refused.
    """
    with _admin(bootstrap, settings) as admin:
        group = _retried(lambda: admin.describe_groups([settings.group_id]))[settings.group_id]
    return len(group.get("members") or ())


def _missing_hint(spec: TopicSpec, settings: Settings) -> str:
    own = " (your own: it is not made here)" if spec.is_lenders else ""
    if settings.security_protocol == "PLAINTEXT":
        return own
    # To those who may not see a topic Kafka does not tell that it is there.
    return f"{own}, or hidden from this user (`forewarn topics acls`)"


class _Found:
    """A topic as it is."""

    def __init__(self, partitions: int, configs: dict[str, str]) -> None:
        self.partitions = partitions
        self.configs = configs


@contextmanager
def _admin(bootstrap: str, settings: Settings) -> Iterator[Any]:
    began = time.monotonic()
    # Asked before the admin client is, which leaks a socket for each connection refused.
    require_reachable(msgspec.structs.replace(settings, broker=bootstrap))
    try:
        left_ms = settings.start_timeout_ms - round((time.monotonic() - began) * 1000)
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            client_id=f"{settings.group_id}-admin",
            bootstrap_timeout_ms=max(left_ms, 1),
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            **kafka_python_options(settings),
        )
    except (KafkaError, OSError, ValueError) as error:
        message = (
            f"no broker answers at {bootstrap} within {settings.start_timeout_ms / 1000:g} s: is it host:port of a running "
            f"Kafka, reachable from here? ({error})"
        )
        raise BrokerUnavailableError(message) from error
    try:
        yield admin
    except KafkaError as error:
        raise PortError(f"asking {bootstrap} about topics failed: {denial(error) or repr(error)}") from error
    finally:
        admin.close()


def _describe(admin: Any, settings: Settings, *, with_configs: bool = True) -> dict[str, _Found]:
    specs = topic_specs(settings)
    existing = set(_retried(admin.list_topics)) & {spec.name for spec in specs}
    if not existing:
        return {}
    names = sorted(existing)
    topics = _retried(lambda: admin.describe_topics(names))
    configs: dict[str, dict[str, Any]] = {}
    if with_configs:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        configs = _retried(lambda: admin.describe_configs(resources, config_filter="all"))["topic"]
    return {
        topic["name"]: _Found(
            len(topic["partitions"]),
            {name: str(config["value"]) for name, config in configs.get(topic["name"], {}).items()},
        )
        for topic in topics
    }


def _differing(spec: TopicSpec, topic: _Found | None) -> dict[str, str]:
    """The required configs that a topic does not have."""
    if topic is None:
        return {}
    return {
        name: needed
        for name, needed in spec.required.items()
        if not _satisfies(name, topic.configs.get(name, ""), needed)
    }


def _satisfies(name: str, found: str, needed: str) -> bool:
    if name == MESSAGE_BYTES:
        return found.isdigit() and int(found) >= int(needed)
    return found == needed


def _create(admin: Any, missing: list[TopicSpec], settings: Settings) -> None:
    wanted = {
        spec.name: {
            "num_partitions": spec.partitions,
            "replication_factor": settings.replication_factor,
            "configs": {**spec.required, **spec.advised},
        }
        for spec in missing
    }

    def create() -> None:
        try:
            admin.create_topics(wanted)
        except TopicAlreadyExistsError:
            # The answer to an earlier attempt was lost, or somebody else is making the same topics.
            left = set(wanted) - set(admin.list_topics())
            if left:
                admin.create_topics({name: wanted[name] for name in left})

    _retried(create)
    admin.wait_for_topics([spec.name for spec in missing], timeout_ms=_VISIBLE_TIMEOUT_MS)


def _retried(call: Callable[[], T]) -> T:
    """Repeat a call that failed for a passing reason, a few times."""
    for attempt in range(1, _ATTEMPTS_MAX + 1):
        try:
            return call()
        except KafkaError as error:
            if attempt == _ATTEMPTS_MAX or not getattr(error, "retriable", False):
                raise
            time.sleep(_RETRY_SECONDS)
    raise AssertionError("unreachable")
