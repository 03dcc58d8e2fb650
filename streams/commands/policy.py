"""`forewarn policy`: look at a policy before it judges anybody, publish it, see what was published, go back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from models.policy import Policy, PolicyError, default_policy, default_policy_text
from models.policy_changes import Change, changes
from models.rulebook import SINCE_EVER_MS
from streams.commands.common import (
    FILE,
    broker_options,
    expected,
    instant_from,
    json_option,
    local_instant,
    policy_from,
    print_json,
    settings_from,
)
from streams.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def policy() -> None:
    """Check, show or publish a policy; see what was published, and go back."""


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


def _publishing_options(command: Command) -> Command:
    effective = click.option(
        "--effective-from",
        metavar="INSTANT",
        help="Judge what happens from then on, in event time: milliseconds, ISO 8601 (local without an offset), or `ever`. "
        "[default: now; `ever` for the first policy]",
    )
    dry_run = click.option("--dry-run", is_flag=True, help="Show what would change and publish nothing.")
    yes = click.option("--yes", is_flag=True, help="Do not ask.")
    return broker_options(effective(dry_run(yes(json_option(command)))))


@policy.command()
@click.argument("file", type=FILE)
@_publishing_options
def publish(
    file: Path,
    *,
    bootstrap: str | None,
    prefix: str | None,
    effective_from: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Publish FILE laid over the packaged policy: running workers take it up within seconds, without a restart.

    What changes against the policy published last is shown first, key by key. It judges what happens from
    --effective-from on; whatever stands by then is looked at again within a day of event time. Another policy that was
    to take effect at that instant or later is called off.
    """
    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    chosen = policy_from(file)
    _publish(settings, lambda _: chosen, effective_from, dry_run=dry_run, yes=yes, as_json=as_json)


@policy.command()
@click.argument("version", required=False)
@_publishing_options
def rollback(
    version: str | None,
    *,
    bootstrap: str | None,
    prefix: str | None,
    effective_from: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Publish VERSION again, or the one before the present one. The first characters of a version will do."""
    from streams.policies import Published
    from streams.publishing import former_version

    def choose(published: Published) -> Policy:
        return published.policy(former_version(published, version))

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    _publish(settings, choose, effective_from, dry_run=dry_run, yes=yes, as_json=as_json)


@policy.command()
@broker_options
@json_option
def history(*, bootstrap: str | None, prefix: str | None, as_json: bool) -> None:
    """Every policy that was published: when, from when on it judges, its version, and what it changed."""
    from streams.clock import SystemClock
    from streams.kafka.inspection import InspectionError, require_broker
    from streams.ports import PortError
    from streams.publishing import PublishingError, read_topic
    from streams.publishing import history as entries_of
    from streams.reference import ReferenceError as UnreadableError

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    with expected(InspectionError, PortError, PublishingError, UnreadableError):
        require_broker(settings)
        published = asyncio.run(read_topic(settings))
    entries = entries_of(published, policy_from(None), SystemClock().now_ms())
    if as_json:
        print_json(
            {
                "publications": [
                    {**msgspec.to_builtins(entry), "changes": _named(entry.changes)} for entry in entries
                ]
            }
        )
        return
    if not entries:
        click.echo("nothing is published: the policy file of the workers holds, or the packaged policy")
    zone = policy_from(None).time_zone
    for entry in entries:
        since = SINCE_EVER_MS if entry.effective_from_ms is None else entry.effective_from_ms
        when = local_instant(entry.published_at_ms, zone) if entry.published_at_ms else "at an unknown time"
        click.echo(
            f"{entry.number}  {entry.version}  published {when}, effective from {local_instant(since, zone)}: {entry.phase}"
        )
        _print_changes(entry.changes)


def _publish(
    settings: Settings,
    choose: Callable[[Any], Policy],
    effective_from: str | None,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what changes, ask, write."""
    from streams import publishing
    from streams.clock import SystemClock
    from streams.kafka.inspection import InspectionError, require_broker
    from streams.kafka.writing import WritingError
    from streams.ports import PortError
    from streams.reference import ReferenceError as UnreadableError

    clock = SystemClock()
    troubles = (
        InspectionError,
        PortError,
        WritingError,
        PolicyError,
        publishing.PublishingError,
        UnreadableError,
    )
    with expected(*troubles):
        require_broker(settings)
        published = asyncio.run(publishing.read_topic(settings))
        chosen = choose(published)
    since_ms = None
    if effective_from is not None:
        since_ms = instant_from(effective_from, chosen.time_zone, "--effective-from")
    pointer = publishing.next_publication(published, chosen.version, since_ms, clock.now_ms())
    changed = changes(publishing.latest_policy(published, policy_from(None)), chosen)
    is_same = bool(published.publications) and published.publications[-1].version == chosen.version
    if not as_json:
        _print_changes(changed)
        since = local_instant(pointer.effective_from_ms, chosen.time_zone)
        click.echo(f"version {chosen.version}, effective from {since}")
    if is_same and since_ms is None:
        done = "nothing to publish: this version is the latest already"
    elif dry_run:
        done = "nothing published (--dry-run)"
    else:
        if not yes:
            click.confirm("Publish?", abort=True, err=True)
        with expected(*troubles):
            asyncio.run(publishing.publish(settings, chosen, pointer, clock))
        done = f"published, number {pointer.number}"
    if as_json:
        from_ms = None if pointer.effective_from_ms == SINCE_EVER_MS else pointer.effective_from_ms
        print_json(
            {
                "version": chosen.version,
                "effective_from_ms": from_ms,
                "done": done,
                "changes": _named(changed),
            }
        )
    else:
        click.echo(done)


def _print_changes(changed: Iterable[Change]) -> None:
    for change in changed:
        click.echo(f"  {change.key}: {_shown(change.old)} -> {_shown(change.new)}")


def _shown(value: object) -> str:
    return "(none)" if value is None else _toml_value(value)


def _named(changed: Iterable[Change]) -> list[dict[str, Any]]:
    return [change._asdict() for change in changed]


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
        return (
            f"{{ {', '.join(f'{_toml_key(key)} = {_toml_value(inner)}' for key, inner in value.items())} }}"
        )
    return msgspec.json.encode(value).decode()


def _toml_key(key: str) -> str:
    plain = key.replace("-", "").replace("_", "").isalnum() and key.isascii()
    return key if plain else f'"{key}"'
