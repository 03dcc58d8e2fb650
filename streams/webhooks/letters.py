"""Dead letters of webhooks: the message as it was, and why it was given up, in headers like those of the other dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from streams.dead_letters import CONNECT_PREFIX
from streams.ports import OutputRecord, RawRecord
from streams.webhooks.sender import Attempt

ENDPOINT_HEADER: Final = "forewarn.webhook.endpoint"
REASON_HEADER: Final = "forewarn.webhook.reason"
DETAIL_HEADER: Final = "forewarn.webhook.detail"
ATTEMPTS_HEADER: Final = "forewarn.webhook.attempts"
MESSAGE_HEADER: Final = "forewarn.webhook.id"
NOT_AN_ALERT: Final = "not_an_alert"


def webhook_letter(
    record: RawRecord,
    place: tuple[str, int],
    endpoint: str,
    message_id: str | None,
    last: Attempt | None,
    attempts: int,
) -> OutputRecord:
    """The letter of a message that was given up.

    Args:
        record: as read; key, value and headers stay what they are.
        place: its topic, with prefix, and its partition.
        endpoint: by name.
        message_id: None where the record is no alert.
        last: attempt; None where none was made.
        attempts: how many were made.
    """
    told = {
        CONNECT_PREFIX + "topic": place[0],
        CONNECT_PREFIX + "partition": str(place[1]),
        CONNECT_PREFIX + "offset": str(record.offset),
        ENDPOINT_HEADER: endpoint,
        REASON_HEADER: NOT_AN_ALERT if last is None else last.outcome,
        DETAIL_HEADER: "" if last is None else last.detail,
        ATTEMPTS_HEADER: str(attempts),
        MESSAGE_HEADER: message_id or "",
    }
    headers = [*record.headers, *((name, text.encode()) for name, text in told.items())]
    return OutputRecord(record.key, record.value, headers)


class WebhookLetter(Struct, frozen=True):
    """A letter as it stands in its topic."""

    partition: int
    offset: int
    given_up_at_ms: int
    endpoint: str
    reason: str
    detail: str
    attempts: int
    message_id: str
    """Empty where the record is no alert."""
    value: bytes | None


def read_webhook_letter(
    place: tuple[int, int],
    timestamp_ms: int,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
) -> WebhookLetter | None:
    """Make sense of a record of the topic; None where it is none of ours. `place`: partition and offset."""
    said = {name: (data or b"").decode(errors="replace") for name, data in headers}
    attempts = said.get(ATTEMPTS_HEADER, "")
    if ENDPOINT_HEADER not in said or not (attempts.isascii() and attempts.isdecimal()):
        return None
    return WebhookLetter(
        partition=place[0],
        offset=place[1],
        given_up_at_ms=timestamp_ms,
        endpoint=said[ENDPOINT_HEADER],
        reason=said.get(REASON_HEADER, ""),
        detail=said.get(DETAIL_HEADER, ""),
        attempts=int(attempts),
        message_id=said.get(MESSAGE_HEADER, ""),
        value=value,
    )
