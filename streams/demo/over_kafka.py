"""The demo over a real Kafka: this process only watches.

Workers and replay are children of a guard that ends them and removes their folder however this process ends, Ctrl-C and
`kill -9` included. A Kafka of our own has a guard of its own.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

import click
import msgspec
from msgspec import Struct

from models.alerts import Alert
from streams.clock import Clock
from streams.demo.options import (
    CLOSING_HEARTBEATS,
    LOOK_EVERY_SECONDS,
    STALL_SECONDS_MAX,
    DemoError,
    DemoOptions,
    Ran,
    make_book,
    stalled,
)
from streams.demo.view import AlertBoard, Odometer, Snapshot, open_view
from streams.kafka import admin
from streams.kafka.inspection import Inspector
from streams.kafka.local.broker import Broker, NamedBroker
from streams.kafka.local.processes import GuardedProcesses
from streams.kafka.removal import remove_topics
from streams.settings import Settings, load_settings
from streams.topics import names_of

_LOG_TAIL_LINES: Final = 20
_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_ALERT: Final = msgspec.json.Decoder(Alert)


class _Sent(Struct, frozen=True):
    """What `replay --json` says."""

    lines: int
    heartbeats: int


def run_over_kafka(options: DemoOptions, broker: Broker, clock: Clock, stack: ExitStack) -> Ran:
    """Run the demo to its end; everything goes on running until `stack` unwinds.

    Raises:
        DemoError: a child died, or nothing moved any more.
        InspectionError, PortError: Kafka went away.
    """
    named = isinstance(broker, NamedBroker)
    settings = _settings(options, broker.bootstrap_servers, named=named)
    admin.apply(settings.broker, settings)
    if named and not options.keep:
        stack.callback(remove_topics, settings)
    click.echo(f"Kafka at {settings.broker}: {options.partitions} partitions, {options.workers} worker(s)")
    children = stack.enter_context(_Children(settings))
    workers = [f"worker-{number}" for number in range(options.workers)]
    for worker in workers:
        children.start(worker, "worker")
    folder = make_book(options, children.folder / "events")
    sent, seconds = _replay(options, settings, children, workers, folder, clock)
    return Ran(
        kafka=settings.broker,
        topic_prefix=settings.topic_prefix,
        group_id=settings.group_id,
        workers=options.workers,
        folder=folder,
        lines=sent.lines,
        heartbeats=sent.heartbeats,
        seconds=seconds,
        alerts=lambda: _alerts(settings),
        dead_letters=lambda: _dead_letters(settings),
        wait=lambda: _wait_for_ever(children, workers),
    )


def _alerts(settings: Settings) -> Iterator[Alert]:
    with Inspector(settings) as inspector:
        for read in inspector.read(names_of(settings).alerts, range(settings.partitions)):
            if read.value is not None:
                yield _ALERT.decode(read.value)


def _dead_letters(settings: Settings) -> int:
    with Inspector(settings) as inspector:
        topic = names_of(settings).dead_letters
        return sum(1 for _ in inspector.read(topic, range(settings.partitions)))


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
        "learning": False,  # of a year in two minutes; what alerts tell would depend on the machine's pace
    }
    return load_settings(os.environ, chosen)


def _wait_for_ever(children: _Children, workers: list[str]) -> None:
    while True:
        children.require_running(workers)
        time.sleep(LOOK_EVERY_SECONDS)


def _replay(
    options: DemoOptions,
    settings: Settings,
    children: _Children,
    workers: list[str],
    folder: Path,
    clock: Clock,
) -> tuple[_Sent, float]:
    """Replay the folder and watch until everything is consumed; return what was sent, and the seconds it took."""
    children.start("replay", "replay", str(folder.resolve()), "--json")
    with (
        Inspector(settings) as inputs,
        Inspector(settings) as outputs,
        open_view(plain=options.plain) as view,
    ):
        watch = _Watch(inputs, outputs, settings, clock)
        while True:
            children.require_running(workers)
            replayed = children.finished("replay")
            snapshot = watch.look()
            view.show(snapshot, watch.board)
            if replayed and watch.all_consumed:
                break
            if watch.odometer.stalled_seconds > STALL_SECONDS_MAX:
                raise DemoError(
                    f"{stalled(snapshot.lag)}; the last lines of {workers[0]}:\n{children.tail(workers[0])}"
                )
            time.sleep(LOOK_EVERY_SECONDS)
    sent = msgspec.json.decode(children.last_line("replay"), type=_Sent)
    return sent, watch.odometer.busy_seconds


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
            "FOREWARN_LEARNING": str(settings.learning),
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
                raise self._ended(name, codes[name])

    def finished(self, name: str) -> bool:
        """Whether a child has ended well; raise `DemoError` if it has ended otherwise."""
        code = self._processes.exit_codes()[name]
        if code:
            raise self._ended(name, code)
        return code == 0

    def tail(self, name: str) -> str:
        """The last lines that a child printed."""
        lines = self._log(name).read_text(errors="replace").splitlines()
        return "\n".join(f"  | {line}" for line in lines[-_LOG_TAIL_LINES:]) or "  (it printed nothing)"

    def last_line(self, name: str) -> str:
        """The very last line."""
        return self._log(name).read_text(errors="replace").splitlines()[-1]

    def _ended(self, name: str, code: int | None) -> DemoError:
        return DemoError(f"{name} ended with status {code}; its last lines:\n{self.tail(name)}")

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


class _Watch:
    """Looks at Kafka from outside: what is written, what is committed, which alerts are out."""

    def __init__(self, inputs: Inspector, outputs: Inspector, settings: Settings, clock: Clock) -> None:
        self.board = AlertBoard()
        self.odometer = Odometer(clock)
        self.all_consumed = False
        self._inputs, self._outputs = inputs, outputs
        self._group_id = settings.group_id
        self._names = names_of(settings)
        outputs.begin(self._names.alerts, range(settings.partitions))

    def look(self) -> Snapshot:
        """One look, some milliseconds."""
        for record in self._outputs.poll():
            if record.value is not None:
                self.board.take(_ALERT.decode(record.value))
        lags = self._inputs.lags(self._names.inputs, self._group_id)
        self.all_consumed = all(one.lag <= CLOSING_HEARTBEATS for one in lags)
        return self.odometer.read(sum(one.end for one in lags), sum(one.end - one.lag for one in lags))


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
