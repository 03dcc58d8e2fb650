"""Free ports that stay free: a broker which is stopped and started again must come back where its clients look."""

import secrets
import socket
from pathlib import Path
from typing import Final

from streams.kafka.local.errors import BrokerStartError

PORT_MIN: Final = 12_000
"""Below are the well-known ones, and those which developers give their services by hand."""

EPHEMERAL_PORT_MIN_DEFAULT: Final = 32_768
"""Linux's default lower end of the ports given to outgoing connections (ip(7), `ip_local_port_range`)."""

TRIES_MAX: Final = 1_000

_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(host: str, count: int) -> list[int]:
    """Return `count` ports nobody listens on, outside the range from which outgoing connections take theirs.

    Binding to port 0 would give one of that range: as soon as the broker is down, any client may be handed its port.
    """
    above = _ephemeral_port_min()
    found: list[int] = []
    for _ in range(TRIES_MAX):
        port = PORT_MIN + secrets.randbelow(above - PORT_MIN)
        if port not in found and _can_bind(host, port):
            found.append(port)
            if len(found) == count:
                return found
    raise BrokerStartError(f"no {count} free ports between {PORT_MIN} and {above} on {host}")


def _ephemeral_port_min() -> int:
    lowest = int(_RANGE.read_text().split()[0]) if _RANGE.is_file() else EPHEMERAL_PORT_MIN_DEFAULT
    # A machine set up to hand out nearly all ports leaves no quiet corner: then any port must do.
    return lowest if lowest > PORT_MIN + TRIES_MAX else 65_535


def _can_bind(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
