"""Pseudonyms: borrower ids that nobody can read back without the key, in everything that this project keeps or publishes.

With `pseudonym_key_file` set, an id is replaced where bytes become events, before anything else sees it: `p<version>.` and
160 bits of HMAC-SHA256 in base32. Engine, state, alerts and risk know only that. The input topics and the dead letters,
which keep the refused bytes as they are, still hold the ids.

The partition is not changed: a borrower's task is that of the original id, which is checked here, for nobody behind can.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from models.events import TOPICS, BorrowerLinked, BorrowerUnlinked, Event, Heartbeat, Topic
from streams.codec import Ignored, RecordDecoder, Reject
from streams.partitioner import partition_of
from streams.ports import ReadRecord
from streams.small_files import read_small

KEY_BYTES_MIN: Final = 32
"""As long as the hash (RFC 2104, section 3): a shorter key can be guessed sooner than a pseudonym."""
_FILE_BYTES_MAX: Final = 4096
_DIGEST_BYTES: Final = 20
"""160 bits: among a billion borrowers, two share a pseudonym with a probability below 1e-30."""
_KNOWN_MAX: Final = 100_000
"""Ids remembered by each decoder: to hash one takes some 20 µs. About 20 MB."""
_PURPOSE: Final = b"forewarn/borrower_id\x00"
"""So that the same key, used elsewhere as well, makes other values there."""
_LOOKS: Final = re.compile(r"p[0-9]+\.[a-z2-7]{32}\Z")


class PseudonymError(Exception):
    """The key cannot be used, or does not fit what was written before: the message says what to do."""


class _KeyFile(Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    key: str


class Pseudonyms:
    """Makes pseudonyms with one key."""

    def __init__(self, key: bytes, version: int) -> None:
        """`version` names the key in every pseudonym, so that two keys are never taken for one."""
        self.prefix: Final = f"p{version}."
        self._key = key

    def of(self, borrower_id: str) -> str:
        """The pseudonym of an id."""
        digest = hmac.digest(self._key, _PURPOSE + borrower_id.encode(), hashlib.sha256)
        return self.prefix + base64.b32encode(digest[:_DIGEST_BYTES]).decode().lower()


def is_pseudonym(borrower_id: str) -> bool:
    """Whether an id looks like a pseudonym of any version."""
    return _LOOKS.match(borrower_id) is not None


def read_pseudonyms(file: Path) -> Pseudonyms:
    """Read a key file: TOML with `version` (a whole number) and `key` (hexadecimal, 32 bytes or more).

    Raises:
        PseudonymError: it cannot be read or used. The message never quotes the file.
    """
    try:
        found = msgspec.convert(tomllib.loads(read_small(file, _FILE_BYTES_MAX).decode()), _KeyFile)
        key = bytes.fromhex(found.key)
    except OSError as error:
        raise PseudonymError(f"pseudonym_key_file {file}: {error.strerror}") from error
    except (ValueError, msgspec.ValidationError) as error:
        raise PseudonymError(
            f'pseudonym_key_file {file}: expected `version = 1` and `key = "..."`, 64 hexadecimal digits or more'
        ) from error
    if len(key) < KEY_BYTES_MIN or found.version < 0:
        raise PseudonymError(
            f"pseudonym_key_file {file}: the key must have {KEY_BYTES_MIN} bytes or more, the version be 0 or more"
        )
    return Pseudonyms(key, found.version)


def pseudonyms_from(file: str | None) -> Pseudonyms | None:
    """As the setting has it; None where it is off.

    Raises:
        PseudonymError: as `read_pseudonyms`.
    """
    return None if file is None else read_pseudonyms(Path(file))


class PseudonymousDecoder:
    """Decodes the records of one topic in one partition; what comes out knows no id. See `streams.codec.RecordDecoder`."""

    def __init__(
        self,
        topic: Topic,
        decoder: RecordDecoder,
        pseudonyms: Pseudonyms,
        partition: int,
        partition_count: int,
    ) -> None:
        """`decoder` reads the records; `partition` of so many: where ids must belong by the partitioner."""
        self.topic = topic
        self._decoder = decoder
        self._pseudonyms = pseudonyms
        self._partition = partition
        self._partition_count = partition_count
        self._at_home: dict[str, str] = {}
        """Ids that belong here, with their pseudonyms; bounded."""

    @property
    def unknown_words(self) -> Counter[str]:
        """See `streams.codec.RecordDecoder`."""
        return self._decoder.unknown_words

    def decode_all(self, records: Sequence[ReadRecord]) -> Sequence[Event | Reject | Ignored]:
        """As `Decoder.decode_all`; a stray is refused here, `wrong-partition`, and holds nobody."""
        return [self._veiled(found) for found in self._decoder.decode_all(records)]

    def _veiled(self, found: Event | Reject | Ignored) -> Event | Reject | Ignored:
        if isinstance(found, Heartbeat | Ignored) or found.borrower_id is None:
            return found
        pseudonym = self._at_home.get(found.borrower_id) or self._look_up(found.borrower_id)
        if pseudonym is None:
            return self._stray(found)
        if isinstance(found, BorrowerLinked | BorrowerUnlinked):
            # What is told to the linked one goes to the partition of its own id, which nobody behind can tell.
            home = partition_of(found.linked_borrower_id.encode(), self._partition_count)
            linked = self._pseudonyms.of(found.linked_borrower_id)
            return msgspec.structs.replace(
                found, borrower_id=pseudonym, linked_borrower_id=linked, linked_partition=home
            )
        return msgspec.structs.replace(found, borrower_id=pseudonym)

    def _look_up(self, borrower_id: str) -> str | None:
        """The pseudonym of an id that is met for the first time; None where it belongs to another partition."""
        if partition_of(borrower_id.encode(), self._partition_count) != self._partition:
            return None
        if len(self._at_home) >= _KNOWN_MAX:
            self._at_home.clear()
        pseudonym = self._at_home[borrower_id] = self._pseudonyms.of(borrower_id)
        return pseudonym

    def _stray(self, found: Event | Reject) -> Reject:
        if isinstance(found, Reject):
            return msgspec.structs.replace(found, borrower_id=None)
        return Reject(
            reason="wrong-partition",
            topic=self.topic,
            borrower_id=None,
            event_id=None,
            event_time_ms=found.event_time_ms,
            detail="",
        )


def decoders_of(
    decoders: Sequence[RecordDecoder], pseudonyms: Pseudonyms, partition: int, partition_count: int
) -> list[RecordDecoder]:
    """The decoders of one task, by feed, around those that read the records."""
    return [
        PseudonymousDecoder(topic, decoder, pseudonyms, partition, partition_count)
        for topic, decoder in zip(TOPICS, decoders, strict=True)
    ]


def refuse_other_ids(pseudonyms: Pseudonyms | None, keys: Iterable[bytes]) -> None:
    """Make sure that a task's state was written under the same kind of ids; one borrower tells it of all.

    Raises:
        PseudonymError: with another version of the key, or with it where there was none before, or without it.
    """
    for key in keys:
        found = key.decode(errors="replace")
        if pseudonyms is None and is_pseudonym(found):
            raise PseudonymError(
                f"the state was written with pseudonyms ({found.partition('.')[0]}), and pseudonym_key_file is not set: set it, "
                f"or replay the inputs under another prefix and group"
            )
        if pseudonyms is not None and not found.startswith(pseudonyms.prefix):
            raise PseudonymError(
                f"the state was not written with the pseudonyms {pseudonyms.prefix}*: every borrower would be a new one. "
                f"Use the key of that time, or replay the inputs under another prefix and group"
            )
        return
