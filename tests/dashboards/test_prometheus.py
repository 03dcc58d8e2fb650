"""A Prometheus is found where it is said to be, or its absence is told with what helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.prometheus import PrometheusMissingError, find


def test_the_variable_goes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`FOREWARN_PROMETHEUS` names the folder that holds both programs."""
    program = tmp_path / "promtool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("FOREWARN_PROMETHEUS", str(tmp_path))

    assert find("promtool") == str(program)


def test_where_there_is_none_it_is_told_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is skipped: the test that needs it fails by this sentence."""
    monkeypatch.delenv("FOREWARN_PROMETHEUS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(PrometheusMissingError, match=r"^prometheus is needed .* apt-get install prometheus"):
        find("prometheus")
