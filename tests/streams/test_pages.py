"""The worker's pages tell the truth: does it live, is it ready, what does it count; and only this machine is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from streams.app import ForewarnApp, PipelineService, create_app
from streams.kafka.local.ports import free_ports
from streams.memory.virtual_time import run_virtual
from streams.metrics import PrometheusMetrics
from streams.settings import Settings, load_settings
from tests.support.house import House, until

HERE = "127.0.0.1"


class Worker:
    """The pages of an app whose services are not started, and what they say."""

    def __init__(self, app: ForewarnApp, address: tuple[str, int], session: aiohttp.ClientSession) -> None:
        self.app = app
        self.address = address
        self._session = session

    async def get(self, path: str) -> tuple[int, Any]:
        host, port = self.address
        async with self._session.get(f"http://{host}:{port}{path}") as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else await answer.text()


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Worker]:
    """The real web server of the app, on a free port."""
    app = create_app(msgspec.structs.replace(settings, web_port=free_ports(HERE, 1)[0]))
    web: Any = app.web
    web.init_server()
    await web.start_server()
    try:
        async with aiohttp.ClientSession() as session:
            host, port = web._runner.addresses[0][:2]
            yield Worker(app, (host, port), session)
    finally:
        await web.stop_server()


class Still:
    """A pipeline as the pages see it."""

    def __init__(self, still_ms: int = 0, reasons: tuple[str, ...] = ()) -> None:
        self.still_ms = still_ms
        self.reasons_not_ready = list(reasons)


def hold(service: PipelineService, pipeline: Still, run: asyncio.Task[None]) -> None:
    """Let a service have this pipeline and this run of it."""
    held: Any = service
    held._pipeline, held._run = pipeline, run


async def test_a_worker_that_has_not_begun_lives_and_is_not_ready() -> None:
    """A supervisor must not kill what starts, and nobody must count on it."""
    async with served(Settings()) as worker:
        live, ready = await worker.get("/livez"), await worker.get("/readyz")

    assert live == (200, {"alive": True, "reasons": []})
    assert ready == (503, {"ready": False, "reasons": ["the pipeline does not run"]})


async def test_a_worker_that_turns_lives_and_one_that_stands_does_not() -> None:
    """The limit is that at which it would end itself; right below it is life."""
    running = asyncio.create_task(asyncio.sleep(60))
    async with served(Settings(progress_timeout_ms=90_000)) as worker:
        hold(worker.app.pipeline, Still(89_999), running)
        below = await worker.get("/livez")
        hold(worker.app.pipeline, Still(90_000), running)
        above = await worker.get("/livez")
    running.cancel()

    assert below == (200, {"alive": True, "reasons": []})
    assert above == (
        503,
        {"alive": False, "reasons": ["the loop has not turned for 90 s (progress_timeout_ms)"]},
    )


async def test_a_worker_that_has_ended_neither_lives_nor_is_ready() -> None:
    """Whatever is left of the process does nothing more."""
    ended = asyncio.create_task(asyncio.sleep(0))
    await ended
    async with served(Settings()) as worker:
        hold(worker.app.pipeline, Still(), ended)
        live, ready = await worker.get("/livez"), await worker.get("/readyz")

    assert live == (503, {"alive": False, "reasons": ["the pipeline has ended"]})
    assert ready[0] == 503


async def test_readiness_is_that_of_the_pipeline_with_its_reasons() -> None:
    """Each reason is told; without any it is 200."""
    running = asyncio.create_task(asyncio.sleep(60))
    async with served(Settings()) as worker:
        hold(worker.app.pipeline, Still(reasons=("task 3 is being restored",)), running)
        restoring = await worker.get("/readyz")
        hold(worker.app.pipeline, Still(), running)
        open_ = await worker.get("/readyz")
    running.cancel()

    assert restoring == (503, {"ready": False, "reasons": ["task 3 is being restored"]})
    assert open_ == (200, {"ready": True, "reasons": []})


async def test_prometheus_is_answered_with_all_figures() -> None:
    """In its own text format, with those of the process beside ours."""
    async with served(Settings()) as worker:
        worker.app.metrics.count("processed", 7)
        status, text = await worker.get("/metrics")

    assert status == 200
    assert "forewarn_processed_total 7.0" in text
    assert "process_resident_memory_bytes" in text


async def test_pages_are_for_this_machine_unless_told_otherwise() -> None:
    """They have no password: by default nobody else can ask."""
    async with served(Settings()) as worker:
        assert worker.address[0] == HERE
    async with served(load_settings({"FOREWARN_WEB_HOST": "0.0.0.0"})) as worker:
        assert worker.address[0] == "0.0.0.0"


def test_a_worker_is_ready_when_its_tasks_are_open_and_not_before_nor_after() -> None:
    """Before the group has assigned anything, while a stop drains: not ready, with the reason."""

    async def main() -> tuple[list[str], list[str], list[str]]:
        house = House(until_end=False)
        house.load(1, 50)
        worker = house.worker()
        before = worker.reasons_not_ready
        run = asyncio.create_task(worker.run())
        await until(lambda: house.metrics.total("commits") > 0)
        amid = worker.reasons_not_ready
        worker.stop()
        stopping = worker.reasons_not_ready
        await run
        return before, amid, stopping

    before, amid, stopping = run_virtual(main())

    assert before == ["group forewarn has assigned nothing yet"]
    assert amid == []
    assert stopping == ["the worker is stopping"]


def test_a_service_without_a_pipeline_is_not_ready() -> None:
    """As at the very start."""
    service = PipelineService(Settings(), PrometheusMetrics())

    assert service.reasons_not_ready == ["the pipeline does not run"]
    assert service.reasons_not_alive == []
