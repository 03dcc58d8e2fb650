"""`forewarn mapping`, and a worker with a mapping that cannot be used."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.events import Repayment
from streams.cli import main
from streams.codec import Decoder
from tests.support.lender import MAPPING, payload_of, theirs
from tests.support.registry import AVRO_MAPPING, AVRO_REPAYMENT, avro_record

PAID = Repayment(
    event_id="p-1",
    borrower_id="b-1",
    event_time_ms=5,
    loan_id="l-1",
    amount_minor=1230,
    payer="borrower",
    kind="cash",
)


@pytest.fixture
def lender(tmp_path: Path) -> Path:
    """A mapping of two feeds, and a sample of one: an event, one to be ignored, a third of a fen, and no JSON."""
    (tmp_path / "lender.toml").write_text(MAPPING, encoding="utf-8")
    broken = theirs(PAID)
    broken["loan"]["amount"] = "0.001"
    lines = [payload_of(theirs(PAID)), b"", b'{"header": {"kind": "PING"}}', payload_of(broken), b"nonsense"]
    (tmp_path / "sample.jsonl").write_bytes(b"\n".join(lines))
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and all that is printed."""
    found = CliRunner().invoke(main, ["mapping", *(a.replace("@", str(folder)) for a in arguments)])
    return found.exit_code, found.output


def test_a_sample_is_told_line_by_line_and_in_sum(lender: Path) -> None:
    """With what nobody reads, and exit status 1 because of the two that are rejected."""
    status, said = run(lender, "check", "@/lender.toml", "@/sample.jsonl", "--topic", "repayments")

    assert status == 1
    assert '    1  {"type":"repayment","event_time_ms":5,"event_id":"p-1"' in said
    assert "    3  ignored by repayments.ignored[0]" in said
    assert "    4  rejected: wrong-type: loan.amount (amount_minor): more decimals than yuan have" in said
    assert "    5  rejected: not-json" in said
    assert "4 lines: 1 events, 1 ignored, 2 rejected" in said
    assert "repayments.events[1] loan_opened: 0 lines" in said
    assert "never filled: ingested_at_ms, instalment_number" in said
    assert "not read by any rule: teller" in said
    assert "0.001" not in said


def test_the_same_for_machines(lender: Path) -> None:
    """One document."""
    status, said = run(lender, "check", "@/lender.toml", "@/sample.jsonl", "--topic", "repayments", "--json")
    found = json.loads(said)

    assert status == 1
    assert [sorted(line) for line in found["lines"]] == [
        ["event", "line"],
        ["ignored", "line"],
        ["detail", "line", "rejected"],
        ["detail", "line", "rejected"],
    ]
    assert found["coverage"]["not_read"] == {"teller": 1}


def test_few_lines_are_shown_and_all_are_counted(lender: Path) -> None:
    """A long sample does not scroll its sum away."""
    _, said = run(lender, "check", "@/lender.toml", "@/sample.jsonl", "--topic", "repayments", "--show", "1")

    assert "... and 3 more lines" in said
    assert "4 lines: 1 events, 1 ignored, 2 rejected" in said


def test_without_a_sample_the_file_and_its_examples_are_checked(lender: Path) -> None:
    """All feeds of it."""
    assert run(lender, "check", "@/lender.toml") == (0, f"{lender}/lender.toml: valid; its examples hold\n")
    (lender / "lender.toml").write_text(MAPPING.replace("1230", "1231"), encoding="utf-8")
    status, said = run(lender, "check", "@/lender.toml")
    assert status == 1
    assert "repayments.examples[0]: expected" in said


def test_whose_sample_it_is_must_be_said_where_it_is_not_clear(lender: Path) -> None:
    """Two feeds are mapped."""
    status, said = run(lender, "check", "@/lender.toml", "@/sample.jsonl")

    assert status == 2
    assert "fund-flows, repayments" in said


def test_applied_it_prints_events_of_the_contract(lender: Path) -> None:
    """What `backtest` reads; what is rejected stands on stderr."""
    found = CliRunner().invoke(
        main, ["mapping", "apply", f"{lender}/lender.toml", f"{lender}/sample.jsonl", "--topic", "repayments"]
    )
    (line,) = found.stdout.splitlines()

    assert found.exit_code == 1
    assert Decoder("repayments", keyed=False).decode(line.encode(), None, 10) == PAID
    assert found.stderr.count("rejected") == 2


def test_a_sample_of_avro_is_in_base64(tmp_path: Path) -> None:
    """With its schema beside the mapping."""
    from tests.streams.mapping.test_registry import DOCUMENT

    (tmp_path / "repayment.avsc").write_text(json.dumps(AVRO_REPAYMENT), encoding="utf-8")
    (tmp_path / "avro.toml").write_text(
        AVRO_MAPPING + '\n[schemas]\n17 = "repayment.avsc"\n', encoding="utf-8"
    )
    line = base64.b64encode(avro_record(17, AVRO_REPAYMENT, DOCUMENT))
    (tmp_path / "sample").write_bytes(line + b"\nAAAA\n")
    status, said = run(tmp_path, "check", "@/avro.toml", "@/sample")

    assert status == 1
    assert '    1  {"type":"repayment"' in said
    assert "    2  rejected: not-json: not in the wire format" in said


def test_a_worker_does_not_start_with_a_broken_mapping(lender: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it asks for a broker."""
    (lender / "lender.toml").write_text(MAPPING.replace('"yuan"', '"yaun"'), encoding="utf-8")
    monkeypatch.setenv("FOREWARN_MAPPING_FILE", f"{lender}/lender.toml")
    found = CliRunner().invoke(main, ["worker"])

    assert found.exit_code == 1
    assert "did you mean yuan?" in found.output


def test_events_are_not_replayed_into_a_lenders_topics(lender: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be rejected there, and others read them."""
    monkeypatch.setenv("FOREWARN_REPAYMENTS_TOPIC", "core.loans")
    (lender / "events").mkdir()
    (lender / "events" / "repayments.jsonl").write_bytes(b"")
    found = CliRunner().invoke(main, ["replay", f"{lender}/events"])

    assert found.exit_code == 1
    assert "reads a lender's own topics" in found.output
