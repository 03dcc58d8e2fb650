"""Runs tests that are collected once in one process after the other, each a fork of it with something broken in it.

What a test costs beside itself (a start of Python, imports, collection) is paid once, and nothing a broken run does outlives it.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, NoReturn

import pytest

from tests.mutation.machine import MutationError

_MEMORY_BYTES_MAX: Final = 4 << 30
"""Of one process: what grows without end ends itself, not the machine."""
_WITHOUT_END: Final = frozenset({signal.SIGXCPU, signal.SIGABRT})
"""What ends a process that computes for too long, and an interpreter that has no memory left even to say so."""


class Job(NamedTuple):
    """What one process does: break something, then run the tests of these files until one fails."""

    name: str
    files: Sequence[Path]
    break_it: Callable[[], None]
    cpu_seconds_max: int
    """Of computing, not of waiting: a busy machine makes nothing hang."""


class Ended(NamedTuple):
    """How a job ended."""

    job: Job
    word: Literal["failed", "hung", "passed"]
    test: str
    """The one that failed."""
    cpu_seconds: float


class Forks:
    """A pytest plugin: lets `steer` run jobs on what was collected, instead of the tests themselves."""

    def __init__(self, steer: Callable[[Forks], None], processes: int) -> None:
        """`steer` is called once, when everything is collected."""
        self._steer = steer
        self._processes = processes
        self._items: list[pytest.Item] = []
        self._failed = ""

    def run(self, jobs: Iterable[Job]) -> Iterator[Ended]:
        """Run jobs, so many at a time, and tell how each ended, in the order of their ends.

        Raises:
            MutationError: a process ended as no test makes it end.
        """
        under_way: dict[int, Job] = {}
        waiting = iter(jobs)
        with tempfile.TemporaryDirectory(prefix="forewarn-mutation-") as folder:
            while True:
                while len(under_way) < self._processes and (job := next(waiting, None)) is not None:
                    under_way[self._fork(job, Path(folder))] = job
                if not under_way:
                    return
                process, status, usage = os.wait4(-1, 0)
                job = under_way.pop(process)
                yield _ended(job, status, Path(folder, str(process)), usage.ru_utime + usage.ru_stime)

    # ---- what pytest calls -------------------------------------------------------------------------------------------

    def pytest_configure(self) -> None:
        """The same examples for every mutant, and no time for finding the shortest."""
        from hypothesis import Phase, settings  # not before pytest, whose plugin it is

        settings.register_profile(
            "mutants",
            settings.default,
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate),
        )
        settings.load_profile("mutants")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Everything is collected."""
        if session.testsfailed:
            raise pytest.UsageError("the tests cannot be collected")
        self._items = session.items
        try:
            self._steer(self)
        except MutationError as error:  # which pytest would take for a fault of its own
            raise pytest.UsageError(str(error)) from error
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what failed."""
        if report.failed:
            self._failed = self._failed or report.nodeid

    # ---- a process ---------------------------------------------------------------------------------------------------

    def _fork(self, job: Job, folder: Path) -> int:
        own = [item for item in self._items if item.path in job.files]
        if not own:
            raise MutationError(f"{job.name}: no tests")
        sys.stdout.flush()
        process = os.fork()
        return process or self._run_until_one_fails(own, job, folder)

    def _run_until_one_fails(self, items: Sequence[pytest.Item], job: Job, folder: Path) -> NoReturn:
        """The child: it comes back from nowhere, and leaves nothing but a word in the folder."""
        status = 2
        try:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1):
                os.dup2(nowhere, stream)
            resource.setrlimit(resource.RLIMIT_CPU, (job.cpu_seconds_max, resource.RLIM_INFINITY))
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))
            job.break_it()
            for item, following in zip(items, [*items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if self._failed:
                    (folder / str(os.getpid())).write_text(self._failed)
                    break
            status = 0
        finally:
            os._exit(status)


def _ended(job: Job, status: int, note: Path, cpu_seconds: float) -> Ended:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in _WITHOUT_END:
        return Ended(job, "hung", "", cpu_seconds)
    if status != 0:
        raise MutationError(f"{job.name}: its process ended with status {status}")
    return Ended(
        job, "failed" if note.exists() else "passed", note.read_text() if note.exists() else "", cpu_seconds
    )
