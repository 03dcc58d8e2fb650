"""The commands against a real Kafka: a garbled book goes in, a worker works, and every command shows what is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from click.testing import CliRunner, Result

from models.alerts import Alert
from models.events import LINKED_RISK
from streams.cli import main
from streams.kafka.local import Broker
from streams.partitioner import partition_of
from tests.support.equality import by_borrower
from tests.support.events import at
from tests.support.kafka import unique

pytestmark = pytest.mark.kafka

PARTITIONS = 3
ROOT = Path(__file__).resolve().parents[2]
SHORT = b'{"type":"repayment","event_id":"x-1","borrower_id":"s00000001","event_time_ms":1750000000000,"loan_id":"l"}'
GARBAGE = (b"{", b"\xff\xfe", SHORT, SHORT.replace(b"}", b',"amount_minor":-5}').replace(b"x-1", b"x-2"))


class Installation(NamedTuple):
    """A prefix of its own on the shared broker, with a book replayed and processed."""

    environment: dict[str, str]
    book: Path
    out: Path
    alerts: list[Alert]

    def run(self, *arguments: str | Path) -> Result:
        """Run a command in this process."""
        result = CliRunner(env=self.environment).invoke(main, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result

    def json(self, *arguments: str | Path) -> Any:
        """Run a command that prints one JSON document, and read it."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


def garbled_book(folder: Path) -> Path:
    """A simulated book with some lines that are no events."""
    CliRunner().invoke(main, ["simulate", str(folder), "--borrowers", "60", "--months", "9"])
    with (folder / "repayments.jsonl").open("ab") as file:
        for line in GARBAGE:
            file.write(line + b"\n")
    return folder


@pytest.fixture(scope="module")
def installation(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Topics, a replay, a worker until the end, and a backtest of the same folder."""
    folder = tmp_path_factory.mktemp("cli")
    name = unique("cli")
    environment = {
        "FOREWARN_BROKER": broker.bootstrap_servers,
        "FOREWARN_TOPIC_PREFIX": f"{name}.",
        "FOREWARN_GROUP_ID": name,
        "FOREWARN_TRANSACTIONAL_ID_PREFIX": name,
        "FOREWARN_PARTITIONS": str(PARTITIONS),
        "FOREWARN_CLOCK": "event",
    }
    made = Installation(environment, garbled_book(folder / "book"), folder / "out", [])
    assert made.run("topics", "apply").exit_code == 0
    replayed = made.run("replay", made.book)
    assert replayed.exit_code == 0, replayed.output
    worked = subprocess.run(
        [sys.executable, "-m", "streams.cli", "worker", "--until-end", "--log-level", "WARNING"],
        env=os.environ | environment | {"PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert worked.returncode == 0, worked.stderr
    tested = made.run("backtest", made.book, "--out", made.out, "--no-learning")
    assert tested.exit_code == 0, tested.output
    decode = msgspec.json.Decoder(Alert).decode
    made.alerts.extend(decode(line) for line in (made.out / "alerts.jsonl").read_bytes().splitlines())
    return made


def test_topics_are_made_once_and_found_right(installation: Installation) -> None:
    """A second `topics apply` has nothing to do, and `topics check` nothing to complain of."""
    assert installation.json("topics", "apply") == {"done": []}
    assert installation.json("topics", "check") == {"problems": []}


def test_missing_topics_are_named_with_what_makes_them(installation: Installation) -> None:
    """Every command that needs a topic names `forewarn topics apply`, with exit status 1."""
    for command in (("lag",), ("alerts", "tail"), ("dead-letters", "list"), ("replay", installation.book)):
        result = installation.run(*command, "--prefix", unique("none"))
        assert result.exit_code == 1
        assert "forewarn topics apply" in result.stderr
    checked = installation.run("topics", "check", "--prefix", unique("none"))
    assert checked.exit_code == 1
    assert "is missing" in checked.stdout


def test_alerts_over_kafka_are_those_of_a_backtest(installation: Installation) -> None:
    """`alerts tail --json` prints the very records, and they equal the backtest's, alert for alert."""
    result = installation.run("alerts", "tail", "--until-end", "--json")

    decode = msgspec.json.Decoder(Alert).decode
    printed = [decode(line) for line in result.stdout.encode().splitlines()]
    assert len(printed) > 20
    assert by_borrower(printed) == by_borrower(installation.alerts)


def test_alerts_are_filtered(installation: Installation) -> None:
    """Signal, status, severity and borrower narrow what `alerts tail` prints."""
    chosen = next(alert for alert in installation.alerts if alert.severity == "serious")
    expected = [
        alert
        for alert in installation.alerts
        if alert.borrower_id == chosen.borrower_id
        and alert.signal == chosen.signal
        and alert.status == chosen.status
        and alert.severity in ("serious", "critical")
    ]

    filters = ("--borrower", chosen.borrower_id, "--signal", chosen.signal, "--status", chosen.status)
    result = installation.run("alerts", "tail", "--until-end", *filters, "--severity", "serious")

    lines = result.stdout.splitlines()
    assert len(lines) == len(expected)
    assert all(chosen.borrower_id in line and chosen.signal in line for line in lines)


def test_every_rejected_line_is_a_dead_letter_with_its_bytes(installation: Installation) -> None:
    """Garbage in a file arrives at `dead-letters`: reason, where it stood, and the very bytes."""
    result = installation.run("dead-letters", "list", "--json")

    letters = [json.loads(line) for line in result.stdout.splitlines()]
    raw = sorted(msgspec.json.decode(msgspec.json.encode(letter["value"]), type=bytes) for letter in letters)
    assert raw == sorted(GARBAGE)
    reasons = sorted(letter["reason"] for letter in letters)
    assert reasons == ["invalid-utf8", "missing-field", "negative-amount", "not-json"]
    assert {letter["topic"] for letter in letters} == {
        installation.environment["FOREWARN_TOPIC_PREFIX"] + "repayments"
    }
    assert "4 dead letters" in result.stderr


def test_dead_letters_are_filtered_and_limited(installation: Installation) -> None:
    """`--reason` chooses, `--limit` shows fewer and says so."""
    chosen = installation.run("dead-letters", "list", "--reason", "negative-amount")
    limited = installation.run("dead-letters", "list", "--limit", "1")

    assert len(chosen.stdout.splitlines()) == 1
    assert "amount_minor" in chosen.stdout
    assert len(limited.stdout.splitlines()) == 1
    assert "3 more than --limit 1 are not shown" in limited.stderr


def _inputs(told: Any) -> list[dict[str, Any]]:
    """The partitions of the input topics, where every offset is a record; marks of transactions stand in the others."""
    return [one for one in told["partitions"] if not one["topic"].endswith(LINKED_RISK)]


def test_no_lag_is_left_when_the_input_is_consumed(installation: Installation) -> None:
    """`lag` knows every partition of the inputs and of the messages, and that all of it is committed."""
    told = installation.json("lag")

    assert told["lag"] == 0
    assert len(told["partitions"]) == 5 * PARTITIONS
    assert all(one["committed"] == one["end"] for one in _inputs(told))
    assert installation.run("lag").stdout.count("repayments") == PARTITIONS


def test_lag_of_a_group_that_never_worked_is_everything(installation: Installation) -> None:
    """Without committed offsets the lag is all there is."""
    told = installation.json("lag", "--group", unique("nobody"))

    assert all(one["lag"] == one["end"] for one in _inputs(told))
    assert told["lag"] >= sum(one["end"] for one in _inputs(told))
    assert all(one["committed"] is None for one in told["partitions"])


def test_a_borrower_is_found_in_its_partition(installation: Installation) -> None:
    """`borrower show` finds risk, open alerts and state where the Java partitioner puts the borrower."""
    last = {alert.alert_id: alert for alert in installation.alerts}
    still_open = next(alert for alert in last.values() if alert.status not in ("resolved", "retracted"))

    told = installation.json("borrower", "show", still_open.borrower_id)

    assert told["partition"] == partition_of(still_open.borrower_id.encode(), PARTITIONS)
    assert still_open.alert_id in {alert["alert_id"] for alert in told["open_alerts"]}
    assert set(told["state"]) >= {"loans", "income", "institutions", "episodes"}
    assert told["risk"] is not None
    assert still_open.borrower_id in installation.run("borrower", "show", still_open.borrower_id).stdout


def test_the_timeline_tells_events_and_every_revision(installation: Installation) -> None:
    """What came in and what went out of one borrower, in order of event time; a span of dates keeps its own."""
    chosen = installation.alerts[-1].borrower_id
    revisions = [alert for alert in installation.alerts if alert.borrower_id == chosen]
    lines = [
        json.loads(line)
        for file in installation.book.glob("*.jsonl")
        for line in file.read_text(errors="replace").splitlines()
        if f'"{chosen}"' in line and "event_id" in line
    ]

    told = installation.json("borrower", "show", chosen)["timeline"]
    events = [entry for entry in told if entry["kind"] == "event"]
    assert {entry["id"] for entry in events} == {line["event_id"] for line in lines}
    assert [entry["at_ms"] for entry in told] == sorted(entry["at_ms"] for entry in told)
    assert [(entry["id"], entry["details"]["revision"]) for entry in told if entry["kind"] == "alert"] == [
        (alert.alert_id, alert.revision) for alert in sorted(revisions, key=lambda one: one.event_time_ms)
    ]
    since = "2025-03-01"
    later = installation.json("borrower", "show", chosen, "--since", since)["timeline"]
    assert later == [entry for entry in told if entry["at_ms"] >= at(since, "00:00")]
    until = installation.json("borrower", "show", chosen, "--until", since)["timeline"]
    assert until == [entry for entry in told if entry["at_ms"] < at("2025-03-02", "00:00")]
    few = installation.json("borrower", "show", chosen, "--records", "3")
    assert few["timeline_cut"]
    assert len(few["timeline"]) < len(told)
    chinese = installation.run("borrower", "show", chosen, "--lang", "zh").stdout
    assert "时间线" in chinese
    assert revisions[-1].reasons[0].text.zh in chinese


def test_a_chain_of_a_run_is_whole(installation: Installation) -> None:
    """What a worker published is proved against what it left in the changelog."""
    told = installation.json("audit", "verify")
    assert told["whole"]
    assert sum(chain["report"]["records"] for chain in told["chains"]) == len(installation.alerts)
    assert all(chain["report"]["head_compared"] for chain in told["chains"])


def test_an_unknown_borrower_is_an_error(installation: Installation) -> None:
    """Nothing known: said on standard error, exit status 1."""
    result = installation.run("borrower", "show", "nobody")

    assert result.exit_code == 1
    assert "nothing is known of borrower nobody" in result.stderr


def test_a_line_too_large_for_kafka_is_told(installation: Installation, tmp_path: Path) -> None:
    """What no broker takes is not sent, and named with file and line; everything else is sent."""
    name = unique("large")
    huge = b'{"event_time_ms":5,"x":"' + b"x" * (2 * 1024 * 1024) + b'"}'
    line = (installation.book / "servicing.jsonl").read_bytes().splitlines()[0]
    (tmp_path / "servicing.jsonl").write_bytes(line + b"\n" + huge + b"\n")
    assert installation.run("topics", "apply", "--prefix", name).exit_code == 0

    result = installation.run("replay", tmp_path, "--prefix", name)

    assert result.exit_code == 1
    assert result.stdout.startswith("1 lines and ")
    assert "servicing.jsonl:2: " in result.stderr
