"""`audit verify --file`: the alerts of a backtest, as they are and as somebody changed them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from models.alerts import ChainHead
from streams.audit import LINE_BYTES_MAX, prove_partition
from streams.cli import main
from streams.clock import SystemClock
from streams.memory.broker import MemoryBroker
from streams.progress import encode_progress, progress_key
from streams.topics import TopicNames
from tests.models.test_audit import chain, head_of
from tests.streams.keep_progress import positions
from tests.support.memory_looker import MemoryLooker, SeenInMemory


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


class LateLooker(MemoryLooker):
    """Shows the last alert, or the last progress, only when it is looked for again: as amid a commit."""

    def __init__(self, broker: MemoryBroker, late_topic: str, hidden_looks: int) -> None:
        super().__init__(broker, 1)
        self._late_topic = late_topic
        self._hidden_looks = hidden_looks

    def read(
        self, topic: str, partitions: Sequence[int], *, from_offset: int | None = None
    ) -> Iterator[SeenInMemory]:
        records = list(super().read(topic, partitions, from_offset=from_offset))
        if topic == self._late_topic and self._hidden_looks > 0:
            self._hidden_looks -= 1
            records = [record for record in records if record.offset < self.span(topic, 0)[1] - 1]
        return iter(records)


@pytest.mark.parametrize("late", ["alerts", "forewarn-state"])
def test_a_commit_that_shows_in_one_partition_first_is_no_break(late: str) -> None:
    """Markers are written to one partition after the other; only what stays missing is missing."""
    broker = MemoryBroker(SystemClock())
    names = TopicNames("")
    for topic in (names.alerts, names.state):
        broker.create_topic(topic, 1)
    alerts = chain(3)
    for count in (2, 3):
        broker.produce(names.state, 0, progress_key(0), progress(count, head_of(alerts[:count])))
    for alert in alerts:
        broker.produce(names.alerts, 0, b"b1", msgspec.json.encode(alert))
    looks = 1 if late == "alerts" else 2  # before and after

    assert prove_partition(LateLooker(broker, late, looks), names, 0).report.is_whole
    assert not prove_partition(LateLooker(broker, late, 10**6), names, 0).report.is_whole


def progress(offset: int, head: ChainHead) -> bytes:
    """A progress record whose chain stands there."""
    (_, busy) = positions()["busy"]
    engine = msgspec.structs.replace(busy.engine, chain=head)
    return encode_progress(msgspec.structs.replace(busy, offsets=(offset,) * 5, engine=engine))
