"""A mapping file as workers and commands use it: read, and held against its own examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from models.events import TOPICS, Topic
from models.limits import FUTURE_TOLERANCE_MS, INT64_MAX
from streams.codec import Decoder, Ignored, KeptRecord, RecordDecoder, Reject
from streams.mapping.decoder import MappedDecoder
from streams.mapping.errors import MappingError
from streams.mapping.parsing import parse_mapping
from streams.mapping.spec import Example, FeedMapping, Mapping
from streams.settings import Settings

_FILE_BYTES_MAX: Final = 1024 * 1024
"""A mapping of every type of event has some 5 KB; a megabyte is the wrong file."""
_KNOWN_BY_MS: Final = INT64_MAX - FUTURE_TOLERANCE_MS
"""Examples stand for any time."""


def read_mapping(file: Path) -> Mapping:
    """Read a mapping file and hold it against its examples.

    Raises:
        MappingError: it cannot be read, is not valid, or does another thing than an example says.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(_FILE_BYTES_MAX + 1)
        text = content.decode()
    except OSError as error:
        raise MappingError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MappingError(f"{file}: not UTF-8: {error}") from error
    if len(content) > _FILE_BYTES_MAX:
        raise MappingError(f"{file}: larger than {_FILE_BYTES_MAX} bytes: this is no mapping")
    mapping = parse_mapping(text, str(file))
    for feed in mapping.feeds.values():
        _check_examples(feed)
    return mapping


def _check_examples(feed: FeedMapping) -> None:
    if not feed.examples:
        return
    decoder = MappedDecoder(feed, keyed=False)
    for example in feed.examples:
        (found,) = decoder.decode_all([KeptRecord(example.payload, None, _KNOWN_BY_MS)])
        said = decoder.decode(example.payload, None, _KNOWN_BY_MS)
        assert found == said, "the fast way and the plain way differ"
        _check_example(feed.topic, example, found)


def _check_example(topic: Topic, example: Example, found: Any) -> None:
    if isinstance(found, Ignored):
        became = "ignored"
    elif isinstance(found, Reject):
        became = f"rejected, {found.reason}: {found.detail}"
    else:
        became = msgspec.json.encode(found).decode()
    if example.event is not None:
        expected = Decoder(topic, keyed=False).decode(msgspec.json.encode(example.event), None, _KNOWN_BY_MS)
        if isinstance(expected, Reject):
            raise MappingError(f"{example.where}.event: no event: {expected.reason}: {expected.detail}")
        if found != expected:
            raise MappingError(
                f"{example.where}: expected {msgspec.json.encode(expected).decode()}, but it becomes {became}"
            )
    elif example.rejected is not None:
        if not isinstance(found, Reject) or found.reason != example.rejected:
            raise MappingError(
                f"{example.where}: expected rejected, {example.rejected}, but it becomes {became}"
            )
    elif not isinstance(found, Ignored):
        raise MappingError(f"{example.where}: expected ignored, but it becomes {became}")


def mapping_from(settings: Settings) -> Mapping | None:
    """As the setting has it; None where there is none.

    Raises:
        MappingError: as `read_mapping`.
    """
    return None if settings.mapping_file is None else read_mapping(Path(settings.mapping_file))


def decoders_from(settings: Settings) -> list[RecordDecoder]:
    """What decodes the records of each feed: by the mapping where it names the feed, else by the contract.

    Raises:
        MappingError: as `read_mapping`.
    """
    mapping = mapping_from(settings)
    feeds = {} if mapping is None else mapping.feeds
    return [MappedDecoder(feeds[topic]) if topic in feeds else Decoder(topic) for topic in TOPICS]
