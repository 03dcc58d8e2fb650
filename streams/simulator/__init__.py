"""A simulated book of borrowers: what the lender would see of them, what became of them, and what was behind it.

The way of a borrower: `persons` draws who it is and which hidden cause will befall them; `income`, `loans`, `spending`
and `credit` make up what happens; `story` turns that into events; `delivery` merges all borrowers by time.
"""

from streams.simulator.delivery import Delivery, SimulationCounts, simulate, write_folder
from streams.simulator.lives import lives
from streams.simulator.settings import SimulationSettings

__all__ = ["Delivery", "SimulationCounts", "SimulationSettings", "lives", "simulate", "write_folder"]
