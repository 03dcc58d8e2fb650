"""The settings of a local broker: those of production, except where a test would wait or a small machine would choke."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
"""Local means local: nothing but this machine can connect."""

INTERNAL_PARTITIONS: Final = 8
"""Of the offsets and the transaction topic. Kafka's own 50 are for clusters: each costs files, and seconds at start."""

KAFKA_MESSAGE_BYTES_DEFAULT: Final = 1_048_588
OUTPUT_MARGIN_BYTES: Final = 64 * 1024
MESSAGE_BYTES_MAX: Final = KAFKA_MESSAGE_BYTES_DEFAULT + OUTPUT_MARGIN_BYTES
"""The largest record batch: Kafka's default for what comes in, plus what a rejected record gains in headers."""


@dataclass(frozen=True, slots=True)
class ProxiedListener:
    """A second listener: where it really is, and the address of the proxy that its clients are sent to instead."""

    port: int
    advertised: str


@dataclass(frozen=True, slots=True)
class SecuredListener:
    """A further listener: its name, what is spoken on it (`SSL`, `SASL_SSL`), its port."""

    name: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Node:
    """One broker, at the same time a controller: its number (from 1), its two ports, its folder."""

    id: int
    port: int
    controller_port: int
    folder: Path
    proxied: "ProxiedListener | None" = None
    secured: tuple[SecuredListener, ...] = ()

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{HOST}:{self.port}"

    @property
    def data(self) -> Path:
        """The log folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the broker writes about itself; appended to at each start."""
        return self.folder / "server.log"

    @property
    def properties(self) -> Path:
        """Its `server.properties`."""
        return self.folder / "server.properties"


def server_properties(node: Node, nodes: Sequence[Node]) -> dict[str, str]:
    """Return the settings of one node of the cluster `nodes`."""
    replicas = min(3, len(nodes))
    in_sync_min = max(1, replicas - 1)
    voters = ",".join(f"{other.id}@{HOST}:{other.controller_port}" for other in nodes)
    listeners, advertised, protocols = f"PLAINTEXT://{node.address}", f"PLAINTEXT://{node.address}", ""
    if node.proxied is not None:
        listeners += f",PROXIED://{HOST}:{node.proxied.port}"
        advertised += f",PROXIED://{node.proxied.advertised}"
        protocols = ",PROXIED:PLAINTEXT"
    for one in node.secured:
        listeners += f",{one.name}://{HOST}:{one.port}"
        advertised += f",{one.name}://{HOST}:{one.port}"
        protocols += f",{one.name}:{one.protocol}"
    return {
        "process.roles": "broker,controller",
        "node.id": str(node.id),
        "controller.quorum.voters": voters,
        "listeners": f"{listeners},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": advertised,
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(node.data),
        # Topics are made on purpose, with their partitions and limits (topics apply), or not at all.
        "auto.create.topics.enable": "false",
        "num.partitions": str(INTERNAL_PARTITIONS),
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(in_sync_min),
        "offsets.topic.num.partitions": str(INTERNAL_PARTITIONS),
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.num.partitions": str(INTERNAL_PARTITIONS),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(in_sync_min),
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": str(in_sync_min),
        "message.max.bytes": str(MESSAGE_BYTES_MAX),
        "replica.fetch.max.bytes": str(MESSAGE_BYTES_MAX),
        # A group of one has nobody to wait for, and a test of rebalances wants a dead member to be noticed soon.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # A transaction left open by a killed worker hides everything behind it: look every second (default: 10).
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        # A killed broker is replaced after 5 s (default: 9); less would fence brokers of a starved test machine.
        "broker.session.timeout.ms": "5000",
        "broker.heartbeat.interval.ms": "500",
        # The cleaner's map is allocated at start: 128 MB by default, a quarter of a small heap.
        "log.cleaner.dedupe.buffer.size": str(32 * 1024 * 1024),
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.recovery.threads.per.data.dir": "2",
    }


def meta_properties(node: Node, cluster_id: str, directory_id: str) -> dict[str, str]:
    """Return what Kafka's storage tool writes beside the bootstrap checkpoint (`meta.properties`, version 1)."""
    return {
        "version": "1",
        "cluster.id": cluster_id,
        "node.id": str(node.id),
        "directory.id": directory_id,
    }


def written(settings: dict[str, str]) -> str:
    """Return the settings as a properties file; a backslash is the format's only surprise here."""
    return "".join(f"{key}={value}\n".replace("\\", "\\\\") for key, value in settings.items())
