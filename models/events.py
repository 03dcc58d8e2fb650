"""The events that come in: one frozen struct a type, exactly as the contract names its fields.

Money is an integer in minor units (`amount_minor`), instants are epoch milliseconds UTC (`..._ms`), dates are
`YYYY-MM-DD` in the policy's time zone. Unknown fields are ignored. An enumerated word that the contract does not
know makes the strict decoder refuse; `streams.codec` then replaces it by `other`, except in `type` and `direction`.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal, final, get_args

from msgspec import Meta, Struct, field

from models.limits import IDENTIFIER_CHARACTERS_MAX, INSTALMENTS_MAX, INT64_MAX

Topic = Literal["credit-queries", "fund-flows", "repayments", "servicing"]
TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)
"""The input topics in the order in which ties of time are broken: by name."""

CREDIT_QUERIES, FUND_FLOWS, REPAYMENTS, SERVICING = range(len(TOPICS))

Identifier = Annotated[str, Meta(min_length=1, max_length=IDENTIFIER_CHARACTERS_MAX)]
Minor = Annotated[int, Meta(ge=0, le=INT64_MAX)]
SignedMinor = Annotated[int, Meta(ge=-INT64_MAX - 1, le=INT64_MAX)]
Count = Annotated[int, Meta(ge=0, le=INT64_MAX)]
EpochMs = Annotated[int, Meta(ge=0, le=INT64_MAX)]

Payer = Literal["borrower", "co_borrower", "guarantor", "insurer", "lender", "other"]
PaymentKind = Literal["cash", "waiver", "collateral", "other"]
ScheduleReason = Literal["extension", "hardship", "restructure", "correction", "other"]
ClosingReason = Literal[
    "settled", "refinanced", "compensated", "written_off", "sold", "cancelled", "deceased", "other"
]
BorrowerKind = Literal["person", "sole_trader", "company", "other"]
Direction = Literal["in", "out"]
FlowCategory = Literal[
    "salary",
    "pension",
    "benefit",
    "business_income",
    "loan_disbursement",
    "loan_repayment",
    "own_transfer",
    "refund",
    "rent",
    "living",
    "shopping",
    "securities",
    "property",
    "gambling",
    "cash",
    "fee",
    "other",
]
CounterpartyKind = Literal[
    "employer", "self", "linked", "lender", "aggregator", "merchant", "government", "other"
]
QueryPurpose = Literal[
    "loan_application", "card_application", "guarantee", "post_loan_review", "self_query", "other"
]
ContactOutcome = Literal["reached", "unreached", "refused", "promised", "other"]
ContactParty = Literal["borrower", "co_borrower", "guarantor", "third_party", "other"]
HoldReason = Literal["dispute", "hardship", "legal", "vulnerable", "consent_withdrawn", "other"]
Verdict = Literal["confirmed", "false_positive", "other"]
Relation = Literal["guarantor", "owner", "co_borrower", "spouse", "employer", "other"]


class _Timed(Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    event_time_ms: EpochMs
    ingested_at_ms: EpochMs | None = None


class _Event(_Timed, frozen=True, kw_only=True, gc=False):
    event_id: Identifier
    borrower_id: Identifier


class Instalment(Struct, frozen=True, kw_only=True, gc=False):
    """One line of a repayment schedule: `due_date` local, amounts in minor units of the loan's currency."""

    number: Count
    due_date: date
    amount_minor: Minor
    principal_minor: Minor | None = None
    interest_minor: Minor | None = None
    fee_minor: Minor | None = None


Schedule = Annotated[tuple[Instalment, ...], Meta(max_length=INSTALMENTS_MAX)]


class LoanOpened(_Event, frozen=True, kw_only=True, gc=False, tag="loan_opened"):
    """An own loan begins; `instalments` may be empty (cards, systems that bill one at a time)."""

    loan_id: Identifier
    platform_id: Identifier
    currency: Identifier
    principal_minor: Minor
    instalments: Schedule
    product: str | None = None
    segment: str | None = None
    borrower_kind: BorrowerKind | None = None
    purpose: str | None = None
    credit_limit_minor: Minor | None = None
    term_days: Count | None = None


class InstalmentBilled(_Event, frozen=True, kw_only=True, gc=False, tag="instalment_billed"):
    """A bill falls due on `due_date`; where a minimum is given, days past due are judged on it."""

    loan_id: Identifier
    number: Count
    due_date: date
    amount_minor: Minor
    minimum_due_minor: Minor | None = None
    balance_minor: Minor | None = None


class Repayment(_Event, frozen=True, kw_only=True, gc=False, tag="repayment"):
    """Money (or a waiver, or collateral) that pays an own loan."""

    loan_id: Identifier
    amount_minor: Minor
    instalment_number: Count | None = None
    payer: Payer | None = None
    kind: PaymentKind | None = None


class RepaymentReversed(_Event, frozen=True, kw_only=True, gc=False, tag="repayment_reversed"):
    """A payment bounced or was charged back."""

    loan_id: Identifier
    repayment_event_id: Identifier
    amount_minor: Minor


class ScheduleChanged(_Event, frozen=True, kw_only=True, gc=False, tag="schedule_changed"):
    """An agreed new schedule replaces all unpaid instalments."""

    loan_id: Identifier
    reason: ScheduleReason
    instalments: Schedule


class LimitChanged(_Event, frozen=True, kw_only=True, gc=False, tag="limit_changed"):
    """A credit line has a new limit."""

    loan_id: Identifier
    credit_limit_minor: Minor


class LoanSnapshot(_Event, frozen=True, kw_only=True, gc=False, tag="loan_snapshot"):
    """What the servicing system holds of a loan on `as_of_date`: takes on a living book, later reconciles."""

    loan_id: Identifier
    as_of_date: date
    outstanding_minor: Minor
    overdue_minor: Minor
    days_past_due: Count


class LoanClosed(_Event, frozen=True, kw_only=True, gc=False, tag="loan_closed"):
    """An own loan ends."""

    loan_id: Identifier
    reason: ClosingReason


class FundFlow(_Event, frozen=True, kw_only=True, gc=False, tag="fund_flow"):
    """Money in or out of an account of the borrower's that we may see."""

    account_id: Identifier
    direction: Direction
    amount_minor: Minor
    currency: Identifier
    category: FlowCategory | None = None
    counterparty_id: Identifier | None = None
    counterparty_kind: CounterpartyKind | None = None
    balance_after_minor: SignedMinor | None = None
    loan_id: Identifier | None = None


class AccountLinked(_Event, frozen=True, kw_only=True, gc=False, tag="account_linked"):
    """What we can see of the borrower's money begins."""

    account_id: Identifier
    reason: str | None = None


class AccountUnlinked(_Event, frozen=True, kw_only=True, gc=False, tag="account_unlinked"):
    """What we can see of the borrower's money ends."""

    account_id: Identifier
    reason: str | None = None


class CreditQuery(_Event, frozen=True, kw_only=True, gc=False, tag="credit_query"):
    """An institution asked the bureau about the borrower."""

    institution_id: Identifier
    purpose: QueryPurpose
    application_id: Identifier | None = None
    product: str | None = None
    institution_kind: str | None = None
    amount_minor: Minor | None = None


class CreditAccountOpened(_Event, frozen=True, kw_only=True, gc=False, tag="credit_account_opened"):
    """The bureau reports a new account elsewhere."""

    institution_id: Identifier
    credit_account_id: Identifier
    amount_minor: Minor | None = None


class CreditAccountClosed(_Event, frozen=True, kw_only=True, gc=False, tag="credit_account_closed"):
    """The bureau reports that an account elsewhere has ended."""

    institution_id: Identifier
    credit_account_id: Identifier
    amount_minor: Minor | None = None


class CreditSummary(_Event, frozen=True, kw_only=True, gc=False, tag="credit_summary"):
    """Counts without names, as some vendors sell them, over the last `window_days`."""

    source: Identifier
    window_days: Count
    applications: Count
    institutions: Count
    balance_minor: Minor | None = None
    monthly_due_minor: Minor | None = None


class ContactAttempted(_Event, frozen=True, kw_only=True, gc=False, tag="contact_attempted"):
    """Servicing staff (or a machine of theirs) tried to reach the borrower or another party."""

    channel: str
    outcome: ContactOutcome
    party: ContactParty | None = None
    promise_date: date | None = None
    promise_amount_minor: Minor | None = None


class HoldPlaced(_Event, frozen=True, kw_only=True, gc=False, tag="hold_placed"):
    """From now on nobody may act on this borrower's alerts, until released or `until_ms`."""

    hold_id: Identifier
    reason: HoldReason
    until_ms: EpochMs | None = None


class HoldReleased(_Event, frozen=True, kw_only=True, gc=False, tag="hold_released"):
    """A hold ends."""

    hold_id: Identifier
    reason: HoldReason
    until_ms: EpochMs | None = None


class AlertAcknowledged(_Event, frozen=True, kw_only=True, gc=False, tag="alert_acknowledged"):
    """Somebody has taken an alert on."""

    alert_id: Identifier
    actor: Identifier


class AlertReviewed(_Event, frozen=True, kw_only=True, gc=False, tag="alert_reviewed"):
    """A risk officer says whether an alert was right."""

    alert_id: Identifier
    actor: Identifier
    verdict: Verdict


class AlertSnoozed(_Event, frozen=True, kw_only=True, gc=False, tag="alert_snoozed"):
    """An alert sleeps until `until_ms`."""

    alert_id: Identifier
    actor: Identifier
    until_ms: EpochMs
    reason: str


_NEVER_SENT: Final = "__linked_partition"
"""A name that no producer has a reason to use: the field is filled here."""


class BorrowerLinked(_Event, frozen=True, kw_only=True, gc=False, tag="borrower_linked"):
    """Another borrower's trouble may become this one's."""

    linked_borrower_id: Identifier
    relation: Relation
    linked_partition: int | None = field(default=None, name=_NEVER_SENT)
    """Where ids are replaced on the way in, the partition that the linked one's own id told."""


class BorrowerUnlinked(_Event, frozen=True, kw_only=True, gc=False, tag="borrower_unlinked"):
    """A link between borrowers ends."""

    linked_borrower_id: Identifier
    relation: Relation
    linked_partition: int | None = field(default=None, name=_NEVER_SENT)
    """As above."""


class RestrictionListed(_Event, frozen=True, kw_only=True, gc=False, tag="restriction_listed"):
    """The borrower stands on a list (a blacklist, a court's list)."""

    list: str
    reason: str


class RestrictionLifted(_Event, frozen=True, kw_only=True, gc=False, tag="restriction_lifted"):
    """The borrower has left a list."""

    list: str
    reason: str


class BorrowerErased(_Event, frozen=True, kw_only=True, gc=False, tag="borrower_erased"):
    """A lawful deletion: state and risk are forgotten."""


class EventVoided(_Event, frozen=True, kw_only=True, gc=False, tag="event_voided"):
    """Takes back an event of the same topic (a returned transfer, a disputed query)."""

    target_event_id: Identifier


@final
class Heartbeat(_Timed, frozen=True, kw_only=True, gc=False, tag="heartbeat"):
    """The feed lives and has sent everything up to `event_time_ms`: moves its partition's watermark.

    `ingested_at_ms`, where given, is the place in the order of delivery, as with every event.
    """


RepaymentsEvent = (
    LoanOpened
    | InstalmentBilled
    | Repayment
    | RepaymentReversed
    | ScheduleChanged
    | LimitChanged
    | LoanSnapshot
    | LoanClosed
)
FundFlowsEvent = FundFlow | AccountLinked | AccountUnlinked
CreditQueriesEvent = CreditQuery | CreditAccountOpened | CreditAccountClosed | CreditSummary
ServicingEvent = (
    ContactAttempted
    | HoldPlaced
    | HoldReleased
    | AlertAcknowledged
    | AlertReviewed
    | AlertSnoozed
    | BorrowerLinked
    | BorrowerUnlinked
    | RestrictionListed
    | RestrictionLifted
    | BorrowerErased
)
BorrowerEvent = RepaymentsEvent | FundFlowsEvent | CreditQueriesEvent | ServicingEvent | EventVoided
Event = BorrowerEvent | Heartbeat

TYPES_BY_TOPIC: Final[dict[Topic, tuple[type[Struct], ...]]] = {
    "credit-queries": (*get_args(CreditQueriesEvent), EventVoided, Heartbeat),
    "fund-flows": (*get_args(FundFlowsEvent), EventVoided, Heartbeat),
    "repayments": (*get_args(RepaymentsEvent), EventVoided, Heartbeat),
    "servicing": (*get_args(ServicingEvent), EventVoided, Heartbeat),
}
"""Which types a topic may carry."""


LinkedRisk = Literal["linked-risk"]
LINKED_RISK: Final[LinkedRisk] = "linked-risk"
"""The topic of what linked borrowers tell each other: no events, and outside their order."""


class Origin(Struct, frozen=True, array_like=True, gc=False):
    """Where an event was read: topic, partition, offset. In files the offset counts delivered lines."""

    topic: Topic | LinkedRisk
    partition: int
    offset: int
    event_id: str | None
