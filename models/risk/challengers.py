"""Freer models beside the card: how much better would trees foretell, which may weigh features in any combination?

They are never published. They learn from a sample of the examples, each is judged before it is learnt from, and the card is
judged on the very same ones; who reads the figures decides whether the card's form costs too much. A card of the sample alone
learns beside them, from the prior on as they do from nothing: what it lacks to the card in use is owed to the smaller number of
examples, and not to the form.

An example is sampled by a hash of itself: every run samples the same. What was sampled waits until somebody has time for it
(`Challengers.work`); where more waits than is kept, the oldest is skipped and counted. Nothing of the card depends on any of it.
After a restart they begin anew, and say from how many examples they have learnt.

The settings, the cost of an example and the memory are measured (`models/decisions/0013-challengers.md`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from math import exp, inf
from typing import Any, Final, Literal, NamedTuple, Protocol

from msgspec import Struct
from xxhash import xxh3_64_intdigest

from models.risk.examples import Example
from models.risk.features import Features
from models.risk.learning import Foretold
from models.risk.prequential import LOG_ODDS_MAX, Prequential
from models.risk.published import Judged, judged
from models.risk.scorecard import broad_prior
from models.risk.training import Trainer

CardName = Literal["in_use", "learning"]
ChallengerName = Literal["sampled_card", "hoeffding_adaptive_tree", "adaptive_random_forest"]
CARDS: Final[tuple[CardName, ...]] = ("in_use", "learning")
"""The card in use, and the one that learns from every example: judged on the sample as the challengers are."""
TREES: Final = 10
"""Of the forest: the number of its authors' smaller setting, and River's own."""
DEPTH_MAX: Final = 8
"""Questions to a borrower before a tree answers: at most 256 leaves a tree, so that memory has an end. With six, the forest
orders by 0.002 to 0.007 AUC less well, and costs a quarter less."""
_GRACE_EXAMPLES: Final = 100
"""Weight of the examples that a leaf of the tree sees between attempts to split; a sample is small, so less than River's 200."""
_DELTA: Final = 0.01
"""Chance at which a split is not the best one: the forest's own value, for the single tree, too."""
_SHARE_TO_SPLIT: Final = 1.0
"""River gives up leaves for good that are purer than 99 %. Where two in a hundred go bad, most leaves are."""
_NEVER: Final = 2**62
"""River's own watch over memory counts its leaves wrongly where depth is limited, and is left out; the depth is the limit."""
_SEED: Final = 1
SURE: Final = 1 / (1 + exp(LOG_ODDS_MAX))
"""A leaf that has seen no bad one says 0, and a single bad one would weigh endlessly: nearer to 0 or 1 than this nobody is
believed. Scores beyond are one bin of the evaluation anyway."""
_NOTHING_KNOWN: Final = 0.5

Values = tuple[float, ...]
"""In the order of `Features`."""


class ChallengerLimits(Struct, frozen=True):
    """How much time and memory challengers may take, and from when on their figures tell something."""

    sampled_one_in: int = 8
    """Of the examples: with 0.9 ms for one of the sample it is 0.1 ms an example, three times what the card needs."""
    waiting_max: int = 5_000
    """Sampled and not yet learnt from: a midnight's of a million borrowers, 1 KB each."""
    warm_up: int = 1_000
    """Learnt from before judging begins: until then a tree is a leaf or two, and would be blamed for it long after."""
    told_from: int = 1_000
    """Judged before the figures are told: at five per cent bad these are fifty bads, an AUC within ± 0.04."""


DEFAULT_LIMITS: Final = ChallengerLimits()


class Challenger(Protocol):
    """A model that learns one example at a time."""

    def learn(self, values: Values, *, is_bad: bool) -> float:
        """Learn from one example; return the probability that was predicted before."""
        ...


class SampledCard:
    """The scorecard on equal terms: it learns from the sample alone."""

    def __init__(self) -> None:
        """Begin with the prior of all features."""
        self._trainer = Trainer.starting_with(broad_prior())
        assert self._trainer.features == Features._fields, "values come in this order"

    def learn(self, values: Values, *, is_bad: bool) -> float:
        """As the card does."""
        return self._trainer.learn_one(values, is_bad=is_bad)


class RiverChallenger:
    """One of River's classifiers. Its dice have a seed: the same examples give the same probabilities."""

    def __init__(self, model: Any) -> None:
        """`model` was not taught yet."""
        self.model = model
        """To look at."""

    def learn(self, values: Values, *, is_bad: bool) -> float:
        """By the name of each feature, as River wants them."""
        features = dict(zip(Features._fields, values, strict=True))
        probability = _probability(self.model.predict_proba_one(features))
        self.model.learn_one(features, is_bad)
        return probability


def hoeffding_adaptive_tree() -> RiverChallenger:
    """One tree that replaces branches where they have begun to fail (Bifet and Gavaldà 2009)."""
    from river.tree import HoeffdingAdaptiveTreeClassifier  # see `models.risk.drift`

    tree: Any = HoeffdingAdaptiveTreeClassifier
    return RiverChallenger(
        tree(
            max_depth=DEPTH_MAX,
            # Shares of the leaf. Naive Bayes within leaves, River's own choice, orders worse by 0.02 to 0.05 AUC and
            # foretells certainties where there are none: log-loss 0.61 against 0.46.
            leaf_prediction="mc",
            grace_period=_GRACE_EXAMPLES,
            delta=_DELTA,
            max_share_to_split=_SHARE_TO_SPLIT,
            memory_estimate_period=_NEVER,
            seed=_SEED,
        )
    )


def adaptive_random_forest() -> RiverChallenger:
    """Trees of different features and examples that vote; one that drifts is replaced (Gomes et al. 2017)."""
    from river.forest import ARFClassifier  # see `models.risk.drift`

    forest: Any = ARFClassifier
    return RiverChallenger(
        forest(
            n_models=TREES,
            max_depth=DEPTH_MAX,
            leaf_prediction="mc",
            max_share_to_split=_SHARE_TO_SPLIT,
            memory_estimate_period=_NEVER,
            seed=_SEED,
        )
    )


CHALLENGERS: Final[Mapping[ChallengerName, Callable[[], Challenger]]] = {
    "sampled_card": SampledCard,
    "hoeffding_adaptive_tree": hoeffding_adaptive_tree,
    "adaptive_random_forest": adaptive_random_forest,
}


def load_river() -> None:
    """Import River's part of challengers and of the watch for drift: a second, so who serves others, too, does it in a thread."""
    from river import drift, forest, tree  # noqa: F401 - they are found where they are used


class Compared(Struct, frozen=True):
    """How well each model foretold the same examples."""

    sampled_one_in: int
    learnt: int
    """Examples that the challengers have learnt from since they began, with the last start of the trainer."""
    judged: int
    """Those of them on which all were judged: all but the first."""
    skipped: int
    """Sampled ones that were too many to wait."""
    models: dict[str, Judged]
    """The two cards, and the challengers that have not failed."""
    withdrawn: tuple[str, ...]
    """Challengers that failed, and learn no more until the next start."""


class _Sampled(NamedTuple):
    values: Values
    is_bad: bool
    foretold: Foretold


class Challengers:
    """The challengers with what waits for them."""

    def __init__(
        self,
        limits: ChallengerLimits = DEFAULT_LIMITS,
        models: Mapping[ChallengerName, Callable[[], Challenger]] = CHALLENGERS,
    ) -> None:
        """Begin with nothing learnt."""
        self.limits: Final = limits
        self.learnt = 0
        self.skipped = 0
        self.withdrawn: dict[ChallengerName, str] = {}
        """Challengers that failed, and by which exception: no more, for its message may quote a borrower's figures."""
        self.models: dict[ChallengerName, Challenger] = {name: make() for name, make in models.items()}
        """Those that have not failed."""
        self._figures: dict[CardName | ChallengerName, Prequential] = {
            name: Prequential() for name in (*CARDS, *self.models)
        }
        self._waiting: deque[_Sampled] = deque()
        self._next_offset = 0

    @property
    def waiting(self) -> int:
        """Examples sampled and not yet learnt from."""
        return len(self._waiting)

    def offer(self, offset: int, example: Example, foretold: Foretold | None) -> None:
        """Keep the example where it belongs to the sample; to be asked for each, in order of offsets.

        Args:
            offset: of the example in its topic. What was offered before is not taken twice: the card goes back to its last
                step after a failure, and the challengers do not.
            example: matured.
            foretold: what the cards said before learning from it; None where it is not learnt from.
        """
        if offset < self._next_offset:
            return
        self._next_offset = offset + 1
        if foretold is None or not self.models or not is_sampled(example, self.limits.sampled_one_in):
            return
        if len(self._waiting) == self.limits.waiting_max:
            self._waiting.popleft()
            self.skipped += 1
        self._waiting.append(_Sampled(example.values(Features._fields), example.outcome == "bad", foretold))

    def work(self, examples_max: int) -> int:
        """Learn from up to so many of those that wait, each judged before; return from how many."""
        count = min(examples_max, len(self._waiting))
        for _ in range(count):
            self._learn(self._waiting.popleft())
        return count

    def _learn(self, one: _Sampled) -> None:
        is_judged = self.learnt >= self.limits.warm_up
        self.learnt += 1
        for name, model in list(self.models.items()):
            try:
                probability = model.learn(one.values, is_bad=one.is_bad)
            except Exception as failure:  # noqa: BLE001 - whatever it is, the card must go on learning: see `withdrawn`
                self._withdraw(name, failure)
                continue
            if is_judged:
                self._figures[name].add(probability, is_bad=one.is_bad)
        if is_judged:
            for card in CARDS:
                self._figures[card].add(getattr(one.foretold, card), is_bad=one.is_bad)

    def _withdraw(self, name: ChallengerName, failure: Exception) -> None:
        """Its figures would no longer be of the same examples."""
        self.withdrawn[name] = type(failure).__name__
        del self.models[name], self._figures[name]

    def compared(self) -> Compared | None:
        """The figures of all; None while too few examples are judged to tell anything."""
        count = max(self.learnt - self.limits.warm_up, 0)
        if not self.models or count < self.limits.told_from:
            return None
        return Compared(
            sampled_one_in=self.limits.sampled_one_in,
            learnt=self.learnt,
            judged=count,
            skipped=self.skipped,
            models={name: judged(figures.figures()) for name, figures in self._figures.items()},
            withdrawn=tuple(self.withdrawn),
        )


def is_sampled(example: Example, one_in: int) -> bool:
    """Whether an example belongs to the sample: one in so many, by a hash of whom and when it is of."""
    return xxh3_64_intdigest(f"{example.borrower}/{example.observed_ms}".encode()) % one_in == 0


def auc_gain(compared: Compared, model: str) -> float | None:
    """By how much a model orders better than the card in use; None where it cannot be told."""
    one, other = compared.models[model].auc, compared.models["in_use"].auc
    return None if one is None or other is None else one - other


def _probability(shares: Mapping[Any, float]) -> float:
    """River's shares of the classes: there may be none yet, or only one."""
    bad, good = shares.get(True, 0.0), shares.get(False, 0.0)
    total = bad + good
    share = bad / total if 0 < total < inf else _NOTHING_KNOWN
    return min(max(share, SURE), 1 - SURE)
