"""From a revision to the alert that is published: risk, exposure, recommendation and reasons as of its instant."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from models.alerts import (
    SEVERITIES,
    Alert,
    Cause,
    Chain,
    EvidenceValue,
    Exposure,
    Finding,
    Reason,
    Resolution,
    Risk,
    SeverityName,
    SignalName,
    Text,
    Tier,
    plain_number,
)
from models.borrower import Borrower
from models.calendars import iso_date
from models.episodes import Episode, Step
from models.events import Origin
from models.exposure import exposure_of
from models.recommendation import recommend
from models.risk.observation import observe
from models.risk.scorecard import priority, tier_of
from models.rulebook import Rulebook
from models.rules import Rules
from models.signal_table import SIGNALS
from models.signals.binding import known_of

BORROWER_RISK_SCHEMA: Final = "forewarn.borrower-risk.v1"
_NO_CHAIN: Final = Chain(sequence=0, previous="", hash="")


class Revision(Struct, frozen=True):
    """One step of an episode, with what was found and what caused it."""

    step: Step
    finding: Finding | None
    at_ms: int
    event_time_ms: int
    origin: Origin
    deadline: bool
    """Time alone caused it, at the midnight `at_ms`."""
    is_erasure: bool = False
    """The borrower is erased: nothing is said of them but that."""


class OpenAlert(Struct, frozen=True, gc=False):
    """One line of a borrower's open alerts."""

    alert_id: str
    signal: SignalName
    severity: SeverityName
    loan_id: str | None
    opened_at_ms: int


class BorrowerRisk(Struct, frozen=True, kw_only=True):
    """The record of `borrower-risk`: the latest view of one borrower."""

    schema: Literal["forewarn.borrower-risk.v1"] = BORROWER_RISK_SCHEMA
    borrower_id: str
    as_of_ms: int
    probability: float
    tier: Tier
    model_version: str
    exposure: Exposure
    open_alerts: tuple[OpenAlert, ...]
    top_reasons: tuple[Reason, ...]


class _Moved(NamedTuple):
    """The latest revision of a borrower's alerts, until the output is taken."""

    borrower: Borrower
    risk: Risk
    reasons: tuple[Reason, ...]
    at_ms: int


class Publisher:
    """Turns revisions into alerts, in the order in which they come."""

    def __init__(self, book: Rulebook, alerts: list[Alert]) -> None:
        """`alerts` takes what is published, not yet stamped or chained."""
        self._book = book
        self._alerts = alerts
        self._moved: dict[str, _Moved | None] = {}

    def publish(self, borrower_id: str, borrower: Borrower, episode: Episode, revision: Revision) -> None:
        """Publish one revision."""
        at_ms = revision.at_ms
        rules = self._book.at(at_ms)
        signal = SIGNALS[episode.signal].name
        is_over = revision.finding is None
        probability = self.probability(borrower, at_ms, deadline=revision.deadline)
        risk = Risk(
            probability=plain_number(probability),
            tier=tier_of(probability, rules),
            model_version=rules.card.version,
            target=f"{rules.policy.risk.target_days_late}+ DPD",
            horizon_days=rules.policy.risk.horizon_days,
        )
        loan_id = None if revision.is_erasure else episode.loan_id
        exposure = exposure_of(borrower, loan_id, at_ms, rules, deadline=revision.deadline)
        shown = episode.presentation
        reasons = (
            (_closing_reason(revision, episode, rules),)
            if revision.finding is None
            else revision.finding.reasons
        )
        self._alerts.append(
            Alert(
                alert_id=episode.alert_id,
                revision=episode.revision,
                case_id=episode.case_id,
                status=revision.step.status,
                resolution=revision.step.resolution,
                signal=signal,
                severity=SEVERITIES[episode.severity].word,
                borrower_id=borrower_id,
                loan_id=episode.loan_id,
                event_time_ms=revision.event_time_ms,
                detected_at_ms=0,
                opened_at_ms=episode.opened_ms,
                risk=risk,
                exposure=exposure,
                priority=0 if is_over else priority(probability, exposure.outstanding_minor, rules),
                reasons=reasons,
                recommendation=recommend(
                    "none" if is_over else shown.stage,
                    at_ms,
                    known_of(at_ms, deadline=revision.deadline),
                    shown.hold,
                    borrower.servicing,
                    rules,
                    actionable=shown.actionable and not is_over,
                    human_review_required=shown.human_review_required and not is_over,
                ),
                policy_version=rules.policy_version,
                caused_by=Cause(*_cause_fields(revision.origin)),
                chain=_NO_CHAIN,
            )
        )
        self._moved[borrower_id] = _Moved(borrower, risk, reasons, at_ms)

    def probability(self, borrower: Borrower, at_ms: int, *, deadline: bool = False) -> float:
        """The card's probability for a borrower as of an instant."""
        rules = self._book.at(at_ms)
        card = rules.card
        return card.score(card.pick(observe(borrower, at_ms, rules, deadline=deadline, kinds=card.kinds)))

    def take_risks(self) -> dict[str, BorrowerRisk | None]:
        """Hand over the latest view of each borrower whose alerts moved, None of those erased, and forget it."""
        moved, self._moved = self._moved, {}
        return {
            borrower_id: None if latest is None else self._borrower_risk(borrower_id, latest)
            for borrower_id, latest in moved.items()
        }

    @property
    def moved(self) -> Container[str]:
        """Those whose picture is looked at once more by `take_risks`."""
        return self._moved

    def forget(self, borrower_id: str) -> None:
        """A borrower is erased: what was published before is taken back as well."""
        self._moved[borrower_id] = None

    def _borrower_risk(self, borrower_id: str, latest: _Moved) -> BorrowerRisk:
        risk = latest.risk
        return BorrowerRisk(
            borrower_id=borrower_id,
            as_of_ms=latest.at_ms,
            probability=risk.probability,
            tier=risk.tier,
            model_version=risk.model_version,
            exposure=exposure_of(latest.borrower, None, latest.at_ms, self._book.at(latest.at_ms)),
            open_alerts=tuple(
                OpenAlert(
                    alert_id=episode.alert_id,
                    signal=SIGNALS[episode.signal].name,
                    severity=SEVERITIES[episode.severity].word,
                    loan_id=episode.loan_id,
                    opened_at_ms=episode.opened_ms,
                )
                for episode in latest.borrower.episodes
                if episode.closed_ms is None
            ),
            top_reasons=latest.reasons,
        )


def _cause_fields(origin: Origin) -> tuple[str, int, int, str | None]:
    return origin.topic, origin.partition, origin.offset, origin.event_id


_CLOSING_TEXTS: Final[dict[Resolution | None, Text]] = {
    "paid": Text("Paid up: nothing is past due any more.", "已结清逾期：不再有逾期款项。"),
    "rescheduled": Text("A new schedule was agreed.", "已约定新的还款计划。"),
    "compensated": Text(
        "Paid by a guarantor, an insurer or the lender, or forgiven: the borrower did not cure.",
        "由担保人、保险人或贷款人代偿，或已获减免：并非借款人自行还清。",
    ),
    "written_off": Text("The loan was written off.", "贷款已核销。"),
    "sold": Text("The loan was sold.", "贷款已转让。"),
    "cancelled": Text("The loan has ended.", "贷款已终止。"),
    "passed": Text("What was warned of has passed.", "预警情形已消退。"),
    None: Text("Things are back to what they were.", "情况已恢复正常。"),
}
_RETRACTED_TEXT: Final = Text(
    "Retracted: what was learnt since shows that this alert should not have opened.",
    "撤回：其后获知的信息表明，此预警本不应发出。",
)


_ERASED_TEXT: Final = Text(
    "The borrower's data was erased as the law demands: stop, and delete what was kept of this alert.",
    "已依法删除该借款人的数据：请停止处理，并删除所保留的此预警信息。",
)


def _closing_reason(revision: Revision, episode: Episode, rules: Rules) -> Reason:
    """Why an alert is over, with the day on which it opened."""
    step = revision.step
    if revision.is_erasure:
        return Reason("ERASED", _ERASED_TEXT, {})
    opened_date = iso_date(rules.calendar.day_of(episode.opened_ms))
    if step.status == "retracted":
        return Reason("RETRACTED", _RETRACTED_TEXT, {"opened_date": opened_date})
    evidence: dict[str, EvidenceValue] = {"resolution": step.resolution, "opened_date": opened_date}
    return Reason("RESOLVED", _CLOSING_TEXTS[step.resolution], evidence)
