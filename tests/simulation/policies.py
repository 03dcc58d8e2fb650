"""Policies that are published, and gone back from, amid a run, and the engine that switches at the same instants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from models.borrower import CLOCKS, decode_borrower, encode_borrower
from models.calendars import DAY_MS
from models.engine import RiskEngine
from models.policy import default_policy, parse_policy
from models.risk.scorecard import expert_prior
from models.rulebook import SINCE_EVER_MS, Adopted
from models.rules import Rules
from streams.bootstrap import RiskEngineMaker
from streams.memory.broker import MemoryBroker
from streams.policies import publication_records
from streams.ports import EngineMaker, Logs
from streams.reference import Pointer
from tests.simulation.lives import START_MS
from tests.simulation.network import Trace
from tests.simulation.plan import PolicyName, Publishing
from tests.support.oracle import Outcome

CARD: Final = expert_prior()
RULES: Final[Mapping[PolicyName, Rules]] = {
    "default": Rules(default_policy()),
    "stricter": Rules(
        parse_policy(
            """
            [[combinations]]
            signal = "missed_payment"
            severity_max = "warning"
            confirmed_by = "income_drop"
            confirmed_severity_min = "watch"
            [signals.missed_payment]
            severity = { warning = 3, serious = 14 }
            [signals.multi_platform_borrowing]
            severity = { watch = 1, warning = 2, serious = 4 }
            """,
            "stricter.toml",
        )
    ),
    "looser": Rules(
        parse_policy(
            """
            [signals.missed_payment]
            grace_days = 5
            [signals.multi_platform_borrowing]
            severity = { watch = 6, warning = 7 }
            [segments.own]
            match = { platform = "own" }
            [segments.own.signals.missed_payment]
            severity = { warning = 20 }
            """,
            "looser.toml",
        )
    ),
}
_UNUSABLE_VERSION: Final = "0123456789abcdef"
_BETWEEN_RECORDS_MS: Final = 10
"""The records of a publication are not written at once: who reads meanwhile sees a part of them."""


async def publish(publishings: Sequence[Publishing], broker: MemoryBroker, topic: str, trace: Trace) -> None:
    """Write each publication at its time."""
    passed_ms = 0
    for number, publishing in enumerate(publishings, start=1):
        await asyncio.sleep(max(0, publishing.at_ms - passed_ms) / 1000)
        passed_ms = max(passed_ms, publishing.at_ms)
        from_ms = SINCE_EVER_MS if publishing.from_day is None else START_MS + publishing.from_day * DAY_MS
        trace.note(f"publication {number}: {publishing.policy}, effective from {from_ms}")
        for key, value in _records(publishing, from_ms, number):
            broker.produce(topic, 0, key, value)
            await asyncio.sleep(_BETWEEN_RECORDS_MS / 1000)
            passed_ms += _BETWEEN_RECORDS_MS


def _records(publishing: Publishing, from_ms: int, number: int) -> list[tuple[bytes, bytes]]:
    known = RULES["default" if publishing.policy == "unusable" else publishing.policy]
    if publishing.policy != "unusable":
        return publication_records(known.policy, Pointer(known.policy_version, from_ms, number, number))
    _, *pointers = publication_records(known.policy, Pointer(_UNUSABLE_VERSION, from_ms, number, number))
    return [(_UNUSABLE_VERSION.encode(), b'{"time_zone": "nowhere"'), *pointers]


def last_usable(publishings: Sequence[Publishing]) -> int:
    """The number of the publication that everybody must have taken up in the end; 0 where there is none."""
    usable = (number for number, one in enumerate(publishings, start=1) if one.policy != "unusable")
    return max(usable, default=0)


async def engines_by_topic(logs: Logs, topic: str) -> EngineMaker:
    """What a worker makes its engines with: the policies of the topic as they are at its start, and as they come."""
    engines = RiskEngineMaker(RULES["default"], CARD, topic)
    await engines.refresh(logs)
    return engines


def without_last_judged(outcome: Outcome) -> Outcome:
    """The same but for when each borrower was judged last.

    A change that is called off before it began leaves the minute of its review as a deadline, which then finds nothing.
    """
    states = {}
    for key, state in outcome.states.items():
        borrower = decode_borrower(key.decode(), state)
        borrower.judged_ms = [0] * CLOCKS
        states[key] = encode_borrower(borrower)
    return msgspec.structs.replace(outcome, states=states)


class SwitchingEngineMaker(RiskEngineMaker):
    """Makes engines that know from the beginning which policy judges from when on: as each task says it has adopted."""

    def __init__(self, adopted: Mapping[int, Adopted]) -> None:
        super().__init__(RULES["default"], CARD)
        self._adopted = adopted
        self._rules = {rules.policy_version: rules for rules in RULES.values()}

    def __call__(
        self,
        task: int,
        belongs: Callable[[str], bool],
        adopted: Adopted | None = None,
        cards: Adopted | None = None,
    ) -> RiskEngine:
        if task not in self._adopted:
            return RiskEngine(RULES["default"], CARD, partition=task, belongs=belongs)
        known = self._adopted[task]
        first, *later = ((span.from_ms, self._rules[span.version]) for span in known.spans)
        engine = RiskEngine(first[1], CARD, partition=task, belongs=belongs)
        for from_ms, rules in later:
            engine.adopt(known.publication, rules, from_ms)
        return engine
