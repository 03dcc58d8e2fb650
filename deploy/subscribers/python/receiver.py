"""Takes alerts over HTTP: `python receiver.py PORT SECRET_FILE JOURNAL`. Behind a proxy that speaks TLS. SIGTERM ends it.

An example of what an endpoint must see to: the signature before anything else, the whole body, repeats, and yes only at the end.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError
from subscriber import Journal, take

BODY_BYTES_MAX = 2 * 1024 * 1024
"""More than any alert has."""


def handler(webhook: Webhook, journal: Journal) -> type[BaseHTTPRequestHandler]:
    """A class that answers requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("content-length", 0))
            if size > BODY_BYTES_MAX:
                self._answer(413)
                return
            body = self.rfile.read(size)
            try:
                webhook.verify(body, dict(self.headers), json_parse=False)
            except WebhookVerificationError:
                self._answer(401)
                return
            take(json.loads(body), journal)
            self._answer(204)  # only now: what was not written down is sent again

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.end_headers()

    return Handler


def main(port: str, secret_file: str, journal: str) -> None:
    """Answer one request after the other."""
    webhook = Webhook(Path(secret_file).read_text(encoding="utf-8").strip())
    HTTPServer(("127.0.0.1", int(port)), handler(webhook, Journal(Path(journal)))).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
