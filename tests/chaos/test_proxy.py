"""Each fault of the proxy does what it says, between a client and a server that speak frames and nothing else."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import END_TXN, HEARTBEAT, Proxy
from tests.support.processes import wait_until

PATIENCE_SECONDS = 30.0


class Server:
    """Answers every frame with its correlation id, and remembers what arrived."""

    def __init__(self) -> None:
        self.arrived: list[tuple[int, int]] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while (frame := receive(connection)) is not None:
                correlation_id = int.from_bytes(frame[4:8], "big")
                self.arrived.append((int.from_bytes(frame[:2], "big"), correlation_id))
                try:
                    connection.sendall(framed(frame[4:8] + b"done"))
                except OSError:
                    return


class Client:
    """One connection."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), PATIENCE_SECONDS)
        self._correlation_id = 0

    def send(self, api_key: int) -> int:
        """Send a request of version 1; return its correlation id."""
        self._correlation_id += 1
        header = api_key.to_bytes(2, "big") + (1).to_bytes(2, "big") + self._correlation_id.to_bytes(4, "big")
        self._socket.sendall(framed(header + b"body"))
        return self._correlation_id

    def answer(self) -> int | None:
        """Return the next answer's correlation id; None where the connection has ended."""
        frame = receive(self._socket)
        return None if frame is None else int.from_bytes(frame[:4], "big")

    def hears_nothing(self) -> bool:
        """Whether the connection is open and silent for a moment."""
        self._socket.settimeout(0.1)
        try:
            return self._socket.recv(1) == b"never"
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(PATIENCE_SECONDS)

    def close(self) -> None:
        self._socket.close()


def framed(content: bytes) -> bytes:
    """Return the content with its length before it."""
    return len(content).to_bytes(4, "big") + content


def receive(connection: socket.socket) -> bytes | None:
    """Return one frame's content, or None at the end."""
    length = exactly(connection, 4)
    return None if length is None else exactly(connection, int.from_bytes(length, "big"))


def exactly(connection: socket.socket, count: int) -> bytes | None:
    """Return the next bytes, or None at the end."""
    found = b""
    while len(found) < count:
        try:
            piece = connection.recv(count - len(found))
        except ConnectionError:
            return None
        if not piece:
            return None
        found += piece
    return found


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that answers."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy before it."""
    with Proxy() as proxy:
        proxy.lead_to(server.address)
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Client]:
    """A connection by way of the proxy."""
    client = Client(proxy.address)
    yield client
    client.close()


def test_without_a_fault_everything_passes(proxy: Proxy, client: Client, server: Server) -> None:
    """Requests reach the server, answers the client, and both kinds are counted."""
    client.send(END_TXN)
    client.send(HEARTBEAT)

    assert [client.answer(), client.answer()] == [1, 2]
    assert server.arrived == [(END_TXN, 1), (HEARTBEAT, 2)]
    assert proxy.faults.seen(END_TXN) == 1
    assert proxy.faults.counts() == {}


def test_a_cut_loses_the_answer_and_not_the_request(proxy: Proxy, client: Client, server: Server) -> None:
    """The server has done its work; the client sees the connection end."""
    proxy.faults.strike(END_TXN, "cut")
    client.send(HEARTBEAT)
    assert client.answer() == 1
    client.send(END_TXN)

    assert client.answer() is None
    assert server.arrived == [(HEARTBEAT, 1), (END_TXN, 2)]
    assert proxy.faults.struck(END_TXN, "cut") == 1


def test_a_fault_befalls_as_many_requests_as_asked_for(proxy: Proxy, server: Server) -> None:
    """The next two connections lose their answer, the third does not."""
    proxy.faults.strike(END_TXN, "cut", requests=2)
    answers = []
    for _ in range(3):
        client = Client(proxy.address)
        client.send(END_TXN)
        answers.append(client.answer())
        client.close()

    assert answers == [None, None, 1]
    assert proxy.faults.counts() == {(END_TXN, "cut"): 2}


def test_a_swallowed_answer_leaves_a_mute_connection(proxy: Proxy, client: Client, server: Server) -> None:
    """The request is done, the connection stays open, and neither this answer nor a later one comes."""
    proxy.faults.strike(END_TXN, "swallow")
    client.send(END_TXN)
    client.send(HEARTBEAT)
    wait_until(lambda: len(server.arrived) == 2, "both requests have arrived")

    assert client.hears_nothing()
    assert proxy.faults.struck(END_TXN, "swallow") == 1


def test_a_cut_before_keeps_the_request_from_the_server(proxy: Proxy, client: Client, server: Server) -> None:
    """The connection ends and the server never knew."""
    proxy.faults.strike(END_TXN, "cut_before")
    client.send(END_TXN)

    assert client.answer() is None
    assert server.arrived == []
    assert proxy.faults.struck(END_TXN, "cut_before") == 1


def test_a_delayed_answer_comes(proxy: Proxy, client: Client, server: Server) -> None:
    """The request is done at once, its answer comes, and in order."""
    proxy.faults.strike(END_TXN, "delay", delay_ms=300)
    client.send(END_TXN)
    client.send(HEARTBEAT)
    wait_until(lambda: len(server.arrived) == 2, "both requests have arrived")

    assert client.hears_nothing()
    assert [client.answer(), client.answer()] == [1, 2]
    assert proxy.faults.struck(END_TXN, "delay") == 1


def test_what_is_spared_passes(proxy: Proxy, client: Client, server: Server) -> None:
    """A fault that was taken back befalls nobody."""
    proxy.faults.strike(END_TXN, "cut")
    proxy.faults.spare(END_TXN)
    client.send(END_TXN)

    assert client.answer() == 1


def test_all_connections_are_cut_and_new_ones_welcome(proxy: Proxy, client: Client, server: Server) -> None:
    """Every open connection ends; one made afterwards works."""
    client.send(HEARTBEAT)
    assert client.answer() == 1

    assert proxy.cut_all() == 1
    assert client.answer() is None

    other = Client(proxy.address)
    other.send(HEARTBEAT)
    assert other.answer() == 1
    other.close()


def test_held_connections_are_mute_until_released(proxy: Proxy, client: Client, server: Server) -> None:
    """While held nothing reaches the server, not by a new connection either; then everything does."""
    client.send(HEARTBEAT)
    assert client.answer() == 1
    with proxy.holding():
        client.send(HEARTBEAT)
        other = Client(proxy.address)
        other.send(HEARTBEAT)
        assert client.hears_nothing()
        assert other.hears_nothing()
        assert len(server.arrived) == 1

    assert client.answer() == 2
    assert other.answer() == 1
    other.close()


def test_a_broker_that_is_down_ends_the_connection(server: Server) -> None:
    """Where nobody listens behind the proxy, the client's connection ends at once instead of hanging."""
    with Proxy() as proxy:
        client = Client(proxy.address)
        assert client.answer() is None
        client.close()


def test_what_is_not_kafka_is_an_error_of_the_test() -> None:
    """Bytes that cannot be frames are not passed over: leaving the block raises."""
    server = Server()
    try:
        with pytest.raises(ValueError, match="not Kafka"), Proxy() as proxy:  # noqa: PT012 - the block is what is tested
            proxy.lead_to(server.address)
            host, _, port = proxy.address.rpartition(":")
            with socket.create_connection((host, int(port)), PATIENCE_SECONDS) as raw:
                raw.sendall(b"\xff\xff\xff\xffGET / HTTP/1.1")
                assert raw.recv(1) == b""
    finally:
        server.close()
