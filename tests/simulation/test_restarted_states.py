"""What is remembered beside the state changes nothing of the state: a restart forgets the one and keeps the other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from models.borrower import Borrower, decode_borrower
from models.engine import RiskEngine
from models.risk.scorecard import expert_prior
from streams.codec import Reject
from streams.event_files import EventFolder
from streams.simulator import SimulationSettings, write_folder
from tests.support.events import rules
from tests.support.restarting import go_on

_RESTARTED_EVERY = 150
_KNOWN_BY_MS = 2_000_000_000_000


def test_states_do_not_tell_how_often_a_worker_was_restarted(tmp_path: Path) -> None:
    """Of a simulated book each record is the same, byte by byte, from an engine that goes on and from one begun again and again."""
    write_folder(SimulationSettings(borrowers=60, months=10), tmp_path)
    by = rules()
    lasting, restarted = RiskEngine(by, expert_prior()), RiskEngine(by, expert_prior())
    expected: dict[str, bytes | None] = {}
    changelog: dict[str, bytes | None] = {}
    offsets: Counter[int] = Counter()
    for number, line in enumerate(EventFolder(tmp_path, _KNOWN_BY_MS), start=1):
        if isinstance(line.content, Reject):
            continue
        for engine in (lasting, restarted):
            engine.process(line.content, line.topic_index, offsets[line.topic_index])
        offsets[line.topic_index] += 1
        if number % _RESTARTED_EVERY == 0:
            expected.update(lasting.take_output(0).changed)
            changelog.update(restarted.take_output(0).changed)
            assert _differences(expected, changelog) == []
            restarted = go_on(restarted, changelog, RiskEngine(by, expert_prior()))

    assert len(expected) == 60


def _differences(expected: dict[str, bytes | None], found: dict[str, bytes | None]) -> list[str]:
    """The fields that differ, by borrower."""
    return [
        f"{borrower_id}: {name}"
        for borrower_id, record in expected.items()
        if record != found.get(borrower_id)
        for name in _fields_that_differ(borrower_id, record, found.get(borrower_id))
    ]


def _fields_that_differ(borrower_id: str, expected: bytes | None, found: bytes | None) -> list[str]:
    if expected is None or found is None:
        return ["all of it"]
    one, other = decode_borrower(borrower_id, expected), decode_borrower(borrower_id, found)
    return [name for name in Borrower.__struct_fields__ if getattr(one, name) != getattr(other, name)]
