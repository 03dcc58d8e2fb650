"""Bytes of every format version, kept for ever: one folder a version, with a manifest that says what each file is.

A folder once written is not written again: what a release has left in somebody's changelog does not change either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec import Struct

_MANIFEST: Final = "manifest.json"
_SHAPE: Final = "shape.txt"


class KeptFile(Struct, frozen=True):
    """One record as a release wrote it."""

    name: str
    key: str
    """Whose record it is."""
    holds: str
    """What there is in it, for people."""
    sha256: str


class Manifest(Struct, frozen=True):
    """What a folder holds."""

    version: int
    files: tuple[KeptFile, ...]
    numbered: dict[str, tuple[str, ...]]
    """Lists of names of which the bytes hold the places."""


class KeptVersion:
    """The kept bytes of one format version."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest."""
        self.folder = folder
        self.manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
        self.shape = (folder / _SHAPE).read_text(encoding="utf-8")
        self.records = {file.key: (folder / file.name).read_bytes() for file in self.manifest.files}
        """By key."""

    def changed_files(self) -> list[str]:
        """Files that are not what the manifest says."""
        return [
            file.name
            for file in self.manifest.files
            if hashlib.sha256(self.records[file.key]).hexdigest() != file.sha256
        ]


def kept_versions(root: Path) -> list[KeptVersion]:
    """All versions under a folder, oldest first."""
    return sorted(
        (KeptVersion(manifest.parent) for manifest in root.glob(f"*/{_MANIFEST}")),
        key=lambda version: version.manifest.version,
    )


def for_each(versions: Sequence[KeptVersion]) -> pytest.MarkDecorator:
    """Run a test with each version that there ever was, as its argument `kept`."""
    return pytest.mark.parametrize(
        "kept", versions, ids=[f"version {kept.manifest.version}" for kept in versions]
    )


def keep(
    root: Path,
    version: int,
    shape: str,
    records: Mapping[str, tuple[str, bytes]],
    extension: str,
    numbered: Mapping[str, tuple[str, ...]],
) -> Path:
    """Write the folder of a new version; `records` are (what it holds, bytes) by key.

    Raises:
        SystemExit: there is one already.
    """
    folder = root / str(version)
    if folder.exists():
        raise SystemExit(
            f"{folder} is there already: bytes that were kept are not written again. Whoever changes the shape or the "
            f"meaning of what is written adds an upgrade, which raises the version"
        )
    folder.mkdir(parents=True)
    files = []
    for key, (holds, record) in records.items():
        name = f"{key}.{extension}"
        (folder / name).write_bytes(record)
        files.append(KeptFile(name, key, holds, hashlib.sha256(record).hexdigest()))
    manifest = Manifest(version, tuple(files), dict(numbered))
    (folder / _MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    (folder / _SHAPE).write_text(shape, encoding="utf-8")
    return folder
