"""The demo from beginning to end, in the world that can be had."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import click

from streams.clock import Clock
from streams.demo.in_memory import run_in_memory
from streams.demo.options import DemoOptions, Ran
from streams.demo.over_kafka import run_over_kafka
from streams.demo.summary import DemoSummary, summarise
from streams.event_files import require_event_files
from streams.kafka.inspection import require_broker
from streams.kafka.local import Broker, JarsUnavailableError, JavaNotFoundError, find_broker
from streams.settings import load_settings


class RunningDemo:
    """A demo that has done its work and still runs."""

    def __init__(self, summary: DemoSummary, wait: Callable[[], None]) -> None:
        """`wait` returns when there is nothing to wait for, and raises when something dies."""
        self.summary = summary
        self.wait = wait


@contextmanager
def running_demo(options: DemoOptions, clock: Clock) -> Iterator[RunningDemo]:
    """Run the whole demo; everything runs on until the block ends.

    Raises:
        DemoError: a child died, or nothing moved any more.
        BrokerUnavailableError: of `streams.kafka.local`: there is no Kafka, and what can be had does not start.
        EventFilesError, InspectionError, PortError, SettingsError: as their modules say.
    """
    if options.events is not None:
        require_event_files(options.events)
    with ExitStack() as stack:
        click.echo("looking for a Kafka, else starting one")
        ran = _run(options, clock, stack)
        yield RunningDemo(summarise(ran, options, clock), ran.wait)


def _run(options: DemoOptions, clock: Clock, stack: ExitStack) -> Ran:
    broker = _kafka(stack)
    if broker is None:
        return run_in_memory(options, clock, stack)
    return run_over_kafka(options, broker, clock, stack)


def _kafka(stack: ExitStack) -> Broker | None:
    """The broker named, or one of our own; None where neither Java nor Kafka's jars can be had."""
    if os.environ.get("FOREWARN_BROKER", "").strip():
        require_broker(load_settings(os.environ))
    try:
        return stack.enter_context(find_broker())
    except (JavaNotFoundError, JarsUnavailableError) as error:
        click.secho(
            "THIS IS NOT KAFKA: no real Kafka can be started here, so all runs in memory.",
            bold=True,
            err=True,
        )
        click.echo(f"The reason: {error}", err=True)
        return None
