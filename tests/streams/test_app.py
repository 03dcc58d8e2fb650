"""How the end of the pipeline becomes the end of the process."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from typing import Any

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


async def test_the_pages_are_for_this_machine_unless_told_otherwise() -> None:
    """They have no password: by default nobody finds them at another address of the machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for settings, address in (
        (Settings(web_port=port), "127.0.0.1"),
        (Settings(web_port=port, web_host="0.0.0.0"), "0.0.0.0"),
    ):
        web: Any = app.create_app(settings).web
        await web.start_server()
        try:
            bound = {one.getsockname()[0] for site in web._runner.sites for one in site._server.sockets}
        finally:
            await web.stop_server()
        assert bound == {address}


def test_a_worker_that_does_not_learn_loads_nothing_of_river() -> None:
    """It takes a second and 80 MB: whoever stands by to learn, or only asks for help, does without."""
    code = "import streams.app, sys; print(*{'river', 'scipy', 'numpy'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "\n"
