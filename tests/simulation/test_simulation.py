"""Hundreds of seeds: whatever befalls workers, network and broker, what comes out is what the plain loop gives."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.simulation import simulate

SEEDS = 300
AT_ONCE = 10
"""Seeds of one test: a failure names its own, and the report stays readable."""

_fired: Counter[str] = Counter()


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_trouble_changes_nothing(first: int) -> None:
    """Nothing missing, nothing twice, equal states and positions, after any trouble that a seed draws."""
    failed = []
    for seed in range(first, first + AT_ONCE):
        result = simulate(seed)
        _fired.update(result.fired)
        if result.failures:
            failed.append(f"python -m tests.simulation --seed {seed} --trace: {result.failures[0]}")

    assert not failed, "\n".join(failed)
