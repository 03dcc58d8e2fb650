"""A worker that reads a lender's topic: what is ignored is passed over for good, and pseudonyms hide mapped ids too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.alerts import Alert
from models.events import TOPICS
from streams.memory.virtual_time import run_virtual
from streams.progress import decode_progress, is_progress_key
from streams.pseudonym import is_pseudonym
from tests.support.events import at
from tests.support.memory_installation import Installation

TOPIC = "core.loans"
MAPPING = """
[[repayments.events]]
type = "loan_opened"
when = { kind = "GRANTED" }
event_id = "serial"
borrower_id = "cust"
event_time_ms = "at"
loan_id = "loan"
platform_id = { constant = "own" }
currency = { constant = "CNY" }
principal_minor = { from = "amount", unit = "yuan" }
instalments = { from = "plan", each = { number = "no", due_date = "due", amount_minor = { from = "amount", unit = "yuan" } } }

[[repayments.events]]
type = "heartbeat"
when = { kind = "BEAT" }
event_time_ms = "at"

[[repayments.ignored]]
when = { kind = "RATE" }
"""


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """With the mapping."""
    (tmp_path / "lender.toml").write_text(MAPPING, encoding="utf-8")
    return {"mapping_file": str(tmp_path / "lender.toml"), "repayments_topic": TOPIC}


async def worked(**changes: Any) -> Installation:
    """One who misses a payment, one record that cannot be read, and many that are ignored, the last of the topic too."""
    made = Installation(**changes)
    plan = [{"no": 1, "due": "2025-02-01", "amount": 1000.10}]
    loan = {
        "kind": "GRANTED",
        "serial": "1",
        "cust": "b-1",
        "at": at("2025-01-01"),
        "loan": "l-1",
        "amount": 1000.10,
    }
    made.produce("repayments", {**loan, "plan": plan}, "b-1")
    made.produce("repayments", {**loan, "serial": "2", "plan": 5}, "b-1")
    made.close(at("2025-03-01"))
    for partition in range(3):
        made.broker.produce(TOPIC, partition, b"", b'{"kind": "BEAT", "at": %d}' % at("2025-03-01"))
        for _ in range(5):
            made.broker.produce(TOPIC, partition, b"x", b'{"kind": "RATE"}')
    await made.work()
    return made


def test_a_lenders_topic_is_worked_to_its_end(settings: dict[str, Any]) -> None:
    """The alert comes, the refused record is kept as it was, and behind what is ignored at the end goes the position."""
    made = run_virtual(worked(**settings))
    alerts = [
        msgspec.json.decode(record.value or b"", type=Alert) for record in made.records(made.names.alerts)
    ]
    letters = made.records(made.names.dead_letters)

    assert {(alert.signal, alert.borrower_id, alert.exposure.overdue_minor) for alert in alerts} >= {
        ("missed_payment", "b-1", 100_010)
    }
    assert [dict(letter.headers)["forewarn.reject.reason"] for letter in letters if letter.key == b"b-1"] == [
        b"wrong-type"
    ]
    feed = TOPICS.index("repayments")
    last = {
        record.key: decode_progress(record.value).offsets[feed]
        for record in made.records(made.names.state)
        if record.key is not None and record.value is not None and is_progress_key(record.key)
    }
    assert sorted(last.values()) == sorted(len(records) for records in made.broker.read_committed(TOPIC))
    told = made.metrics.registry.get_sample_value(
        "forewarn_events_total", {"topic": "repayments", "type": "ignored"}
    )
    assert told == 15


def test_pseudonyms_hide_what_a_mapping_reads(settings: dict[str, Any], tmp_path: Path) -> None:
    """No id of the lender's goes out."""
    (tmp_path / "key.toml").write_text(f'version = 1\nkey = "{bytes(32).hex()}"\n', encoding="utf-8")
    made = run_virtual(worked(**settings, pseudonym_key_file=str(tmp_path / "key.toml")))
    records = made.records(made.names.alerts)

    assert records
    assert all(is_pseudonym((record.key or b"").decode()) for record in records)
