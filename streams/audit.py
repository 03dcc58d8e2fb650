"""Proves the chains of alerts: in the topic, against the changelog's progress records, or in a file of a backtest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from models.alerts import ChainHead
from models.audit import Break, ChainReport, ChainVerifier, without_content
from streams.looking import Looker
from streams.progress import decode_progress, progress_key
from streams.topics import TopicNames

LINE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A longer line is no alert: the topic holds none above 1 MiB and some."""
_MARKER_LOOKS: Final = 10
_MARKER_SECONDS: Final = 0.2
"""A commit shows in one partition a moment before it shows in the other: what seems to be missing is looked for again."""


class Proof(Struct, frozen=True):
    """What was proved of one chain, and where it stands."""

    where: str
    partition: int | None
    """None in a file, whose offsets are numbers of lines."""
    report: ChainReport


def prove_partition(
    inspector: Looker, names: TopicNames, partition: int, from_offset: int | None = None
) -> Proof:
    """Read one partition of the alerts to its end and prove its chain.

    The progress record is read before and after: what it says before must be in the log, and the log must not go beyond
    what it says after. Workers may go on publishing meanwhile.

    Raises:
        InspectionError: Kafka does not answer.
        CorruptProgressError: the progress record cannot be trusted.
    """
    before = _head(inspector, names, partition)
    start, _ = inspector.span(names.alerts, partition)
    verifier = ChainVerifier(_begin(start, from_offset), before)
    _read_on(verifier, inspector, names, partition, from_offset)
    for _ in range(_MARKER_LOOKS):
        if not verifier.awaits_more:
            break
        time.sleep(_MARKER_SECONDS)
        _read_on(verifier, inspector, names, partition, verifier.next_offset)
    # Without any progress record no worker has published: an alert in the log is not theirs.
    after = _head(inspector, names, partition) or ChainHead()
    for _ in range(_MARKER_LOOKS):
        if after.sequence >= verifier.last_sequence:
            break
        time.sleep(_MARKER_SECONDS)
        after = _head(inspector, names, partition) or ChainHead()
    return Proof(names.alerts, partition, verifier.finish(after))


def _read_on(
    verifier: ChainVerifier, inspector: Looker, names: TopicNames, partition: int, from_offset: int | None
) -> None:
    for record in inspector.read(names.alerts, [partition], from_offset=from_offset):
        verifier.take(record.value, record.offset)


def _begin(start: int, from_offset: int | None) -> Literal["first", "retention", "asked"]:
    if from_offset is not None and from_offset > start:
        return "asked"
    return "retention" if start > 0 else "first"


def _head(inspector: Looker, names: TopicNames, partition: int) -> ChainHead | None:
    record = inspector.latest_near_end(names.state, partition, progress_key(partition))
    return None if record is None else decode_progress(record).engine.chain


def prove_file(file: Path, *, trust_first: bool = False) -> Proof:
    """Prove the chain in a file of alerts, one a line, as `backtest` and `export` write it.

    Nothing tells where such a chain ends: compare its head. With `trust_first` it may begin amid the chain.

    Raises:
        OSError: it cannot be read.
    """
    verifier = ChainVerifier("asked" if trust_first else "first")
    for number, line in _lines(file):
        verifier.take(line, number)
    return Proof(str(file), None, verifier.finish())


def _lines(file: Path) -> Iterator[tuple[int, bytes | None]]:
    """Number and content of each line that is not blank; None for what is too long to be an alert."""
    with file.open("rb") as stream:
        number = 0
        while line := stream.readline(LINE_BYTES_MAX + 1):
            number += 1
            if len(line) > LINE_BYTES_MAX:
                yield number, None
                return  # what comes behind it does not matter any more, and may be as long as it likes
            if content := line.rstrip(b"\r\n"):
                yield number, content


def export(
    inspector: Looker, names: TopicNames, partition: int, file: Path, without: frozenset[str]
) -> tuple[int, int]:
    """Write a partition of the alerts to a file, a line each; return how many, and how many of them erased.

    Of the borrowers in `without` nothing is written but the links of their alerts. The bytes of all others are those of the
    topic.

    Raises:
        InspectionError: Kafka does not answer.
        OSError: the file cannot be written, or is there already.
        ValueError: a record to be erased is no alert.
    """
    erased_keys = {borrower_id.encode() for borrower_id in without}
    written = erased = 0
    with file.open("xb") as stream:
        for record in inspector.read(names.alerts, [partition]):
            content = record.value or b""
            if record.key in erased_keys:
                content = without_content(content)
                erased += 1
            stream.write(content + b"\n")
            written += 1
    return written, erased


def told(proof: Proof) -> Iterable[str]:
    """A proof in lines for the eye."""
    report = proof.report
    name = proof.where if proof.partition is None else f"{proof.where} {proof.partition}"
    verdict = "whole" if report.is_whole else "BROKEN"
    yield f"{name}: {verdict}, {report.records:,} records{_span(report)}"
    yield from (f"  {line}" for line in _remarks(proof, report))


def _span(report: ChainReport) -> str:
    if report.head_hash is None:
        return ""
    return f", proved {report.first_sequence} to {report.last_sequence}, head {report.head_hash}"


def _remarks(proof: Proof, report: ChainReport) -> Iterator[str]:
    found = report.first_break
    if found is not None:
        yield _told_break(found, "line" if proof.partition is None else "offset")
    if report.begin == "retention" and report.first_sequence is not None:
        gone = report.first_sequence - 1
        yield f"retention deleted {gone:,} alerts before: begun with what the first one left says of them"
    if report.erased:
        yield f"{report.erased:,} erased: their places are proved, their contents are gone"
    if report.begin == "asked":
        yield "begun where it was asked to: what stands before was not looked at"
    if not report.head_compared and proof.partition is not None:
        yield "there is no progress record to compare the end with"


def _told_break(found: Break, unit: str) -> str:
    alert = "" if found.sequence is None else f", alert {found.sequence}"
    return f"{found.kind} at {unit} {found.offset}{alert}: {found.detail}"
