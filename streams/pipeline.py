"""One batch, whole: read this first.

    poll ─ decode ─ order by time ─ engine ─ begin │ alerts, risk, rejects, changed state, progress │ offsets │ commit

One loop serves all tasks of this worker: it polls, lets every open task process for a few milliseconds, and starts the
commits that are due. A commit runs beside the loop, one at a time for each task; the task goes on processing meanwhile,
into the next transaction. When anything about a transaction is in doubt, the pipeline raises and the process ends: a
restart rebuilds the task from the log, and the log knows what was committed.

When tasks move (a rebalance), processing stops, running commits finish, and what the next assignment does not bring back is
thrown away. A task that comes straight back, in the very next generation, kept its producer unfenced: nobody else can
have had it, so it goes on with what it has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final

from streams.clock import Clock
from streams.commits import Commits
from streams.feeds import LiveFeeds
from streams.gauges import SOURCES, WorkerGauges
from streams.metrics import Metrics
from streams.opening import TaskOpener
from streams.policies import Follower
from streams.ports import LINKED, Assignment, EngineMaker, Fetched, Logs, Ports
from streams.probe import Ends, EndsProbe
from streams.settings import Settings
from streams.surveys import Surveys
from streams.task import FEEDS, Task
from streams.topics import names_of
from streams.watchdog import Concern, Watchdog

logger = logging.getLogger(__name__)

_IDLE_POLL_MS: Final = 20
"""How long the loop waits for records when nothing else is due: also the grain of its timers."""
_YIELDS_COMMITTING: Final = 4
"""Turns left to the network while a commit runs: an answer passes through as many callbacks before the next request."""
_RESTORING_SHARE: Final = 100
"""While tasks are being restored the open ones do a hundredth of their work in a turn, and the network as much as ever: a borrower
whose task is not open is not watched at all. Of a million with a backlog the last were watched after two minutes, and are after 23 s."""
_WATCH_EVERY_MS: Final = 1_000
"""How often is looked whether the worker gets on."""


class PipelineError(Exception):
    """Why the pipeline ends: the message is what the operator reads."""


class Pipeline:
    """All tasks of one worker."""

    def __init__(
        self,
        ports: Ports,
        prepare: Callable[[Logs], Awaitable[EngineMaker]],
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """Everything it needs of the world comes through `ports` and `clock`.

        `prepare` reads policy and scorecard before any gate opens.
        """
        self.tasks: dict[int, Task] = {}
        """The open ones, by number."""
        self.turns = 0
        """How often the loop went round: as long as it grows, the process is not stuck."""
        self._turned_at_ms: int | None = None
        self._ports = ports
        self._prepare = prepare
        self._opener: TaskOpener | None = None
        self._engines: EngineMaker | None = None
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._names = names_of(settings)
        self._source = ports.source()
        self._logs = ports.logs()
        self._feeds = LiveFeeds(settings, clock, metrics)
        self._probe = EndsProbe(self._read_ends, settings.feed_probe_interval_ms)
        interval_ms = settings.policy_poll_interval_ms
        self._followers = (
            Follower("policies", self._refresh, interval_ms, metrics),
            Follower("scorecards", self._refresh_cards, interval_ms, metrics),
        )
        self._gauges = WorkerGauges(clock, metrics)
        self._surveys = Surveys(settings.portfolio_interval_ms, clock, metrics)
        self._watchdog = Watchdog()
        self._next_watch_ms = 0
        self._partition_count = 0
        self._held: Assignment | None = None
        """The assignment that the open and opening tasks belong to."""
        self._assignment_checked: Assignment | None = None
        """The last one at which the topics were found to have as many partitions as at the start."""
        self._handing_over = False
        self._stopping = asyncio.Event()
        self._openings: dict[int, asyncio.Task[Task]] = {}
        self._commits = Commits(settings, clock, metrics)
        self._closings: set[asyncio.Task[None]] = set()
        self._paused: set[tuple[int, int]] = set()
        self._outdated: set[int] = set()
        """Tasks that have not taken up what was published last."""
        self._processed = 0
        self._ends: Ends | None = None
        """With `until_end`: by feed, where each partition ended at the start."""
        self._last_look: asyncio.Task[dict[int, int]] | None = None
        """With `until_end`: how far messages go, asked when there was nothing else to do."""

    def stop(self) -> None:
        """Finish what is begun, commit, and let `run` return."""
        self._stopping.set()

    @property
    def opening(self) -> frozenset[int]:
        """The tasks of this worker that are not open yet."""
        return frozenset(self._openings)

    async def run(self) -> None:
        """Work until `stop`, or until the end of the input with `until_end`.

        Raises:
            PipelineError, RestoreError, PortError: the process has to end; nothing was committed that is not whole.
        """
        try:
            await self._start()
            while not self._stopping.is_set():
                await self._turn()
            await self._drain()
        finally:
            await self._shut()

    # ---- the loop ------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        await self._logs.start()
        counts = await self._logs.partition_counts(self._names.consumed)
        if min(counts.values()) == 0 or len(set(counts.values())) > 1:
            found = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise PipelineError(
                f"topics missing, hidden from this user, or unequal in partitions ({found}): run `forewarn topics apply`"
            )
        self._partition_count = next(iter(counts.values()))
        examples = self._names.training_examples
        if (await self._logs.partition_counts([examples]))[examples] == 0:
            raise PipelineError(f"topic missing ({examples}): run `forewarn topics apply`")
        engines = await self._prepare(self._logs)
        self._engines = engines
        self._opener = TaskOpener(
            self._ports,
            self._source,
            self._logs,
            engines,
            self._settings,
            partition_count=self._partition_count,
            clock=self._clock,
            metrics=self._metrics,
        )
        if self._settings.until_end:
            self._ends = await self._read_ends()
        await self._source.start(self._hand_over)

    async def _turn(self) -> None:
        """Once around: what arrived, what can be processed, what is due."""
        self.turns += 1
        self._raise_if_outslept()
        self._raise_failures()
        self._follow_assignment()
        for fetched in await self._source.poll(0 if self._has_work() else _IDLE_POLL_MS):
            self._accept(fetched)
        self._look()
        # The awaits above are where tasks may have been taken away; from here on nothing can come between.
        if not self._handing_over:
            self._follow_policies()
            processed = self._process()
            self._surveys.step(self.tasks, is_idle=not processed and not self._openings)
            self._commits.begin_due(self.tasks.values())
            self._stop_at_end()
            if self._gauges.show(self.tasks, self._probe, self._source.position):
                self._surveys.show_age(self.tasks)
        # Commits, fetches and heartbeats move on only here.
        for _ in range(_YIELDS_COMMITTING if self._commits else 1):
            await asyncio.sleep(0)

    def _raise_if_outslept(self) -> None:
        """End a process that stood still for longer than its session: the group has given its tasks away.

        The client would join anew as if nothing had happened. But whoever was stopped, suspended or starved for so long
        holds connections, producers and half a transaction of another time: a new process is sure to hold none.
        """
        now_ms = self._clock.monotonic_ms()
        former_ms, self._turned_at_ms = self._turned_at_ms, now_ms
        if former_ms is not None and now_ms - former_ms > self._settings.session_timeout_ms:
            raise PipelineError(
                f"this process stood still for {(now_ms - former_ms) / 1000:.1f} s, longer than its session "
                f"(session_timeout_ms {self._settings.session_timeout_ms}): others have its tasks by now. It ends; a "
                f"restart goes on from the last transaction in the log"
            )

    def _has_work(self) -> bool:
        """Whether the next turn can process something: else waiting for records leaves the network its time."""
        if self._handing_over:
            return False
        return any(
            self._can_process(task) or (task.told and not self._commits.is_full(task))
            for task in self.tasks.values()
        )

    def _accept(self, fetched: Fetched) -> None:
        task = self.tasks.get(fetched.task)
        if task is None:
            return  # of an older generation: it will be read again by whoever has the task now
        task.accept(fetched)
        if self._holds_enough(task, fetched.feed):
            self._paused.add((fetched.feed, fetched.task))
            self._source.pause(fetched.feed, fetched.task)

    def _holds_enough(self, task: Task, feed: int) -> bool:
        """Whether a partition must be held back until more of it is processed."""
        settings = self._settings
        if feed == LINKED:
            return len(task.told) >= settings.merge_buffer_records_max
        queue = task.queue
        return (
            queue.buffered(feed) >= settings.merge_buffer_records_max
            or queue.batches(feed) >= settings.merge_buffer_batches_max
            or queue.ready >= settings.merge_buffer_records_max
        )

    def _process(self) -> int:
        """Let every task process its share of this turn, and hear what was told before; return how many records."""
        began_ms = self._clock.monotonic_ms()
        for number, task in self.tasks.items():
            task.unread = sum(self._source.unread(feed, number) for feed in range(FEEDS))
            self._release(task)
            if task.told and not task.engine.is_passing and not self._commits.is_full(task):
                task.hear(self._settings.turn_events_max)
        ready = self._whose_turn()
        processed = 0
        events_max = self._settings.turn_events_max // (_RESTORING_SHARE if self._openings else 1)
        for task in ready:
            processed += task.process(max(1, events_max // len(ready)))
        for task in self.tasks.values():
            self._resume_partitions(task)
        if processed:
            self._processed += processed
            self._metrics.count("processed", processed)
            self._metrics.observe("batch_seconds", (self._clock.monotonic_ms() - began_ms) / 1000)
        return processed

    def _whose_turn(self) -> list[Task]:
        """The tasks that process something in this turn: all that can, but of those amid deadlines only the first.

        A midnight comes to all tasks at once. One after the other their alerts come sooner on average, and the others get on with
        their events.
        """
        able = [task for task in self.tasks.values() if self._can_process(task)]
        passing = [task for task in able if task.engine.is_passing]
        return [task for task in able if not task.engine.is_passing or task is passing[0]]

    def _can_process(self, task: Task) -> bool:
        """Whether there is something that need not wait for a commit."""
        return (task.engine.is_passing or task.queue.ready > 0) and not self._commits.is_full(task)

    def _release(self, task: Task) -> None:
        queue = task.queue
        if not queue.waiting:
            return
        if self._settings.clock == "event":
            queue.release()
        else:
            idle = [self._source.caught_up(feed, task.number) for feed in range(FEEDS)]
            queue.release(idle, self._clock.monotonic_ms() - self._settings.merge_wait_ms)

    def _resume_partitions(self, task: Task) -> None:
        if not self._paused:
            return
        settings = self._settings
        for feed in range(FEEDS):
            if (
                (feed, task.number) in self._paused
                and task.queue.buffered(feed) < settings.merge_buffer_records_max // 2
                and task.queue.batches(feed) < settings.merge_buffer_batches_max
                and task.queue.ready < settings.merge_buffer_records_max // 2
            ):
                self._paused.discard((feed, task.number))
                self._source.resume(feed, task.number)
        if (LINKED, task.number) in self._paused and not task.told:
            self._paused.discard((LINKED, task.number))
            self._source.resume(LINKED, task.number)

    # ---- assignment ----------------------------------------------------------------------------------------------

    async def _hand_over(self) -> None:
        """Tasks may move: stop, and let what is begun come to its end. Heartbeats go on meanwhile."""
        self._handing_over = True
        for opening in self._openings.values():
            opening.cancel()
        pending = [*self._openings.values(), *self._commits.pending]
        if pending:
            await asyncio.wait(pending, timeout=self._settings.handover_timeout_ms / 1000)

    def _follow_assignment(self) -> None:
        """Make the tasks those of the current assignment."""
        assignment = self._source.assignment
        if assignment is None or assignment == self._held:
            self._take_opened()
            return
        assert self._opener is not None, "assigned before started"
        if max(assignment.tasks, default=0) >= self._partition_count:
            raise self._partitions_changed(f"partition {max(assignment.tasks)} was assigned")
        self._metrics.count("rebalances")
        logger.info("generation %d: tasks %s", assignment.generation, sorted(assignment.tasks))
        former, self._held = self._held, assignment
        for number in list(self._openings):
            self._discard_opening(number)
        continues = former is not None and assignment.generation == former.generation + 1
        for number in list(self.tasks):
            if number not in assignment.tasks or not continues or number in self._commits:
                self._discard(number)
        self._paused.clear()
        self._handing_over = False
        for number in sorted(assignment.tasks):
            if number in self.tasks:
                self._source.open(number, self.tasks[number].polled)
            else:
                opening = self._opener.open(number)
                self._openings[number] = asyncio.create_task(opening, name=f"opening of task {number}")
        self._share_memory()
        self._show_tasks()

    def _take_opened(self) -> None:
        """Open the gates of the tasks that are ready."""
        if self._handing_over:
            return
        for number in [number for number, opening in self._openings.items() if opening.done()]:
            task = self._openings.pop(number).result()
            self._outdated.add(number)
            self.tasks[number] = task
            self._source.open(number, task.offsets)
            self._share_memory()
            self._show_tasks()

    def _share_memory(self) -> None:
        """Give every task an even share of what the worker may keep decoded, and judge in one turn."""
        count = max(1, len(self.tasks) + len(self._openings))
        pictures_max = max(1, self._settings.pictures_max // count)
        if self._openings:
            count *= _RESTORING_SHARE
        deadlines_at_once = max(1, self._settings.deadlines_at_once_max // count)
        for task in self.tasks.values():
            task.engine.hold(pictures_max, deadlines_at_once)

    def _discard(self, number: int) -> None:
        """Throw a task away: its state goes on elsewhere, or is rebuilt."""
        task = self.tasks.pop(number)
        commit = self._commits.take(number)
        self._close_later(self._close_sink(task, commit))

    def _discard_opening(self, number: int) -> None:
        opening = self._openings.pop(number)
        opening.cancel()
        self._close_later(self._close_opening(opening))

    def _close_later(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(closing)
        self._closings.add(task)
        task.add_done_callback(self._closings.discard)

    async def _close_sink(self, task: Task, commit: asyncio.Task[None] | None) -> None:
        if commit is not None:
            # Its outcome does not matter any more: whoever opens the task next reads it in the log.
            await asyncio.wait([commit], timeout=self._settings.commit_timeout_ms / 1000)
            commit.cancel()
            await asyncio.gather(commit, return_exceptions=True)
        await task.sink.close()

    async def _close_opening(self, opening: asyncio.Task[Task]) -> None:
        (opened,) = await asyncio.gather(opening, return_exceptions=True)
        if isinstance(opened, Task):
            await opened.sink.close()
        elif not isinstance(opened, asyncio.CancelledError):
            logger.warning("an opening that was given up had failed: %s", opened)

    def _show_tasks(self) -> None:
        self._metrics.set("tasks", len(self.tasks), "open")
        self._metrics.set("tasks", len(self._openings), "opening")

    def _raise_failures(self) -> None:
        """End the pipeline when a commit or an opening of a task that is ours has failed."""
        if self._handing_over:
            return
        failure = self._commits.failure()
        if failure is not None:
            number, error = failure
            raise PipelineError(
                f"task {number}: {error}. The process ends; a restart goes on from the last transaction in the log"
            ) from error

    # ---- feeds, and whether the worker gets on ----------------------------------------------------------------------

    def _look(self) -> None:
        """Look at the ends of all partitions now and then: do the feeds live, does this worker bring what is there?"""
        now_ms = self._clock.monotonic_ms()
        ends = self._probe.look(now_ms)
        if ends is not None and self._settings.clock == "wall" and not self._handing_over:
            self._follow_time_of_day(ends)
        if now_ms >= self._next_watch_ms:
            self._next_watch_ms = now_ms + _WATCH_EVERY_MS
            self._watchdog.look(self._concerns(), now_ms)
            self._metrics.set("stalled_seconds", self._watchdog.longest_ms / 1000)
            self._metrics.set("ready", not self.reasons_not_ready)
            self._end_if_stuck()

    async def _refresh(self) -> bool:
        return await self._engines_known.refresh(self._logs)

    async def _refresh_cards(self) -> bool:
        return await self._engines_known.refresh_cards(self._logs)

    @property
    def _engines_known(self) -> EngineMaker:
        assert self._engines is not None, "asked for before started"
        return self._engines

    def _follow_policies(self) -> None:
        """Let the open tasks take up what was published; one that is being opened does when its gate opens.

        Amid deadlines that are passed in steps a task waits: it would have to pass all that are left at once.
        """
        now_ms = self._clock.monotonic_ms()
        news = [follower.look(now_ms) for follower in self._followers]
        if any(news):
            self._outdated.update(self.tasks)
        for number in list(self._outdated):
            task = self.tasks.get(number)
            if task is None or not task.engine.is_passing:
                self._outdated.remove(number)
                if task is not None:
                    self._engines_known.bring_up_to_date(task.engine)

    def _follow_time_of_day(self, ends: Ends) -> None:
        """Move the watermarks of idle partitions of living feeds."""
        following = self._feeds.watermarks_ms(ends[:FEEDS], self._engines_known.lateness_ms)
        for task in self.tasks.values():
            if self._commits.is_full(task):
                continue
            idle = {feed: at_ms for feed, at_ms in following.items() if self._is_idle(task, feed)}
            if idle:
                task.advance(idle)

    def _is_idle(self, task: Task, feed: int) -> bool:
        return (
            task.queue.buffered(feed) == 0
            and task.queue.ready == 0
            and self._source.caught_up(feed, task.number)
        )

    def _concerns(self) -> Iterator[Concern]:
        """What is fine for a moment and must not last. An opening task is none: each of its steps has its own limit."""
        if (missing := self._probe.missing_answer(self._clock.monotonic_ms())) is not None:
            yield Concern("broker", None, f"the broker does not answer: {missing}")
        if self._source.assignment is None:
            yield Concern("assignment", None, f"group {self._settings.group_id} has assigned nothing")
        all_steps = sum(task.steps_before for task in self.tasks.values())
        for number, task in self.tasks.items():
            # Amid deadlines nothing else begins, and it may be others' turn to pass theirs.
            steps = all_steps if task.engine.is_passing else task.steps_before
            if task.queue.ready:
                said = f"task {number}: {task.queue.ready} records wait to be processed"
                yield Concern((number, "process"), (*task.offsets, steps), said)
            if task.told:
                said = f"task {number}: {len(task.told)} messages of linked borrowers wait to be heard"
                yield Concern((number, "hear"), (task.offsets[LINKED], steps), said)
            # Not `dirty`: a watermark that follows the time of day makes a task so, again and again, and is nothing to commit.
            is_committing = number in self._commits
            if task.uncommitted_events or is_committing:
                said = f"task {number}: what was processed is not committed, step {task.commit_steps}"
                yield Concern((number, "commit"), (task.commit_steps, 0 if is_committing else steps), said)
            if not self._handing_over:
                yield from self._unread(task)

    def _unread(self, task: Task) -> Iterator[Concern]:
        """What a task reads and holds more than was polled, where nobody holds it back."""
        for feed, ends in enumerate(self._probe.ends or ()):
            position = self._source.position(feed, task.number)
            if position < ends[task.number] and (feed, task.number) not in self._paused:
                said = f"task {task.number}: {SOURCES[feed]} is read up to {position} of {ends[task.number]}"
                yield Concern((task.number, feed), position, said)

    def _end_if_stuck(self) -> None:
        lasting = self._watchdog.lasting(self._settings.progress_timeout_ms)
        if lasting:
            raise PipelineError(
                f"no progress although there is work (progress_timeout_ms): {'; '.join(lasting)}. The process ends; a restart "
                f"goes on from the last transaction in the log"
            )

    @property
    def still_ms(self) -> int:
        """Since the loop last turned; 0 before it does for the first time."""
        return 0 if self._turned_at_ms is None else self._clock.monotonic_ms() - self._turned_at_ms

    @property
    def reasons_not_ready(self) -> list[str]:
        """Why this worker does not do its part at the moment; nothing where it does."""
        if self._stopping.is_set():
            return ["the worker is stopping"]
        if self._held is None:
            return [f"group {self._settings.group_id} has assigned nothing yet"]
        opening = [f"task {number} is being restored" for number in sorted(self._openings)]
        return [*opening, *self._watchdog.lasting(self._settings.unready_after_ms)]

    @property
    def is_restoring(self) -> bool:
        """Whether there is no assignment yet, or a task of it is not open."""
        return self._held is None or bool(self._openings)

    @property
    def is_behind(self) -> bool:
        """Whether borrowers wait for a restore, or events for their turn."""
        records_min = self._settings.backlog_records_min
        return self.is_restoring or any(task.is_behind(records_min) for task in self.tasks.values())

    async def _read_ends(self) -> Ends:
        """Up to where there is something to read, by feed and partition.

        Raises:
            PipelineError: the topics have another number of partitions than at the start.
        """
        if self._assignment_checked != self._held:
            await self._refuse_other_partition_count()
        partitions = range(self._partition_count)
        ends = await self._logs.readable_ends(self._names.consumed, partitions)
        return [[ends[name, partition] for partition in partitions] for name in self._names.consumed]

    async def _refuse_other_partition_count(self) -> None:
        """The group assigns anew when topics grow: so it is enough to look after an assignment."""
        checked = self._held
        counts = await self._logs.partition_counts(self._names.consumed)
        if set(counts.values()) != {self._partition_count}:
            gone = ", ".join(name for name, count in counts.items() if count == 0)
            if gone:
                raise PipelineError(
                    f"input topics are gone, or hidden from this user ({gone}): see `forewarn topics check` and `forewarn topics "
                    f"acls`"
                )
            raise self._partitions_changed(", ".join(f"{name} {count}" for name, count in counts.items()))
        self._assignment_checked = checked

    def _partitions_changed(self, found: str) -> PipelineError:
        return PipelineError(
            f"the input topics had {self._partition_count} partitions at the start and have others now ({found}): "
            f"borrowers would be on the wrong tasks. Replay the inputs under another prefix and group"
        )

    # ---- the end -------------------------------------------------------------------------------------------------

    def _stop_at_end(self) -> None:
        """With `until_end`: let go what waits for topics that will bring nothing, and stop when all is committed and heard.

        What is committed may tell linked borrowers something, so the end of their messages is asked for only then, and
        again as long as it moves.
        """
        if self._ends is None or self._held is None or self._openings:
            return
        finished = 0
        for number, task in self.tasks.items():
            ends = [ends[number] for ends in self._ends[:FEEDS]]
            if all(self._source.position(feed, number) >= end for feed, end in enumerate(ends)):
                task.queue.release_all()
                finished += not (
                    task.queue.ready
                    or task.told
                    or task.dirty
                    or task.engine.is_passing
                    or number in self._commits
                )
        if not self.tasks or finished < len(self._held.tasks):
            self._look_no_more()
        elif self._last_look is None:
            self._last_look = asyncio.create_task(self._ends_of_messages(), name="last look at the messages")
        elif self._last_look.done():
            ends_by_task, self._last_look = self._last_look.result(), None
            if all(self._source.position(LINKED, number) >= end for number, end in ends_by_task.items()):
                self.stop()

    def _look_no_more(self) -> None:
        last_look, self._last_look = self._last_look, None
        if last_look is not None:
            last_look.cancel()

    async def _ends_of_messages(self) -> dict[int, int]:
        """By task: where its messages end, committed or on their way."""
        topic = self._names.linked_risk
        ranges = await self._logs.ranges([topic], sorted(self.tasks))
        return {task: held.end for (_, task), held in ranges.items()}

    async def _drain(self) -> None:
        """Commit what was processed, then hand back."""
        await self._commits.finish()
        self._raise_failures()
        if not self._handing_over:
            for task in self.tasks.values():
                if task.dirty:
                    self._commits.begin(task)
            await self._commits.finish()
            self._raise_failures()
        if self._handing_over:
            logger.info("stopped while tasks moved: what was not committed goes on elsewhere")
        else:
            logger.info("stopped: %d records processed, all committed", self._processed)

    async def _shut(self) -> None:
        """Let go of everything, in whatever state it is."""
        self._look_no_more()
        await self._probe.stop()
        for follower in self._followers:
            await follower.stop()
        for number in list(self._openings):
            self._discard_opening(number)
        await self._source.stop()
        for number in list(self.tasks):
            self._discard(number)
        if self._closings:
            _, unfinished = await asyncio.wait(
                list(self._closings), timeout=self._settings.producer_stop_timeout_ms / 1000
            )
            for closing in unfinished:
                closing.cancel()
        await self._logs.stop()
