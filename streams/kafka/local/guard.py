"""The process between us and the brokers: whatever happens to its owner, no Java and no folder stays behind.

It is started by file name in a session of its own, with nothing but the standard library, so that Ctrl-C at the
terminal reaches the worker and not the broker the worker is still talking to. Requests come as JSON lines on
standard input, each is answered by one line; the end of the input (the owner closed it, or died in any way) ends the
processes and removes the folder. Should the guard itself be killed, the kernel kills the processes with it.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

OWNER_CHECK_SECONDS: Final = 1.0
"""A fork of the owner may keep the pipe open after the owner is gone: so its pid is looked at, too."""

REMOVE_TRIES_MAX: Final = 3
"""A file made while the tree is being removed makes the first try fail; nobody makes files any more then."""

_PR_SET_PDEATHSIG: Final = 1
"""`prctl(2)`: the signal a process gets when its parent dies."""


class Guard:
    """The processes' parent."""

    def __init__(self, folder: str, owner_pid: int) -> None:
        self._folder = folder
        self._owner_pid = owner_pid
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._libc = ctypes.CDLL(None)

    def run(self) -> None:
        """Answer requests until the owner is gone."""
        try:
            for line in self._lines():
                os.write(1, json.dumps(self._answer(json.loads(line))).encode() + b"\n")
        except BrokenPipeError:
            pass  # the owner died between question and answer
        finally:
            self._end()

    def _lines(self) -> Iterator[bytes]:
        pending = b""
        while os.getppid() == self._owner_pid:
            readable, _, _ = select.select([0], [], [], OWNER_CHECK_SECONDS)
            if not readable:
                continue
            received = os.read(0, 65536)
            if not received:
                return
            *lines, pending = (pending + received).split(b"\n")
            yield from lines

    def _answer(self, request: dict[str, Any]) -> dict[str, int | None]:
        if request["do"] == "start":
            self._start(request["name"], request["command"], request["log"])
        elif request["do"] == "signal":
            self._processes[request["name"]].send_signal(request["signal"])
        return {name: process.poll() for name, process in self._processes.items()}

    def _start(self, name: str, command: list[str], log_path: str) -> None:
        before = self._processes.get(name)
        assert before is None or before.poll() is not None, f"{name} is still running"
        with open(log_path, "ab") as log:  # noqa: PTH123 - pathlib would take a third of this process's start
            self._processes[name] = subprocess.Popen(  # noqa: S603 - what our owner asks for, nobody else can
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                preexec_fn=self._die_with_guard,  # noqa: PLW1509 - safe: there is one thread only
            )

    def _die_with_guard(self) -> None:
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def _end(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        for _ in range(REMOVE_TRIES_MAX):
            shutil.rmtree(self._folder, ignore_errors=True)


def main() -> None:
    """Guard the folder named on the command line for the process whose pid stands beside it."""
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exit cleans up, the default would not
    Guard(folder=sys.argv[1], owner_pid=int(sys.argv[2])).run()


if __name__ == "__main__":
    main()
