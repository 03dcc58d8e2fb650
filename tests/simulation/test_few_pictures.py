"""Whether a borrower is held decoded or as bytes changes nothing but time and memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from models.alerts import Alert
from models.borrower import Borrower
from models.engine import UNFINISHED, RiskEngine
from models.events import CREDIT_QUERIES, REPAYMENTS, TOPICS, CreditQuery
from models.pictures import _PASSING_MAX
from models.risk.scorecard import expert_prior
from streams.codec import Reject
from streams.event_files import EventFolder
from streams.simulator import SimulationSettings, write_folder
from tests.support.events import at, loan, query, rules
from tests.support.restarting import go_on

_KNOWN_BY_MS = 2_000_000_000_000
_TAKEN_EVERY = 7
_ADOPTED_AT = 2_500
_TAKEN_AMID_STEPS = 13
_TWENTY = 20


def test_an_engine_that_keeps_few_pictures_hands_over_what_one_that_keeps_all_does(tmp_path: Path) -> None:
    """Of a simulated book every alert and record is the same, through changes of policy and card, too."""
    write_folder(SimulationSettings(borrowers=40, months=10, linked_share=0.3), tmp_path)
    few = RiskEngine(rules(), expert_prior())
    few.hold(10)
    all_of_them = RiskEngine(rules(), expert_prior(), pictures_max=10**9)
    other = msgspec.structs.replace(expert_prior(), bias=expert_prior().bias + 0.5)
    offsets: Counter[int] = Counter()
    alerts = 0
    for number, line in enumerate(EventFolder(tmp_path, _KNOWN_BY_MS), start=1):
        if isinstance(line.content, Reject):
            continue
        offset = offsets[line.topic_index]
        offsets[line.topic_index] += 1
        for engine in (few, all_of_them):
            engine.process(line.content, line.topic_index, offset)
            if number == _ADOPTED_AT:
                later_ms = engine.watermarks_ms[0] + 86_400_000
                engine.adopt(1, rules("[signals.missed_payment]\ngrace_days = 2\n"), later_ms)
                engine.adopt_card(1, other, later_ms + 86_400_000)
        assert len(_decoded(few)) <= 10 + _PASSING_MAX + few.changed_count
        if number % _TAKEN_EVERY == 0:
            found, expected = few.take_output(0), all_of_them.take_output(0)
            assert found == expected, number
            assert len(_decoded(few)) <= 10
            alerts += len(found.alerts)
            for message in found.messages:
                for engine in (few, all_of_them):
                    engine.hear(message.receiver, message.message, number)
    assert alerts > 50
    assert len(_decoded(all_of_them)) == all_of_them.borrower_count == 40
    assert len(offsets) == len(TOPICS)


def test_an_engine_keeps_as_many_decoded_as_there_is_room_for_and_the_others_become_records_at_once() -> None:
    """Of sixty borrowers forty are kept; the others are packed a few at a time, and the same ones stay."""
    engine = RiskEngine(rules(), expert_prior(), pictures_max=40)
    borrowers = [f"b-{number}" for number in range(60)]
    _ask(engine, borrowers, minute=0)
    engine.take_output(0)
    kept = _decoded(engine)
    assert len(kept) == 40
    for borrower_id in borrowers:
        _ask(engine, [borrower_id], minute=1)
        assert _decoded(engine) >= kept
        assert len(_decoded(engine)) <= 40 + _PASSING_MAX
    assert engine.changed_count == 60
    engine.take_output(0)
    assert _decoded(engine) == kept


def test_an_engine_with_far_more_borrowers_than_it_may_keep_decoded_keeps_none() -> None:
    """Up to four times as many it keeps as many as it may; with one more, none."""
    engine = RiskEngine(rules(), expert_prior(), pictures_max=5)
    _ask(engine, [f"b-{number}" for number in range(_TWENTY)], minute=0)
    engine.take_output(0)
    assert len(_decoded(engine)) == 5
    _ask(engine, ["one more"], minute=1)
    engine.take_output(0)
    assert _decoded(engine) == set()


def test_an_engine_that_may_keep_more_or_fewer_does_so_from_the_next_output_on() -> None:
    """As when a worker is given another task, or has one taken away."""
    engine = RiskEngine(rules(), expert_prior(), pictures_max=5)
    borrowers = [f"b-{number}" for number in range(_TWENTY)]
    for minute, pictures_max in enumerate((5, 12, 7, _TWENTY)):
        engine.hold(pictures_max)
        _ask(engine, borrowers, minute)
        engine.take_output(0)
        assert len(_decoded(engine)) == pictures_max


def test_deadlines_that_pass_together_leave_few_borrowers_decoded() -> None:
    """Twenty borrowers are observed before one event: each has changed, and hardly any is held decoded meanwhile."""
    borrowed = RiskEngine(rules(), expert_prior())
    for number in range(_TWENTY):
        borrowed.process(loan("2025-01-01", [("2025-12-31", 50_000)], f"b-{number}"), REPAYMENTS, number)
    states = borrowed.take_output(0).changed
    engine = RiskEngine(rules(), expert_prior())
    for borrower_id, record in states.items():
        assert record is not None
        engine.restore(borrower_id, record)
    engine.resume(borrowed.progress())
    engine.hold(2)
    engine.advance(REPAYMENTS, at("2025-03-15"))
    assert engine.changed_count == _TWENTY
    assert len(_decoded(engine)) < _PASSING_MAX
    borrowed.advance(REPAYMENTS, at("2025-03-15"))
    assert engine.take_output(0).changed == borrowed.take_output(0).changed


def test_deadlines_passed_one_at_a_time_are_judged_as_if_all_at_once(tmp_path: Path) -> None:
    """Of a simulated book, with changes of policy and card: output is the same, also where it is taken amid steps, in parts."""
    write_folder(SimulationSettings(borrowers=30, months=8, linked_share=0.3), tmp_path)
    stepping, at_once = RiskEngine(rules(), expert_prior()), RiskEngine(rules(), expert_prior())
    stepping.hold(2, deadlines_at_once=1)
    other = msgspec.structs.replace(expert_prior(), bias=expert_prior().bias + 0.5)
    offsets: Counter[int] = Counter()
    alerts: tuple[list[Alert], list[Alert]] = ([], [])
    states: tuple[dict[str, bytes | None], dict[str, bytes | None]] = ({}, {})
    steps = 0
    for number, line in enumerate(EventFolder(tmp_path, _KNOWN_BY_MS), start=1):
        if isinstance(line.content, Reject):
            continue
        offset = offsets[line.topic_index]
        offsets[line.topic_index] += 1
        at_once.process(line.content, line.topic_index, offset)
        while stepping.process(line.content, line.topic_index, offset) == UNFINISHED:
            steps += 1
            assert stepping.is_passing
            if steps % _TAKEN_AMID_STEPS == 0:
                _hand_over(stepping, alerts[0], states[0])
                assert stepping.is_passing
        if number == _ADOPTED_AT:
            for engine in (stepping, at_once):
                later_ms = engine.watermarks_ms[0] + 86_400_000
                engine.adopt(1, rules("[signals.missed_payment]\ngrace_days = 2\n"), later_ms)
                engine.adopt_card(1, other, later_ms + 86_400_000)
        if number % _TAKEN_EVERY == 0:
            _hand_over(stepping, alerts[0], states[0])
            _hand_over(at_once, alerts[1], states[1])
            assert states[0] == states[1], number
            assert stepping.watermarks_ms == at_once.watermarks_ms
    assert steps > 400
    assert len(alerts[1]) >= 50
    assert alerts[0] == alerts[1]


def test_an_engine_goes_on_amid_deadlines_where_another_stopped(tmp_path: Path) -> None:
    """Of a simulated book whose deadlines are passed one at a time: with an engine anew after every few of them all output is the same."""
    write_folder(SimulationSettings(borrowers=40, months=8), tmp_path)
    stepping, at_once = RiskEngine(rules(), expert_prior()), RiskEngine(rules(), expert_prior())
    stepping.hold(2, deadlines_at_once=1)
    offsets: Counter[int] = Counter()
    alerts: tuple[list[Alert], list[Alert]] = ([], [])
    states: tuple[dict[str, bytes | None], dict[str, bytes | None]] = ({}, {})
    steps = 0
    for line in EventFolder(tmp_path, _KNOWN_BY_MS):
        if isinstance(line.content, Reject):
            continue
        offset = offsets[line.topic_index]
        offsets[line.topic_index] += 1
        at_once.process(line.content, line.topic_index, offset)
        while stepping.process(line.content, line.topic_index, offset) == UNFINISHED:
            steps += 1
            if steps % _TAKEN_AMID_STEPS == 0:
                _hand_over(stepping, alerts[0], states[0])
                stepping = go_on(stepping, states[0], RiskEngine(rules(), expert_prior()))
                stepping.hold(2, deadlines_at_once=1)
                assert stepping.is_passing
    _hand_over(stepping, alerts[0], states[0])
    _hand_over(at_once, alerts[1], states[1])
    assert steps > 400
    assert len(alerts[1]) >= 50
    assert alerts[0] == alerts[1]
    assert states[0] == states[1]
    assert stepping.progress() == at_once.progress()


def _hand_over(engine: RiskEngine, alerts: list[Alert], states: dict[str, bytes | None]) -> None:
    output = engine.take_output(0)
    alerts += output.alerts
    states.update(output.changed)


def _query(borrower_id: str, minute: int) -> CreditQuery:
    return query(
        "2025-03-03", f"bank-{minute}", borrower_id, event_time_ms=at("2025-03-03", f"12:{minute:02}")
    )


def _ask(engine: RiskEngine, borrower_ids: Sequence[str], minute: int) -> None:
    for number, borrower_id in enumerate(borrower_ids):
        engine.process(_query(borrower_id, minute), CREDIT_QUERIES, 1_000 * minute + number)


def _decoded(engine: RiskEngine) -> set[str]:
    return {borrower_id for borrower_id, known in engine._borrowers.items() if isinstance(known, Borrower)}
