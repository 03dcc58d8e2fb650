"""When a card comes of what was learnt: at steps of event time, with enough examples between, and only if the guard lets it.

Whether an example is the first of a new step is asked before it is learnt from. So a card holds whole steps: it takes effect
at the first boundary after everything in it, and a score never knows the future, whatever the order in which partitions
deliver. A refusal is a step as well: it says how far was read, so that nothing before it is ever read again.

All of it is a function of the examples and their offsets. How they were cut into batches, and how often learning was
interrupted, does not matter: whoever goes on from the last step, at the offset that it names, finds the same cards, to the
last bit.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from models.calendars import DAY_MS
from models.risk.drift import Drift
from models.risk.examples import Example
from models.risk.guard import DEFAULT_LIMITS, GuardLimits, Refusal
from models.risk.learning import UNUSABLE_LEARNING, Learner
from models.risk.published import PublishedCard, Step, judged
from models.risk.scorecard import Scorecard
from models.rulebook import SINCE_EVER_MS
from models.sealed import SealedState

STEP_MS: Final = 7 * DAY_MS
"""Steps of event time, weeks of UTC that begin on Thursdays as the epoch did: a card has every borrower's score judged once more,
and a card a day says no more than one a week (decisions/0012-cards-in-time.md)."""
EXAMPLES_BETWEEN_MIN: Final = 500
"""Between two steps: at five per cent bad they are 25 bads. A card of fewer differs from the one before by little but chance."""
EXAMPLES_BETWEEN_MAX: Final = 20_000
"""After so many a step is made within the week, too: a restart reads the examples since the last step again, and these take
two seconds (at 10,000 a second)."""
UNREADABLE: Final = "unreadable"
"""By this they are counted that are no examples."""
_NO_TIME_MS: Final = SINCE_EVER_MS


class _State(Struct, array_like=True):
    learner: bytes
    number: int
    since: int
    highest_ms: int
    effective_ms: int
    unreadable: int


class UnusableIssuingError(Exception):
    """The bytes hold no state to go on from; the message says why."""


_SEALED: Final = SealedState(_State, UnusableIssuingError, "state of issuing cards")


class Issuing:
    """The learner, and which of its cards are published."""

    def __init__(self, learner: Learner) -> None:
        """Begin; the learner's card in use is taken to be in force."""
        self._learner = learner
        self._number = 0
        self._since = 0
        """Examples since the last step, of whatever outcome, readable or not."""
        self._highest_ms = _NO_TIME_MS
        """Of the instants at which the examples matured."""
        self._effective_ms = _NO_TIME_MS
        """Since when the card in use is to be used."""
        self._unreadable = 0
        self.drifts: tuple[Drift, ...] = ()
        """What the last example showed to have drifted."""

    @property
    def learner(self) -> Learner:
        """What learns, to look at."""
        return self._learner

    @property
    def number(self) -> int:
        """Of the last step; 0 where there was none."""
        return self._number

    def take(
        self,
        offset: int,
        example: Example | None,
        limits: GuardLimits = DEFAULT_LIMITS,
        examples_between: int = EXAMPLES_BETWEEN_MIN,
    ) -> PublishedCard | None:
        """Take the next example; return the card that was due before it, published or refused.

        Args:
            offset: of the example in its topic, ever rising.
            example: None where what stands there cannot be read: it is counted.
            limits: of the guard.
            examples_between: at least so many from one step to the next.
        """
        due = self._step(offset, limits) if self._is_due(example, examples_between) else None
        self._since += 1
        self.drifts = ()
        if example is None:
            self._unreadable += 1
        else:
            self.drifts = self._learner.learn(example)
            self._highest_ms = max(self._highest_ms, example.matured_ms)
        return due

    def go_back(
        self, card: Scorecard, optimiser: bytes | None, examples_offset: int, effective_from_ms: int
    ) -> PublishedCard:
        """Use an earlier card again; right after a step, and before anything further is taken.

        Args:
            card: to go back to.
            optimiser: as it was published with the card; None where nothing was learnt yet.
            examples_offset: as the last step named it.
            effective_from_ms: event time.

        Raises:
            UnusableTrainingError: the optimiser's bytes cannot be gone on from.
        """
        assert self._since == 0, "what was taken since the last step would be lost"
        former = self._learner.in_use
        self._learner.go_back(card, optimiser)
        self._effective_ms = effective_from_ms
        return self._told(card, former, examples_offset, effective_from_ms, step="rolled_back")

    def _is_due(self, example: Example | None, examples_between: int) -> bool:
        if self._since >= EXAMPLES_BETWEEN_MAX:
            return True
        if example is None or self._since < examples_between:
            return False
        return example.matured_ms // STEP_MS > self._highest_ms // STEP_MS

    def _step(self, offset: int, limits: GuardLimits) -> PublishedCard:
        candidate, former = self._learner.candidate(), self._learner.in_use
        refused = self._learner.refusal(limits)
        # Never earlier than the card before: what is published later is also meant to hold later.
        effective_ms = max((self._highest_ms // STEP_MS + 1) * STEP_MS, self._effective_ms)
        if refused is None:
            self._learner.use(candidate)
            self._effective_ms = effective_ms
        return self._told(candidate, former, offset, effective_ms, refused)

    def _told(
        self,
        card: Scorecard,
        former: Scorecard,
        offset: int,
        effective_from_ms: int,
        refused: Refusal | None = None,
        step: Step | None = None,
    ) -> PublishedCard:
        """The step just made; the learner is as it goes on."""
        self._number += 1
        self._since = 0
        learner = self._learner
        counts = learner.counts | ({UNREADABLE: self._unreadable} if self._unreadable else {})
        recent, recent_in_use = learner.recent_figures()
        return PublishedCard(
            number=self._number,
            step=step or ("published" if refused is None else "refused"),
            version=card.version,
            replaces=former.version,
            card=card,
            former=former,
            effective_from_ms=effective_from_ms,
            examples_offset=offset,
            examples=learner.examples,
            bads=learner.bads,
            counts=dict(sorted(counts.items())),
            refused=refused,
            figures=judged(learner.figures()),
            recent=judged(recent),
            recent_in_use=judged(recent_in_use),
            by_segment={name: judged(figures) for name, figures in learner.figures_by_segment().items()},
            optimiser=learner.optimiser,
            state=self.to_bytes(),
        )

    # ---- restart -------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The whole state: `from_bytes` goes on from it as if nothing had happened."""
        state = _State(
            self._learner.to_bytes(),
            self._number,
            self._since,
            self._highest_ms,
            self._effective_ms,
            self._unreadable,
        )
        return _SEALED.to_bytes(state)

    @staticmethod
    def from_bytes(record: bytes) -> Issuing:
        """Go on from where `to_bytes` was asked, with the next example.

        Raises:
            UnusableIssuingError: damaged, or of a version that is not known; of the learner as of the rest.
        """
        state = _SEALED.from_bytes(record)
        try:
            issuing = Issuing(Learner.from_bytes(state.learner))
        except UNUSABLE_LEARNING as error:
            raise UnusableIssuingError(f"state of issuing cards: {error}") from error
        issuing._number = state.number
        issuing._since = state.since
        issuing._highest_ms = state.highest_ms
        issuing._effective_ms = state.effective_ms
        issuing._unreadable = state.unreadable
        return issuing
