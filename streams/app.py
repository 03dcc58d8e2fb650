"""The Faust app: the shell around the pipeline. Faust brings the worker's life, its command line and pages.

`faust -A streams.app worker -l info` runs it; settings come from `FOREWARN_...` variables. The money path does not go through
Faust's agents (160 µs an event before they do anything), it is a service of its own beside them.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable
from typing import Any, Final

import faust
from faust.tables import TableManager
from mode import Service
from mode.types import ServiceT

from streams.acls import faust_id
from streams.bootstrap import build_pipeline
from streams.compiled import form
from streams.delivery import DeliveryService
from streams.garbage import GC_THRESHOLDS, look_rarely
from streams.kafka.admin import check
from streams.kafka.security import faust_credentials
from streams.metrics import PrometheusMetrics
from streams.pages import add_pages
from streams.pipeline import Pipeline, PipelineError
from streams.settings import Settings, load_settings
from streams.training import TrainingService

__all__ = [
    "EXIT_FAILURE",
    "EXIT_OK",
    "GC_THRESHOLDS",
    "ForewarnApp",
    "PipelineService",
    "create_app",
    "preflight",
]

logger = logging.getLogger(__name__)

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1

_GUARD_EVERY_SECONDS: Final = 1.0
"""How often the time is begun anew after which a process that is stuck ends."""
_STDERR: Final = 2
"""By number: Faust may have put its logger in the place of `sys.stderr`."""
_FAUST_SESSION_SECONDS_MAX: Final = 60.0
"""Faust's own default, below its limit for a request."""


class PipelineService(Service):
    """Runs the pipeline as part of the app. Its failure is the process's failure."""

    def __init__(self, settings: Settings, metrics: PrometheusMetrics, **options: Any) -> None:
        """The pipeline itself is made when the loop runs."""
        super().__init__(**options)
        self.failure: BaseException | None = None
        self._settings = settings
        self._metrics = metrics
        self._pipeline: Pipeline | None = None
        self._run: asyncio.Task[None] | None = None

    async def on_start(self) -> None:
        """Begin."""
        look_rarely()
        logger.info("models: the %s form", form())
        self._pipeline = build_pipeline(self._settings, self._metrics)
        self._run = asyncio.create_task(self._pipeline.run(), name="pipeline")
        self.add_future(self._watch(self._run))
        self.add_future(self._guard(self._pipeline))

    async def on_stop(self) -> None:
        """Finish the batch, commit, leave the group: before anything else of the app stops."""
        if self._pipeline is not None and self._run is not None:
            self._pipeline.stop()
            await asyncio.wait([self._run])
            faulthandler.cancel_dump_traceback_later()

    @property
    def reasons_not_alive(self) -> list[str]:
        """Why only a new process helps; nothing while the loop turns, or has not begun to."""
        if self._pipeline is None or self._run is None:
            return []
        if self._run.done():
            return ["the pipeline has ended"]
        still_ms = self._pipeline.still_ms
        if still_ms < self._settings.progress_timeout_ms:
            return []
        return [f"the loop has not turned for {still_ms / 1000:.0f} s (progress_timeout_ms)"]

    @property
    def reasons_not_ready(self) -> list[str]:
        """Why this worker does not do its part at the moment; nothing where it does."""
        if self._pipeline is None or self._run is None or self._run.done():
            return ["the pipeline does not run"]
        return self._pipeline.reasons_not_ready

    @property
    def is_restoring(self) -> bool:
        """Whether borrowers are not watched yet."""
        return self._pipeline is None or self._pipeline.is_restoring

    @property
    def is_behind(self) -> bool:
        """Whether alerts wait for a backlog."""
        return self._pipeline is not None and self._pipeline.is_behind

    async def _guard(self, pipeline: Pipeline) -> None:
        """Have the process ended from outside the loop when the loop does not turn: whatever blocks it, blocks this too."""
        turns = -1
        while True:
            if turns != pipeline.turns:
                turns = pipeline.turns
                faulthandler.dump_traceback_later(
                    self._settings.turn_timeout_ms / 1000, exit=True, file=_STDERR
                )
            await asyncio.sleep(_GUARD_EVERY_SECONDS)

    async def _watch(self, run: asyncio.Task[None]) -> None:
        await asyncio.wait([run])
        # Nobody cancels the pipeline; where a library's own cancellation gets out of it, it has not finished.
        failure = (
            PipelineError("the pipeline was cancelled from within") if run.cancelled() else run.exception()
        )
        _end_process_after(self._settings.exit_timeout_ms, failure)
        if failure is None:
            if not self.should_stop:
                # The input is consumed: end the process the way an operator does.
                signal.raise_signal(signal.SIGTERM)
            return
        self.failure = failure
        raise failure


def _end_process_after(timeout_ms: int, failure: BaseException | None) -> None:
    """The pipeline has ended. Faust takes leave of the broker then, without a limit of its own: here is one."""

    def end() -> None:
        print(
            f"forewarn worker: {failure or 'all committed'}; Faust did not stop within {timeout_ms / 1000:g} s (exit_timeout_ms)",
            file=sys.stderr,
            flush=True,
        )
        os._exit(EXIT_OK if failure is None else EXIT_FAILURE)

    timer = threading.Timer(timeout_ms / 1000, end)
    timer.daemon = True
    timer.start()


class NoTables(TableManager):
    """Faust's keeper of tables, of which there are none here: its own sleeps a second before anything after it may start."""

    async def on_start(self) -> None:
        """The same without the sleep."""
        await self._update_channels()
        await self.recovery.start()


class ForewarnApp(faust.App):
    """The app with the pipeline in it."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        """`settings` of the worker."""
        self.settings = settings
        self.metrics = PrometheusMetrics()
        self.pipeline = PipelineService(settings, self.metrics)
        self.training = TrainingService(settings, self.metrics, process=self.pipeline)
        self.delivery = DeliveryService(settings, self.metrics)
        super().__init__(
            faust_id(settings),
            broker=[f"kafka://{server.strip()}" for server in settings.broker.split(",")],
            broker_credentials=faust_credentials(settings),
            # Faust has a group of its own. With its default of a minute every killed worker holds up for as long whoever
            # joins that group or leaves it, so that a stop would always last until `exit_timeout_ms`.
            broker_session_timeout=min(settings.session_timeout_ms / 1000, _FAUST_SESSION_SECONDS_MAX),
            broker_heartbeat_interval=settings.heartbeat_interval_ms / 1000,
            store="memory://",
            TableManager=NoTables,
            autodiscover=False,
            # Only Faust's leader topic is made by Faust, and it knows no "the broker's default".
            topic_replication_factor=max(1, settings.replication_factor),
            topic_partitions=1,
            web_enabled=settings.web_port is not None,
            web_port=settings.web_port or 6066,
            web_bind=settings.web_host,
            web_host=settings.web_host,
            worker_redirect_stdouts=False,
            **options,
        )
        add_pages(
            self,
            self.metrics,
            reasons_not_alive=lambda: self.pipeline.reasons_not_alive,
            reasons_not_ready=lambda: self.pipeline.reasons_not_ready,
        )

    def on_init_dependencies(self) -> Iterable[ServiceT]:
        """Start learning, webhooks and the pipeline with the app; of its services the pipeline stops first."""
        learning = [self.training] if self.settings.learning else []
        webhooks = [self.delivery] if self.settings.webhooks_file else []
        return [*super().on_init_dependencies(), *learning, *webhooks, self.pipeline]

    async def on_first_start(self) -> None:
        """Look before starting: a missing broker or topic is told at once and clearly."""
        await asyncio.to_thread(preflight, self.settings)
        await super().on_first_start()

    def _create_directories(self) -> None:
        """No tables, so no data directory in whatever folder the worker was started in."""


def preflight(settings: Settings) -> None:
    """Check broker and topics.

    Raises:
        BrokerUnavailableError: no broker within `start_timeout_ms`.
        PipelineError: topics missing or not as they must be; the message names what makes them.
    """
    problems = check(settings.broker, settings, with_configs=False)
    if problems:
        raise PipelineError("; ".join(problems) + ": run `forewarn topics apply`")


def create_app(settings: Settings) -> ForewarnApp:
    """An app for these settings."""
    return ForewarnApp(settings)


def __getattr__(name: str) -> Any:
    """Make `app` when it is asked for: settings are read then, and importing this module reads nothing."""
    if name != "app":
        raise AttributeError(name)
    app = create_app(load_settings(os.environ))
    globals()["app"] = app
    return app
