"""`forewarn convert`: foreign data as a folder of events."""

from __future__ import annotations

from pathlib import Path

import click

from streams.commands.common import FILE, FOLDER, expected, json_option, print_json, progress_bar


@click.group()
def convert() -> None:
    """Turn foreign data into a folder of events."""


@convert.command("uci-default")
@click.argument("csv", type=FILE)
@click.argument("folder", type=FOLDER)
@json_option
def uci_default(csv: Path, folder: Path, *, as_json: bool) -> None:
    """Convert the UCI data set "Default of credit card clients" (CSV) to events in FOLDER.

    30,000 real card clients, Taiwan, April to September 2005: loans, statements, repayments, and outcomes.jsonl. What
    was read and what did not fit is counted in conversion.json; rows that cannot be read are kept in
    rejected-rows.jsonl.
    """
    from streams.convert.uci_default import UciDefaultError
    from streams.convert.uci_default import convert as convert_file
    from streams.event_folder_writer import FolderInUseError

    with (
        expected(UciDefaultError, FolderInUseError, OSError),
        progress_bar("converting", "clients") as progress,
    ):
        counts = convert_file(csv, folder, progress)
    if as_json:
        print_json(counts)
        return
    click.echo(
        f"{counts.clients:,} clients, {counts.bad:,} of them in default; {counts.events:,} events in {folder}"
    )
    if counts.rejected_rows:
        click.echo(
            f"{counts.rejected_rows:,} rows could not be read: see rejected-rows.jsonl there", err=True
        )
