"""How the book stands: what of each borrower can be added up over all, and nothing that names one.

Amounts and platforms are those of own loans, each loan in the bucket of its own days past due; borrowers count once, in the
bucket of the loan that is longest past due. Everything known counts, and days are counted to the local day of the instant.
Buckets of thirty days before are read from the same ledgers, so that nothing has to be kept for them: the migration matrix of
credit practice (roll rates).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from msgspec import Struct, field

from models.alerts import SEVERITIES
from models.borrower import Borrower
from models.calendars import DAY_MS
from models.deadlines import NEVER
from models.ledger import Loan, Position, position
from models.obligations import is_open
from models.rules import BUCKET_STARTS_DAYS, Rules
from models.signal_table import SIGNALS

CURRENT: Final = "current"
BUCKETS: Final = (CURRENT, "1-30", "31-60", "61-90", "91-270", "271-360", ">360")
"""Days past due, as `missed_payment` has them; `current`: nothing is past due."""
NO_LOAN: Final = "none"
"""Where a borrower was thirty days ago who had no open loan then."""
MOVED_WITHIN_DAYS: Final = 30
"""Roll rates compare with the month before."""
NAMES_COUNTED_MAX: Final = 1_000
"""Platforms, and currencies, told apart in one survey: a lender has dozens, and a feed that makes one up for every loan must
not fill the memory."""
OTHER: Final = "other"
"""Platforms, or currencies, beyond that."""

Pair = tuple[str, str]


class Portfolio(Struct):
    """Sums over borrowers; two of them add up (`added`)."""

    surveyed: int = 0
    """Borrowers looked at, with loans or without."""
    state_bytes: int = 0
    """Of their state records."""
    borrowers: Counter[Pair] = field(default_factory=Counter)
    """With an open loan, by tier and bucket."""
    moved: Counter[Pair] = field(default_factory=Counter)
    """The same by their bucket thirty days before, or `NO_LOAN`, and their bucket now."""
    open_alerts: Counter[Pair] = field(default_factory=Counter)
    """By signal and severity."""
    loans: Counter[str] = field(default_factory=Counter)
    """Open ones, by currency."""
    outstanding_minor: Counter[Pair] = field(default_factory=Counter)
    """Of open loans, by currency and bucket."""
    overdue_minor: Counter[Pair] = field(default_factory=Counter)
    """What of it is past due."""
    platform_outstanding_minor: Counter[Pair] = field(default_factory=Counter)
    """By currency and platform."""
    platform_overdue_minor: Counter[Pair] = field(default_factory=Counter)
    """The same."""


def bucket_of(days_past_due: int) -> str:
    """The bucket of days past due, 0 among them."""
    return BUCKETS[sum(days_past_due >= start for start in BUCKET_STARTS_DAYS)]


def open_loans(borrower: Borrower, at_ms: int) -> list[Loan]:
    """Own loans that were opened by an instant and had not ended."""
    return [loan for loan in borrower.loans.values() if not loan.is_voided and is_open(loan, at_ms)]


def add_alerts(book: Portfolio, borrower: Borrower) -> None:
    """Add a borrower's open alerts."""
    for episode in borrower.episodes:
        if episode.closed_ms is None:
            book.open_alerts[SIGNALS[episode.signal].name, SEVERITIES[episode.severity].word] += 1


def add_loans(
    book: Portfolio, borrower: Borrower, loans: Iterable[Loan], tier: str, at_ms: int, rules: Rules
) -> None:
    """Add a borrower's open loans, one at least, and where the borrower stands by them.

    Args:
        book: is added to.
        borrower: whose they are.
        loans: those of `open_loans`.
        tier: of the borrower's risk.
        at_ms: as of when days are counted; everything known counts.
        rules: tolerance and calendar.
    """
    day = rules.calendar.day_of(at_ms)
    longest_days = 0
    was_ever_late = False
    for loan in loans:
        now = position(loan, at_ms, NEVER - 1, day, rules)
        longest_days = max(longest_days, now.days_past_due)
        was_ever_late = was_ever_late or now.worst_days_past_due > 0
        _add_loan(book, loan, now)
    bucket = bucket_of(longest_days)
    before_ms = at_ms - MOVED_WITHIN_DAYS * DAY_MS
    before = _bucket_before(borrower, before_ms, rules, was_ever_late=was_ever_late)
    book.borrowers[tier, bucket] += 1
    book.moved[before, bucket] += 1


def _add_loan(book: Portfolio, loan: Loan, now: Position) -> None:
    currency = _counted(loan.currency, book.loans)
    book.loans[currency] += 1
    bucket = bucket_of(now.days_past_due)
    book.outstanding_minor[currency, bucket] += now.outstanding_minor
    book.overdue_minor[currency, bucket] += now.overdue_minor
    place = (currency, loan.platform_id)
    if (
        place not in book.platform_outstanding_minor
        and len(book.platform_outstanding_minor) >= NAMES_COUNTED_MAX
    ):
        place = (currency, OTHER)
    book.platform_outstanding_minor[place] += now.outstanding_minor
    book.platform_overdue_minor[place] += now.overdue_minor


def _counted(currency: str, known: Counter[str]) -> str:
    return currency if currency in known or len(known) < NAMES_COUNTED_MAX else OTHER


def _bucket_before(borrower: Borrower, before_ms: int, rules: Rules, *, was_ever_late: bool) -> str:
    """A borrower's bucket as of an earlier instant; the ledgers are folded only where anything was late."""
    loans = open_loans(borrower, before_ms)
    if not loans:
        return NO_LOAN
    if not was_ever_late and all(loan.closed_ms is None for loan in loans):
        return CURRENT
    day = rules.calendar.day_of(before_ms)
    return bucket_of(max(position(loan, before_ms, before_ms, day, rules).days_past_due for loan in loans))


def added(books: Iterable[Portfolio]) -> Portfolio:
    """The sum of several."""
    total = Portfolio()
    for book in books:
        total.surveyed += book.surveyed
        total.state_bytes += book.state_bytes
        total.borrowers.update(book.borrowers)
        total.moved.update(book.moved)
        total.open_alerts.update(book.open_alerts)
        total.loans.update(book.loans)
        total.outstanding_minor.update(book.outstanding_minor)
        total.overdue_minor.update(book.overdue_minor)
        total.platform_outstanding_minor.update(book.platform_outstanding_minor)
        total.platform_overdue_minor.update(book.platform_overdue_minor)
    return total
