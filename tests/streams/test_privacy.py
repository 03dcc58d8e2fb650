"""What tells of the work tells nothing of people: logs, metrics and the reasons of dead letters, on a book of marked values.

Every amount, every id and every free text of every event is marked. Alerts hold ids and amounts, that is what they are
for, but no free text of anybody's. Dead letters keep the refused bytes in their value, and only there.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from models.events import TOPICS, TYPES_BY_TOPIC, Heartbeat, Topic
from models.policy import default_policy
from models.rules import Rules
from streams.cli import main
from streams.codec import Decoder, Reject, tag_of
from streams.commands.borrower import found_of, told_of
from streams.dead_letters import dead_letter
from streams.history import read_history
from streams.memory.broker import MemoryRecord
from streams.memory.virtual_time import START_MS, run_virtual
from streams.partitioner import partition_of
from streams.restore import RestoreError
from tests.support.events import at
from tests.support.memory_installation import PARTITIONS, Installation
from tests.support.memory_looker import MemoryLooker

AMOUNT = 731_000_000
"""Marked amounts begin with these digits, and no other number of a run does."""
AMOUNTS = re.compile(r"731\d{6}")
ID, TEXT = "markedid", "marked free text"
BORROWERS = 12
START, END = at("2025-01-01"), at("2025-06-30")

Document = dict[str, Any]


def is_marked(text: str, *, ids: bool = True) -> bool:
    """Whether a marked value stands in it."""
    return bool(AMOUNTS.search(text)) or "marked free" in text or (ids and ID in text)


def without_times(figures: str) -> str:
    """Metrics without when each was created: those are instants of the run, in whose digits anything may stand by chance."""
    return "\n".join(line for line in figures.splitlines() if "_created" not in line)


def document_of(event_type: type[msgspec.Struct], borrower: str, number: int, time_ms: int) -> Document:
    """A valid event of a type with every field set, and every value marked that is anybody's."""
    document: Document = {"type": tag_of(event_type)}
    for field, annotation in get_type_hints(event_type).items():
        document[field] = _value(field, annotation, number, time_ms)
    document |= {"borrower_id": borrower, "event_id": f"{ID}-e-{number}", "event_time_ms": time_ms}
    document.pop("ingested_at_ms", None)
    return document


def _value(field: str, annotation: object, number: int, time_ms: int) -> Any:
    for option in (annotation, *get_args(annotation)):
        if get_origin(option) is Literal:
            return get_args(option)[0]
    if field == "currency":
        return "CNY"
    if field == "instalments":
        return [
            {"number": place, "due_date": f"2025-0{place}-15", "amount_minor": AMOUNT + number + place}
            for place in range(2, 5)
        ]
    if field.endswith("_minor"):
        return AMOUNT + number
    if field.endswith("_ms"):
        return time_ms + 86_400_000
    if field.endswith("_date"):
        return "2025-02-15"
    if field in {"number", "instalment_number", "applications", "institutions"} or field.endswith("days"):
        return 3
    return f"{ID}-{field}-{number % 3}" if _is_id(field) else f"{TEXT} {number}"


def _is_id(field: str) -> bool:
    return field.endswith("_id") or field in {"actor", "source"}


EVENT_TYPES = [
    (topic, event_type)
    for topic in TOPICS
    for event_type in TYPES_BY_TOPIC[topic]
    if event_type is not Heartbeat
]


def book() -> Iterator[tuple[Topic, Document]]:
    """Events of every type for every borrower but the erasure, in order of time."""
    kinds = [(topic, kind) for topic, kind in EVENT_TYPES if tag_of(kind) != "borrower_erased"]
    # First the loans: what is paid, reversed, replaced is theirs.
    kinds.sort(key=lambda entry: tag_of(entry[1]) != "loan_opened")
    step_ms = (END - START) // (len(kinds) * BORROWERS)
    number = 0
    for topic, kind in kinds:
        for borrower in range(BORROWERS):
            if borrower % 2 and tag_of(kind) in {"loan_closed", "repayment", "schedule_changed"}:
                continue  # who pays nothing
            number += 1
            yield topic, document_of(kind, f"{ID}-b-{borrower}", number, START + number * step_ms)


BROKEN = (
    {"type": f"{TEXT} 1"},
    {"type": AMOUNT},
    {"event_time_ms": f"{TEXT} 2"},
    {"event_time_ms": -AMOUNT},
    {"event_id": ""},
    {"event_id": [f"{TEXT} 3"]},
    {"direction": f"{TEXT} 4", "type": "fund_flow"},
    {"amount_minor": f"{AMOUNT}"},
    {"amount_minor": AMOUNT + 0.5},
    {"promise_date": f"{TEXT} 5"},
    {"reason": AMOUNT},
    {"list": {TEXT: AMOUNT}},
)


async def run_marked_book() -> Installation:
    """The book, with broken events among it, an erasure, and garbage; worked through in two goes, with a restore."""
    made = Installation()
    for place, (topic, document) in enumerate(book()):
        made.produce(topic, document, document["borrower_id"])
        if place % 3 == 0:
            broken = document | BROKEN[place // 3 % len(BROKEN)] | {"event_id": f"{ID}-broken-{place}"}
            made.produce(topic, broken, document["borrower_id"])
    made.produce("servicing", f'{{"type": {TEXT}'.encode(), f"{ID}-b-1")
    made.produce("repayments", f'"{TEXT} {AMOUNT}"'.encode(), f"{ID}-b-1")
    made.close(END)
    await made.work()
    erased = document_of(dict_of("servicing")["borrower_erased"], f"{ID}-b-3", 999_000, END + 1)
    made.produce("servicing", erased, f"{ID}-b-3")
    made.close(END + 2)
    await made.work()
    return made


def dict_of(topic: Topic) -> dict[str, type[msgspec.Struct]]:
    """The types of a topic by their words."""
    return {tag_of(kind): kind for kind in TYPES_BY_TOPIC[topic]}


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All that anybody logs, at every level."""
    caplog.set_level(logging.NOTSET)
    return caplog


def test_nothing_leaks_from_a_run(everything_logged: pytest.LogCaptureFixture) -> None:
    """No id, amount or free text in logs, metrics or the headers of dead letters; no free text in what is published."""
    made = run_virtual(run_marked_book())
    letters = made.records(made.names.dead_letters)
    alerts = made.records(made.names.alerts)
    figures = generate_latest(made.metrics.registry).decode()

    assert len(letters) > 20
    assert len({dict(letter.headers)["forewarn.reject.reason"] for letter in letters}) >= 6
    assert any(b'"ERASED"' in (alert.value or b"") for alert in alerts)
    assert "forewarn_rejects_total" in figures
    assert len(everything_logged.records) > 5
    for line in everything_logged.records:
        formatted = logging.Formatter().format(line)
        assert not is_marked(formatted), formatted
    assert not is_marked(without_times(figures))
    for letter in letters:
        for name, value in letter.headers:
            assert not is_marked(f"{name} {value.decode()}"), (name, value)
    for record in (*alerts, *made.records(made.names.borrower_risk)):
        published = (record.value or b"").decode()
        assert TEXT not in published
        assert f"{ID}-actor" not in published


def test_a_borrower_is_shown_without_free_text() -> None:
    """Ids and amounts are for those who may see them; what staff and producers wrote freely is for nobody."""
    made = run_virtual(run_marked_book())
    looker = MemoryLooker(made.broker, PARTITIONS)
    rules = Rules(default_policy())
    for number in range(BORROWERS):
        borrower = f"{ID}-b-{number}"
        history = read_history(looker, made.names, borrower)
        shown = found_of(borrower, history, rules, None, None)
        for language in ("en", "zh"):
            told = "\n".join(told_of(shown, language))
            assert TEXT not in told
            assert ID in told
        printed = msgspec.json.encode(shown).decode()
        assert TEXT not in printed
        assert str(AMOUNT)[:3] in printed


def test_a_run_that_fails_names_whom_and_no_amount(everything_logged: pytest.LogCaptureFixture) -> None:
    """A state that cannot be trusted is told with its borrower, so that it can be mended, and without its content."""

    async def scenario() -> str:
        made = Installation()
        for topic, document in book():
            made.produce(topic, document, document["borrower_id"])
        made.close(END)
        await made.work()
        state = made.records(made.names.state)
        victim = next(record for record in state if record.key is not None and ID.encode() in record.key)
        assert victim.key is not None
        assert victim.value is not None
        spoilt = victim.value[:-3] + bytes(reversed(victim.value[-3:])) + b"!"
        partition = partition_of(victim.key, PARTITIONS)
        made.broker.produce(made.names.state, partition, victim.key, spoilt)
        with pytest.raises(RestoreError) as failure:
            await made.work()
        return str(failure.value)

    told = run_virtual(scenario())
    assert ID in told
    assert not is_marked(told, ids=False)
    for line in everything_logged.records:
        assert not is_marked(logging.Formatter().format(line), ids=False)


def letter_of(topic: Topic, payload: bytes) -> dict[str, str]:
    """The headers of the dead letter that a payload becomes."""
    record = MemoryRecord(5, START_MS, b"key", payload, ())
    found = Decoder(topic).decode(payload, b"key", START_MS)
    assert isinstance(found, Reject)
    made = dead_letter(record, topic, 0, found.reason, found.detail, "forewarn")
    return {name: (value or b"").decode() for name, value in made.headers}


@pytest.mark.parametrize(
    ("topic", "event_type"), EVENT_TYPES, ids=lambda value: getattr(value, "__name__", value)
)
def test_no_field_of_any_event_leaks_from_its_refusal(topic: Topic, event_type: type[msgspec.Struct]) -> None:
    """Whatever is wrong with whichever field, the reason names the field and never what it holds."""
    valid = document_of(event_type, "key", 1, START)
    wrong = (
        f"{TEXT} 9",
        f"{ID}-9",
        AMOUNT,
        -AMOUNT,
        AMOUNT * 10**20,
        AMOUNT + 0.5,
        [TEXT],
        {TEXT: AMOUNT},
        f"{TEXT}' - at `$.{TEXT}`",
    )
    refused = 0
    for field in valid:
        for value in wrong:
            payload = json.dumps(valid | {field: value}).encode()
            if isinstance(Decoder(topic).decode(payload, b"key", START_MS), Reject):
                refused += 1
                for name, header in letter_of(topic, payload).items():
                    assert not is_marked(f"{name} {header}"), (field, value, header)
    assert refused > len(valid)


def test_a_refusal_still_says_what_and_where() -> None:
    """Without the quoted word, enough is left to mend the producer."""
    valid = document_of(dict_of("fund-flows")["fund_flow"], "key", 1, START)
    said = [
        letter_of("fund-flows", json.dumps(valid | change).encode())["__connect.errors.exception.message"]
        for change in ({"direction": TEXT}, {"type": TEXT}, {"amount_minor": -AMOUNT})
    ]
    assert said == [
        "unknown-direction: Invalid enum value - at `$.direction`",
        "unknown-type: Invalid value - at `$.type`",
        "negative-amount: Expected `int` >= 0 - at `$.amount_minor`",
    ]


@given(st.text(max_size=40))
def test_no_word_in_place_of_a_type_comes_through(word: str) -> None:
    """Whatever it holds: quotes, back quotes, something that looks like the path of a field."""
    marked = f"{TEXT}{word}{TEXT}"
    valid = document_of(dict_of("fund-flows")["fund_flow"], "key", 1, START)
    for field in ("type", "direction"):
        payload = json.dumps(valid | {field: marked}).encode()
        assert TEXT not in " ".join(letter_of("fund-flows", payload).values())


def test_nothing_leaks_from_a_backtest(tmp_path: Path, everything_logged: pytest.LogCaptureFixture) -> None:
    """What it prints and reports are counts; the refused lines stand in their own file, as they must."""
    folder = tmp_path / "book"
    folder.mkdir()
    for topic in TOPICS:
        lines = [document for of, document in book() if of == topic]
        lines += [lines[0] | broken for broken in BROKEN]
        (folder / f"{topic}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    result = CliRunner().invoke(main, ["backtest", str(folder), "--out", str(tmp_path / "out")])

    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "rejected.jsonl").stat().st_size > 0
    assert not is_marked(result.output)
    assert not is_marked((tmp_path / "out" / "report.json").read_text())
    assert TEXT not in (tmp_path / "out" / "alerts.jsonl").read_text()
    for line in everything_logged.records:
        assert not is_marked(logging.Formatter().format(line))
