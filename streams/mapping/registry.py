"""Schemas by id: from files that the mapping names, else from a schema registry. An id means the same schema for ever.

A worker asks the registry once for each id, between two batches' records, and waits for the answer: some milliseconds, and
`_TRIES` times `_TIMEOUT_SECONDS` at most, well within a session of the group.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

from msgspec import Struct

from streams.mapping.errors import MappingError, UnfitError
from streams.ports import PortError
from streams.small_files import read_small

_TRIES: Final = 3
_TIMEOUT_SECONDS: Final = 1.5
_PAUSE_SECONDS: Final = 0.3
_ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""Registries refuse schemas of more than one megabyte; in base64 and JSON it is more."""
_FILE_BYTES_MAX: Final = 4 * 1024 * 1024
_UNKNOWN_SECONDS: Final = 30.0
"""How long an id that the registry does not know is not asked for again: a flood of such records must not become one of requests."""
_REFERENCES_MAX: Final = 100
"""Schemas that one schema may draw in."""
_AUTHORIZATION_BYTES_MAX: Final = 4096


class RegistryError(PortError):
    """The schema registry did not answer, or not as one: the message says what was asked."""


class Schema(Struct, frozen=True):
    """A schema as the registry keeps it, with what it refers to first."""

    text: str
    """Avro: JSON. Protobuf: the descriptor of its file in base64."""
    references: tuple[tuple[str, Schema], ...] = ()
    """Under the name by which it is referred to."""


class Schemas(Protocol):
    """Where schemas come from."""

    def get(self, schema_id: int) -> Schema:
        """One schema.

        Raises:
            UnfitError: nobody knows the id.
            RegistryError: the registry cannot be asked.
        """
        ...


class SchemaFiles:
    """Those that the mapping names; see `Schemas`. For Protobuf a descriptor set: `protoc --include_imports -o FILE`."""

    def __init__(self, files: Mapping[int, str], otherwise: Schemas | None) -> None:
        """Read all of them; what they lack is asked for `otherwise`.

        Raises:
            MappingError: a file cannot be read.
        """
        self._known = {schema_id: _read(Path(file)) for schema_id, file in files.items()}
        self._otherwise = otherwise

    def get(self, schema_id: int) -> Schema:
        """See `Schemas`."""
        known = self._known.get(schema_id)
        if known is not None:
            return known
        if self._otherwise is None:
            raise UnfitError(
                "not-json", f"schema {schema_id} is neither in the mapping nor is there a registry to ask"
            )
        return self._otherwise.get(schema_id)


def _read(file: Path) -> Schema:
    try:
        content = read_small(file, _FILE_BYTES_MAX)
    except OSError as error:
        raise MappingError(f"schema {file}: {error.strerror}") from error
    if file.suffix == ".avsc":
        try:
            return Schema(content.decode())
        except UnicodeDecodeError as error:
            raise MappingError(f"schema {file}: not UTF-8") from error
    return Schema(base64.b64encode(content).decode())


class Registry:
    """A schema registry with Confluent's interface. See `Schemas`."""

    def __init__(self, url: str, authorization_file: str | None = None, *, serialized: bool = False) -> None:
        """Ask nothing yet.

        Args:
            url: `http://host:8081`.
            authorization_file: holds `user:password`; read at each request, so that it may be changed.
            serialized: ask for descriptors instead of Protobuf's own text.

        Raises:
            MappingError: no address of the web.
        """
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise MappingError("schema_registry_url: expected an address like http://host:8081")
        self._url = url.rstrip("/")
        self._authorization_file = authorization_file
        self._query = "?format=serialized" if serialized else ""
        self._known: dict[int, Schema] = {}
        self._unknown_until: dict[int, float] = {}

    def get(self, schema_id: int) -> Schema:
        """See `Schemas`."""
        known = self._known.get(schema_id)
        if known is not None:
            return known
        if time.monotonic() >= self._unknown_until.get(schema_id, 0):
            found = self._ask(f"/schemas/ids/{schema_id}")
            if found is not None:
                schema = self._known[schema_id] = self._whole(found, [_REFERENCES_MAX])
                return schema
            if len(self._unknown_until) > _REFERENCES_MAX:
                self._unknown_until.clear()
            self._unknown_until[schema_id] = time.monotonic() + _UNKNOWN_SECONDS
        raise UnfitError("not-json", f"the schema registry does not know schema {schema_id}")

    def _whole(self, found: dict[str, Any], left: list[int]) -> Schema:
        """A schema with those that it refers to."""
        references = []
        for one in found.get("references") or ():
            left[0] -= 1
            path = f"/subjects/{quote(str(one['subject']), safe='')}/versions/{int(one['version'])}"
            referred = self._ask(path)
            if referred is None or left[0] < 0:
                raise RegistryError(f"schema registry {self._url}: {path} is referred to and cannot be had")
            references.append((str(one["name"]), self._whole(referred, left)))
        return Schema(str(found["schema"]), tuple(references))

    def _ask(self, path: str) -> dict[str, Any] | None:
        """The answer; None where the registry has no such thing."""
        failure: Exception | None = None
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE_SECONDS)
            try:
                return self._request(path)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 404:
                    return None
                failure = error
                if error.code < 500 and error.code != 429:
                    break
            except (OSError, ValueError) as error:
                failure = error
        raise RegistryError(f"schema registry {self._url}: {path}: {failure}") from failure

    def _request(self, path: str) -> dict[str, Any]:
        request = urllib.request.Request(self._url + path + self._query)  # noqa: S310 - the scheme was looked at
        request.add_header("Accept", "application/vnd.schemaregistry.v1+json, application/json")
        if self._authorization_file is not None:
            secret = read_small(Path(self._authorization_file), _AUTHORIZATION_BYTES_MAX).strip()
            request.add_header("Authorization", f"Basic {base64.b64encode(secret).decode()}")
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - see above
            content = answer.read(_ANSWER_BYTES_MAX + 1)
        found = json.loads(content)
        if not isinstance(found, dict) or not isinstance(found.get("schema"), str):
            raise ValueError("no schema in the answer")  # noqa: TRY004 - of the world, not of a caller
        return found


def descriptor_bytes(schema: Schema) -> bytes:
    """The descriptor of a Protobuf schema.

    Raises:
        UnfitError: the registry gave something else, such as the text of a `.proto`.
    """
    try:
        return base64.b64decode(schema.text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnfitError(
            "not-json",
            "the registry gives no descriptor for the schema (format=serialized); name a file under [schemas]",
        ) from error
