"""The worker's own pages beside Faust's: is it ready, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

import faust
from faust.web import Request, Response, View
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.metrics import PrometheusMetrics

READY_PATH: Final = "/readyz"
METRICS_PATH: Final = "/metrics"


def add_pages(
    app: faust.App, metrics: PrometheusMetrics, reasons_not_ready: Callable[[], Sequence[str]]
) -> None:
    """Add the pages to an app.

    `/readyz` answers 200 while the worker has restored its tasks and gets on, else 503, with the reasons as JSON:
    `{"ready": false, "reasons": ["..."]}`. `/metrics` is what Prometheus reads.
    """

    async def readyz(view: View, request: Request) -> Response:
        reasons = list(reasons_not_ready())
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return view.json({"ready": not reasons, "reasons": reasons}, status=status)

    async def figures(view: View, request: Request) -> Response:
        return view.bytes(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.page(READY_PATH, name="readyz")(readyz)
    app.page(METRICS_PATH, name="metrics")(figures)
