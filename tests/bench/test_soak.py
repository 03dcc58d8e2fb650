"""The soak's figures, told from what was seen."""

from __future__ import annotations

import pytest

from tests.bench.soak import speed_between


def test_a_worker_that_commits_rarely_is_as_fast_as_it_is_between_commits() -> None:
    """Fifty thousand in five seconds, whatever stood there before the first commit that was seen."""
    assert speed_between([(3.0, 70_000), (8.0, 120_000), (13.0, 170_000)]) == 10_000


def test_too_few_commits_tell_no_speed() -> None:
    """Two of them may be any one pause of the machine."""
    with pytest.raises(SystemExit, match="2 commits are too few"):
        speed_between([(3.0, 70_000), (8.0, 120_000)])
