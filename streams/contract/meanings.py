"""What each field of the output means, for those who read the schema and not the code. By struct, then by field."""

from __future__ import annotations

from typing import Final

MEANINGS: Final[dict[str, dict[str, str]]] = {
    "Alert": {
        "schema": "Name and version of this contract.",
        "alert_id": "Names the episode; all its revisions share it.",
        "revision": "1, 2, ... Of an alert the highest holds; with alert_id it tells a repeat.",
        "case_id": "Shared by alerts of a borrower that are open together.",
        "status": "What this revision did to the alert; resolved and retracted end it.",
        "resolution": "How it was resolved; null otherwise, and where income came back.",
        "signal": "Which early warning. More may come within v1: take one that is not known by its severity.",
        "severity": "How bad it is.",
        "borrower_id": "The lender's own id, or its pseudonym; the key of the record.",
        "loan_id": "The loan that it is about; null where it is about the borrower as a whole.",
        "event_time_ms": "When it happened: of the event, or the deadline that passed.",
        "detected_at_ms": "When it was noticed, by the wall clock.",
        "opened_at_ms": "When the episode opened, in event time.",
        "priority": "0 to 1000: a team with N calls a day takes the N highest.",
        "policy_version": "Hash of the policy that judged it.",
    },
    "Risk": {
        "probability": "Of the target within the horizon, 0 to 1.",
        "tier": "Where the probability lies between the thresholds of the policy.",
        "model_version": "The scorecard that told it.",
        "target": "What is foretold, 30+ DPD: some own loan reaches 30 days past due.",
        "horizon_days": "Within so many days.",
    },
    "Exposure": {
        "currency": "ISO 4217; null where no loan is open.",
        "outstanding_minor": "What is still owed, in minor units.",
        "overdue_minor": "What of it is past due, in minor units.",
        "days_past_due": "Of the oldest due date that is not paid, in local days.",
        "oldest_due_date": "YYYY-MM-DD in the time zone of the policy; null where nothing is past due.",
        "next_due_date": "YYYY-MM-DD; null where nothing falls due.",
        "next_due_minor": "What falls due then, in minor units.",
        "loan_ids": "The loans that are counted.",
    },
    "Reason": {
        "code": "Which rule. More may come within v1.",
        "evidence": "The very numbers that were compared, by name.",
    },
    "Text": {"en": "In English.", "zh": "In Chinese."},
    "Recommendation": {
        "stage": "What may be done.",
        "actionable": "False: nobody may act on this alert now; hold says why where a hold is the reason.",
        "not_before_ms": "Contact not before, epoch milliseconds, UTC.",
        "not_after_ms": "Contact not after, epoch milliseconds, UTC.",
        "attempts_left": "Attempts that are left in that span, over all loans and channels of the borrower.",
        "hold": "Why nobody may act; null where nothing forbids it. More words may come within v1.",
        "human_review_required": "True: a person decides before anything is done.",
    },
    "Cause": {
        "topic": "Of the record that caused this revision.",
        "partition": "Of that record.",
        "offset": "Of that record.",
        "event_id": "Of that event; null where a deadline caused it.",
    },
    "Chain": {
        "sequence": "1, 2, ... within the partition.",
        "previous": "Hash of the alert before it in the partition; empty for the first.",
        "hash": "SHA-256 over the alert's canonical JSON (RFC 8785) without chain.hash and detected_at_ms.",
    },
    "BorrowerRisk": {
        "schema": "Name and version of this contract.",
        "borrower_id": "The key of the record.",
        "as_of_ms": "As of this event time.",
        "probability": "As in an alert's risk.",
        "tier": "As in an alert's risk.",
        "model_version": "As in an alert's risk.",
        "open_alerts": "All that are open.",
        "top_reasons": "Of the revision that moved last.",
    },
    "OpenAlert": {
        "alert_id": "As in the alert.",
        "signal": "As in the alert.",
        "severity": "As in the alert.",
        "loan_id": "As in the alert.",
        "opened_at_ms": "As in the alert.",
    },
}

OPEN_WORDS: Final = frozenset({"signal"})
"""Enumerations of the output that may grow within v1. The schema lists their words as `x-extensible-enum` and allows any, so
that a subscriber generated from it takes a word that is newer than itself."""
