"""The shards of a run: one in this process, or each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Protocol

import msgspec

from streams import garbage
from streams.backtest.messages import (
    Finish,
    Output,
    Request,
    Setting,
    Totals,
    decode_output,
    decode_request,
    decode_setting,
    decode_totals,
    encode,
)
from streams.backtest.shard import Shard
from streams.event_files import EventFolder, Progress
from streams.partitioner import partition_of

LINES_PER_PROCESS_MIN: Final = 20_000
"""Fewer are sooner done than a process is started."""
_SHARDS_REMEMBERED: Final = 1 << 20
"""Borrowers whose shard is remembered while indexing: their hash takes longer than all else of a line."""
_STOP_SECONDS: Final = 10.0
"""For a process to end after its last answer."""


class BacktestError(Exception):
    """A run that cannot go on; the message says why."""


class Crew(Protocol):
    """All shards of a run."""

    def tell(self, shard: int, request: Request) -> None:
        """Ask a shard for something. It is asked for nothing else before its answer is taken."""

    def output_of(self, shard: int) -> Output:
        """Its answer, waited for."""

    def totals_of(self, shard: int) -> Totals:
        """Its answer to the end."""


class _Here:
    """All shards in this process, one after the other."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards
        self._requests: dict[int, Request] = {}

    def tell(self, shard: int, request: Request) -> None:
        self._requests[shard] = request

    def output_of(self, shard: int) -> Output:
        request = self._requests.pop(shard)
        assert not isinstance(request, Finish), "asked for totals"
        return self._shards[shard].answer(request)

    def totals_of(self, shard: int) -> Totals:
        return self._shards[shard].totals()


class _Elsewhere:
    """A process for each shard, and a pipe to it."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections

    def tell(self, shard: int, request: Request) -> None:
        try:
            self._connections[shard].send_bytes(encode(request))
        except OSError as error:
            raise _ended(shard) from error

    def output_of(self, shard: int) -> Output:
        return decode_output(self._received(shard))

    def totals_of(self, shard: int) -> Totals:
        return decode_totals(self._received(shard))

    def _received(self, shard: int) -> bytes:
        try:
            return self._connections[shard].recv_bytes()
        except (EOFError, OSError) as error:
            raise _ended(shard) from error


def _ended(shard: int) -> BacktestError:
    return BacktestError(f"the process of shard {shard} ended before its work was done; it says why above")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def index(folder: Path, now_ms: int, processes: int, progress: Progress | None = None) -> EventFolder:
    """Index the folder with the shard of each line.

    Raises:
        EventFilesError: the folder holds no events, or what is there cannot be read.
    """
    if processes == 1:
        return EventFolder(folder, now_ms, progress)
    return EventFolder(folder, now_ms, progress, shard_of=shard_of(processes))


def shard_of(shards: int) -> partial[int]:
    """To which shard a borrower belongs, as the partitioner says."""
    return partial(_shard_of, shards)


@lru_cache(maxsize=_SHARDS_REMEMBERED)
def _shard_of(shards: int, borrower_id: str) -> int:
    return partition_of(borrower_id.encode(), shards)


@contextmanager
def crew(folder: EventFolder, setting: Setting) -> Iterator[Crew]:
    """The shards that `setting` counts, each in a process of its own if there are several, until the block ends."""
    if setting.shards == 1:
        with crew_here(folder, setting) as here:
            yield here
        return
    with tempfile.TemporaryDirectory(prefix="forewarn-backtest-") as shelf, _started(setting.shards) as pipes:
        folder.share(Path(shelf))
        for shard, pipe in enumerate(pipes):
            pipe.send_bytes(encode(msgspec.structs.replace(setting, shelf=shelf, shard=shard)))
        yield _Elsewhere(pipes)


@contextmanager
def crew_here(folder: EventFolder, setting: Setting) -> Iterator[Crew]:
    """The shards that `setting` counts, all in this process."""
    settings = [msgspec.structs.replace(setting, shard=shard) for shard in range(setting.shards)]
    yield _Here([Shard(own, folder.opened_again()) for own in settings])


@contextmanager
def _started(shards: int) -> Iterator[list[Connection]]:
    """As many processes, each listening to its pipe; they end with the block."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    try:
        for _ in range(shards):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there,), daemon=True)
            process.start()
            there.close()
            pipes.append(here)
            processes.append(process)
        yield pipes
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(_STOP_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


def _serve(leader: Connection) -> None:
    """A shard's process: answer until the leader has the totals, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the leader, whose pipe then closes
    garbage.look_rarely()
    try:
        shard = Shard(decode_setting(leader.recv_bytes()))
        while True:
            request = decode_request.decode(leader.recv_bytes())
            if isinstance(request, Finish):
                leader.send_bytes(encode(shard.totals()))
                return
            leader.send_bytes(encode(shard.answer(request)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
