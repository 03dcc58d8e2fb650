"""Taking back what never happened: the entry of a voided event leaves the journal, at every instant.

A reversal says that a payment bounced, from then on; a void says that there was none. What was folded into the base for
good cannot be told apart any more, and a correction has forgotten what it replaced.
"""

from __future__ import annotations

from typing import Literal

from models.ledger.entries import forget_lines, is_scheduled, take_first_closing
from models.ledger.folding import refold
from models.ledger.journal import Balances, Loan, drop_lines
from models.rules import Rules

Voided = Literal["taken_back", "unknown", "impossible"]


def void(loan: Loan, fingerprint: bytes, void_ms: int, rules: Rules) -> Voided:
    """Take back the entry of the event with that fingerprint, as if it had never been made.

    Args:
        loan: the ledger.
        fingerprint: of the voided event's id.
        void_ms: when it was taken back: what a snapshot before then had counted, it had counted wrongly.
        rules: tolerance and calendar.
    """
    if loan.opened_by == fingerprint:
        _cancel(loan)
        return "taken_back"
    done = (
        _void_payment(loan, fingerprint, void_ms)
        or _void_reversal(loan, fingerprint)
        or _void_correction(loan, fingerprint)
        or _void_bill(loan, fingerprint)
        or _void_closing(loan, fingerprint)
        or _void_limit(loan, fingerprint)
    )
    if done:
        refold(loan, loan.now.upto_ms, rules)
        return "taken_back"
    return _void_schedule(loan, fingerprint, rules)


def _cancel(loan: Loan) -> None:
    """The loan never was: nothing is owed at any instant. It stays as a name, so that its alerts can be retracted."""
    loan.is_voided, loan.opened_by = True, b""
    loan.closed_ms, loan.closing_reason = loan.opened_ms, "cancelled"
    loan.lines, loan.payments, loan.corrections = [], [], []
    loan.limits_minor, loan.limit_ids = [], []
    loan.reschedules_ms, loan.schedule_ids, loan.closings = [], [], []
    loan.base, loan.now = Balances(-1, []), Balances(-1, [])


def _void_payment(loan: Loan, fingerprint: bytes, void_ms: int) -> bool:
    for payment in loan.payments:
        if payment.fingerprint == fingerprint:
            for correction in loan.corrections:
                if payment.time_ms <= correction.time_ms < void_ms:
                    correction.taken_back_minor += payment.counted_minor(correction.time_ms)
            loan.payments.remove(payment)
            return True
    return False


def _void_reversal(loan: Loan, fingerprint: bytes) -> bool:
    for payment in loan.payments:
        left = tuple(part for part in payment.reversals if part.fingerprint != fingerprint)
        if left != payment.reversals:
            payment.reversals = left
            return True
    return False


def _void_correction(loan: Loan, fingerprint: bytes) -> bool:
    for correction in loan.corrections:
        if correction.fingerprint == fingerprint:
            loan.corrections.remove(correction)
            drop_lines(loan, [i for i, line in enumerate(loan.lines) if line.fingerprint == fingerprint])
            return True
    return False


def _void_bill(loan: Loan, fingerprint: bytes) -> bool:
    billed = [i for i, line in enumerate(loan.lines) if line.is_bill and line.fingerprint == fingerprint]
    forget_lines(loan, billed)
    return bool(billed)


def _void_closing(loan: Loan, fingerprint: bytes) -> bool:
    left = [closing for closing in loan.closings if closing.fingerprint != fingerprint]
    if len(left) == len(loan.closings):
        return False
    loan.closings = left
    take_first_closing(loan)
    return True


def _void_limit(loan: Loan, fingerprint: bytes) -> bool:
    changed = next((known for known in loan.limit_ids if known.fingerprint == fingerprint), None)
    if changed is None:
        return False
    loan.limit_ids.remove(changed)
    limit = changed.time_ms, changed.credit_limit_minor
    if limit in loan.limits_minor:
        loan.limits_minor.remove(limit)
    return True


def _void_schedule(loan: Loan, fingerprint: bytes, rules: Rules) -> Voided:
    """What a new schedule had ended is in force again."""
    found = next((known for known in loan.schedule_ids if known.fingerprint == fingerprint), None)
    if found is None:
        return "unknown"
    of_that_instant = [
        known
        for known in loan.schedule_ids
        if known.time_ms == found.time_ms and not known.is_correction and known is not found
    ]
    holds = not any(
        loan.schedule_ids.index(known) > loan.schedule_ids.index(found) for known in of_that_instant
    )
    if found.is_correction or found.time_ms <= loan.base.upto_ms or (holds and of_that_instant):
        return "impossible"
    loan.schedule_ids.remove(found)
    if holds:
        loan.reschedules_ms.remove(found.time_ms)
        drop_lines(
            loan,
            [i for i, line in enumerate(loan.lines) if line.since_ms == found.time_ms and is_scheduled(line)],
        )
        refold(loan, loan.now.upto_ms, rules)
    return "taken_back"
