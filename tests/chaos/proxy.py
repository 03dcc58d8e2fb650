"""A proxy between Kafka's clients and one broker, which loses what it is told to lose.

It knows of the protocol how frames begin, and nothing else: a length, then in a request the api key, its version and a
correlation id, in an answer the correlation id. That is enough to let a commit reach the broker and its answer be lost.

    with ProxiedKafka(3) as kafka:
        kafka.faults.strike(END_TXN, "cut", requests=2)     # the next two commits, on whichever broker
        ... a worker on kafka.bootstrap_servers ...
        wait_until(lambda: kafka.faults.struck(END_TXN, "cut") == 2, "both answers were lost")
        with kafka.partitioned(0): ...                      # nothing passes between clients and broker 0

All methods may be called from any thread; each proxy runs a loop in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

from streams.kafka.local import LocalKafka

PRODUCE: Final = 0
FETCH: Final = 1
LIST_OFFSETS: Final = 2
FIND_COORDINATOR: Final = 10
JOIN_GROUP: Final = 11
HEARTBEAT: Final = 12
ADD_PARTITIONS_TO_TXN: Final = 24
ADD_OFFSETS_TO_TXN: Final = 25
END_TXN: Final = 26
TXN_OFFSET_COMMIT: Final = 28
"""Kafka's own numbers of its requests (protocol guide, "Api Keys")."""

Action = Literal["delay", "cut", "swallow", "cut_before"]
"""What befalls a request, or its answer.

- `delay`: the answer, and all that come behind it on its connection, waits for `delay_ms`.
- `cut`: the broker does what it is asked and answers; instead of the answer the connection ends.
- `swallow`: as `cut`, but the connection stays open and nothing comes from it any more.
- `cut_before`: the connection ends before the request has reached the broker.
"""

FRAME_BYTES_MAX: Final = 100 * 1024 * 1024
"""Kafka's `socket.request.max.bytes`: whatever announces more is not Kafka."""

HOST: Final = "127.0.0.1"
ANSWER_SECONDS: Final = 10.0
"""How long the proxy's own loop may take for what costs it microseconds; the machine may be busy."""
CONNECT_SECONDS: Final = 10.0

T = TypeVar("T")


@dataclass(slots=True)
class _Rule:
    action: Action
    requests_left: int
    delay_ms: int


class Faults:
    """What is to befall the next requests, shared by the proxies of a cluster, and what did befall them."""

    def __init__(self) -> None:
        """Everything passes."""
        self._lock = threading.Lock()
        self._rules: dict[int, _Rule] = {}
        self._seen: Counter[int] = Counter()
        self._struck: Counter[tuple[int, Action]] = Counter()

    def strike(self, api_key: int, action: Action, *, requests: int = 1, delay_ms: int = 0) -> None:
        """Let `action` befall the next `requests` requests of a kind; replaces what was left to befall that kind."""
        if requests < 1 or (action == "delay") != (delay_ms > 0):
            raise ValueError(f"{action} of {requests} requests by {delay_ms} ms")
        with self._lock:
            self._rules[api_key] = _Rule(action, requests, delay_ms)

    def spare(self, api_key: int | None = None) -> None:
        """Let pass what comes from now on: one kind of request, or all."""
        with self._lock:
            if api_key is None:
                self._rules.clear()
            else:
                self._rules.pop(api_key, None)

    def seen(self, api_key: int) -> int:
        """How many requests of a kind have come."""
        with self._lock:
            return self._seen[api_key]

    def struck(self, api_key: int, action: Action) -> int:
        """How many requests of a kind an action befell; counted when it is done, not when it is due."""
        with self._lock:
            return self._struck[api_key, action]

    def counts(self) -> Mapping[tuple[int, Action], int]:
        """All of `struck`, by api key and action."""
        with self._lock:
            return dict(self._struck)

    def _due(self, api_key: int) -> tuple[Action, int] | None:
        """Note a request; what is due to it, and the delay in ms."""
        with self._lock:
            self._seen[api_key] += 1
            rule = self._rules.get(api_key)
            if rule is None:
                return None
            rule.requests_left -= 1
            if rule.requests_left == 0:
                del self._rules[api_key]
            return rule.action, rule.delay_ms

    def _done(self, api_key: int, action: Action) -> None:
        with self._lock:
            self._struck[api_key, action] += 1


class Proxy:
    """Stands at `address` before one broker, for as long as a `with` block lasts."""

    def __init__(self, faults: Faults | None = None) -> None:
        """Nothing runs yet; the broker is named later (`lead_to`), as it must know our address before it starts."""
        self.faults = faults or Faults()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._target: tuple[str, int] | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._flowing = asyncio.Event()
        self._failure: BaseException | None = None
        self._address = ""

    @property
    def address(self) -> str:
        """`host:port` where clients find it."""
        return self._address

    def __enter__(self) -> Self:
        """Listen on a free port, and keep it."""
        self._flowing.set()
        self._loop.set_exception_handler(self._note_failure)
        self._thread.start()
        self._address = self._ask(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop every connection and the port; raises what went wrong inside, if anything did."""
        self._ask(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_SECONDS)
        self._loop.close()
        if self._failure is not None and kind is None:
            raise self._failure

    def lead_to(self, address: str) -> None:
        """Connect clients to the broker at `host:port`, from now on."""
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))

    def cut_all(self) -> int:
        """Drop every connection; return how many there were. New ones are welcome."""
        return self._ask(self._cut_all())

    def hold(self) -> None:
        """Forward nothing any more, in no direction: connections stay open, new ones open and stay mute."""
        self._ask(self._set_flowing(flowing=False))

    def release(self) -> None:
        """Forward again, first what was held back."""
        self._ask(self._set_flowing(flowing=True))

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """`hold` for as long as a block lasts."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    # --- in the proxy's own thread ----------------------------------------------------------------

    def _ask(self, what: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(what, self._loop)
        return future.result(ANSWER_SECONDS)

    def _note_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._failure = self._failure or context.get("exception") or RuntimeError(context["message"])

    async def _listen(self) -> str:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        return f"{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        await self._cut_all()

    async def _cut_all(self) -> int:
        cut = dict(self._connections)
        for task in cut:
            task.cancel()
        if cut:
            await asyncio.wait(cut)
        return len(cut)

    async def _set_flowing(self, *, flowing: bool) -> None:
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self.faults, self._flowing)
        task = self._loop.create_task(connection.run(reader, writer, self._target))
        self._connections[task] = connection
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._connections[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error


class _Connection:
    """One client's connection, and ours to the broker for it: when one ends, so does the other."""

    def __init__(self, faults: Faults, flowing: asyncio.Event) -> None:
        self._faults = faults
        self._flowing = flowing
        self._due: dict[int, tuple[int, Action, int]] = {}
        """What is due to answers, by correlation id; bounded by the faults asked for."""

    async def run(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: tuple[str, int] | None
    ) -> None:
        """Forward until one side ends it or a fault does."""
        writers = [writer]
        try:
            await self._flowing.wait()
            if target is None:
                return
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    answers, requests = await asyncio.open_connection(*target)
            except (OSError, TimeoutError):
                return  # the broker is down: the client sees a connection that ends at once
            writers.append(requests)
            ways = [
                asyncio.create_task(self._forward_requests(reader, requests)),
                asyncio.create_task(self._forward_answers(answers, writer)),
            ]
            try:
                done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.wait(ways)
            for way in done:
                way.result()
            await self._flowing.wait()  # neither does the end of a connection pass
        finally:
            for one in writers:
                one.transport.abort()
            for one in writers:
                with contextlib.suppress(OSError):
                    await one.wait_closed()

    async def _forward_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (frame := await _frame(reader)) is not None:
            api_key = int.from_bytes(frame[4:6], "big", signed=True)
            due = self._faults._due(api_key)
            if due is not None:
                action, delay_ms = due
                if action == "cut_before":
                    self._faults._done(api_key, action)
                    return
                self._due[_number(frame, 8)] = (api_key, action, delay_ms)
            if not await self._pass(frame, writer):
                return

    async def _forward_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mute = False
        while (frame := await _frame(reader)) is not None:
            due = self._due.pop(_number(frame, 4), None)
            if due is not None:
                api_key, action, delay_ms = due
                self._faults._done(api_key, action)
                if action == "cut":
                    return
                if action == "swallow":
                    mute = True  # TCP loses nothing in the middle: what is lost is lost with all behind it
                if action == "delay":
                    await asyncio.sleep(delay_ms / 1000)
            if not mute and not await self._pass(frame, writer):
                return

    async def _pass(self, frame: bytes, writer: asyncio.StreamWriter) -> bool:
        """Hand a frame on, once anything may flow; whether there is still somebody to hand it to."""
        await self._flowing.wait()
        try:
            writer.write(frame)
            await writer.drain()
        except OSError:
            return False
        return True


async def _frame(reader: asyncio.StreamReader) -> bytes | None:
    """Read a frame with its length; None where the stream ends."""
    try:
        length = await reader.readexactly(4)
        count = int.from_bytes(length, "big")
        if count > FRAME_BYTES_MAX:
            raise ValueError(f"a frame of {count} bytes: this is not Kafka's protocol")
        return length + await reader.readexactly(count)
    except (asyncio.IncompleteReadError, OSError):
        return None


def _number(frame: bytes, at: int) -> int:
    return int.from_bytes(frame[at : at + 4], "big")


class ProxiedKafka:
    """A local Kafka whose clients come by way of proxies, one a broker, for as long as a `with` block lasts.

    `cluster` is the `LocalKafka`, to kill, stop, freeze and start brokers.
    """

    def __init__(self, brokers: int = 1, *, settings: Mapping[str, str] | None = None) -> None:
        """Describe a cluster of `brokers` (1 or 3), with `LocalKafka`'s settings."""
        self.faults = Faults()
        self.proxies: tuple[Proxy, ...] = tuple(Proxy(self.faults) for _ in range(brokers))
        self._settings = settings
        self._block = contextlib.ExitStack()
        self._cluster: LocalKafka | None = None

    def __enter__(self) -> Self:
        """Start proxies and brokers.

        Raises:
            BrokerUnavailableError: as `LocalKafka` does.
        """
        with contextlib.ExitStack() as block:
            addresses = [block.enter_context(proxy).address for proxy in self.proxies]
            self._cluster = block.enter_context(
                LocalKafka(len(self.proxies), settings=self._settings, proxies=addresses)
            )
            for proxy, listener in zip(self.proxies, self._cluster.proxied_listeners, strict=True):
                proxy.lead_to(listener)
            self._block = block.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all, and raise what went wrong inside a proxy."""
        self._block.__exit__(kind, error, trace)

    @property
    def cluster(self) -> LocalKafka:
        """The brokers."""
        assert self._cluster is not None, "a proxied Kafka exists inside its with block only"
        return self._cluster

    @property
    def bootstrap_servers(self) -> str:
        """Where clients come by way of the proxies, now and whenever they connect again."""
        return ",".join(proxy.address for proxy in self.proxies)

    @property
    def direct_servers(self) -> str:
        """Where clients meet no proxy: for whoever checks."""
        return self.cluster.bootstrap_servers

    def cut_all(self) -> int:
        """Drop every client's connection to every broker; return how many there were."""
        return sum(proxy.cut_all() for proxy in self.proxies)

    @contextlib.contextmanager
    def partitioned(self, *indices: int) -> Iterator[None]:
        """Let nothing pass between clients and the brokers of these numbers (none: all) while a block lasts."""
        with contextlib.ExitStack() as held:
            for index in indices or range(len(self.proxies)):
                held.enter_context(self.proxies[index].holding())
            yield
