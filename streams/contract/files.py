"""The whole contract as files: what `forewarn schema --out` writes and `deploy/schemas/` holds."""

from __future__ import annotations

import json
from typing import Final

from streams.contract.asyncapi import asyncapi_document
from streams.contract.schemas import EVENTS, Schema, schema_names, schema_of
from streams.settings import Settings

ASYNCAPI: Final = "asyncapi"


def document_names() -> list[str]:
    """Every document there is."""
    return [ASYNCAPI, *schema_names()]


def document_of(name: str, settings: Settings) -> Schema:
    """One document; `settings` are told of only in the AsyncAPI document."""
    return asyncapi_document(settings) if name == ASYNCAPI else schema_of(name)


def contract_files(settings: Settings) -> dict[str, str]:
    """Every document by its path."""
    return {_path(name): printed(document_of(name, settings)) for name in document_names()}


def printed(document: Schema) -> str:
    """As people read it, and the same each time."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _path(name: str) -> str:
    if name == ASYNCAPI:
        return "asyncapi.json"
    return f"events/{name}.schema.json" if name in EVENTS else f"{name}.schema.json"
