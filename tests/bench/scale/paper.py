"""What a hundred million borrowers need, on paper: from what was measured, with the arithmetic shown. Pure."""

from __future__ import annotations

from math import ceil
from typing import Final

from msgspec import Struct

BORROWERS: Final = 100_000_000
EVENTS_PER_BORROWER_DAY: Final = 3.0
"""Assumed, of a lender who sees every payment of an account; a simulated borrower has a tenth of it."""
PEAK_TO_MEAN: Final = 5.0
"""Business hours, pay days, nightly deliveries: the busiest minute has so many times the mean."""
LOAD_SHARE: Final = 0.5
"""Of a worker's top speed at the peak: latency targets are told at half load, and a worker's part must fit on the others."""
REPLICATION: Final = 3
WORKER_BYTES: Final = 16 * 2**30
"""Memory given to one worker process."""
RESTORE_SECONDS: Final = 60.0
"""How long a worker that takes over may be away: so it bounds the borrowers of one worker, too."""
LOG_SLACK: Final = 1.5
"""A compacted log to its live part. The cleaner lets a fifth of it be dirty (`min.cleanable.dirty.ratio`), and beside it stand
the segment being written and, while it works, what it replaces."""
INPUT_DAYS: Final = 7
"""Kafka's default retention of the input topics."""
_MIB: Final = 2**20
_GIB: Final = 2**30
_MB: Final = 10**6
_TB: Final = 10**12


class Measured(Struct, frozen=True):
    """What the arithmetic begins with: figures of one worker."""

    events_per_second: float
    worker_bytes: float
    """Resident, of a worker that holds nobody."""
    bytes_per_borrower: float
    """Resident."""
    start_seconds: float
    """To restore nobody."""
    restore_us_per_borrower: float
    state_bytes_per_borrower: float
    changelog_bytes_per_event: float
    input_bytes_per_event: float


class Needs(Struct, frozen=True):
    """What it comes to."""

    events_per_second: float
    """At the peak."""
    workers_by_speed: int
    workers_by_memory: int
    workers_by_restore: int
    workers: int
    partitions: int
    memory_bytes: float
    """Of all workers."""
    input_bytes_per_second: float
    """At the peak."""
    changelog_bytes_per_second: float
    """At the peak, as produced."""
    network_bytes_per_second: float
    """Into and out of all brokers at the peak, replication included."""
    disk_bytes: float
    """Of all brokers."""


def line_through(small: tuple[int, float], large: tuple[int, float]) -> tuple[float, float]:
    """(with nobody, with each borrower more) of the line through two (borrowers, measured).

    Where the two do not make one, all is laid to the borrowers: that overestimates what many need.
    """
    (few, less), (many, more) = small, large
    each = (more - less) / (many - few) if many > few else 0.0
    if each <= 0 or less < few * each:
        return 0.0, more / many
    return less - few * each, each


def needs(measured: Measured, borrowers: int = BORROWERS) -> Needs:
    """The arithmetic."""
    rate = borrowers * EVENTS_PER_BORROWER_DAY / 86_400 * PEAK_TO_MEAN
    each, worker = measured.bytes_per_borrower, measured.worker_bytes
    by_speed = ceil(rate / (measured.events_per_second * LOAD_SHARE))
    by_memory = ceil(borrowers * each / (WORKER_BYTES - worker))
    by_restore = ceil(
        borrowers
        * measured.restore_us_per_borrower
        / 1e6
        / max(1.0, RESTORE_SECONDS - measured.start_seconds)
    )
    workers = max(by_speed, by_memory, by_restore)
    inputs, changelog = rate * measured.input_bytes_per_event, rate * measured.changelog_bytes_per_event
    kept = INPUT_DAYS * 86_400 * inputs / PEAK_TO_MEAN
    log = borrowers * measured.state_bytes_per_borrower * LOG_SLACK
    return Needs(
        events_per_second=rate,
        workers_by_speed=by_speed,
        workers_by_memory=by_memory,
        workers_by_restore=by_restore,
        workers=workers,
        partitions=partitions_for(workers),
        memory_bytes=borrowers * each + workers * worker,
        input_bytes_per_second=inputs,
        changelog_bytes_per_second=changelog,
        # Each byte comes in once, goes to the other replicas, and what is input goes on to a worker.
        network_bytes_per_second=(inputs + changelog) * (1 + 2 * (REPLICATION - 1)) + inputs,
        disk_bytes=(kept + log) * REPLICATION,
    )


def partitions_for(workers: int) -> int:
    """Two tasks a worker, so that one that is lost is taken over by several; rounded up to a power of two."""
    return 1 << (2 * workers - 1).bit_length()


def told(measured: Measured, found: Needs, borrowers: int = BORROWERS) -> list[str]:
    """The arithmetic in words and numbers, a line each."""
    rate, worker_mib = found.events_per_second, measured.worker_bytes / _MIB
    inputs, changelog = (
        found.input_bytes_per_second / _MB,
        found.changelog_bytes_per_second / _MB,
    )
    lines = {
        f"{borrowers:,} borrowers": "on paper, from the figures above",
        "events": f"{borrowers:,} × {EVENTS_PER_BORROWER_DAY:g} a day / 86,400 s × {PEAK_TO_MEAN:g} at the peak = {rate:,.0f}/s",
        "by speed": f"{rate:,.0f} / ({measured.events_per_second:,.0f} × {LOAD_SHARE:g}) = {found.workers_by_speed:,} workers",
        "by memory": f"{borrowers:,} × {measured.bytes_per_borrower:,.0f} B / ({WORKER_BYTES / _GIB:.0f} GiB − {worker_mib:,.0f} MiB) "
        f"= {found.workers_by_memory:,} workers",
        "by restore": f"{borrowers:,} × {measured.restore_us_per_borrower:,.1f} µs / ({RESTORE_SECONDS:g} s − "
        f"{measured.start_seconds:.1f} s) = {found.workers_by_restore:,} workers",
        "so": f"{found.workers:,} workers, a core each, and {found.partitions:,} partitions of every topic: two tasks a worker, "
        f"rounded up to a power of two",
        "memory": f"{borrowers:,} × {measured.bytes_per_borrower:,.0f} B + {found.workers:,} × {worker_mib:,.0f} MiB "
        f"= {found.memory_bytes / _GIB:,.0f} GiB of all workers",
        "network": f"input {rate:,.0f} × {measured.input_bytes_per_event:,.0f} B = {inputs:,.1f} MB/s, changelog {rate:,.0f} × "
        f"{measured.changelog_bytes_per_event:,.0f} B = {changelog:,.1f} MB/s; both × (1 + 2 × {REPLICATION - 1} more replicas), "
        f"and input to the workers = {found.network_bytes_per_second / _MB:,.0f} MB/s through all brokers",
        "disks": f"({INPUT_DAYS} days × {inputs / PEAK_TO_MEAN:,.1f} MB/s + {borrowers:,} × {measured.state_bytes_per_borrower:,.0f} B "
        f"× {LOG_SLACK:g}) × {REPLICATION} replicas = {found.disk_bytes / _TB:,.1f} TB of all brokers",
    }
    return [f"{name:<21} {arithmetic}" for name, arithmetic in lines.items()]
