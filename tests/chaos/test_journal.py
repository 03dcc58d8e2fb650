"""The journal remembers finished cycles, and only those of the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tests.chaos.journal import Finished, Journal, Parameters

ONE = Parameters(1, 7, ("kill -9", "zombie"))


def finished(number: int, parameters: Parameters = ONE, **changes: Any) -> Finished:
    """A cycle in which all was well."""
    plain = Finished(
        parameters=parameters,
        cycle=number,
        fault=parameters.faults[number % len(parameters.faults)],
        events=1_000,
        alerts=10,
        missing=0,
        doubled=0,
        different=0,
        pause_ms=1_500,
        restarts=1,
        seconds=20.0,
        problems=[],
        evidence=None,
    )
    return msgspec.structs.replace(plain, **changes)


def test_what_was_added_is_found_again(tmp_path: Path) -> None:
    """By another process, later."""
    Journal(tmp_path / "deep" / "journal.jsonl").add(finished(0))
    Journal(tmp_path / "deep" / "journal.jsonl").add(finished(1))

    assert Journal(tmp_path / "deep" / "journal.jsonl").finished(ONE) == {0: finished(0), 1: finished(1)}


def test_cycles_of_other_parameters_are_none_of_ours(tmp_path: Path) -> None:
    """Another seed, cluster or choice of faults is another run in the same file."""
    journal = Journal(tmp_path / "journal.jsonl")
    others = [Parameters(3, 7, ONE.faults), Parameters(1, 8, ONE.faults), Parameters(1, 7, ONE.faults[:1])]
    for parameters in others:
        journal.add(finished(0, parameters))

    assert journal.finished(ONE) == {}


def test_a_line_cut_off_is_no_cycle_and_harms_none_behind_it(tmp_path: Path) -> None:
    """Killed while it was written: that cycle is run again."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.add(finished(0))
    journal.path.write_bytes(journal.path.read_bytes() + b'{"parameters": {"brok')
    cut_off = journal.finished(ONE)
    journal.add(finished(1))

    assert cut_off == {0: finished(0)}
    assert journal.finished(ONE) == {0: finished(0), 1: finished(1)}


def test_only_a_cycle_without_any_fault_has_passed() -> None:
    """Missing, doubled, different, or somebody who did not do as they had to."""
    wrong: list[dict[str, Any]] = [
        {"missing": 1},
        {"doubled": 1},
        {"different": 1},
        {"problems": ["it lives on"]},
    ]

    assert finished(0).passed
    assert not any(finished(0, **changes).passed for changes in wrong)
