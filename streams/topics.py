"""The topics: names with their prefix, partitions, settings. What `topics apply` makes and `topics check` expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from models.events import LINKED_RISK, TOPICS, Topic
from models.limits import OUTPUT_HEADROOM_BYTES, PAYLOAD_BYTES_MAX
from streams.settings import Settings, lender_setting

ALERTS: Final = "alerts"
BORROWER_RISK: Final = "borrower-risk"
DEAD_LETTERS: Final = "dead-letters"
STATE: Final = "forewarn-state"
POLICIES: Final = "policies"
SCORECARDS: Final = "scorecards"
TRAINING_EXAMPLES: Final = "training-examples"
WEBHOOK_DEAD_LETTERS: Final = "webhook-dead-letters"
EXAMPLES_PARTITION: Final = 0
"""Of `training-examples`: all tasks write into the one that there is."""

INPUT_RECORD_BYTES_MAX: Final = PAYLOAD_BYTES_MAX + 12 * 1024
"""A payload at its limit, with key, headers and the batch around it; larger ones the broker refuses."""
OUTPUT_RECORD_BYTES_MAX: Final = INPUT_RECORD_BYTES_MAX + OUTPUT_HEADROOM_BYTES
"""A rejected record at the input's limit plus its `__connect.errors.*` headers must still fit."""
LETTER_RECORD_BYTES_MAX: Final = OUTPUT_RECORD_BYTES_MAX + OUTPUT_HEADROOM_BYTES
"""An alert at the output's limit, and why it was not delivered."""

MESSAGE_BYTES: Final = "max.message.bytes"
_COMPACTED: Final = {"cleanup.policy": "compact"}
_DELETED: Final = {"cleanup.policy": "delete"}
_FOR_EVER: Final = {"retention.ms": "-1"}
_TOLD_LONG_AGO: Final = {"retention.ms": str(30 * 24 * 3600_000)}
"""Messages between borrowers name them: kept as long as a worker may be away, and no longer."""
_RESTORED_FAST: Final = {
    # A restore reads the whole log: small segments and an eager cleaner keep it near one record a borrower.
    "segment.bytes": str(64 * 1024 * 1024),
    "segment.ms": str(10 * 60_000),
    "min.cleanable.dirty.ratio": "0.2",
    "max.compaction.lag.ms": str(60 * 60_000),
    # A forgotten borrower's tombstone must outlive the longest restore.
    "delete.retention.ms": str(24 * 3600_000),
}


class TopicSpec(Struct, frozen=True):
    """One topic as it must be."""

    name: str
    partitions: int
    required: dict[str, str]
    """What the promise depends on. `max.message.bytes` is the least that will do."""
    advised: dict[str, str]
    """What a new topic gets beside it; the operator may choose otherwise."""
    counts_as_task: bool
    """Has one partition a task; the number must agree with all others of the kind."""
    is_lenders: bool = False
    """Belongs to the lender: looked at, and never made or changed."""


class TopicNames:
    """Names as Kafka knows them."""

    def __init__(self, prefix: str, lenders: Mapping[Topic, str] | None = None) -> None:
        """`prefix` stands before every name but those of the lender's own topics."""
        self.prefix = prefix
        self.lenders: Final = lenders or {}
        """Topics that are read under another name, and that are not ours to make or change."""
        self.inputs: Final = tuple(self.of(topic) for topic in TOPICS)
        """By feed index."""
        self.linked_risk: Final = prefix + LINKED_RISK
        self.consumed: Final = (*self.inputs, self.linked_risk)
        """What a task reads: its feeds, and after them what its borrowers are told by others."""
        self.alerts: Final = prefix + ALERTS
        self.borrower_risk: Final = prefix + BORROWER_RISK
        self.dead_letters: Final = prefix + DEAD_LETTERS
        self.state: Final = prefix + STATE
        self.policies: Final = prefix + POLICIES
        self.scorecards: Final = prefix + SCORECARDS
        self.training_examples: Final = prefix + TRAINING_EXAMPLES
        self.webhook_dead_letters: Final = prefix + WEBHOOK_DEAD_LETTERS

    def of(self, topic: Topic) -> str:
        """The name of an input topic."""
        return self.lenders.get(topic, self.prefix + topic)


def names_of(settings: Settings) -> TopicNames:
    """The names of an installation."""
    lenders = {topic: name for topic in TOPICS if (name := getattr(settings, lender_setting(topic)))}
    return TopicNames(settings.topic_prefix, lenders)


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """Every topic in use, inputs first."""
    names = names_of(settings)
    input_size = {MESSAGE_BYTES: str(INPUT_RECORD_BYTES_MAX)}
    output_size = {MESSAGE_BYTES: str(OUTPUT_RECORD_BYTES_MAX)}

    def of_tasks(name: str, required: dict[str, str], advised: dict[str, str]) -> TopicSpec:
        return TopicSpec(name, settings.partitions, required, advised, counts_as_task=True)

    def of_all(name: str, required: dict[str, str], advised: dict[str, str] | None = None) -> TopicSpec:
        return TopicSpec(name, 1, required, advised or {}, counts_as_task=False)

    return [
        *(of_tasks(names.of(topic), input_size, {}) for topic in TOPICS if topic not in names.lenders),
        *(
            TopicSpec(name, settings.partitions, {}, {}, counts_as_task=True, is_lenders=True)
            for name in names.lenders.values()
        ),
        of_tasks(names.alerts, {**_DELETED, **output_size}, _FOR_EVER),
        of_tasks(names.borrower_risk, {**_COMPACTED, **output_size}, {}),
        of_tasks(names.dead_letters, {**_DELETED, **output_size}, _FOR_EVER),
        of_tasks(names.state, {**_COMPACTED, **output_size}, _RESTORED_FAST),
        of_tasks(names.linked_risk, _DELETED, _TOLD_LONG_AGO),
        of_all(names.policies, _COMPACTED),
        of_all(names.scorecards, {**_COMPACTED, **output_size}),
        # One partition, so that all learn in one order; kept, so that another model can learn from all of it.
        of_all(names.training_examples, _DELETED, _FOR_EVER),
        *([webhook_letters_spec(settings)] if settings.webhooks_file else []),
    ]


def webhook_letters_spec(settings: Settings) -> TopicSpec:
    """The topic of alerts that an endpoint did not take; in use where there are endpoints."""
    name = names_of(settings).webhook_dead_letters
    required = {**_DELETED, MESSAGE_BYTES: str(LETTER_RECORD_BYTES_MAX)}
    return TopicSpec(name, settings.partitions, required, _FOR_EVER, counts_as_task=True)
