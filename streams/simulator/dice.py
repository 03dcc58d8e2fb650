"""One borrower's dice: the same seed and number roll the same, whatever was rolled for others before."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Option = TypeVar("Option")


class Dice:
    """Draws built on `random.Random.random` alone, whose sequence Python keeps the same between versions."""

    def __init__(self, seed: int, borrower: int, purpose: str = "") -> None:
        """Begin the rolls of one borrower; a process with dice of its own (`purpose`) changes no other's rolls."""
        name = f"{seed}/{borrower}/{purpose}" if purpose else f"{seed}/{borrower}"
        self.roll = random.Random(name).random  # noqa: S311 - a simulation must be repeatable
        """A number from 0 up to, not including, 1."""

    def chance(self, probability: float) -> bool:
        """Whether it happens."""
        return self.roll() < probability

    def whole(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return least + int(self.roll() * (most - least + 1))

    def between(self, least: float, most: float) -> float:
        """A number, evenly spread."""
        return least + self.roll() * (most - least)

    def pick(self, options: Sequence[Option]) -> Option:
        """One of the options, all alike."""
        return options[int(self.roll() * len(options))]
