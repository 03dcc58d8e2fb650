"""What may be done about an alert, and when: stage, contact window, attempts, and who must look first."""

from __future__ import annotations

from typing import Final, NamedTuple

from models.alerts import Finding, Recommendation, Severity, SignalName, Stage
from models.contacts import attempts_left, first_day_with_attempts
from models.rules import Rules
from models.servicing import ServicingEvidence

_LADDER: Final[tuple[Stage, ...]] = (
    "remind",
    "call",
    "negotiate",
    "assign_agency",
    "legal_notice",
    "field_visit",
)
"""From the kindest step to the hardest: for money that is past due."""
_RUNG: Final[dict[Stage, int]] = {stage: rung for rung, stage in enumerate(_LADDER)}
_SEVERITY_STAGES: Final[dict[Severity, Stage]] = {
    Severity.WATCH: "remind",
    Severity.WARNING: "call",
    Severity.SERIOUS: "negotiate",
    Severity.CRITICAL: "assign_agency",
}
_BUCKET_STAGES: Final[dict[str, Stage]] = {"271-360": "legal_notice", ">360": "field_visit"}
_HISTORY_STAGE: Final[Stage] = "call"
"""Where a reminder was of no use before: the loan was restructured, or misses were many or long."""
_REFUSAL_STAGE: Final[Stage] = "negotiate"
"""Who refuses to pay has a reason: find it out before it gets worse."""
_SMALL_AMOUNT_STAGE: Final[Stage] = "negotiate"
"""As far as a small amount goes."""

_STAGES: Final[dict[SignalName, dict[Severity, Stage]]] = {
    "payment_at_risk": {
        Severity.WATCH: "pre_due_remind",
        Severity.WARNING: "pre_due_remind",
        Severity.SERIOUS: "assist",
        Severity.CRITICAL: "assist",
    },
    "income_drop": {
        Severity.WATCH: "assist",
        Severity.WARNING: "assist",
        Severity.SERIOUS: "call",
        Severity.CRITICAL: "call",
    },
    "asset_flight": {
        Severity.WATCH: "call",
        Severity.WARNING: "call",
        Severity.SERIOUS: "negotiate",
        Severity.CRITICAL: "negotiate",
    },
    # What a payment was for is not known from its category: ask first.
    "fund_misuse": {
        Severity.WATCH: "call",
        Severity.WARNING: "call",
        Severity.SERIOUS: "review_limit",
        Severity.CRITICAL: "review_limit",
    },
    # Calls do not get through: write; then look for another way with a person's eye on it; never straight to a visit.
    "unreachable": {
        Severity.WATCH: "remind",
        Severity.WARNING: "negotiate",
        Severity.SERIOUS: "assign_agency",
        Severity.CRITICAL: "assign_agency",
    },
    # A reminder did not hold the last time: speak, and look for a plan that the borrower can keep.
    "relapse": {
        Severity.WATCH: "call",
        Severity.WARNING: "negotiate",
        Severity.SERIOUS: "negotiate",
        Severity.CRITICAL: "negotiate",
    },
    # Nothing has happened yet that the borrower could be asked about: lend no more to whom it may be too much.
    "risk_score": dict.fromkeys(Severity, "review_limit"),
}
"""The steps of the other signals; one that is not listed asks for a look at the limit."""
_OTHER_STAGE: Final[Stage] = "review_limit"
"""For rising risk: downward. (A limit that may rise, for good payers, will be a finding of its own, not of an alert.)"""

CONTACT_STAGES: Final[frozenset[Stage]] = frozenset(
    {"pre_due_remind", "remind", "assist", "call", "negotiate", "assign_agency", "field_visit"}
)
"""Steps that end in somebody's contacting the borrower: limits on attempts bind them."""
_HEAVY_STAGES: Final[frozenset[Stage]] = frozenset({"assign_agency", "legal_notice", "field_visit"})
"""Steps that weigh heavily on a person: nobody takes them on a machine's word alone (GDPR, article 22, in spirit)."""
_SUSPICIONS: Final[frozenset[SignalName]] = frozenset({"asset_flight"})
"""Signals that suspect a person of bad faith: a machine may be wrong about why money moves."""


class Circumstances(NamedTuple):
    """What, beside signal and severity, decides the next step; all as of one instant."""

    bucket: str | None = None
    """Of days past due."""
    overdue_minor: int | None = None
    """Minor units of the loan's currency."""
    is_restructured: bool = False
    earlier_episodes: int = 0
    """Missed payments made good before, of any loan."""
    worst_before: int = 0
    """The worst severity among them; 0 where there are none."""
    has_refused: bool = False
    """The borrower's last answer to this alert was no."""
    has_promised: bool = False
    """A promise waits for its day."""
    stage_before: Stage | None = None
    """What the alert recommends so far."""


def stage_of(signal: SignalName, finding: Finding, circumstances: Circumstances, rules: Rules) -> Stage:
    """The step that fits how far things have gone."""
    if signal == "missed_payment":
        return _past_due_stage(finding.severity, circumstances, rules)
    return _STAGES[signal][finding.severity] if signal in _STAGES else _OTHER_STAGE


def needs_human_review(
    stage: Stage, severity: Severity, *, is_restricted: bool, signal: SignalName | None = None
) -> bool:
    """Whether a person must decide: the step or the suspicion weighs heavily, a limit would be cut deep, a list is involved.

    Lists are wrong at times, and standing on one never makes anything worse here by itself.
    """
    cuts_deep = stage == "review_limit" and severity >= Severity.SERIOUS
    suspects = signal in _SUSPICIONS and severity >= Severity.SERIOUS
    return stage in _HEAVY_STAGES or cuts_deep or suspects or is_restricted


def _past_due_stage(severity: Severity, circumstances: Circumstances, rules: Rules) -> Stage:
    """By severity and bucket, not below what history and answers ask for, not above what amount and promise allow."""
    policy = rules.policy.recommendation
    wanted = [_SEVERITY_STAGES[severity], _BUCKET_STAGES.get(circumstances.bucket or "", "remind")]
    if (
        circumstances.is_restructured
        or circumstances.earlier_episodes >= policy.repeat_episodes
        or circumstances.worst_before >= Severity.SERIOUS
    ):
        wanted.append(_HISTORY_STAGE)
    if circumstances.has_refused:
        wanted.append(_REFUSAL_STAGE)
    rung = max(_RUNG[stage] for stage in wanted)
    overdue_minor = circumstances.overdue_minor
    if overdue_minor is not None and overdue_minor < policy.small_overdue_minor:
        rung = min(rung, _RUNG[_SMALL_AMOUNT_STAGE])
    if circumstances.has_promised and circumstances.stage_before in _RUNG:
        rung = min(rung, _RUNG[circumstances.stage_before])
    return _LADDER[rung]


def recommend(
    stage: Stage,
    instant_ms: int,
    known_ms: int,
    hold: str | None,
    contacts: ServicingEvidence,
    rules: Rules,
    *,
    actionable: bool,
    human_review_required: bool,
) -> Recommendation:
    """Lay the stage into the next contact window at or after `instant_ms`, in the policy's time zone.

    `attempts_left` is what is left of the local day of `instant_ms`; where that is nothing, the window is of the next day
    on which there is.
    """
    not_before_ms, not_after_ms = contact_window_ms(instant_ms, known_ms, contacts, rules)
    return Recommendation(
        stage=stage,
        actionable=actionable,
        not_before_ms=not_before_ms,
        not_after_ms=not_after_ms,
        attempts_left=attempts_left(contacts, known_ms, rules.calendar.day_of(instant_ms), rules),
        hold=hold,
        human_review_required=human_review_required,
    )


def contact_window_ms(
    instant_ms: int, known_ms: int, contacts: ServicingEvidence, rules: Rules
) -> tuple[int, int]:
    """The contact hours of the first local day from `instant_ms` on that has some left, and attempts."""
    contact, calendar = rules.policy.contact, rules.calendar
    day = calendar.day_of(instant_ms)
    if instant_ms >= calendar.hour_ms(day, contact.latest_hour):
        day += 1
    if contacts.contacts:
        day = first_day_with_attempts(contacts, known_ms, day, rules) or day
    earliest_ms = calendar.hour_ms(day, contact.earliest_hour)
    return max(instant_ms, earliest_ms), calendar.hour_ms(day, contact.latest_hour)
