"""One AsyncAPI 3.0 document of the topics that others write to and read from: addresses, keys, headers, messages.

Topics that only workers read (state, policies, scorecards, examples, links) are no contract and are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from models.events import TOPICS, TYPES_BY_TOPIC, Heartbeat, Topic
from models.limits import IDENTIFIER_CHARACTERS_MAX
from streams.contract.schemas import ALERT, BORROWER_RISK, EVENTS, OUTPUTS, Schema, components_of
from streams.settings import Settings
from streams.topics import (
    ALERTS,
    DEAD_LETTERS,
    WEBHOOK_DEAD_LETTERS,
    TopicSpec,
    names_of,
    topic_specs,
    webhook_letters_spec,
)
from streams.topics import BORROWER_RISK as RISKS
from streams.webhooks.letters import (
    ATTEMPTS_HEADER,
    DETAIL_HEADER,
    ENDPOINT_HEADER,
    MESSAGE_HEADER,
    NOT_AN_ALERT,
    REASON_HEADER,
)
from streams.webhooks.sender import Outcome

CONTRACT_VERSION: Final = "1.1.0"
"""Of the contract, not of the release. v1 grows by what breaks nobody: the second number counts that."""
_JSON: Final = "application/json"
_KAFKA_BINDING: Final = "0.5.0"
_SCHEMA: Final = "#/components/schemas/{name}"
_KEY: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": IDENTIFIER_CHARACTERS_MAX,
    "description": "borrower_id, UTF-8; the partition is murmur2 of it, as the Java client's default",
}

CLOUD_EVENT_HEADERS: Final[Schema] = {
    "type": "object",
    "description": "CloudEvents 1.0, binary mode of the Kafka protocol binding.",
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "description": "alert_id.revision: names this revision for ever"},
        "ce_source": {"type": "string", "description": "What published it: the topic's name behind a slash"},
        "ce_type": {"type": "string", "const": ALERT},
        "ce_time": {"type": "string", "format": "date-time", "description": "event_time_ms"},
        "ce_subject": {"type": "string", "description": "borrower_id"},
        "content-type": {"type": "string", "const": _JSON},
    },
    "required": [
        "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "content-type",
    ],
}  # fmt: skip
_LETTER_HEADERS: Final[Schema] = {
    "type": "object",
    "description": "Those of Kafka Connect's dead letter queues (KIP-298), behind the record's own, and two more.",
    "properties": {
        **{
            f"__connect.errors.{name}": {"type": "string"}
            for name in (
                "topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name",
                "exception.class.name", "exception.message",
            )
        },
        "forewarn.reject.reason": {"type": "string", "description": "The reason, one word."},
        "forewarn.reject.timestamp_ms": {"type": "string", "description": "When the record was produced."},
    },
}  # fmt: skip
_WEBHOOK_LETTER_HEADERS: Final[Schema] = {
    "type": "object",
    "description": "Behind those of the alert: where it stands, and why its endpoint did not take it.",
    "properties": {
        "__connect.errors.topic": {"type": "string", "description": "Where the alert was read."},
        "__connect.errors.partition": {"type": "string"},
        "__connect.errors.offset": {"type": "string"},
        ENDPOINT_HEADER: {"type": "string", "description": "The endpoint, by the name in its file."},
        REASON_HEADER: {
            "type": "string",
            "x-extensible-enum": sorted({*get_args(Outcome), NOT_AN_ALERT} - {"delivered"}),
            "description": "What came of the last attempt, one word.",
        },
        DETAIL_HEADER: {"type": "string", "description": "The answer's status, or what failed; may be empty."},
        ATTEMPTS_HEADER: {"type": "string", "description": "How many were made, in digits."},
        MESSAGE_HEADER: {"type": "string", "description": "webhook-id: alert_id.revision; empty where it is no alert."},
    },
    "required": [
        "__connect.errors.topic", "__connect.errors.partition", "__connect.errors.offset",
        ENDPOINT_HEADER, REASON_HEADER, DETAIL_HEADER, ATTEMPTS_HEADER, MESSAGE_HEADER,
    ],
}  # fmt: skip


def asyncapi_document(settings: Settings) -> Schema:
    """The document for an installation: its broker and the prefix of its topics are those of `settings`."""
    names = names_of(settings)
    specs = {spec.name: spec for spec in topic_specs(settings)}
    channels = {topic: _input_channel(topic, specs[names.of(topic)]) for topic in sorted(TOPICS)} | {
        ALERTS: _channel(
            specs[names.alerts], "What collections, risk officers and dashboards read.", ["Alert"]
        ),
        RISKS: _channel(
            specs[names.borrower_risk],
            "The latest view of each borrower; a tombstone forgets.",
            ["BorrowerRisk"],
        ),
        DEAD_LETTERS: _channel(
            specs[names.dead_letters], "Refused records as they were, and why.", ["DeadLetter"]
        ),
        WEBHOOK_DEAD_LETTERS: _channel(
            webhook_letters_spec(settings),
            "Alerts that an endpoint did not take, and why; there where alerts are sent to endpoints.",
            ["WebhookDeadLetter"],
        ),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Forewarn",
            "version": CONTRACT_VERSION,
            "description": (
                "Which borrower is slipping, and why. Read `alerts` with isolation.level=read_committed; ignore fields that "
                "you do not know. Write integers without a fraction: 1.0 is refused."
            ),
        },
        "defaultContentType": _JSON,
        "servers": {
            f"kafka-{number}": {"host": host.strip(), "protocol": "kafka"}
            for number, host in enumerate(settings.broker.split(","), start=1)
        },
        "channels": channels,
        "operations": dict(_operation(topic) for topic in channels),
        "components": {
            "messages": _messages(),
            "schemas": components_of([*OUTPUTS.values(), *EVENTS.values()], _SCHEMA),
        },
    }


def _input_channel(topic: Topic, spec: TopicSpec) -> Schema:
    messages = [kind.__name__ for kind in TYPES_BY_TOPIC[topic]]
    return _channel(spec, "What a lender's systems report; the type says which.", messages)


def _channel(spec: TopicSpec, description: str, messages: Sequence[str]) -> Schema:
    configs = {**spec.advised, **spec.required}
    told: dict[str, Any] = {"max.message.bytes": int(configs["max.message.bytes"])}
    if "cleanup.policy" in configs:
        told["cleanup.policy"] = [configs["cleanup.policy"]]
    if "retention.ms" in configs:
        told["retention.ms"] = int(configs["retention.ms"])
    return {
        "address": spec.name,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {"topic": spec.name, "topicConfiguration": told, "bindingVersion": _KAFKA_BINDING}
        },
    }


def _operation(topic: str) -> tuple[str, Schema]:
    is_input = topic in TOPICS
    name = ("receive" if is_input else "send") + topic.title().replace("-", "")
    return name, {
        "action": "receive" if is_input else "send",
        "channel": {"$ref": f"#/channels/{topic}"},
    }


def _messages() -> dict[str, Schema]:
    messages = {
        kind.__name__: _message(name, kind.__name__, key=None if kind is Heartbeat else _KEY)
        for name, kind in EVENTS.items()
    }
    messages["Alert"] = _message(ALERT, "Alert", key=_KEY, headers=CLOUD_EVENT_HEADERS)
    messages["BorrowerRisk"] = _message(BORROWER_RISK, "BorrowerRisk", key=_KEY)
    messages["DeadLetter"] = {
        "name": "dead-letter",
        "title": "DeadLetter",
        "contentType": "application/octet-stream",
        "payload": {"type": ["string", "null"], "format": "binary", "description": "The bytes as they came."},
        "headers": _LETTER_HEADERS,
        "bindings": _key_binding({"type": "string", "description": "The key as it came."}),
    }
    messages["WebhookDeadLetter"] = {
        "name": "webhook-dead-letter",
        "title": "WebhookDeadLetter",
        "contentType": "application/octet-stream",
        "payload": {
            "type": ["string", "null"],
            "format": "binary",
            "description": "The alert, byte for byte; where the reason is not_an_alert, whatever stood there.",
        },
        "headers": _WEBHOOK_LETTER_HEADERS,
        "bindings": _key_binding({"type": "string", "description": "The key as it came."}),
    }
    return messages


def _message(name: str, title: str, *, key: Schema | None, headers: Schema | None = None) -> Schema:
    return {
        "name": name,
        "title": title,
        "contentType": _JSON,
        "payload": {"$ref": _SCHEMA.format(name=title)},
        **({} if headers is None else {"headers": headers}),
        **({} if key is None else {"bindings": _key_binding(key)}),
    }


def _key_binding(key: Mapping[str, Any]) -> Schema:
    return {"kafka": {"key": dict(key), "bindingVersion": _KAFKA_BINDING}}
