"""What can be asked of the demo, and what its two worlds give back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import click
from msgspec import Struct

from models.alerts import Alert
from streams.commands.common import progress_bar
from streams.simulator import SimulationSettings, write_folder

CLOSING_HEARTBEATS: Final = 1
"""A partition's last heartbeat may wait for ever: nothing comes behind it (see `streams.replay`)."""
LOOK_EVERY_SECONDS: Final = 0.3
"""Between two looks: each costs some milliseconds of a core that the workers could use."""
STALL_SECONDS_MAX: Final = 90.0
"""Nothing written and nothing consumed for so long: something is wrong, and is said."""


class DemoError(Exception):
    """The demo cannot go on; the message says why, with the last lines of the log of whoever died."""


class DemoOptions(Struct, frozen=True, kw_only=True):
    """What can be asked for."""

    events: Path | None = None
    """Folder to replay; None simulates one."""
    borrowers: int = 10_000
    months: int = 12
    seed: int = 1
    partitions: int = 4
    workers: int = 1
    keep: bool = False
    """Leave everything running at the end until Ctrl-C, to look further."""
    plain: bool = False
    """Lines instead of a live view."""


class Ran(NamedTuple):
    """A replay that was processed to its end, in either world."""

    kafka: str
    """Bootstrap servers, or "memory"."""
    topic_prefix: str
    group_id: str
    workers: int
    folder: Path
    """Of the events replayed."""
    lines: int
    """Sent, those that were rejected included."""
    heartbeats: int
    seconds: float
    """From the first record written until everything was processed and committed."""
    alerts: Callable[[], Iterator[Alert]]
    """Reads all revisions back, `read_committed`; within a partition in order."""
    dead_letters: Callable[[], int]
    """Counts them."""
    wait: Callable[[], None]
    """Returns never; raises `DemoError` when something that still runs dies."""


def make_book(options: DemoOptions, folder: Path) -> Path:
    """The folder of events asked for, else one simulated into `folder`."""
    if options.events is not None:
        return options.events
    with progress_bar("simulating", "borrowers") as progress:
        settings = SimulationSettings(borrowers=options.borrowers, months=options.months, seed=options.seed)
        counts = write_folder(settings, folder, progress)
    click.echo(
        f"simulated {counts.borrowers:,} borrowers over {options.months} months: {counts.events:,} events"
    )
    return folder


def stalled(lag: int) -> DemoError:
    """What to say when nothing moves any more."""
    return DemoError(f"nothing moved for {STALL_SECONDS_MAX:.0f} s, {lag:,} records are not consumed")
