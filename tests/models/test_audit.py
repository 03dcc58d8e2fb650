"""The proof of a chain: every kind of tampering is named, and at the right place; what is whole stays unsuspected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
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
    Risk,
    Text,
    link,
)
from models.audit import BreakKind, ChainReport, ChainVerifier, without_content

ALERT = Alert(
    alert_id="a1",
    revision=1,
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
    exposure=Exposure("CNY", 2**63 - 1, 120_050, 8, "2023-11-06", None, 0, ("l1", "l2")),
    priority=250,
    reasons=(Reason("MP-DPD", Text("8 days \x1f\n.", "逾期 8 天。"), {"days": 8, "share": 0.12, "n": None}),),
    recommendation=Recommendation("call", True, 1, 2, 3, None, False),  # noqa: FBT003 - a record's fields
    policy_version="p1",
    caused_by=Cause("repayments", 3, 81, "e1"),
    chain=Chain(0, "", ""),
)
encode = msgspec.json.encode


def chain(count: int, begin: ChainHead | None = None) -> list[Alert]:
    """Alerts linked one to the other."""
    head, alerts = begin or ChainHead(), []
    for number in range(count):
        alert, head = link(msgspec.structs.replace(ALERT, revision=number + 1), head)
        alerts.append(alert)
    return alerts


def head_of(alerts: Sequence[Alert]) -> ChainHead:
    """Where a chain stands."""
    return ChainHead(alerts[-1].chain.sequence, alerts[-1].chain.hash) if alerts else ChainHead()


def prove(
    contents: Iterable[bytes | None],
    *,
    begin: Any = "first",
    before: ChainHead | None = None,
    after: ChainHead | None = None,
) -> ChainReport:
    """The report on some records; the record at place n has offset 10 + 2 n."""
    verifier = ChainVerifier(begin, before)
    for place, content in enumerate(contents):
        verifier.take(content, 10 + 2 * place)
    return verifier.finish(after)


def found(report: ChainReport) -> tuple[BreakKind, int, int | None] | None:
    """Kind, place and sequence of the break. The end of the log lies right behind its last record."""
    first = report.first_break
    return None if first is None else (first.kind, (first.offset - 9) // 2, first.sequence)


def with_chain(alert: Alert, **fields: Any) -> Alert:
    """An alert with another link, not hashed anew."""
    return msgspec.structs.replace(alert, chain=msgspec.structs.replace(alert.chain, **fields))


def rehashed(alert: Alert, **fields: Any) -> Alert:
    """A forgery that is consistent in itself: other content, and the hash of it."""
    before = ChainHead(alert.chain.sequence - 1, alert.chain.previous)
    return link(msgspec.structs.replace(alert, **fields), before)[0]


@given(st.integers(0, 12))
def test_a_whole_chain_is_whole(count: int) -> None:
    """Of any length, with the progress record at its end."""
    alerts = chain(count)
    head = head_of(alerts)
    report = prove(map(encode, alerts), before=head, after=head)

    assert report.is_whole
    assert report.records == count
    assert (report.first_sequence, report.last_sequence) == ((1, count) if count else (None, None))
    assert report.head_hash == (head.hash or None)
    assert report.head_compared
    assert report.begin == ("first" if count else "nothing")


@given(st.integers(0, 4), st.integers(0, 4))
def test_what_is_published_during_the_proof_is_no_break(more: int, still_more: int) -> None:
    """The log may go beyond the head that was read before, and the head read after beyond the log."""
    alerts = chain(3 + more + still_more)
    report = prove(map(encode, alerts[: 3 + more]), before=head_of(alerts[:3]), after=head_of(alerts))

    assert report.is_whole
    assert report.last_sequence == 3 + more


@given(st.integers(1, 5), st.data())
def test_any_single_byte_that_changes_is_found(count: int, data: st.DataObject) -> None:
    """Whatever byte of whatever record becomes whatever other one, but for those of the time of detection."""
    contents = [encode(alert) for alert in chain(count)]
    place = data.draw(st.integers(0, count - 1), "record")
    content = contents[place]
    time = re.search(rb'"detected_at_ms":(\d+)', content)
    assert time is not None
    at = data.draw(st.integers(0, len(content) - 1).filter(lambda at: not time.start(1) <= at < time.end(1)))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
    contents[place] = content[:at] + bytes([byte]) + content[at + 1 :]
    report = prove(contents)

    kind_and_place = found(report)
    assert kind_and_place is not None
    assert kind_and_place[0] in {"changed", "forged"}
    assert kind_and_place[1] == place
    assert report.last_sequence == (place or None)


@given(st.integers(1, 5), st.data())
def test_the_time_of_detection_may_be_any(count: int, data: st.DataObject) -> None:
    """It differs between runs and is not under the hash."""
    alerts = [
        msgspec.structs.replace(alert, detected_at_ms=data.draw(st.integers(0, 2**60)))
        for alert in chain(count)
    ]
    assert prove(map(encode, alerts)).is_whole


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize(
    "tamper",
    [
        lambda alert: msgspec.structs.replace(alert, priority=0),
        lambda alert: with_chain(alert, sequence=alert.chain.sequence + 1),
        lambda alert: with_chain(alert, previous="0" * 64),
    ],
    ids=["content", "sequence", "previous"],
)
def test_changed_content_is_named(place: int, tamper: Any) -> None:
    """The hash stayed, what it was made of did not."""
    alerts = chain(5)
    head = head_of(alerts)
    alerts[place] = tamper(alerts[place])
    for before, after in ((head, head), (None, head), (None, None)):
        report = prove(map(encode, alerts), before=before, after=after)
        kind_and_place = found(report)
        assert kind_and_place is not None
        assert kind_and_place[:2] == ("changed", place)
        assert report.last_sequence == (place or None)


@pytest.mark.parametrize("place", range(5))
def test_a_forged_hash_is_told_from_changed_content(place: int) -> None:
    """Content and chain agree, the hash says otherwise: at the end, the progress record tells."""
    alerts = chain(5)
    head = head_of(alerts)
    alerts[place] = with_chain(alerts[place], hash="f" * 64)

    assert found(prove(map(encode, alerts), after=head)) == ("forged", place, place + 1)
    assert found(prove(map(encode, alerts), before=head)) == ("forged", place, place + 1)


@pytest.mark.parametrize("place", range(5))
def test_content_with_a_hash_to_match_is_forged(place: int) -> None:
    """It is consistent in itself; the one behind it remembers the true hash, and of the last the progress record does."""
    alerts = chain(5)
    head = head_of(alerts)
    alerts[place] = rehashed(alerts[place], priority=0)
    report = prove(map(encode, alerts), before=head, after=head)

    assert found(report) == ("forged", place, place + 1)
    assert report.last_sequence == (place or None)


@pytest.mark.parametrize("place", range(1, 5))
def test_a_link_to_something_else_is_forged(place: int) -> None:
    """Its own `previous` was set and its hash made anew: the one behind it still names the true hash."""
    alerts = chain(5)
    head = head_of(alerts)
    alerts[place] = link(alerts[place], ChainHead(place, "0" * 64))[0]

    assert found(prove(map(encode, alerts), after=head)) == ("forged", place, place + 1)


@pytest.mark.parametrize("place", range(5))
def test_missing_alerts_are_named_with_the_one_behind_the_gap(place: int) -> None:
    """Wherever it is taken from; at the end, the progress record tells."""
    alerts = chain(5)
    head = head_of(alerts)
    del alerts[place]

    for before, after in ((head, head), (None, head), (head, None)):
        report = prove(map(encode, alerts), before=before, after=after)
        assert found(report) == ("missing", place, place + 1)
    assert prove(map(encode, alerts)).is_whole == (place == 4), "only the end needs a witness"


def test_an_emptied_log_is_missing_everything() -> None:
    """Nothing is there, and the progress record knows of five."""
    head = head_of(chain(5))
    first = prove([], before=head, after=head).first_break
    assert first is not None
    assert (first.kind, first.sequence) == ("missing", 1)
    assert prove([], begin="retention", before=head, after=head).is_whole, "retention has its right"


@given(st.integers(0, 4), st.integers(0, 4))
def test_a_moved_alert_is_named_where_the_order_breaks(origin: int, target: int) -> None:
    """Forth or back: nothing is missing, something stands elsewhere."""
    alerts = chain(5)
    head = head_of(alerts)
    alerts.insert(target, alerts.pop(origin))
    report = prove(map(encode, alerts), before=head, after=head)

    breaks = min(origin, target)
    assert found(report) == (None if origin == target else ("moved", breaks, breaks + 1))


@given(st.integers(0, 4), st.integers(1, 5))
def test_a_doubled_alert_is_named_where_it_stands_again(origin: int, behind: int) -> None:
    """Right behind itself or anywhere later."""
    alerts = chain(5)
    head = head_of(alerts)
    target = min(5, origin + behind)
    alerts.insert(target, alerts[origin])

    assert found(prove(map(encode, alerts), before=head, after=head)) == ("doubled", target, origin + 1)


def test_another_alert_in_a_place_that_is_taken_is_doubled() -> None:
    """Slipped in behind the true one, and consistent in itself."""
    alerts = chain(3)
    head = head_of(alerts)
    alerts.insert(2, rehashed(alerts[1], priority=0))
    report = prove(map(encode, alerts), after=head)

    assert found(report) == ("doubled", 2, 2)
    assert report.first_break is not None
    assert "other content" in report.first_break.detail


@pytest.mark.parametrize("added", [1, 3])
def test_what_no_worker_published_is_forged(added: int) -> None:
    """Linked on in perfect order, and the progress record knows nothing of it."""
    alerts = chain(5 + added)

    report = prove(map(encode, alerts), before=head_of(alerts[:5]), after=head_of(alerts[:5]))
    assert found(report) == ("forged", 4 + added, 5 + added)


def test_a_chain_rewritten_to_its_end_shows_by_the_head() -> None:
    """Every link holds, and the last hash is another than the progress record's."""
    alerts = chain(5)
    forged, head = alerts[:2], head_of(alerts[:2])
    for alert in alerts[2:]:
        linked, head = link(msgspec.structs.replace(alert, priority=0), head)
        forged.append(linked)

    assert prove(map(encode, forged)).is_whole, "without a witness, nothing shows"
    assert found(prove(map(encode, forged), before=head_of(alerts))) == ("forged", 4, 5)
    assert found(prove(map(encode, forged), after=head_of(alerts))) == ("forged", 4, 5)


def test_what_retention_left_is_proved_from_its_first_alert_on() -> None:
    """The first one's `previous` is believed, and the report says where it began."""
    alerts = chain(6)
    head = head_of(alerts)
    report = prove(map(encode, alerts[2:]), begin="retention", before=head, after=head)

    assert report.is_whole
    assert (report.begin, report.first_sequence, report.last_sequence) == ("retention", 3, 6)
    assert found(prove(map(encode, alerts[2:]))) == ("missing", 0, 1), "where nothing was deleted by it"
    assert prove(map(encode, alerts), begin="retention").begin == "first"


def test_a_record_from_before_the_beginning_is_moved() -> None:
    """What retention had deleted stands in the log again."""
    alerts = chain(6)
    report = prove(map(encode, [*alerts[2:4], alerts[0], *alerts[4:]]), begin="retention")
    assert found(report) == ("moved", 2, 1)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff", b"{}", b'{"chain":{}}', b"[" * 5000])
def test_what_is_no_alert_is_changed(content: bytes | None) -> None:
    """A tombstone, garbage, other JSON: named with its offset, and no error."""
    contents: list[bytes | None] = [encode(alert) for alert in chain(3)]
    contents[1] = content
    assert found(prove(contents)) == ("changed", 1, None)


@given(st.sampled_from(["white space", "a name twice", "an escape"]))
def test_other_bytes_of_the_same_content_are_changed(how: str) -> None:
    """What a reader would take for the same was still written by somebody else."""
    contents = [encode(alert) for alert in chain(2)]
    contents[0] = {
        "white space": contents[0].replace(b",", b", ", 1),
        "a name twice": contents[0].replace(b"{", b'{"revision":9,', 1),
        "an escape": contents[0].replace(b"escalated", b"\\u0065scalated"),
    }[how]
    assert found(prove(contents)) == ("changed", 0, 1)


def test_a_break_tells_nothing_of_the_borrower() -> None:
    """Whoever verifies needs no right to see a person: numbers of the chain and hashes only."""
    alerts = chain(3)
    alerts[1] = msgspec.structs.replace(alerts[1], borrower_id="somebody", priority=777)
    first = prove(map(encode, alerts)).first_break
    assert first is not None
    assert "somebody" not in first.detail
    assert "777" not in first.detail


# ---- erased borrowers --------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 5)))
def test_a_chain_is_whole_around_alerts_that_were_erased(places: set[int]) -> None:
    """Only their links are left: nothing of the person, the same head, and the report says how many."""
    alerts = chain(6)
    head = head_of(alerts)
    contents = [
        without_content(encode(alert)) if place in places else encode(alert)
        for place, alert in enumerate(alerts)
    ]
    report = prove(contents, before=head, after=head)

    assert report.is_whole
    assert report.erased == len(places)
    assert (report.last_sequence, report.head_hash) == (6, head.hash)
    for place in places:
        assert b"b1" not in contents[place].split(b'"chain"')[0]
        assert set(msgspec.json.decode(contents[place])) == {"schema", "erased", "chain"}
        assert without_content(contents[place]) == contents[place]


@given(st.integers(0, 4), st.data())
def test_any_single_byte_of_a_link_that_is_left_is_found(place: int, data: st.DataObject) -> None:
    """Its place and its hash are held by its neighbours and by the head."""
    alerts = chain(5)
    head = head_of(alerts)
    contents = [encode(alert) for alert in alerts]
    content = without_content(contents[place])
    at = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
    contents[place] = content[:at] + bytes([byte]) + content[at + 1 :]

    assert not prove(contents, before=head, after=head).is_whole


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"chain":{"sequence":1}}'])
def test_what_is_no_alert_cannot_be_erased(content: bytes) -> None:
    """It has no link to be left."""
    with pytest.raises(ValueError, match="no alert"):
        without_content(content)
