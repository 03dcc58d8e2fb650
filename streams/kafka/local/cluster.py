"""A real Apache Kafka (KRaft) of one or three brokers in a temporary folder, for as long as a `with` block lasts."""

import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from streams.kafka.local.answers import answering_brokers
from streams.kafka.local.errors import BrokerStartError
from streams.kafka.local.jars import CLUSTER_ID, LOGGING, KafkaServer, kafka_server
from streams.kafka.local.java import Java, find_java
from streams.kafka.local.ports import free_ports
from streams.kafka.local.processes import GuardedProcesses
from streams.kafka.local.properties import (
    HOST,
    Node,
    ProxiedListener,
    SecuredListener,
    meta_properties,
    server_properties,
    written,
)

HEAP_MB_ALONE: Final = 1024
"""Measured peak of a single broker at 250,000 records/s: 430 MB resident; the rest is for wide topics."""

HEAP_MB_OF_SEVERAL: Final = 512
"""Each of three brokers holds the same records as one would, but leads a third of them."""

# The broker shares a few cores with what is measured against it. With the client compiler and the serial collector its
# first minute took 0.4-0.5 s of CPU for 150,000 records in and out; the optimising compiler took 0.7-1.0 s (it spends
# more on compiling than it wins back in the life of a test), G1 1.0-1.3 s, and 1.5 s more to start.
JVM_OPTIONS: Final = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xms128m",
    "-Xlog:disable",  # else an archive of classes that does not fit (other jars, other Java) is complained about ...
    "-Xlog:all=error:stderr",  # ... instead of quietly not being used; real errors are wanted
    "-Djava.awt.headless=true",
)

START_TIMEOUT_SECONDS: Final = 60.0
"""A broker is up in 1-3 s on an idle machine; three at once on a busy one may need half a minute."""

STOP_TIMEOUT_SECONDS: Final = 30.0
"""A clean stop takes 1 s; without a quorum of controllers a broker would wait in vain, and is killed then."""

START_TRIES_MAX: Final = 3
"""Between our finding a port free and the broker's binding it somebody else may take it."""

POLL_SECONDS: Final = 0.05
PROBE_TIMEOUT_SECONDS: Final = 5.0
LOG_TAIL_BYTES: Final = 4_000


class LocalKafka:
    """Real brokers on free ports of this machine; gone, processes and files, when the block ends, however it ends.

    The methods that stop, kill and start single brokers number them from 0.
    """

    def __init__(
        self,
        brokers: int = 1,
        *,
        settings: Mapping[str, str] | None = None,
        proxies: Sequence[str] = (),
        secured: Mapping[str, str] | None = None,
        jvm_options: Sequence[str] = (),
    ) -> None:
        """Describe a cluster of `brokers` (1 or 3); `settings` go on top of `server_properties`, for each.

        With `proxies`, one `host:port` a broker, each broker has a second listener (`proxied_listeners`) whose clients
        are told to come back by way of that address. Brokers talk to each other on the direct one.

        With `secured`, names of listeners and what is spoken on each (`SSL`, `SASL_SSL`), each broker has these as well
        (`secured_listener`); certificates and users are up to `settings`. `jvm_options` go on top of our own.
        """
        if brokers not in {1, 3}:
            raise ValueError(f"a quorum wants 1 or 3 brokers, not {brokers}")
        if proxies and len(proxies) != brokers:
            raise ValueError(f"{brokers} brokers want as many proxies, not {len(proxies)}")
        self._count = brokers
        self._settings = dict(settings or {})
        self._proxies = tuple(proxies)
        self._secured = dict(secured or {})
        self._jvm_options = tuple(jvm_options)
        self._nodes: tuple[Node, ...] = ()
        self._running: _Running | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of every broker, separated by commas."""
        return ",".join(self.addresses)

    @property
    def addresses(self) -> tuple[str, ...]:
        """`host:port` of each broker."""
        return tuple(node.address for node in self._nodes)

    @property
    def proxied_listeners(self) -> tuple[str, ...]:
        """`host:port` where each broker listens for its proxy; empty without `proxies`."""
        return tuple(f"{HOST}:{node.proxied.port}" for node in self._nodes if node.proxied is not None)

    def secured_listener(self, name: str) -> str:
        """`host:port` of every broker where it listens under this name, separated by commas."""
        return ",".join(
            f"{HOST}:{one.port}" for node in self._nodes for one in node.secured if one.name == name
        )

    @property
    def folder(self) -> Path:
        """Where data and logs are, until the block ends."""
        return self._live.processes.folder

    def __enter__(self) -> Self:
        """Start all brokers; return when all of them answer.

        Raises:
            BrokerUnavailableError: one of its kinds, saying what is missing or what the broker's log ends with.
        """
        java = find_java()
        server = kafka_server(java)
        for tries_left in reversed(range(START_TRIES_MAX)):
            self._running = _Running(java, server, GuardedProcesses())
            try:
                self._start_all()
            except BaseException as error:
                self.close()
                if tries_left == 0 or not (
                    isinstance(error, BrokerStartError) and "already in use" in str(error)
                ):
                    raise
            else:
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the brokers and remove their folder."""
        try:
            if kind is None and self._running is not None:
                self._keep_class_archive()
        finally:
            self.close()

    def close(self) -> None:
        """End the brokers at once and remove their folder; closing twice is fine."""
        if self._running is not None:
            self._running.processes.close()
            self._running = None

    # --- one broker, for tests of what happens when it is in trouble ------------------------------

    def running(self, index: int) -> bool:
        """Whether the broker's process lives; a paused one does."""
        return self._live.processes.exit_codes()[str(index)] is None

    def stop(self, index: int) -> None:
        """Stop one broker in an orderly way: it hands its partitions over first (and is resumed for that)."""
        self.resume(index)
        self._live.processes.signal(str(index), signal.SIGTERM)
        if not _wait(lambda: not self.running(index), STOP_TIMEOUT_SECONDS):
            self.kill(index)

    def kill(self, index: int) -> None:
        """Kill one broker, as `kill -9` does: what it has written stays in the page cache, nothing is handed over."""
        self._live.processes.signal(str(index), signal.SIGKILL)
        gone = _wait(lambda: not self.running(index), STOP_TIMEOUT_SECONDS)
        assert gone, f"broker {index} survived kill -9"

    def start(self, index: int, *, wait: bool = True) -> None:
        """Start a stopped or killed broker again, on its port and with its data.

        With `wait`, returns when the cluster's metadata lists it: without a quorum that would be never.
        """
        self._launch(index)
        if wait:
            self._wait_until_answering([index])

    def restart(self, index: int) -> None:
        """Stop one broker in an orderly way and start it again."""
        self.stop(index)
        self.start(index)

    def pause(self, index: int) -> None:
        """Freeze one broker: its connections stay open and nothing answers."""
        self._live.processes.signal(str(index), signal.SIGSTOP)

    def resume(self, index: int) -> None:
        """Let a frozen broker go on."""
        self._live.processes.signal(str(index), signal.SIGCONT)

    def log_tail(self, index: int) -> str:
        """Return the end of the broker's own log."""
        log = self._nodes[index].log
        return (
            log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") if log.is_file() else "(no log yet)"
        )

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _live(self) -> "_Running":
        assert self._running is not None, "a local Kafka exists inside its with block only"
        return self._running

    def _start_all(self) -> None:
        ports = iter(free_ports(HOST, (2 + len(self._secured)) * self._count + len(self._proxies)))
        proxied: list[ProxiedListener | None] = [None] * self._count
        for index, address in enumerate(self._proxies):
            proxied[index] = ProxiedListener(next(ports), address)
        self._nodes = tuple(
            Node(
                index + 1,
                next(ports),
                next(ports),
                self.folder / f"broker-{index}",
                proxied[index],
                tuple(SecuredListener(name, spoken, next(ports)) for name, spoken in self._secured.items()),
            )
            for index in range(self._count)
        )
        for index, node in enumerate(self._nodes):
            self._format(node)
            self._launch(index)
        self._wait_until_answering(range(self._count))

    def _format(self, node: Node) -> None:
        """Give the node what Kafka's storage tool would: an identity, and the first record of the metadata log."""
        node.data.mkdir(parents=True)
        shutil.copy(self._live.server.bootstrap_checkpoint, node.data)
        directory_id = secrets.token_urlsafe(16)  # Kafka's form of a UUID: 16 bytes in 22 characters
        (node.data / "meta.properties").write_text(written(meta_properties(node, CLUSTER_ID, directory_id)))
        node.properties.write_text(written({**server_properties(node, self._nodes), **self._settings}))

    def _launch(self, index: int) -> None:
        java, server, node = self._live.java, self._live.server, self._nodes[index]
        archive = server.class_archive(java)
        if archive.is_file() and archive.stat().st_size > 0:
            sharing = f"-XX:SharedArchiveFile={archive}"
        else:
            sharing = f"-XX:ArchiveClassesAtExit={node.folder / 'classes.jsa'}"
        heap_mb = HEAP_MB_ALONE if self._count == 1 else HEAP_MB_OF_SEVERAL
        options = [*JVM_OPTIONS, sharing, f"-Xmx{heap_mb}m", f"-Dlog4j2.configurationFile={LOGGING}"]
        options += self._jvm_options
        main = ["kafka.Kafka", str(node.properties)]
        self._live.processes.start(
            str(index), [str(java.executable), *options, "-cp", server.classpath, *main], node.log
        )

    def _wait_until_answering(self, indices: Sequence[int]) -> None:
        """Return when every listed broker is up, and in the cluster's own metadata."""
        wanted = {self._nodes[index].address for index in indices}

        def listening() -> bool:
            self._raise_for_dead(indices)
            return all(_accepts(self._nodes[index]) for index in indices)

        def answering() -> bool:
            self._raise_for_dead(indices)
            return wanted <= answering_brokers(min(wanted), timeout_seconds=PROBE_TIMEOUT_SECONDS)

        if not (_wait(listening, START_TIMEOUT_SECONDS) and _wait(answering, START_TIMEOUT_SECONDS)):
            tails = "\n".join(f"--- broker {index}\n{self.log_tail(index)}" for index in indices)
            raise BrokerStartError(f"Kafka did not answer within {START_TIMEOUT_SECONDS:.0f} s\n{tails}")

    def _raise_for_dead(self, indices: Sequence[int]) -> None:
        codes = self._live.processes.exit_codes()
        for index in indices:
            if (code := codes[str(index)]) is not None:
                message = f"broker {index} ended with code {code}; its log ends with:\n{self.log_tail(index)}"
                raise BrokerStartError(message)

    def _keep_class_archive(self) -> None:
        """After the first run of these jars on this Java, keep the classes it loaded: the next start takes a third.

        The JVM writes the archive while it ends in an orderly way; that takes some 2 s more, once. An empty file
        records that it wrote none: runtimes cut down by jlink, such as the wheel's, cannot.
        """
        archive = self._live.server.class_archive(self._live.java)
        if archive.is_file() or not self.running(0):
            return
        self.stop(0)
        made = self._nodes[0].folder / "classes.jsa"
        unfinished = archive.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(made.read_bytes() if made.is_file() else b"")
        unfinished.replace(archive)


class _Running:
    """What exists between start and end."""

    def __init__(self, java: Java, server: KafkaServer, processes: GuardedProcesses) -> None:
        self.java = java
        self.server = server
        self.processes = processes


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _accepts(node: Node) -> bool:
    try:
        with socket.create_connection((HOST, node.port), timeout=1.0):
            return True
    except OSError:
        return False
