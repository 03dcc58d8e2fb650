"""The one place where the pipeline's parts meet: engine, ports, settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from models.engine import RiskEngine
from models.risk.scorecard import Scorecard, expert_prior
from models.rulebook import Adopted
from models.rules import Rules
from streams.cards import KnownCards, read_published_cards
from streams.clock import Clock, SystemClock
from streams.kafka.ports import KafkaPorts
from streams.metrics import Metrics, PlainMetrics
from streams.pipeline import Pipeline
from streams.policies import Policies, read_published
from streams.ports import Engine, EngineMaker, Logs, Ports
from streams.reference import fallback_policy, policy_in_force
from streams.settings import Settings
from streams.topics import TopicNames


class RiskEngineMaker:
    """Makes the engines of the policies and the scorecards as they come. See `streams.ports.EngineMaker`."""

    def __init__(
        self,
        rules: Rules,
        card: Scorecard,
        topic: str = "",
        metrics: Metrics | None = None,
        cards_topic: str = "",
    ) -> None:
        """Know what holds while nothing is published.

        Args:
            rules: the policy.
            card: the scorecard.
            topic: where policies are published; none are read without one.
            metrics: where it is told what was taken up.
            cards_topic: where scorecards are published, likewise.
        """
        self._policies = Policies(rules)
        self._cards = KnownCards(card)
        self._topics = topic, cards_topic
        self._metrics = metrics or PlainMetrics()
        self._read_up_to: dict[str, int] = {}

    @property
    def lateness_ms(self) -> Sequence[int]:
        """Allowed lateness by feed."""
        return self._policies.lateness_ms

    def __call__(
        self,
        task: int,
        belongs: Callable[[str], bool],
        adopted: Adopted | None = None,
        cards: Adopted | None = None,
    ) -> Engine:
        """An engine without any borrower."""
        book = self._policies.book(adopted)
        self._cards.enter(book, cards)
        return RiskEngine(book, partition=task, belongs=belongs)

    async def refresh(self, logs: Logs) -> bool:
        """Read the policies where there are more than before."""
        topic, _ = self._topics
        end = await self._end_if_moved(logs, topic)
        if end is None:
            return False
        published = await read_published(logs, topic)
        self._read_up_to[topic] = end
        return self._policies.take(published, self._metrics)

    async def refresh_cards(self, logs: Logs) -> bool:
        """The same of the scorecards."""
        _, topic = self._topics
        end = await self._end_if_moved(logs, topic)
        if end is None:
            return False
        published = await read_published_cards(logs, topic)
        self._read_up_to[topic] = end
        return self._cards.take(published, self._metrics)

    async def _end_if_moved(self, logs: Logs, topic: str) -> int | None:
        """Where a topic ends, if that is not where it was read to."""
        if not topic:
            return None
        end = (await logs.ranges([topic], [0]))[topic, 0].end
        return None if end == self._read_up_to.get(topic) else end

    def bring_up_to_date(self, engine: Engine) -> None:
        """Have an engine adopt what was published since it last did."""
        self._policies.bring_up_to_date(engine)
        self._cards.bring_up_to_date(engine)


def build_pipeline(
    settings: Settings, metrics: Metrics, *, ports: Ports | None = None, clock: Clock | None = None
) -> Pipeline:
    """The pipeline with the real engine.

    Args:
        settings: of the worker.
        metrics: where figures go.
        ports: Kafka's, unless given.
        clock: the machine's, unless given.
    """

    async def make_engines(logs: Logs) -> EngineMaker:
        names = TopicNames(settings.topic_prefix)
        rules = Rules(fallback_policy(settings))
        engines = RiskEngineMaker(rules, expert_prior(), names.policies, metrics, names.scorecards)
        await engines.refresh_cards(logs)
        if not await engines.refresh(logs):
            # Nothing of use is there: fine where nothing is there at all, else said with what to do.
            await policy_in_force(logs, settings)
        return engines

    return Pipeline(ports or KafkaPorts(settings), make_engines, settings, clock or SystemClock(), metrics)
