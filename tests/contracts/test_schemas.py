"""The schemas say what the code does: of what goes out, of what is accepted, and in the files that are committed."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final, get_args

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner

from models.alerts import SignalName
from models.events import TOPICS, TYPES_BY_TOPIC, Heartbeat, Topic
from streams.cli import main
from streams.codec import Decoder, Reject, tag_of
from streams.contract.asyncapi import CLOUD_EVENT_HEADERS, asyncapi_document
from streams.contract.files import contract_files, document_names
from streams.contract.schemas import ALERT, BORROWER_RISK, DIALECT, EVENTS, schema_names, schema_of
from streams.dead_letters import dead_letter
from streams.memory.broker import MemoryRecord
from streams.outputs import alert_record
from streams.settings import Settings
from streams.topics import TopicNames
from streams.webhooks.letters import webhook_letter
from streams.webhooks.sender import Attempt, Outcome
from tests.support.alert_samples import alerts, told

ROOT: Final = Path(__file__).resolve().parents[2]
COMMITTED: Final = ROOT / "deploy" / "schemas"
TOPIC_OF: Final[dict[str, Topic]] = {
    tag_of(kind): topic for topic in TOPICS for kind in TYPES_BY_TOPIC[topic]
}
_KNOWN_BY_MS: Final = 2**62
"""Later than any event: whether one lies ahead is not for a schema to say."""
_FREE_WORDS: Final = frozenset({"type", "direction"})


Validator: Final[Any] = jsonschema.validators.extend(  # type: ignore[no-untyped-call] # the stubs lack it
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
"""To JSON Schema 1.0 is an integer, to the decoder it is none: the one thing that the schemas cannot say, so it is said in words."""


def validator_of(name: str) -> Any:
    """By the published schema, dates included."""
    return Validator(schema_of(name), format_checker=Validator.FORMAT_CHECKER)


def published() -> list[dict[str, Any]]:
    """Alerts of every signal, as they are written."""
    return [msgspec.json.decode(msgspec.json.encode(alert)) for alert in alerts()]


def test_the_committed_documents_are_those_of_the_code() -> None:
    """`forewarn schema --out deploy/schemas` would change no file, and no file is left over."""
    committed = {
        path.relative_to(COMMITTED).as_posix(): path.read_text(encoding="utf-8")
        for path in COMMITTED.rglob("*.json")
    }

    assert committed == contract_files(Settings())


@pytest.mark.parametrize("name", schema_names())
def test_every_schema_is_one(name: str) -> None:
    """Of the dialect that it names."""
    schema = schema_of(name)

    assert schema["$schema"] == DIALECT
    jsonschema.Draft202012Validator.check_schema(schema)


def test_everything_that_is_published_is_valid() -> None:
    """Alerts of every signal, and risks."""
    validator = validator_of(ALERT)

    assert {alert["signal"] for alert in published()} == set(get_args(SignalName))
    for alert in published():
        validator.validate(alert)
    for risk in told()[1]:
        validator_of(BORROWER_RISK).validate(msgspec.json.decode(msgspec.json.encode(risk)))


def test_every_field_of_an_alert_is_told_and_always_there() -> None:
    """A reader need not ask whether a field is there, nor what it means."""
    schema = schema_of(ALERT)
    for struct in (schema, *schema["$defs"].values()):
        assert struct["required"] == list(struct["properties"])
        for field, value in struct["properties"].items():
            assert "description" in value or "$ref" in value or "items" in value, field


def test_a_signal_of_a_later_release_is_valid() -> None:
    """Who validates what they read must not stop at a word that is newer than they are."""
    alert = published()[0] | {"signal": "not_known_yet", "officer": "a field not known yet"}

    validator_of(ALERT).validate(alert)
    assert set(schema_of(ALERT)["properties"]["signal"]["x-extensible-enum"]) == set(get_args(SignalName))


def samples(name: str) -> dict[str, Any]:
    """A document with every field of an event, as its schema says."""
    schema = schema_of(name)
    sample: dict[str, Any] = {
        field: _sample(value, schema.get("$defs", {})) for field, value in schema["properties"].items()
    }
    return sample


def _sample(schema: dict[str, Any], within: dict[str, Any]) -> Any:
    if "$ref" in schema:
        fields = within[schema["$ref"].rpartition("/")[2]]["properties"]
        return {field: _sample(value, within) for field, value in fields.items()}
    if "enum" in schema:
        return schema["enum"][0]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if kinds[0] == "array":
        return [_sample(schema["items"], within)]
    if schema.get("format") == "date":
        return "2025-02-28"
    return {"integer": 1, "string": "x", "boolean": True}[kinds[0]]


_VALUES: Final[list[Any]] = [
    None, True, 0, 1, 1.0, -1, 2**63 - 1, 2**63, -(2**63), 1.5, "", "x", "y" * 256, "y" * 257, "2025-02-29",
    "2024-02-29", "20240229", [], {}, ["x"], {"number": 1},
]  # fmt: skip


def variations(sample: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The document with one field left out, or of another value; nested ones too."""
    for field, value in sample.items():
        yield {name: one for name, one in sample.items() if name != field}
        for other in _VALUES:
            yield sample | {field: other}
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for inner in variations(value[0]):
                yield sample | {field: [inner]}
            yield sample | {field: value * 601}
    yield sample | {"a_field_of_the_producer": 1}


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_what_is_valid_is_accepted_and_nothing_else(name: str) -> None:
    """Schema and decoder agree on every variation, but for unknown words: those are taken as `other`."""
    validator = validator_of(name)
    decoder = Decoder(TOPIC_OF[name], keyed=False)
    sample = samples(name)
    assert validator.is_valid(sample)
    counted = 0
    for document in variations(sample):
        accepted = not isinstance(decoder.decode(msgspec.json.encode(document), None, _KNOWN_BY_MS), Reject)
        words_known = _with_known_words(name, document)
        if 2**63 - 1 in (document.get("event_time_ms"), document.get("ingested_at_ms")):
            continue  # whether an event lies ahead of its own record is no matter of form
        assert accepted == validator.is_valid(words_known), document
        counted += 1
    assert counted > 20


def _with_known_words(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """As the decoder takes it."""
    mended = deepcopy(document)
    for field, schema in schema_of(name)["properties"].items():
        is_word = "enum" in schema and field not in _FREE_WORDS
        if is_word and isinstance(mended.get(field), str) and mended[field] not in schema["enum"]:
            mended[field] = "other"
    return mended


def test_the_headers_are_those_that_are_written() -> None:
    """Each header of an alert and of a dead letter stands in the document, and each that it asks for is written."""
    alert = alerts()[0]
    written = {name: value.decode() for name, value in alert_record(alert, b"/alerts").headers}
    jsonschema.validate(written, CLOUD_EVENT_HEADERS)
    assert set(written) == set(CLOUD_EVENT_HEADERS["properties"])

    letter = dead_letter(MemoryRecord(0, 0, b"k", b"v", ()), "repayments", 0, "not-json", "why", "forewarn")
    told = asyncapi_document(Settings())["components"]["messages"]["DeadLetter"]["headers"]
    assert {name for name, _ in letter.headers} == set(told["properties"])


@pytest.mark.parametrize("last", [None, *(Attempt(one, "503") for one in get_args(Outcome))])
def test_the_headers_of_what_an_endpoint_did_not_take_are_those_that_are_written(
    last: Attempt | None,
) -> None:
    """Each stands in the document, each is always there, and each reason is one that is told."""
    record = MemoryRecord(0, 0, b"k", b"v", ())
    letter = webhook_letter(record, ("alerts", 0), "desk", None if last is None else "a.1", last, 3)
    written = {name: (value or b"").decode() for name, value in letter.headers}
    told = asyncapi_document(Settings())["components"]["messages"]["WebhookDeadLetter"]["headers"]

    jsonschema.validate(written, told)
    assert set(written) == set(told["properties"]) == set(told["required"])
    if last is None or last.outcome != "delivered":
        assert (
            written["forewarn.webhook.reason"]
            in told["properties"]["forewarn.webhook.reason"]["x-extensible-enum"]
        )


def test_the_document_names_the_topics_of_the_installation() -> None:
    """With its prefix and its broker, and the key of every record but the heartbeat's."""
    settings = Settings(broker="a:1, b:2", topic_prefix="risk.")
    document = asyncapi_document(settings)
    names = TopicNames("risk.")

    addresses = {channel["address"] for channel in document["channels"].values()}
    letters = {names.dead_letters, names.webhook_dead_letters}
    assert addresses == {*names.inputs, names.alerts, names.borrower_risk, *letters}
    assert [server["host"] for server in document["servers"].values()] == ["a:1", "b:2"]
    keyless = [
        name for name, message in document["components"]["messages"].items() if "bindings" not in message
    ]
    assert keyless == [Heartbeat.__name__]


def test_the_command_prints_each_document_and_says_which_there_are() -> None:
    """By name, as it is committed; an unknown name is told with those there are."""
    files = contract_files(Settings())
    runner = CliRunner()
    named = runner.invoke(main, ["schema"]).output.split()
    assert named == document_names()
    assert [runner.invoke(main, ["schema", name]).output for name in named] == list(files.values())

    wrong = runner.invoke(main, ["schema", "alert"])
    assert wrong.exit_code == 2
    assert "forewarn.alert.v1" in wrong.output
