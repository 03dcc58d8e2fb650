"""What is done, a line of JSON for every finished cycle: a run that was broken off goes on behind it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from msgspec import Struct


class Parameters(Struct, frozen=True):
    """What makes two runs the same: only then one goes on where the other ended."""

    brokers: int
    seed: int
    faults: tuple[str, ...]
    """In the order in which they take turns."""


class Finished(Struct, frozen=True, kw_only=True):
    """One cycle."""

    parameters: Parameters
    cycle: int
    fault: str
    events: int
    """In the log, without heartbeats."""
    alerts: int
    missing: int
    doubled: int
    different: int
    pause_ms: int
    restarts: int
    seconds: float
    problems: list[str]
    """In words: what had to be otherwise."""
    evidence: str | None
    """Where the workers' output and the differences lie; None where all was well."""

    @property
    def passed(self) -> bool:
        """Whether nothing was missing, doubled or different, and everybody did as they had to."""
        return not (self.missing or self.doubled or self.different or self.problems)


class Journal:
    """A file of finished cycles."""

    def __init__(self, path: Path) -> None:
        """Made where it does not exist."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def finished(self, parameters: Parameters) -> dict[int, Finished]:
        """The cycles of runs with these parameters, by number; the last word on each counts.

        A last line that was cut off is none: its cycle is run again.
        """
        found = {}
        for line in self.path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                continue
            cycle = msgspec.json.decode(line, type=Finished)
            if cycle.parameters == parameters:
                found[cycle.cycle] = cycle
        return found

    def add(self, cycle: Finished) -> None:
        """Write one line, in place of whatever was cut off before."""
        content = self.path.read_bytes()
        with self.path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
            file.seek(0, os.SEEK_END)
            file.write(msgspec.json.encode(cycle) + b"\n")
