"""`forewarn backtest`: the engine on a folder of events, without Kafka, in the order in which they were delivered.

`run.py` leads: read it first. The borrowers are parted by the partitioner's hash into shards (`shard.py`), each an engine of its
own, maybe in a process of its own (`processes.py`). All go through the same days together. What they have to say is put into the
order in which one engine with all borrowers would have said it, so that the number of processes changes no byte.
`learning.py` learns from what matures on the way, a card for all at the turn of a day. `comparing.py` has two policies go through the same past, one after the other.
"""

from streams.backtest.comparing import NamedPolicy, compare_policies
from streams.backtest.learning import LearningLimits
from streams.backtest.processes import BacktestError
from streams.backtest.run import ALERTS_FILE, BacktestSummary, judged_alert, run

__all__ = [
    "ALERTS_FILE",
    "BacktestError",
    "BacktestSummary",
    "LearningLimits",
    "NamedPolicy",
    "compare_policies",
    "judged_alert",
    "run",
]
