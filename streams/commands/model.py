"""`forewarn model`: the scorecard in use, every one before it, what they differ in, and going back to one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from models.rulebook import SINCE_EVER_MS
from streams.commands.common import (
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

if TYPE_CHECKING:
    from models.risk.challengers import Compared
    from models.risk.published import CardStep, Judged
    from models.risk.scorecard import Scorecard
    from streams.rollback import Difference
    from streams.scorecards import Cards, Entry

_DIFFERENCES_SHOWN: Final = 20
"""Largest ones, for the eye; --json has all."""


@click.group()
def model() -> None:
    """See which scorecard is in use and what came before it, compare two, and go back."""


@model.command()
@click.argument("version", required=False)
@broker_options
@json_option
def show(version: str | None, *, bootstrap: str | None, prefix: str | None, as_json: bool) -> None:
    """Show the scorecard in use, or VERSION: its weights, and how well it foretold. The first characters will do."""
    from streams import rollback as cards_of

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    with _troubles():
        cards = _read(settings)
        card = (
            cards.in_force
            if version is None
            else cards.card(cards_of.named_version(list(cards.contents), version))
        )
    step = cards_of.step_of(cards, card.version)
    if as_json:
        print_json({"version": card.version, "card": card, "step": _plain(step)})
        return
    click.echo(f"scorecard {card.version}{'' if cards.pointer else ', the expert prior: none is published'}")
    if step is not None:
        since = local_instant(step.effective_from_ms, _zone())
        click.echo(
            f"{_outcome(step)}, effective from {since}, learnt from {step.examples} examples, {step.bads} bad"
        )
        click.echo(f"before learning from each: {_figures(step.figures)}")
        for segment, figures in step.by_segment.items():
            click.echo(f"  {segment}: {_figures(figures)}")
    for line in _weights(card):
        click.echo(line)


@model.command()
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N steps. [default: all]")
@broker_options
@json_option
def history(*, last: int | None, bootstrap: str | None, prefix: str | None, as_json: bool) -> None:
    """Every step: which scorecard was published or gone back to, which was refused and why, and how well it foretold.

    The figures are those of recent examples, each judged before it was learnt from; behind "against", those of the card in
    use over the same examples.
    """
    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    with _troubles():
        cards = _read(settings)
    entries = cards.entries[-last:] if last else cards.entries
    if as_json:
        steps = [{**_plain(entry.told), "published_at_ms": entry.published_at_ms} for entry in entries]
        print_json({"in_use": cards.in_force.version, "steps": steps})
        return
    if not entries:
        click.echo("nothing is published: the expert prior is in use")
    for line in map(_told, entries):
        click.echo(line)


@model.command()
@click.argument("old", required=False)
@click.argument("new", required=False)
@click.option(
    "--challengers",
    "with_challengers",
    is_flag=True,
    help="Compare the scorecard in use with freer models instead: how well each foretold the same sampled examples.",
)
@broker_options
@json_option
def compare(
    old: str | None,
    new: str | None,
    *,
    with_challengers: bool,
    bootstrap: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Show in which bins two scorecards differ, the largest differences first.

    OLD is the one before the present one unless named, NEW the one in use. The first characters of a version will do.
    """
    from streams import rollback as cards_of

    if with_challengers:
        if old is not None:
            raise click.UsageError("--challengers compares with the scorecard in use: name no other")
        _challengers(settings_from(broker=bootstrap, topic_prefix=prefix), as_json=as_json)
        return
    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    with _troubles():
        cards = _read(settings)
        known = list(cards.contents)
        former = cards_of.former_version(cards, None) if old is None else cards_of.named_version(known, old)
        before = cards.card(former)
        after = cards.in_force if new is None else cards.card(cards_of.named_version(known, new))
    found = cards_of.differences(before, after)
    steps = [cards_of.step_of(cards, card.version) for card in (before, after)]
    if as_json:
        print_json(
            {
                "old": {"version": before.version, "step": _plain(steps[0])},
                "new": {"version": after.version, "step": _plain(steps[1])},
                "differences": found,
            }
        )
        return
    for name, card, step in zip(("old", "new"), (before, after), steps, strict=True):
        told = "what learning began with" if step is None else _figures(step.figures)
        click.echo(f"{name}  {card.version}  {told}")
    for difference in islice(found, _DIFFERENCES_SHOWN):
        click.echo(_difference(difference))
    if len(found) > _DIFFERENCES_SHOWN:
        click.echo(f"  and {len(found) - _DIFFERENCES_SHOWN} smaller differences: see --json")
    if not found:
        click.echo("they do not differ")


def _challengers(settings: Settings, *, as_json: bool) -> None:
    with _troubles():
        told = _read(settings).compared
    if as_json:
        print_json({"challengers": told})
    elif told is None:
        click.echo("nothing is told of challengers yet: they have judged too few examples")
    else:
        click.echo(f"as of {local_instant(told.published_at_ms, _zone())}")
        for line in _compared(told.compared):
            click.echo(line)


@model.command()
@click.argument("version", required=False)
@click.option(
    "--effective-from",
    metavar="INSTANT",
    help="Score what is as of then and later, in event time: milliseconds, ISO 8601 (local without an offset), or `ever`. "
    "[default: now]",
)
@click.option("--dry-run", is_flag=True, help="Show what would change and publish nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@broker_options
@json_option
def rollback(
    version: str | None,
    *,
    effective_from: str | None,
    dry_run: bool,
    yes: bool,
    bootstrap: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Use VERSION again, or the scorecard before the present one; learning goes on from it.

    What was learnt since is forgotten, and the next scorecard has to prove itself anew against this one. VERSION must
    have been in use; its first characters will do.
    """
    from streams import rollback as cards_of
    from streams.clock import SystemClock

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    clock = SystemClock()
    since_ms = (
        clock.now_ms()
        if effective_from is None
        else instant_from(effective_from, _zone(), "--effective-from")
    )
    with _troubles():
        cards = _read(settings)
        chosen = cards_of.former_version(cards, version)
        in_use, card = cards.in_force, cards.card(chosen)
    found = cards_of.differences(in_use, card)
    if not as_json:
        for difference in islice(found, _DIFFERENCES_SHOWN):
            click.echo(_difference(difference))
        click.echo(f"{in_use.version} -> {chosen}, effective from {local_instant(since_ms, _zone())}")
    if dry_run:
        done = "nothing published (--dry-run)"
    else:
        if not yes:
            click.confirm("Go back?", abort=True, err=True)
        with _troubles():
            step = asyncio.run(cards_of.go_back(_ports(settings), settings, chosen, since_ms, clock))
        done = f"gone back, step {step.number}"
    if as_json:
        from_ms = None if since_ms == SINCE_EVER_MS else since_ms
        print_json(
            {"version": chosen, "replaces": in_use.version, "effective_from_ms": from_ms, "done": done}
        )
    else:
        click.echo(done)


# ---- the topic ---------------------------------------------------------------------------------------------------


def _troubles() -> Any:
    """What a user can do something about."""
    from streams.kafka.inspection import InspectionError
    from streams.ports import PortError
    from streams.reference import ReferenceError as UnreadableError
    from streams.rollback import CardError

    return expected(InspectionError, PortError, UnreadableError, CardError)


def _read(settings: Settings) -> Cards:
    from streams.kafka.inspection import require_broker
    from streams.rollback import read_topic

    require_broker(settings)
    return asyncio.run(read_topic(_ports(settings), settings))


def _ports(settings: Settings) -> Any:
    from streams.kafka.ports import KafkaPorts
    from streams.trainer import trainer_inputs, trainer_settings

    return KafkaPorts(trainer_settings(settings), trainer_inputs(settings))


def _zone() -> str:
    return policy_from(None).time_zone


# ---- what is printed ---------------------------------------------------------------------------------------------


def _plain(step: CardStep | None) -> Any:
    """A step without the optimiser's bytes."""
    if step is None:
        return None
    return {name: value for name, value in msgspec.to_builtins(step).items() if name != "optimiser"}


def _told(entry: Entry) -> str:
    step = entry.told
    zone = _zone()
    when = local_instant(entry.published_at_ms, zone)
    since = "" if step.refused else f", effective from {local_instant(step.effective_from_ms, zone)}"
    return (
        f"{step.number}  {step.version}  {when}  {_outcome(step)}{since}\n"
        f"    {_figures(step.recent)}, against {_figures(step.recent_in_use)}"
    )


def _outcome(step: CardStep) -> str:
    if step.refused is not None:
        return f"refused: {step.refused.replace('_', ' ')}"
    return step.step.replace("_", " ")


def _figures(figures: Judged) -> str:
    shown = (
        ("AUC", figures.auc, ".4f"),
        ("KS", figures.ks, ".4f"),
        ("log-loss", figures.log_loss, ".4f"),
        ("calibration error", figures.calibration_error, ".4f"),
    )
    told = ", ".join(
        f"{name} {format(value, form) if value is not None else '–'}" for name, value, form in shown
    )
    return f"{told} ({figures.examples:.0f} examples)"


_MODELS: Final = {
    "in_use": "the scorecard in use",
    "learning": "the scorecard that learns",
    "sampled_card": "a scorecard of the sample alone",
    "hoeffding_adaptive_tree": "Hoeffding adaptive tree",
    "adaptive_random_forest": "adaptive random forest",
}


def _compared(compared: Compared) -> Iterable[str]:
    """A line a model: how it foretold, and by how much it orders better than the card in use."""
    from models.risk.challengers import auc_gain
    from models.risk.guard import auc_by_chance

    in_use = compared.models["in_use"]
    chance = auc_by_chance(in_use.auc, in_use.bad_rate, in_use.examples)
    yield (
        f"one example in {compared.sampled_one_in}; since the trainer was started {compared.learnt} learnt from, "
        f"{compared.judged} of them judged before; {compared.skipped} skipped"
    )
    for name, figures in compared.models.items():
        gain = auc_gain(compared, name)
        against = "" if name == "in_use" or gain is None else f", AUC {gain:+.4f} against the one in use"
        yield f"  {_MODELS.get(name, name)}: {_figures(figures)}{against}"
    for name in compared.withdrawn:
        yield f"  {_MODELS.get(name, name)}: failed, out until the trainer is started again"
    yield f"by chance alone an AUC may be {chance:.4f} higher or lower here"


def _weights(card: Scorecard) -> Iterable[str]:
    yield f"bias {card.bias:+.4f} (log-odds)"
    for name, edges, weights in zip(card.features, card.edges, card.weights, strict=True):
        yield name
        for low, high, weight in zip((None, *edges), (*edges, None), weights, strict=True):
            yield f"  {_bin(low, high):>24}  {weight:+.4f}"


def _difference(one: Difference) -> str:
    place = "" if one.feature.startswith("(") else f" {_bin(one.from_value, one.to_value)}"
    return f"  {one.feature}{place}: {_weight(one.old)} -> {_weight(one.new)}"


def _bin(low: float | None, high: float | None) -> str:
    if low is None:
        return "all" if high is None else f"below {high:g}"
    return f"from {low:g}" if high is None else f"{low:g} to {high:g}"


def _weight(weight: float | None) -> str:
    return "(none)" if weight is None else f"{weight:+.4f}"
