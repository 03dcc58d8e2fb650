"""The transactions under way: beside the loop, one at a time for each task, within the budget of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from streams.clock import Clock
from streams.metrics import Metrics
from streams.settings import Settings
from streams.task import Task


class Commits:
    """Begins what is due and keeps what is not finished. A commit that failed stays, for whoever asks."""

    def __init__(self, settings: Settings, clock: Clock, metrics: Metrics) -> None:
        """Nothing is under way."""
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._running: dict[int, asyncio.Task[None]] = {}
        self._next_ms = 0.0
        """Before that the budget of the process is used up."""

    def __contains__(self, task: int) -> bool:
        """Whether a task's commit is not finished, or has failed."""
        return task in self._running

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._running)

    @property
    def pending(self) -> list[asyncio.Task[None]]:
        """All that are not finished, or have failed."""
        return list(self._running.values())

    def is_full(self, task: Task) -> bool:
        """Whether a task must not process more: a full transaction waits for the one before it."""
        settings = self._settings
        return task.is_full(
            settings.commit_events_max, settings.commit_states_max, settings.commit_refused_bytes_max
        )

    def begin_due(self, tasks: Collection[Task]) -> None:
        """Begin the commits that are due, those who wait longest first, within the budget."""
        now_ms = self._clock.monotonic_ms()
        due = [
            task for task in tasks if task.dirty and task.number not in self and self._is_due(task, now_ms)
        ]
        due.sort(key=lambda task: task.last_commit_ms)
        for task in due:
            if now_ms < self._next_ms:
                return
            if self.begin(task):
                gap_ms = 1000 / self._settings.commits_per_second_max
                # A budget unused may be caught up, but no more than one interval of it.
                self._next_ms = max(self._next_ms, now_ms - self._settings.commit_interval_ms) + gap_ms

    def begin(self, task: Task) -> bool:
        """Begin a task's commit; False where it has nothing to write."""
        assert task.number not in self, task.number
        began_ms = task.last_commit_ms = self._clock.monotonic_ms()
        transaction = task.take_transaction()
        for what, count in task.engine.counts.items():
            self._metrics.count("noticed", count, what)
        task.engine.counts.clear()
        if transaction is None:
            return False
        commit = asyncio.create_task(task.commit(transaction), name=f"commit of task {task.number}")
        self._running[task.number] = commit

        def done(finished: asyncio.Task[None]) -> None:
            if not finished.cancelled() and finished.exception() is None:
                self._running.pop(task.number, None)
                task.committed = transaction.offsets
                self._metrics.count("commits")
                transaction.tally.tell(self._metrics, self._clock.now_ms())
                self._metrics.observe("commit_seconds", (self._clock.monotonic_ms() - began_ms) / 1000)

        commit.add_done_callback(done)
        return True

    def take(self, task: int) -> asyncio.Task[None] | None:
        """Hand over a task's commit, if there is one: its outcome is nobody's here any more."""
        return self._running.pop(task, None)

    async def finish(self) -> None:
        """Let all come to their end: each of their steps has its limit."""
        if self._running:
            await asyncio.wait(self._running.values())

    def failure(self) -> tuple[int, BaseException] | None:
        """A task whose commit failed or is in doubt, and why: nothing in this process may go on from it."""
        for number, commit in self._running.items():
            if commit.done() and (error := commit.exception()) is not None:
                return number, error
        return None

    def _is_due(self, task: Task, now_ms: int) -> bool:
        return now_ms - task.last_commit_ms >= self._interval_ms(task) or self.is_full(task)

    def _interval_ms(self, task: Task) -> int:
        """Between two commits. Who is behind waits as long as it is late anyway: alerts come at most twice as late.

        A short backlog is told soon, and one of minutes costs as little as it can: a commit writes each changed state once,
        however often it changed (`decisions/0015-what-a-commit-costs.md`).
        """
        settings = self._settings
        if not task.is_behind(settings.backlog_records_min):
            return settings.commit_interval_ms
        return max(settings.commit_interval_ms, min(task.late_ms or 0, settings.backlog_commit_interval_ms))
