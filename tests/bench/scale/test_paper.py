"""What many borrowers need on paper: figures that can be told by hand."""

from __future__ import annotations

import pytest

from tests.bench.scale import paper
from tests.bench.scale.paper import Measured, line_through, needs, partitions_for, told

MEASURED = Measured(
    events_per_second=10_000.0,
    worker_bytes=2**30,
    bytes_per_borrower=3_000.0,
    start_seconds=10.0,
    restore_us_per_borrower=20.0,
    state_bytes_per_borrower=1_000.0,
    changelog_bytes_per_event=900.0,
    input_bytes_per_event=300.0,
)


def test_a_hundred_million_borrowers_need_what_the_arithmetic_says() -> None:
    """Each figure is computed a second time here, from the assumptions' values."""
    found = needs(MEASURED, 86_400_000)
    assert found.events_per_second == pytest.approx(86_400_000 * 3 / 86_400 * 5)
    assert found.workers_by_speed == 3  # 15,000 / 5,000
    assert found.workers_by_memory == 17  # 241.4 GiB / 15 GiB
    assert found.workers_by_restore == 35  # 1,728 s / 50 s
    assert found.workers == 35
    assert found.partitions == 128
    assert found.memory_bytes == 86_400_000 * 3_000 + 35 * 2**30
    assert found.input_bytes_per_second == pytest.approx(4_500_000)
    assert found.changelog_bytes_per_second == pytest.approx(13_500_000)
    assert found.network_bytes_per_second == pytest.approx(18_000_000 * 5 + 4_500_000)
    assert found.disk_bytes == pytest.approx((7 * 86_400 * 900_000 + 86_400_000 * 1_500) * 3)


def test_whatever_needs_most_workers_says_how_many_they_are() -> None:
    """Neither speed nor memory nor restore is left out."""
    for limits in ({"events_per_second": 1.0}, {"bytes_per_borrower": 1e6}, {"restore_us_per_borrower": 1e5}):
        fields = {field: getattr(MEASURED, field) for field in MEASURED.__struct_fields__}
        found = needs(Measured(**fields | limits), 1_000_000)
        assert found.workers == max(found.workers_by_speed, found.workers_by_memory, found.workers_by_restore)
        assert found.workers > needs(MEASURED, 1_000_000).workers


@pytest.mark.parametrize(("workers", "partitions"), [(1, 2), (2, 4), (3, 8), (4, 8), (5, 16), (64, 128)])
def test_partitions_are_a_power_of_two_and_two_a_worker_at_least(workers: int, partitions: int) -> None:
    """More tasks than workers, so that those of a lost one are shared."""
    assert partitions_for(workers) == partitions


def test_a_line_parts_what_the_worker_needs_from_what_a_borrower_needs() -> None:
    """Through (10, 50) and (110, 250) it is 30 and 2 each; where there is no line, all is laid to the borrowers."""
    assert line_through((10, 50.0), (110, 250.0)) == (30.0, 2.0)
    assert line_through((100, 50.0), (100, 50.0)) == (0.0, 0.5)
    assert line_through((10, 50.0), (100, 40.0)) == (0.0, 0.4)


def test_the_arithmetic_is_told_with_what_it_comes_to() -> None:
    """Who reads it can compute it again."""
    text = "\n".join(told(MEASURED, needs(MEASURED)))
    for shown in ("17,361/s", "4 workers", "40 workers", "128 partitions", "100,000,000"):
        assert shown in text, text
    assert paper.BORROWERS == 100_000_000
