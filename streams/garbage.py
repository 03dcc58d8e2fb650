"""How often the garbage collector looks for cycles, in the processes that go through events by the million."""

from __future__ import annotations

import gc
from typing import Final

GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Records come and go by the ten thousand and hold no cycles: the default of 700 would look at them all the time."""


def look_rarely() -> None:
    """Set the thresholds of this process."""
    gc.set_threshold(*GC_THRESHOLDS)
