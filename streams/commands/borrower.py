"""`forewarn borrower`: all that is known of one borrower, and how it came about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click
import msgspec

from streams.commands.common import (
    IsoDate,
    broker_options,
    expected,
    json_option,
    named_fields,
    policy_from,
    policy_option,
    print_json,
    settings_from,
)
from streams.wording import one_line

if TYPE_CHECKING:
    from models.alerts import Alert, Text
    from models.remembered import Remembered
    from models.rules import Rules
    from models.timeline import Entry
    from streams.history import History

Language = Literal["en", "zh"]
_CLOSED = frozenset({"resolved", "retracted"})
_WORDS: Final = {
    "en": {
        "borrower": "borrower {}, partition {}",
        "risk": "risk",
        "none": "none yet",
        "open": "open alerts: {}",
        "remembered": "remembered as of {}, by policy {} ({:,} bytes)",
        "timeline": "timeline",
        "cut": "older events may be in the topics: ask for them with --since or more --records",
        "by_time": "time passed, after {}/{}",
        "because": "because of {}",
        "learnt": "learnt {}",
    },
    "zh": {
        "borrower": "借款人 {}，分区 {}",
        "risk": "风险",
        "none": "暂无",
        "open": "未解除的预警：{}",
        "remembered": "截至 {} 的记录，依据策略 {}（{:,} 字节）",
        "timeline": "时间线",
        "cut": "主题中可能有更早的事件：可用 --since 或更大的 --records 查询",
        "by_time": "因时间推移，位于 {}/{} 之后",
        "because": "起因 {}",
        "learnt": "获知于 {}",
    },
}


@click.group()
def borrower() -> None:
    """Look at one borrower."""


@borrower.command()
@click.argument("borrower_id", metavar="ID")
@broker_options
@policy_option
@click.option("--since", type=IsoDate(), help="The timeline from this date on, in the policy's time zone.")
@click.option("--until", type=IsoDate(), help="The timeline up to the end of this date.")
@click.option(
    "--records",
    type=click.IntRange(min=1),
    help="Look through so many records of each input partition at most, the newest. [default: 200000]",
)
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language.")
@json_option
def show(
    borrower_id: str,
    *,
    bootstrap: str | None,
    prefix: str | None,
    policy_file: Path | None,
    since: date | None,
    until: date | None,
    records: int | None,
    lang: Language,
    as_json: bool,
) -> None:
    """Show a borrower's risk, open alerts, what is remembered, and the timeline of events and alerts.

    All as the workers last committed it. The borrower's partition is found as Kafka's Java client finds it (murmur2 of
    the id). With FOREWARN_PSEUDONYM_KEY_FILE, ID is the borrower's own or the pseudonym. What is free text in an event is never shown.
    """
    from models.borrower import CorruptStateError
    from models.rules import Rules
    from streams.history import RECORDS_MAX, read_history
    from streams.kafka.inspection import InspectionError, Inspector
    from streams.mapping.errors import MappingError
    from streams.mapping.loading import decoders_from
    from streams.progress import CorruptProgressError
    from streams.pseudonym import PseudonymError, pseudonyms_from
    from streams.topics import names_of

    settings = settings_from(broker=bootstrap, topic_prefix=prefix)
    with expected(PseudonymError, MappingError):
        pseudonyms = pseudonyms_from(settings.pseudonym_key_file)
        decoders = decoders_from(settings)
    rules = Rules(policy_from(policy_file))
    since_ms = None if since is None else _midnight_ms(since, rules, 0)
    until_ms = None if until is None else _midnight_ms(until, rules, 1)
    with expected(InspectionError, CorruptStateError, CorruptProgressError), Inspector(settings) as inspector:
        history = read_history(
            inspector,
            names_of(settings),
            borrower_id,
            since_ms=since_ms,
            records_max=records or RECORDS_MAX,
            pseudonyms=pseudonyms,
            decoders=decoders,
        )
    if history.is_empty:
        raise click.ClickException(f"nothing is known of borrower {borrower_id}")
    found = found_of(borrower_id, history, rules, since_ms, until_ms)
    if as_json:
        print_json(found)
    else:
        for line in told_of(found, lang):
            click.echo(line)


def _midnight_ms(day: date, rules: Rules, days_later: int) -> int:
    from models.calendars import day_of_date

    return rules.calendar.midnight_ms(day_of_date(day) + days_later)


def found_of(
    borrower_id: str, history: History, rules: Rules, since_ms: int | None, until_ms: int | None
) -> dict[str, Any]:
    """All that is shown of a borrower."""
    from models.remembered import remembered
    from models.timeline import entries, within

    state = history.state
    known = None if state is None else remembered(state, max(0, history.watermark_ms), rules)
    timeline = within(entries(history.events, history.alerts, history.refusals), since_ms, until_ms)
    return {
        "borrower_id": borrower_id,
        "partition": history.partition,
        "risk": None if history.risk is None else msgspec.Raw(history.risk),
        "open_alerts": open_alerts(history.alerts),
        "remembered": known,
        "timeline": timeline,
        "timeline_cut": history.is_cut,
        "state": None if state is None else _without_free_text(named_fields(state)),
        "state_bytes": history.state_bytes,
    }


def open_alerts(alerts: Sequence[Alert]) -> list[Alert]:
    """The latest revision of each alert that is not over."""
    latest = {alert.alert_id: alert for alert in alerts}
    return [alert for alert in latest.values() if alert.status not in _CLOSED]


def _without_free_text(state: Any) -> Any:
    """The state as it is kept, but for what anybody may have written into it: nobody knows what stands there."""
    servicing = state["servicing"]
    for entries, fields in (
        (state["loans"].values(), ("product", "segment", "purpose")),
        (servicing["contacts"], ("channel",)),
        (servicing["restrictions"], ("list_name", "reason")),
        (servicing["notes"], ("reason",)),
    ):
        for entry in entries:
            entry.update({field: _WITHHELD for field in fields if entry.get(field) is not None})
    return state


_WITHHELD: Final = "…"


# ---- printing ----------------------------------------------------------------------------------------------------


def told_of(found: dict[str, Any], lang: Language) -> Iterator[str]:
    """The same in lines for the eye."""
    words = _WORDS[lang]
    yield words["borrower"].format(found["borrower_id"], found["partition"])
    yield f"\n{words['risk']}"
    risk = found["risk"]
    yield f"  {words['none']}" if risk is None else _indented(msgspec.json.decode(risk))
    yield "\n" + words["open"].format(len(found["open_alerts"]))
    yield from (f"  {one_line(alert)}" for alert in found["open_alerts"])
    known: Remembered | None = found["remembered"]
    if known is not None:
        yield "\n" + words["remembered"].format(
            _when(known.as_of_ms), known.policy_version[:12], found["state_bytes"]
        )
        yield _indented(msgspec.to_builtins(known))
    yield f"\n{words['timeline']}"
    if found["timeline_cut"]:
        yield f"  {words['cut']}"
    for entry in found["timeline"]:
        yield from _told_entry(entry, lang)


def _told_entry(entry: Entry, lang: Language) -> Iterator[str]:
    words = _WORDS[lang]
    fields = {"alert_id": entry.id, **entry.details} if entry.kind == "alert" else entry.details
    details = ", ".join(f"{name} {value}" for name, value in fields.items() if value is not None)
    learnt = "" if entry.learnt_at_ms is None else f"  ({words['learnt'].format(_when(entry.learnt_at_ms))})"
    mark = {"event": " ", "alert": "!", "refused": "×"}[entry.kind]
    yield f"{_when(entry.at_ms)} {mark} {_in(entry.what, lang)}  {details}{learnt}".rstrip()
    margin = " " * 20
    for reason in entry.reasons:
        yield f"{margin}{_in(reason, lang)}"
    if entry.changes:
        yield margin + ", ".join(
            f"{change.field} {change.before} → {change.after}" for change in entry.changes
        )
    cause = entry.cause
    if cause is not None:
        said = (
            words["by_time"].format(cause.topic, cause.offset)
            if cause.by_time
            else words["because"].format(f"{cause.topic}/{cause.offset} {cause.event_id}")
        )
        yield f"{margin}{said}"


def _in(text: Text, lang: Language) -> str:
    return text.zh if lang == "zh" else text.en


def _when(instant_ms: int) -> str:
    from streams.outputs import rfc3339

    return rfc3339(instant_ms)[:16].replace("T", " ") + "Z"


def _indented(value: object) -> str:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return "\n".join(f"  {line}" for line in text.splitlines())
