"""Alerts and risks as the engine makes them: of every signal, from its opening to its end."""

from __future__ import annotations

from functools import cache

from models.alerts import Alert
from models.publication import BorrowerRisk
from tests.support.partitions import Partitions
from tests.support.signal_stories import STORIES, in_time


@cache
def told() -> tuple[tuple[Alert, ...], tuple[BorrowerRisk, ...]]:
    """Every revision of the stories of all signals, in order, and each borrower's last risk in each."""
    alerts: list[Alert] = []
    risks: list[BorrowerRisk] = []
    for made in STORIES.values():
        story = made()
        world = Partitions()
        world.run(in_time([*story.opens, *story.ends]))
        world.advance(story.until)
        world.settle()
        alerts += world.alerts
        risks += [risk for risk in world.risks.values() if risk is not None]
    return tuple(alerts), tuple(risks)


def alerts() -> tuple[Alert, ...]:
    """The alerts alone."""
    return told()[0]
