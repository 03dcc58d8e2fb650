"""What linked borrowers tell each other, as records of `linked-risk`: key = receiver, value = JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from models.links import LinkMessage, Outgoing
from streams.partitioner import partition_of
from streams.ports import OutputRecord, PortError, RawRecord

_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[LinkMessage]] = msgspec.json.Decoder(LinkMessage)

HomeOf = Callable[[str, int | None], int]
"""The partition of a borrower: from the id, and from what was remembered of it."""


def home_by_id(partition_count: int) -> HomeOf:
    """As for every record: the id alone tells."""
    return lambda borrower_id, _: partition_of(borrower_id.encode(), partition_count)


def home_as_remembered(borrower_id: str, partition: int | None) -> int:
    """Where ids are pseudonyms, their own decoder has put the partition beside them."""
    assert partition is not None, (
        "a link without a partition: it was not read by the decoder of the pseudonyms"
    )
    return partition


def records_by_partition(messages: Iterable[Outgoing], home_of: HomeOf) -> dict[int, list[OutputRecord]]:
    """Messages as records, each for the partition of its receiver, in their order."""
    records: dict[int, list[OutputRecord]] = {}
    for told in messages:
        record = OutputRecord(told.receiver.encode(), _encoder.encode(told.message))
        records.setdefault(home_of(told.receiver, told.partition), []).append(record)
    return records


def read_message(record: RawRecord, topic: str, partition: int) -> tuple[str, LinkMessage]:
    """The receiver and the message of a record.

    Raises:
        PortError: it is none; whatever wrote it, nothing can be told from it, and nothing be passed over.
    """
    try:
        return (record.key or b"").decode(), _decoder.decode(record.value or b"")
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise PortError(
            f"{topic}, partition {partition}, offset {record.offset}: a record of something else ({error}); the topic must be "
            f"written by Forewarn alone. Delete the records up to it, or begin anew under another prefix and group"
        ) from error
