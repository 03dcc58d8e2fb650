"""Opening a task: fence whoever had it, restore its state, decide where to go on. Only then its gate opens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from streams.clock import Clock
from streams.codec import RecordDecoder
from streams.linked import HomeOf, home_as_remembered, home_by_id
from streams.mapping.loading import decoders_from
from streams.metrics import Metrics
from streams.partitioner import partition_of
from streams.ports import EngineMaker, Logs, Ports, Source
from streams.pseudonym import decoders_of, pseudonyms_from, refuse_other_ids
from streams.restore import decide_position, fill_engine, read_changelog
from streams.settings import Settings
from streams.task import Identity, Task
from streams.topics import names_of

logger = logging.getLogger(__name__)


class TaskOpener:
    """Opens the tasks of one worker, `restores_at_once_max` at a time."""

    def __init__(
        self,
        ports: Ports,
        source: Source,
        logs: Logs,
        engines: EngineMaker,
        settings: Settings,
        *,
        partition_count: int,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """`engines` knows policies and scorecards; `partition_count` is that of the input topics.

        Raises:
            PseudonymError: the key of the pseudonyms cannot be used.
            MappingError: the mapping cannot be used.
        """
        self._ports = ports
        self._source = source
        self._logs = logs
        self._engines = engines
        self._settings = settings
        self._partition_count = partition_count
        self._clock = clock
        self._metrics = metrics
        self._names = names_of(settings)
        self._decoders = decoders_from(settings)
        self._pseudonyms = pseudonyms_from(settings.pseudonym_key_file)
        self._restores = asyncio.Semaphore(settings.restores_at_once_max)
        self._identity = Identity(partition_count, f"{self._names.prefix}{settings.group_id}")

    async def open(self, number: int) -> Task:
        """Open one task.

        Raises:
            RestoreError, PositionLostError: what the log holds does not fit together, or is gone.
            PseudonymError: its borrowers were written under other ids.
            PortError: the broker did not do as asked, within the limits.
        """
        began_ms = self._clock.monotonic_ms()
        async with self._restores:
            sink = self._ports.sink(number)
            try:
                # First of all: from here on nobody else can write what is read next.
                await sink.open()
                changelog = await read_changelog(self._logs, self._names, number, self._metrics, self._clock)
                refuse_other_ids(self._pseudonyms, changelog.states)
                position = await decide_position(
                    changelog.progress,
                    number,
                    source=self._source,
                    logs=self._logs,
                    names=self._names,
                    settings=self._settings,
                    clock=self._clock,
                    partition_count=self._partition_count,
                )
                known = changelog.progress
                policies, cards = (None, None) if known is None else (known.policies, known.cards)
                engine = self._engines(number, self._belongs_to(number), policies, cards)
                await fill_engine(engine, changelog, position, self._logs)
            except BaseException:
                await sink.close()
                raise
        seconds = (self._clock.monotonic_ms() - began_ms) / 1000
        self._metrics.observe("restore_seconds", seconds)
        logger.info("task %d open: %d borrowers restored in %.1f s", number, len(changelog.states), seconds)
        return Task(
            number,
            engine,
            sink,
            position.offsets,
            position.merge_keys_ms,
            decoders=self._decoders_of(number),
            home_of=self._home_of(),
            names=self._names,
            identity=self._identity,
            metrics=self._metrics,
            clock=self._clock,
            state_bytes=sum(map(len, changelog.states.values())),
        )

    def _decoders_of(self, number: int) -> list[RecordDecoder]:
        if self._pseudonyms is None:
            return self._decoders
        return decoders_of(self._decoders, self._pseudonyms, number, self._partition_count)

    def _home_of(self) -> HomeOf:
        return home_by_id(self._partition_count) if self._pseudonyms is None else home_as_remembered

    def _belongs_to(self, number: int) -> Callable[[str], bool]:
        if self._pseudonyms is not None:
            return lambda _: True  # a pseudonym does not tell: its decoder has looked at the id
        count = self._partition_count
        return lambda borrower_id: partition_of(borrower_id.encode(), count) == number
