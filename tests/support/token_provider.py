"""A token provider on this machine: client credentials in (RFC 6749, section 4.4), tokens out."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class TokenProvider:
    """How often it was asked, and where."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.forms: list[dict[str, list[str]]] = []


@contextmanager
def token_provider(
    clients: Mapping[str, str], token_for: Callable[[str], str], *, expires_in: float = 60
) -> Iterator[TokenProvider]:
    """Serve for as long as the block lasts; `clients` are their secrets."""
    provider = TokenProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            provider.asked += 1
            content = self.rfile.read(int(self.headers["Content-Length"])).decode()
            provider.forms.append(parse_qs(content))
            kind, _, credentials = self.headers.get("Authorization", "").partition(" ")
            who, _, secret = base64.b64decode(credentials).decode().partition(":")
            if kind != "Basic" or clients.get(who) != secret.replace("%20", " "):
                self._answer(401, {"error": "invalid_client"})
            else:
                self._answer(200, {"access_token": token_for(who), "expires_in": expires_in})

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's own name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    provider.url = f"http://127.0.0.1:{server.server_address[1]}/token"
    try:
        yield provider
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
