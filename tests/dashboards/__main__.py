"""Show what every panel of the dashboards shows: `python -m tests.dashboards`.

Without arguments a worker replays a simulated book; `--prometheus HOST:PORT` asks one that runs, for the last hour.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from streams.clock import SystemClock
from streams.kafka.local import find_broker
from tests.dashboards.panels import Answered, Span, answer, asked, table
from tests.dashboards.scene import JOB, watched_worker
from tests.support.prometheus import Prometheus


def rows_of(arguments: argparse.Namespace) -> list[Answered]:
    """What the panels show."""
    if arguments.prometheus:
        now = SystemClock().now_ms() / 1000
        prometheus, span = Prometheus(arguments.prometheus), Span(now - 3600, now, 15, "1m")
        return [answer(prometheus, one, arguments.job, span) for one in asked()]
    with (
        tempfile.TemporaryDirectory() as folder,
        find_broker() as broker,
        watched_worker(broker, Path(folder)) as watched,
    ):
        return watched.answers(asked())


def main() -> int:
    """Print the table; 1 where a panel has no data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prometheus", metavar="HOST:PORT", help="ask this one instead of a simulation")
    parser.add_argument("--job", default=JOB, help="its job, a regular expression")
    rows = rows_of(parser.parse_args())
    print(table(rows))
    return 0 if all(row.series for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
