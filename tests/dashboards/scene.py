"""What dashboards are tried on: a real Prometheus that asks a real worker, which replays a simulated book from a real Kafka."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import yaml

from streams.clock import SystemClock
from streams.kafka.local import Broker
from streams.kafka.local.ports import free_ports
from streams.simulator import SimulationSettings, write_folder
from tests.dashboards.desk import desk
from tests.dashboards.panels import Answered, Asked, Span, answer, asked
from tests.dashboards.worker import CHALLENGERS_TOLD_FROM
from tests.support.examples import weeks_of_examples
from tests.support.installation import Installation
from tests.support.prometheus import HOST, Prometheus, Series, running_prometheus
from tests.support.world import KafkaWorld

JOB: Final = "forewarn"
PARTITIONS: Final = 3
BOOK: Final = SimulationSettings(borrowers=300, months=10, seed=4)
SCRAPE_SECONDS: Final = 1
RATE_INTERVAL: Final = "4s"
"""Four scrapes, as Grafana takes it."""
PROMETHEUS_FILES: Final = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
KNOWN_EXAMPLES: Final = weeks_of_examples(1, weeks=2, a_week=400)
"""Of the months before the book, for challengers learn slowly: when the book is learnt from, they have to tell something."""
PATIENCE_SCRAPES: Final = 120
"""Far beyond what anything takes here."""
GARBAGE: Final = (b"{", b"\xff\xfe", b'{"type":"surprise"}')
"""For the panels of what is refused."""


class NotYetError(AssertionError):
    """What was waited for did not come."""


class Watched(NamedTuple):
    """A worker that is watched, and since when (seconds)."""

    prometheus: Prometheus
    since: float
    worker: subprocess.Popen[str]

    def answers(self, wanted: Iterable[Asked]) -> list[Answered]:
        """What panels show, over the time since the start."""
        span = Span(self.since, _now(), SCRAPE_SECONDS, RATE_INTERVAL)
        return [answer(self.prometheus, one, JOB, span) for one in wanted]

    def wait_for(self, condition: str) -> None:
        """Until an expression has a value."""
        self.wait_until(lambda: bool(self._now_has(condition)), condition)

    def wait_until_all_have_data(self) -> None:
        """Until no panel is empty, or until it is clear that some stay so: the rows tell which."""
        empty = list(asked())

        def none_is_empty() -> bool:
            nonlocal empty
            empty = [row.asked for row in self.answers(empty) if not row.series]
            return not empty

        with suppress(NotYetError):
            self.wait_until(none_is_empty, "every panel has data")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Look once a scrape; a worker that ends meanwhile fails.

        Raises:
            NotYetError: it never held.
        """
        for _ in range(PATIENCE_SCRAPES):
            assert self.worker.poll() is None, self.worker.communicate()[1]
            if condition():
                return
            time.sleep(SCRAPE_SECONDS)
        raise NotYetError(what)

    def _now_has(self, expression: str) -> list[Series]:
        now = _now()
        return self.prometheus.query_range(expression, now, now, SCRAPE_SECONDS)


def config_for(port: int, folder: Path) -> Path:
    """The configuration that is shipped, with its rules, but for whom to ask, whom to tell, and how often."""
    config: dict[str, Any] = yaml.safe_load(
        (PROMETHEUS_FILES / "prometheus.yaml").read_text(encoding="utf-8")
    )
    config["global"] = {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"}
    config["rule_files"] = [str(PROMETHEUS_FILES / pattern) for pattern in config["rule_files"]]
    config["scrape_configs"] = [{"job_name": JOB, "static_configs": [{"targets": [f"{HOST}:{port}"]}]}]
    del config["alerting"]
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return file


class Garbled(NamedTuple):
    """A book on its way into Kafka."""

    folder: Path
    lines: int


def garbled_book(folder: Path) -> Garbled:
    """A simulated book with an event that comes twice, and some lines that are no events."""
    counts = write_folder(BOOK, folder)
    with (folder / "repayments.jsonl").open("r+b") as file:
        twice = file.readline().strip()
        file.seek(0, os.SEEK_END)
        file.writelines(line + b"\n" for line in (twice, *GARBAGE))
    return Garbled(folder, counts.events + 1 + len(GARBAGE))


@contextmanager
def watched_worker(broker: Broker, folder: Path) -> Iterator[Watched]:
    """Asked before its first event, so that no figure begins high, until all is consumed and every panel shows something."""
    book = garbled_book(folder / "book")
    (port,) = free_ports(HOST, 1)
    with desk(folder) as endpoints, running_prometheus(config_for(port, folder)) as prometheus:
        installation = Installation(
            broker,
            PARTITIONS,
            clock="wall",
            learning=True,
            portfolio_interval_ms=1_000,
            webhooks_file=str(endpoints),
        )
        known = [msgspec.json.encode(example) for example in KNOWN_EXAMPLES]
        world = KafkaWorld(installation.settings)
        asyncio.run(world.produce(world.names.training_examples, 0, known, key=b"k"))
        with installation.python("tests.dashboards.worker", web_port=port) as worker:
            watched = Watched(prometheus, _now(), worker)
            watched.wait_for(f'sum(forewarn_tasks{{phase="open"}}) == {PARTITIONS}')
            watched.wait_for(
                f'sum(forewarn_challenger_examples_total{{outcome="learnt"}}) >= {CHALLENGERS_TOLD_FROM}'
            )
            installation.replay(book.folder)
            watched.wait_for(
                f"sum(forewarn_processed_total) >= {book.lines} and sum(forewarn_consumer_lag_records) == 0"
            )
            # Surveyed since, so that the figures of the portfolio are those of the end.
            age = "forewarn_portfolio_age_seconds"
            watched.wait_for(f"min(timestamp({age}) - {age}) > {_now()}")
            watched.wait_until_all_have_data()
            yield watched


def _now() -> float:
    return SystemClock().now_ms() / 1000
