"""Ask a Kafka whether it is really there: a port that accepts connections is not yet a broker that answers."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from streams.kafka.reaching import NotReachedError, reach

_NOTHING: Final[Mapping[str, Any]] = {}


def answering_brokers(
    bootstrap_servers: str, *, timeout_seconds: float, options: Mapping[str, Any] = _NOTHING
) -> frozenset[str]:
    """Return `host:port` of every broker in the cluster's own metadata; empty if nobody answers in time.

    Blocks. It may be called where an event loop is running (a fixture, a shell), so it brings its own, in a thread.
    `options` are those of aiokafka for the connection.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-probe") as pool:
        try:
            return pool.submit(asyncio.run, reach(bootstrap_servers, timeout_seconds, options)).result()
        except NotReachedError:
            return frozenset()
