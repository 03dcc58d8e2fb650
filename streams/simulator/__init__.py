"""A simulated book of borrowers: what the lender would see of them, what became of them, and what was behind it.

The way of a borrower (`lives`): `persons` draws who it is and which hidden cause will befall them; `income`, `loans`,
`loan_use`, `spending`, `credit`, `debts`, `servicing`, `flight` and `links` make up what happens; `account` settles what the
borrower's account could pay; `story` turns it all into events; `delivery` merges all borrowers by time.

**Two versions.** In the first, a cause that befalls somebody leads to default on a schedule of its own: good for showing that each
signal finds what it was made for. In the second (`SimulationSettings(version=2)`, `forewarn simulate --book 2`) defaults come from a hazard that
nobody sees, but which shows in the events (`hazards`, `slips`): good for asking what a score is worth, for `oracle` says what
there is to be had. There `silent` borrowers have a higher hazard, too, that shows in nothing.

**The truth** (`truth.jsonl`) says what each signal should have told, from when until when, and what was behind it. It comes from
what happened and why, as far as it lies in the observed time, and never from an alert. Where the module named says so, a
cause decides; where a signal tells of a fact (something is past due), the fact does. What belongs to no cause may still
look like trouble: then an alert is false, and is counted as such.

| signal | should tell | module |
|---|---|---|
| `missed_payment` | while more had fallen due than was paid, a loan at a time | `loans` |
| `income_drop` | from the pay that a lost job no longer brings, or a cut one, until income is back | `income` |
| `multi_platform_borrowing` | while three or more institutions were new within 30 days | `sightings` |
| `payment_at_risk` | while a borrower whom a cause left short has not the money for the next instalment | `shortage` |
| `borrowing_to_repay` | from the first repayment with money borrowed elsewhere until a month after the last | `debts` |
| `over_indebtedness` | while instalments exceed what income leaves after rent and daily living | `debts` |
| `fund_misuse` | from the first transfer of loan money to what it was not lent for until a month after the last | `loan_use` |
| `asset_flight` | from the first large transfer of one who does not mean to pay until a fortnight after the last | `flight` |
| `unreachable` | from when one who is past due answers nobody any more, or a promise is broken | `servicing` |
| `relapse` | while past due again within a year after a week or more past due was repaired | `relapses` |
| `risk_score` | from 60 days before a loan is 30 days past due until it is | `foretold` |
| `linked_distress` | while the guarantor, owner or co-borrower has lost the job or is past due for a month or more | `links` |
"""

from streams.simulator.delivery import Delivery, SimulationCounts, simulate, write_folder
from streams.simulator.lives import lives
from streams.simulator.settings import SimulationSettings

__all__ = ["Delivery", "SimulationCounts", "SimulationSettings", "lives", "simulate", "write_folder"]
