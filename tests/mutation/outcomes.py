"""A pytest plugin: writes what became of each test, a JSON line each, and refuses to test any tree but its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import pytest

import models
import streams

FILE_VARIABLE: Final = "MUTATION_OUTCOMES"


def pytest_configure(config: pytest.Config) -> None:
    """See that the modules are those of the tree under test, not of an installed one."""
    for package in (models, streams):
        found = Path(package.__file__ or "").resolve()
        if not found.is_relative_to(config.rootpath.resolve()):
            raise pytest.UsageError(f"{package.__name__} comes from {found}, not from {config.rootpath}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how a phase of a test ended, and what a failed one said last."""
    said = report.longreprtext.splitlines() if report.failed else []
    why = next((line for line in said if line.startswith("E ")), "")
    with Path(os.environ[FILE_VARIABLE]).open("a", encoding="utf-8") as file:
        file.write(json.dumps([report.nodeid, report.when, report.outcome, why[1:].strip()]) + "\n")
