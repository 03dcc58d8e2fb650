"""Dead letters: the refused record as it was, and why, in the headers that Kafka Connect's dead letter queues use.

Tools that read those queues read ours (KIP-298). Key and value are the record's own bytes; its own headers stay in front.
"""

from __future__ import annotations

from typing import Final

from models.rejects import RejectReason
from streams.ports import OutputRecord, RawRecord

CONNECT_PREFIX: Final = "__connect.errors."
REASON_HEADER: Final = "forewarn.reject.reason"
TIMESTAMP_HEADER: Final = "forewarn.reject.timestamp_ms"
"""When the refused record was produced: `retry` and readers know by it what was known when."""

_HEADERS_BYTES_MAX: Final = 16 * 1024
"""Own headers of a refused record are kept up to this size: the output's headroom must hold them and ours."""
_MESSAGE_CHARACTERS_MAX: Final = 1_000
"""Of a decoder's message: it may quote the payload."""


def dead_letter(
    record: RawRecord, topic: str, task: int, reason: RejectReason, detail: str, connector: str
) -> OutputRecord:
    """The dead letter of a refused record.

    Args:
        record: as read.
        topic: its topic, with prefix.
        task: its partition.
        reason: the word out of the closed list.
        detail: what the decoder or the engine said.
        connector: who refused it: `connector.name`.
    """
    own = record.headers
    if sum(len(name) + len(value or b"") for name, value in own) > _HEADERS_BYTES_MAX:
        own = ()
    kind = "decode" if detail else "process"
    said = {
        "topic": topic,
        "partition": str(task),
        "offset": str(record.offset),
        "connector.name": connector,
        "task.id": str(task),
        "stage": "VALUE_CONVERTER" if kind == "decode" else "TASK_PUT",
        "class.name": "streams.codec.Decoder" if kind == "decode" else "models.engine.RiskEngine",
        "exception.class.name": "streams.codec.Reject",
        "exception.message": f"{reason}: {detail[:_MESSAGE_CHARACTERS_MAX]}" if detail else reason,
    }
    headers = [
        *(
            (name, value)
            for name, value in own
            if not name.startswith(CONNECT_PREFIX) and name != REASON_HEADER
        ),
        *((CONNECT_PREFIX + name, text.encode()) for name, text in said.items()),
        (REASON_HEADER, reason.encode()),
        (TIMESTAMP_HEADER, str(record.timestamp).encode()),
    ]
    return OutputRecord(record.key, record.value, headers)
