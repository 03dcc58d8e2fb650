"""The demo as a process: what it ends with, and that nothing is left behind, whenever and however it is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from kafka import KafkaAdminClient

from streams.cli import main
from streams.clock import SystemClock
from streams.demo.in_memory import run_in_memory
from streams.demo.options import DemoOptions
from streams.demo.summary import summarise
from streams.kafka.local import Broker
from tests.support.processes import PATIENCE_SECONDS, processes_naming, wait_until

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--borrowers", "60", "--months", "6", "--partitions", "2")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated book."""
    folder = tmp_path_factory.mktemp("demo") / "book"
    CliRunner().invoke(main, ["simulate", str(folder), "--borrowers", "60", "--months", "6"])
    return folder


@contextmanager
def demo(temporary: Path, *arguments: str, broker: Broker | None = None) -> Iterator[subprocess.Popen[str]]:
    """A demo in a process group of its own, with all its temporary files in one place."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    environment.pop("FOREWARN_BROKER", None)
    if broker is not None:
        environment["FOREWARN_BROKER"] = broker.bootstrap_servers
    with subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "demo", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Read what the demo prints up to a line with this text."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the demo ended without printing {text!r}")


def assert_nothing_left(temporary: Path) -> None:
    """No process and no file of the demo is left, once the guards had their moment."""
    wait_until(lambda: not list(temporary.iterdir()), f"{temporary} is empty")
    wait_until(lambda: not processes_naming(str(temporary)), "no process names the demo's folder")


@pytest.mark.parametrize(
    ("moment", "whom"),
    [
        ("looking for a Kafka", "the demo alone"),
        ("Kafka at", "all in the terminal"),
        ("simulated", "the demo alone"),
        (" events/s", "the demo alone"),
        (" events/s", "all in the terminal"),
        ("All is still running", "all in the terminal"),
    ],
)
def test_ctrl_c_leaves_nothing(tmp_path: Path, moment: str, whom: str) -> None:
    """Ctrl-C at any moment: status 130, no process, no broker, no temporary folder."""
    with demo(tmp_path, *SMALL, "--keep", "--plain") as process:
        read_until(process, moment)
        if whom == "the demo alone":
            process.send_signal(signal.SIGINT)
        else:
            os.killpg(process.pid, signal.SIGINT)
        _, complaint = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 130, complaint
    assert "nothing is left running" in complaint
    assert "Traceback" not in complaint
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_demo_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """However the demo dies, its guards end workers and broker and remove the folders."""
    with demo(tmp_path, *SMALL, "--plain") as process:
        read_until(process, " events/s")
        process.send_signal(number)
        process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == (128 + number if number == signal.SIGTERM else -number)
    assert_nothing_left(tmp_path)


def test_a_worker_that_dies_makes_the_demo_fail(tmp_path: Path) -> None:
    """The demo says which worker died, how, and what it last said; and leaves nothing."""
    with demo(tmp_path, *SMALL, "--keep", "--plain") as process:
        read_until(process, "All is still running")
        workers = [pid for pid in processes_naming("streams.cli\0worker") if descends_from(pid, process.pid)]
        assert len(workers) == 1
        os.kill(workers[0], signal.SIGKILL)
        _, complaint = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 1
    assert "worker-0 ended with status -9; its last lines:" in complaint
    assert_nothing_left(tmp_path)


def descends_from(pid: int, ancestor: int) -> bool:
    """Whether a process was started by another, directly or not."""
    while pid > 1:
        if pid == ancestor:
            return True
        pid = int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    return False


def test_a_demo_on_a_given_kafka_tells_what_a_backtest_tells(
    tmp_path: Path, book: Path, broker: Broker
) -> None:
    """Two workers on the Kafka named: the alerts of a backtest, and no topic of the demo's is left there."""
    summary_file, out = tmp_path / "summary.json", tmp_path / "out"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    arguments = ("--events", str(book), "--partitions", "3", "--workers", "2")
    with demo(temporary, *arguments, "--json-summary", str(summary_file), broker=broker) as process:
        output, complaint = process.communicate(timeout=3 * PATIENCE_SECONDS)
    tested = CliRunner().invoke(main, ["backtest", str(book), "--out", str(out), "--no-learning", "--json"])

    assert process.returncode == 0, complaint
    summary, backtest = json.loads(summary_file.read_text()), json.loads(tested.stdout)
    assert summary["alerts"] == backtest["alerts"]
    assert summary["events"] == backtest["lines"]
    assert summary["judgement"] == backtest["judgement"]
    assert "events/s" in output
    assert_nothing_left(temporary)
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers.split(","))
    try:
        assert not [topic for topic in admin.list_topics() if topic.startswith(summary["topic_prefix"])]
    finally:
        admin.close()


def test_without_kafka_the_demo_tells_the_same(book: Path, tmp_path: Path) -> None:
    """The memory world gives the alerts of a backtest, too."""
    options = DemoOptions(events=book, plain=True, partitions=2)
    clock = SystemClock()
    with ExitStack() as stack:
        summary = summarise(run_in_memory(options, clock, stack), options, clock)
    tested = CliRunner().invoke(
        main, ["backtest", str(book), "--out", str(tmp_path), "--no-learning", "--json"]
    )

    backtest = json.loads(tested.stdout)
    assert summary.kafka == "memory"
    assert summary.alerts == backtest["alerts"]
    assert summary.events == backtest["lines"]
