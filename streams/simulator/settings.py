"""What can be set about a simulated book."""

from __future__ import annotations

from datetime import date
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

BORROWERS_MAX: Final = 10_000_000
"""Borrower ids have eight digits; more than this is a mistake."""
MONTHS_MAX: Final = 120
"""Ten years: an event number has five digits, and nobody asked for more."""
VERSIONS: Final = 2
LATE_DAYS_MAX: Final = 90
"""No feed is later than a quarter of a year and still called a feed."""


class SimulationSettings(Struct, frozen=True, kw_only=True):
    """A book of borrowers and what befalls them. The same settings give the same bytes.

    A share is the part of all borrowers whom a cause may befall (0 to 1); the shares of the causes add up to 1 at most.
    """

    version: int = 1
    """1: each cause leads to default on its own schedule. 2: defaults come from a latent hazard that shows in the events (`hazards`)."""
    seed: int = 1
    borrowers: int = 10_000
    months: int = 12
    """Whole months that are observed."""
    start: date = date(2025, 1, 1)
    """First day, local: past days only, so that nothing lies ahead of the clock."""
    time_zone: str = "Asia/Shanghai"
    platform_id: str = "forewarn-lend"
    """The lender whose book this is."""
    late_share: float = 0.005
    """Of repayments, fund flows and credit queries: learnt late, hours to days after they happened."""
    late_days_max: int = 3
    """The longest such delay, in days."""
    job_loss_share: float = 0.06
    income_cut_share: float = 0.04
    stacking_share: float = 0.05
    """Of borrowers who borrow from many new institutions within weeks."""
    forgetful_share: float = 0.06
    """Of borrowers who forget an instalment or two, and pay it days later."""
    silent_share: float = 0.008
    """Of borrowers who stop paying without anything that could be seen before."""
    squeezed_share: float = 0.02
    """Of borrowers whom expenses leave, for some months, without the money for the next instalment."""
    rolling_share: float = 0.01
    """Of borrowers who repay one platform with money borrowed from another, again and again."""
    overreaching_share: float = 0.012
    """Of borrowers who take on instalments elsewhere until they exceed their means."""
    misusing_share: float = 0.01
    """Of borrowers who put a loan into securities, property or gambling."""
    absconding_share: float = 0.005
    """Of borrowers who stop paying and take their money away."""
    linked_share: float = 0.03
    """Of borrowers for whom another borrower of the book vouches, signs or owns."""
    duplicate_share: float = 0.0
    """Of events that are delivered twice, byte for byte."""
    shift_month: int | None = None
    """Version 2: month (from 0) from whose beginning on other causes than before lead to default; None for never."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for settings that cannot be simulated."""
        _check("seed", self.seed, 0, 2**63 - 1)
        _check("borrowers", self.borrowers, 1, BORROWERS_MAX)
        _check("months", self.months, 1, MONTHS_MAX)
        _check("late_days_max", self.late_days_max, 1, LATE_DAYS_MAX)
        _check("late_share", self.late_share, 0, 1)
        _check("version", self.version, 1, VERSIONS)
        _check("duplicate_share", self.duplicate_share, 0, 1)
        if self.shift_month is not None:
            _check("shift_month", self.shift_month, 0, self.months)
            if self.version == 1:
                raise ValueError("shift_month needs version 2: the first has no hazard that could change")
        shares = {
            "job_loss_share": self.job_loss_share,
            "income_cut_share": self.income_cut_share,
            "stacking_share": self.stacking_share,
            "forgetful_share": self.forgetful_share,
            "silent_share": self.silent_share,
            "squeezed_share": self.squeezed_share,
            "rolling_share": self.rolling_share,
            "overreaching_share": self.overreaching_share,
            "misusing_share": self.misusing_share,
            "absconding_share": self.absconding_share,
        }
        for name, share in shares.items():
            _check(name, share, 0, 1)
        _check("the sum of the causes' shares", sum(shares.values()), 0, 1)
        _check("linked_share", self.linked_share, 0, 0.5)
        if not 1 <= len(self.platform_id) <= 64:
            raise ValueError("platform_id must have 1 to 64 characters")
        if not 1971 <= self.start.year <= 2200:
            raise ValueError("start must lie between 1971 and 2200")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"time_zone: {self.time_zone!r} is no time zone") from error


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} must lie between {least} and {most}, not {value}")
