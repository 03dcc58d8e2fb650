"""Lives to be copied: what the engine remembers of simulated borrowers after a year, and what happens to them then.

A million borrowers cannot be simulated in minutes, but some hundred can. Each copy of one goes on as its model does, so at any
number of borrowers a borrower's month is the same: as many events of each kind, as many deadlines, a state as large. What
a copy cannot have is a linked borrower of its own, so nobody has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import groupby
from typing import Final

from msgspec import Struct

from models.calendars import DAY_MS
from models.engine import RiskEngine
from models.events import TOPICS
from models.policy import default_policy
from models.risk.scorecard import expert_prior
from models.rules import Rules
from streams.codec import Decoder, NotAnEvent
from streams.progress import Progress
from streams.simulator import SimulationSettings, simulate
from streams.simulator.delivery import Delivery

HISTORY_MONTHS: Final = 12
"""Remembered before the measuring begins: states have their size then."""
START: Final = date(2021, 1, 1)
"""Ten years would fit behind it; nothing may lie ahead of the clock."""
_EVENTS_PER_TAKE: Final = 8_192
_LATER_MS: Final = 10**13
"""The time of the reading: everything simulated lies in its past."""


class Lives(Struct, frozen=True):
    """What there is to be copied."""

    states: dict[str, bytes]
    """By the borrower's id: its sealed state record after the history, whatever the id."""
    progress: Progress
    """Of the one task that all of them were in."""
    later: list[Delivery]
    """What happens to them then, in the order of delivery."""
    later_days: float


def simulated(count: int, months: int, seed: int) -> Lives:
    """Let the engine, with the packaged policy and the prior card, take the history of so many borrowers.

    Args:
        count: borrowers.
        months: simulated behind the history.
        seed: of the simulator.
    """
    book = SimulationSettings(
        seed=seed, borrowers=count, months=HISTORY_MONTHS + months, start=START, linked_share=0.0
    )
    deliveries = simulate(book)
    engine = RiskEngine(Rules(default_policy()), expert_prior())
    states: dict[str, bytes] = {}
    later: list[Delivery] = []
    for is_history, some in groupby(deliveries, _is_history):
        if is_history:
            _remember(engine, some, states)
        else:
            later += some
    kept = engine.progress()
    progress = Progress(
        task=0,
        partition_count=1,
        offsets=(0,) * (len(TOPICS) + 1),
        merge_keys_ms=(later[0].place_ms - 1,) * len(TOPICS),
        engine=kept,
        policy_version=engine.policy_version,
        card_version=engine.card_version,
        policies=engine.adopted,
        cards=engine.adopted_cards,
    )
    return Lives(states, progress, later, (later[-1].place_ms - later[0].place_ms) / DAY_MS)


_HISTORY_ENDS: Final = date(START.year + HISTORY_MONTHS // 12, START.month, START.day)
_HISTORY_ENDS_MS: Final = (_HISTORY_ENDS - date(1970, 1, 1)).days * DAY_MS


def _is_history(delivery: Delivery) -> bool:
    return delivery.place_ms < _HISTORY_ENDS_MS


def _remember(engine: RiskEngine, history: Iterator[Delivery], states: dict[str, bytes]) -> None:
    decoders = {topic: (feed, Decoder(topic, keyed=False)) for feed, topic in enumerate(TOPICS)}
    for number, delivery in enumerate(history, start=1):
        feed, decoder = decoders[delivery.topic]
        event = decoder.decode(delivery.payload, None, _LATER_MS)
        assert not isinstance(event, NotAnEvent), delivery
        refused = engine.process(event, feed, number)
        assert refused is None, (refused, delivery)
        if number % _EVENTS_PER_TAKE == 0:
            _take_states(engine, states)
    _take_states(engine, states)


def _take_states(engine: RiskEngine, states: dict[str, bytes]) -> None:
    for borrower_id, state in engine.take_output(0).changed.items():
        assert state is not None, borrower_id
        states[borrower_id] = state
