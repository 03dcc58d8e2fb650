"""The filters: what each lets through, and that none leaves anybody with an alert that is over."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alerts import Alert, Reason, SeverityName, SignalName, Status, Text
from streams.memory.broker import MemoryRecord
from streams.webhooks.endpoints import Endpoint
from streams.webhooks.wanted import Notice, is_wanted, notice_of
from tests.support import alert_samples
from tests.support.deliveries import alert, endpoint

SEVERITIES = get_args(SeverityName)


def noticed(one: Alert) -> Notice:
    """As it is read."""
    notice = notice_of(MemoryRecord(0, 0, b"k", msgspec.json.encode(one), ()))
    assert notice is not None
    return notice


def advised(one: Alert, *, actionable: bool) -> Alert:
    """Whether it may be acted on."""
    todo = msgspec.structs.replace(one.recommendation, actionable=actionable)
    return msgspec.structs.replace(one, recommendation=todo)


def passes(one: Alert, **filters: Any) -> bool:
    """Whether an endpoint with these filters hears of it."""
    return is_wanted(noticed(one), endpoint(**filters))


@pytest.mark.parametrize("status", get_args(Status))
@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("least", SEVERITIES)
def test_severities_choose_what_is_heard_of_and_hide_no_end(
    status: Status, severity: SeverityName, least: SeverityName
) -> None:
    """Below the least severity only what eases or ends passes."""
    is_severe = SEVERITIES.index(severity) >= SEVERITIES.index(least)
    expected = is_severe or status in ("eased", "resolved", "retracted")

    assert passes(alert("b-0", status=status, severity=severity), severity_min=least) == expected


@pytest.mark.parametrize("status", get_args(Status))
def test_what_may_not_be_acted_on_is_left_out_until_it_was_told_of(status: Status) -> None:
    """A hold comes as `updated`, so that passes: who was told to call has to hear that nobody may."""
    held = advised(alert("b-0", status=status), actionable=False)

    assert passes(held, actionable_only=True) == (status not in ("opened", "escalated"))
    assert passes(advised(held, actionable=True), actionable_only=True)
    assert passes(held)


def test_signals_and_statuses_choose() -> None:
    """Only those that are named, all where none is."""
    one = alert("b-0", signal="income_drop", status="opened")

    assert passes(one, signals=("income_drop", "missed_payment"))
    assert not passes(one, signals=("missed_payment",))
    assert passes(one, statuses=("opened",))
    assert not passes(one, statuses=("resolved",))


def test_an_erasure_passes_every_filter() -> None:
    """What was kept of the borrower has to go, wherever."""
    why = (Reason("ERASED", Text("", ""), {}),)
    erased = advised(alert("b-0", status="retracted", severity="watch", reasons=why), actionable=False)

    assert passes(
        erased, signals=("relapse",), statuses=("opened",), severity_min="critical", actionable_only=True
    )


def test_a_signal_that_is_newer_than_the_worker_passes() -> None:
    """Where no signals are named; while workers of two releases run, one delivers what the other publishes."""
    document = msgspec.to_builtins(alert("b-0")) | {"signal": "job_change", "status": "merged"}
    notice = notice_of(MemoryRecord(0, 0, b"k", msgspec.json.encode(document), ()))

    assert notice is not None
    assert is_wanted(notice, endpoint())
    assert not is_wanted(notice, endpoint(signals=("relapse",)))


@given(
    signals=st.sets(st.sampled_from(get_args(SignalName))),
    severity=st.sampled_from(SEVERITIES),
    actionable_only=st.booleans(),
)
def test_who_was_told_of_an_alert_hears_of_its_end(
    signals: set[SignalName], severity: SeverityName, actionable_only: bool
) -> None:
    """Over every life of every signal: nobody is left with an alert that is over, or milder than they know."""
    to: Endpoint = endpoint(
        signals=tuple(sorted(signals)), severity_min=severity, actionable_only=actionable_only
    )
    lives: dict[str, list[Alert]] = defaultdict(list)
    for one in alert_samples.alerts():
        lives[one.alert_id].append(one)
    for life in lives.values():
        heard = [one for one in life if is_wanted(noticed(one), to)]
        if not heard:
            continue
        ends = [one for one in life if one.status in ("eased", "resolved", "retracted")]
        assert [one for one in heard if one in ends] == ends


@pytest.mark.parametrize("alert_id", ["", "x\r\ninjected: 1", "x" * 65, "贷", "a b"])
def test_an_id_that_cannot_stand_in_a_header_makes_no_message(alert_id: str) -> None:
    """Nobody writes headers into our requests."""
    forged = msgspec.structs.replace(alert("b-0"), alert_id=alert_id)

    assert notice_of(MemoryRecord(0, 0, b"k", msgspec.json.encode(forged), ())) is None
