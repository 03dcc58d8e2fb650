"""The deliveries of one endpoint while it holds its partitions: in order for each borrower, tried again, in the end a dead letter.

A borrower's messages go one after the other, each only when the one before is delivered or given up; other borrowers' go on
meanwhile. An offset counts as settled when its message is delivered, given up, or not for this endpoint.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Final

from msgspec import Struct

from streams.clock import Clock
from streams.metrics import Metrics
from streams.ports import OutputRecord, RawRecord
from streams.webhooks.endpoints import Endpoint
from streams.webhooks.letters import webhook_letter
from streams.webhooks.sender import Attempt, Sender
from streams.webhooks.wanted import is_wanted, notice_of

_GROWTH: Final = 4.0
"""Of the waits: an endpoint that is away for a minute is asked four times, one that is away for long hardly more often."""
_JITTER: Final = 0.5
"""A wait is drawn between this part of it and all of it, so that many borrowers do not come at once."""


class Pending(Struct, frozen=True):
    """A message on its way."""

    task: int
    record: RawRecord
    body: bytes
    message_id: str


class Ledger:
    """Which offsets of a partition are settled, and what is to be written of them."""

    def __init__(self, position: int) -> None:
        """`position`: the first offset to come."""
        self.next = position
        """The first offset not seen yet."""
        self.committed: int | None = None
        """Up to where the group knows; None where it knows nothing yet."""
        self._unsettled: dict[int, None] = {}
        self._letters: dict[int, OutputRecord] = {}

    @property
    def position(self) -> int:
        """Everything before it is settled."""
        return next(iter(self._unsettled), self.next)

    def seen(self, offset: int) -> None:
        """Offsets come in order."""
        self._unsettled[offset] = None
        self.next = offset + 1

    def settle(self, offset: int, letter: OutputRecord | None = None) -> None:
        """A letter is written with the position that passes it, so that it is written once."""
        del self._unsettled[offset]
        if letter is not None:
            self._letters[offset] = letter

    def letters(self) -> list[OutputRecord]:
        """Those that the position has passed."""
        return [self._letters[offset] for offset in sorted(self._letters) if offset < self.position]

    def wrote(self, position: int) -> None:
        """The letters before it are in their topic, and the group knows it."""
        self.committed = position
        self._letters = {offset: letter for offset, letter in self._letters.items() if offset >= position}


class Shift:
    """See above. It ends with `close`, and the next one is made anew."""

    def __init__(
        self,
        endpoint: Endpoint,
        topic: str,
        sender: Sender,
        clock: Clock,
        metrics: Metrics,
        dice: random.Random,
    ) -> None:
        """`topic`: the alerts', with prefix; `dice` draw the jitter."""
        self.ledgers: dict[int, Ledger] = {}
        self.pending = 0
        self.is_gone = False
        """The endpoint said that it is no more."""
        self._endpoint, self._topic = endpoint, topic
        self._sender, self._clock, self._metrics, self._dice = sender, clock, metrics, dice
        self._lanes: dict[str, deque[Pending]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(endpoint.parallel)
        self._closing = asyncio.Event()
        self._quiet_until_ms = 0
        """By the stop-watch: the endpoint asked to be left alone until then."""
        self._failure: BaseException | None = None

    def begin(self, task: int, position: int) -> None:
        """A partition is here, from this offset on."""
        self.ledgers[task] = Ledger(position)

    def take(self, task: int, record: RawRecord) -> None:
        """One record of a partition, in order."""
        ledger = self.ledgers[task]
        ledger.seen(record.offset)
        notice = notice_of(record)
        if notice is None or record.value is None:
            self._give_up(task, record, None, None, 0)
        elif is_wanted(notice, self._endpoint):
            self._enter(notice.borrower_id, Pending(task, record, record.value, notice.message_id))
        else:
            ledger.settle(record.offset)
            self._metrics.count("webhook_messages", 1, self._endpoint.name, "filtered")

    async def close(self, seconds: float) -> None:
        """Begin nothing more, let requests under way end for so long, and cancel the rest."""
        self._closing.set()
        tasks = set(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def raise_failure(self) -> None:
        """What no delivery may end with: an error of ours."""
        if self._failure is not None:
            raise self._failure

    # ---- one borrower --------------------------------------------------------------------------------------------

    def _enter(self, borrower_id: str, pending: Pending) -> None:
        self.pending += 1
        lane = self._lanes.get(borrower_id)
        if lane is not None:
            lane.append(pending)
            return
        self._lanes[borrower_id] = deque([pending])
        task = asyncio.create_task(self._run_lane(borrower_id))
        self._tasks.add(task)
        task.add_done_callback(self._lane_ended)

    def _lane_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()

    async def _run_lane(self, borrower_id: str) -> None:
        lane = self._lanes[borrower_id]
        while lane and await self._deliver(lane[0]):
            lane.popleft()
            self.pending -= 1
        if not lane:
            del self._lanes[borrower_id]

    async def _deliver(self, pending: Pending) -> bool:
        """Whether the message is settled: it is not where the shift ends before, or the endpoint is gone."""
        for number in range(1, self._endpoint.attempts_max + 1):
            attempt = await self._attempt(pending)
            if attempt is None:
                return False
            if attempt.outcome == "delivered":
                self._settle(pending)
                return True
            if number == self._endpoint.attempts_max:
                self._give_up(pending.task, pending.record, pending.message_id, attempt, number)
                return True
            if await self._closes_within(self._wait_seconds(number)):
                return False
        raise AssertionError("the last attempt settles")

    async def _attempt(self, pending: Pending) -> Attempt | None:
        """One attempt, when there is room and the endpoint wants to hear; None where the shift ends first."""
        async with self._slots:
            while not self._closing.is_set() and not self.is_gone:
                quiet_ms = self._quiet_until_ms - self._clock.monotonic_ms()
                if quiet_ms <= 0:
                    return await self._made(pending)
                await self._closes_within(quiet_ms / 1000)
        return None

    async def _made(self, pending: Pending) -> Attempt | None:
        attempt = await self._sender.send(pending.message_id, pending.body)
        self._metrics.count("webhook_attempts", 1, self._endpoint.name, attempt.outcome)
        if attempt.retry_after_seconds is not None:
            until_ms = self._clock.monotonic_ms() + round(attempt.retry_after_seconds * 1000)
            self._quiet_until_ms = max(self._quiet_until_ms, until_ms)
        if attempt.outcome == "gone":
            self.is_gone = True
            return None
        return attempt

    def _wait_seconds(self, attempts: int) -> float:
        endpoint = self._endpoint
        longest = min(endpoint.first_retry_seconds * _GROWTH ** (attempts - 1), endpoint.retry_max_seconds)
        return longest * self._dice.uniform(_JITTER, 1)

    async def _closes_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True

    # ---- settled -------------------------------------------------------------------------------------------------

    def _settle(self, pending: Pending) -> None:
        self.ledgers[pending.task].settle(pending.record.offset)
        self._metrics.count("webhook_messages", 1, self._endpoint.name, "delivered")

    def _give_up(
        self, task: int, record: RawRecord, message_id: str | None, last: Attempt | None, attempts: int
    ) -> None:
        letter = webhook_letter(record, (self._topic, task), self._endpoint.name, message_id, last, attempts)
        self.ledgers[task].settle(record.offset, letter)
        self._metrics.count("webhook_messages", 1, self._endpoint.name, "dead_lettered")
