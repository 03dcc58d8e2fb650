"""What differs between two policies, key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from models.policy import Policy


class Change(NamedTuple):
    """One key with its value before and after; None where a policy has no such key."""

    key: str
    old: Any
    new: Any


def changes(old: Policy | Mapping[str, Any], new: Policy | Mapping[str, Any]) -> list[Change]:
    """The keys whose values differ, in the order of their names.

    Args:
        old: a policy, or the document that it was published as, which an earlier release may have written.
        new: the same.
    """
    before, after = dict(_leaves(_document(old), "")), dict(_leaves(_document(new), ""))
    return [
        Change(key, before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _document(policy: Policy | Mapping[str, Any]) -> Any:
    # By way of JSON: what was published as a list must not differ from the tuple that it is read as.
    return msgspec.json.decode(msgspec.json.encode(policy))


def _leaves(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
