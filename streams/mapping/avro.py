"""Avro records as documents, with the schema that wrote them. The library is fastavro."""

from __future__ import annotations

import json
import struct
from io import BytesIO
from typing import Any, Final

from streams.mapping.errors import UnfitError
from streams.mapping.registry import Schema, Schemas
from streams.mapping.wire import avro_body, schema_id_of

_BROKEN: Final = (
    EOFError,
    ValueError,  # with UnicodeDecodeError
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    struct.error,
)
"""What reading bytes by the wrong schema may raise."""


class AvroDocuments:
    """See `streams.mapping.decoder.Documents`. Logical types come as decimals, instants and dates."""

    def __init__(self, schemas: Schemas) -> None:
        """`schemas`: where they come from."""
        import fastavro  # not for those whose topics hold none

        self._library: Any = fastavro
        self._schemas = schemas
        self._parsed: dict[int, Any] = {}

    def __call__(self, payload: bytes) -> Any:
        """Read one record."""
        schema_id = schema_id_of(payload)
        parsed = self._parsed.get(schema_id)
        if parsed is None:
            parsed = self._parsed[schema_id] = self._parse(schema_id)
        body = BytesIO(avro_body(payload))
        try:
            document = self._library.schemaless_reader(body, parsed, None)
        except _BROKEN as error:
            raise UnfitError("not-json", f"no Avro record of schema {schema_id}") from error
        if body.read(1):
            raise UnfitError("not-json", f"more bytes than an Avro record of schema {schema_id} has")
        return document

    def _parse(self, schema_id: int) -> Any:
        named: dict[str, Any] = {}
        try:
            return self._parse_whole(self._schemas.get(schema_id), named)
        except (
            ValueError,
            self._library.schema.SchemaParseException,
            self._library.schema.UnknownType,
        ) as error:
            raise UnfitError("not-json", f"schema {schema_id} is no Avro schema") from error

    def _parse_whole(self, schema: Schema, named: dict[str, Any]) -> Any:
        for _, referred in schema.references:
            self._parse_whole(referred, named)
        return self._library.parse_schema(json.loads(schema.text), named_schemas=named)
