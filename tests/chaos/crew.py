"""The workers of a cycle: real processes, started anew when they end as a service manager would, and watched.

A worker that ends with another status than 0 is started again and counted. One that was told to stop has to end with 0; one
that ends with 0 without being told is a fault of its own.
"""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from streams.clock import Clock
from tests.support.processes import wait_until

ROOT: Final = Path(__file__).resolve().parents[2]
_LOOK_SECONDS: Final = 0.05
_RESTARTS_MAX: Final = 40
"""More in one cycle is no recovery."""
_OPENED: Final = re.compile(rb"task (\d+) open")
_ASSIGNED: Final = re.compile(rb"generation (\d+): tasks \[([\d, ]*)\]")
_STOPPED: Final = re.compile(rb"stopped: (\d+) records processed, all committed")
STOP_SECONDS: Final = 40.0
"""A worker that was told to stop finishes its transactions: each has 30 s at most."""


class Life:
    """One process, from its start to its end."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        """Start it; whatever it says goes through a pipe to `log`."""
        self.name = name
        self.log = log
        self.ended_in_time = True
        self.told_to_stop = False
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        log.touch()
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """For signals."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """As `subprocess` has it: None while it lives, negative for a signal."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens where it has ended."""
        self._process.send_signal(number)

    def said(self) -> bytes:
        """All of its output so far."""
        return self.log.read_bytes()

    def opened(self) -> set[int]:
        """The tasks it has ever opened."""
        return {int(task) for task in _OPENED.findall(self.said())}

    def assigned(self) -> tuple[int, set[int]]:
        """The last generation of the group that it took part in, and its tasks then; 0 and none before."""
        found = _ASSIGNED.findall(self.said())
        if not found:
            return 0, set()
        generation, tasks = found[-1]
        return int(generation), {int(task) for task in tasks.split(b",") if task.strip()}

    def assigned_after(self, generation: int) -> set[int]:
        """Its tasks, where they are those of a later generation."""
        own, tasks = self.assigned()
        return tasks if own > generation else set()

    def processed(self) -> int | None:
        """How many records it says it processed and committed; None where it did not come to say so."""
        found = _STOPPED.findall(self.said())
        return int(found[-1]) if found else None

    def forbid_files(self) -> None:
        """From now on its every write to a file fails, as on a full disk (a limit of zero bytes)."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (0, 0))

    def close(self) -> None:
        """End it, whatever state it is in, and read the rest of what it said."""
        if self.status is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe, self.log.open("wb") as log:
            for line in pipe:
                log.write(line)
                log.flush()


class Crew:
    """Workers by number, each with its lives."""

    def __init__(self, environment: Mapping[str, str], folder: Path, clock: Clock) -> None:
        """`folder` takes what they say."""
        self.lives: list[Life] = []
        """All that ever were, in order of their start."""
        self.restarts = 0
        self.problems: list[str] = []
        self._environment = environment
        self._folder = folder
        self._clock = clock
        self._current: dict[int, Life] = {}
        self._no_files = False
        self._lock = threading.RLock()
        self._ending = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="crew", daemon=True)
        self._watcher.start()

    def start(self, *numbers: int) -> None:
        """Start workers."""
        with self._lock:
            for number in numbers:
                self._begin(number)

    def life(self, number: int) -> Life:
        """The present life of a worker."""
        with self._lock:
            return self._current[number]

    @property
    def numbers(self) -> list[int]:
        """Of the workers that are to run."""
        with self._lock:
            return sorted(self._current)

    def kill(self, number: int) -> Life:
        """Kill -9; returns when the watcher has started it again."""
        life = self.life(number)
        life.signal(signal.SIGKILL)
        wait_until(lambda: self._current.get(number) is not life, f"{life.name} replaced")
        return life

    def stop(self, *numbers: int) -> None:
        """SIGTERM; each has to end with status 0."""
        lives = []
        with self._lock:
            for number in numbers:
                life = self._current.pop(number)
                life.told_to_stop = True
                life.signal(signal.SIGTERM)
                lives.append(life)
        deadline_ms = self._clock.monotonic_ms() + STOP_SECONDS * 1000
        for life in lives:
            left_seconds = max(0.1, (deadline_ms - self._clock.monotonic_ms()) / 1000)
            try:
                wait_until(lambda life=life: life.status is not None, "end", seconds=left_seconds)  # type: ignore[misc]
            except AssertionError:
                self.problems.append(f"{life.name} did not end within {STOP_SECONDS:g} s of SIGTERM")
                continue
            # One that had not yet come to say anything holds nothing: the signal's default ends it.
            if life.status != 0 and not (life.status == -signal.SIGTERM and not life.said()):
                self.problems.append(f"{life.name} ended with status {life.status} after SIGTERM")

    def fill_disk(self) -> None:
        """No worker, of now or later, can write to any file any more."""
        with self._lock:
            self._no_files = True
            for life in self._current.values():
                life.forbid_files()

    def wait_until_shared_out(self, tasks: int) -> None:
        """Return when the present lives are all in one generation of the group, and all tasks open."""
        wait_until(lambda: self._is_shared_out(tasks), f"{tasks} tasks shared out and open")

    def _is_shared_out(self, tasks: int) -> bool:
        with self._lock:
            lives = list(self._current.values())
        assigned = [life.assigned() for life in lives]
        return (
            len({generation for generation, _ in assigned}) == 1
            and sum(len(own) for _, own in assigned) == tasks
            and all(own <= life.opened() for life, (_, own) in zip(lives, assigned, strict=True))
        )

    @contextmanager
    def left_alone(self, number: int) -> Iterator[Life]:
        """Look at a worker's end before it is started again: when the block ends, it is."""
        with self._lock:
            life = self._current.pop(number)
        try:
            yield life
        finally:
            with self._lock:
                if life.status is None:
                    self._current[number] = life
                else:
                    self.restarts += life.status != 0
                    self._begin(number)

    def close(self) -> None:
        """End all that lives."""
        self._ending.set()
        self._watcher.join()
        for life in self.lives:
            life.close()

    def _begin(self, number: int) -> None:
        name = f"worker-{number}.{1 + sum(life.name.startswith(f'worker-{number}.') for life in self.lives)}"
        command = [sys.executable, "-m", "streams.cli", "worker"]
        life = Life(name, command, self._environment, self._folder / f"{name}.log")
        if self._no_files:
            life.forbid_files()
        self.lives.append(life)
        self._current[number] = life

    def _watch(self) -> None:
        while not self._ending.wait(_LOOK_SECONDS):
            with self._lock:
                for number, life in list(self._current.items()):
                    if life.status is None:
                        continue
                    if life.status == 0:
                        self.problems.append(f"{life.name} ended with status 0 though nobody told it to")
                    self.restarts += 1
                    if self.restarts > _RESTARTS_MAX:
                        self.problems.append(f"more than {_RESTARTS_MAX} restarts")
                        del self._current[number]
                    else:
                        self._begin(number)
