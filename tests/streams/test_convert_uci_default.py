from __future__ import annotations

import csv
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import ledger
from models.calendars import Calendar, day_of_date
from models.events import InstalmentBilled, LoanOpened, Repayment
from models.judging import Outcome
from models.policy import default_policy
from models.rules import Rules
from streams.codec import Decoder, Reject
from streams.convert.uci_default import (
    Client,
    ConversionCounts,
    UciDefaultError,
    arrears_of,
    convert,
    minimum_due,
    settle,
    unpaid_minima,
)
from streams.event_folder_writer import FolderInUseError
from tests.support.shared_data import shared_file

RUN_MS = 1_700_000_000_000
HEADER = [
    "ID", "LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE", "PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6",
    *(f"BILL_AMT{n}" for n in range(1, 7)), *(f"PAY_AMT{n}" for n in range(1, 7)), "target",
]  # fmt: skip
DUE_ENDS_MS = [
    Calendar("Asia/Shanghai").midnight_ms(day_of_date(date(2005, month, 21))) for month in range(5, 11)
]
"""The midnights that end the six due dates."""

Event = dict[str, Any]


class Converted:
    """The real data set, converted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = shared_file("uci_default/UCI_Credit_Card.csv")
        self.counts = convert(self.source, folder)

    def events(self, every: int = 1) -> dict[str, list[Event]]:
        """Events by borrower, of every so many-th client."""
        by_borrower: dict[str, list[Event]] = defaultdict(list)
        for line in (self.folder / "repayments.jsonl").read_bytes().splitlines():
            if int(line.partition(b"uci-")[2][:5]) % every == 0:
                event = msgspec.json.decode(line)
                by_borrower[event["borrower_id"]].append(event)
        return by_borrower


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Converted once for all tests: some seconds."""
    return Converted(tmp_path_factory.mktemp("uci"))


def _write(path: Path, *rows: dict[str, Any]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, HEADER, restval=0)
        writer.writeheader()
        writer.writerows(rows)
    return path


def _row(number: int, **columns: object) -> dict[str, Any]:
    return {"ID": number, "LIMIT_BAL": 50_000, "target": 0} | columns


def _events(folder: Path) -> list[Event]:
    return [msgspec.json.decode(line) for line in (folder / "repayments.jsonl").read_bytes().splitlines()]


def test_the_real_data_converts_whole(converted: Converted) -> None:
    """30,000 clients, 6,636 of them bad, no row rejected, six statements each and the arrears that April tells of."""
    counts = converted.counts

    assert (counts.clients, counts.bad, counts.rejected_rows) == (30_000, 6_636, 0)
    assert counts.statements_billed == 180_000 + counts.arrears_taken_on
    assert counts.events == counts.loans_opened + counts.statements_billed + counts.repayments
    assert counts == msgspec.json.decode(
        (converted.folder / "conversion.json").read_bytes(), type=ConversionCounts
    )


def test_the_codec_rejects_no_line_and_nothing_personal_is_left(converted: Converted) -> None:
    """Every line decodes strictly; no field but the contract's own is there; event ids are unique."""
    decoder = Decoder("repayments", keyed=False)
    lines = (converted.folder / "repayments.jsonl").read_bytes().splitlines()
    fields = Counter(field for line in lines[::50] for field in msgspec.json.decode(line))
    ids = {
        decoded.event_id
        for line in lines
        if not isinstance(decoded := decoder.decode(line, None, RUN_MS), Reject)
        and hasattr(decoded, "event_id")
    }

    assert len(lines) == converted.counts.events == len(ids)
    assert set(fields) == {
        "type", "event_id", "borrower_id", "event_time_ms", "loan_id", "platform_id", "currency", "principal_minor",
        "instalments", "product", "credit_limit_minor", "number", "due_date", "amount_minor", "minimum_due_minor",
        "balance_minor",
    }  # fmt: skip


def test_every_dollar_of_the_columns_is_in_the_events(converted: Converted) -> None:
    """Repayments up to September add up to PAY_AMT, statements to the positive BILL_AMT, limits to LIMIT_BAL."""
    totals: Counter[str] = Counter()
    for own in converted.events().values():
        for event in own:
            match event["type"]:
                case "repayment" if event["event_time_ms"] < DUE_ENDS_MS[5] - 20 * 86_400_000:
                    totals["paid"] += event["amount_minor"]
                case "instalment_billed" if "balance_minor" in event:
                    totals["billed"] += event["balance_minor"]
                case "loan_opened":
                    totals["limit"] += event["credit_limit_minor"]
    with converted.source.open() as file:
        rows = list(csv.DictReader(file))
    paid, billed = (
        sum(max(0, int(float(row[f"{column}{n}"]))) for row in rows for n in range(1, 7))
        for column in ("PAY_AMT", "BILL_AMT")
    )

    assert totals["paid"] == 100 * paid
    assert totals["billed"] == 100 * billed
    assert totals["limit"] == 100 * sum(int(float(row["LIMIT_BAL"])) for row in rows)


def test_the_engines_own_ledger_reproduces_the_status(converted: Converted) -> None:
    """The ledger, fed with the events alone, says after each due date what the converter says it does."""
    rules = Rules(default_policy())
    statuses = _statuses(converted.source, every=25)
    agreed: Counter[int] = Counter()
    for borrower_id, events in converted.events(every=25).items():
        for status, past_due in zip(
            statuses[borrower_id], _past_due_after_each_due_date(events, rules), strict=True
        ):
            agreed[past_due == unpaid_minima(status)] += 1
    share = agreed[True] / agreed.total()
    counts = converted.counts

    assert agreed.total() == 7_200
    assert share == pytest.approx(counts.reproduced / counts.client_months, abs=0.01)


def _statuses(source: Path, every: int) -> dict[str, list[int]]:
    columns = ("PAY_6", "PAY_5", "PAY_4", "PAY_3", "PAY_2", "PAY_0")
    with source.open() as file:
        return {
            f"uci-{int(row['ID']):05d}": [int(row[column]) for column in columns]
            for row in csv.DictReader(file)
            if int(row["ID"]) % every == 0
        }


def _past_due_after_each_due_date(events: list[Event], rules: Rules) -> list[int]:
    """How many statements are past due at the midnights that end the due dates, by the engine's ledger."""
    decoded = [msgspec.convert(event, LoanOpened | InstalmentBilled | Repayment) for event in events]
    decoded.sort(key=lambda event: event.event_time_ms)
    opened = decoded[0]
    assert isinstance(opened, LoanOpened)
    loan = ledger.open_loan(opened, rules)
    counts: list[int] = []
    for event in decoded[1:]:
        while event.event_time_ms >= DUE_ENDS_MS[len(counts)]:
            counts.append(_instalments_past_due(loan, DUE_ENDS_MS[len(counts)], rules))
        if isinstance(event, InstalmentBilled):
            ledger.bill(loan, event, rules)
        elif isinstance(event, Repayment):
            ledger.pay(loan, event, rules)
        if len(counts) == len(DUE_ENDS_MS):
            break
    return counts + [_instalments_past_due(loan, at_ms, rules) for at_ms in DUE_ENDS_MS[len(counts) :]]


def _instalments_past_due(loan: ledger.Loan, at_ms: int, rules: Rules) -> int:
    return ledger.standing(loan, at_ms, rules, deadline=True).instalments_past_due


def test_the_reading_keeps_what_was_measured(converted: Converted) -> None:
    """97 in 100 statuses are reproduced without September's; what does not fit adds up, by kind."""
    counts = converted.counts
    misfits = (
        counts.misfit_current_but_minimum_unpaid
        + counts.misfit_late_without_bill
        + counts.misfit_later_than_statements
        + counts.misfit_less_late_than_paid
    )

    assert counts.reproduced_april_to_august / counts.client_months_april_to_august >= 0.969
    assert counts.reproduced + misfits == counts.client_months == 180_000
    assert sum(fit.reproduced for fit in counts.by_status.values()) == counts.reproduced
    assert counts.by_status["2"].reproduced / counts.by_status["2"].client_months > 0.94
    assert counts.by_status["0"].reproduced / counts.by_status["0"].client_months > 0.97


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    """Also into a folder that holds the conversion already."""
    source = _write(
        tmp_path / "cards.csv", *(_row(n, BILL_AMT6=1_000 * n, PAY_AMT5=30 * n) for n in range(1, 9))
    )
    convert(source, tmp_path / "a")
    convert(source, tmp_path / "b")
    convert(source, tmp_path / "b")
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in "ab")

    assert first == second
    assert sorted(first) == ["conversion.json", "outcomes.jsonl", "repayments.jsonl"]


def test_a_client_becomes_a_card_six_statements_and_what_was_paid(tmp_path: Path) -> None:
    """The statement of April, due on 20 May, is paid by May's payment; April's own payment comes before any bill."""
    row = _row(7, LIMIT_BAL="1.00E+05", BILL_AMT6=5_050, PAY_AMT6=300, PAY_AMT5=101, PAY_6=0, target=1)
    counts = convert(_write(tmp_path / "cards.csv", row), tmp_path / "out")
    events = sorted(_events(tmp_path / "out"), key=lambda event: int(event["event_time_ms"]))
    outcome = msgspec.json.decode((tmp_path / "out" / "outcomes.jsonl").read_bytes(), type=Outcome)

    assert [event["type"] for event in events[:4]] == [
        "loan_opened",
        "repayment",
        "instalment_billed",
        "repayment",
    ]
    assert events[0] | {"event_time_ms": 0} == {
        "type": "loan_opened", "event_id": "uci-00007-open", "borrower_id": "uci-00007", "event_time_ms": 0,
        "loan_id": "uci-00007-card", "platform_id": "card-issuer", "currency": "TWD", "principal_minor": 0,
        "instalments": [], "product": "card", "credit_limit_minor": 10_000_000,
    }  # fmt: skip
    assert [event["due_date"] for event in events if event["type"] == "instalment_billed"] == [
        f"2005-{month:02d}-20" for month in range(5, 11)
    ]
    assert (events[2]["amount_minor"], events[2]["minimum_due_minor"]) == (505_000, 10_100)
    assert events[3]["amount_minor"] == 10_100
    assert (counts.payments_before_first_statement, counts.bad) == (1, 1)
    assert outcome == Outcome(
        borrower_id="uci-00007", outcome="bad", time_ms=DUE_ENDS_MS[5] + 11 * 86_400_000
    )


def test_a_credit_balance_is_billed_as_nothing(tmp_path: Path) -> None:
    """Clipped to 0 and counted."""
    counts = convert(_write(tmp_path / "cards.csv", _row(1, BILL_AMT3=-500)), tmp_path / "out")
    bills = [event for event in _events(tmp_path / "out") if event["type"] == "instalment_billed"]

    assert counts.balances_negative == 1
    assert {(bill["amount_minor"], bill["minimum_due_minor"]) for bill in bills} == {(0, 0)}


def _client(statuses: list[int], bills: list[int], paid: list[int]) -> Client:
    return Client(1, 50_000, tuple(statuses), tuple(bills), tuple(paid), defaulted=False)


def test_the_status_says_what_part_of_a_payment_was_late() -> None:
    """Two minima of 100 unpaid, 250 paid: status 2 says that one was still missing after the due date."""
    client = _client([2, 2, 0, 0, 0, 0], [5_000] * 6, [0, 0, 250, 100, 100, 100])
    first, second, *_ = settle(client)

    assert (first.in_time, first.late, first.unpaid_at_midnight) == (0, 0, 1)
    assert (second.in_time, second.late, second.unpaid_before, second.unpaid_at_midnight) == (100, 150, 2, 1)


@pytest.mark.parametrize(("status", "paid"), [(-2, 5_000), (-1, 5_000), (0, 100), (1, 0), (2, 0)])
def test_septembers_payment_is_implied_by_its_status(status: int, paid: int) -> None:
    """The balance where it was paid in full, the minimum where that was paid, nothing where it was missed."""
    client = _client([0, 0, 0, 0, 0, status], [5_000] * 6, [100] * 6)
    september = list(settle(client))[-1]

    assert (september.in_time, september.late) == (paid, 0)
    assert september.unpaid_at_midnight == unpaid_minima(status)


def test_arrears_from_before_april_are_taken_on(tmp_path: Path) -> None:
    """Status 4 in April: three minima are unpaid, April's and two older ones with their own due dates."""
    counts = convert(_write(tmp_path / "cards.csv", _row(1, PAY_6=4, BILL_AMT6=5_000)), tmp_path / "out")
    bills = [event for event in _events(tmp_path / "out") if event["type"] == "instalment_billed"]

    assert counts.arrears_taken_on == 2
    assert [bill["due_date"] for bill in bills[:3]] == ["2005-03-20", "2005-04-20", "2005-05-20"]
    assert [bill["number"] for bill in bills] == list(range(1, 9))
    assert counts.by_status["4"].reproduced == 1


def test_status_1_without_a_bill_does_not_fit_and_is_counted(tmp_path: Path) -> None:
    """Nothing is invented for it."""
    counts = convert(_write(tmp_path / "cards.csv", _row(1, PAY_0=1)), tmp_path / "out")

    assert (counts.misfit_late_without_bill, counts.repayments) == (1, 0)


@pytest.mark.parametrize(
    ("balance", "minimum"), [(-5, 0), (0, 0), (49, 0), (50, 1), (5_050, 101), (5_099, 101)]
)
def test_the_minimum_due_is_two_per_cent_rounded_down(balance: int, minimum: int) -> None:
    """In whole dollars, never below nothing."""
    assert minimum == minimum_due(balance)


@pytest.mark.parametrize(("status", "minima"), [(-2, 0), (-1, 0), (0, 0), (1, 1), (2, 1), (3, 2), (8, 7)])
def test_a_first_missed_minimum_is_coded_2(status: int, minima: int) -> None:
    """From 2 on, a status of k says that k - 1 are unpaid."""
    assert minima == unpaid_minima(status)


_MONTHS = st.lists(st.integers(-2_000, 100_000), min_size=6, max_size=6)


@given(st.lists(st.integers(-2, 8), min_size=6, max_size=6), _MONTHS, _MONTHS)
def test_settling_neither_makes_nor_loses_money(
    statuses: list[int], bills: list[int], paid: list[int]
) -> None:
    """What was paid in a month is dated in time or late, never both, never elsewhere; the ledger never owes more than is billed."""
    client = _client(statuses, bills, [abs(amount) for amount in paid])
    settlements = list(settle(client))

    for month, settlement in enumerate(settlements[:5]):
        assert settlement.in_time + settlement.late == client.paid[month + 1]
        assert min(settlement.in_time, settlement.late) >= 0
    for month, settlement in enumerate(settlements):
        assert (
            0 <= settlement.unpaid_at_midnight <= settlement.unpaid_before <= arrears_of(client) + month + 1
        )


def test_a_damaged_row_is_kept_aside_with_its_line_and_reason(tmp_path: Path) -> None:
    """One bad row costs one client, and a later conversion without it forgets it."""
    good, damaged = _row(1), _row(2, BILL_AMT1="n/a")
    counts = convert(_write(tmp_path / "cards.csv", good, damaged), tmp_path / "out")
    kept = msgspec.json.decode((tmp_path / "out" / "rejected-rows.jsonl").read_bytes())

    assert (counts.clients, counts.rejected_rows) == (1, 1)
    assert (kept["line"], kept["reason"]) == (3, "BILL_AMT1: 'n/a' is no number")
    assert kept["raw"]["ID"] == "2"

    convert(_write(tmp_path / "cards.csv", good), tmp_path / "out")
    assert not (tmp_path / "out" / "rejected-rows.jsonl").exists()


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"PAY_AMT2": -1}, "negative"),
        ({"PAY_3": 12}, "a status outside"),
        ({"BILL_AMT2": "1.5"}, "whole number"),
        ({"BILL_AMT2": "nan"}, "whole number"),
        ({"LIMIT_BAL": "1e300"}, "whole number"),
        ({"ID": ""}, "no number"),
    ],
)
def test_a_row_that_makes_no_sense_is_rejected(tmp_path: Path, columns: dict[str, Any], reason: str) -> None:
    """The reason names what is wrong."""
    convert(_write(tmp_path / "cards.csv", _row(1), _row(2) | columns), tmp_path / "out")

    assert reason in msgspec.json.decode((tmp_path / "out" / "rejected-rows.jsonl").read_bytes())["reason"]


def test_a_file_that_is_not_the_data_set_is_refused(tmp_path: Path) -> None:
    """Missing, without its columns, or without a readable row: the message says so, and nothing is written."""
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UciDefaultError, match="no column ID, LIMIT_BAL"):
        convert(tmp_path / "other.csv", tmp_path / "out")
    with pytest.raises(UciDefaultError, match="cannot be read"):
        convert(tmp_path / "missing.csv", tmp_path / "out")
    with pytest.raises(UciDefaultError, match="no row could be read"):
        convert(_write(tmp_path / "bad.csv", _row(1, ID="x")), tmp_path / "out")

    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_event_files_of_something_else_are_left_alone(tmp_path: Path) -> None:
    """A book is never mixed with another one."""
    (tmp_path / "fund-flows.jsonl").write_bytes(b"")

    with pytest.raises(FolderInUseError, match=r"fund-flows\.jsonl"):
        convert(_write(tmp_path / "cards.csv", _row(1)), tmp_path)


def test_progress_ends_with_all_rows(tmp_path: Path) -> None:
    """The bar reaches its end."""
    calls: list[tuple[int, int]] = []
    convert(
        _write(tmp_path / "cards.csv", _row(1), _row(2)), tmp_path / "out", lambda *done: calls.append(done)
    )

    assert calls == [(2, 2)]
