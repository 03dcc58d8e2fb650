"""One run of one system: started on the log, watched to its end, checked, measured."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from streams.kafka import admin
from streams.kafka.inspection import Inspector
from streams.settings import Settings
from streams.topics import TopicNames, topic_specs
from tests.bench.contest.figures import Curve, Figures, curves_by_place, measured, total
from tests.bench.contest.job import Due, Output, Place, Reference, complaints
from tests.bench.contest.log import JOB_FEEDS
from tests.bench.contest.processes import Running, running
from tests.bench.contest.systems import Scene, System

POLL_SECONDS: Final = 0.1
STARTED_WITHIN_SECONDS: Final = 120.0
"""To the first sign: a cold JVM, a group that forms, topics that are made."""
STALLED_AFTER_SECONDS: Final = 60.0
"""Without any sign of progress a run is given up."""
DRAINED_SECONDS: Final = 1.0
"""After the last output that is due: whatever comes too much, comes then."""
REMOVED_WITHIN_SECONDS: Final = 30.0

_STAMPED_BY_BROKER: Final = {"message.timestamp.type": "LogAppendTime"}


class WrongError(Exception):
    """A run whose time does not count: the message says why."""


class Race:
    """A log on a broker, and runs on it."""

    def __init__(
        self, settings: Settings, reference: Reference, *, warm_share: float, cpus: frozenset[int]
    ) -> None:
        """The log has been written to the input topics of `settings`."""
        self._settings = settings
        self._reference = reference
        self._warm_share = warm_share
        self._cpus = cpus
        self.alerts: dict[str, int] = {}
        """How many alert records our own worker put out, by system: the same in every round, if it repeats."""

    def run(self, system: System) -> Figures:
        """Let a system run on the whole log.

        Raises:
            WrongError: it died, stalled, or put out something else than it should have.
            AbsentError: it cannot be started at all.
            UnmeasurableError: the log is too short for it.
        """
        own = f"run-{secrets.token_hex(4)}"
        with _folder() as folder, self._topics(own, system):
            names = TopicNames(self._settings.topic_prefix)
            scene = Scene(
                settings=msgspec.structs.replace(self._settings, group_id=own, transactional_id_prefix=own),
                inputs=tuple(names.inputs[feed] for feed in JOB_FEEDS),
                output=names.alerts if system.told_by == "alerts" else f"{own}-output",
                folder=folder,
                records=sum(self._reference.records.values()),
            )
            command = system.command(scene)
            with running(command.argv, command.environment, folder, self._cpus) as seen:
                progress = self._progress(system, scene, seen)
                seen.sample()
            if system.told_by == "positions":
                self._count_alerts(system)
            return measured(
                progress,
                seen.cpu,
                scene.records,
                warm_share=self._warm_share,
                memory_peak_mib=seen.memory_peak_mib,
            )

    def _progress(self, system: System, scene: Scene, seen: Running) -> Curve:
        match system.told_by:
            case "outputs" | "alerts":
                return self._by_outputs(system, scene, seen)
            case "positions":
                return self._by_positions(scene, seen)
            case "itself":
                return _by_itself(scene, seen)

    # ---- who puts out what the job puts out ------------------------------------------------------------------------------

    def _by_outputs(self, system: System, scene: Scene, seen: Running) -> Curve:
        due = self._reference.due
        decode = msgspec.json.Decoder(Output).decode
        told: list[Output] = []
        when: list[tuple[float, Due]] = []
        waiting = set(due)
        patience = _Patience(seen)
        ends_at: float | None = None
        with _consumer(scene.settings) as consumer:
            consumer.assign([TopicPartition(scene.output, n) for n in range(scene.settings.partitions)])
            consumer.seek_to_beginning()
            while ends_at is None or time.monotonic() < ends_at:
                patience.check(len(told))
                for records in consumer.poll(
                    timeout_ms=int(POLL_SECONDS * 1000), max_records=10_000
                ).values():
                    for record in records:
                        try:
                            output = decode(record.value)
                        except msgspec.DecodeError as error:
                            raise WrongError(f"an output that is none: {record.value!r}") from error
                        told.append(output)
                        if output in waiting:
                            waiting.discard(output)
                            when.append((record.timestamp / 1000, due[output]))
                if ends_at is None and (not waiting or patience.is_over):
                    ends_at = time.monotonic() + DRAINED_SECONDS
        wrong = complaints(due, told, system.checked_as)
        if wrong:
            raise WrongError(f"wrong output: {'; '.join(wrong)}")
        return total(curves_by_place(when))

    # ---- who commits positions -------------------------------------------------------------------------------------------

    def _by_positions(self, scene: Scene, seen: Running) -> Curve:
        curves: dict[Place, list[tuple[float, float]]] = {}
        feeds = {name: feed for feed, name in zip(JOB_FEEDS, scene.inputs, strict=True)}
        patience = _Patience(seen)
        done, ends = 0.0, self._reference.ends
        with Inspector(scene.settings) as inspector:
            while any(not curves.get(place) or curves[place][-1][1] < end for place, end in ends.items()):
                patience.check(done)
                if patience.is_over:
                    raise WrongError(f"it came no further than {done:,.0f} records")
                time.sleep(POLL_SECONDS)
                asked_at = time.time()
                lags = inspector.lags(scene.inputs, scene.settings.group_id)
                now = (asked_at + time.time()) / 2
                for lag in lags:
                    place = feeds[lag.topic], lag.partition
                    curves.setdefault(place, []).append((now, float(lag.committed or 0)))
                done = sum(curve[-1][1] for curve in curves.values())
        return total(curves)

    def _count_alerts(self, system: System) -> None:
        names = TopicNames(self._settings.topic_prefix)
        with Inspector(self._settings) as inspector:
            counts = {
                topic: sum(1 for _ in inspector.read(topic, range(self._settings.partitions)))
                for topic in (names.alerts, names.dead_letters)
            }
        if counts[names.dead_letters]:
            raise WrongError(f"{counts[names.dead_letters]} records of the simulator were refused")
        before = self.alerts.setdefault(system.name, counts[names.alerts])
        if system.repeats and before != counts[names.alerts]:
            raise WrongError(f"{counts[names.alerts]} alerts, and {before} in the round before")

    # ---- topics ----------------------------------------------------------------------------------------------------------

    @contextmanager
    def _topics(self, own: str, system: System) -> Iterator[None]:
        """The run's own topics, gone behind it: the next one finds no more on the disk than this one did."""
        output = {
            "num_partitions": self._settings.partitions,
            "replication_factor": 1,
            "configs": _STAMPED_BY_BROKER,
        }
        if system.told_by in {"positions", "alerts"}:
            admin.apply(self._settings.broker, self._settings)
        with _admin(self._settings) as client:
            if system.told_by == "outputs":
                client.create_topics({f"{own}-output": output})
                client.wait_for_topics([f"{own}-output"])
            if system.told_by == "alerts":
                alerts = TopicNames(self._settings.topic_prefix).alerts
                client.alter_configs(
                    [ConfigResource(ConfigResourceType.TOPIC, alerts, configs=_STAMPED_BY_BROKER)]
                )
        if system.told_by in {"positions", "alerts"}:
            _wait_until_led(self._settings)
        try:
            yield
        finally:
            with _admin(self._settings) as client:
                _remove(client, [*_made_by_ours(self._settings), own])


def _made_by_ours(settings: Settings) -> dict[str, int]:
    """By name, the partitions of all topics but the inputs: those of cards, too, or a run would weigh by what another learnt."""
    inputs = TopicNames(settings.topic_prefix).inputs
    return {spec.name: spec.partitions for spec in topic_specs(settings) if spec.name not in inputs}


def _wait_until_led(settings: Settings) -> None:
    """Return when every partition of our outputs answers: topics of the same names were removed a moment ago."""
    places = [
        TopicPartition(name, number)
        for name, partitions in _made_by_ours(settings).items()
        for number in range(partitions)
    ]
    with _consumer(settings) as consumer:
        consumer.end_offsets(places)


def _remove(client: Any, parts: Sequence[str]) -> None:
    """Remove the topics in whose names one of these occurs, and wait until they are gone."""

    def there() -> list[str]:
        return [name for name in client.list_topics() if any(part in name for part in parts)]

    if found := there():
        client.delete_topics(found)
    give_up_at = time.monotonic() + REMOVED_WITHIN_SECONDS
    while there() and time.monotonic() < give_up_at:
        time.sleep(POLL_SECONDS)


@contextmanager
def _admin(settings: Settings) -> Iterator[Any]:
    client = KafkaAdminClient(bootstrap_servers=settings.broker.split(","))
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _consumer(settings: Settings) -> Iterator[Any]:
    consumer = KafkaConsumer(
        bootstrap_servers=settings.broker.split(","),
        isolation_level="read_committed",
        enable_auto_commit=False,
        group_id=None,
    )
    try:
        yield consumer
    finally:
        consumer.close()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="forewarn-bench-"))
    (folder / "state").mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Patience:
    """Knows when a run stands still, or has died."""

    def __init__(self, seen: Running) -> None:
        self._seen = seen
        self._best = 0.0
        self._until = time.monotonic() + STARTED_WITHIN_SECONDS
        self.is_over = False

    def check(self, done: float) -> None:
        """Look whether there is progress.

        Raises:
            WrongError: the process has ended.
        """
        if (status := self._seen.process.poll()) is not None:
            raise WrongError(f"it ended with status {status}; its log ends with:\n{self._seen.log_tail}")
        if done > self._best:
            self._best = done
            self._until = time.monotonic() + STALLED_AFTER_SECONDS
        self.is_over = time.monotonic() > self._until


def _by_itself(scene: Scene, seen: Running) -> Curve:
    """The floor says how far it is, and ends at the end."""
    try:
        status = seen.process.wait(STARTED_WITHIN_SECONDS + STALLED_AFTER_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise WrongError("it did not come to the end") from error
    lines = seen.log.read_text(encoding="utf-8", errors="replace").splitlines()
    if status != 0:
        raise WrongError(f"it ended with status {status}; its log ends with:\n{seen.log_tail}")
    return [(float(second), float(done)) for second, done in (line.split() for line in lines)]
