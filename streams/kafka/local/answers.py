"""Ask a Kafka whether it is really there: a port that accepts connections is not yet a broker that answers."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

RETRY_SECONDS: Final = 0.2
"""Between two tries while nobody answers yet."""


def answering_brokers(bootstrap_servers: str, *, timeout_seconds: float) -> frozenset[str]:
    """Return `host:port` of every broker in the cluster's own metadata; empty if nobody answers in time.

    Blocks. It may be called where an event loop is running (a fixture, a shell), so it brings its own, in a thread.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-probe") as pool:
        return pool.submit(asyncio.run, _within(bootstrap_servers, timeout_seconds)).result()


async def _within(bootstrap_servers: str, timeout_seconds: float) -> frozenset[str]:
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                for host, port, _family in collect_hosts(bootstrap_servers):
                    if brokers := await _metadata(host, port, timeout_seconds):
                        return brokers
                await asyncio.sleep(RETRY_SECONDS)
    except TimeoutError:
        return frozenset()


async def _metadata(host: str, port: int, timeout_seconds: float) -> frozenset[str]:
    try:
        connection = await create_conn(
            host, port, client_id="forewarn-probe", request_timeout_ms=int(timeout_seconds * 1000)
        )
    except (KafkaError, OSError):
        return frozenset()
    try:
        answer: Any = await connection.send(MetadataRequest([]))
    except KafkaError:
        return frozenset()
    finally:
        connection.close()
    return frozenset(f"{broker[1]}:{broker[2]}" for broker in answer.brokers)
