"""The figures of the portfolio: every task's borrowers are looked at a few at a time, all the time (`decisions/0009-figures-of-the-portfolio.md`).

The state of a borrower is bytes until it is touched, and a look costs about a tenth of a millisecond; so there is no scan but
a stroll: a few borrowers when nothing else is to do, fewer while there is. What a task's survey came to stands until its next
one is done; figures of the worker are the sums over its tasks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Final, NamedTuple, get_args

from msgspec import Struct, field

from models.alerts import SeverityName, SignalName, Tier
from models.portfolio import BUCKETS, NO_LOAN, OTHER, Pair, Portfolio, added
from streams.clock import Clock
from streams.metrics import ChangingGauge, Metrics
from streams.metrics_catalogue import PORTFOLIO_CURRENCIES_MAX, PORTFOLIO_PLATFORMS_MAX
from streams.task import Task

_IDLE_STEP: Final = 20
"""Borrowers looked at in a turn that has nothing else to do: some 2 ms between two polls."""
_BUSY_STEP: Final = 10
_BUSY_EVERY_MS: Final = 100
"""While there is work: 1 ms in 100, so a hundredth of the speed."""
_LOOK_EVERY_MS: Final = 1_000
"""How often is looked for a task whose survey is due."""
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
"""ISO 4217. Whatever else stands in the field becomes no label."""

_TIERS_AND_BUCKETS: Final = tuple(product(get_args(Tier), BUCKETS))
_MOVES: Final = tuple(product((*BUCKETS, NO_LOAN), BUCKETS))
_SIGNALS_AND_SEVERITIES: Final = tuple(product(get_args(SignalName), get_args(SeverityName)))


class Surveyed(NamedTuple):
    """What a task's last survey came to."""

    task: Task
    book: Portfolio
    began_ms: int


class _Running(Struct):
    number: int
    task: Task
    borrower_ids: list[str]
    began_ms: int
    looked_at: int = 0
    book: Portfolio = field(default_factory=Portfolio)


class Surveys:
    """One task's survey at a time, and the sums of the last ones."""

    def __init__(self, interval_ms: int, clock: Clock, metrics: Metrics) -> None:
        """`interval_ms`: a task is surveyed anew so often at most; 0 is never."""
        self._interval_ms = interval_ms
        self._clock = clock
        self._metrics = metrics
        self._running: _Running | None = None
        self._done: dict[int, Surveyed] = {}
        self._next_ms = 0
        self._gauges = _Gauges(metrics)

    def step(self, tasks: Mapping[int, Task], *, is_idle: bool) -> None:
        """Look at a few borrowers, where it is time to."""
        if not self._interval_ms:
            return
        now_ms = self._clock.monotonic_ms()
        running = self._running
        if now_ms < self._next_ms and not (is_idle and running is not None):
            return
        if running is None or tasks.get(running.number) is not running.task:
            running = self._running = self._begun(tasks, now_ms)
        self._next_ms = now_ms + (_LOOK_EVERY_MS if running is None else _BUSY_EVERY_MS)
        if running is None:
            return
        upto = running.looked_at + (_IDLE_STEP if is_idle else _BUSY_STEP)
        running.task.engine.survey(running.borrower_ids[running.looked_at : upto], running.book)
        running.looked_at = upto
        if upto >= len(running.borrower_ids):
            self._running = None
            self._next_ms = now_ms
            running.task.state_bytes = running.book.state_bytes
            self._done[running.number] = Surveyed(running.task, running.book, running.began_ms)
            self._gauges.show(self._standing(tasks))

    def show_age(self, tasks: Mapping[int, Task]) -> None:
        """Say how old the figures are; what belongs to tasks that are not here any more is in them no more."""
        standing = self._standing(tasks)
        if len(standing) < len(self._done):
            self._done = {number: done for number, done in self._done.items() if done in standing}
            self._gauges.show(standing)
        if standing:
            age_ms = self._clock.monotonic_ms() - min(done.began_ms for done in standing)
            self._metrics.set("portfolio_age_seconds", age_ms / 1000)

    def _standing(self, tasks: Mapping[int, Task]) -> list[Surveyed]:
        return [done for number, done in self._done.items() if tasks.get(number) is done.task]

    def _begun(self, tasks: Mapping[int, Task], now_ms: int) -> _Running | None:
        """The survey that is due for the longest time."""
        last_ms = {
            number: done.began_ms
            for number, task in tasks.items()
            if (done := self._done.get(number)) is not None and done.task is task
        }
        never_ms = -self._interval_ms
        due = [
            number for number in tasks if now_ms - last_ms.get(number, never_ms + now_ms) >= self._interval_ms
        ]
        if not due:
            return None
        number = min(due, key=lambda one: last_ms.get(one, never_ms))
        task = tasks[number]
        return _Running(number, task, task.engine.borrower_ids(), now_ms)


class _Gauges:
    """The gauges of the portfolio. What may be empty is shown as 0, what has no end is cut off where the catalogue says."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._borrowers = ChangingGauge(metrics, "portfolio_borrowers")
        self._moved = ChangingGauge(metrics, "portfolio_moved_borrowers")
        self._open_alerts = ChangingGauge(metrics, "portfolio_open_alerts")
        self._outstanding = ChangingGauge(metrics, "portfolio_outstanding_minor")
        self._overdue = ChangingGauge(metrics, "portfolio_overdue_minor")
        self._platform_outstanding = ChangingGauge(metrics, "portfolio_platform_outstanding_minor")
        self._platform_overdue = ChangingGauge(metrics, "portfolio_platform_overdue_minor")

    def show(self, standing: Iterable[Surveyed]) -> None:
        """Set all of them."""
        surveyed = list(standing)
        book = added(done.book for done in surveyed)
        self._metrics.set("portfolio_tasks", len(surveyed))
        self._borrowers.show(_counted(book.borrowers, _TIERS_AND_BUCKETS))
        self._moved.show(_counted(book.moved, _MOVES))
        self._open_alerts.show(_counted(book.open_alerts, _SIGNALS_AND_SEVERITIES))
        currencies = shown_currencies(book.loans)
        self._metrics.set("portfolio_currencies_left_out", len(book.loans) - len(currencies))
        currencies_and_buckets = tuple(product(currencies, BUCKETS))
        self._outstanding.show(_counted(book.outstanding_minor, currencies_and_buckets))
        self._overdue.show(_counted(book.overdue_minor, currencies_and_buckets))
        shown = {
            currency: shown_platforms(book.platform_outstanding_minor, currency) for currency in currencies
        }
        self._platform_outstanding.show(_by_platform(book.platform_outstanding_minor, shown))
        self._platform_overdue.show(_by_platform(book.platform_overdue_minor, shown))


def shown_currencies(loans: Counter[str]) -> list[str]:
    """Those of most loans, as many as may be shown."""
    known = [currency for currency in loans if _CURRENCY.fullmatch(currency)]
    return sorted(known, key=lambda currency: (-loans[currency], currency))[:PORTFOLIO_CURRENCIES_MAX]


def shown_platforms(outstanding_minor: Counter[Pair], currency: str) -> set[str]:
    """Those with most outstanding in a currency, as many as may be shown by name."""
    of_currency = [
        (-amount, platform) for (code, platform), amount in outstanding_minor.items() if code == currency
    ]
    return {platform for _, platform in sorted(of_currency)[:PORTFOLIO_PLATFORMS_MAX]}


def _counted(found: Counter[Pair], shown: Iterable[Pair]) -> dict[tuple[str, ...], float]:
    return {labels: found[labels] for labels in shown}


def _by_platform(amounts: Counter[Pair], shown: Mapping[str, set[str]]) -> dict[tuple[str, ...], float]:
    total: Counter[tuple[str, ...]] = Counter()
    for labels, amount in _named(amounts, shown):
        total[labels] += amount
    return dict(total)


def _named(amounts: Counter[Pair], shown: Mapping[str, set[str]]) -> Iterator[tuple[Pair, int]]:
    for (currency, platform), amount in amounts.items():
        if currency in shown:
            yield (currency, platform if platform in shown[currency] else OTHER), amount
