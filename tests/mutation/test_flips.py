"""What the tool that flips comparisons finds, how it flips, and that its list of what means the same is not stale."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutation.comparisons import files_of, flips_by_signal
from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.flips import Flip, flips_of, put_in
from tests.mutation.machine import MutationError

_SAMPLE = """
from typing import NamedTuple

class Loan(NamedTuple):
    days: int

    @property
    def is_late(self) -> bool:
        return self.days > 7

def is_within(low: int, number: int, high: int) -> bool:
    return low <= number < high

def told(number: int) -> str:
    return f"{number} {'day' if number == 1 else 'days'}, " f"{sum(one >= 2 for one in range(number))}"

def is_known(number: int | None) -> bool:
    return number is not None and number in (1, 2)
"""


def sample(folder: Path, text: str = _SAMPLE) -> tuple[Path, ModuleType]:
    """A module of its own, in use."""
    path = folder / "sample.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("sample", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return path, module


def called(path: Path, name: str) -> Flip:
    """The flip of that name."""
    return next(flip for flip in flips_of(path) if flip.name == name)


def test_every_comparison_is_flipped_at_its_threshold_and_to_its_contrary(tmp_path: Path) -> None:
    """Each sign of a chain by itself, within texts and generators too; what compares no size is left alone."""
    path, _ = sample(tmp_path)

    assert sorted(flip.name.removeprefix("sample.") for flip in flips_of(path)) == [
        "Loan.is_late: self.days > 7 -> self.days <= 7",
        "Loan.is_late: self.days > 7 -> self.days >= 7",
        "is_within: low <= number < high -> low < number < high",
        "is_within: low <= number < high -> low <= number <= high",
        "is_within: low <= number < high -> low <= number >= high",
        "is_within: low <= number < high -> low > number < high",
        "told: number == 1 -> number != 1",
        "told: one >= 2 -> one < 2",
        "told: one >= 2 -> one > 2",
    ]


def test_who_has_the_function_calls_the_flipped_one(tmp_path: Path) -> None:
    """Imported before or looked up later, a function or a property."""
    path, module = sample(tmp_path)
    is_within, told, loan = module.is_within, module.told, module.Loan(7)

    put_in(module, called(path, "sample.is_within: low <= number < high -> low <= number <= high"))
    put_in(module, called(path, "sample.told: number == 1 -> number != 1"))
    put_in(module, called(path, "sample.Loan.is_late: self.days > 7 -> self.days >= 7"))

    assert is_within(1, 3, 3)
    assert told(1) == "1 days, 0"
    assert loan.is_late


def test_comparisons_of_one_text_are_told_apart(tmp_path: Path) -> None:
    """What stands on the list of those that mean the same is one place."""
    path, _ = sample(
        tmp_path, "def either(a: int, b: int) -> bool:\n    return a == b or (a > 0 and a == b)\n"
    )

    names = [flip.name for flip in flips_of(path)]

    assert "sample.either: a == b -> a != b" in names
    assert "sample.either: a == b -> a != b (2)" in names
    assert max(Counter(names).values()) == 1


def test_a_comparison_outside_any_function_is_an_error(tmp_path: Path) -> None:
    """It would be counted as tried and never be flipped."""
    path, _ = sample(tmp_path, "LIMIT = 2 > 1\n")

    with pytest.raises(MutationError, match="1 comparisons outside"):
        flips_of(path)


def test_every_signal_that_compares_has_tests_of_its_own() -> None:
    """And none compares where its functions do not reach."""
    by_signal = flips_by_signal([])

    assert by_signal
    assert [name for name in by_signal if not files_of(name)[0].exists()] == []


def test_what_means_the_same_is_still_there() -> None:
    """A comparison that was changed leaves the list, and each has its reason."""
    known = {flip.name for flips in flips_by_signal([]).values() for flip in flips}

    assert set(EQUIVALENT) <= known
    assert all(EQUIVALENT.values())
