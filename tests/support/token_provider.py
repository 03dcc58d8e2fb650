"""A token provider on this machine: client credentials in (RFC 6749, section 4.4), tokens out."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote


class TokenProvider:
    """Where it is, whom it knows, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.clients: dict[str, str] = {}
        """Their secrets."""
        self.forms: list[dict[str, list[str]]] = []


@contextmanager
def token_provider(token_for: Callable[[str], object], *, expires_in: float = 60) -> Iterator[TokenProvider]:
    """Serve for as long as the block lasts."""
    provider = TokenProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"])).decode()
            provider.forms.append(parse_qs(content))
            kind, _, credentials = self.headers.get("Authorization", "").partition(" ")
            who, _, secret = base64.b64decode(credentials).decode().partition(":")
            if kind != "Basic" or provider.clients.get(who) != unquote(secret):
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
