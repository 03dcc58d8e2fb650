"""Writes a folder of the file contract: event files, `outcomes.jsonl`, `truth.jsonl`, all of them or none.

Everything is written under temporary names and renamed at the end, so that a broken run leaves no half folder that a
replay would take for a whole one.
"""

from __future__ import annotations

import gzip
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Literal, Self

import msgspec

from models.events import TOPICS, Topic
from models.judging import Outcome, Truth

FileStem = Literal["repayments", "fund-flows", "credit-queries", "servicing", "outcomes", "truth"]
FILE_STEMS: Final[tuple[FileStem, ...]] = (*TOPICS, "outcomes", "truth")

_PART_SUFFIX: Final = ".part"
_PACKING_LEVEL: Final = 1
"""Events shrink tenfold at the fastest level already; higher ones cost more time than the whole simulation."""


class FolderInUseError(Exception):
    """The folder holds event files that this run would not replace, so that two books would be mixed."""


class EventFolderWriter:
    """A context: lines go in with `write`; on a clean exit the files appear, on an error nothing does."""

    def __init__(self, folder: Path, stems: tuple[FileStem, ...], *, packed: bool = False) -> None:
        """Prepare to write the files named by `stems` (each will exist, be it empty).

        Args:
            folder: made where it does not exist.
            stems: the files to write.
            packed: write `.jsonl.gz` instead of `.jsonl`; the bytes depend on the lines alone.

        Raises:
            FolderInUseError: there are files of the contract that would stay beside the new ones.
        """
        self._folder = folder
        self._targets = {stem: folder / f"{stem}.jsonl{'.gz' if packed else ''}" for stem in stems}
        self._packed = packed
        self._stack = ExitStack()
        self._files: dict[FileStem, IO[bytes] | gzip.GzipFile] = {}
        self._refuse_mixture()

    def _refuse_mixture(self) -> None:
        targets = set(self._targets.values())
        candidates = (self._folder / f"{stem}{end}" for stem in FILE_STEMS for end in (".jsonl", ".jsonl.gz"))
        strangers = sorted(path.name for path in candidates if path not in targets and path.exists())
        if strangers:
            msg = f"{self._folder} already holds {', '.join(strangers)}: choose an empty folder"
            raise FolderInUseError(msg)

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        for stem, target in self._targets.items():
            part = target.with_name(target.name + _PART_SUFFIX)
            raw = self._stack.enter_context(part.open("wb", buffering=1 << 18))
            if self._packed:
                # No name and no time in the header: the same lines give the same bytes.
                packer = gzip.GzipFile("", "wb", _PACKING_LEVEL, raw, mtime=0)
                self._files[stem] = self._stack.enter_context(packer)
            else:
                self._files[stem] = raw
        return self

    def write(self, stem: FileStem | Topic, lines: bytes) -> None:
        """Append whole lines, each with its line end."""
        self._files[stem].write(lines)

    def write_one(self, stem: FileStem, value: Outcome | Truth) -> None:
        """Append one outcome or truth."""
        self._files[stem].write(msgspec.json.encode(value) + b"\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        for target in self._targets.values():
            part = target.with_name(target.name + _PART_SUFFIX)
            if kind is None:
                part.replace(target)
            else:
                part.unlink()
