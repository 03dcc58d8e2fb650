"""Chaos on real Kafka: real brokers, real workers, one fault a cycle, and nothing may be missing or doubled after it.

    tests/chaos/run                             60 cycles on one broker, then 60 on three
    tests/chaos/run --brokers 3 --cycles 20     20 cycles on three brokers, all faults by turns
    tests/chaos/run --fault zombie --cycles 5   only this one

A finished cycle is a line of the journal. Broken off, the same command goes on behind the last one.
"""

from __future__ import annotations

import logging
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click

from streams.clock import SystemClock
from tests.chaos.cycle import run_cycle
from tests.chaos.faults import FAULTS, Fault, faults_on
from tests.chaos.journal import Finished, Journal, Parameters
from tests.chaos.proxy import ProxiedKafka
from tests.chaos.table import markdown_table

_DEFAULT_JOURNAL: Final = Path(__file__).resolve().parents[2] / ".chaos" / "journal.jsonl"


@click.command(help=__doc__.replace("    tests", "\b\n    tests", 1) if __doc__ else None)
@click.option("--brokers", type=click.Choice(["1", "3"]), help="[default: 1, then 3]")
@click.option("--cycles", type=click.IntRange(min=1), default=60, show_default=True, help="On each cluster.")
@click.option("--fault", "names", metavar="NAME", multiple=True, help="Only this one; repeatable.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of books, instants and choices.")
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_DEFAULT_JOURNAL,
    help="Finished cycles, a line each. [default: .chaos/journal.jsonl]",
)
@click.option("--anew", is_flag=True, help="Forget the journal first.")
@click.option("--keep", is_flag=True, help="Keep what the workers said also where all was well.")
@click.option("--list", "listed", is_flag=True, help="Say what faults there are, and end.")
def main(
    *,
    brokers: str | None,
    cycles: int,
    names: tuple[str, ...],
    seed: int,
    journal: Path,
    anew: bool,
    keep: bool,
    listed: bool,
) -> None:
    """See the module."""
    if listed:
        for fault in FAULTS:
            click.echo(f"{fault.name}: {fault.says} (on {' and '.join(map(str, fault.on))} brokers)")
        return
    # While a broker is away its clients say so by the thousand; what matters is raised.
    for client in ("aiokafka", "kafka"):
        logging.getLogger(client).setLevel(logging.CRITICAL)
    if anew:
        journal.unlink(missing_ok=True)
        shutil.rmtree(_evidence(journal), ignore_errors=True)
    passed = True
    for count in [int(brokers)] if brokers else [1, 3]:
        try:
            faults = faults_on(count, names)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--fault") from error
        if not faults:
            click.echo(f"on {count} broker(s): none of these faults applies\n")
            continue
        parameters = Parameters(count, seed, tuple(fault.name for fault in faults))
        done = _Run(parameters, faults, Journal(journal), keep=keep).to_the_end(cycles)
        _tell(parameters, done)
        passed = passed and all(cycle.passed for cycle in done)
    sys.exit(0 if passed else 1)


class _Run:
    """The cycles on one cluster."""

    def __init__(self, parameters: Parameters, faults: list[Fault], journal: Journal, *, keep: bool) -> None:
        self._parameters = parameters
        self._faults = faults
        self._journal = journal
        self._keep = keep
        self._clock = SystemClock()

    def to_the_end(self, cycles: int) -> list[Finished]:
        """Run the cycles that are not in the journal; return all of them."""
        done = self._journal.finished(self._parameters)
        left = [number for number in range(cycles) if number not in done]
        if len(left) < cycles:
            click.echo(f"{cycles - len(left)} of {cycles} cycles are in {self._journal.path} already")
        with ExitStack() as stack:
            kafka: ProxiedKafka | None = None
            for number in left:
                if kafka is None:
                    kafka = stack.enter_context(ProxiedKafka(self._parameters.brokers))
                done[number] = cycle = self._run(kafka, number)
                if not cycle.passed:
                    # Whatever state the brokers are in now, the next cycle is not to suffer from it.
                    stack.close()
                    kafka = None
        return [done[number] for number in range(cycles)]

    def _run(self, kafka: ProxiedKafka, number: int) -> Finished:
        fault = self._faults[number % len(self._faults)]
        parameters = self._parameters
        folder = _evidence(self._journal.path) / f"{parameters.brokers}-{parameters.seed}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        cycle = run_cycle(kafka, fault, parameters, number, folder, self._clock, keep=self._keep)
        self._journal.add(cycle)
        said = (
            f"{number + 1:3} {cycle.fault}: {cycle.events:,} events, {cycle.alerts} alerts, "
            f"missing {cycle.missing}, doubled {cycle.doubled}, different {cycle.different}, "
            f"longest pause {cycle.pause_ms / 1000:.1f} s, {cycle.restarts} restarts, {cycle.seconds:.0f} s"
        )
        click.echo(said)
        for problem in cycle.problems:
            click.echo(f"      {problem}")
        if cycle.evidence is not None:
            click.echo(f"      evidence: {cycle.evidence}")
        return cycle


def _tell(parameters: Parameters, done: list[Finished]) -> None:
    brokers = "1 broker" if parameters.brokers == 1 else f"{parameters.brokers} brokers"
    left_out = [fault.name for fault in FAULTS if parameters.brokers not in fault.on]
    without = f", without what needs more: {', '.join(left_out)}" if left_out else ""
    seconds = sum(cycle.seconds for cycle in done)
    click.echo(f"\nOn {brokers}, seed {parameters.seed}, {seconds / 60:.0f} minutes{without}\n")
    click.echo(markdown_table(done, parameters.faults) + "\n")


def _evidence(journal: Path) -> Path:
    return journal.with_name(f"{journal.stem}-evidence")


if __name__ == "__main__":
    main()
