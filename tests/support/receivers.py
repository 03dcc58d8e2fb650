"""An endpoint by hand, on a socket: it does what a test says with each request, and remembers what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct
from standardwebhooks import Webhook

SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the example of the standard
_REASONS: Final = {200: "OK", 202: "Accepted"}
_SMALL_BUFFER_BYTES: Final = 4_096


class Request(Struct, frozen=True):
    """What came in."""

    path: str
    headers: dict[str, str]
    body: bytes


class Peer:
    """One connection, while one request is handled."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def say(self, data: bytes) -> None:
        """Write bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: int, **headers: str) -> None:
        """A whole answer without a body; underscores in the names of headers are hyphens."""
        fields = {"content-length": "0"} | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Other')}",
            *(f"{k}: {v}" for k, v in fields.items()),
        ]
        await self.say("\r\n".join(lines).encode() + b"\r\n\r\n")

    def reset(self) -> None:
        """Break the connection off, without a word."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self._writer.transport.abort()

    async def rest(self, size: int) -> bytes:
        """Read so many bytes of the body."""
        return await self._reader.readexactly(size)


Behaviour = Callable[[Peer, Request], Awaitable[None]]


class Receiver:
    """Plays one behaviour a request, in turn, and the last one for ever after."""

    def __init__(self, behaviours: Sequence[Behaviour], *, reads_whole: bool = True) -> None:
        self.requests: list[Request] = []
        """Whole ones, or where it does not read the body what stands before it."""
        self.url = ""
        self._behaviours = list(behaviours)
        self._reads_whole = reads_whole
        self._held: set[asyncio.Task[None]] = set()

    @property
    def ids(self) -> list[str]:
        """The ids of the messages, in order."""
        return [request.headers["webhook-id"] for request in self.requests]

    def forged(self) -> list[Request]:
        """Requests whose signature does not hold, by the library of the standard."""
        wrong = []
        for request in self.requests:
            try:
                Webhook(SECRET).verify(request.body, request.headers)
            except Exception:  # noqa: BLE001 - whatever is wrong with it
                wrong.append(request)
        return wrong

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request by request."""
        task = asyncio.current_task()
        assert task is not None
        self._held.add(task)
        peer = Peer(reader, writer)
        try:
            while True:
                request = await self._read(reader)
                self.requests.append(request)
                number = min(len(self.requests), len(self._behaviours)) - 1
                await self._behaviours[number](peer, request)
                if not self._reads_whole:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._held.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers["content-length"])) if self._reads_whole else b""
        return Request(head[0].split()[1], headers, body)

    async def close(self) -> None:
        """Whoever still hangs is let go."""
        for task in set(self._held):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._held, return_exceptions=True)


@asynccontextmanager
async def listening(*behaviours: Behaviour, reads_whole: bool = True) -> AsyncIterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver(behaviours, reads_whole=reads_whole)
    listener = socket.socket()
    if not reads_whole:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
    listener.bind(("127.0.0.1", 0))
    limit = 64 * 1024 if reads_whole else _SMALL_BUFFER_BYTES
    server = await asyncio.start_server(receiver.handle, sock=listener, limit=limit)
    receiver.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        server.close()
        await receiver.close()


def secret_file(folder: Path) -> str:
    """A file with the secret."""
    file = folder / "secret"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    return str(file)


# ---- what an endpoint may do ---------------------------------------------------------------------------------------


async def honest(peer: Peer, request: Request) -> None:
    """Take it."""
    await peer.answer(200)


def answering(status: int, **headers: str) -> Behaviour:
    """A status."""

    async def behaviour(peer: Peer, request: Request) -> None:
        await peer.answer(status, **headers)

    return behaviour


async def resetting(peer: Peer, request: Request) -> None:
    """Take it, and break the connection off before a word is said."""
    peer.reset()


async def hanging(peer: Peer, request: Request) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def dripping(peer: Peer, request: Request) -> None:
    """A byte of a header now and then, without end."""
    await peer.say(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while True:
        await peer.say(b"x")
        await asyncio.sleep(0.01)


async def talking(peer: Peer, request: Request) -> None:
    """Yes, and then a body that never ends."""
    await peer.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        await peer.say(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")


async def babbling(peer: Peer, request: Request) -> None:
    """No HTTP at all."""
    await peer.say(b"hello?\r\n\r\n")
    peer.reset()


async def half(peer: Peer, request: Request) -> None:
    """Yes, after half of the body."""
    await peer.rest(int(request.headers["content-length"]) // 2)
    await peer.answer(200)
    await asyncio.Event().wait()
