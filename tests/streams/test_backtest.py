from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from models.alerts import Alert, ChainHead, link
from models.policy import default_policy
from streams.backtest import BacktestSummary, run
from streams.event_files import EventFilesError
from streams.simulator import SimulationSettings, write_folder
from tests.support.equality import open_linked_distress
from tests.support.events import at, event_id, flow, loan, paid, query, story
from tests.support.servicing import linked

NOW_MS = at("2026-01-01")


def write(folder: Path, **lines_by_topic: list[Any]) -> Path:
    """A folder of event files; a line is an event, or bytes as they are."""
    folder.mkdir(exist_ok=True)
    for topic, lines in lines_by_topic.items():
        encoded = [line if isinstance(line, bytes) else msgspec.json.encode(line) for line in lines]
        (folder / f"{topic.replace('_', '-')}.jsonl").write_bytes(b"\n".join(encoded) + b"\n")
    return folder


def backtest(folder: Path, out: Path, **options: Any) -> BacktestSummary:
    """A run with the default policy."""
    return run(folder, out, default_policy(), now_ms=NOW_MS, **options)


def alerts(out: Path) -> list[Alert]:
    """What the run published."""
    return [
        msgspec.json.decode(line, type=Alert) for line in (out / "alerts.jsonl").read_bytes().splitlines()
    ]


def lines(path: Path) -> list[dict[str, Any]]:
    """A JSON lines file."""
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_each_watermark_follows_its_own_feed_until_the_end(tmp_path: Path) -> None:
    """Without `--until` a feed that fell silent tells of no absence."""
    folder = write(
        tmp_path / "in",
        repayments=[loan("2025-01-01", [("2025-02-10", 100_000)])],
        fund_flows=[flow("2025-06-01", 1)],
    )

    summary = backtest(folder, tmp_path / "out")

    assert summary.alerts == {}


def test_until_ends_a_date_on_every_feed(tmp_path: Path) -> None:
    """The local midnight that ends the date is passed, silent or not."""
    folder = write(tmp_path / "in", repayments=[loan("2025-01-01", [("2025-02-10", 100_000)])])

    backtest(folder, tmp_path / "before", until=date(2025, 2, 9))
    backtest(folder, tmp_path / "after", until=date(2025, 2, 10))

    assert alerts(tmp_path / "before") == []
    assert story(alerts(tmp_path / "after")) == ["2025-02-11 00:00 missed_payment opened watch"]


def test_linked_borrowers_hear_of_each_other_at_the_turn_of_days(tmp_path: Path) -> None:
    """A guarantor's trouble is told the next day of delivery, or at the end; two runs are the same to the byte."""
    folder = write(
        tmp_path / "in",
        repayments=[
            loan("2025-01-01", [("2025-02-10", 100_000)], borrower="g-1"),
            loan("2025-03-12", [("2025-12-10", 100_000)], borrower="c-1"),
            loan("2025-03-13", [("2025-12-10", 100_000)], borrower="d-1"),
        ],
        servicing=[linked("2025-01-05", "g-1")],
    )
    for out in ("one", "two"):
        backtest(folder, tmp_path / out)
    backtest(folder, tmp_path / "long", until=date(2025, 6, 1))

    (opened,) = [alert for alert in alerts(tmp_path / "one") if alert.signal == "linked_distress"]
    assert (opened.borrower_id, opened.severity, opened.event_time_ms) == (
        "b-1",
        "warning",
        at("2025-03-12", "00:00"),
    )
    assert (tmp_path / "one/alerts.jsonl").read_bytes() == (tmp_path / "two/alerts.jsonl").read_bytes()
    assert open_linked_distress(alerts(tmp_path / "long")) == {"b-1": "serious"}


def test_rejected_lines_are_kept_with_file_line_and_reason(tmp_path: Path) -> None:
    """Every byte that was not understood can be found again; blank lines are none."""
    bad = msgspec.json.encode(paid("2025-02-01", 5)).replace(b":5,", b":-5,")
    folder = write(tmp_path / "in", repayments=[b"", b"{not json", bad, b"\xff\xfe", paid("2025-02-01", 1)])

    summary = backtest(folder, tmp_path / "out")
    rejected = {row["line"]: row for row in lines(tmp_path / "out" / "rejected.jsonl")}

    assert {line: row["reason"] for line, row in rejected.items()} == {
        2: "not-json",
        3: "negative-amount",
        4: "invalid-utf8",
    }
    assert rejected[2]["file"] == "repayments.jsonl"
    assert rejected[3]["raw"].encode() == bad
    assert rejected[4]["raw_base64"] == "//4="
    assert summary.rejected == {"invalid-utf8": 1, "negative-amount": 1, "not-json": 1}
    assert summary.events == 1


def test_what_the_engine_refuses_is_rejected_too(tmp_path: Path) -> None:
    """A second opening of a loan is kept like any other reject."""
    folder = write(tmp_path / "in", repayments=[loan("2025-01-01", []), loan("2025-01-02", [])])

    summary = backtest(folder, tmp_path / "out")

    assert summary.rejected == {"loan-already-open": 1}
    assert lines(tmp_path / "out" / "rejected.jsonl")[0]["line"] == 2


def test_a_rejected_payment_holds_its_borrower(tmp_path: Path) -> None:
    """Fail closed: the payment may be the very line that was refused."""
    bad = msgspec.json.encode(paid("2025-02-09", 100_000)).replace(b":100000", b":-100000")
    folder = write(tmp_path / "in", repayments=[loan("2025-01-01", [("2025-02-10", 100_000)]), bad])

    backtest(folder, tmp_path / "out", until=date(2025, 2, 10))

    recommendation = alerts(tmp_path / "out")[0].recommendation
    assert (recommendation.actionable, recommendation.hold) == (False, "data_incomplete")


def test_events_are_delivered_when_the_lender_learnt_of_them(tmp_path: Path) -> None:
    """A payment of the ninth that was learnt on the twentieth was not known on the eleventh."""
    late = paid("2025-02-09", 100_000, ingested_at_ms=at("2025-02-20"))
    other = paid("2025-02-19", 1, borrower="b-2")
    folder = write(tmp_path / "in", repayments=[late, other, loan("2025-01-01", [("2025-02-10", 100_000)])])

    backtest(folder, tmp_path / "out")

    assert [alert.status for alert in alerts(tmp_path / "out")] == ["opened", "escalated", "retracted"]


def test_a_line_a_day_in_the_future_is_rejected(tmp_path: Path) -> None:
    """Without a time of delivery the run's own time is what it is compared with."""
    folder = write(
        tmp_path / "in", repayments=[paid("2026-01-02", 1, "11:59"), paid("2026-01-02", 1, "12:01")]
    )

    assert backtest(folder, tmp_path / "out").rejected == {"future-dated": 1}


def test_scores_tell_the_probability_after_each_event(tmp_path: Path) -> None:
    """One line an accepted event, in processing order; duplicates and rejects have none."""
    payment = paid("2025-02-01", 1)
    queries = [query(f"2025-02-0{day}", f"i-{day}") for day in range(2, 7)]
    folder = write(
        tmp_path / "in", repayments=[loan("2025-01-01", []), payment, payment, b"{}"], credit_queries=queries
    )

    backtest(folder, tmp_path / "out", scores=True)
    scores = lines(tmp_path / "out" / "scores.jsonl")

    assert [score["event_time_ms"] for score in scores] == sorted(score["event_time_ms"] for score in scores)
    assert len(scores) == 7
    assert scores[-1]["event_id"] == queries[-1].event_id
    assert scores[-1]["probability"] > scores[0]["probability"]
    assert set(scores[0]) == {
        "event_id",
        "borrower_id",
        "event_time_ms",
        "probability",
        "tier",
        "model_version",
    }


def test_unknown_words_and_unused_types_are_noticed(tmp_path: Path) -> None:
    """What is accepted and not understood in full has a number in the report."""
    closing = {
        "type": "credit_account_closed",
        "event_id": event_id(),
        "borrower_id": "b-1",
        "event_time_ms": at("2025-01-01"),
        "institution_id": "i",
        "credit_account_id": "c",
    }
    payment = msgspec.to_builtins(paid("2025-02-01", 1)) | {"payer": "aunt"}
    folder = write(tmp_path / "in", repayments=[payment], credit_queries=[closing])

    assert backtest(folder, tmp_path / "out").noticed == {
        "unknown_word.repayment.payer": 1,
        "unused.credit_account_closed": 1,
        "waiting.repayment": 1,
    }


def test_the_same_folder_gives_the_same_bytes_in_any_order_of_lines(tmp_path: Path) -> None:
    """But for the time of the run nothing depends on the run, or on how the files are sorted."""
    folder = tmp_path / "in"
    write_folder(SimulationSettings(borrowers=60, months=10), folder)
    backtest(folder, tmp_path / "first", until=date(2025, 11, 30), scores=True)
    for path in folder.glob("*.jsonl"):
        path.write_bytes(b"\n".join(reversed(path.read_bytes().splitlines())))

    backtest(folder, tmp_path / "second", until=date(2025, 11, 30), scores=True)

    for name in ("alerts.jsonl", "scores.jsonl", "rejected.jsonl", "report.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_the_chain_runs_through_the_file(tmp_path: Path) -> None:
    """Each alert names the hash of the one before it."""
    folder = tmp_path / "in"
    write_folder(SimulationSettings(borrowers=40, months=8), folder)
    backtest(folder, tmp_path / "out")

    head = ChainHead()
    published = alerts(tmp_path / "out")
    assert published
    for alert in published:
        again, head = link(alert, head)
        assert alert == again


def test_alerts_are_judged_where_outcomes_are_known(tmp_path: Path) -> None:
    """`report.json` holds what came of the run and how good it was."""
    folder = tmp_path / "in"
    write_folder(SimulationSettings(borrowers=200), folder)

    summary = backtest(folder, tmp_path / "out")
    report = msgspec.json.decode((tmp_path / "out" / "report.json").read_bytes(), type=BacktestSummary)

    assert summary == report
    assert report.judgement is not None
    assert report.judgement.borrowers == 200


def test_a_folder_without_events_is_an_error(tmp_path: Path) -> None:
    """Nothing to test is no success."""
    (tmp_path / "empty").mkdir()

    with pytest.raises(EventFilesError, match="no event file"):
        backtest(tmp_path / "empty", tmp_path / "out")


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    """With outcomes there is a page with all plots, well-formed, that loads nothing."""
    folder = tmp_path / "in"
    write_folder(SimulationSettings(borrowers=20, months=8), folder)
    backtest(folder, tmp_path / "out", capacity_per_day=3)
    page = (tmp_path / "out" / "report.html").read_text()

    assert page.count("<svg") == 7
    assert "precision of 3 calls a day" in page
    assert not re.search(r"https?:|src=|@import|<script", page)
    for drawing in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        assert ET.fromstring(drawing) is not None
