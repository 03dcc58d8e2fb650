"""An endpoint that takes every alert: for the panels of what is delivered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.prometheus import HOST
from tests.support.receivers import secret_file


class _Taking(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called there
        """Say nothing."""


@contextmanager
def desk(folder: Path) -> Iterator[Path]:
    """One that listens until the block is left; gives the file of endpoints that leads to it."""
    with ThreadingHTTPServer((HOST, 0), _Taking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        file = folder / "webhooks.toml"
        file.write_text(
            f'[[endpoints]]\nname = "desk"\nurl = "http://{HOST}:{server.server_port}"\n'
            f'secret_file = "{secret_file(folder)}"\n',
            encoding="utf-8",
        )
        try:
            yield file
        finally:
            server.shutdown()
