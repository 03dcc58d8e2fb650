"""`forewarn backtest`: the engine on a folder of events, without Kafka, in the order in which they were delivered.

`run.py` leads: read it first. The borrowers are parted by the partitioner's hash into shards (`shard.py`), each an engine of its
own, maybe in a process of its own (`processes.py`). All go through the same days together. What they have to say is put into the
order in which one engine with all borrowers would have said it, so that the number of processes changes no byte.
"""

from streams.backtest.processes import BacktestError
from streams.backtest.run import ALERTS_FILE, BacktestSummary, judged_alert, run

__all__ = ["ALERTS_FILE", "BacktestError", "BacktestSummary", "judged_alert", "run"]
