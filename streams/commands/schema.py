"""`forewarn schema`: the contract, for those who generate, validate or document with it."""

from __future__ import annotations

from pathlib import Path

import click

from streams.commands.common import FOLDER, broker_options, expected, settings_from


@click.command()
@click.argument("name", required=False)
@click.option("--out", type=FOLDER, help="Write every document into this folder.")
@broker_options
def schema(*, name: str | None, out: Path | None, bootstrap: str | None, prefix: str | None) -> None:
    """Print a document of the contract: NAME is `asyncapi`, `forewarn.alert.v1`, or the type of an event.

    Without NAME it prints the names there are. JSON Schemas are of draft 2020-12, the AsyncAPI document is of version 3.0 and
    names the broker and the topics of this installation.
    """
    from streams.contract.files import contract_files, document_names, document_of, printed

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    if out is not None:
        if name is not None:
            raise click.UsageError("either NAME or --out")
        with expected(OSError):
            for path, text in contract_files(settings).items():
                file = out / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
                click.echo(file)
        return
    names = document_names()
    if name is None:
        for one in names:
            click.echo(one)
    elif name in names:
        click.echo(printed(document_of(name, settings)), nl=False)
    else:
        raise click.BadParameter(f"no document {name}; there are: {', '.join(names)}", param_hint="NAME")
