"""A lender with topics of its own: a mapping file, and its events in the lender's words and ours."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from models.events import Event, FundFlow, LoanOpened, Repayment

MAPPING = """
time_zone = "Asia/Shanghai"

[[repayments.events]]
type = "repayment"
when = { "header.kind" = ["PAY", "PREPAY"] }
event_id = "header.txnNo"
borrower_id = "customer.no"
event_time_ms = { from = "header.time", time = "iso" }
ingested_at_ms = { from = "header.booked", time = "%Y-%m-%d %H:%M:%S" }
loan_id = "loan.no"
amount_minor = { from = "loan.amount", unit = "yuan" }
instalment_number = { from = "loan.period", given_as = "text" }
payer = { from = "loan.payer", words = { 1 = "borrower", 2 = "guarantor" }, other = "other" }
kind = { from = "method", words = { TRANSFER = "cash", WAIVE = "waiver" }, default = "cash" }

[[repayments.events]]
type = "loan_opened"
when = { "header.kind" = "OPEN" }
event_id = ["header.source", "header.txnNo"]
borrower_id = "customer.no"
event_time_ms = { from = "header.time", time = "iso" }
loan_id = "loan.no"
platform_id = { constant = "own" }
currency = { constant = "CNY" }
principal_minor = { from = "loan.amount", unit = "yuan" }
product = "loan.product"

[repayments.events.instalments]
from = "plan"
[repayments.events.instalments.each]
number = "seq"
due_date = { from = "due", date = "%Y%m%d" }
amount_minor = { from = "amount", unit = "yuan" }

[[repayments.ignored]]
when = { "header.kind" = "PING" }

[[repayments.examples]]
payload = '''
{"header": {"kind": "PAY", "txnNo": "p-1", "time": "2025-03-01T10:00:00.123+08:00"},
 "customer": {"no": "b-1"}, "loan": {"no": "l-1", "amount": 12.30}, "method": "TRANSFER"}
'''
event = { type = "repayment", event_id = "p-1", borrower_id = "b-1", event_time_ms = 1740794400123, loan_id = "l-1", amount_minor = 1230, kind = "cash" }

[[repayments.examples]]
payload = '{"header": {"kind": "PING"}}'
ignored = true

[[repayments.examples]]
payload = '{"header": {"kind": "OPEN", "source": "core", "txnNo": "o-1"}, "customer": {"no": "b-1"}}'
rejected = "missing-field"

[[fund-flows.events]]
type = "fund_flow"
event_id = "txnNo"
borrower_id = "custNo"
event_time_ms = { from = "txnTime", time = "epoch_s" }
account_id = "acctNo"
direction = { from = "amount", sign = { negative = "out", other = "in" } }
amount_minor = { from = "amount", unit = "yuan", absolute = true }
currency = "ccy"
category = "category"
counterparty_id = "oppNo"
balance_after_minor = { from = "balance", unit = "yuan" }
"""
"""Of two feeds; the other two come in the contract's form."""

_CHINA = timezone(timedelta(hours=8))


def _yuan(minor: int) -> Decimal:
    return Decimal(minor).scaleb(-2)


def _iso(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms // 1000, UTC) + timedelta(milliseconds=at_ms % 1000)
    return at.astimezone(_CHINA).isoformat(timespec="milliseconds")


def theirs(event: Event) -> dict[str, Any]:
    """An event as the lender sends it. Those the lender has no form for are not asked for."""
    match event:
        case Repayment():
            loan = {"no": event.loan_id, "amount": _yuan(event.amount_minor), "payer": 1}
            if event.instalment_number is not None:
                loan["period"] = str(event.instalment_number)
            header = {"kind": "PAY", "txnNo": event.event_id, "time": _iso(event.event_time_ms)}
            return {"header": header, "customer": {"no": event.borrower_id}, "loan": loan, "teller": "T1"}
        case LoanOpened():
            plan = [
                {
                    "seq": one.number,
                    "due": one.due_date.strftime("%Y%m%d"),
                    "amount": _yuan(one.amount_minor),
                }
                for one in event.instalments
            ]
            source, _, number = event.event_id.partition("-")
            header = {"kind": "OPEN", "source": source, "txnNo": number, "time": _iso(event.event_time_ms)}
            return {
                "header": header,
                "customer": {"no": event.borrower_id},
                "loan": {
                    "no": event.loan_id,
                    "amount": _yuan(event.principal_minor),
                    "product": event.product,
                },
                "plan": plan,
            }
        case FundFlow():
            sign = 1 if event.direction == "in" else -1
            return {
                "txnNo": event.event_id,
                "custNo": event.borrower_id,
                "txnTime": event.event_time_ms // 1000,
                "acctNo": event.account_id,
                "amount": sign * _yuan(event.amount_minor),
                "ccy": event.currency,
                "category": event.category,
                "oppNo": event.counterparty_id,
                "balance": None if event.balance_after_minor is None else _yuan(event.balance_after_minor),
            }
    raise AssertionError(type(event))


def payload_of(document: Any) -> bytes:
    """JSON with decimals as they are written."""
    return (
        json.dumps(document, default=_number, ensure_ascii=False)
        .replace('"\\u0000', "")
        .replace('\\u0000"', "")
        .encode()
    )


def _number(value: Any) -> Any:
    assert isinstance(value, Decimal)
    return f"\0{value}\0"
