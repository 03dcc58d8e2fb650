"""Pseudonyms: nothing that goes out or is kept knows an id, and nothing else is different."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alerts import Alert
from models.events import BorrowerLinked, Heartbeat
from streams.audit import export, prove_file, prove_partition
from streams.codec import Decoder, KeptRecord, Reject
from streams.history import read_history
from streams.memory.broker import MemoryRecord
from streams.memory.virtual_time import run_virtual
from streams.partitioner import partition_of
from streams.pseudonym import (
    PseudonymError,
    PseudonymousDecoder,
    Pseudonyms,
    is_pseudonym,
    pseudonyms_from,
    read_pseudonyms,
)
from tests.support.changelog import said_by
from tests.support.events import at
from tests.support.memory_installation import PARTITIONS, Installation
from tests.support.memory_looker import MemoryLooker

KEY = bytes(range(32))
ID = "borrower-of-flesh-and-blood"
MANY = [f"{ID}-{number}" for number in range(12)]


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    """A key of version 3."""
    file = tmp_path / "pseudonym.toml"
    file.write_text(f'version = 3\nkey = "{KEY.hex()}"\n')
    return str(file)


def loan_of(borrower: str, number: int) -> dict[str, Any]:
    """A loan that nobody pays."""
    return {
        "type": "loan_opened",
        "event_id": f"e-{number}",
        "borrower_id": borrower,
        "event_time_ms": at("2025-01-01") + number,
        "loan_id": f"l-{number}",
        "platform_id": "own",
        "currency": "CNY",
        "principal_minor": 100_000 + number,
        "instalments": [{"number": 1, "due_date": "2025-02-01", "amount_minor": 100_000 + number}],
    }


async def worked(**changes: Any) -> Installation:
    """A dozen borrowers past due, one of them with a payment that cannot be read."""
    made = Installation(**changes)
    for number, borrower in enumerate(MANY):
        made.produce("repayments", loan_of(borrower, number), borrower)
    made.produce("repayments", {"type": "repayment", "borrower_id": MANY[0]}, MANY[0])
    made.close(at("2025-03-01"))
    await made.work()
    return made


def alerts_of(records: Sequence[MemoryRecord]) -> list[Alert]:
    """Decoded."""
    return [msgspec.json.decode(record.value or b"", type=Alert) for record in records]


def test_a_pseudonym_is_a_keyed_hash_under_its_version() -> None:
    """HMAC-SHA256 of the id, 160 bits of it; another id, key or version makes another."""
    made = Pseudonyms(KEY, 3).of(ID)
    digest = hmac.new(KEY, b"forewarn/borrower_id\x00" + ID.encode(), hashlib.sha256).digest()

    assert made == "p3." + base64.b32encode(digest[:20]).decode().lower()
    assert is_pseudonym(made)
    assert not is_pseudonym(ID)
    assert (
        len(
            {
                made,
                Pseudonyms(KEY, 3).of(ID + "x"),
                Pseudonyms(KEY[::-1], 3).of(ID),
                Pseudonyms(KEY, 4).of(ID),
            }
        )
        == 4
    )


@given(st.lists(st.text(min_size=1, max_size=20), max_size=20))
def test_ids_and_pseudonyms_are_one_to_one(borrower_ids: list[str]) -> None:
    """Asked again, the same; of different ids, different."""
    pseudonyms = Pseudonyms(KEY, 1)
    made = [pseudonyms.of(borrower_id) for borrower_id in borrower_ids]
    assert made == [pseudonyms.of(borrower_id) for borrower_id in borrower_ids]
    assert len(set(made)) == len(set(borrower_ids))


def test_nothing_that_goes_out_knows_an_id(key_file: str) -> None:
    """Alerts, risk and state in keys, values and headers. Dead letters keep the refused record, key and all."""
    made = run_virtual(worked(pseudonym_key_file=key_file))
    names = made.names
    for topic in (names.alerts, names.borrower_risk, names.state):
        records = made.records(topic)
        assert len(records) >= len(MANY)
        for record in records:
            value = said_by(record.key, record.value) if topic == names.state else record.value
            kept = [record.key, value, *(header for _, header in record.headers)]
            assert not any(ID.encode() in (part or b"") for part in kept)
    for record in made.records(names.alerts):
        assert is_pseudonym((record.key or b"").decode())
    letters = made.records(names.dead_letters)
    assert [letter.key for letter in letters] == [MANY[0].encode()]
    assert not any(ID.encode() in (value or b"") for _, value in letters[0].headers)


def test_the_alerts_are_those_without_pseudonyms(key_file: str) -> None:
    """The same in all but what is made of the id, on the same partitions, with the same hold on the borrower in doubt."""
    plain = run_virtual(worked())
    hidden = run_virtual(worked(pseudonym_key_file=key_file))
    pseudonyms = read_pseudonyms(Path(key_file))

    def told(alert: Alert, borrower_id: str) -> tuple[object, ...]:
        advice = alert.recommendation
        return (borrower_id, alert.signal, alert.status, alert.severity, alert.event_time_ms, alert.exposure, alert.reasons, advice)  # fmt: skip

    for partition in range(PARTITIONS):
        one = alerts_of(plain.broker.read_committed(plain.names.alerts)[partition])
        other = alerts_of(hidden.broker.read_committed(hidden.names.alerts)[partition])
        assert sorted(map(str, (told(alert, pseudonyms.of(alert.borrower_id)) for alert in one))) == sorted(
            map(str, (told(alert, alert.borrower_id) for alert in other))
        )
    held = {
        alert.borrower_id
        for alert in alerts_of(hidden.records(hidden.names.alerts))
        if alert.recommendation.hold
    }
    assert held == {pseudonyms.of(MANY[0])}


def test_a_linked_id_is_hidden_too() -> None:
    """Somebody else's id is an id; a heartbeat has none."""
    pseudonyms = Pseudonyms(KEY, 1)
    decoder = PseudonymousDecoder("servicing", Decoder("servicing"), pseudonyms, 0, 1)
    linked = {
        "type": "borrower_linked",
        "event_id": "e",
        "borrower_id": "a",
        "event_time_ms": 1,
        "linked_borrower_id": "b",
        "relation": "guarantor",
    }
    for _ in range(2):  # met for the first time, and known
        (hidden,) = decoder.decode_all([KeptRecord(json.dumps(linked).encode(), b"a", 1)])
        assert isinstance(hidden, BorrowerLinked)
        assert (hidden.borrower_id, hidden.linked_borrower_id) == (pseudonyms.of("a"), pseudonyms.of("b"))
    (beat,) = decoder.decode_all([KeptRecord(b'{"type": "heartbeat", "event_time_ms": 1}', b"", 1)])
    assert beat == Heartbeat(event_time_ms=1)


@pytest.mark.parametrize("borrower", MANY)
def test_a_stray_is_refused_by_its_own_id(borrower: str) -> None:
    """On the partition of the original id it is taken, on any other refused as ever, and holds nobody."""
    payload = json.dumps(loan_of(borrower, 1)).encode()
    broken = json.dumps({"type": "repayment", "borrower_id": borrower}).encode()
    home = partition_of(borrower.encode(), PARTITIONS)
    for partition in range(PARTITIONS):
        decoder = PseudonymousDecoder(
            "repayments", Decoder("repayments"), Pseudonyms(KEY, 1), partition, PARTITIONS
        )
        records = [KeptRecord(value, borrower.encode(), at("2025-01-02")) for value in (payload, broken)]
        event, reject = decoder.decode_all(records)
        assert isinstance(reject, Reject)
        if partition == home:
            assert not isinstance(event, Reject)
            assert reject.borrower_id == Pseudonyms(KEY, 1).of(borrower)
        else:
            assert isinstance(event, Reject)
            assert (event.reason, event.borrower_id, event.detail) == ("wrong-partition", None, "")
            assert reject.borrower_id is None


@pytest.mark.parametrize(("before", "after"), [(None, "on"), ("on", None), ("on", "other")])
def test_state_of_other_ids_is_refused(
    key_file: str, tmp_path: Path, before: str | None, after: str | None
) -> None:
    """A borrower must not become a new one because a setting changed: the worker says so and ends."""
    other = tmp_path / "other.toml"
    other.write_text(f'version = 4\nkey = "{KEY.hex()}"\n')
    files = {None: None, "on": key_file, "other": str(other)}

    async def scenario() -> None:
        made = await worked(pseudonym_key_file=files[before])
        made.reopen(pseudonym_key_file=files[after])
        with pytest.raises(PseudonymError, match="another prefix and group"):
            await made.work()

    run_virtual(scenario())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"secretsecret",
        b'version = 1\nkey = "secret"\n',
        b'version = 1\nkey = "%s"\n' % (b"ab" * 31),
        b'version = -1\nkey = "%s"\n' % (b"ab" * 32),
        b'version = 1\nkey = "%s"\nmore = 1\n' % (b"ab" * 32),
        b"x" * 10_000,
    ],
)
def test_a_key_that_cannot_be_used_is_refused_and_never_quoted(tmp_path: Path, content: bytes) -> None:
    """With the file's name and what is expected."""
    file = tmp_path / "key.toml"
    file.write_bytes(content)
    with pytest.raises(PseudonymError) as error:
        read_pseudonyms(file)
    assert str(file) in str(error.value)
    assert "secret" not in str(error.value)
    assert "abab" not in str(error.value)


def test_a_missing_key_file_is_said(tmp_path: Path) -> None:
    """And no file at all is no pseudonyms."""
    with pytest.raises(PseudonymError, match="No such file"):
        pseudonyms_from(str(tmp_path / "none"))
    assert pseudonyms_from(None) is None


def test_a_borrower_is_found_by_id_and_by_pseudonym(key_file: str) -> None:
    """The same story under either name: events by the id of the inputs, alerts and state by the pseudonym."""
    made = run_virtual(worked(pseudonym_key_file=key_file))
    pseudonyms = read_pseudonyms(Path(key_file))
    looker = MemoryLooker(made.broker, PARTITIONS)
    for borrower in MANY:
        by_id, by_pseudonym = (
            read_history(looker, made.names, name, pseudonyms=pseudonyms)
            for name in (borrower, pseudonyms.of(borrower))
        )
        assert msgspec.to_builtins(by_id) == msgspec.to_builtins(by_pseudonym)
        assert len(by_id.events) == 1
        assert by_id.alerts
        assert by_id.state is not None
        assert len(by_id.refusals) == (borrower == MANY[0])
    assert read_history(looker, made.names, pseudonyms.of("nobody"), pseudonyms=pseudonyms).is_empty


def test_the_chain_of_a_worker_is_whole_with_pseudonyms(key_file: str) -> None:
    """And against its progress record, in every partition."""
    made = run_virtual(worked(pseudonym_key_file=key_file))
    looker = MemoryLooker(made.broker, PARTITIONS)
    proofs = [prove_partition(looker, made.names, partition) for partition in range(PARTITIONS)]
    assert all(proof.report.is_whole and proof.report.head_compared for proof in proofs)
    assert sum(proof.report.records for proof in proofs) == len(made.records(made.names.alerts))


def test_an_export_keeps_the_chain_and_forgets_the_person(key_file: str, tmp_path: Path) -> None:
    """Of one borrower the links alone, of all others the very bytes; the head is that of the topic."""
    made = run_virtual(worked(pseudonym_key_file=key_file))
    looker = MemoryLooker(made.broker, PARTITIONS)
    chosen = alerts_of(made.records(made.names.alerts))[0].borrower_id
    partition = next(
        number
        for number, records in enumerate(made.broker.read_committed(made.names.alerts))
        if any(alert.borrower_id == chosen for alert in alerts_of(records))
    )
    file = tmp_path / "alerts.jsonl"
    written, erased = export(looker, made.names, partition, file, frozenset({chosen}))
    proof, of_topic = prove_file(file), prove_partition(looker, made.names, partition)

    assert erased > 0
    assert chosen not in file.read_text()
    assert proof.report.is_whole
    assert (proof.report.records, proof.report.erased) == (written, erased)
    assert proof.report.head_hash == of_topic.report.head_hash
    with pytest.raises(FileExistsError):
        export(looker, made.names, partition, file, frozenset())

    made.broker.log(made.names.alerts, partition).delete_before(2)
    later = tmp_path / "later.jsonl"
    export(looker, made.names, partition, later, frozenset({chosen}))
    assert not prove_file(later).report.is_whole
    assert prove_file(later, trust_first=True).report.is_whole
