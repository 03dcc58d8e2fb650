"""Where a value stands in a lender's payload: `header.ts`, `items[0].no`, or with JSONPath's `$.` in front."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from streams.mapping.errors import MappingError

Path = tuple[str | int, ...]
"""Names of fields and indexes of lists, from the outside in."""

_WHOLE: Final = re.compile(r"(?:\$\.)?([^.\[\]]+(?:\[\d{1,4}\])*(?:\.[^.\[\]]+(?:\[\d{1,4}\])*)*)\Z")
_STEP: Final = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def parse_path(text: str, where: str) -> Path:
    """Read a path.

    Raises:
        MappingError: it is none. A name that itself holds a dot or a bracket cannot be written.
    """
    whole = _WHOLE.match(text)
    if whole is None:
        raise MappingError(
            f"{where}: {text!r} is no path; expected names with dots, like header.ts or items[0].no"
        )
    return tuple(int(index) if index else name for index, name in _STEP.findall(whole.group(1)))


def path_text(path: Path) -> str:
    """As it is written."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def value_at(document: Any, path: Path) -> Any:
    """What stands there; None where nothing does, as where null does."""
    for step in path:
        if isinstance(step, str):
            if not isinstance(document, Mapping):
                return None
            document = document.get(step)
        else:
            if (
                not isinstance(document, Sequence)
                or isinstance(document, str | bytes)
                or step >= len(document)
            ):
                return None
            document = document[step]
    return document
