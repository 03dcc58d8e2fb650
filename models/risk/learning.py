"""Learning as a whole: every matured example is judged first, then learnt from; now and then a card comes of it.

Two streams of probabilities are judged on the same examples: those of the learner, each before it learns from the example, and those
of the card in use. A new card is published only if the learner's were not the worse (`models.risk.guard`). When what the learner
gets wrong drifts for the worse, its rates are raised (`Trainer.quicken`).

Nothing here depends on clocks, batches or restarts: the same examples give the same cards, to the last bit.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from msgspec import Struct

from models.risk.drift import Drift, DriftWatch, UnusableWatchError
from models.risk.examples import Example
from models.risk.guard import DEFAULT_LIMITS, GuardLimits, Refusal, refusal
from models.risk.prequential import Figures, Prequential, UnusableEvaluationError
from models.risk.scorecard import Scorecard, broad_prior, expert_prior
from models.risk.training import Trainer, TrainingSettings, UnusableTrainingError
from models.sealed import SealedState

RECENT_HALF_LIFE_EXAMPLES: Final = 2_000
"""The guard looks at recent examples: so many that chance is small (`GuardLimits`), so few that a fault shows soon."""


class Foretold(NamedTuple):
    """Probabilities of one example before anything learnt from it."""

    in_use: float
    """By the card in use."""
    learning: float
    """By the learner."""


class _State(Struct, array_like=True):
    in_use: Scorecard
    trainer: bytes
    evaluation: bytes
    recent: bytes
    recent_in_use: bytes
    watch: bytes
    counts: dict[str, int]


class UnusableLearningError(Exception):
    """The bytes hold no state that learning could go on from; the message says why."""


UNUSABLE_LEARNING: Final = (
    UnusableLearningError,
    UnusableTrainingError,
    UnusableEvaluationError,
    UnusableWatchError,
)
"""What `Learner.from_bytes` may raise."""
_SEALED: Final = SealedState(_State, UnusableLearningError, "state of learning")


class Learner:
    """The trainer with all that judges it, and the card in use."""

    def __init__(
        self, card: Scorecard, settings: TrainingSettings | None = None, start: Scorecard | None = None
    ) -> None:
        """Begin with the card in use, and learn from `start` on.

        Without `start` learning begins with the card in use; on day one, with `expert_prior()`, it begins with
        `broad_prior()`, which knows the features that day one does not weigh.
        """
        self.foretold: Foretold | None = None
        """Of the last example; None where it was not learnt from."""
        self._in_use = card
        self._trainer = Trainer.starting_with(_start_of(card) if start is None else start, settings)
        self._evaluation = Prequential()
        self._recent = Prequential(RECENT_HALF_LIFE_EXAMPLES)
        self._recent_in_use = Prequential(RECENT_HALF_LIFE_EXAMPLES)
        self._watch = DriftWatch()
        self._counts: Counter[str] = Counter()

    # ---- learning ------------------------------------------------------------------------------------------------

    def learn(self, example: Example) -> tuple[Drift, ...]:
        """Take the next matured example; return what drifted with it. One that is censored is counted, and no more."""
        self._counts[f"{example.outcome}.{example.reason}"] += 1
        self.foretold = None
        if example.outcome == "censored":
            return ()
        is_bad = example.outcome == "bad"
        values = example.values(self._trainer.features)
        in_use = self._in_use.score(example.values(self._in_use.features))
        self._recent_in_use.add(in_use, is_bad=is_bad)
        probability = self._trainer.learn_one(values, is_bad=is_bad)
        self.foretold = Foretold(in_use, probability)
        self._recent.add(probability, is_bad=is_bad)
        self._evaluation.add(probability, is_bad=is_bad, segment=example.segment)
        drifts = tuple(self._watch.add(probability, is_bad=is_bad))
        if any(drift.is_worse for drift in drifts):
            self._trainer.quicken()
        return drifts

    # ---- publishing ----------------------------------------------------------------------------------------------

    def candidate(self) -> Scorecard:
        """The card as learnt so far."""
        return self._trainer.card()

    def refusal(self, limits: GuardLimits = DEFAULT_LIMITS) -> Refusal | None:
        """Why the candidate must not take the place of the card in use; None where it may."""
        return refusal(*self.recent_figures(), limits)

    def use(self, card: Scorecard) -> None:
        """From the next example on this card is the one in use: the candidate, or an earlier one that was rolled back to."""
        self._in_use = card

    def go_back(self, card: Scorecard, optimiser: bytes | None) -> None:
        """Use an earlier card, and learn on from it as it was learnt then; what was learnt since is forgotten.

        Both cards have to prove themselves anew from here on, so that the guard holds back the next one for as long.

        Args:
            card: to be in use.
            optimiser: as it was with this card (`optimiser`); None where nothing was learnt yet.

        Raises:
            UnusableTrainingError: the optimiser's bytes cannot be gone on from.
        """
        self._trainer = (
            Trainer.starting_with(_start_of(card)) if optimiser is None else Trainer.from_bytes(optimiser)
        )
        self._recent = Prequential(RECENT_HALF_LIFE_EXAMPLES)
        self._recent_in_use = Prequential(RECENT_HALF_LIFE_EXAMPLES)
        self._in_use = card

    @property
    def in_use(self) -> Scorecard:
        """The card in use."""
        return self._in_use

    @property
    def examples(self) -> int:
        """Examples learnt from."""
        return self._trainer.examples

    @property
    def bads(self) -> int:
        """Those of them that went bad."""
        return self._trainer.bads

    @property
    def optimiser(self) -> bytes:
        """What the weights were learnt with, for `go_back`."""
        return self._trainer.to_bytes()

    # ---- what is told --------------------------------------------------------------------------------------------

    def figures(self) -> Figures:
        """Of the learner's probabilities."""
        return self._evaluation.figures()

    def recent_figures(self) -> tuple[Figures, Figures]:
        """Of recent examples, which the guard goes by: the learner's probabilities, and those of the card in use."""
        return self._recent.figures(), self._recent_in_use.figures()

    def figures_by_segment(self) -> dict[str, Figures]:
        """The same, by segment."""
        return self._evaluation.by_segment()

    @property
    def counts(self) -> dict[str, int]:
        """Examples by outcome and reason (`bad.days_late`), and drifts by what drifted (`drift.residual`)."""
        drifts = {f"drift.{watched}": count for watched, count in self._watch.detections.items()}
        return dict(self._counts) | drifts

    # ---- restart -------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The whole state: `from_bytes` goes on from it as if nothing had happened."""
        state = _State(
            self._in_use,
            self._trainer.to_bytes(),
            self._evaluation.to_bytes(),
            self._recent.to_bytes(),
            self._recent_in_use.to_bytes(),
            self._watch.to_bytes(),
            dict(sorted(self._counts.items())),
        )
        return _SEALED.to_bytes(state)

    @staticmethod
    def from_bytes(record: bytes) -> Learner:
        """The learner whose state `to_bytes` gave.

        Raises:
            UnusableLearningError: damaged, or of a version that is not known.
            UnusableTrainingError, UnusableEvaluationError, UnusableWatchError: the same of one of its parts.
        """
        state = _SEALED.from_bytes(record)
        learner = Learner(state.in_use)
        learner._trainer = Trainer.from_bytes(state.trainer)
        learner._evaluation = Prequential.from_bytes(state.evaluation)
        learner._recent = Prequential.from_bytes(state.recent)
        learner._recent_in_use = Prequential.from_bytes(state.recent_in_use)
        learner._watch = DriftWatch.from_bytes(state.watch)
        learner._counts = Counter(state.counts)
        return learner


def _start_of(card: Scorecard) -> Scorecard:
    return broad_prior() if card == expert_prior() else card
