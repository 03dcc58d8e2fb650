"""What a live worker counts, on a small book and virtual time: every figure has the value that can be told by hand."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
import pytest

from models.alerts import Alert
from models.events import FUND_FLOWS, LINKED_RISK, REPAYMENTS, TOPICS
from streams.bootstrap import build_pipeline
from streams.memory.virtual_time import START_MS, run_virtual
from streams.metrics import PlainMetrics
from streams.partitioner import partition_of
from streams.pipeline import Pipeline
from streams.progress import is_progress_key
from tests.support.house import House, until
from tests.support.workload import event_bytes

PARTITIONS: Final = 2
DAY_MS: Final = 86_400_000
SETTINGS: Final[dict[str, Any]] = {
    "clock": "wall",
    "until_end": False,
    "partitions": PARTITIONS,
    "feed_probe_interval_ms": 500,
    "portfolio_interval_ms": 2_000,
}
BORROWERS: Final = tuple(f"b{number}" for number in range(6))
LOAN_MINOR: Final = 200_000


class Book:
    """A house with the real engine, and short ways to write to it."""

    def __init__(self, **changes: Any) -> None:
        self.house = House(**SETTINGS | changes)
        self._sent = 0

    @property
    def metrics(self) -> PlainMetrics:
        return self.house.metrics

    def worker(self, metrics: PlainMetrics | None = None) -> Pipeline:
        house = self.house
        return build_pipeline(house.settings, metrics or house.metrics, ports=house.ports, clock=house.clock)

    def send(self, borrower: str, feed: int = REPAYMENTS, *, at_ms: int, **fields: Any) -> None:
        self._sent += 1
        event = {"event_id": f"e{self._sent}", "borrower_id": borrower, "event_time_ms": at_ms, **fields}
        self.raw(borrower, msgspec.json.encode(event), feed)

    def raw(self, borrower: str, value: bytes, feed: int = REPAYMENTS) -> None:
        key = borrower.encode()
        self.house.broker.produce(self.house.names.inputs[feed], partition_of(key, PARTITIONS), key, value)

    def open_loans(self) -> None:
        """A loan each, opened forty days ago, its only instalment twelve days past due."""
        for borrower in BORROWERS:
            self.send(
                borrower,
                at_ms=START_MS - 40 * DAY_MS,
                type="loan_opened",
                loan_id=f"l-{borrower}",
                platform_id="own" if borrower < "b3" else "partner",
                currency="CNY",
                principal_minor=LOAN_MINOR,
                instalments=[{"number": 1, "due_date": "2025-12-20", "amount_minor": LOAN_MINOR}],
            )

    def beat(self) -> None:
        """Every feed has sent everything up to now."""
        beat = msgspec.json.encode({"type": "heartbeat", "event_time_ms": self.house.clock.now_ms()})
        for topic in self.house.names.inputs:
            for partition in range(PARTITIONS):
                self.house.broker.produce(topic, partition, b"", beat)

    def is_told(self) -> bool:
        """Whether every loan's miss was opened, as of its day, and escalated, as of a week later."""
        return len(self.alerts()) == 2 * len(BORROWERS)

    def alerts(self) -> list[Alert]:
        return [alert for alerts in self.house.alerts() for alert in alerts]

    def state_bytes(self) -> int:
        return sum(
            len(value)
            for key, value in self.house.states().items()
            if key is not None and value is not None and not is_progress_key(key)
        )


async def lived(book: Book) -> None:
    """Six loans, of which one is paid late; a word nobody knows, and a record that is none."""
    worker = book.worker()
    running = asyncio.create_task(worker.run())
    book.open_loans()
    book.beat()
    await until(book.is_told, seconds=30)
    paid_ms = book.house.clock.now_ms()
    book.send(
        "b0", at_ms=paid_ms, type="repayment", loan_id="l-b0", amount_minor=LOAN_MINOR, payer="a cousin"
    )
    book.raw("b1", b"not json")
    await asyncio.sleep(10)
    book.metrics.gauges["asked_at_ms",] = book.house.clock.now_ms()
    worker.stop()
    await running


@pytest.fixture(scope="module")
def book() -> Book:
    """After ten quiet seconds, stopped."""

    async def main() -> Book:
        made = Book()
        await lived(made)
        return made

    return run_virtual(main())


def gauges(book: Book, name: str) -> dict[tuple[str, ...], float]:
    """A gauge by its labels."""
    return {key[1:]: value for key, value in book.metrics.gauges.items() if key[0] == name}


def test_events_are_counted_by_topic_and_type(book: Book) -> None:
    """As decoded; what is no event is `rejected`, and a word that nobody knows is counted by its field."""
    events = {key[1:]: count for key, count in book.metrics.counters.items() if key[0] == "events"}

    expected: dict[tuple[str, ...], int] = {
        ("repayments", "loan_opened"): 6,
        ("repayments", "repayment"): 1,
        ("repayments", "rejected"): 1,
        **{(topic, "heartbeat"): PARTITIONS for topic in TOPICS},
    }
    assert events == expected
    assert book.metrics.total("processed") == sum(events.values())
    assert book.metrics.counters["unknown_words", "repayment.payer"] == 1
    assert book.metrics.counters["rejects", "repayments", "not-json"] == 1


def test_alerts_are_counted_as_they_are_committed(book: Book) -> None:
    """By signal, status and severity: what a reader of committed records counts."""
    read: dict[tuple[str, ...], int] = {}
    for alert in book.alerts():
        labels = (alert.signal, alert.status, alert.severity)
        read[labels] = read.get(labels, 0) + 1

    assert {key[1:]: n for key, n in book.metrics.counters.items() if key[0] == "alerts"} == read
    assert (
        read["missed_payment", "opened", "watch"]
        == read["missed_payment", "escalated", "warning"]
        == len(BORROWERS)
    )
    assert read["missed_payment", "resolved", "warning"] == 1


def test_latency_is_that_of_alerts_which_an_event_caused(book: Book) -> None:
    """From the record's timestamp to the commit; those that a deadline opened have no record to count from."""
    caused = [alert for alert in book.alerts() if alert.caused_by.event_id is not None]

    assert book.metrics.observed["alert_latency_seconds"] == len(caused) > 0
    assert 0 < book.metrics.sums["alert_latency_seconds"] / len(caused) < 1


def test_state_is_measured_in_borrowers_and_bytes(book: Book) -> None:
    """The survey knows the bytes to the last one; what was written is at least as much."""
    assert gauges(book, "borrowers") == {(): len(BORROWERS)}
    assert gauges(book, "state_bytes") == {(): book.state_bytes()}
    assert book.metrics.counters["state_written_bytes",] >= book.state_bytes()
    assert book.metrics.counters["state_records",] >= len(BORROWERS)


def test_nothing_lags_when_all_is_committed(book: Book) -> None:
    """Each partition of each topic, the messages between borrowers among them; and the figure is fresh."""
    partitions = [str(partition) for partition in range(PARTITIONS)]

    assert gauges(book, "consumer_lag_records") == {
        (topic, partition): 0 for topic in (*TOPICS, LINKED_RISK) for partition in partitions
    }
    assert 0 <= gauges(book, "consumer_lag_age_seconds")[()] <= 2


def test_the_delay_of_a_watermark_is_that_of_the_last_task(book: Book) -> None:
    """A heartbeat at the start, ten quiet seconds since: the feeds that only beat are as far behind."""
    delays = gauges(book, "watermark_delay_seconds")

    assert set(delays) == {(topic,) for topic in TOPICS}
    assert all(9 <= delay <= 15 for delay in delays.values())


def test_feeds_say_since_when_they_are_idle_and_that_they_are_not_known_to_live(book: Book) -> None:
    """All moved seconds ago; only the one that moved while it was watched is known to live."""
    assert gauges(book, "feed_silent")[TOPICS[REPAYMENTS],] == 0
    assert gauges(book, "feed_silent")[TOPICS[FUND_FLOWS],] == 1
    assert all(5 <= idle <= 15 for idle in gauges(book, "feed_idle_seconds").values())


def test_the_worker_is_ready_and_gets_on(book: Book) -> None:
    """As its page says."""
    assert gauges(book, "ready") == {(): 1}
    assert gauges(book, "stalled_seconds") == {(): 0}
    assert gauges(book, "tasks") == {("open",): PARTITIONS, ("opening",): 0}


def test_turns_and_transactions_are_timed(book: Book) -> None:
    """Each turn that processed anything, each commit, each restore."""
    observed = book.metrics.observed

    assert 0 < observed["batch_seconds"] <= book.metrics.total("processed")
    assert observed["commit_seconds"] == book.metrics.total("commits") > 0
    assert observed["restore_seconds"] == PARTITIONS


def test_the_portfolio_is_what_the_six_loans_come_to(book: Book) -> None:
    """Five are twelve days past due, the sixth is paid and has nothing outstanding."""
    borrowers = gauges(book, "portfolio_borrowers")
    by_bucket = {
        bucket: sum(n for (_, one), n in borrowers.items() if one == bucket) for _, bucket in borrowers
    }

    assert gauges(book, "portfolio_tasks") == {(): PARTITIONS}
    assert 0 <= gauges(book, "portfolio_age_seconds")[()] <= 5
    assert (by_bucket["1-30"], by_bucket["current"], sum(borrowers.values())) == (5, 1, 6)
    assert gauges(book, "portfolio_moved_borrowers")["current", "1-30"] == 5
    assert gauges(book, "portfolio_overdue_minor")["CNY", "1-30"] == 5 * LOAN_MINOR
    assert sum(gauges(book, "portfolio_outstanding_minor").values()) == 5 * LOAN_MINOR
    assert gauges(book, "portfolio_platform_overdue_minor") == {
        ("CNY", "own"): 2 * LOAN_MINOR,
        ("CNY", "partner"): 3 * LOAN_MINOR,
    }
    assert gauges(book, "portfolio_open_alerts")["missed_payment", "warning"] == 5
    assert gauges(book, "portfolio_currencies_left_out") == {(): 0}


# ---- while it is behind, and when tasks move --------------------------------------------------------------------------


def test_what_is_processed_and_not_committed_lags() -> None:
    """A minute between commits: all that was sent since lags, and none of it after the next one."""

    async def main() -> tuple[float, float]:
        house = House(**SETTINGS | {"commit_interval_ms": 60_000, "backlog_commit_interval_ms": 60_000})
        worker = house.worker()
        running = asyncio.create_task(worker.run())
        await until(lambda: len(worker.tasks) == PARTITIONS, seconds=30)
        for number in range(7):
            partition = partition_of(b"b0", PARTITIONS)
            value = event_bytes(REPAYMENTS, "b0", f"e{number}", START_MS)
            house.broker.produce(house.names.inputs[REPAYMENTS], partition, b"b0", value)
        await until(lambda: house.metrics.total("processed") == 7, seconds=30)
        await asyncio.sleep(5)
        place = ("consumer_lag_records", "repayments", str(partition_of(b"b0", PARTITIONS)))
        behind = house.metrics.gauges[place]
        await asyncio.sleep(60)
        caught_up = house.metrics.gauges[place]
        worker.stop()
        await running
        return behind, caught_up

    assert run_virtual(main()) == (7, 0)


def test_workers_add_up_to_the_whole_and_nobody_counts_twice() -> None:
    """Two workers share the tasks, then one has them all: the sum of what they show is the book, each time."""

    async def main() -> tuple[list[float], list[float]]:
        book = Book()
        first = asyncio.create_task((worker := book.worker()).run())
        book.open_loans()
        book.beat()
        await until(book.is_told, seconds=30)
        other = PlainMetrics()
        second = asyncio.create_task((leaving := book.worker(other)).run())
        await asyncio.sleep(30)
        shared = [_sum(metrics, "portfolio_borrowers") for metrics in (book.metrics, other)]
        shared.append(
            sum(_sum(metrics, "consumer_lag_records", count=True) for metrics in (book.metrics, other))
        )
        leaving.stop()
        await second
        await asyncio.sleep(30)
        alone = [_sum(book.metrics, "portfolio_borrowers"), _sum(book.metrics, "portfolio_tasks")]
        worker.stop()
        await first
        return shared, alone

    (mine, theirs, series), alone = run_virtual(main())

    assert mine > 0
    assert theirs > 0
    assert mine + theirs == len(BORROWERS)
    assert series == 5 * PARTITIONS
    assert alone == [len(BORROWERS), PARTITIONS]


def _sum(metrics: PlainMetrics, name: str, *, count: bool = False) -> float:
    return sum(1 if count else value for key, value in metrics.gauges.items() if key[0] == name)


def test_after_a_restart_the_portfolio_is_as_it_was() -> None:
    """Nothing is kept of it but the borrowers themselves; and the bytes of state are known before any survey."""

    async def main() -> tuple[dict[tuple[str, ...], float], dict[tuple[str, ...], float], float, int]:
        book = Book()
        await lived(book)
        before = _portfolio(book.metrics)
        book.house.settings = msgspec.structs.replace(book.house.settings, portfolio_interval_ms=0)
        unsurveyed = PlainMetrics()
        await _some_seconds(book.worker(unsurveyed))
        book.house.settings = msgspec.structs.replace(book.house.settings, portfolio_interval_ms=2_000)
        after = PlainMetrics()
        await _some_seconds(book.worker(after))
        assert not any(key[0].startswith("portfolio") for key in unsurveyed.gauges)
        return before, _portfolio(after), unsurveyed.gauges["state_bytes",], book.state_bytes()

    before, after, restored_bytes, state_bytes = run_virtual(main())

    assert before == after
    assert restored_bytes == state_bytes


async def _some_seconds(worker: Pipeline) -> None:
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(10)
    worker.stop()
    await running


def _portfolio(metrics: PlainMetrics) -> dict[tuple[str, ...], float]:
    return {
        key: value
        for key, value in metrics.gauges.items()
        if key[0].startswith("portfolio") and key[0] != "portfolio_age_seconds"
    }
