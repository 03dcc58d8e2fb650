"""What a release has written, every later one reads and goes on from: proved on bytes kept of each version."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.borrower import (
    STATE_VERSION,
    Borrower,
    CorruptStateError,
    check_record,
    deadlines_in,
    deadlines_of,
    decode_borrower,
    encode_borrower,
    new_borrower,
)
from models.deadlines import NEVER
from models.signal_table import SIGNALS
from tests.models.keep_states import (
    FIRST_WITH_EXAMPLES,
    ROOT,
    alerts_after,
    alerts_of_a_life_without_a_break,
    examples_after,
    examples_of_a_life_without_a_break,
    keep_states,
    matured,
    numbered,
    told,
)
from tests.support.events import engine
from tests.support.kept import KeptVersion, for_each, kept_versions
from tests.support.shapes import shape_of

VERSIONS = kept_versions(ROOT)
PRESENT = VERSIONS[-1]
each_version = for_each(VERSIONS)


@cache
def longest() -> bytes:
    """The largest of the present version's records."""
    return max(PRESENT.records.values(), key=len)


def test_every_version_up_to_the_present_one_is_kept() -> None:
    """Whoever raises the version keeps its bytes: `python -m tests.models.keep_states`."""
    assert [kept.manifest.version for kept in VERSIONS] == list(range(1, STATE_VERSION + 1))


def test_the_shape_is_that_of_the_present_version() -> None:
    """Whoever changes what a state is made of raises its version, with an upgrade in `models/borrower.py`."""
    assert shape_of(Borrower) == PRESENT.shape


@each_version
def test_numbers_mean_what_they_meant(kept: KeptVersion) -> None:
    """Topics and signals are written as their place in a list, which grows at its end alone."""
    for name, words in kept.manifest.numbered.items():
        assert numbered()[name][: len(words)] == words


@each_version
def test_kept_bytes_are_those_that_were_written(kept: KeptVersion) -> None:
    """Nobody has mended a file to make it fit."""
    assert kept.changed_files() == []


@each_version
def test_every_record_is_read(kept: KeptVersion) -> None:
    """By its whole body and by its header alone."""
    for borrower_id, record in kept.records.items():
        borrower = decode_borrower(borrower_id, record)
        assert check_record(borrower_id, record) == deadlines_of(borrower)
        assert deadlines_in(borrower_id, record) == deadlines_of(borrower)


def test_the_kept_borrowers_have_everything() -> None:
    """No kind of evidence is missing from the proof."""
    borrowers = [decode_borrower(borrower_id, record) for borrower_id, record in PRESENT.records.items()]

    nothing = new_borrower(0)
    for field in Borrower.__struct_fields__:
        assert any(getattr(borrower, field) != getattr(nothing, field) for borrower in borrowers), field
    episodes = [episode for borrower in borrowers for episode in borrower.episodes]
    assert {SIGNALS[episode.signal].name for episode in episodes} == {kind.name for kind in SIGNALS}
    loans = [loan for borrower in borrowers for loan in borrower.loans.values()]
    assert {(episode.closed_ms is None, episode.retracted) for episode in episodes} == {
        (True, False),
        (False, False),
        (False, True),
    }
    assert any(payment.reversals for loan in loans for payment in loan.payments)
    assert any(loan.reschedules_ms for loan in loans)
    assert any(loan.limits_minor for loan in loans)
    assert any(line.minimum_minor for loan in loans for line in loan.lines)
    assert any(ids.previous for borrower in borrowers for ids in borrower.seen)


def test_the_present_version_writes_what_it_read() -> None:
    """Reading and writing change no byte of what is said; another release of zstd may compress it otherwise."""
    for borrower_id, record in PRESENT.records.items():
        borrower = decode_borrower(borrower_id, record)
        again = encode_borrower(borrower)
        assert check_record(borrower_id, again) == check_record(borrower_id, record)
        assert msgspec.msgpack.encode(decode_borrower(borrower_id, again)) == msgspec.msgpack.encode(borrower)


def test_a_record_is_about_half_of_what_it_says() -> None:
    """Which is why it is compressed."""
    borrowers = [decode_borrower(borrower_id, record) for borrower_id, record in PRESENT.records.items()]
    said = sum(len(msgspec.msgpack.encode(borrower)) for borrower in borrowers)

    assert sum(len(encode_borrower(borrower)) for borrower in borrowers) < 0.6 * said


@each_version
def test_an_older_version_is_written_as_the_present_one(kept: KeptVersion) -> None:
    """An upgraded state is written in the present form, and comes back as the same."""
    for borrower_id, record in kept.records.items():
        borrower = decode_borrower(borrower_id, record)
        again = encode_borrower(borrower)
        assert decode_borrower(borrower_id, again) == borrower
        assert again[0] == STATE_VERSION


@each_version
def test_what_follows_is_what_was_kept_with_it(kept: KeptVersion) -> None:
    """Restored from kept bytes, the engine tells the alerts that it told then (`--alerts` where rules have changed)."""
    expected = [
        msgspec.json.decode(line) for line in (kept.folder / "alerts.jsonl").read_bytes().splitlines()
    ]
    actual: list[Any] = [told(alert) for alert in alerts_after(kept)]

    assert len(expected) > 50
    assert msgspec.to_builtins(actual) == expected


@pytest.mark.parametrize("kept", [kept for kept in VERSIONS if kept.manifest.version >= FIRST_WITH_EXAMPLES])
def test_what_matures_is_what_was_kept_with_it(kept: KeptVersion) -> None:
    """What was pending in kept bytes becomes the examples that it became then, and what an engine without a break hands out."""
    expected = [
        msgspec.json.decode(line) for line in (kept.folder / "examples.jsonl").read_bytes().splitlines()
    ]

    assert len(expected) > 20
    assert msgspec.to_builtins([matured(example) for example in examples_after(kept)]) == expected
    if kept is PRESENT:
        assert examples_after(kept) == examples_of_a_life_without_a_break(kept)


@pytest.mark.parametrize("kept", [kept for kept in VERSIONS if kept.manifest.version < FIRST_WITH_EXAMPLES])
def test_borrowers_of_older_versions_are_observed_from_now_on(kept: KeptVersion) -> None:
    """Nothing was pending then; who has an open loan is looked at within a month, each on a day of its own."""
    borrowers = [decode_borrower(borrower_id, record) for borrower_id, record in kept.records.items()]

    assert all(borrower.observations == [] for borrower in borrowers)
    assert all((borrower.observation_due_ms == NEVER) == (not borrower.loans) for borrower in borrowers)
    assert len({borrower.observation_due_ms for borrower in borrowers if borrower.loans}) > 1
    assert len(examples_after(kept)) > 10


def test_a_restored_engine_goes_on_as_one_that_never_stopped() -> None:
    """Alert for alert, to the last byte of the chain. Where this fails, a field has changed its meaning: raise the version."""
    assert alerts_after(PRESENT) == alerts_of_a_life_without_a_break(PRESENT)


def test_bytes_once_kept_are_not_overwritten(tmp_path: Path) -> None:
    """A second keeping of the same version is refused, and leaves the first as it was."""
    folder = keep_states(tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    with pytest.raises(SystemExit, match="not written again"):
        keep_states(tmp_path)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@given(st.data(), st.integers(1, 255))
def test_any_changed_byte_of_any_record_is_found_and_named(data: st.DataObject, change: int) -> None:
    """Wherever it is, before anything is taken from the record; the message names the borrower."""
    borrower_id = data.draw(st.sampled_from(sorted(PRESENT.records)))
    record = bytearray(PRESENT.records[borrower_id])
    record[data.draw(st.integers(0, len(record) - 1))] ^= change

    for read in (decode_borrower, check_record, engine().restore):
        with pytest.raises(CorruptStateError, match=f"'{borrower_id}'"):
            read(borrower_id, bytes(record))


def test_every_single_place_is_watched() -> None:
    """No byte of the longest record may change without notice, nor may it end early or go on."""
    record = longest()
    broken = [
        record[:place] + bytes([record[place] ^ 1]) + record[place + 1 :] for place in range(len(record))
    ]
    broken += [record[:length] for length in range(len(record))]
    broken += [record + b"\0", record + record]

    for damaged in broken:
        with pytest.raises(CorruptStateError):
            check_record("b", damaged)
