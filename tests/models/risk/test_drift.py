"""A change of the world is noticed, calm is not, and a restart changes nothing."""

from __future__ import annotations

from random import Random

import pytest

from models.risk.drift import DriftWatch, UnusableWatchError


def run(watch: DriftWatch, seed: int, count: int, foretold: float, happens: float) -> list[str]:
    """Examples of one probability of which a share goes bad; what drifted."""
    dice = Random(seed)
    found: list[str] = []
    for _ in range(count):
        found += [drift.watched for drift in watch.add(foretold, is_bad=dice.random() < happens)]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_calm_is_no_drift(seed: int) -> None:
    """As many go bad as foretold: nothing in ten thousand examples."""
    assert run(DriftWatch(), seed, 10_000, 0.1, 0.1) == []


@pytest.mark.parametrize("seed", range(3))
def test_more_that_go_bad_are_noticed(seed: int) -> None:
    """From five to fifteen of a hundred while the model says five: within two thousand examples."""
    watch = DriftWatch()
    run(watch, seed, 5_000, 0.05, 0.05)
    assert "residual" in run(watch, seed + 100, 2_000, 0.05, 0.15)
    assert watch.detections["residual"] >= 1


def test_an_order_that_no_longer_holds_is_noticed_in_the_loss() -> None:
    """As many go bad as foretold, but others: the residual stays at zero, the log-loss does not."""
    dice, watch = Random(5), DriftWatch()
    found: list[str] = []
    for number in range(12_000):
        probability = dice.choice((0.05, 0.35))
        happens = probability if number < 6_000 else 0.4 - probability
        found += [drift.watched for drift in watch.add(probability, is_bad=dice.random() < happens)]
    assert set(found) == {"log_loss"}


def test_a_drift_says_what_it_was_before_and_since() -> None:
    """The mean residual rises from about nothing, as soon as that is more than chance."""
    dice, watch = Random(9), DriftWatch()
    for _ in range(5_000):
        watch.add(0.05, is_bad=dice.random() < 0.05)
    drifts = [drift for _ in range(2_000) for drift in watch.add(0.05, is_bad=dice.random() < 0.25)]
    first = next(drift for drift in drifts if drift.watched == "residual")
    assert abs(first.before) < 0.03
    assert first.since > first.before + 0.01


@pytest.mark.parametrize("cut", [0, 1, 31, 4_000, 5_200])
def test_restore_and_continue_is_continue(cut: int) -> None:
    """Wherever it is cut, the same drifts are found at the same examples, and the bytes are the same."""
    dice = Random(3)
    examples = [dice.random() < (0.05 if number < 5_000 else 0.3) for number in range(6_000)]
    whole, restored = DriftWatch(), DriftWatch()
    drifts = [whole.add(0.05, is_bad=is_bad) for is_bad in examples]
    again = [restored.add(0.05, is_bad=is_bad) for is_bad in examples[:cut]]
    restored = DriftWatch.from_bytes(restored.to_bytes())
    again += [restored.add(0.05, is_bad=is_bad) for is_bad in examples[cut:]]
    assert any(drifts)
    assert again == drifts
    assert restored.to_bytes() == whole.to_bytes()


def test_certainty_that_was_wrong_is_bounded() -> None:
    """A probability of exactly 0 or 1 that fails stops nothing."""
    watch = DriftWatch()
    assert watch.add(0.0, is_bad=True) == []
    assert watch.add(1.0, is_bad=False) == []


def test_bytes_that_cannot_be_trusted_are_refused() -> None:
    """A flipped bit is an error, never a guess."""
    record = bytearray(DriftWatch().to_bytes())
    record[-1] ^= 1
    with pytest.raises(UnusableWatchError, match="checksum"):
        DriftWatch.from_bytes(bytes(record))
