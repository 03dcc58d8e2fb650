"""Ask a Kafka whether it is really there: a port that accepts connections is not yet a broker that answers."""

from kafka import KafkaAdminClient
from kafka.errors import KafkaError


def answering_brokers(bootstrap_servers: str, *, timeout_seconds: float) -> frozenset[str]:
    """Return `host:port` of every broker in the cluster's own metadata; empty while nobody answers."""
    timeout_ms = int(timeout_seconds * 1000)
    try:
        client = KafkaAdminClient(
            bootstrap_servers=bootstrap_servers.split(","),
            bootstrap_timeout_ms=timeout_ms,
            request_timeout_ms=timeout_ms,
            client_id="forewarn-probe",
        )
    except (KafkaError, OSError):
        return frozenset()
    try:
        cluster = client.describe_cluster()
    except (KafkaError, OSError):
        return frozenset()
    finally:
        client.close()
    return frozenset(f"{broker['host']}:{broker['port']}" for broker in cluster["brokers"])
