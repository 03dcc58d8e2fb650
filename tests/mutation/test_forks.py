"""Processes that share what was collected: what each finds is its own, and none is taken for another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.mutation.machine import ROOT

_SAMPLE: Final = """
import os

NUMBERS = [1, 2]

def test_the_first() -> None:
    assert NUMBERS[0] == 1

def test_the_second() -> None:
    if NUMBERS[1] == 4:
        os.abort()
    while NUMBERS[1] == 3:
        pass
    assert NUMBERS[1] == 2
"""
_STEERED: Final = """
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.mutation.forks import Forks, Job

FILE = Path(sys.argv[1])

def put(place: int, number: int) -> None:
    module = next(one for one in list(sys.modules.values()) if getattr(one, "__file__", "") == str(FILE))
    module.NUMBERS[place] = number

def steer(forks: Forks) -> None:
    for name, place, number in [("same", 0, 1), ("first", 0, 7), ("second", 1, 7), ("endless", 1, 3),
        ("growing", 1, 4), ("again", 0, 1)]:
        for ended in forks.run([Job(name, [FILE], partial(put, place, number), 1)]):
            print(ended.job.name, ended.word, ended.test.rpartition("::")[2])

status = pytest.main(["-qq", "-s", "-p", "no:cacheprovider", "-p", "no:cloudcoil", sys.argv[1]], plugins=[Forks(steer, 2)])
sys.exit(status)
"""


def test_each_process_tells_what_became_of_its_own_mutant(tmp_path: Path) -> None:
    """The test that failed by its name, one without end or bounds as hanging, and whoever comes after it finds nothing broken."""
    sample = tmp_path / "test_sample.py"
    sample.write_text(_SAMPLE)

    done = subprocess.run(
        [sys.executable, "-c", _STEERED, str(sample)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout.split("\n")[:6], done.returncode) == (
        [
            "same passed ",
            "first failed test_the_first",
            "second failed test_the_second",
            "endless hung ",
            "growing hung ",
            "again passed ",
        ],
        pytest.ExitCode.OK,
    ), done.stderr
