"""`forewarn demo`: the main job on a simulated or given book, watched while it happens, then judged.

`over_kafka` runs it as it is run in earnest, workers and replay as processes of their own; `in_memory` is for machines where
no Kafka can be had. `summary` reads everything back, whichever it was.
"""

from streams.demo.options import DemoError, DemoOptions
from streams.demo.run import RunningDemo, running_demo
from streams.demo.summary import DemoSummary

__all__ = ["DemoError", "DemoOptions", "DemoSummary", "RunningDemo", "running_demo"]
