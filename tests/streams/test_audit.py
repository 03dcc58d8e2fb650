"""`audit verify --file`: the alerts of a backtest, as they are and as somebody changed them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.audit import LINE_BYTES_MAX
from streams.cli import main


def verify(file: Path, *arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["audit", "verify", "--file", str(file), *arguments])


@pytest.fixture(scope="module")
def backtested(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The lines that a backtest of a simulated book wrote."""
    folder = tmp_path_factory.mktemp("audit")
    book, out = str(folder / "book"), str(folder / "out")
    for arguments in (
        ["simulate", book, "--borrowers", "60", "--months", "6"],
        ["backtest", book, "--out", out],
    ):
        assert CliRunner().invoke(main, arguments).exit_code == 0
    return (folder / "out" / "alerts.jsonl").read_bytes().splitlines(keepends=True)


def test_a_backtest_is_whole(backtested: list[bytes], tmp_path: Path) -> None:
    """Every alert of a real run, whatever evidence it carries; and the head is said, to be noted elsewhere."""
    file = tmp_path / "alerts.jsonl"
    file.write_bytes(b"".join(backtested))
    result = verify(file)
    head = json.loads(backtested[-1])["chain"]["hash"]

    assert result.exit_code == 0, result.output
    assert f"whole, {len(backtested)} records, proved 1 to {len(backtested)}, head {head}" in result.stdout
    assert len(backtested) > 10


def test_a_changed_line_is_named(backtested: list[bytes], tmp_path: Path) -> None:
    """By its number, with exit status 1."""
    lines = list(backtested)
    lines[4] = lines[4].replace(b'"priority":', b'"priority":1')
    file = tmp_path / "alerts.jsonl"
    file.write_bytes(b"\n".join(lines))  # blank lines between them: these are no alerts and no breaks
    result = verify(file, "--json")

    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["whole"] is False
    found = document["chains"][0]["report"]["first_break"]
    assert (found["kind"], found["offset"], found["sequence"]) == ("changed", 9, 5)
    assert "changed at line 9, alert 5" in verify(file).stdout


def test_a_file_without_end_is_no_alert(tmp_path: Path) -> None:
    """A line longer than any alert is refused at its beginning, not read into memory."""
    file = tmp_path / "alerts.jsonl"
    file.write_bytes(b"x" * (LINE_BYTES_MAX + 2))
    assert "changed at line 1" in verify(file).stdout


def test_wrong_usage(tmp_path: Path) -> None:
    """A file that is not there; a file with a partition."""
    assert verify(tmp_path / "none.jsonl").exit_code == 1
    assert verify(tmp_path / "none.jsonl", "--partition", "1").exit_code == 2
