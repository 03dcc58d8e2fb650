"""How well the best forecaster could do on a book of the second version: one who sees the latent hazard.

The oracle knows a borrower's hazard as of a day (slack, what has befallen them, season, how often they slip), the due days, and
how many days past due they are, as everybody does. It does not know the dice: not whether the last payment was the last, nor what
will befall whom. Whoever is late has either slipped or stopped: the longer the lateness, the less likely a slip.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import exp

from msgspec import Struct

from streams.simulator.hazards import MONTH_DAYS, RESUME, hazard_a_month, slip_chance
from streams.simulator.horizon import Horizon
from streams.simulator.lives import people_with_loans
from streams.simulator.loans import LoanRecord
from streams.simulator.persons import Person
from streams.simulator.settings import SimulationSettings
from streams.simulator.slips import share_still_late

_TARGET_DAYS_LATE = 30
_HORIZON_DAYS = 60


class Forecaster(Struct, frozen=True):
    """What can be foretold of one borrower."""

    person: Person
    loans: list[LoanRecord]
    settings: SimulationSettings
    horizon: Horizon

    def probability(self, day: int, days_past_due: int) -> float:
        """Of reaching 30 days past due within 60 days of the midnight that begins `day`."""
        hazard = hazard_a_month(self.person, day, self.settings, self.horizon)
        stays = 1 - RESUME / 2
        if days_past_due > 0:
            slips = slip_chance(self.person, day) * share_still_late(days_past_due)
            return stays * hazard / (hazard + slips) if hazard + slips else 0.0
        exposed_days = max((self._exposed_days(loan, day) for loan in self.loans), default=0)
        return stays * (1 - exp(-hazard * exposed_days / MONTH_DAYS))

    def _exposed_days(self, loan: LoanRecord, day: int) -> int:
        """Days on which to cease paying means to be 30 days late within the horizon: since the last due day, until the last that counts."""
        last_day = day + _HORIZON_DAYS - _TARGET_DAYS_LATE
        counting = [due.day for due in loan.dues if day <= due.day < last_day]
        if not counting or loan.opened_day >= day:
            return 0
        before = max((due.day for due in loan.dues if due.day < day), default=loan.opened_day)
        return counting[-1] - before


def forecasters(settings: SimulationSettings) -> Iterator[Forecaster]:
    """One a borrower, in order of their number; a book of the first version has none."""
    if settings.version == 1:
        raise ValueError("the first version has no hazard that could be seen: version=2")
    horizon = Horizon(settings)
    for person, borrowing in people_with_loans(settings):
        yield Forecaster(person, borrowing.loans, settings, horizon)
