"""A progress record of any version is read by every later one: proved on bytes kept of each."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from models.events import TOPICS
from streams.progress import (
    PROGRESS_VERSION,
    CorruptProgressError,
    Progress,
    decode_progress,
    encode_progress,
)
from tests.streams.keep_progress import ROOT, keep_progress
from tests.support.kept import KeptVersion, for_each, kept_versions
from tests.support.shapes import shape_of

VERSIONS = kept_versions(ROOT)
PRESENT = VERSIONS[-1]
each_version = for_each(VERSIONS)
_FIRST_AMID_DEADLINES = 4


def test_every_version_up_to_the_present_one_is_kept() -> None:
    """Whoever raises the version keeps its bytes: `python -m tests.streams.keep_progress`."""
    assert [kept.manifest.version for kept in VERSIONS] == list(range(1, PROGRESS_VERSION + 1))


def test_the_shape_is_that_of_the_present_version() -> None:
    """Whoever changes what progress is made of raises its version, with an upgrade in `streams/progress.py`."""
    assert shape_of(Progress) == PRESENT.shape


@each_version
def test_kept_bytes_are_those_that_were_written_in_the_same_order_of_topics(kept: KeptVersion) -> None:
    """Nobody has mended a file to make it fit; offsets are told apart by their place alone."""
    assert kept.changed_files() == []
    assert kept.manifest.numbered["topics"] == TOPICS


@each_version
def test_every_record_says_what_it_said(kept: KeptVersion) -> None:
    """To the last number; what a later version added to it is none of its business."""
    for key, record in kept.records.items():
        progress = decode_progress(record)
        for name, value in msgspec.json.decode((kept.folder / f"{key}.json").read_bytes()).items():
            found = msgspec.json.decode(msgspec.json.encode(getattr(progress, name)))
            if name == "offsets" and kept.manifest.version == 1:
                value = [*value, 0]  # noqa: PLW2901 - messages of linked borrowers are read from the beginning
            if name == "engine" and kept.manifest.version < _FIRST_AMID_DEADLINES:
                value = [*value, None]  # noqa: PLW2901 - nobody stood amid deadlines
            assert found == value, (key, name)


def test_the_present_version_writes_what_it_read() -> None:
    """Reading and writing change no byte."""
    for record in PRESENT.records.values():
        assert encode_progress(decode_progress(record)) == record


@each_version
def test_every_single_place_is_watched(kept: KeptVersion) -> None:
    """No byte may change without notice, and no record may end early or go on."""
    for record in kept.records.values():
        broken = [record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :] for at in range(len(record))]
        broken += [record[:length] for length in range(len(record))]
        for damaged in [*broken, record + b"\0"]:
            with pytest.raises(CorruptProgressError):
                decode_progress(damaged)


def test_bytes_once_kept_are_not_overwritten(tmp_path: Path) -> None:
    """A second keeping of the same version is refused."""
    keep_progress(tmp_path)

    with pytest.raises(SystemExit, match="not written again"):
        keep_progress(tmp_path)
