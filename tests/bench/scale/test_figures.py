"""Which targets were missed, and how the tables look."""

from __future__ import annotations

import msgspec

from tests.bench.scale.figures import (
    GIB,
    Restored,
    Sized,
    Worked,
    markdown,
    missed,
    not_asked,
    size_table,
    worker_table,
)


def restored(seconds: float = 5.0, resident_bytes: int = GIB) -> Restored:
    """A restore that met its targets."""
    return Restored(
        seconds=seconds,
        cpu_seconds=1.0,
        borrowers=1,
        resident_bytes=resident_bytes,
        log_bytes=2**20,
        log_records=7,
    )


def worked(cpu_us_per_event: float = 10.0, workers: int = 1, events_per_second: float = 1_000.0) -> Worked:
    """A backlog that was worked through."""
    return Worked(
        ready_seconds=1.0,
        workers=workers,
        events=100,
        events_per_second=events_per_second,
        cpu_us_per_event=cpu_us_per_event,
        resident_bytes=GIB,
        resident_peak_bytes=GIB,
        state_bytes_per_event=900.0,
        states_per_event=1.0,
    )


def sized(borrowers: int) -> Sized:
    """A book that met all targets."""
    return Sized(
        borrowers=borrowers,
        partitions=8,
        state_bytes_per_borrower=1_000.0,
        input_bytes_per_event=300.0,
        first=restored(),
        fresh=restored(),
        worked=worked(),
        after=restored(),
    )


BASE, LARGE = sized(10_000), sized(1_000_000)


def test_at_the_targets_nothing_is_missed() -> None:
    """A limit is reached and not passed."""
    at_limit = msgspec.structs.replace(
        LARGE, after=restored(15.0, int(2.5 * GIB)), worked=worked(cpu_us_per_event=13.0)
    )
    assert missed([BASE, at_limit]) == []
    assert not_asked([BASE, at_limit]) == []


def test_each_target_that_is_missed_is_named() -> None:
    """Memory at any time, either restore, and the ratio of costs."""
    for changed, words in (
        ({"fresh": restored(resident_bytes=3 * GIB)}, "3.00 GiB resident"),
        ({"after": restored(seconds=16.0)}, "16.0 s to restore"),
        ({"fresh": restored(seconds=15.1)}, "15.1 s to restore"),
        ({"worked": worked(cpu_us_per_event=13.1)}, "1.31 × that at 10,000"),
    ):
        (found,) = missed([BASE, msgspec.structs.replace(LARGE, **changed)])
        assert words in found, found


def test_sizes_that_were_not_measured_neither_meet_nor_miss_a_target() -> None:
    """They are named instead."""
    slow = msgspec.structs.replace(BASE, after=restored(seconds=100.0))
    assert missed([slow]) == []
    assert not_asked([slow]) == ["1,000,000 borrowers"]


def test_tables_have_a_line_a_size_and_a_line_a_number_of_workers() -> None:
    """Ratios are to the first line."""
    dear = msgspec.structs.replace(LARGE, worked=worked(cpu_us_per_event=12.0))
    lines = size_table([BASE, dear]).splitlines()
    assert len(lines) == 4
    assert [cell.strip() for cell in lines[3].split("|")[1:5]] == ["1,000,000", "1,000", "12.0", "1.20"]
    lines = worker_table([worked(), worked(workers=2, events_per_second=1_500.0)]).splitlines()
    assert [cell.strip() for cell in lines[3].split("|")[1:4]] == ["2", "1,500", "1.50"]


def test_columns_stand_below_each_other() -> None:
    """Every line is as long."""
    assert markdown(("a", "long"), [("1,000", "2")]) == "|     a | long |\n|------:|-----:|\n| 1,000 |    2 |"
