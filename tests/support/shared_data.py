"""Where the shared data sets lie: `FOREWARN_SHARED_DATA`, else `../shared/data` beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

VARIABLE: Final = "FOREWARN_SHARED_DATA"
CHECKOUT: Final = Path(__file__).resolve().parents[2]


def shared_file(relative: str) -> Path:
    """A file of the shared data; fail the test, never skip it, where it is missing."""
    folder = Path(os.environ.get(VARIABLE) or CHECKOUT.parent / "shared" / "data")
    path = folder / relative
    if not path.is_file():
        pytest.fail(f"{path} is missing: put the data there, or name its folder in {VARIABLE}", pytrace=False)
    return path
