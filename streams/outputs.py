"""What a transaction carries: alerts, borrower risk, training examples and state, as records ready to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from models.alerts import Alert
from models.publication import BorrowerRisk
from models.risk.examples import Example
from streams.ports import OutputRecord

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_INSTANT_MS: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_json = msgspec.json.Encoder()

CLOUD_EVENT_TYPE: Final = b"forewarn.alert.v1"


def alert_record(alert: Alert, source: bytes) -> OutputRecord:
    """An alert, with the headers of a CloudEvent in binary mode (CloudEvents 1.0, Kafka protocol binding, section 3.2).

    Args:
        alert: one revision.
        source: `ce_source`: what published it.
    """
    borrower_id = alert.borrower_id.encode()
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{alert.alert_id}.{alert.revision}".encode()),
        ("ce_source", source),
        ("ce_type", CLOUD_EVENT_TYPE),
        ("ce_time", rfc3339(alert.event_time_ms).encode()),
        ("ce_subject", borrower_id),
        ("content-type", b"application/json"),
    )
    return OutputRecord(borrower_id, _json.encode(alert), headers)


def risk_records(risks: Mapping[str, BorrowerRisk | None]) -> list[OutputRecord]:
    """The records of the compacted topic `borrower-risk`; a forgotten borrower's is a tombstone."""
    return [
        OutputRecord(borrower_id.encode(), None if risk is None else _json.encode(risk))
        for borrower_id, risk in risks.items()
    ]


def example_records(examples: Sequence[Example]) -> list[OutputRecord]:
    """The records of `training-examples`, under the hash by which an example knows its borrower."""
    return [OutputRecord(example.borrower.encode(), _json.encode(example)) for example in examples]


def state_records(changed: Mapping[str, bytes | None]) -> list[OutputRecord]:
    """The records of the changelog: each borrower's last state once, a forgotten borrower's as a tombstone."""
    return [OutputRecord(borrower_id.encode(), state) for borrower_id, state in changed.items()]


def rfc3339(instant_ms: int) -> str:
    """An instant as CloudEvents wants it; what lies beyond the calendar is its last instant."""
    instant = _EPOCH + timedelta(milliseconds=min(instant_ms, _LAST_INSTANT_MS))
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
