"""Learning inside a backtest, by the same steps as the live trainer (`models.risk.issuing`).

What has matured in a day is put in one order, however many shards it comes from. At the turn of the day it is known whether a
card is due, and all shards take it up at the same row; it scores what no event has reached by then. A card holds the
examples that matured before the day whose first example makes it due. So only that first one has to be taken while all wait;
the others of its day are learnt from while the shards go through the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, NamedTuple

import msgspec

from models.learning_judging import LearningJudge
from models.learning_report import CardReport, LearningReport
from models.policy import RiskPolicy
from models.risk.examples import Example, order_of
from models.risk.guard import DEFAULT_LIMITS, GuardLimits
from models.risk.issuing import EXAMPLES_BETWEEN_MIN, STEP_MS, Issuing
from models.risk.learning import Learner
from models.risk.published import PublishedCard
from models.risk.scorecard import expert_prior

_encode = msgspec.json.Encoder().encode


class LearningLimits(NamedTuple):
    """When a card comes of what was learnt: the live trainer's limits unless others are named."""

    guard: GuardLimits = DEFAULT_LIMITS
    examples_between: int = EXAMPLES_BETWEEN_MIN


class Learning:
    """What the leader of a backtest learns, and the cards that come of it."""

    def __init__(self, limits: LearningLimits, steps: IO[bytes]) -> None:
        """On day one; `steps` gets a line for each card published or refused."""
        self._limits = limits
        self._steps = steps
        self._issuing = Issuing(Learner(expert_prior()))
        self._judge = LearningJudge()
        self._taken = 0
        self._matured: list[Example] = []
        """Since the turn of the day."""
        self._behind: list[Example] = []
        """Before it: to be learnt from next, in this order."""
        self._published: PublishedCard | None = None
        """The latest card that the shards do not have yet."""
        self._cards: list[CardReport] = []

    def keep(self, examples: Iterable[Example]) -> None:
        """Take over what has matured."""
        self._matured += examples

    def turn_day(self) -> PublishedCard | None:
        """The card to be taken up by all shards now that a day is over, where there is one."""
        self.catch_up()
        examples = sorted(self._matured, key=order_of)
        self._matured.clear()
        days = [example.matured_ms // STEP_MS for example in examples]
        decisive = days.index(days[-1]) + 1 if days else 0
        self._learn(examples[:decisive])
        self._behind = examples[decisive:]
        published, self._published = self._published, None
        return published

    def catch_up(self) -> None:
        """Learn from what is left of the days before."""
        behind, self._behind = self._behind, []
        self._learn(behind)

    def takes_effect(self, number: int, from_ms: int) -> None:
        """A card scores from an instant on; what was to score from then or later never does."""
        for place, card in enumerate(self._cards):
            if card.number == number:
                self._cards[place] = msgspec.structs.replace(card, in_force_from_ms=from_ms)
            elif card.in_force_from_ms is not None and card.in_force_from_ms >= from_ms:
                self._cards[place] = msgspec.structs.replace(card, in_force_from_ms=None)

    def report(self, risk: RiskPolicy) -> LearningReport:
        """What came of it, at the end; cards that are due only now score nothing."""
        self.turn_day()
        self.catch_up()
        return self._judge.report(risk, self._cards)

    def _learn(self, examples: Iterable[Example]) -> None:
        for example in examples:
            step = self._issuing.take(self._taken, example, self._limits.guard, self._limits.examples_between)
            self._taken += 1
            self._judge.take(example)
            if step is not None:
                self._tell(step)

    def _tell(self, step: PublishedCard) -> None:
        if step.refused is None:
            self._published = step
        self._cards.append(
            CardReport(
                number=step.number,
                version=step.version,
                refused=step.refused,
                effective_from_ms=step.effective_from_ms,
                in_force_from_ms=None,
                examples=step.examples,
                bads=step.bads,
                recent=step.recent,
                recent_in_use=step.recent_in_use,
            )
        )
        told = msgspec.structs.asdict(step.told())
        del told["optimiser"]  # to go on from, not to be read
        self._steps.write(_encode({**told, "card": step.card}) + b"\n")
