"""Flips of comparisons that mean the same: by the name `python -m tests.mutation.comparisons` gives them, the reason.

None of them counts as noticed. A flip belongs here only where no input whatever can tell it from the code as it is.
"""

from __future__ import annotations

from typing import Final

EQUIVALENT: Final[dict[str, str]] = {}
