"""What Kafka's authorizer refuses, in a sentence that names the resource and the way out; for the errors of both clients."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

_RESOURCES: Final = {29: "topic", 30: "group", 31: "the cluster", 53: "transactional id"}
"""By Kafka's own number of the error, the same in every client."""


def denial(error: BaseException) -> str | None:
    """What is not allowed, where that is what the error or one of its causes says; else None."""
    cause: BaseException | None = error
    while cause is not None:
        resource = _RESOURCES.get(getattr(cause, "errno", None) or 0)
        # The system numbers its own errors likewise: 30 is a read-only file system.
        if resource is not None and not isinstance(cause, OSError):
            named = _names(cause)
            of_what = f"{resource} {named}" if named else resource
            return f"Kafka does not allow this user to use {of_what}; `forewarn topics acls` prints what each role needs"
        cause = cause.__cause__
    return None


def _names(error: BaseException) -> str:
    """The clients put there the name, a collection of names, or nothing."""
    if not error.args:
        return ""
    named = error.args[0]
    if isinstance(named, str):
        return named
    return ", ".join(sorted(map(str, named))) if isinstance(named, Collection) else ""
