"""Breaks a copy of the tree in one place, runs named tests in it, and tells which of them noticed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import pytest
from msgspec import Struct

from tests.mutation import outcomes

ROOT: Final = Path(__file__).resolve().parents[2]
_COPIED: Final = ("models", "streams", "tests", "deploy", "pyproject.toml")
_INTEGRATION: Final = ("tests/integration/", "tests/contracts/", "tests/chaos/")
"""Where tests may need a broker."""
_TAIL_LINES: Final = 30

_WORST_FIRST: Final = ("failed", "hung", "passed")


class MutationError(Exception):
    """The script cannot say anything: the message tells why."""


class Outcome(Struct, frozen=True):
    """What became of a test."""

    word: Literal["failed", "hung", "passed", "not run"]
    why: str = ""
    """The first line of the error, where it failed."""


class Edit(Struct, frozen=True):
    """One place: `old` must stand in `file` exactly once."""

    file: str
    old: str
    new: str


class Mutant(Struct, frozen=True, kw_only=True):
    """One way to break a promise."""

    name: str
    broken: str
    """What is wrong now, and what would come of it where the program runs."""
    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]
    """Tests each of which must fail: `path::name`, with parameters where one of many is meant."""
    seconds_max: float = 120.0
    """A test that has not ended by then hangs, which is a way to notice."""

    @property
    def needs_kafka(self) -> bool:
        """Whether some of its tests want a broker."""
        return any(is_on_kafka(test) for test in self.caught_by)


def is_on_kafka(test: str) -> bool:
    """Whether a test wants a broker."""
    return test.startswith(_INTEGRATION) and "[memory" not in test


def mutated(text: str, edit: Edit) -> str:
    """The broken text.

    Raises:
        MutationError: the place is not there, or there more than once: the mutant has to follow the code.
    """
    found = text.count(edit.old)
    if found != 1:
        raise MutationError(f"{edit.file}: found {found} times instead of once:\n{edit.old}")
    return text.replace(edit.old, edit.new)


class Tree:
    """A copy of the tree, to be broken and mended."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """Copy into `folder`, which must be empty; `environment` goes on top of this process's for the tests."""
        self._root = folder
        self._outcomes = folder / "outcomes.jsonl"
        self._environment = environment or {}
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / name)

    def run(
        self, tests: Iterable[str], seconds_max: float, mutant: Mutant | None = None
    ) -> dict[str, Outcome]:
        """Run tests, in the copy as it is or broken by a mutant; by test as asked for, what became of it.

        Raises:
            MutationError: a mutant's place is not there, or the tests could not be run at all.
        """
        asked = list(dict.fromkeys(tests))
        whole = {edit.file: (self._root / edit.file).read_text() for edit in mutant.edits} if mutant else {}
        try:
            for edit in mutant.edits if mutant else ():
                file = self._root / edit.file
                file.write_text(mutated(file.read_text(), edit))
            return self._outcomes_of(asked, seconds_max)
        finally:
            for name, text in whole.items():
                (self._root / name).write_text(text)

    def _outcomes_of(self, asked: Sequence[str], seconds_max: float) -> dict[str, Outcome]:
        self._outcomes.write_text("")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            outcomes.__name__,
            "-p",
            "no:cacheprovider",
            *asked,
        ]
        environment = os.environ | self._environment
        environment |= {
            "PYTHONPATH": str(self._root),  # before the editable install, and for worker processes as well
            "PYTHONDONTWRITEBYTECODE": "1",  # two mutants of one file may be written within one tick of its clock
            outcomes.FILE_VARIABLE: str(self._outcomes),
        }
        process = subprocess.Popen(
            command,
            cwd=self._root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        hung = False
        try:
            said, _ = process.communicate(timeout=seconds_max)
        except subprocess.TimeoutExpired:
            hung = True
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
        if not hung and process.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            tail = "\n".join(said.splitlines()[-_TAIL_LINES:])
            raise MutationError(f"pytest ended with status {process.returncode}:\n{tail}")
        return self._read(asked)

    def _read(self, asked: Sequence[str]) -> dict[str, Outcome]:
        """Match what was reported with what was asked for: a test without its parameters failed if one of them did."""
        ended: dict[str, Outcome] = {}
        for line in self._outcomes.read_text().splitlines():
            test, when, result, why = json.loads(line)
            if result != "passed":
                ended[test] = Outcome("failed", why)
            elif when == "setup":
                ended[test] = Outcome("hung")  # until its call is reported
            elif when == "call":
                ended[test] = Outcome("passed")
        found: dict[str, Outcome] = {}
        for test in asked:
            own = [ended[one] for one in ended if one == test or one.startswith(f"{test}[")]
            found[test] = min(
                own, key=lambda outcome: _WORST_FIRST.index(outcome.word), default=Outcome("not run")
            )
        return found
