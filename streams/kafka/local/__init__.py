"""A Kafka where none is given: Apache's own server, fetched once, started in seconds, gone without a trace.

`with LocalKafka() as kafka:` starts one, `with find_broker() as broker:` takes the one named in `FOREWARN_BROKER`
first. Both have `bootstrap_servers`. By hand: `python -m streams.kafka.local`.
"""

from streams.kafka.local.broker import Broker, NamedBroker, find_broker
from streams.kafka.local.cluster import LocalKafka
from streams.kafka.local.errors import (
    BrokerStartError,
    BrokerUnavailableError,
    BrokerUnreachableError,
    JarsUnavailableError,
    JavaNotFoundError,
)
from streams.kafka.local.properties import MESSAGE_BYTES_MAX

__all__ = [
    "MESSAGE_BYTES_MAX",
    "Broker",
    "BrokerStartError",
    "BrokerUnavailableError",
    "BrokerUnreachableError",
    "JarsUnavailableError",
    "JavaNotFoundError",
    "LocalKafka",
    "NamedBroker",
    "find_broker",
]
