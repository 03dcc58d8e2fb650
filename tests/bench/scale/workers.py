"""Real workers, started as users start them, and asked how they are as Prometheus and Kubernetes ask them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from streams.kafka.local.ports import free_ports
from streams.pages import METRICS_PATH, READY_PATH
from streams.settings import Settings
from tests.bench.contest.processes import Running, running
from tests.bench.contest.systems import ROOT

READY_WITHIN_SECONDS: Final = 600.0
ASK_SECONDS: Final = 0.05
_ANSWER_SECONDS: Final = 10.0
"""While it restores, a worker answers between two batches."""
_HOST: Final = "127.0.0.1"
_TOLD: Final = (
    "broker",
    "topic_prefix",
    "group_id",
    "transactional_id_prefix",
    "clock",
    "session_timeout_ms",
)


class Worker:
    """One process."""

    def __init__(self, seen: Running, port: int, began_at: float) -> None:
        """`began_at`: when it was started, by `time.monotonic`."""
        self.seen = seen
        self._pages = f"http://{_HOST}:{port}"
        self._began_at = began_at

    def wait_until_ready(self) -> tuple[float, float]:
        """(seconds from its start until all its tasks are open, CPU seconds that it took for that).

        Raises:
            SystemExit: it ended, or was not ready in time.
        """
        give_up_at = self._began_at + READY_WITHIN_SECONDS
        while not self._is_ready():
            if (status := self.seen.process.poll()) is not None:
                raise SystemExit(f"a worker ended with status {status}:\n{self.seen.log_tail}")
            if time.monotonic() > give_up_at:
                raise SystemExit(f"a worker was not ready within {READY_WITHIN_SECONDS:.0f} s")
            time.sleep(ASK_SECONDS)
        seconds = time.monotonic() - self._began_at
        self.seen.sample()
        return seconds, self.seen.cpu[-1][1]

    def _is_ready(self) -> bool:
        with suppress(URLError, OSError), urlopen(self._pages + READY_PATH, timeout=_ANSWER_SECONDS) as page:
            return int(page.status) == HTTPStatus.OK
        return False

    def figure(self, name: str) -> float:
        """The sum of a metric over its labels."""
        with urlopen(self._pages + METRICS_PATH, timeout=_ANSWER_SECONDS) as page:
            text = page.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        )

    @property
    def resident_bytes(self) -> int:
        """As it is just now."""
        pages = Path(f"/proc/{self.seen.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def workers(settings: Settings, count: int, folder: Path) -> Iterator[Sequence[Worker]]:
    """So many workers of one group, gone at the end; what they say is in the folder."""
    environment = {f"FOREWARN_{name.upper()}": str(getattr(settings, name)) for name in _TOLD}
    with ExitStack() as held:
        started = []
        for port in free_ports(_HOST, count):
            own = folder / f"{time.monotonic_ns()}"
            own.mkdir()
            command = (sys.executable, "-m", "streams.cli", "worker", "--web-port", str(port))
            told = {**environment, "PYTHONPATH": str(ROOT)}
            began_at = time.monotonic()
            seen = held.enter_context(running(command, told, own, frozenset(os.sched_getaffinity(0))))
            started.append(Worker(seen, port, began_at))
        yield started
