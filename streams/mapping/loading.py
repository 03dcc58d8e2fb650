"""A mapping file as workers and commands use it: read, and held against its own examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from models.events import TOPICS, Topic
from models.limits import FUTURE_TOLERANCE_MS, INT64_MAX
from streams.codec import Decoder, Ignored, KeptRecord, RecordDecoder, Reject
from streams.mapping.avro import AvroDocuments
from streams.mapping.decoder import Documents, MappedDecoder, json_document
from streams.mapping.errors import MappingError
from streams.mapping.parsing import parse_mapping
from streams.mapping.protobuf import ProtobufDocuments
from streams.mapping.registry import Registry, SchemaFiles
from streams.mapping.spec import Example, FeedMapping, Mapping
from streams.settings import Settings
from streams.small_files import read_small

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
        text = read_small(file, _FILE_BYTES_MAX).decode()
    except OSError as error:
        raise MappingError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MappingError(f"{file}: not UTF-8: {error}") from error
    mapping = parse_mapping(text, str(file))
    for feed in mapping.feeds.values():
        _check_examples(feed)
    schemas = {schema_id: str(file.parent / schema) for schema_id, schema in mapping.schemas.items()}
    return msgspec.structs.replace(mapping, schemas=schemas)


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


def documents_of(feed: FeedMapping, mapping: Mapping, settings: Settings) -> Documents:
    """How the records of a feed are read before they are mapped.

    Raises:
        MappingError: a schema cannot be read, or the registry's address is none.
    """
    if feed.format == "json":
        return json_document
    url, file = settings.schema_registry_url, settings.schema_registry_auth_file
    registry = None if url is None else Registry(url, file, serialized=feed.format == "protobuf")
    schemas = SchemaFiles(mapping.schemas, registry)
    return AvroDocuments(schemas) if feed.format == "avro" else ProtobufDocuments(schemas)


def decoders_from(settings: Settings) -> list[RecordDecoder]:
    """What decodes the records of each feed: by the mapping where it names the feed, else by the contract.

    Raises:
        MappingError: as `read_mapping` and `documents_of`.
    """
    mapping = mapping_from(settings)
    decoders: list[RecordDecoder] = []
    for topic in TOPICS:
        feed = None if mapping is None else mapping.feeds.get(topic)
        if mapping is None or feed is None:
            decoders.append(Decoder(topic))
        else:
            decoders.append(MappedDecoder(feed, documents_of(feed, mapping, settings)))
    return decoders
