"""Whether a borrower is held decoded or as bytes changes nothing but time and memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from models.alerts import Alert
from models.borrower import Borrower
from models.engine import UNFINISHED, RiskEngine
from models.events import CREDIT_QUERIES, REPAYMENTS, TOPICS, CreditQuery
from models.risk.scorecard import expert_prior
from streams.codec import Reject
from streams.event_files import EventFolder
from streams.simulator import SimulationSettings, write_folder
from tests.support.events import at, loan, query, rules

_KNOWN_BY_MS = 2_000_000_000_000
_TAKEN_EVERY = 7
_ADOPTED_AT = 2_500
_TAKEN_AMID_STEPS = 13
_THREE = ("b-1", "b-2", "b-3")
_TWENTY = 20


def test_an_engine_that_keeps_one_picture_hands_over_what_one_that_keeps_all_does(tmp_path: Path) -> None:
    """Of a simulated book every alert and record is the same, through changes of policy and card, too."""
    write_folder(SimulationSettings(borrowers=40, months=10, linked_share=0.3), tmp_path)
    few = RiskEngine(rules(), expert_prior())
    few.hold(1, decoded_max=1)
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
        few.let_go()
        assert _pictures_of(few) <= 1 + few.changed_count
        if number % _TAKEN_EVERY == 0:
            found, expected = few.take_output(0), all_of_them.take_output(0)
            assert found == expected, number
            assert _pictures_of(few) <= 1
            alerts += len(found.alerts)
            for message in found.messages:
                for engine in (few, all_of_them):
                    engine.hear(message.receiver, message.message, number)
    assert alerts > 50
    assert _pictures_of(all_of_them) == all_of_them.borrower_count == 40
    assert len(offsets) == len(TOPICS)


def test_an_engine_says_how_many_borrowers_it_decoded_since_it_handed_over_state() -> None:
    """Who is touched again is decoded once; who was let go of, once more; told to hold more, it keeps them."""
    engine = RiskEngine(rules(), expert_prior(), pictures_max=0)
    for number, borrower_id in enumerate(_THREE):
        engine.process(_query(borrower_id, 0), CREDIT_QUERIES, number)
    assert _decoded_by(engine) == 0  # they are new
    engine.take_output(0)
    for place, borrower_id in enumerate([*_THREE, *_THREE], start=1):
        engine.process(_query(borrower_id, place), CREDIT_QUERIES, 10 + place)
    assert _decoded_by(engine) == len(_THREE)
    engine.hold(2, decoded_max=100)
    engine.let_go()
    assert _pictures_of(engine) == len(_THREE)  # all have changed
    engine.take_output(0)
    assert (_decoded_by(engine), _pictures_of(engine)) == (0, 2)
    for borrower_id in _THREE:
        engine.process(_query(borrower_id, 9), CREDIT_QUERIES, 30)
    assert _decoded_by(engine) == 1


def test_an_engine_with_far_more_borrowers_than_it_may_hold_decoded_holds_but_a_few() -> None:
    """Up to four times as many it holds as many as it may; of one more each is asked for too seldom to be kept."""
    engine = RiskEngine(rules(), expert_prior())
    engine.hold(5, decoded_max=4)
    for number in range(_TWENTY):
        engine.process(_query(f"b-{number}", 0), CREDIT_QUERIES, number)
    engine.take_output(0)
    assert _pictures_of(engine) == 5
    engine.process(_query("one more", 1), CREDIT_QUERIES, _TWENTY)
    engine.take_output(0)
    assert _pictures_of(engine) == 1


def test_an_engine_has_decoded_enough_sooner_where_borrowers_come_seldom_and_never_where_all_fit() -> None:
    """Eight are the limit for up to four times as many borrowers as may be held, four for more; none for as many as may be."""
    assert [_decoded_until_enough(pictures_max) for pictures_max in (_TWENTY, 19, 5, 4)] == [None, 8, 8, 4]


def _decoded_until_enough(pictures_max: int) -> int | None:
    """Of twenty borrowers, held as bytes, who come one after the other."""
    engine = RiskEngine(rules(), expert_prior(), pictures_max=0)
    for number in range(_TWENTY):
        engine.process(_query(f"b-{number}", 0), CREDIT_QUERIES, number)
    engine.take_output(0)
    engine.hold(pictures_max, decoded_max=8)
    for number in range(_TWENTY):
        engine.process(_query(f"b-{number}", 1), CREDIT_QUERIES, _TWENTY + number)
        if engine.has_decoded_enough:
            return number + 1
    return None


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
    engine.hold(_TWENTY - 1, decoded_max=3)
    engine.advance(REPAYMENTS, at("2025-03-15"))
    assert engine.changed_count == _TWENTY
    assert _pictures_of(engine) < 3
    borrowed.advance(REPAYMENTS, at("2025-03-15"))
    assert engine.take_output(0).changed == borrowed.take_output(0).changed


def test_deadlines_passed_one_at_a_time_are_judged_as_if_all_at_once(tmp_path: Path) -> None:
    """Of a simulated book, with changes of policy and card: output is the same, and what is taken amid steps passes the rest first."""
    write_folder(SimulationSettings(borrowers=30, months=8, linked_share=0.3), tmp_path)
    stepping, at_once = RiskEngine(rules(), expert_prior()), RiskEngine(rules(), expert_prior())
    stepping.hold(2, decoded_max=2, deadlines_at_once=1)
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


def _hand_over(engine: RiskEngine, alerts: list[Alert], states: dict[str, bytes | None]) -> None:
    output = engine.take_output(0)
    alerts += output.alerts
    states.update(output.changed)


def _query(borrower_id: str, minute: int) -> CreditQuery:
    return query(
        "2025-03-03", f"bank-{minute}", borrower_id, event_time_ms=at("2025-03-03", f"12:{minute:02}")
    )


def _pictures_of(engine: RiskEngine) -> int:
    return sum(isinstance(known, Borrower) for known in engine._borrowers.values())


def _decoded_by(engine: RiskEngine) -> int:
    return engine._pictures.decoded
