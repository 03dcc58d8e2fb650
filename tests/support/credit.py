"""Bureau records and fund flows of one borrower, a line each."""

from __future__ import annotations

from models.events import CreditAccountOpened, CreditQuery, FlowCategory, FundFlow, QueryPurpose
from models.institutions import InstitutionEvidence, record_account, record_flow, record_query
from models.policy import parse_policy
from models.rules import Rules

CreditEvent = CreditQuery | CreditAccountOpened | FundFlow


def rules_of(policy: str = "") -> Rules:
    """Make the default rules, with `policy` laid over them."""
    return Rules(parse_policy(policy, "test.toml"))


def query(
    time_ms: int,
    institution_id: str,
    purpose: QueryPurpose = "loan_application",
    application_id: str | None = None,
) -> CreditQuery:
    """Make a bureau query."""
    return CreditQuery(
        event_id=f"q-{time_ms}-{institution_id}-{purpose}-{application_id}",
        borrower_id="b",
        event_time_ms=time_ms,
        institution_id=institution_id,
        purpose=purpose,
        application_id=application_id,
    )


def account(time_ms: int, institution_id: str) -> CreditAccountOpened:
    """Make a new account elsewhere."""
    return CreditAccountOpened(
        event_id=f"a-{time_ms}-{institution_id}",
        borrower_id="b",
        event_time_ms=time_ms,
        institution_id=institution_id,
        credit_account_id=f"acc-{institution_id}",
    )


def inflow(
    time_ms: int, counterparty_id: str | None, category: FlowCategory | None = "loan_disbursement"
) -> FundFlow:
    """Make money coming in."""
    return FundFlow(
        event_id=f"f-{time_ms}-{counterparty_id}",
        borrower_id="b",
        event_time_ms=time_ms,
        account_id="acct",
        direction="in",
        amount_minor=100_000,
        currency="CNY",
        category=category,
        counterparty_id=counterparty_id,
    )


def outflow(
    time_ms: int, counterparty_id: str | None = None, category: FlowCategory | None = None
) -> FundFlow:
    """Make money going out."""
    return FundFlow(
        event_id=f"o-{time_ms}-{counterparty_id}",
        borrower_id="b",
        event_time_ms=time_ms,
        account_id="acct",
        direction="out",
        amount_minor=1_000,
        currency="CNY",
        category=category,
        counterparty_id=counterparty_id,
    )


def record(evidence: InstitutionEvidence, event: CreditEvent, rules: Rules) -> bool:
    """Record one event by its kind."""
    match event:
        case CreditQuery():
            return record_query(evidence, event, rules)
        case CreditAccountOpened():
            return record_account(evidence, event, rules)
        case FundFlow():
            return record_flow(evidence, event, rules)


def evidence_of(rules: Rules, *events: CreditEvent) -> InstitutionEvidence:
    """Record events in the order given."""
    evidence = InstitutionEvidence()
    for event in events:
        record(evidence, event, rules)
    return evidence
