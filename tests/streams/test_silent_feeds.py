"""An outage of a whole feed makes no alert, and what it held back is judged rightly when it returns: real engine, live clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from models.alerts import Alert
from streams.bootstrap import build_pipeline
from streams.memory.virtual_time import run_virtual
from streams.partitioner import partition_of
from tests.support.house import House

REPAYMENTS: Final = 2
MIDNIGHT_MS: Final = 1_767_196_800_000
"""2026-01-01T00:00 in Shanghai: what is due on the last day of 2025 is past due from here on."""
SECOND: Final = 1_000
SETTINGS: Final[dict[str, Any]] = {
    "clock": "wall",
    "until_end": False,
    "partitions": 2,
    "feed_probe_interval_ms": 500,
    "feed_silence_ms": 60 * SECOND,
    "feed_return_grace_ms": 30 * SECOND,
}


class Feed:
    """The repayments of one borrower who owes by the end of the year, and of others who keep the feed alive."""

    def __init__(self, house: House) -> None:
        names = [f"b{number}" for number in range(20)]
        self.house = house
        self.debtor, self.other = (
            next(name for name in names if partition_of(name.encode(), 2) == partition)
            for partition in (0, 1)
        )
        self._sent = 0
        self.leap_ms = 0
        """By how much the worker's wall clock is wrong; those who send events have clocks of their own."""

    def leap(self, leap_ms: int) -> None:
        """Set the worker's wall clock, from what is right."""
        self.house.clock.start_ms += leap_ms - self.leap_ms
        self.leap_ms = leap_ms

    def send(self, borrower_id: str, at_ms: int, **fields: Any) -> None:
        """Write an event to its borrower's partition."""
        self._sent += 1
        event = {"event_id": f"e{self._sent}", "borrower_id": borrower_id, "event_time_ms": at_ms, **fields}
        partition = partition_of(borrower_id.encode(), 2)
        topic = self.house.names.inputs[REPAYMENTS]
        self.house.broker.produce(topic, partition, borrower_id.encode(), msgspec.json.encode(event))

    def open_loan(self, borrower_id: str, at_ms: int, due_date: str) -> None:
        """Open a loan of one instalment."""
        self.send(
            borrower_id,
            at_ms,
            type="loan_opened",
            loan_id=f"loan-{self._sent}",
            platform_id="own",
            currency="CNY",
            principal_minor=100_000,
            instalments=[{"number": 1, "due_date": due_date, "amount_minor": 100_000}],
        )

    def pay(self, at_ms: int) -> None:
        """The debtor's instalment comes."""
        self.send(self.debtor, at_ms, type="repayment", loan_id="loan-0", amount_minor=100_000)

    async def live(self, seconds: int) -> None:
        """Let time pass in which the other partition has an event every ten seconds."""
        for _ in range(0, seconds, 10):
            self.open_loan(self.other, self.house.clock.now_ms() - self.leap_ms, "2026-12-31")
            await asyncio.sleep(10)

    def alerts(self) -> list[Alert]:
        """What has come of it so far."""
        return [alert for alerts in self.house.alerts() for alert in alerts]


@asynccontextmanager
async def night(folder: Path, from_ms: int) -> AsyncIterator[Feed]:
    """A worker from an instant on, which allows a minute of lateness; the debtor's loan has just been opened."""
    policy = folder / "policy.toml"
    policy.write_text("[feeds.repayments]\nlateness_minutes = 1\n")
    house = House(**SETTINGS, policy_file=str(policy))
    house.clock.start_ms = from_ms
    feed = Feed(house)
    worker = build_pipeline(house.settings, house.metrics, ports=house.ports, clock=house.clock)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(5)
    feed.open_loan(feed.debtor, house.clock.now_ms(), "2025-12-31")
    yield feed
    worker.stop()
    await running


def alerts_after(folder: Path, story: Callable[[Feed], None]) -> tuple[list[Alert], list[Alert]]:
    """Live through an outage over the midnight; return the alerts at its end, and those after the feed's return."""

    async def main() -> tuple[list[Alert], list[Alert]]:
        async with night(folder, MIDNIGHT_MS - 300 * SECOND) as feed:
            await feed.live(120)
            await asyncio.sleep(400)
            during = feed.alerts()
            story(feed)
            await feed.live(120)
        return during, feed.alerts()

    return run_virtual(main())


def test_without_an_outage_the_missed_payment_is_told_on_time(tmp_path: Path) -> None:
    """The same night with a living feed: this is what the others must not take away."""

    async def main() -> list[Alert]:
        async with night(tmp_path, MIDNIGHT_MS - 300 * SECOND) as feed:
            await feed.live(500)
        return feed.alerts()

    (alert,) = run_virtual(main())

    assert (alert.signal, alert.status, alert.event_time_ms) == ("missed_payment", "opened", MIDNIGHT_MS)
    assert alert.detected_at_ms - MIDNIGHT_MS < 70 * SECOND, "a minute of lateness, and a few seconds"


def test_a_payment_that_an_outage_held_back_makes_no_alert(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Made in time, learnt after the outage: nobody is harassed, and the operator was told of the silence and its end."""
    caplog.set_level(logging.INFO)
    during, after = alerts_after(tmp_path, lambda feed: feed.pay(MIDNIGHT_MS - 60 * SECOND))
    said = [record.getMessage() for record in caplog.records if "feed repayments" in record.getMessage()]

    assert during == []
    assert after == []
    assert [line.split(":")[0] for line in said] == [
        "feed repayments has not moved since the start",
        "feed repayments moves",
        "feed repayments is silent",
        "feed repayments moves",
    ]


def test_a_payment_that_is_missing_after_an_outage_is_told_then(tmp_path: Path) -> None:
    """Judged as of its midnight, once the feed has had time to bring what it held back."""
    during, after = alerts_after(tmp_path, lambda _: None)

    assert during == []
    (alert,) = after
    assert (alert.signal, alert.status, alert.event_time_ms) == ("missed_payment", "opened", MIDNIGHT_MS)
    assert alert.detected_at_ms >= MIDNIGHT_MS + 220 * SECOND + SETTINGS["feed_return_grace_ms"]


@pytest.mark.parametrize("leap_ms", [3_600 * SECOND, -3_600 * SECOND])
def test_a_leap_of_the_wall_clock_judges_nothing_early(tmp_path: Path, leap_ms: int) -> None:
    """An hour ahead or back, for three minutes before the midnight: who pays in those minutes hears nothing."""

    async def main() -> list[Alert]:
        async with night(tmp_path, MIDNIGHT_MS - 300 * SECOND) as feed:
            await feed.live(60)
            feed.leap(leap_ms)
            await feed.live(180)
            feed.pay(feed.house.clock.now_ms() - feed.leap_ms)
            feed.leap(0)
            await feed.live(180)
        return feed.alerts()

    assert run_virtual(main()) == []
