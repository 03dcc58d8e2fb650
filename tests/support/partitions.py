"""Several partitions in one place: an engine each, and what linked borrowers tell each other on its way between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from models.alerts import Alert
from models.calendars import HOUR_MS
from models.engine import RiskEngine
from models.events import TOPICS, BorrowerEvent
from models.links import Outgoing
from models.publication import BorrowerRisk
from models.risk.scorecard import expert_prior
from streams.partitioner import partition_of
from tests.support.events import end_of, feed_of, rules


class Partitions:
    """Engines, and for each the messages that wait for it: in the order of their sending, as a partition keeps it."""

    def __init__(self, count: int = 1, override: str = "") -> None:
        """So many partitions under one policy."""
        self.alerts: list[Alert] = []
        self.risks: dict[str, BorrowerRisk | None] = {}
        self.sent: list[Outgoing] = []
        self.engines = [self._engine(number, count, override) for number in range(count)]
        self.waiting: list[deque[Outgoing]] = [deque() for _ in range(count)]
        self._changelogs: list[dict[str, bytes]] = [{} for _ in range(count)]
        self._heard = [0] * count
        self._offsets = [0] * count
        self._remake: Callable[[int], RiskEngine] = lambda number: self._engine(number, count, override)

    @staticmethod
    def _engine(number: int, count: int, override: str) -> RiskEngine:
        return RiskEngine(
            rules(override),
            expert_prior(),
            partition=number,
            belongs=lambda borrower_id: partition_of(borrower_id.encode(), count) == number,
        )

    def home_of(self, borrower_id: str) -> int:
        """The partition of a borrower."""
        return partition_of(borrower_id.encode(), len(self.engines))

    def process(self, event: BorrowerEvent) -> None:
        """Take one event; what it has others told waits."""
        number = self.home_of(event.borrower_id)
        assert self.engines[number].process(event, feed_of(event), self._offsets[number]) is None
        self._offsets[number] += 1
        self._collect(number)

    def deliver(self, number: int) -> bool:
        """Hand over the next message of a partition; False where none waits."""
        if not self.waiting[number]:
            return False
        told = self.waiting[number].popleft()
        self.engines[number].hear(told.receiver, told.message, self._heard[number])
        self._heard[number] += 1
        self._collect(number)
        return True

    def settle(self) -> None:
        """Deliver until nobody has anything to say."""
        while any(map(len, self.waiting)):
            for number in range(len(self.engines)):
                self.deliver(number)

    def run(self, events: Iterable[BorrowerEvent]) -> None:
        """Events in order, each on the day that every partition has come to, and followed by what is said of it."""
        for event in events:
            for number, engine in enumerate(self.engines):
                engine.advance_together(dict.fromkeys(range(len(TOPICS)), event.event_time_ms - HOUR_MS))
                self._collect(number)
            self.settle()
            self.process(event)
            self.settle()

    def advance(self, day: str) -> None:
        """Pass the end of a day everywhere."""
        for number, engine in enumerate(self.engines):
            engine.advance_together(end_of(day))
            self._collect(number)

    def restart(self, number: int) -> None:
        """Rebuild an engine from what it has written."""
        progress = self.engines[number].progress()
        engine = self.engines[number] = self._remake(number)
        for borrower_id, record in self._changelogs[number].items():
            engine.restore(borrower_id, record)
        engine.resume(progress)

    def open_episodes(self) -> list[tuple[str, str, str, str]]:
        """Who has which alert open, and how severe."""
        last: dict[str, Alert] = {}
        for alert in self.alerts:
            last[alert.alert_id] = alert
        return sorted(
            (alert.borrower_id, alert.signal, alert.loan_id or "", alert.severity)
            for alert in last.values()
            if alert.status not in ("resolved", "retracted")
        )

    def _collect(self, number: int) -> None:
        engine = self.engines[number]
        output = engine.take_output(0)
        self.alerts += output.alerts
        self.risks |= output.risks
        for borrower_id, record in output.changed.items():
            if record is None:
                self._changelogs[number].pop(borrower_id, None)
            else:
                self._changelogs[number][borrower_id] = record
        for told in output.messages:
            self.sent.append(told)
            self.waiting[self.home_of(told.receiver)].append(told)
