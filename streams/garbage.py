"""How often the garbage collector looks for cycles, in the processes that go through events by the million."""

from __future__ import annotations

import gc
from typing import Final

GC_THRESHOLDS: Final = (850_000, 10, 10)
"""Records and pictures of borrowers come and go by the ten thousand and hold no cycles: whatever dies, dies by its count.

The first is the bound: cycles nobody refers to hold at most so many containers more than were there, some tens of MiB, until they
are looked for. What lives is walked over once for each look, so the rarer the better: a picture has some seventy containers, and a
worker that decodes borrowers as fast as it lets go of others makes as many as it frees, so that few looks come due at all. The
others say how many looks at the young make one at those who survived one, or two (`decisions/0018-cycles-and-cold-borrowers.md`)."""


def look_rarely() -> None:
    """Set the thresholds of this process."""
    gc.set_threshold(*GC_THRESHOLDS)
