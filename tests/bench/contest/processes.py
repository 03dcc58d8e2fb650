"""A system's processes: started alike, looked at while they run, and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

SAMPLE_SECONDS: Final = 0.2
STOP_SECONDS: Final = 15.0
"""To end in good order after SIGTERM; what has been measured is over by then."""
LOG_TAIL_CHARACTERS: Final = 4_000
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Running:
    """One system's processes, and what they have used so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self.cpu: list[tuple[float, float]] = []
        """(epoch second, CPU seconds of all its processes by then)."""
        self._peaks_kib: dict[int, int] = {}
        self._ticks: dict[int, int] = {}

    @property
    def memory_peak_mib(self) -> float:
        """The peaks of all processes together, as the kernel remembers them."""
        return sum(self._peaks_kib.values()) / 1024

    @property
    def log_tail(self) -> str:
        """The end of what it said."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARACTERS:]

    def sample(self) -> None:
        """Look once."""
        for pid in _family(self.process.pid):
            with suppress(OSError, ValueError, IndexError):  # it has ended in between
                fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
                user, system = fields.rpartition(")")[2].split()[11:13]
                status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
                self._ticks[pid] = int(user) + int(system)
                for line in status.splitlines():  # a process that has just ended has no such line
                    if line.startswith("VmHWM"):
                        self._peaks_kib[pid] = max(int(line.split()[1]), self._peaks_kib.get(pid, 0))
        self.cpu.append((time.time(), sum(self._ticks.values()) / _TICKS))


def _family(root: int) -> list[int]:
    """The process and all its descendants."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                waiting += map(int, task.read_text(encoding="ascii").split())
    return found


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, cpus: frozenset[int]
) -> Iterator[Running]:
    """Run a command in a session of its own on these CPUs; at the end nothing of it is left, however that comes."""
    log = folder / "log"
    with log.open("wb") as said:
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cpus)  # a child has its parent's, from the first instruction on
        try:
            process = subprocess.Popen(
                [*_dying_with_us(), *command],
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        finally:
            os.sched_setaffinity(0, own)
        seen = Running(process, log)
        over = threading.Event()
        sampler = threading.Thread(target=_sample, args=(seen, over), daemon=True)
        try:
            sampler.start()
            yield seen
        finally:
            over.set()
            sampler.join()
            _stop(process)


def _dying_with_us() -> list[str]:
    """What has the kernel end a process whose parent was killed outright; where it is missing, `finally` must do."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--"]


def _sample(seen: Running, over: threading.Event) -> None:
    while not over.wait(SAMPLE_SECONDS):
        seen.sample()


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    finally:  # also where Ctrl-C comes a second time
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
