"""What may be done about an alert, and when: stage, contact window, attempts, and who must look first."""

from __future__ import annotations

from typing import Final

from models.alerts import Finding, Recommendation, Severity, SignalName, Stage
from models.rules import Rules

_MISSED_PAYMENT_STAGES: Final[dict[Severity, Stage]] = {
    Severity.WATCH: "remind",
    Severity.WARNING: "call",
    Severity.SERIOUS: "negotiate",
    Severity.CRITICAL: "assign_agency",
}
_MISSED_PAYMENT_STAGES_BY_BUCKET: Final[dict[str, Stage]] = {"271-360": "legal_notice", ">360": "field_visit"}
_INCOME_DROP_STAGES: Final[dict[Severity, Stage]] = {Severity.WATCH: "assist", Severity.WARNING: "assist"}
_HUMAN_REVIEW_STAGES: Final = frozenset({"assign_agency", "legal_notice", "field_visit"})
"""Steps that weigh heavily on a person: nobody takes them on a machine's word alone (GDPR, article 22, in spirit)."""


def stage_of(signal: SignalName, finding: Finding, bucket: str | None) -> Stage:
    """The step that fits how far things have gone."""
    if signal == "missed_payment":
        return _MISSED_PAYMENT_STAGES_BY_BUCKET.get(bucket or "", _MISSED_PAYMENT_STAGES[finding.severity])
    if signal == "income_drop":
        return _INCOME_DROP_STAGES.get(finding.severity, "call")
    return "review_limit"


def recommend(
    stage: Stage, event_time_ms: int, hold: str | None, rules: Rules, *, actionable: bool
) -> Recommendation:
    """Lay the stage into the next contact window at or after `event_time_ms`, in the policy's time zone."""
    not_before_ms, not_after_ms = contact_window_ms(event_time_ms, rules)
    return Recommendation(
        stage=stage,
        actionable=actionable,
        not_before_ms=not_before_ms,
        not_after_ms=not_after_ms,
        attempts_left=rules.policy.contact.attempts_per_day,
        hold=hold,
        human_review_required=stage in _HUMAN_REVIEW_STAGES,
    )


def contact_window_ms(instant_ms: int, rules: Rules) -> tuple[int, int]:
    """The contact hours of the local day of `instant_ms`, from then on; past them, those of the next day."""
    contact, calendar = rules.policy.contact, rules.calendar
    day = calendar.day_of(instant_ms)
    latest_ms = calendar.hour_ms(day, contact.latest_hour)
    if instant_ms < latest_ms:
        return max(instant_ms, calendar.hour_ms(day, contact.earliest_hour)), latest_ms
    return calendar.hour_ms(day + 1, contact.earliest_hour), calendar.hour_ms(day + 1, contact.latest_hour)
