"""Find a broker to work with: the one that was named, else one of our own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from streams.kafka.local.cluster import LocalKafka
from streams.kafka.local.errors import BrokerUnreachableError
from streams.kafka.reaching import require_reachable
from streams.ports import PortError
from streams.settings import SettingsError, load_settings

ANSWER_TIMEOUT_SECONDS: Final = 15.0
"""A broker that lives answers in milliseconds; the rest is for name servers and slow lines."""


class Broker(Protocol):
    """Where to connect."""

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, several separated by commas."""
        ...


@dataclass(frozen=True, slots=True)
class NamedBroker:
    """A broker that was there before us and stays after us."""

    bootstrap_servers: str


@contextmanager
def find_broker(
    brokers: int = 1, *, answer_timeout_seconds: float = ANSWER_TIMEOUT_SECONDS
) -> Iterator[Broker]:
    """Yield the broker named in `FOREWARN_BROKER`, checked; else start a local Kafka for as long as the block lasts.

    Raises:
        BrokerUnreachableError: the named broker does not answer within `answer_timeout_seconds`. No other one is
            started instead: who names a broker wants that one.
        BrokerUnavailableError: a local one cannot be started; the text says why and what to install.
    """
    named = os.environ.get("FOREWARN_BROKER", "").strip()
    if named:
        try:
            limit_ms = round(answer_timeout_seconds * 1000)
            require_reachable(load_settings(os.environ, {"broker": named, "start_timeout_ms": limit_ms}))
        except (PortError, SettingsError) as error:
            message = f"FOREWARN_BROKER={named}: {error}. Unset it to start a local one"
            raise BrokerUnreachableError(message) from error
        yield NamedBroker(named)
        return
    with LocalKafka(brokers) as local:
        yield local
