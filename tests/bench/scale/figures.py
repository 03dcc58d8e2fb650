"""What was measured, as it is written to `--out`; the targets; the tables. Pure: tested without a broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

GIB: Final = 2**30
MIB: Final = 2**20

BORROWERS_OF_TARGETS: Final = 1_000_000
BORROWERS_OF_BASE: Final = 10_000
RESIDENT_BYTES_MAX: Final = int(2.5 * GIB)
RESTORE_SECONDS_MAX: Final = 15.0
COST_RATIO_MAX: Final = 1.3
"""CPU time of an event at the greater number of borrowers, to that at the lesser."""


class Restored(Struct, frozen=True):
    """A worker that was started, and took its borrowers up."""

    seconds: float
    """From the start of the process until all its tasks were open."""
    cpu_seconds: float
    """Of the process by then: a busy machine does not change it."""
    borrowers: int
    """As the worker counts those it holds."""
    resident_bytes: int
    log_bytes: int
    """Of the changelog, on the brokers' disks."""
    log_records: int
    """That the worker read."""


class Worked(Struct, frozen=True):
    """Workers that went through a backlog."""

    workers: int
    ready_seconds: float
    """From the start until the last task of the last worker was open, the backlog waiting."""
    events: int
    """Behind the warm-up, heartbeats among them."""
    events_per_second: float
    cpu_us_per_event: float
    """Of all workers together."""
    resident_bytes: int
    """The greatest of the workers, when the backlog was done."""
    resident_peak_bytes: int
    """The sum of the peaks of all workers, restores included."""
    state_bytes_per_event: float
    """Written to the changelog: keys, values and the frames of records left out."""
    states_per_event: float
    """Less than one, where several events of a borrower were written as one state."""


class Loaded(Struct, frozen=True):
    """A worker that was fed for some time."""

    minutes: float
    offered_per_second: float
    events: int
    behind_at_end: int
    resident_bytes: int


class Sized(Struct, frozen=True):
    """A book of one size."""

    borrowers: int
    partitions: int
    state_bytes_per_borrower: float
    """Of a state record as written, key included."""
    input_bytes_per_event: float
    """Keys and payloads, heartbeats among them."""
    first: Restored
    """From a changelog with one record a borrower, into memory that the machine may never have handed out before: a virtual one
    gets it page by page from its host then, which takes seconds of a million borrowers' restore."""
    fresh: Restored
    """The same once more: a restart."""
    worked: Worked
    after: Restored
    """From the changelog as the load left it."""
    load: Loaded | None = None
    """Where there was one beside the backlog."""

    @property
    def resident_bytes(self) -> int:
        """The most that was seen of a worker that was up to date."""
        idle = [self.first.resident_bytes, self.fresh.resident_bytes, self.after.resident_bytes]
        seen = [*idle, self.worked.resident_bytes]
        return max(seen if self.load is None else [*seen, self.load.resident_bytes])


class Report(Struct, frozen=True):
    """Everything."""

    machine: Mapping[str, str]
    seed: int
    lives: int
    """Simulated borrowers whose copies the books are made of."""
    sizes: Sequence[Sized]
    workers: Sequence[Worked]
    workers_borrowers: int
    """In the book of `workers`."""
    paper: Sequence[str]
    missed: Sequence[str]


def missed(sizes: Iterable[Sized]) -> list[str]:
    """The targets that the largest book has not met, in words; those of a size that was not measured are not among them."""
    by_size = {one.borrowers: one for one in sizes}
    large, base = by_size.get(BORROWERS_OF_TARGETS), by_size.get(BORROWERS_OF_BASE)
    if large is None:
        return []
    found = []
    resident = large.resident_bytes
    if resident > RESIDENT_BYTES_MAX:
        found.append(f"{resident / GIB:.2f} GiB resident (target {RESIDENT_BYTES_MAX / GIB:.1f})")
    restore = max(large.fresh.seconds, large.after.seconds)
    if restore > RESTORE_SECONDS_MAX:
        found.append(f"{restore:.1f} s to restore (target {RESTORE_SECONDS_MAX:.0f})")
    if base is not None:
        ratio = large.worked.cpu_us_per_event / base.worked.cpu_us_per_event
        if ratio > COST_RATIO_MAX:
            found.append(f"an event costs {ratio:.2f} × that at {base.borrowers:,} (target {COST_RATIO_MAX})")
    return found


def not_asked(sizes: Iterable[Sized]) -> list[str]:
    """The sizes that the targets speak of and that were not measured."""
    there = {one.borrowers for one in sizes}
    return [f"{size:,} borrowers" for size in (BORROWERS_OF_BASE, BORROWERS_OF_TARGETS) if size not in there]


_SIZE_COLUMNS: Final = (
    "borrowers", "events/s", "CPU µs an event", "× first", "states an event", "changelog B an event", "B a borrower",
    "RSS idle MiB", "RSS worked MiB", "first start s", "restart s", "after load s", "of CPU s", "log MiB", "log records",
)  # fmt: skip


def size_table(sizes: Sequence[Sized]) -> str:
    """A line a size, as Markdown; ratios are to the first."""
    rows = []
    for one in sizes:
        worked, after = one.worked, one.after
        resident = max(worked.resident_bytes, one.load.resident_bytes if one.load else 0)
        ratio = worked.cpu_us_per_event / sizes[0].worked.cpu_us_per_event
        rows.append(
            (
                f"{one.borrowers:,}", f"{worked.events_per_second:,.0f}", f"{worked.cpu_us_per_event:.1f}", f"{ratio:.2f}",
                f"{worked.states_per_event:.2f}", f"{worked.state_bytes_per_event:,.0f}",
                f"{one.state_bytes_per_borrower:,.0f}", f"{one.fresh.resident_bytes / MIB:,.0f}",
                f"{resident / MIB:,.0f}", f"{one.first.seconds:.1f}", f"{one.fresh.seconds:.1f}",
                f"{after.seconds:.1f}", f"{after.cpu_seconds:.1f}",
                f"{after.log_bytes / MIB:,.0f}", f"{after.log_records:,}",
            )
        )  # fmt: skip
    return markdown(_SIZE_COLUMNS, rows)


_WORKER_COLUMNS: Final = ("workers", "events/s", "× first", "CPU µs an event", "RSS of the largest MiB")


def worker_table(worked: Sequence[Worked]) -> str:
    """A line a number of workers, as Markdown; ratios are to the first."""
    rows = [
        (
            str(one.workers),
            f"{one.events_per_second:,.0f}",
            f"{one.events_per_second / worked[0].events_per_second:.2f}",
            f"{one.cpu_us_per_event:.1f}",
            f"{one.resident_bytes / MIB:,.0f}",
        )
        for one in worked
    ]
    return markdown(_WORKER_COLUMNS, rows)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns stand below each other, figures to the right."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (columns, *rows)
    ]
    ruled = "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|"
    return "\n".join([lines[0], ruled, *lines[1:]])
