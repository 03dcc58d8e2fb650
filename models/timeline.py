"""A borrower's life in lines: what happened, what was warned of, what changed and why, in order of event time.

Events are told by the contract's own words, ids, amounts, dates and numbers. Free text (a reason somebody wrote, the name
of a list, a purpose) is left out: it is nobody's evidence, and nobody knows what stands in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from models.alerts import Alert, Text
from models.events import Direction, Event, Heartbeat, Instalment

Kind = Literal["event", "alert", "refused"]
_RANK: Final[dict[Kind, int]] = {"event": 0, "refused": 1, "alert": 2}
"""At one instant: what happened, before what was said of it."""

_LEFT_OUT: Final = frozenset(
    {"event_id", "borrower_id", "event_time_ms", "ingested_at_ms", "linked_borrower_id", "linked_partition"}
)
"""Fields that a line tells in its own place, and who is linked: one borrower's file does not tell of another's."""

EVENT_WORDS: Final[dict[str, Text]] = {
    "loan_opened": Text("loan opened", "贷款发放"),
    "instalment_billed": Text("instalment billed", "账单出具"),
    "repayment": Text("repayment", "还款"),
    "repayment_reversed": Text("repayment reversed", "还款冲正"),
    "schedule_changed": Text("schedule changed", "还款计划变更"),
    "limit_changed": Text("limit changed", "额度变更"),
    "loan_snapshot": Text("loan snapshot", "贷款快照"),
    "loan_closed": Text("loan closed", "贷款结束"),
    "fund_flow": Text("fund flow", "资金流水"),
    "account_linked": Text("account linked", "账户接入"),
    "account_unlinked": Text("account unlinked", "账户断开"),
    "credit_query": Text("credit query", "征信查询"),
    "credit_account_opened": Text("credit account opened", "他处开立信贷账户"),
    "credit_account_closed": Text("credit account closed", "他处信贷账户结清"),
    "credit_summary": Text("credit summary", "征信汇总"),
    "contact_attempted": Text("contact attempted", "联系尝试"),
    "hold_placed": Text("hold placed", "设置暂缓"),
    "hold_released": Text("hold released", "解除暂缓"),
    "alert_acknowledged": Text("alert acknowledged", "预警已受理"),
    "alert_reviewed": Text("alert reviewed", "预警已复核"),
    "alert_snoozed": Text("alert snoozed", "预警已延后"),
    "borrower_linked": Text("borrower linked", "关联借款人"),
    "borrower_unlinked": Text("borrower unlinked", "解除关联"),
    "restriction_listed": Text("restriction listed", "列入名单"),
    "restriction_lifted": Text("restriction lifted", "移出名单"),
    "borrower_erased": Text("borrower erased", "借款人数据删除"),
    "event_voided": Text("event voided", "事件撤销"),
}
_STATUS_WORDS: Final[dict[str, Text]] = {
    "opened": Text("opened", "发出"),
    "escalated": Text("escalated", "升级"),
    "eased": Text("eased", "缓和"),
    "updated": Text("updated", "更新"),
    "resolved": Text("resolved", "解除"),
    "retracted": Text("retracted", "撤回"),
}
_REFUSED: Final = Text("refused", "被拒收")

Value = str | int | bool | None


class Change(Struct, frozen=True):
    """What a revision shows otherwise than the one before it."""

    field: str
    before: Value
    after: Value


class Cause(Struct, frozen=True):
    """What brought a revision about: a record, or time alone."""

    topic: str
    partition: int
    offset: int
    event_id: str | None
    by_time: bool


class Entry(Struct, frozen=True, kw_only=True):
    """One line of the timeline."""

    at_ms: int
    kind: Kind
    what: Text
    id: str | None
    """Of the event or the alert."""
    details: dict[str, Value]
    reasons: tuple[Text, ...] = ()
    changes: tuple[Change, ...] = ()
    cause: Cause | None = None
    learnt_at_ms: int | None = None
    """When the lender learnt of an event, where that was later."""


class Refusal(Struct, frozen=True):
    """A record that was turned away: where it stood, and why."""

    at_ms: int
    topic: str | None
    offset: int | None
    reason: str | None


def entries(
    events: Iterable[Event], alerts: Iterable[Alert], refusals: Iterable[Refusal] = ()
) -> list[Entry]:
    """The whole story in order of event time; alerts in order of their revisions. Repeated events are told once."""
    told = [*_of_events(events), *_of_alerts(alerts), *map(_of_refusal, refusals)]
    return sorted(told, key=lambda entry: (entry.at_ms, _RANK[entry.kind]))


def within(told: Sequence[Entry], since_ms: int | None, until_ms: int | None) -> list[Entry]:
    """The entries from an instant to before another one."""
    return [
        entry
        for entry in told
        if (since_ms is None or entry.at_ms >= since_ms) and (until_ms is None or entry.at_ms < until_ms)
    ]


def _of_events(events: Iterable[Event]) -> Iterable[Entry]:
    seen: set[tuple[type[Event], str]] = set()
    for event in events:
        if isinstance(event, Heartbeat) or (type(event), event.event_id) in seen:
            continue
        seen.add((type(event), event.event_id))
        learnt_ms = event.ingested_at_ms
        yield Entry(
            at_ms=event.event_time_ms,
            kind="event",
            what=EVENT_WORDS[str(event.__struct_config__.tag)],
            id=event.event_id,
            details={
                name: shown
                for name in _told_fields(type(event))
                if (shown := _shown(getattr(event, name))) is not None
            },
            learnt_at_ms=learnt_ms if learnt_ms is not None and learnt_ms > event.event_time_ms else None,
        )


def _shown(value: Any) -> Value:
    if isinstance(value, tuple):
        return _schedule(value)
    return value.isoformat() if isinstance(value, date) else value


def _schedule(instalments: tuple[Instalment, ...]) -> str:
    """A schedule in short: how many, from when to when, how much in all."""
    if not instalments:
        return "0"
    days = [instalment.due_date for instalment in instalments]
    total_minor = sum(instalment.amount_minor for instalment in instalments)
    return f"{len(instalments)} × {min(days).isoformat()}…{max(days).isoformat()} = {total_minor}"


@cache
def _told_fields(event_type: type[Event]) -> tuple[str, ...]:
    """The fields of a type that are words, ids, amounts, numbers or dates; what anybody may write anything into is none."""
    hints = get_type_hints(event_type, include_extras=True)
    return tuple(
        name for name in event_type.__struct_fields__ if name not in _LEFT_OUT and not _is_free(hints[name])
    )


def _is_free(annotation: Any) -> bool:
    """Whether a field is plain `str`, maybe absent: ids have a length, words are a closed list."""
    if annotation is str:
        return True
    if get_origin(annotation) is Literal or annotation is Direction or hasattr(annotation, "__metadata__"):
        return False
    return any(option is str for option in get_args(annotation))


# ---- alerts ------------------------------------------------------------------------------------------------------


def _of_alerts(alerts: Iterable[Alert]) -> Iterable[Entry]:
    former: dict[str, Alert] = {}
    for alert in alerts:
        before = former.get(alert.alert_id)
        former[alert.alert_id] = alert
        yield Entry(
            at_ms=alert.event_time_ms,
            kind="alert",
            what=_STATUS_WORDS[alert.status],
            id=alert.alert_id,
            details={
                "signal": alert.signal,
                "severity": alert.severity,
                "revision": alert.revision,
                "loan_id": alert.loan_id,
                "resolution": alert.resolution,
                "policy_version": alert.policy_version,
                "model_version": alert.risk.model_version,
            },
            reasons=tuple(reason.text for reason in alert.reasons),
            changes=() if before is None else tuple(_changes(before, alert)),
            cause=Cause(
                alert.caused_by.topic,
                alert.caused_by.partition,
                alert.caused_by.offset,
                alert.caused_by.event_id,
                by_time=alert.caused_by.event_id is None,
            ),
        )


def _changes(before: Alert, after: Alert) -> Iterable[Change]:
    for (name, was), (_, becomes) in zip(_watched(before), _watched(after), strict=True):
        if was != becomes:
            yield Change(name, was, becomes)


def _watched(alert: Alert) -> list[tuple[str, Value]]:
    """What of an alert somebody acts on."""
    advice, exposure = alert.recommendation, alert.exposure
    return [
        ("severity", alert.severity),
        ("stage", advice.stage),
        ("actionable", advice.actionable),
        ("hold", advice.hold),
        ("human_review_required", advice.human_review_required),
        ("days_past_due", exposure.days_past_due),
        ("overdue_minor", exposure.overdue_minor),
        ("tier", alert.risk.tier),
        ("policy_version", alert.policy_version),
    ]


def _of_refusal(refusal: Refusal) -> Entry:
    details: dict[str, Value] = {
        "reason": refusal.reason,
        "topic": refusal.topic,
        "offset": refusal.offset,
    }
    return Entry(at_ms=refusal.at_ms, kind="refused", what=_REFUSED, id=None, details=details)


def as_plain(told: Sequence[Entry]) -> Any:
    """Entries as JSON knows them."""
    return msgspec.to_builtins(told)
