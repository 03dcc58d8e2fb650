"""The official parser takes the document for what it is meant to be, and refuses one that is broken."""

from __future__ import annotations

import json
from typing import Any

from models.events import TOPICS, TYPES_BY_TOPIC
from streams.contract.asyncapi import asyncapi_document
from streams.settings import Settings
from tests.support.official_parser import parsed

_INFORMATION = 2
"""Severities are 0 for errors, 1 for warnings; those above are hints."""
_LATER_VERSION = "asyncapi-latest-version"
"""That there is a later version of AsyncAPI: 3.0 is what is promised."""


def test_the_official_parser_takes_the_document() -> None:
    """Without errors, warnings or hints; with every message of every topic."""
    told = parsed(json.dumps(asyncapi_document(Settings())))

    assert told["version"] == "3.0.0"
    assert [one for one in told["diagnostics"] if one["code"] != _LATER_VERSION] == []
    for topic in TOPICS:
        assert set(told["messages"][topic]) == {kind.__name__ for kind in TYPES_BY_TOPIC[topic]}
    assert told["messages"]["alerts"] == ["Alert"]


def test_the_official_parser_refuses_what_is_broken() -> None:
    """A schema that is none, a reference into nothing, and an operation that is neither sent nor received."""
    document: dict[str, Any] = asyncapi_document(Settings())
    document["components"]["schemas"]["Alert"]["type"] = "thing"
    document["channels"]["alerts"]["messages"]["Alert"] = {"$ref": "#/components/messages/Nothing"}
    document["operations"]["sendAlerts"]["action"] = "publish"
    told = parsed(json.dumps(document))

    wrong = " ".join(
        f"{one['path']} {one['message']}" for one in told["diagnostics"] if one["severity"] < _INFORMATION
    )
    assert told["version"] is None
    for place in (
        "components.schemas.Alert.type",
        "channels.alerts.messages.Alert",
        "operations.sendAlerts.action",
    ):
        assert place in wrong
