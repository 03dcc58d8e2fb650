"""Documents with something wrong in them: a value replaced by anything, or taken away, anywhere."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: number.scaleb(300)),
    st.sampled_from(
        ["", "1", "-1", "1.5", "1.", ".5", "1e3", "1_000", " 1", "١", "12.345", "20250101", "PAY", "OPEN"]
    ),
    st.sampled_from(
        [
            "2025-01-01T00:00:00Z",
            "2025-01-01 00:00:00",
            "2025-1-1 0:0:0",
            "2025-01-01T00:00:60Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:00Z",
            "2025/01/01",
            "2025/1/1",
        ]
    ),
    st.text(max_size=5),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from(["no", "seq", "kind"]), st.integers(0, 3), max_size=2),
)


def broken(document: Any, data: st.DataObject) -> Any:
    """The document itself, once or twice broken."""
    for _ in range(data.draw(st.integers(1, 2))):
        place: Any = document
        *outer, last = data.draw(st.sampled_from(_paths(document)))
        for step in outer:
            place = place[step]
        if data.draw(st.booleans()):
            place[last] = data.draw(ANYTHING)
        else:
            del place[last]
    return document


def _paths(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where values stand in a document, the outer ones too."""
    inner: Any = ()
    if isinstance(document, dict):
        inner = document.items()
    elif isinstance(document, list):
        inner = enumerate(document)
    below = [path for key, value in inner for path in _paths(value, (*at, key))]
    return [at, *below] if at else below
