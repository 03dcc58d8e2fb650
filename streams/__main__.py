"""Run a module with `models` in the form that was chosen: `python -m streams tests.bench.observing`.

A module that imports `models` before `streams` would run the pure form: here the choice comes first.
"""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit("python -m streams MODULE [its arguments]")
    sys.argv.pop(0)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
