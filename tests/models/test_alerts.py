"""What goes out: canonical bytes as RFC 8785 has them, a chain that shows any change, ids that tell episodes apart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, get_args

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from models.alerts import (
    Alert,
    Cause,
    Chain,
    ChainHead,
    Exposure,
    Reason,
    Recommendation,
    Resolution,
    Risk,
    Severity,
    SeverityName,
    SignalName,
    Stage,
    Status,
    Text,
    Tier,
    alert_id,
    canonical_bytes,
    case_id,
    link,
    link_encoded,
    plain_number,
    unchained,
)

INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
TEXTS = st.text(max_size=12)
MAYBE_TEXTS = st.none() | TEXTS
FRACTIONS = st.builds(plain_number, st.floats(-1e9, 1e9), st.integers(0, 5))
EVIDENCE = st.dictionaries(
    st.text(st.characters(codec="ascii"), max_size=8), st.none() | INTEGERS | FRACTIONS | TEXTS, max_size=5
)


def words(literal: object) -> st.SearchStrategy[Any]:
    """Return any word of a contract's vocabulary."""
    return st.sampled_from(get_args(literal))


ALERTS = st.builds(
    Alert,
    alert_id=TEXTS,
    revision=INTEGERS,
    case_id=TEXTS,
    status=words(Status),
    resolution=st.none() | words(Resolution),
    signal=words(SignalName),
    severity=words(SeverityName),
    borrower_id=TEXTS,
    loan_id=MAYBE_TEXTS,
    event_time_ms=INTEGERS,
    detected_at_ms=INTEGERS,
    opened_at_ms=INTEGERS,
    risk=st.builds(Risk, FRACTIONS, words(Tier), TEXTS, TEXTS, INTEGERS),
    exposure=st.builds(
        Exposure,
        MAYBE_TEXTS,
        INTEGERS,
        INTEGERS,
        INTEGERS,
        MAYBE_TEXTS,
        MAYBE_TEXTS,
        INTEGERS,
        st.lists(TEXTS, max_size=3).map(tuple),
    ),
    priority=INTEGERS,
    reasons=st.lists(st.builds(Reason, TEXTS, st.builds(Text, TEXTS, TEXTS), EVIDENCE), max_size=3).map(
        tuple
    ),
    recommendation=st.builds(
        Recommendation, words(Stage), st.booleans(), INTEGERS, INTEGERS, INTEGERS, MAYBE_TEXTS, st.booleans()
    ),
    policy_version=TEXTS,
    caused_by=st.builds(Cause, TEXTS, INTEGERS, INTEGERS, MAYBE_TEXTS),
    chain=st.just(Chain(0, "", "")),
)

ALERT = Alert(
    alert_id="a1",
    revision=2,
    case_id="c1",
    status="escalated",
    resolution=None,
    signal="missed_payment",
    severity="warning",
    borrower_id="b1",
    loan_id="l1",
    event_time_ms=1_700_000_000_000,
    detected_at_ms=1_700_000_000_500,
    opened_at_ms=1_699_000_000_000,
    risk=Risk(probability=0.31, tier="high", model_version="v1", target="30+ DPD", horizon_days=60),
    exposure=Exposure("CNY", 1_000_000, 120_050, 8, "2023-11-06", None, 0, ("l1", "l2")),
    priority=250,
    reasons=(
        Reason(
            code="MP-DPD",
            text=Text(en="8 days past due.", zh="逾期 8 天。"),
            evidence={"days_past_due": 8, "threshold": 7, "share": 0.12, "note": None},
        ),
    ),
    recommendation=Recommendation(
        stage="call",
        actionable=True,
        not_before_ms=1,
        not_after_ms=2,
        attempts_left=3,
        hold=None,
        human_review_required=False,
    ),
    policy_version="p1",
    caused_by=Cause("repayments", 3, 81, "e1"),
    chain=Chain(0, "", ""),
)


def holds(alert: Alert, head: ChainHead) -> bool:
    """Whether an alert stands right behind a chain's head and its hash is that of its content."""
    return (
        alert.chain.sequence == head.sequence + 1
        and alert.chain.previous == head.hash
        and alert.chain.hash == hashlib.sha256(canonical_bytes(alert)).hexdigest()
    )


# ---- canonical bytes ---------------------------------------------------------------------------------------------


@given(ALERTS)
def test_canonical_bytes_are_those_of_rfc_8785(alert: Alert) -> None:
    """For integers that the standard can write, an independent implementation makes the same bytes."""
    document = msgspec.to_builtins(alert)
    del document["detected_at_ms"]
    del document["chain"]["hash"]
    assert canonical_bytes(alert) == rfc8785.dumps(document)


def test_integers_beyond_the_standard_stay_exact() -> None:
    """Money beyond 2**53 keeps every digit."""
    exposure = msgspec.structs.replace(ALERT.exposure, outstanding_minor=2**63 - 1)
    alert = msgspec.structs.replace(ALERT, exposure=exposure)
    assert b'"outstanding_minor":9223372036854775807' in canonical_bytes(alert)


def test_detection_time_is_not_part_of_it() -> None:
    """When an alert was detected differs between runs, and changes no byte."""
    later = msgspec.structs.replace(ALERT, detected_at_ms=0)
    assert canonical_bytes(later) == canonical_bytes(ALERT)


@given(st.floats(-1e15, 1e15), st.integers(0, 5))
def test_a_plain_number_has_one_form(value: float, digits: int) -> None:
    """Rounded, whole numbers as integers, never an exponent or a negative zero."""
    number = plain_number(value, digits)
    text = msgspec.json.encode(number).decode()
    assert "e" not in text.lower()
    assert text != "-0"
    assert not text.endswith(".0")
    assert number == round(value, digits)
    assert text.encode() == rfc8785.dumps(number)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_never_gets_into_an_alert(value: float) -> None:
    """JSON has no form for it, so it stops here."""
    with pytest.raises((ValueError, OverflowError)):
        plain_number(value)


def test_fractions_finer_than_five_digits_are_not_offered() -> None:
    """They would be written with an exponent, in which the standard differs."""
    with pytest.raises(AssertionError):
        plain_number(0.5, digits=6)


# ---- the chain ---------------------------------------------------------------------------------------------------


@given(st.lists(ALERTS, min_size=1, max_size=5))
def test_a_chain_of_any_alerts_verifies(alerts: list[Alert]) -> None:
    """Each link names its place, the one before it and the hash of its own content; the rest stays as it was."""
    head = ChainHead()
    for number, alert in enumerate(alerts, start=1):
        linked, next_head = link(alert, head)
        assert holds(linked, head)
        assert next_head == ChainHead(number, linked.chain.hash)
        assert msgspec.structs.replace(linked, chain=alert.chain) == alert
        head = next_head


@given(ALERTS)
def test_a_link_survives_publication(alert: Alert) -> None:
    """What a reader decodes from the published JSON verifies as well."""
    linked, _ = link(alert, ChainHead(41, "f" * 64))
    read = msgspec.json.decode(msgspec.json.encode(linked), type=Alert)
    assert holds(read, ChainHead(41, "f" * 64))


def test_a_link_that_was_relinked_is_the_same() -> None:
    """Whatever stood in the chain fields before does not matter."""
    once, head = link(ALERT, ChainHead())
    assert link(once, ChainHead()) == (once, head)


def changed(value: object) -> Iterator[tuple[str, object]]:
    """Every way to change one leaf of a structure, with its path."""
    match value:
        case msgspec.Struct():
            for name in value.__struct_fields__:
                for path, other in changed(getattr(value, name)):
                    yield f"{name}.{path}", msgspec.structs.replace(value, **{name: other})
        case tuple():
            yield "(longer)", (*value, "more")
            yield "(shorter)", value[:-1]
            for place, part in enumerate(value):
                for path, other in changed(part):
                    yield f"{place}.{path}", (*value[:place], other, *value[place + 1 :])
        case dict():
            yield "(more)", {**value, "more": 1}
            for key, part in value.items():
                yield f"(no {key})", {name: kept for name, kept in value.items() if name != key}
                for path, other in changed(part):
                    yield f"{key}.{path}", {**value, key: other}
        case bool():
            yield "not", not value
        case int() | float():
            yield "+1", value + 1
        case str():
            yield "x", value + "x"
        case None:
            yield "set", "set"


def test_any_change_of_any_field_breaks_the_link() -> None:
    """Every leaf of an alert is under the hash, but for the time of detection."""
    head = ChainHead(16, "0" * 64)
    linked, _ = link(ALERT, head)
    unnoticed = [path for path, other in changed(linked) if isinstance(other, Alert) and holds(other, head)]
    assert unnoticed == ["detected_at_ms.+1"]


def test_no_link_can_be_left_out_or_swapped() -> None:
    """An alert verifies behind its own predecessor only."""
    first, head_1 = link(ALERT, ChainHead())
    second, head_2 = link(msgspec.structs.replace(ALERT, revision=3), head_1)
    third, _ = link(msgspec.structs.replace(ALERT, revision=4), head_2)
    assert holds(second, head_1)
    assert holds(third, head_2)
    assert not holds(third, head_1)
    assert not holds(second, ChainHead())
    assert not holds(first, head_2)


# ---- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        lambda: alert_id("b2", "income_drop", None, 5, 0),
        lambda: alert_id("b", "missed_payment", None, 5, 0),
        lambda: alert_id("b", "income_drop", "l", 5, 0),
        lambda: alert_id("b", "income_drop", None, 6, 0),
        lambda: alert_id("b", "income_drop", None, 5, 1),
        lambda: case_id("b", 5),
    ],
)
def test_an_alert_id_is_what_the_episode_is_about(other: Callable[[], str]) -> None:
    """The same episode has the same id, and each part of what it is about makes another."""
    same = alert_id("b", "income_drop", None, 5, 0)
    assert same == alert_id("b", "income_drop", None, 5, 0)
    assert len(same) == 32
    assert other() != same


def test_parts_of_an_id_do_not_run_together() -> None:
    """Where one part ends and the next begins belongs to the id."""
    assert alert_id("ab", "c", None, 1, 1) != alert_id("a", "bc", None, 1, 1)
    assert alert_id("a", "b", "c", 11, 1) != alert_id("a", "b", "c", 1, 11)
    assert case_id("b1", 2) != case_id("b", 12)


def test_severities_are_ordered_words() -> None:
    """They compare as their words are meant."""
    assert [severity.word for severity in sorted(Severity)] == list(get_args(SeverityName))


@given(st.lists(ALERTS, max_size=4))
def test_an_alert_encoded_ahead_of_its_place_is_the_same_in_the_end(alerts: list[Alert]) -> None:
    """Encoded first and chained then, it is byte for byte what chaining and encoding gives; so is the head."""
    head = other_head = ChainHead()
    for alert in alerts:
        linked, head = link(alert, head)
        line, other_head = link_encoded(unchained(alert), other_head)

        assert line == msgspec.json.encode(linked)
        assert other_head == head
