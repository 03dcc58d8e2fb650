"""Who may do what on Kafka: the least that each role needs, once, for the command, the read-me, the deployment and the tests.

Read and Write imply Describe, AlterConfigs implies DescribeConfigs (Kafka's own authorizer has it so). No role needs anything
of the cluster: whoever may write to a topic may write to it idempotently (KIP-679).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal, get_args

from msgspec import Struct

from streams.settings import Settings
from streams.topics import TopicNames, names_of, topic_specs
from streams.trainer import TASK, trainer_settings

Role = Literal["worker", "producer", "subscriber", "operator", "scaler", "administrator"]
Resource = Literal["topic", "group", "transactional-id"]
Pattern = Literal["literal", "prefixed"]
Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs", "AlterConfigs"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
SUBSCRIBER_GROUPS: Final = "collections-"
"""A collections service names its groups as it likes, behind this; another beginning is its administrator's to grant."""


class Grant(Struct, frozen=True):
    """One line of the table: what a role may do with some resources of a kind, and what for."""

    role: Role
    resource: Resource
    names: tuple[str, ...]
    operations: tuple[Operation, ...]
    why: str
    pattern: Pattern = "literal"


def faust_id(settings: Settings) -> str:
    """Faust's own application: its group, and what its topics begin with."""
    return f"{settings.topic_prefix}{settings.group_id}-faust"


def grants(settings: Settings, roles: Iterable[Role] = ROLES) -> list[Grant]:
    """The table for an installation with these names."""
    wanted = set(roles)
    return [grant for grant in _table(settings) if grant.role in wanted]


def _table(settings: Settings) -> Iterator[Grant]:
    names = names_of(settings)
    yield from _of_workers(settings, names)
    if settings.webhooks_file:
        yield from _of_webhooks(names)
    yield Grant("producer", "topic", names.inputs, ("Write",), "events, and the heartbeats of a replay")
    yield Grant("subscriber", "topic", (names.alerts, names.borrower_risk), ("Read",), "what goes out")
    yield Grant(
        "subscriber", "group", (SUBSCRIBER_GROUPS,), ("Read",), "its place in what goes out", "prefixed"
    )
    yield from _of_operators(settings, names)
    yield Grant("scaler", "topic", names.inputs, ("Describe",), "where the inputs end")
    yield Grant("scaler", "group", (settings.group_id,), ("Describe",), "how far the workers are")
    specs = topic_specs(settings)
    ours = tuple(spec.name for spec in specs if not spec.is_lenders)
    lenders = tuple(spec.name for spec in specs if spec.is_lenders)
    changes: tuple[Operation, ...] = ("Create", "Describe", "DescribeConfigs", "AlterConfigs")
    yield Grant("administrator", "topic", ours, changes, "`topics apply`, `topics check`")
    if lenders:
        looks: tuple[Operation, ...] = ("Describe", "DescribeConfigs")
        yield Grant("administrator", "topic", lenders, looks, "`topics check`")


def _of_workers(settings: Settings, names: TopicNames) -> Iterator[Grant]:
    def topics(allowed: tuple[Operation, ...], why: str, *which: str) -> Grant:
        return Grant("worker", "topic", which, allowed, why)

    trainer, faust = trainer_settings(settings), faust_id(settings)
    tasks = settings.transactional_id(0).removesuffix("0")
    yield topics(("Read",), "events", *names.inputs)
    yield topics(("Read", "Write"), "what linked borrowers tell each other", names.linked_risk)
    yield topics(("Write",), "what goes out", names.alerts, names.borrower_risk, names.dead_letters)
    yield topics(("Read", "Write"), "state and progress: written, and read back at a restart", names.state)
    yield topics(("Read",), "the policy in force", names.policies)
    yield topics(("Read", "Write"), "scorecards: taken up, and published by whoever learns", names.scorecards)
    yield topics(("Read", "Write"), "examples to learn from", names.training_examples)
    yield topics(("Create", "Read"), "Faust's election of a leader", f"{faust}-__assignor-__leader")
    yield Grant("worker", "group", (settings.group_id,), ("Read",), "the workers' group and its offsets")
    yield Grant("worker", "group", (trainer.group_id,), ("Read",), "whose turn it is to learn")
    yield Grant("worker", "group", (faust,), ("Read",), "Faust's own group")
    yield Grant(
        "worker",
        "transactional-id",
        (tasks,),
        ("Write",),
        "one producer a task, fenced by its id",
        "prefixed",
    )
    yield Grant("worker", "transactional-id", (trainer.transactional_id(TASK),), ("Write",), "cards")


def _of_webhooks(names: TopicNames) -> Iterator[Grant]:
    """Of workers as well, where they deliver to HTTP endpoints: each has a group and producers named after it."""
    own = (f"{names.prefix}webhook-",)
    yield Grant("worker", "topic", (names.alerts,), ("Read",), "what webhooks deliver")
    yield Grant("worker", "topic", (names.webhook_dead_letters,), ("Write",), "what webhooks gave up")
    yield Grant("worker", "group", own, ("Read",), "one group an endpoint", "prefixed")
    yield Grant(
        "worker", "transactional-id", own, ("Write",), "one producer an endpoint and task", "prefixed"
    )


def _of_operators(settings: Settings, names: TopicNames) -> Iterator[Grant]:
    trainer = trainer_settings(settings)
    looked_at = (names.alerts, names.borrower_risk, names.state, names.linked_risk, names.training_examples)
    yield Grant("operator", "topic", looked_at, ("Read",), "`alerts tail`, `borrower show`, `audit`, `lag`")
    yield Grant(
        "operator",
        "topic",
        (*names.inputs, names.dead_letters),
        ("Read", "Write"),
        "`dead-letters list`, `retry`, `release`, `replay`",
    )
    yield Grant(
        "operator",
        "topic",
        (names.policies, names.scorecards),
        ("Read", "Write"),
        "`policy publish`, `model`",
    )
    yield Grant("operator", "group", (settings.group_id,), ("Describe",), "`lag`")
    yield Grant(
        "operator", "group", (trainer.group_id,), ("Read",), "`model rollback` moves where learning is"
    )
    yield Grant(
        "operator",
        "transactional-id",
        (trainer.transactional_id(TASK),),
        ("Write",),
        "`model rollback` fences who learns",
    )


# ---- written out -------------------------------------------------------------------------------------------------


def commands(granted: Iterable[Grant], principal: str) -> Iterator[str]:
    """Each grant as arguments of Kafka's own `kafka-acls.sh`."""
    for grant in granted:
        operations = " ".join(f"--operation {operation}" for operation in grant.operations)
        resources = " ".join(f"--{grant.resource} '{name}'" for name in grant.names)
        yield (
            f"kafka-acls.sh --add --allow-principal '{principal}' {operations} {resources} "
            f"--resource-pattern-type {grant.pattern}"
        )


def strimzi(granted: Iterable[Grant]) -> Iterator[dict[str, object]]:
    """Each grant as entries of `spec.authorization.acls` of Strimzi's KafkaUser."""
    types: dict[Resource, str] = {
        "topic": "topic",
        "group": "group",
        "transactional-id": "transactionalId",
    }
    patterns: dict[Pattern, str] = {"literal": "literal", "prefixed": "prefix"}
    for grant in granted:
        for name in grant.names:
            yield {
                "resource": {
                    "type": types[grant.resource],
                    "name": name,
                    "patternType": patterns[grant.pattern],
                },
                "operations": list(grant.operations),
            }
