"""What goes out: the alert contract `forewarn.alert.v1`, its vocabulary and its canonical bytes."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

SCHEMA: Final = "forewarn.alert.v1"

SignalName = Literal[
    "missed_payment",
    "income_drop",
    "multi_platform_borrowing",
    "unreachable",
    "payment_at_risk",
    "borrowing_to_repay",
    "over_indebtedness",
    "fund_misuse",
    "asset_flight",
    "relapse",
    "risk_score",
    "linked_distress",
]
Status = Literal["opened", "escalated", "eased", "updated", "resolved", "retracted"]
Resolution = Literal["paid", "rescheduled", "compensated", "written_off", "sold", "cancelled", "passed"]
SeverityName = Literal["watch", "warning", "serious", "critical"]
Tier = Literal["low", "medium", "high", "severe"]
Stage = Literal[
    "pre_due_remind",
    "remind",
    "assist",
    "call",
    "negotiate",
    "assign_agency",
    "legal_notice",
    "field_visit",
    "review_limit",
    "none",
]
EvidenceValue = int | float | str | None


class Severity(IntEnum):
    """How bad it is; comparisons are meaningful."""

    WATCH = 1
    WARNING = 2
    SERIOUS = 3
    CRITICAL = 4

    @property
    def word(self) -> SeverityName:
        """The contract's word."""
        return _SEVERITY_WORDS[self]


SEVERITIES: Final[dict[int, Severity]] = {int(severity): severity for severity in Severity}
"""By number, as the state remembers them: calling the class takes ten times as long."""
_SEVERITY_WORDS: Final[dict[int, SeverityName]] = {1: "watch", 2: "warning", 3: "serious", 4: "critical"}


class Text(Struct, frozen=True, gc=False):
    """One sentence in both languages of the product."""

    en: str
    zh: str


class Reason(Struct, frozen=True):
    """Why, in words and in the very numbers that were compared."""

    code: str
    text: Text
    evidence: dict[str, EvidenceValue]


class Finding(Struct, frozen=True):
    """What a signal says of a borrower (or of one loan) at an instant."""

    severity: Severity
    reasons: tuple[Reason, ...]
    actionable: bool = True
    """False where we cannot see enough to act (an account that fell silent or was unlinked)."""


class Risk(Struct, frozen=True, gc=False):
    """The online model's view: `probability` of `target` within `horizon_days`."""

    probability: float
    tier: Tier
    model_version: str
    target: str
    horizon_days: int


class Exposure(Struct, frozen=True):
    """What is at stake, in minor units of one currency."""

    currency: str | None
    outstanding_minor: int
    overdue_minor: int
    days_past_due: int
    oldest_due_date: str | None
    next_due_date: str | None
    next_due_minor: int
    loan_ids: tuple[str, ...]


class Recommendation(Struct, frozen=True, gc=False):
    """What a collections service may do, and when."""

    stage: Stage
    actionable: bool
    not_before_ms: int
    not_after_ms: int
    attempts_left: int
    hold: str | None
    human_review_required: bool


class Cause(Struct, frozen=True, gc=False):
    """The record that caused a revision; `event_id` is null where a deadline did."""

    topic: str
    partition: int
    offset: int
    event_id: str | None


class Chain(Struct, frozen=True, gc=False):
    """The link of an alert to the one before it in its partition."""

    sequence: int
    previous: str
    hash: str


class Alert(Struct, frozen=True, kw_only=True):
    """One revision of one alert, as published."""

    schema: Literal["forewarn.alert.v1"] = SCHEMA
    alert_id: str
    revision: int
    case_id: str
    status: Status
    resolution: Resolution | None
    signal: SignalName
    severity: SeverityName
    borrower_id: str
    loan_id: str | None
    event_time_ms: int
    detected_at_ms: int
    opened_at_ms: int
    risk: Risk
    exposure: Exposure
    priority: int
    reasons: tuple[Reason, ...]
    recommendation: Recommendation
    policy_version: str
    caused_by: Cause
    chain: Chain


class ChainHead(Struct, frozen=True, gc=False):
    """Where a partition's hash chain stands: the number of alerts so far and the last hash."""

    sequence: int = 0
    hash: str = ""


_UNLINKED: Final = Chain(sequence=0, previous="", hash="")
_published_encoder = msgspec.json.Encoder()
_UNLINKED_END: Final = _published_encoder.encode(_UNLINKED) + b"}"
_canonical_encoder = msgspec.json.Encoder(order="sorted")


def canonical_bytes(alert: Alert) -> bytes:
    """RFC 8785 form of `alert` without `chain.hash` and `detected_at_ms`: what the chain hashes.

    Sorted ASCII keys without white space are RFC 8785's form as they come from the encoder. Numbers are, too, because
    every fraction in an alert went through `plain_number`. Integers beyond 2**53 stay exact decimal digits,
    where RFC 8785 would have none.
    """
    document = _hashed_document(alert)
    del document["chain"]["hash"]
    return sorted_bytes(document)


def _hashed_document(alert: Alert) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(alert)
    del document["detected_at_ms"]
    # A reader's decoder makes 0 into 0.0; its bytes must come out the same.
    document["risk"]["probability"] = _whole_as_integer(alert.risk.probability)
    return document


def sorted_bytes(document: object) -> bytes:
    """JSON of plain values with sorted keys, without white space."""
    return _canonical_encoder.encode(document)


def plain_number(value: float, digits: int = 4) -> int | float:
    """Round to `digits` (at most 5) and write whole numbers as integers, so that JSON has one form for each.

    A smaller fraction than 0.00001 would be written with an exponent, in which RFC 8785 and the encoder differ.
    """
    assert 0 <= digits <= 5, digits
    return _whole_as_integer(round(value, digits))


def _whole_as_integer(value: float) -> int | float:
    if value == int(value):
        return int(value)
    return value


def link(alert: Alert, head: ChainHead) -> tuple[Alert, ChainHead]:
    """Put `alert` behind `head`; return it with its hash, and the new head."""
    unhashed = msgspec.structs.replace(
        alert, chain=Chain(sequence=head.sequence + 1, previous=head.hash, hash="")
    )
    digest = hashlib.sha256(canonical_bytes(unhashed)).hexdigest()
    linked = msgspec.structs.replace(
        unhashed, chain=Chain(sequence=head.sequence + 1, previous=head.hash, hash=digest)
    )
    return linked, ChainHead(sequence=head.sequence + 1, hash=digest)


class Unchained(Struct, array_like=True, frozen=True, gc=False):
    """An alert encoded but for its place in the chain: what is left to do is little, and goes from one alert to the next."""

    body: bytes
    """As published, up to the value of `chain`."""
    canonical_head: bytes
    """What the chain hashes, up to the value of `chain`."""
    canonical_tail: bytes
    """What the chain hashes, behind it."""


def unchained(alert: Alert) -> Unchained:
    """Encode a stamped alert, whatever its chain says."""
    document = _hashed_document(alert)
    before = {name: value for name, value in document.items() if name < "chain"}
    behind = {name: value for name, value in document.items() if name > "chain"}
    published = _published_encoder.encode(msgspec.structs.replace(alert, chain=_UNLINKED))
    assert published.endswith(_UNLINKED_END), "the chain is the last field of an alert"
    return Unchained(
        body=published.removesuffix(_UNLINKED_END),
        canonical_head=sorted_bytes(before)[:-1] + b',"chain":',
        canonical_tail=b"," + sorted_bytes(behind)[1:],
    )


def link_encoded(alert: Unchained, head: ChainHead) -> tuple[bytes, ChainHead]:
    """Put an encoded alert behind `head`; return it as published, and the new head. The same as `link`, encoded."""
    sequence = head.sequence + 1
    place = sorted_bytes({"previous": head.hash, "sequence": sequence})
    digest = hashlib.sha256(alert.canonical_head + place + alert.canonical_tail).hexdigest()
    chain = _published_encoder.encode(Chain(sequence=sequence, previous=head.hash, hash=digest))
    return alert.body + chain + b"}", ChainHead(sequence=sequence, hash=digest)


def alert_id(borrower_id: str, signal: str, loan_id: str | None, opened_at_ms: int, count: int) -> str:
    """Identify an episode by what it is about, when it opened, and how many opened at that same instant before."""
    subject = msgspec.json.encode([borrower_id, signal, loan_id, opened_at_ms, count])
    return hashlib.sha256(subject).hexdigest()[:32]


def case_id(borrower_id: str, opened_at_ms: int) -> str:
    """Identify a spell of a borrower's open alerts by the instant at which its first alert opened."""
    return hashlib.sha256(msgspec.json.encode([borrower_id, "case", opened_at_ms])).hexdigest()[:32]
