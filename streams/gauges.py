"""The gauges of a worker, set once a second: how far its tasks are behind, and what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from models.events import LINKED_RISK, TOPICS
from streams.clock import Clock
from streams.metrics import ChangingGauge, Metrics
from streams.probe import EndsProbe
from streams.task import FEEDS, Task

SOURCES: Final = (*TOPICS, LINKED_RISK)
"""What a task reads, as operators know it."""
_EVERY_MS: Final = 1_000
"""How often gauges are set: more than anybody reads them."""

PositionOf = Callable[[int, int], int]
"""By feed and task: the next offset to read."""


class WorkerGauges:
    """What is known of the tasks of one worker, as gauges."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        """Nothing is shown yet."""
        self._clock = clock
        self._metrics = metrics
        self._next_ms = 0
        self._lag = ChangingGauge(metrics, "consumer_lag_records")
        self._delay = ChangingGauge(metrics, "watermark_delay_seconds")
        self._policies = ChangingGauge(metrics, "policy_tasks")
        self._cards = ChangingGauge(metrics, "scorecard_tasks")

    def show(self, tasks: Mapping[int, Task], probe: EndsProbe, position_of: PositionOf) -> bool:
        """Set them where it is time to; whether it was."""
        now_ms = self._clock.monotonic_ms()
        if now_ms < self._next_ms:
            return False
        self._next_ms = now_ms + _EVERY_MS
        engines = [task.engine for task in tasks.values()]
        self._metrics.set("borrowers", sum(engine.borrower_count for engine in engines))
        self._metrics.set("state_bytes", sum(task.state_bytes for task in tasks.values()))
        self._policies.show(_tasks_by(engine.policy_version for engine in engines))
        self._cards.show(_tasks_by(engine.card_version for engine in engines))
        for feed, topic in enumerate(TOPICS):
            waiting = sum(task.queue.buffered(feed) for task in tasks.values())
            self._metrics.set("buffered_records", waiting, topic)
        self._delay.show(dict(self._delays(tasks)))
        if probe.ends is not None:
            self._metrics.set("consumer_lag_age_seconds", (now_ms - probe.ends_ms) / 1000)
            self._lag.show(dict(_lags(tasks, probe, position_of)))
        return True

    def _delays(self, tasks: Mapping[int, Task]) -> Iterator[tuple[tuple[str], float]]:
        """By topic, where any task has a watermark: how far the last one is behind the time of day."""
        now_ms = self._clock.now_ms()
        for feed, topic in enumerate(TOPICS):
            watermarks_ms = [task.engine.watermarks_ms[feed] for task in tasks.values()]
            known_ms = [watermark_ms for watermark_ms in watermarks_ms if watermark_ms >= 0]
            if known_ms:
                yield (topic,), (now_ms - min(known_ms)) / 1000


def _tasks_by(versions: Iterator[str]) -> dict[tuple[str, ...], float]:
    return {(version,): count for version, count in Counter(versions).items()}


def _lags(
    tasks: Mapping[int, Task], probe: EndsProbe, position_of: PositionOf
) -> Iterator[tuple[tuple[str, str], float]]:
    for feed, ends in enumerate(probe.ends or ()):
        for number, task in tasks.items():
            # Markers of transactions take offsets as well: only the reader knows that nothing is left before the end.
            is_all_committed = task.committed[feed] == task.polled[feed]
            reached = position_of(feed, number) if is_all_committed else task.committed[feed]
            yield (SOURCES[feed], str(number)), max(0, ends[number] - reached)


assert len(SOURCES) == FEEDS + 1, "the feeds, and messages of linked borrowers"
