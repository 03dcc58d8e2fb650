"""The 30,000 card clients of "Default of credit card clients" (Taiwan, 2005) as events.

I-Cheng Yeh (2009), UCI Machine Learning Repository, data set 350, doi 10.24432/C55S3H: six monthly statements,
April to September 2005, what was paid, a status a month, and whether the client defaulted in October.

How the columns are read, and what was measured to choose so, stands in `decisions/0001-uci-status.md`. In short:

- The statement of month m (`BILL_AMT`) is billed on the last day of m and due on the 20th of month m+1.
- What was paid in m+1 (`PAY_AMT`) pays that statement: oldest unpaid minimum first.
- The minimum due is 2 % of the balance, rounded down to a dollar.
- The status of month m (`PAY_x`) is how the ledger stands at the midnight that ends the due date of m's statement:
  -2, -1 and 0: no minimum is unpaid; 1: one is; k >= 2: k - 1 are. (A first missed minimum is coded 2.)
- The status tells what part of a month's payment came after the due date: the least part that explains it.
- What paid September's statement is in no column; it is implied by September's status.

Nothing personal enters the events: sex, education, marriage and age are not even read.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from models.calendars import DAY_MS, Calendar, iso_date
from models.events import Topic
from models.judging import Outcome
from streams.event_folder_writer import EventFolderWriter
from streams.months import month_starts

CURRENCY: Final = "TWD"
MINOR_PER_DOLLAR: Final = 100
"""ISO 4217 gives the New Taiwan dollar two decimals."""
PLATFORM_ID: Final = "card-issuer"
TIME_ZONE: Final = "Asia/Taipei"
"""UTC+8 throughout 2005, as the packaged policy's Asia/Shanghai: due dates end at the same instant in both."""
MINIMUM_DUE_PER_CENT: Final = 2
"""Of the statement balance. Clients with status 0 begin to pay at 2.0 % of it (1st percentile), at every balance."""
TOLERANCE_DOLLARS: Final = 1
"""An instalment short by no more is paid (policy: `tolerance_minor = 100`)."""
DUE_DAY: Final = 20
"""Day of the following month: twenty days after the statement, as card issuers give."""
MONTHS: Final = (4, 5, 6, 7, 8, 9)
"""April to September 2005: months with a statement, a payment and a status."""
YEAR: Final = 2005

_STATUS_COLUMNS: Final = ("PAY_6", "PAY_5", "PAY_4", "PAY_3", "PAY_2", "PAY_0")
_BILL_COLUMNS: Final = tuple(f"BILL_AMT{number}" for number in range(6, 0, -1))
_PAID_COLUMNS: Final = tuple(f"PAY_AMT{number}" for number in range(6, 0, -1))
_LABEL_COLUMNS: Final = ("target", "default.payment.next.month", "default payment next month")
"""The label's name differs between the copies of the data set."""
_STATUSES: Final = range(-2, 10)
_DOLLARS_MAX: Final = 10**12
"""Beyond any card: a number that large is a damaged row."""
_REPORTED_EVERY_CLIENTS: Final = 500
"""Clients between two reports of progress: some hundredths of a second."""


class UciDefaultError(Exception):
    """The file is not the data set: the message says what is missing or wrong, and where."""


class StatusFit(Struct, frozen=True, kw_only=True):
    """How often one status value occurs, and how often the ledger reproduces it."""

    client_months: int
    reproduced: int


class ConversionCounts(Struct, frozen=True, kw_only=True):
    """What was converted and what did not fit; also `conversion.json`. All are plain counts unless they say otherwise."""

    clients: int
    bad: int
    """Clients with an outcome `bad`: default in October 2005."""
    rejected_rows: int
    """Rows that could not be read; kept with line number and reason in `rejected-rows.jsonl`."""
    events: int
    loans_opened: int
    statements_billed: int
    """`instalment_billed` events, six a client and the arrears of `arrears_taken_on`."""
    repayments: int
    """`repayment` events, those of `repayments_implied` included."""
    repayments_implied: int
    """Repayments of October 2005, which no column holds: implied by September's status."""
    repayments_late: int
    """Repayments dated after the due date because the status says so."""
    payments_split: int
    """Months whose payment was split into a part in time and a part too late because the status says so."""
    payments_before_first_statement: int
    """April's payments: they pay a statement of March, which is not in the data."""
    arrears_taken_on: int
    """Statements from before April that April's status says are unpaid; billed with April's, for their minimum."""
    balances_negative: int
    """Statements with a credit balance, billed as 0."""
    client_months: int
    """Statuses read: clients x 6."""
    reproduced: int
    """Statuses that the ledger reproduces at the midnight that ends the due date."""
    by_status: dict[str, StatusFit]
    reproduced_april_to_august: int
    """The same without September, whose repayments are implied by the very status they are compared with."""
    client_months_april_to_august: int
    misfit_current_but_minimum_unpaid: int
    """Status <= 0, yet less than the minimum was paid."""
    misfit_late_without_bill: int
    """Status >= 1 although no statement with a minimum is unpaid (status 1 without a bill)."""
    misfit_later_than_statements: int
    """Status tells of more unpaid minima than there are unpaid statements."""
    misfit_less_late_than_paid: int
    """Status >= 1, but what was paid leaves more minima unpaid than it says."""
    jumps_0_to_2: int
    """Months in which the status goes from <= 0 to 2. They are no misfit: 2 is the code of a first miss."""


class Client(Struct, frozen=True):
    """One row: the columns that are used, months in order of time, amounts in dollars."""

    number: int
    limit: int
    statuses: tuple[int, ...]
    bills: tuple[int, ...]
    paid: tuple[int, ...]
    defaulted: bool


class Settlement(Struct, frozen=True):
    """How one statement was settled in the month after it: dollars paid in time and after the due date."""

    in_time: int
    late: int
    unpaid_before: int
    """Minima due and unpaid before this month's payment, this statement's included."""
    unpaid_at_midnight: int
    """Minima unpaid at the midnight that ends the due date: what the status is compared with."""


def minimum_due(balance: int) -> int:
    """The minimum due on a statement balance, in dollars."""
    return max(0, balance) * MINIMUM_DUE_PER_CENT // 100


def unpaid_minima(status: int) -> int:
    """How many minima a status says are unpaid at the midnight that ends the due date."""
    return min(max(status, 0), 1) if status < 2 else status - 1


def arrears_of(client: Client) -> int:
    """Statements from before April that were unpaid when April's was billed: what April's own cannot explain."""
    return max(0, unpaid_minima(client.statuses[0]) - 1) if _is_due(minimum_due(client.bills[0])) else 0


def settle(client: Client) -> Iterator[Settlement]:
    """Settle the six statements in order: what was paid in time, what too late, and how the ledger then stands."""
    owed = [minimum_due(client.bills[0])] * arrears_of(client)
    for month, (bill, status) in enumerate(zip(client.bills, client.statuses, strict=True)):
        if _is_due(minimum_due(bill)):
            owed.append(minimum_due(bill))
        told = unpaid_minima(status)
        least = sum(owed[: max(0, len(owed) - told)])
        if month + 1 < len(MONTHS):
            paid = client.paid[month + 1]
        else:
            paid = max(least, bill) if status < 0 else least  # September's: what its status implies
        in_time = min(paid, least) if told else paid
        settlement = Settlement(
            in_time=in_time,
            late=paid - in_time,
            unpaid_before=len(owed),
            unpaid_at_midnight=len(_pay(owed, in_time)),
        )
        remaining = _pay(owed, paid)
        if remaining == _pay(
            owed, in_time
        ):  # nothing depends on when the rest was paid: no reason to call it late
            settlement = msgspec.structs.replace(settlement, in_time=paid, late=0)
        yield settlement
        owed = remaining


def _is_due(amount: int) -> bool:
    return amount > TOLERANCE_DOLLARS


def _pay(owed: list[int], paid: int) -> list[int]:
    """Minima left when `paid` pays the oldest first. Beyond the minima it pays the balance, never a later statement."""
    left = list(owed)
    while left and paid > 0:
        part = min(left[0], paid)
        paid -= part
        left[0] -= part
        if _is_due(left[0]):
            break
        left.pop(0)
    return left


class _Dates:
    """Every date and instant of the conversion, by month index (0: April)."""

    def __init__(self) -> None:
        calendar = Calendar(TIME_ZONE)
        starts = month_starts(YEAR, MONTHS[0], len(MONTHS) + 2)
        self._midnights = [calendar.midnight_ms(start) for start in starts]
        self.opened_ms = self._midnights[0]
        self.judged_ms = self._midnights[7]
        """The local midnight that ends October: the outcome is known."""
        self.billed_ms = [midnight - 2 * 3_600_000 for midnight in self._midnights[1:7]]
        self.due = [iso_date(start + DUE_DAY - 1) for start in starts[1:7]]
        self._starts = starts

    def due_before_april(self, months: int) -> str | None:
        """The due date of the statement that is `months` older than April's."""
        index = 4 - months
        year, month = YEAR + index // 12, index % 12 + 1
        return iso_date(month_starts(year, month, 1)[0] + DUE_DAY - 1)

    def in_time_ms(self, month: int, client: int) -> int:
        """An instant before the due date in month `month`: clients are spread over days 4 to 18 and over the day."""
        return self._midnights[month] + (3 + client % 15) * DAY_MS + _minute_of_day_ms(client)

    def late_ms(self, month: int, client: int) -> int:
        """An instant after the due date: days 22 to 27."""
        return self._midnights[month] + (21 + client % 6) * DAY_MS + _minute_of_day_ms(client)


def _minute_of_day_ms(client: int) -> int:
    return (9 * 60 + client * 37 % 720) * 60_000


class _Conversion:
    """Turns clients into events and counts."""

    def __init__(self) -> None:
        self._dates = _Dates()
        self.counts: Counter[str] = Counter()
        self.seen: Counter[int] = Counter()
        self.reproduced: Counter[int] = Counter()
        self.reproduced_before_september = 0

    def events_of(self, client: Client) -> Iterator[dict[str, Any]]:
        """A client's events, statement by statement."""
        borrower_id = f"uci-{client.number:05d}"
        settlements = list(settle(client))
        self._judge(client, settlements)
        yield self._opened(client, borrower_id)
        if client.paid[0] > 0:
            self.counts["before_first"] += 1
            at_ms = self._dates.in_time_ms(0, client.number)
            yield self._repayment(borrower_id, "pay-2005-04", at_ms, client.paid[0])
        yield from self._statements(client, borrower_id)
        for month, settlement in enumerate(settlements, start=1):
            yield from self._repayments(client.number, borrower_id, month, settlement)

    def outcome_of(self, client: Client) -> Outcome:
        self.counts["bad"] += client.defaulted
        return Outcome(
            borrower_id=f"uci-{client.number:05d}",
            outcome="bad" if client.defaulted else "good",
            time_ms=self._dates.judged_ms,
        )

    def _event(self, type_: str, borrower_id: str, name: str, at_ms: int) -> dict[str, Any]:
        self.counts[type_] += 1
        return {
            "type": type_,
            "event_id": f"{borrower_id}-{name}",
            "borrower_id": borrower_id,
            "event_time_ms": at_ms,
            "loan_id": f"{borrower_id}-card",
        }

    def _opened(self, client: Client, borrower_id: str) -> dict[str, Any]:
        return self._event("loan_opened", borrower_id, "open", self._dates.opened_ms) | {
            "platform_id": PLATFORM_ID,
            "currency": CURRENCY,
            "principal_minor": 0,
            "instalments": (),
            "product": "card",
            "credit_limit_minor": client.limit * MINOR_PER_DOLLAR,
        }

    def _statements(self, client: Client, borrower_id: str) -> Iterator[dict[str, Any]]:
        arrears = arrears_of(client)
        self.counts["arrears"] += arrears
        minimum_minor = minimum_due(client.bills[0]) * MINOR_PER_DOLLAR
        for number in range(1, arrears + 1):
            statement = self._event(
                "instalment_billed", borrower_id, f"arrears-{number}", self._dates.billed_ms[0]
            )
            yield statement | {
                "number": number,
                "due_date": self._dates.due_before_april(arrears - number + 1),
                "amount_minor": minimum_minor,
                "minimum_due_minor": minimum_minor,
            }
        for month, bill in enumerate(client.bills):
            self.counts["negative"] += bill < 0
            name = f"bill-{YEAR}-{MONTHS[month]:02d}"
            balance_minor = max(0, bill) * MINOR_PER_DOLLAR
            statement = self._event("instalment_billed", borrower_id, name, self._dates.billed_ms[month])
            yield statement | {
                "number": arrears + month + 1,
                "due_date": self._dates.due[month],
                "amount_minor": balance_minor,
                "minimum_due_minor": minimum_due(bill) * MINOR_PER_DOLLAR,
                "balance_minor": balance_minor,
            }

    def _repayment(self, borrower_id: str, name: str, at_ms: int, dollars: int) -> dict[str, Any]:
        return self._event("repayment", borrower_id, name, at_ms) | {
            "amount_minor": dollars * MINOR_PER_DOLLAR
        }

    def _repayments(
        self, client: int, borrower_id: str, month: int, settlement: Settlement
    ) -> Iterator[dict[str, Any]]:
        name = f"{YEAR}-{MONTHS[0] + month:02d}"
        if settlement.in_time > 0:
            self.counts["implied"] += month == len(MONTHS)
            at_ms = self._dates.in_time_ms(month, client)
            yield self._repayment(borrower_id, f"pay-{name}", at_ms, settlement.in_time)
        if settlement.late > 0:
            self.counts["late"] += 1
            self.counts["split"] += settlement.in_time > 0
            at_ms = self._dates.late_ms(month, client)
            yield self._repayment(borrower_id, f"pay-{name}-late", at_ms, settlement.late)

    def _judge(self, client: Client, settlements: list[Settlement]) -> None:
        for month, (status, settlement) in enumerate(zip(client.statuses, settlements, strict=True)):
            told = unpaid_minima(status)
            self.seen[status] += 1
            if settlement.unpaid_at_midnight == told:
                self.reproduced[status] += 1
                self.reproduced_before_september += month + 1 < len(MONTHS)
            elif told == 0:
                self.counts["misfit_current"] += 1
            elif settlement.unpaid_before == 0:
                self.counts["misfit_without_bill"] += 1
            elif settlement.unpaid_before < told:
                self.counts["misfit_later"] += 1
            else:
                self.counts["misfit_less_late"] += 1
        self.counts["jumps"] += sum(before <= 0 and after == 2 for before, after in pairwise(client.statuses))

    def result(self, rejected_rows: int) -> ConversionCounts:
        counts, clients = self.counts, self.counts["loan_opened"]
        return ConversionCounts(
            clients=clients,
            bad=counts["bad"],
            rejected_rows=rejected_rows,
            events=clients + counts["instalment_billed"] + counts["repayment"],
            loans_opened=clients,
            statements_billed=counts["instalment_billed"],
            repayments=counts["repayment"],
            repayments_implied=counts["implied"],
            repayments_late=counts["late"],
            payments_split=counts["split"],
            payments_before_first_statement=counts["before_first"],
            arrears_taken_on=counts["arrears"],
            balances_negative=counts["negative"],
            client_months=self.seen.total(),
            reproduced=self.reproduced.total(),
            by_status={
                str(status): StatusFit(client_months=self.seen[status], reproduced=self.reproduced[status])
                for status in sorted(self.seen)
            },
            reproduced_april_to_august=self.reproduced_before_september,
            client_months_april_to_august=clients * (len(MONTHS) - 1),
            misfit_current_but_minimum_unpaid=counts["misfit_current"],
            misfit_late_without_bill=counts["misfit_without_bill"],
            misfit_later_than_statements=counts["misfit_later"],
            misfit_less_late_than_paid=counts["misfit_less_late"],
            jumps_0_to_2=counts["jumps"],
        )


class _RejectedRow(Struct, frozen=True):
    line: int
    reason: str
    raw: dict[str, Any]


def convert(
    csv_path: Path, out_dir: Path, progress: Callable[[int, int], None] | None = None
) -> ConversionCounts:
    """Write `repayments.jsonl`, `outcomes.jsonl` and `conversion.json` (the counts returned) to `out_dir`.

    The same file gives the same bytes. A row that cannot be read is left out, counted, and kept in
    `rejected-rows.jsonl`.

    Args:
        csv_path: the data set's CSV file, about 3 MB.
        out_dir: made where it does not exist; files of an earlier conversion are replaced.
        progress: told how many rows are done, of how many.

    Raises:
        UciDefaultError: the file is missing, or a column is, or no row is left.
        streams.event_folder_writer.FolderInUseError: `out_dir` holds event files of something else.
    """
    rows = _read_rows(csv_path)
    conversion = _Conversion()
    rejected: list[_RejectedRow] = []
    topic: Topic = "repayments"
    encode_lines = msgspec.json.Encoder().encode_lines
    with EventFolderWriter(out_dir, (topic, "outcomes")) as writer:
        for done, (line, row) in enumerate(rows, start=1):
            client = _client_of(row)
            if isinstance(client, str):
                rejected.append(_RejectedRow(line, client, row))
            else:
                writer.write(topic, encode_lines(list(conversion.events_of(client))))
                writer.write_one("outcomes", conversion.outcome_of(client))
            if progress is not None and (done % _REPORTED_EVERY_CLIENTS == 0 or done == len(rows)):
                progress(done, len(rows))
        if len(rejected) == len(rows):
            raise UciDefaultError(
                f"{csv_path}: no row could be read" + "".join(f"; {r.reason}" for r in rejected[:1])
            )
    counts = conversion.result(len(rejected))
    (out_dir / "conversion.json").write_bytes(msgspec.json.format(msgspec.json.encode(counts)) + b"\n")
    kept = out_dir / "rejected-rows.jsonl"
    if rejected:
        kept.write_bytes(encode_lines(rejected))
    else:
        kept.unlink(missing_ok=True)
    return counts


def _read_rows(csv_path: Path) -> list[tuple[int, dict[str, Any]]]:
    """All rows with their line numbers: 30,000 of them, some tens of megabytes."""
    try:
        with csv_path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            needed = ("ID", "LIMIT_BAL", *_STATUS_COLUMNS, *_BILL_COLUMNS, *_PAID_COLUMNS)
            missing = [column for column in needed if column not in columns]
            if not any(label in columns for label in _LABEL_COLUMNS):
                missing.append(_LABEL_COLUMNS[0])
            if missing:
                raise UciDefaultError(f"{csv_path}: not the UCI data set: no column {', '.join(missing)}")
            return [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UciDefaultError(f"{csv_path}: cannot be read: {error}") from error


def _client_of(row: dict[str, Any]) -> Client | str:
    """The client of a row, or why it cannot be read."""
    label = next(label for label in _LABEL_COLUMNS if label in row)
    try:
        client = Client(
            number=_whole(row, "ID"),
            limit=_whole(row, "LIMIT_BAL"),
            statuses=tuple(_whole(row, column) for column in _STATUS_COLUMNS),
            bills=tuple(_whole(row, column) for column in _BILL_COLUMNS),
            paid=tuple(_whole(row, column) for column in _PAID_COLUMNS),
            defaulted=bool(_whole(row, label)),
        )
    except ValueError as error:
        return str(error)
    if client.number < 1 or client.limit < 0 or min(client.paid) < 0:
        return "ID, limit or payment is negative"
    if any(status not in _STATUSES for status in client.statuses):
        return f"a status outside {_STATUSES.start} to {_STATUSES.stop - 1}"
    return client


def _whole(row: dict[str, Any], column: str) -> int:
    """A whole number; some copies write 100000 as 1.00E+05."""
    text = row[column]
    try:
        value = float(text)
    except (TypeError, ValueError):
        raise ValueError(f"{column}: {text!r} is no number") from None
    if not math.isfinite(value) or not value.is_integer() or abs(value) > _DOLLARS_MAX:
        raise ValueError(f"{column}: {text!r} is no whole number of a plausible size")
    return int(value)
