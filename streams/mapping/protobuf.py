"""Protobuf records as documents, by the descriptor of their file. The library is Google's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from streams.mapping.errors import UnfitError
from streams.mapping.registry import Schema, Schemas, descriptor_bytes
from streams.mapping.wire import message_of, schema_id_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMP: Final = "google.protobuf.Timestamp"


class ProtobufDocuments:
    """See `streams.mapping.decoder.Documents`. Names are those of the `.proto`; enumerations come as their words.

    A plain field of proto3 that was not sent holds its zero; `optional` ones and messages are absent.
    """

    def __init__(self, schemas: Schemas) -> None:
        """`schemas`: where they come from."""
        from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

        self._files: Any = descriptor_pb2
        self._pools: Any = descriptor_pool
        self._factory: Any = message_factory
        self._broken: Any = message.DecodeError
        self._schemas = schemas
        self._known: dict[int, Any] = {}
        self._classes: dict[tuple[int, tuple[int, ...]], Any] = {}

    def __call__(self, payload: bytes) -> Any:
        """Read one record."""
        schema_id = schema_id_of(payload)
        indexes, body = message_of(payload)
        kind = self._classes.get((schema_id, indexes))
        if kind is None:
            kind = self._classes[schema_id, indexes] = self._class(schema_id, indexes)
        try:
            return _document(kind.FromString(body))
        except (self._broken, ValueError, OverflowError, RecursionError) as error:
            raise UnfitError("not-json", f"no Protobuf message of schema {schema_id}") from error

    def _class(self, schema_id: int, indexes: tuple[int, ...]) -> Any:
        if schema_id not in self._known:
            self._known[schema_id] = self._load(schema_id)
        at = self._known[schema_id]
        try:
            found = list(at.message_types_by_name.values())[indexes[0]]
            for index in indexes[1:]:
                found = found.nested_types[index]
        except IndexError as error:
            raise UnfitError("not-json", f"schema {schema_id} has no such message") from error
        return self._factory.GetMessageClass(found)

    def _load(self, schema_id: int) -> Any:
        """The descriptor of the schema's file, in a pool of its own: two schemas may name the same messages."""
        pool = self._pools.DescriptorPool()
        try:
            files = self._files_of(self._schemas.get(schema_id), {})
            known: set[str] = set()
            for file in files:
                self._add(pool, file, {one.name: one for one in files}, known)
            return pool.FindFileByName(files[-1].name)
        except (self._broken, TypeError, KeyError) as error:
            raise UnfitError(
                "not-json", f"schema {schema_id} is no Protobuf schema: {type(error).__name__}"
            ) from error

    def _add(self, pool: Any, file: Any, files: dict[str, Any], known: set[str]) -> None:
        """What it imports first; Google's own files are known to the library."""
        if file.name in known:
            return
        known.add(file.name)
        for name in file.dependency:
            imported = files.get(name)
            if imported is None:
                imported = self._files.FileDescriptorProto()
                self._pools.Default().FindFileByName(name).CopyToProto(imported)
            self._add(pool, imported, files, known)
        pool.Add(file)

    def _files_of(self, schema: Schema, named: dict[str, Any]) -> list[Any]:
        """The file of a schema last, those that it imports before it."""
        content = descriptor_bytes(schema)
        found = []
        for name, referred in schema.references:
            inner = self._files_of(referred, named)
            inner[-1].name = name
            found += inner
        one = self._files.FileDescriptorSet()
        try:
            one.ParseFromString(content)
            whole = bool(one.file) and all(
                file.name and (file.message_type or file.enum_type) for file in one.file
            )
        except self._broken:
            whole = False
        if whole:  # a set, as protoc writes it: the file itself comes last
            return [*found, *one.file]
        file = self._files.FileDescriptorProto()
        file.ParseFromString(content)
        file.name = file.name or "schema.proto"
        return [*found, file]


def _document(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            inner = field.message_type.fields_by_name["value"]
            found[field.name] = {str(key): _value(inner, value[key]) for key in value}
        elif field.is_repeated:
            found[field.name] = [_value(field, one) for one in value]
        else:
            found[field.name] = _value(field, value)
    return found


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        if field.message_type.full_name == _TIMESTAMP:
            return _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
        return _document(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return str(value) if known is None else known.name
    return value
