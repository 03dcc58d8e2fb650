"""A real Prometheus and its promtool: found in `FOREWARN_PROMETHEUS` or in PATH; started on a free port, gone with its owner."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode
from urllib.request import urlopen

import msgspec

from streams.kafka.local.ports import free_ports
from streams.kafka.local.processes import GuardedProcesses
from tests.support.processes import wait_until

HOST: Final = "127.0.0.1"
HOW_TO_GET_IT: Final = (
    "{} is needed and was found neither in FOREWARN_PROMETHEUS nor in PATH. tests/run unpacks it where there is apt-get; else "
    "get it from the system (Debian, Ubuntu: apt-get install prometheus) or from prometheus.io/download, and set "
    "FOREWARN_PROMETHEUS to the folder that holds prometheus and promtool"
)
_ANSWER_SECONDS_MAX: Final = 30
_TALE_CHARACTERS: Final = 4_000


class PrometheusMissingError(Exception):
    """Neither the variable nor PATH leads to it; the message says how to get it."""


class Series(NamedTuple):
    """One series of an answer: its labels, and its samples that are numbers, as (seconds, value)."""

    labels: dict[str, str]
    samples: list[tuple[float, float]]


class Target(msgspec.Struct, frozen=True, rename="camel"):
    """What Prometheus says of one it scrapes."""

    labels: dict[str, str]
    health: str
    last_error: str


def find(program: str) -> str:
    """The path of `prometheus` or `promtool`.

    Raises:
        PrometheusMissingError: there is none.
    """
    folder = os.environ.get("FOREWARN_PROMETHEUS")
    found = shutil.which(program, path=folder or None)
    if found is None:
        raise PrometheusMissingError(HOW_TO_GET_IT.format(program))
    return found


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool; what it says, stdout and stderr in one."""
    return subprocess.run(
        [find("promtool"), *map(str, arguments)],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_ANSWER_SECONDS_MAX * 4,
    )


class Prometheus:
    """One that runs."""

    def __init__(self, address: str) -> None:
        """`address` is host and port."""
        self.address = address

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """Evaluate an expression at every step between two instants (seconds); series without any number are left out."""
        answer = self._get("query_range", query=expression, start=start, end=end, step=step)
        found = [
            Series(
                one["metric"],
                [(at, number) for at, text in one["values"] if not isnan(number := float(text))],
            )
            for one in answer["result"]
        ]
        return [series for series in found if series.samples]

    def targets(self) -> list[Target]:
        """Whom it scrapes."""
        return msgspec.convert(self._get("targets")["activeTargets"], list[Target])

    def rules(self) -> dict[str, str]:
        """The rules it evaluates, with their health."""
        groups = self._get("rules")["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with urlopen(f"http://{self.address}/-/ready", timeout=_ANSWER_SECONDS_MAX) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _get(self, path: str, **parameters: str | float) -> Any:
        url = f"http://{self.address}/api/v1/{path}?{urlencode(parameters)}"
        with urlopen(url, timeout=_ANSWER_SECONDS_MAX) as answer:
            document = msgspec.json.decode(answer.read())
        assert document["status"] == "success", document
        return document["data"]


@contextmanager
def running_prometheus(config: Path) -> Iterator[Prometheus]:
    """One with this configuration and a folder of its own, until the block is left; or its owner dies, however."""
    program = find("prometheus")
    (port,) = free_ports(HOST, 1)
    processes = GuardedProcesses()
    log = processes.folder / "prometheus.log"
    try:
        processes.start(
            "prometheus",
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={processes.folder / 'data'}",
                f"--web.listen-address={HOST}:{port}",
                "--log.level=warn",
            ],
            log,
        )
        found = Prometheus(f"{HOST}:{port}")

        def answers() -> bool:
            ended = processes.exit_codes()["prometheus"] is not None
            assert not ended, f"Prometheus ended: {log.read_text()[-_TALE_CHARACTERS:]}"
            return found.ready()

        wait_until(answers, "Prometheus answers")
        yield found
    finally:
        processes.close()
