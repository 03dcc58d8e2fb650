"""The brokers' processes, seen from their owner: start, signal, look; the guard does it and outlives us."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Final

from streams.kafka.local.errors import BrokerStartError

ANSWER_TIMEOUT_SECONDS: Final = 30.0
"""The guard answers in a millisecond and never waits for anything; a machine may be swapping, though."""

END_TIMEOUT_SECONDS: Final = 60.0
"""Killing takes no time; removing some gigabytes of log may."""

_GUARD: Final = Path(__file__).with_name("guard.py")


class GuardedProcesses:
    """A temporary folder, and processes in it, that never outlive their owner."""

    def __init__(self) -> None:
        """Make the folder and the guard who will remove it."""
        self.folder = Path(tempfile.mkdtemp(prefix="forewarn-kafka-"))
        # The guard removes it. But Ctrl-C at the terminal may kill the guard's fork before it has a session of its own.
        self._removal = weakref.finalize(self, _remove, self.folder, os.getpid())
        self._complaints = self.folder / "guard.log"
        self._lock = threading.Lock()
        try:
            self._guard = self._start_guard()
        except BaseException:
            self._removal()
            raise

    def _start_guard(self) -> subprocess.Popen[bytes]:
        # Nothing but the standard library (-I -S): up in 30 ms. A session of its own: see the guard.
        command = [sys.executable, "-I", "-S", str(_GUARD), str(self.folder), str(os.getpid())]
        with self._complaints.open("wb") as complaints:
            return subprocess.Popen(  # noqa: S603 - this very interpreter, a file of our own
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,
                bufsize=0,
            )

    def start(self, name: str, command: list[str], log: Path) -> None:
        """Start a process under a name that is free, or whose process has ended; output is appended to `log`."""
        self._ask({"do": "start", "name": name, "command": command, "log": str(log)})

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send the process a signal; to one that has ended, nothing happens."""
        self._ask({"do": "signal", "name": name, "signal": int(number)})

    def exit_codes(self) -> dict[str, int | None]:
        """Return the exit code of every process ever started, `None` while it lives."""
        return self._ask({"do": "look"})

    def close(self) -> None:
        """End all processes at once and remove the folder; closing twice is fine."""
        pipe, answers = self._guard.stdin, self._guard.stdout
        assert pipe is not None
        assert answers is not None
        if pipe.closed:
            return
        pipe.close()
        try:
            self._guard.wait(END_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.kill()  # the kernel kills the processes with it
            self._guard.wait()
        answers.close()
        self._removal()  # nothing is left to remove, unless the guard was killed

    def _ask(self, request: dict[str, object]) -> dict[str, int | None]:
        pipe, answers = self._guard.stdin, self._guard.stdout
        assert pipe is not None
        assert answers is not None
        with self._lock:
            try:
                pipe.write(json.dumps(request).encode() + b"\n")
            except BrokenPipeError:
                raise BrokerStartError(self._why_dead()) from None
            readable, _, _ = select.select([answers], [], [], ANSWER_TIMEOUT_SECONDS)
            answer = answers.readline() if readable else b""
        if not answer:
            raise BrokerStartError(self._why_dead())
        codes: dict[str, int | None] = json.loads(answer)
        return codes

    def _why_dead(self) -> str:
        said = self._complaints.read_text() if self._complaints.is_file() else "(its folder is gone, too)"
        return f"the brokers' guard process died: {said}"


def _remove(folder: Path, owner_pid: int) -> None:
    """Remove the folder when its owner ends, not when a fork of the owner does."""
    if os.getpid() == owner_pid:
        shutil.rmtree(folder, ignore_errors=True)
