"""Both forms of `models` decide alike, to the byte. `tests/compiled/run` compiles, then runs this and the tests of `models`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.simulator import SimulationSettings, write_folder


def _told(folder: Path, choice: str) -> list[str]:
    said = subprocess.run(
        [sys.executable, "-m", "tests.compiled.digest", str(folder)],
        env=os.environ | {"FOREWARN_COMPILED": choice},
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.split()


@pytest.mark.parametrize("seed", [7, 11])
def test_both_forms_make_the_same_bytes_of_one_book(tmp_path: Path, seed: int) -> None:
    """Alerts, states, risks, examples, messages, refusals and progress of a simulated book are the same in both forms."""
    write_folder(SimulationSettings(borrowers=120, months=9, seed=seed), tmp_path)
    pure, compiled = _told(tmp_path, "no"), _told(tmp_path, "must")
    assert (pure[0], compiled[0]) == ("pure", "compiled")
    assert compiled[1:] == pure[1:]
    assert int(pure[2]) > 100, "a book without alerts proves nothing"
