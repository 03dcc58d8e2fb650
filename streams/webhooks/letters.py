"""Dead letters of webhooks: the message as it was, and why it was given up, in headers like those of the other dead letters."""

from __future__ import annotations

from typing import Final

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
