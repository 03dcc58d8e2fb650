"""`forewarn audit`: what was published, is it still what was published?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.commands.common import (
    FILE,
    broker_options,
    expected,
    json_option,
    named_fields,
    print_json,
    settings_from,
)

if TYPE_CHECKING:
    from streams.audit import Proof
    from streams.settings import Settings
    from streams.topics import TopicNames


@click.group()
def audit() -> None:
    """Prove that the log of alerts was not changed."""


@audit.command()
@broker_options
@click.option("--partition", type=click.IntRange(min=0), help="Only this partition.")
@click.option(
    "--from-offset",
    type=click.IntRange(min=0),
    help="Begin there and trust what the first alert says of those before. Needs --partition.",
)
@click.option(
    "--file",
    type=FILE,
    help="A file of alerts, as `backtest` and `audit export` write it, instead of the topic.",
)
@click.option("--trust-first", is_flag=True, help="With --file: it may begin amid the chain.")
@json_option
def verify(
    *,
    bootstrap: str | None,
    prefix: str | None,
    partition: int | None,
    from_offset: int | None,
    file: Path | None,
    trust_first: bool,
    as_json: bool,
) -> None:
    """Prove each partition's hash chain whole, or name the first break; exit status 1 where there is one.

    The end of each chain is compared with the progress record of the changelog, so an end that was cut off shows too.
    Note the printed heads elsewhere: whoever could rewrite topic and changelog alike, could not rewrite those.
    """
    from streams.audit import prove_file, told

    if from_offset is not None and partition is None:
        raise click.UsageError("--from-offset needs --partition: offsets differ from one to the other")
    if file is not None:
        if partition is not None:
            raise click.UsageError("a file has no partitions")
        with expected(OSError):
            proofs = [prove_file(file, trust_first=trust_first)]
    else:
        proofs = _prove_topic(settings_from(broker=bootstrap, topic_prefix=prefix), partition, from_offset)
    if as_json:
        print_json({"whole": all(proof.report.is_whole for proof in proofs), "chains": named_fields(proofs)})
    else:
        for proof in proofs:
            for line in told(proof):
                click.echo(line)
    broken = sum(not proof.report.is_whole for proof in proofs)
    if broken:
        raise click.ClickException(f"{broken} of {len(proofs)} chains are not whole")


def _prove_topic(settings: Settings, partition: int | None, from_offset: int | None) -> list[Proof]:
    from streams.audit import prove_partition
    from streams.kafka.inspection import InspectionError, Inspector
    from streams.progress import CorruptProgressError
    from streams.topics import TopicNames

    names = TopicNames(settings.topic_prefix)
    with expected(InspectionError, CorruptProgressError), Inspector(settings) as inspector:
        count = inspector.require(names.alerts)
        inspector.require(names.state)
        if partition is not None:
            _require_partition(partition, count, names)
        partitions = range(count) if partition is None else [partition]
        return [prove_partition(inspector, names, number, from_offset) for number in partitions]


@audit.command()
@click.argument("file", type=FILE)
@broker_options
@click.option(
    "--partition", type=click.IntRange(min=0), required=True, help="Which partition: a file holds one chain."
)
@click.option(
    "--without",
    metavar="ID",
    multiple=True,
    help="A borrower who was erased, by the id that alerts carry: of their alerts only the links are written.",
)
@json_option
def export(
    file: Path,
    *,
    bootstrap: str | None,
    prefix: str | None,
    partition: int,
    without: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the alerts of a partition to FILE, to be kept where the topic's own records are to be deleted.

    `audit verify --file FILE` proves it: its head must be that of the topic. FILE must not exist yet.
    """
    from streams import audit as auditing
    from streams.kafka.inspection import InspectionError, Inspector
    from streams.topics import TopicNames

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    names = TopicNames(settings.topic_prefix)
    with expected(InspectionError, OSError, ValueError), Inspector(settings) as inspector:
        _require_partition(partition, inspector.require(names.alerts), names)
        written, erased = auditing.export(inspector, names, partition, file, frozenset(without))
    if as_json:
        print_json({"alerts": written, "erased": erased})
    else:
        click.echo(f"{written:,} alerts written to {file}, {erased:,} of them as links only")


def _require_partition(partition: int, count: int, names: TopicNames) -> None:
    if partition >= count:
        raise click.ClickException(f"{names.alerts} has the partitions 0 to {count - 1}")
