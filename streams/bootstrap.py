"""The one place where the pipeline's parts meet: engine, ports, settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from models.engine import RiskEngine
from models.risk.scorecard import Scorecard
from models.rulebook import Adopted
from models.rules import Rules
from streams.clock import Clock, SystemClock
from streams.kafka.ports import KafkaPorts
from streams.metrics import Metrics, PlainMetrics
from streams.pipeline import Pipeline
from streams.policies import Policies, read_published
from streams.ports import Engine, EngineMaker, Logs, Ports
from streams.reference import fallback_policy, policy_in_force, scorecard_in_force
from streams.settings import Settings
from streams.topics import TopicNames


class RiskEngineMaker:
    """Makes the engines of one scorecard and of the policies as they come. See `streams.ports.EngineMaker`."""

    def __init__(
        self, rules: Rules, card: Scorecard, topic: str = "", metrics: Metrics | None = None
    ) -> None:
        """`rules`: while nothing is published; `topic`: where policies are published; none are read without one."""
        self._policies = Policies(rules)
        self._card = card
        self._topic = topic
        self._metrics = metrics or PlainMetrics()
        self._read_up_to = -1

    @property
    def card_version(self) -> str:
        """Of the scorecard."""
        return self._card.version

    @property
    def lateness_ms(self) -> Sequence[int]:
        """Allowed lateness by feed."""
        return self._policies.lateness_ms

    def __call__(self, task: int, belongs: Callable[[str], bool], adopted: Adopted | None = None) -> Engine:
        """An engine without any borrower."""
        return RiskEngine(self._policies.book(adopted), self._card, partition=task, belongs=belongs)

    async def refresh(self, logs: Logs) -> bool:
        """Read the policies where there are more than before."""
        if not self._topic:
            return False
        end = (await logs.ranges([self._topic], [0]))[self._topic, 0].end
        if end == self._read_up_to:
            return False
        published = await read_published(logs, self._topic)
        self._read_up_to = end
        return self._policies.take(published, self._metrics)

    def bring_up_to_date(self, engine: Engine) -> None:
        """Have an engine adopt what was published since it last did."""
        self._policies.bring_up_to_date(engine)


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
        card = await scorecard_in_force(logs, settings)
        engines = RiskEngineMaker(Rules(fallback_policy(settings)), card, names.policies, metrics)
        if not await engines.refresh(logs):
            # Nothing of use is there: fine where nothing is there at all, else said with what to do.
            await policy_in_force(logs, settings)
        return engines

    return Pipeline(ports or KafkaPorts(settings), make_engines, settings, clock or SystemClock(), metrics)
