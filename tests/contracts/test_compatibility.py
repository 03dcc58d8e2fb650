"""Nothing that v1 promised is broken, and whatever would break it is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from streams.contract.asyncapi import asyncapi_document
from streams.settings import Settings
from tests.support.compatibility import breaks

FROZEN = Path(__file__).with_name("forewarn.v1.asyncapi.json")
"""What was promised. It grows with what v1 grows by, and nothing in it is ever changed or taken out."""

Document = dict[str, Any]
NOW: Document = asyncapi_document(Settings())


def fields(document: Document, struct: str) -> Any:
    """The fields of a struct."""
    return document["components"]["schemas"][struct]["properties"]


def drop(document: Document, struct: str, field: str) -> None:
    """Take a field away."""
    del fields(document, struct)[field]
    required = document["components"]["schemas"][struct]["required"]
    if field in required:
        required.remove(field)


BREAKS: dict[str, tuple[Callable[[Document], object], str]] = {
    "a field of the alert goes": (lambda d: drop(d, "Alert", "priority"), "Alert.priority: is gone"),
    "a field within goes": (lambda d: drop(d, "Risk", "tier"), "Alert.risk.tier: is gone"),
    "a field of an alert's reasons goes": (lambda d: drop(d, "Text", "zh"), "Alert.reasons[].text.zh: is gone"),
    "a number becomes text": (
        lambda d: fields(d, "Exposure")["overdue_minor"].update(type="string"),
        "Alert.exposure.overdue_minor: the type",
    ),
    "a number becomes a fraction": (
        lambda d: fields(d, "Exposure")["overdue_minor"].update(type="number"),
        "Alert.exposure.overdue_minor: the type",
    ),
    "an output may be null": (
        lambda d: fields(d, "Alert")["case_id"].update(type=["string", "null"]),
        "Alert.case_id: the type",
    ),
    "an output may be missing": (
        lambda d: d["components"]["schemas"]["Alert"]["required"].remove("risk"),
        "Alert.risk: may be missing",
    ),
    "a new status": (
        lambda d: fields(d, "Alert")["status"]["enum"].append("merged"),
        "Alert.status: words on one side only: merged",
    ),
    "a new severity in the list of open alerts": (
        lambda d: fields(d, "OpenAlert")["severity"]["enum"].append("fatal"),
        "BorrowerRisk.open_alerts[].severity: words on one side only: fatal",
    ),
    "a closed list opens": (
        lambda d: fields(d, "Recommendation")["stage"].pop("enum"),
        "Alert.recommendation.stage: words on one side only: any",
    ),
    "evidence takes lists": (
        lambda d: fields(d, "Reason")["evidence"]["additionalProperties"]["anyOf"].append({"type": "array"}),
        "Alert.reasons[].evidence[]: the type",
    ),
    "another name of the contract": (
        lambda d: fields(d, "Alert")["schema"].update(enum=["forewarn.alert.v2"]),
        "Alert.schema: words on one side only: forewarn.alert.v2",
    ),
    "a header goes": (
        lambda d: d["components"]["messages"]["Alert"]["headers"]["properties"].pop("ce_id"),
        "Alert headers.ce_id: is gone",
    ),
    "another key": (
        lambda d: d["components"]["messages"]["Alert"]["bindings"]["kafka"].update(key={"type": "integer"}),
        "Alert: its bindings changed",
    ),
    "another topic": (
        lambda d: d["channels"]["alerts"].update(address="warnings"),
        "alerts: the topic is called warnings now",
    ),
    "a topic goes": (lambda d: d["channels"].pop("borrower-risk"), "borrower-risk: the topic is gone"),
    "an input is read no more": (
        lambda d: d["operations"]["receiveServicing"].update(action="send"),
        "receiveServicing: the direction changed",
    ),
    "an event goes": (
        lambda d: d["channels"]["repayments"]["messages"].pop("LimitChanged"),
        "repayments: LimitChanged is gone",
    ),
    "a field of an event goes": (
        lambda d: drop(d, "FundFlow", "balance_after_minor"),
        "FundFlow.balance_after_minor: is gone",
    ),
    "a new field of an event that must be there": (
        lambda d: (
            fields(d, "Repayment").update(channel={"type": "string"}),
            d["components"]["schemas"]["Repayment"]["required"].append("channel"),
        ),
        "Repayment.channel: became required",
    ),
    "a field of an event must be there now": (
        lambda d: d["components"]["schemas"]["FundFlow"]["required"].append("category"),
        "FundFlow.category: became required",
    ),
    "null was allowed": (
        lambda d: fields(d, "FundFlow")["counterparty_id"].update(type="string"),
        "FundFlow.counterparty_id: the type",
    ),
    "a word of an event goes": (
        lambda d: fields(d, "FundFlow")["category"]["enum"].remove("gambling"),
        "FundFlow.category: words on one side only: gambling",
    ),
    "free text becomes a list of words": (
        lambda d: fields(d, "ContactAttempted")["channel"].update(enum=["phone"]),
        "ContactAttempted.channel: words on one side only: any",
    ),
    "a lower limit": (
        lambda d: fields(d, "FundFlow")["amount_minor"].update(maximum=10**9),
        "FundFlow.amount_minor: maximum differs",
    ),
    "a limit where none was": (
        lambda d: fields(d, "HoldPlaced")["reason"].update(maxLength=5),
        "HoldPlaced.reason: maxLength differs",
    ),
    "fewer instalments": (
        lambda d: fields(d, "LoanOpened")["instalments"].update(maxItems=12),
        "LoanOpened.instalments: maxItems differs",
    ),
    "a date where any text was": (
        lambda d: fields(d, "ContactAttempted")["channel"].update(format="date"),
        "ContactAttempted.channel: format differs",
    ),
}  # fmt: skip

GROWTH: dict[str, Callable[[Document], object]] = {
    "a new field of the alert": lambda d: fields(d, "Alert").update(officer={"type": "string"}),
    "a new optional field of an event": lambda d: fields(d, "Repayment").update(channel={"type": "string"}),
    "a new word of an event": lambda d: fields(d, "FundFlow")["category"]["enum"].append("insurance"),
    "a new signal": lambda d: fields(d, "Alert")["signal"]["x-extensible-enum"].append("job_change"),
    "a field that is never null any more": lambda d: fields(d, "Exposure")["currency"].update(type="string"),
    "a new topic": lambda d: d["channels"].update(news=d["channels"]["alerts"]),
    "a new event": lambda d: d["channels"]["servicing"]["messages"].update(
        Visited={"$ref": "#/components/messages/Visited"}
    ),
}


def test_nothing_that_v1_promised_is_broken() -> None:
    """Whoever reads and writes by the frozen document still can."""
    assert breaks(json.loads(FROZEN.read_text(encoding="utf-8")), NOW) == []


def test_everything_there_is_now_is_promised() -> None:
    """What v1 grew by is frozen with the change that brought it, so that the next one cannot take it back unseen."""
    assert breaks(NOW, json.loads(FROZEN.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("kind", BREAKS)
def test_each_kind_of_break_is_noticed(kind: str) -> None:
    """One change to the document as it is, and what is said of it."""
    change, told = BREAKS[kind]
    changed = deepcopy(NOW)
    change(changed)

    assert [problem for problem in breaks(NOW, changed) if problem.startswith(told)]


@pytest.mark.parametrize("kind", GROWTH)
def test_growth_is_no_break(kind: str) -> None:
    """What those who ignore unknown fields do not notice."""
    changed = deepcopy(NOW)
    GROWTH[kind](changed)

    assert changed != NOW
    assert breaks(NOW, changed) == []


def test_a_keyword_that_the_rules_do_not_know_is_no_pass() -> None:
    """A new keyword in the schemas needs a rule first."""
    changed = deepcopy(NOW)
    fields(changed, "Alert")["alert_id"]["pattern"] = "^[0-9a-f]{32}$"

    with pytest.raises(AssertionError, match="pattern"):
        breaks(NOW, changed)
