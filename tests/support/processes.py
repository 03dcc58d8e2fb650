"""Look at other processes, and wait for what must happen."""

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 60.0
"""Far beyond what anything takes here: a test that fails by this has found something."""


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as the condition holds; fail, naming it, when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still not: {what}"
        time.sleep(0.05)


def processes_naming(text: str) -> list[int]:
    """Return the pids of all processes with this text in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it has just ended
                continue
            if text.encode() in command:
                found.append(int(entry.name))
    return found
