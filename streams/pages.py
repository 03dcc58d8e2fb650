"""The worker's own pages beside Faust's: does it live, is it ready, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

import faust
from faust.web import Request, Response, View
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.metrics import PrometheusMetrics

LIVE_PATH: Final = "/livez"
READY_PATH: Final = "/readyz"
METRICS_PATH: Final = "/metrics"


Reasons = Callable[[], Sequence[str]]


def add_pages(
    app: faust.App, metrics: PrometheusMetrics, *, reasons_not_alive: Reasons, reasons_not_ready: Reasons
) -> None:
    """Add the pages to an app.

    `/livez` answers 200 while the worker's loop turns, or begins to: where it answers 503, or not at all, only a new process
    helps. `/readyz` answers 200 while the worker has restored its tasks and gets on. Each tells the reasons against it as
    JSON: `{"ready": false, "reasons": ["..."]}`. `/metrics` is what Prometheus reads.
    """

    async def livez(view: View, request: Request) -> Response:
        return _answer(view, "alive", reasons_not_alive())

    async def readyz(view: View, request: Request) -> Response:
        return _answer(view, "ready", reasons_not_ready())

    async def figures(view: View, request: Request) -> Response:
        return view.bytes(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.page(LIVE_PATH, name="livez")(livez)
    app.page(READY_PATH, name="readyz")(readyz)
    app.page(METRICS_PATH, name="metrics")(figures)


def _answer(view: View, said: str, reasons: Sequence[str]) -> Response:
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return view.json({said: not reasons, "reasons": list(reasons)}, status=status)
