"""Whether what came out is what had to come out."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from models.alerts import ChainHead, link
from tests.support.oracle import Outcome, differences

_COUNT_BYTES = 4
"""At the beginning of a state of the fake engine: how many of the borrower's records were taken."""


def judge(expected: Outcome, found: Outcome, clock: Literal["event", "wall"]) -> list[str]:
    """Everything that is wrong, in words; empty when nothing is."""
    if clock == "wall":
        return _judge_counted(expected, found)
    differing = differences(expected, found)
    if not differing:
        return []
    summary = f"missing {differing.missing}, doubled {differing.doubled}, different {differing.different}"
    return [summary, *differing.told]


def _judge_counted(expected: Outcome, found: Outcome) -> list[str]:
    """By arrival the order is not the same twice: every record is counted once all the same, and the chain is whole."""
    failures = []
    counts = [
        {borrower: state[:_COUNT_BYTES] for borrower, state in outcome.states.items()}
        for outcome in (expected, found)
    ]
    if counts[0] != counts[1]:
        failures.append(f"records of each borrower: must be {counts[0]}, are {counts[1]}")
    if expected.dead_letters != found.dead_letters:
        failures.append(f"dead letters: must be {expected.dead_letters}, are {found.dead_letters}")
    # Which of a borrower's records is the n-th depends on the order, and a refused one gives no alert.
    refused = {letter.key for letter in expected.dead_letters}
    numbers = [
        Counter(
            (alert.borrower_id, alert.priority)
            for alerts in outcome.alerts
            for alert in alerts
            if alert.borrower_id.encode() not in refused
        )
        for outcome in (expected, found)
    ]
    examples = [
        Counter({told: times for told, times in outcome.examples.items() if told.key not in refused})
        for outcome in (expected, found)
    ]
    if examples[0] != examples[1]:
        failures.append(f"examples: {examples[0] - examples[1]} missing, {examples[1] - examples[0]} more")
    if numbers[0] != numbers[1]:
        missing, more = numbers[0] - numbers[1], numbers[1] - numbers[0]
        failures.append(f"alerts by borrower and number: {missing} missing, {more} more")
    doubled = Counter((alert.alert_id, alert.revision) for alerts in found.alerts for alert in alerts)
    failures += [
        f"{times} times: alert and revision {alert}" for alert, times in doubled.items() if times > 1
    ]
    for partition, alerts in enumerate(found.alerts):
        head = ChainHead()
        for alert in alerts:
            linked, head = link(alert, head)
            if linked.chain != alert.chain:
                failures.append(f"partition {partition}: the chain breaks at {alert.chain}")
                break
    return failures
