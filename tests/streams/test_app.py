"""How the end of the pipeline becomes the end of the process."""

from __future__ import annotations

import asyncio

import pytest

from streams import app
from streams.app import PipelineService
from streams.metrics import PrometheusMetrics
from streams.pipeline import PipelineError
from streams.settings import Settings


async def test_a_pipeline_that_was_cancelled_has_not_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 0 would tell a supervisor that all is done: a cancellation that got out of a library is a failure."""
    ends: list[BaseException | None] = []
    monkeypatch.setattr(app, "_end_process_after", lambda _timeout_ms, failure: ends.append(failure))
    service = PipelineService(Settings(), PrometheusMetrics())
    run = asyncio.create_task(asyncio.sleep(60))
    run.cancel()
    with pytest.raises(PipelineError, match="cancelled"):
        await service._watch(run)

    assert ends == [service.failure]
