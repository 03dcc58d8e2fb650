"""A gate in front of a broker that counts who comes through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Gate:
    """Where it is, and how many came."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.connections = 0


@contextmanager
def counting_gate(address: str) -> Iterator[Gate]:
    """Pass every connection on to `address` (`host:port`) for as long as the block lasts."""
    host, _, port = address.rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as server:
        gate = Gate(f"127.0.0.1:{server.getsockname()[1]}")

        def serve() -> None:
            with suppress(OSError):  # the end of the block
                while True:
                    client, _ = server.accept()
                    gate.connections += 1
                    broker = socket.create_connection((host, int(port)))
                    for one, other in ((client, broker), (broker, client)):
                        threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        try:
            yield gate
        finally:
            server.shutdown(socket.SHUT_RDWR)
            serving.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError), target:
        while content := source.recv(65536):
            target.sendall(content)
