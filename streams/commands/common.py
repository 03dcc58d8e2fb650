"""What all commands share: options, errors that are said and not thrown, progress bars, policies."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import click
import msgspec

from models.policy import Policy, PolicyError, default_policy, parse_policy
from models.rulebook import SINCE_EVER_MS
from streams.settings import Settings, SettingsError, load_settings
from streams.small_files import read_small

Command = TypeVar("Command", bound=Callable[..., Any])
Progress = Callable[[int, int], None]

FOLDER: Final = click.Path(path_type=Path)
FILE: Final = click.Path(path_type=Path, dir_okay=False)
_POLICY_BYTES_MAX: Final = 1024 * 1024
"""The packaged policy has 4 KB; a megabyte is no policy but the wrong file."""


class IsoDate(click.ParamType):
    """A calendar date, `YYYY-MM-DD`."""

    name = "YYYY-MM-DD"

    def convert(self, value: date | str, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read it, or say what is expected."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no date; expected YYYY-MM-DD", param, ctx)


def broker_options(command: Command) -> Command:
    """Add `--bootstrap` and `--prefix`."""
    bootstrap = click.option(
        "--bootstrap",
        metavar="HOST:PORT[,...]",
        help="Kafka to work with. [default: FOREWARN_BROKER, else localhost:9092]",
    )
    prefix = click.option(
        "--prefix",
        metavar="TEXT",
        help="Stands before every topic name. [default: FOREWARN_TOPIC_PREFIX, else nothing]",
    )
    return bootstrap(prefix(command))


def json_option(command: Command) -> Command:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")(command)


def policy_option(command: Command) -> Command:
    """Add `--policy`."""
    return click.option(
        "--policy",
        "policy_file",
        type=FILE,
        help="TOML file that overrides the packaged policy. [default: FOREWARN_POLICY_FILE, else none]",
    )(command)


def settings_from(**options: Any) -> Settings:
    """Settings out of the environment and those options that were given.

    Raises:
        click.ClickException: a value that does not fit, with its name.
    """
    given = {name: value for name, value in options.items() if value is not None}
    with expected(SettingsError):
        return load_settings(os.environ, given)


def policy_from(file: Path | None) -> Policy:
    """Read the policy file, or the one named in the environment, or take the packaged policy.

    Raises:
        click.ClickException: it cannot be read or does not validate: file, key, and what is allowed.
    """
    if file is None:
        named = os.environ.get("FOREWARN_POLICY_FILE", "")
        if not named:
            return default_policy()
        file = Path(named)
    with expected(PolicyError, OSError):
        try:
            text = read_small(file, _POLICY_BYTES_MAX).decode()
        except UnicodeDecodeError as error:
            raise PolicyError(f"{file}: not UTF-8: {error}") from error
        return parse_policy(text, str(file))


def instant_from(text: str, time_zone: str, option: str) -> int:
    """Read an instant (event time) in milliseconds: a number, ISO 8601, or `ever`.

    Raises:
        click.BadParameter: it is none of these.
    """
    if text == "ever":
        return SINCE_EVER_MS
    if text.isascii() and text.isdigit() and len(text) > len("20250101"):
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no instant; expected milliseconds, ISO 8601, or `ever`", param_hint=option
        ) from error
    if at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(time_zone))
    return round(at.timestamp() * 1000)


def local_instant(at_ms: int, time_zone: str) -> str:
    """An instant (event time) as people of that zone write it; `ever` for since ever."""
    if at_ms == SINCE_EVER_MS:
        return "ever"
    at = datetime.fromtimestamp(at_ms / 1000, tz=UTC).astimezone(ZoneInfo(time_zone))
    return at.isoformat(timespec="seconds")


@contextmanager
def expected(*kinds: type[BaseException]) -> Iterator[None]:
    """Turn the failures that a user can do something about into a message and exit status 1."""
    try:
        yield
    except kinds as error:
        raise click.ClickException(_message_of(error)) from error


def _message_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


@contextmanager
def progress_bar(description: str, unit: str) -> Iterator[Progress]:
    """Show a bar on standard error while the block lasts; nothing where nobody watches.

    Yields a function to be told (done, total); a total of 0 means that nobody knows.
    """
    if not sys.stderr.isatty():
        yield _nobody_watches
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn(unit),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bar = shown.add_task(description, total=None)
        yield lambda done, total: shown.update(bar, completed=done, total=total or None)


def _nobody_watches(done: int, total: int) -> None:
    """Take a report of progress and show nothing."""


def print_json(value: object) -> None:
    """Print one JSON document on one line."""
    click.echo(msgspec.json.encode(value))


def named_fields(value: object) -> Any:
    """A struct as an object with names, also where its own encoding is an array; for people to read."""
    if isinstance(value, msgspec.Struct):
        return {name: named_fields(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(key): named_fields(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [named_fields(item) for item in value]
    return value
