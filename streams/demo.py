"""`forewarn demo`: the main job on a simulated or given book, over real Kafka, watched while it happens.

This process only watches: the workers and the replay are children of a guard that ends them and removes their folder
however this process ends, Ctrl-C and `kill -9` included. A local Kafka has a guard of its own.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

import click
import msgspec
from msgspec import Struct

from models.alerts import Alert
from models.judging import Judge
from models.report import Report
from streams.backtest import judged_alert
from streams.clock import Clock
from streams.codec import Reject
from streams.commands.common import progress_bar
from streams.event_files import EventFolder, read_outcomes, read_truth, require_event_files
from streams.kafka import admin
from streams.kafka.inspection import Inspector
from streams.kafka.local import find_broker
from streams.kafka.local.broker import NamedBroker
from streams.kafka.local.processes import GuardedProcesses
from streams.kafka.removal import remove_topics
from streams.live_view import AlertBoard, Snapshot, open_view
from streams.settings import Settings, load_settings
from streams.simulator import SimulationSettings, write_folder
from streams.topics import TopicNames, topic_specs

_LOOK_EVERY_SECONDS: Final = 0.3
"""Between two looks at Kafka: each costs some milliseconds of a core that the workers could use."""
_RATE_SECONDS: Final = 5.0
"""Events/s are shown over so long: short enough to live, long enough to stand still."""
_STALL_SECONDS_MAX: Final = 90.0
"""Nothing written and nothing consumed for so long: something is wrong, and is said."""
_CLOSING_HEARTBEATS: Final = 1
"""A partition's last heartbeat may wait for ever: nothing comes behind it (see `streams.replay`)."""
_LOG_TAIL_LINES: Final = 20
_CHECKOUT: Final = Path(__file__).resolve().parents[1]


class DemoError(Exception):
    """The demo cannot go on; the message says why, with the last lines of the log of whoever died."""


class DemoOptions(Struct, frozen=True, kw_only=True):
    """What can be asked for."""

    events: Path | None = None
    """Folder to replay; None simulates one."""
    borrowers: int = 10_000
    months: int = 12
    seed: int = 1
    partitions: int = 4
    workers: int = 1
    keep: bool = False
    """Leave everything running at the end until Ctrl-C, to look further."""
    plain: bool = False


class _Sent(Struct, frozen=True):
    """What `replay --json` says."""

    lines: int
    heartbeats: int


class DemoSummary(Struct, frozen=True, kw_only=True):
    """What came of it."""

    kafka: str
    """Bootstrap servers, or "memory"."""
    topic_prefix: str
    group_id: str
    partitions: int
    workers: int
    events: int
    """Lines sent, those that were rejected included."""
    heartbeats: int
    seconds: float
    """From the first record in Kafka until everything was processed and committed."""
    events_per_second: float
    alerts: dict[str, dict[str, int]]
    """Revisions by signal and status, read back `read_committed`."""
    dead_letters: int
    judgement: Report | None
    """Against outcomes.jsonl and truth.jsonl, where the folder has them."""


class RunningDemo:
    """A demo that has done its work and still runs."""

    def __init__(self, summary: DemoSummary, wait: Callable[[], None]) -> None:
        """`wait` returns never: it raises when a child dies."""
        self.summary = summary
        self.wait = wait


@contextmanager
def running_demo(options: DemoOptions, clock: Clock) -> Iterator[RunningDemo]:
    """Run the whole demo; everything runs on until the block ends.

    Raises:
        DemoError: a child died, or nothing moved any more.
        BrokerUnavailableError: of `streams.kafka.local`: there is no Kafka and none can be started.
        EventFilesError, InspectionError, PortError, SettingsError: as their modules say.
    """
    if options.events is not None:
        require_event_files(options.events)
    with ExitStack() as stack:
        click.echo("looking for a Kafka, else starting one")
        broker = stack.enter_context(find_broker())
        named = isinstance(broker, NamedBroker)
        settings = _settings(options, broker.bootstrap_servers, named=named)
        admin.apply(settings.broker, settings)
        if named and not options.keep:
            stack.callback(remove_topics, settings.broker, [spec.name for spec in topic_specs(settings)])
        click.echo(
            f"Kafka at {settings.broker}: {options.partitions} partitions, {options.workers} worker(s)"
        )
        children = stack.enter_context(_Children(settings))
        workers = [f"worker-{number}" for number in range(options.workers)]
        for worker in workers:
            children.start(worker, "worker")
        folder = options.events or _simulate(options, children.folder / "events")
        sent, seconds = _replay(options, settings, children, workers, folder)
        summary = _summarise(options, settings, folder, sent, seconds, clock)
        yield RunningDemo(summary, lambda: _wait_for_ever(children, workers))


def _settings(options: DemoOptions, broker: str, *, named: bool) -> Settings:
    # On a Kafka that is not our own, nobody else's topics, groups or producers are touched.
    name = f"demo-{secrets.token_hex(4)}" if named else "forewarn"
    chosen = {
        "broker": broker,
        "topic_prefix": f"{name}." if named else "",
        "group_id": name,
        "transactional_id_prefix": name,
        "partitions": options.partitions,
        "clock": "event",
    }
    return load_settings(os.environ, chosen)


def _wait_for_ever(children: _Children, workers: list[str]) -> None:
    while True:
        children.require_running(workers)
        time.sleep(1.0)


def _simulate(options: DemoOptions, folder: Path) -> Path:
    with progress_bar("simulating", "borrowers") as progress:
        settings = SimulationSettings(borrowers=options.borrowers, months=options.months, seed=options.seed)
        counts = write_folder(settings, folder, progress)
    click.echo(
        f"simulated {counts.borrowers:,} borrowers over {options.months} months: {counts.events:,} events"
    )
    return folder


def _replay(
    options: DemoOptions, settings: Settings, children: _Children, workers: list[str], folder: Path
) -> tuple[_Sent, float]:
    """Replay the folder and watch until everything is consumed; return what was sent, and the seconds it took."""
    children.start("replay", "replay", str(folder.resolve()), "--json")
    with (
        Inspector(settings) as inputs,
        Inspector(settings) as outputs,
        open_view(plain=options.plain) as view,
    ):
        watch = _Watch(inputs, outputs, settings)
        while True:
            children.require_running(workers)
            replayed = children.finished("replay")
            snapshot = watch.look()
            view.show(snapshot, watch.board)
            if replayed and watch.all_consumed:
                break
            if watch.stalled_seconds > _STALL_SECONDS_MAX:
                raise DemoError(
                    f"nothing moved for {_STALL_SECONDS_MAX:.0f} s; lag {snapshot.lag:,}\n{children.tail(workers[0])}"
                )
            time.sleep(_LOOK_EVERY_SECONDS)
    return msgspec.json.decode(children.last_line("replay"), type=_Sent), watch.busy_seconds


class _Children:
    """Commands of ours as processes of a guard, with a folder for their logs and the events."""

    def __init__(self, settings: Settings) -> None:
        environment = {
            "PYTHONPATH": str(_CHECKOUT),
            "FOREWARN_BROKER": settings.broker,
            "FOREWARN_TOPIC_PREFIX": settings.topic_prefix,
            "FOREWARN_GROUP_ID": settings.group_id,
            "FOREWARN_TRANSACTIONAL_ID_PREFIX": settings.transactional_id_prefix,
            "FOREWARN_CLOCK": settings.clock,
        }
        self._command = ["env", *(f"{name}={value}" for name, value in environment.items())]
        self._command += [sys.executable, "-m", "streams.cli"]

    def __enter__(self) -> Self:
        # Between making the folder and starting the guard who removes it, Ctrl-C has to wait.
        with _undisturbed():
            self._processes = GuardedProcesses()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.close()

    @property
    def folder(self) -> Path:
        """Gone when the block ends."""
        return self._processes.folder

    def start(self, name: str, *arguments: str) -> None:
        """Start `forewarn <arguments>`."""
        self._processes.start(name, [*self._command, *arguments], self._log(name))

    def require_running(self, names: list[str]) -> None:
        """Raise `DemoError` if one has ended."""
        codes = self._processes.exit_codes()
        for name in names:
            if codes[name] is not None:
                raise DemoError(f"{name} ended with status {codes[name]}; its last lines:\n{self.tail(name)}")

    def finished(self, name: str) -> bool:
        """Whether a child has ended well; raise `DemoError` if it has ended otherwise."""
        code = self._processes.exit_codes()[name]
        if code:
            raise DemoError(f"{name} ended with status {code}; its last lines:\n{self.tail(name)}")
        return code == 0

    def tail(self, name: str) -> str:
        """The last lines that a child printed."""
        lines = self._log(name).read_text(errors="replace").splitlines()
        return "\n".join(f"  | {line}" for line in lines[-_LOG_TAIL_LINES:]) or "  (it printed nothing)"

    def last_line(self, name: str) -> str:
        """The very last line."""
        return self._log(name).read_text(errors="replace").splitlines()[-1]

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


class _Watch:
    """Looks at Kafka from outside: what is written, what is committed, which alerts are out."""

    def __init__(self, inputs: Inspector, outputs: Inspector, settings: Settings) -> None:
        self.board = AlertBoard()
        self.all_consumed = False
        self._inputs, self._outputs = inputs, outputs
        self._names, self._settings = TopicNames(settings.topic_prefix), settings
        self._began = self._moved_at = time.monotonic()
        self._first_record_at: float | None = None
        self._totals = (0, 0)
        self._recent: deque[tuple[float, int]] = deque()
        self._decode = msgspec.json.Decoder(Alert).decode
        outputs.begin(self._names.alerts, range(settings.partitions))

    def look(self) -> Snapshot:
        """One look, some milliseconds."""
        for record in self._outputs.poll():
            if record.value is not None:
                self.board.take(self._decode(record.value))
        lags = self._inputs.lags(self._names.inputs, self._settings.group_id)
        now = time.monotonic()
        written, consumed = sum(one.end for one in lags), sum(one.end - one.lag for one in lags)
        self.all_consumed = all(one.lag <= _CLOSING_HEARTBEATS for one in lags)
        if (written, consumed) != self._totals:
            self._totals, self._moved_at = (written, consumed), now
        if written and self._first_record_at is None:
            self._first_record_at = now
        self._recent.append((now, consumed))
        while now - self._recent[0][0] > _RATE_SECONDS:
            self._recent.popleft()
        began, consumed_before = self._recent[0]
        rate = (consumed - consumed_before) / (now - began) if now > began else 0.0
        return Snapshot(now - self._began, written, consumed, rate)

    @property
    def stalled_seconds(self) -> float:
        """Since anything was written or consumed."""
        return time.monotonic() - self._moved_at

    @property
    def busy_seconds(self) -> float:
        """From the first record seen to the last one consumed."""
        return self._moved_at - (self._first_record_at or self._began)


def _summarise(
    options: DemoOptions,
    settings: Settings,
    folder: Path,
    sent: _Sent,
    seconds: float,
    clock: Clock,
) -> DemoSummary:
    """Read everything back as a collections service would, and judge it."""
    names = TopicNames(settings.topic_prefix)
    outcomes = read_outcomes(folder)
    judge = None
    if outcomes is not None:
        first_ms = _first_event_ms(folder, clock)
        judge = Judge(outcomes, read_truth(folder), observed_from_ms=first_ms)
    counts: dict[str, Counter[str]] = {}
    decode = msgspec.json.Decoder(Alert).decode
    with Inspector(settings) as inspector:
        for record in inspector.read(names.alerts, range(settings.partitions)):
            if record.value is None:
                continue
            alert = decode(record.value)
            counts.setdefault(alert.signal, Counter())[alert.status] += 1
            if judge is not None:
                judge.add(judged_alert(alert))
        letters = sum(1 for _ in inspector.read(names.dead_letters, range(settings.partitions)))
    return DemoSummary(
        kafka=settings.broker,
        topic_prefix=settings.topic_prefix,
        group_id=settings.group_id,
        partitions=settings.partitions,
        workers=options.workers,
        events=sent.lines,
        heartbeats=sent.heartbeats,
        seconds=round(seconds, 1),
        events_per_second=round(sent.lines / seconds, 1) if seconds else 0.0,
        alerts={signal_name: dict(statuses) for signal_name, statuses in sorted(counts.items())},
        dead_letters=letters,
        judgement=None if judge is None else judge.report(),
    )


def _first_event_ms(folder: Path, clock: Clock) -> int | None:
    for line in EventFolder(folder, clock.now_ms()):
        if not isinstance(line.content, Reject):
            return line.content.event_time_ms
    return None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait until the block has ended."""
    pressed: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        pressed.append(number)

    former = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
    if pressed:
        raise KeyboardInterrupt
