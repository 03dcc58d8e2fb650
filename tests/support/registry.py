"""A schema registry with Confluent's interface, as far as a reader asks, and records in its wire format."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import fastavro

AVRO_REPAYMENT = {
    "type": "record",
    "name": "Repayment",
    "namespace": "lender",
    "fields": [
        {"name": "txnNo", "type": "string"},
        {"name": "custNo", "type": "string"},
        {"name": "loanNo", "type": "string"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}},
        {"name": "paidAt", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "period", "type": ["null", "int"], "default": None},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["PAY", "PING"]}},
    ],
}
"""What a lender's Avro looks like: decimals and instants as logical types, a union with null, an enumeration."""

AVRO_MAPPING = """
[repayments]
format = "avro"

[[repayments.events]]
type = "repayment"
when = { kind = "PAY" }
event_id = "txnNo"
borrower_id = "custNo"
event_time_ms = { from = "paidAt", time = "timestamp" }
loan_id = "loanNo"
amount_minor = { from = "amount", unit = "yuan" }
instalment_number = "period"

[[repayments.ignored]]
when = { kind = "PING" }
"""


def avro_record(schema_id: int, schema: Any, document: dict[str, Any]) -> bytes:
    """A record as Confluent's serializer writes it."""
    body = BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), document)
    return b"\0" + schema_id.to_bytes(4, "big") + body.getvalue()


class FakeRegistry:
    """Answers of a registry by path, and how it was asked."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        self.url = ""
        self.answers: dict[str, Any] = {}
        """By path: what is sent as JSON, or a status."""
        self.failures: list[int] = []
        """Statuses of the next answers, before those that are known."""
        self.asked: Counter[str] = Counter()
        self.authorizations: list[str | None] = []

    def add(self, schema_id: int, schema: str, **more: Any) -> None:
        """Know a schema."""
        self.answers[f"/schemas/ids/{schema_id}"] = {"schema": schema, **more}


@contextmanager
def fake_registry() -> Iterator[FakeRegistry]:
    """On a free port, until the end of the block."""
    registry = FakeRegistry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            registry.asked[self.path] += 1
            registry.authorizations.append(self.headers.get("Authorization"))
            answer = registry.failures.pop(0) if registry.failures else registry.answers.get(path, 404)
            content = json.dumps({"error_code": 40403} if isinstance(answer, int) else answer).encode()
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the server calls it
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
