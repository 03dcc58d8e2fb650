"""The one place where the pipeline's parts meet: engine, ports, settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from models.engine import RiskEngine
from models.risk.scorecard import Scorecard
from models.rules import Rules
from streams.clock import Clock, SystemClock
from streams.kafka.ports import KafkaPorts
from streams.metrics import Metrics
from streams.pipeline import Pipeline
from streams.ports import Engine, EngineMaker, Logs, Ports
from streams.reference import policy_in_force, scorecard_in_force
from streams.settings import Settings


class RiskEngineMaker:
    """Makes the engines of one policy and one scorecard. See `streams.ports.EngineMaker`."""

    def __init__(self, rules: Rules, card: Scorecard) -> None:
        """Both are fixed for as long as the worker runs."""
        self._rules = rules
        self._card = card

    @property
    def versions(self) -> tuple[str, str]:
        """Of policy and scorecard."""
        return self._rules.policy_version, self._card.version

    @property
    def lateness_ms(self) -> Sequence[int]:
        """Allowed lateness by feed."""
        return self._rules.lateness_ms

    def __call__(self, task: int, belongs: Callable[[str], bool]) -> Engine:
        """An engine without any borrower."""
        return RiskEngine(self._rules, self._card, partition=task, belongs=belongs)


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
        policy = await policy_in_force(logs, settings)
        return RiskEngineMaker(Rules(policy), await scorecard_in_force(logs, settings))

    return Pipeline(ports or KafkaPorts(settings), make_engines, settings, clock or SystemClock(), metrics)
