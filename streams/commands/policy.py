"""`forewarn policy`: look at a policy before it judges anybody."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from models.policy import default_policy, default_policy_text
from streams.commands.common import FILE, json_option, policy_from, print_json


@click.group()
def policy() -> None:
    """Check or show a policy."""


@policy.command()
@click.argument("file", type=FILE)
@json_option
def check(file: Path, *, as_json: bool) -> None:
    """Say whether FILE is a valid policy, and which version it is.

    What does not fit is named with file, key and what is allowed; the exit status is 1 then.
    """
    version = policy_from(file).version
    if as_json:
        print_json({"file": str(file), "valid": True, "version": version})
    else:
        click.echo(f"{file}: valid, version {version}")


@policy.command()
@click.argument("file", type=FILE, required=False)
@json_option
def show(file: Path | None, *, as_json: bool) -> None:
    """Show the policy that FILE laid over the packaged one gives.

    Without FILE and --json, the packaged policy is shown as written, with its units and sources.
    """
    checked = policy_from(file)
    if as_json:
        print_json({"version": checked.version, "policy": checked})
        return
    click.echo(f"# version {checked.version}")
    if file is None and checked == default_policy():
        click.echo(default_policy_text(), nl=False)
        return
    for line in _as_toml((), msgspec.to_builtins(checked)):
        click.echo(line)


def _as_toml(path: tuple[str, ...], value: object) -> list[str]:
    """Every value under its whole key: what a policy file that leaves nothing to the default would say."""
    if isinstance(value, dict) and value:
        return [line for key, inner in value.items() for line in _as_toml((*path, _toml_key(key)), inner)]
    return [f"{'.'.join(path)} = {_toml_value(value)}"]


def _toml_value(value: object) -> str:
    """One value in line. Strings, numbers and empty tables are written alike in JSON and TOML."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, dict) and value:
        return f"{{ {', '.join(f'{_toml_key(key)} = {_toml_value(inner)}' for key, inner in value.items())} }}"
    return msgspec.json.encode(value).decode()


def _toml_key(key: str) -> str:
    plain = key.replace("-", "").replace("_", "").isalnum() and key.isascii()
    return key if plain else f'"{key}"'
