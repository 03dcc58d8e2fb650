"""A book of a fixed number of borrowers that never ends: for runs so long that a simulated year is not enough.

Loans open, are paid, are sometimes missed, close and are replaced; salaries come monthly, jobs are lost and found; people
spend, apply for credit, are called by servicing. Some events come late, some twice, some are no JSON. Everything comes in
the order of delivery, so nothing is held back: what is remembered here is one entry for each thing to come.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date
from heapq import heappop, heappush
from typing import Any, Final

import msgspec

from models.calendars import DAY_MS
from models.events import CREDIT_QUERIES, FUND_FLOWS, REPAYMENTS, SERVICING, TOPICS
from streams.partitioner import partition_of
from streams.replay import PlannedRecord

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
LOCAL_OFFSET_MS: Final = 8 * HOUR_MS
"""China has one time zone and no summer time: good enough for a bench."""
HEARTBEAT_EVERY_MS: Final = 6 * HOUR_MS

LATE_SHARE: Final = 0.005
DUPLICATE_SHARE: Final = 0.002
GARBAGE_SHARE: Final = 0.0002
MISSED_SHARE: Final = 0.04
"""Of instalments: paid days or weeks late."""
WRITTEN_OFF_SHARE: Final = 0.002
"""Of instalments: neither this one nor a later one is paid."""
JOB_LOST_SHARE: Final = 0.01
"""Of pay days: the last one at this employer, for two to five months."""
QUERY_EVERY_DAYS: Final = 90.0
STACKING_SHARE: Final = 0.03
"""Of applications: the first of seven within days."""
INSTITUTIONS: Final = 300
TERMS: Final = (3, 6, 6, 12)
"""Instalments of a loan, one a month."""
CATEGORIES: Final = (b"living", b"shopping", b"rent", b"fee", b"cash")

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


class _Borrower:
    """One borrower, as the book goes on."""

    __slots__ = (
        "due_days", "employer", "events", "income_minor", "instalment_minor", "key", "loan", "loans", "partition",
        "pay_day",
    )  # fmt: skip

    def __init__(self, number: int, partitions: int, dice: random.Random) -> None:
        self.key = b"k%07d" % number
        self.partition = partition_of(self.key, partitions)
        self.events = 0
        self.employer = 0
        self.income_minor = int(600_000 * 3 ** dice.random())
        self.pay_day = dice.choice((5, 8, 10, 15, 20, 25, 28))
        self.loans = 0
        self.loan = b""
        self.due_days: list[int] = []
        self.instalment_minor = 0


class EndlessBook:
    """The same seed gives the same records."""

    def __init__(
        self, seed: int, borrowers: int, partitions: int, *, spending_per_month: float, start: date
    ) -> None:
        """A book that begins at `start`; `spending_per_month` payments a borrower make most of the volume."""
        self._dice = random.Random(seed)
        self._partitions = partitions
        self._spending_gap_ms = 30 * DAY_MS / spending_per_month
        self._out: list[PlannedRecord] = []
        self._sequence = 0
        self._agenda: list[tuple[int, int, Callable[[int, Any], None], Any]] = []
        """(when, ties in the order of their making, what, to whom)."""
        self.now_ms = (start.toordinal() - _EPOCH_ORDINAL) * DAY_MS - LOCAL_OFFSET_MS
        """Event time so far."""
        self.began_ms = self.now_ms
        for number in range(borrowers):
            borrower = _Borrower(number, partitions, self._dice)
            for happening, within_days in (
                (self._link, 0.01),
                (self._pay_salary, 30.0),
                (self._open_loan, 60.0),
                (self._spend, 3.0),
                (self._apply_for_credit, QUERY_EVERY_DAYS),
            ):
                after_ms = 1 + int(self._dice.random() * within_days * DAY_MS)
                self._later(self.now_ms + after_ms, happening, borrower)
        self._later(self.now_ms + HEARTBEAT_EVERY_MS, self._beat, None)

    def records(self) -> Iterator[PlannedRecord]:
        """Everything, in the order of delivery, without end."""
        agenda, out = self._agenda, self._out
        while True:
            at_ms, _, happening, what = heappop(agenda)
            self.now_ms = at_ms
            happening(at_ms, what)
            yield from out
            out.clear()

    def closing(self) -> Iterator[PlannedRecord]:
        """Two rounds of heartbeats: they let go of all that was delivered before."""
        for later_ms in (1, 2):
            self._beat_at(self.now_ms + later_ms)
            yield from self._out
            self._out.clear()

    # ---- what happens --------------------------------------------------------------------------------------------

    def _link(self, at_ms: int, borrower: _Borrower) -> None:
        self._say(FUND_FLOWS, borrower, at_ms, b"account_linked", b'"account_id":"a"')

    def _pay_salary(self, at_ms: int, borrower: _Borrower) -> None:
        dice = self._dice
        self._say(
            FUND_FLOWS, borrower, at_ms, b"fund_flow",
            b'"account_id":"a","direction":"in","amount_minor":%d,"currency":"CNY","category":"salary",'
            b'"counterparty_id":"e%d-%s","counterparty_kind":"employer"'
            % (borrower.income_minor + dice.randrange(20_000), borrower.employer, borrower.key),
        )  # fmt: skip
        months = 1
        if dice.random() < JOB_LOST_SHARE:
            borrower.employer += 1
            months += dice.randrange(2, 6)
        day = _same_day_later(_local_day(at_ms), months, borrower.pay_day)
        self._later(_at(day, 9 + 2 * dice.random()), self._pay_salary, borrower)

    def _spend(self, at_ms: int, borrower: _Borrower) -> None:
        dice = self._dice
        self._say(
            FUND_FLOWS, borrower, at_ms, b"fund_flow",
            b'"account_id":"a","direction":"out","amount_minor":%d,"currency":"CNY","category":"%s",'
            b'"counterparty_id":"m%d","counterparty_kind":"merchant"'
            % (500 + dice.randrange(30_000), CATEGORIES[dice.randrange(len(CATEGORIES))], dice.randrange(5_000)),
        )  # fmt: skip
        self._later(at_ms + 1 + int(dice.expovariate(1 / self._spending_gap_ms)), self._spend, borrower)

    def _apply_for_credit(self, at_ms: int, borrower: _Borrower) -> None:
        dice = self._dice
        self._query(at_ms, borrower)
        if dice.random() < STACKING_SHARE:
            for _ in range(6):
                self._later(at_ms + 1 + dice.randrange(12 * DAY_MS), self._query, borrower)
        gap_ms = dice.expovariate(1 / (QUERY_EVERY_DAYS * DAY_MS))
        self._later(at_ms + HOUR_MS + int(gap_ms), self._apply_for_credit, borrower)

    def _query(self, at_ms: int, borrower: _Borrower) -> None:
        institution = self._dice.randrange(INSTITUTIONS)
        body = b'"institution_id":"bank-%d","purpose":"loan_application"' % institution
        self._say(CREDIT_QUERIES, borrower, at_ms, b"credit_query", body)

    def _open_loan(self, at_ms: int, borrower: _Borrower) -> None:
        dice = self._dice
        borrower.loans += 1
        borrower.loan = b"%s-l%d" % (borrower.key, borrower.loans)
        borrower.instalment_minor = int(borrower.income_minor * (0.1 + 0.2 * dice.random()))
        today, due_day = _local_day(at_ms), 1 + dice.randrange(28)
        number = dice.choice(TERMS)
        borrower.due_days = [_same_day_later(today, month, due_day) for month in range(1, number + 1)]
        lines = b",".join(
            b'{"number":%d,"due_date":"%s","amount_minor":%d}' % (place, _iso(day), borrower.instalment_minor)
            for place, day in enumerate(borrower.due_days, start=1)
        )
        self._say(
            REPAYMENTS, borrower, at_ms, b"loan_opened",
            b'"loan_id":"%s","platform_id":"own","currency":"CNY","principal_minor":%d,"product":"cash_loan",'
            b'"instalments":[%s]' % (borrower.loan, borrower.instalment_minor * number, lines),
        )  # fmt: skip
        self._settle_next(at_ms, borrower)

    def _settle_next(self, at_ms: int, borrower: _Borrower) -> None:
        """Decide when the next instalment is paid, if ever; a miss has servicing call."""
        dice = self._dice
        roll = dice.random()
        due_ms = _at(borrower.due_days[0], 12)
        if roll < WRITTEN_OFF_SHARE:
            for days in (3, 8, 15, 40):
                self._later(due_ms + days * DAY_MS, self._call, borrower)
            self._later(due_ms + 125 * DAY_MS, self._write_off, borrower)
            return
        pay_ms = due_ms - dice.randrange(5 * DAY_MS)
        if roll < WRITTEN_OFF_SHARE + MISSED_SHARE:
            late_days = 2 + dice.randrange(33)
            pay_ms = due_ms + late_days * DAY_MS
            for days in range(1, late_days, 7):
                self._later(due_ms + days * DAY_MS, self._call, borrower)
            if dice.random() < 0.05:
                self._later(due_ms + DAY_MS + HOUR_MS, self._hold, borrower)
        self._later(max(pay_ms, at_ms + MINUTE_MS), self._repay, borrower)

    def _repay(self, at_ms: int, borrower: _Borrower) -> None:
        body = b'"loan_id":"%s","amount_minor":%d' % (borrower.loan, borrower.instalment_minor)
        self._say(REPAYMENTS, borrower, at_ms, b"repayment", body)
        del borrower.due_days[0]
        if borrower.due_days:
            self._settle_next(at_ms, borrower)
        else:
            self._later(at_ms + MINUTE_MS, self._close, borrower)

    def _close(self, at_ms: int, borrower: _Borrower, reason: bytes = b"settled") -> None:
        body = b'"loan_id":"%s","reason":"%s"' % (borrower.loan, reason)
        self._say(REPAYMENTS, borrower, at_ms, b"loan_closed", body)
        self._later(at_ms + DAY_MS + self._dice.randrange(60 * DAY_MS), self._open_loan, borrower)

    def _write_off(self, at_ms: int, borrower: _Borrower) -> None:
        self._close(at_ms, borrower, b"written_off")

    def _call(self, at_ms: int, borrower: _Borrower) -> None:
        outcome = b"reached" if self._dice.random() < 0.6 else b"unreached"
        body = b'"channel":"phone","outcome":"%s"' % outcome
        self._say(SERVICING, borrower, at_ms, b"contact_attempted", body)

    def _hold(self, at_ms: int, borrower: _Borrower) -> None:
        self._say(SERVICING, borrower, at_ms, b"hold_placed", b'"hold_id":"h","reason":"hardship"')
        self._later(at_ms + 10 * DAY_MS, self._release, borrower)

    def _release(self, at_ms: int, borrower: _Borrower) -> None:
        self._say(SERVICING, borrower, at_ms, b"hold_released", b'"hold_id":"h","reason":"hardship"')

    def _beat(self, at_ms: int, _: None) -> None:
        self._beat_at(at_ms)
        self._later(at_ms + HEARTBEAT_EVERY_MS, self._beat, None)

    def _beat_at(self, at_ms: int) -> None:
        value = msgspec.json.encode({"type": "heartbeat", "event_time_ms": at_ms})
        for feed in range(len(TOPICS)):
            for partition in range(self._partitions):
                self._out.append(PlannedRecord(feed, partition, None, value, at_ms))

    # ---- how it is told ------------------------------------------------------------------------------------------

    def _say(self, feed: int, borrower: _Borrower, at_ms: int, kind: bytes, body: bytes) -> None:
        dice = self._dice
        borrower.events += 1
        value = b'{"type":"%s","event_id":"%d","borrower_id":"%s","event_time_ms":%d,%s}' % (
            kind, borrower.events, borrower.key, at_ms, body,
        )  # fmt: skip
        roll = dice.random()
        if roll < LATE_SHARE:
            learnt_ms = at_ms + HOUR_MS + dice.randrange(3 * DAY_MS)
            value = b'%s,"ingested_at_ms":%d}' % (value[:-1], learnt_ms)
            self._later(learnt_ms, self._deliver, (feed, borrower, value))
            return
        self._out.append(PlannedRecord(feed, borrower.partition, borrower.key, value, at_ms))
        roll -= LATE_SHARE
        if roll < DUPLICATE_SHARE:
            self._later(at_ms + 1 + dice.randrange(HOUR_MS), self._deliver, (feed, borrower, value))
        elif roll < DUPLICATE_SHARE + GARBAGE_SHARE and feed in (FUND_FLOWS, CREDIT_QUERIES):
            # Only where it does not hold the borrower's alerts back until somebody has looked.
            self._later(at_ms + 1, self._deliver, (feed, borrower, value[: dice.randrange(len(value))]))

    def _deliver(self, at_ms: int, what: tuple[int, _Borrower, bytes]) -> None:
        feed, borrower, value = what
        self._out.append(PlannedRecord(feed, borrower.partition, borrower.key, value, at_ms))

    def _later(self, at_ms: int, happening: Callable[[int, Any], None], what: object) -> None:
        self._sequence += 1
        heappush(self._agenda, (at_ms, self._sequence, happening, what))


def _local_day(at_ms: int) -> int:
    return (at_ms + LOCAL_OFFSET_MS) // DAY_MS


def _at(day: int, hour: float) -> int:
    """The instant of a local hour of a day."""
    return day * DAY_MS - LOCAL_OFFSET_MS + int(hour * HOUR_MS)


def _same_day_later(day: int, months: int, day_of_month: int) -> int:
    """The day number of a day (28 at most) so many months later."""
    today = date.fromordinal(day + _EPOCH_ORDINAL)
    months += today.year * 12 + today.month - 1
    return date(months // 12, months % 12 + 1, day_of_month).toordinal() - _EPOCH_ORDINAL


def _iso(day: int) -> bytes:
    return date.fromordinal(day + _EPOCH_ORDINAL).isoformat().encode()
