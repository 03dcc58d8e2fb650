"""Which sightings count as new, which make an institution known, and what is kept of them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calendars import DAY_MS
from models.events import CreditAccountOpened, CreditQuery, FundFlow, QueryPurpose
from models.institutions import (
    ACCOUNT,
    DISBURSEMENT,
    LATE_DAYS,
    QUERY,
    REVIEW,
    TRACKS_MAX,
    InstitutionEvidence,
    exact_from_ms,
    new_institutions,
    record_flow,
    void,
    within_window,
)
from models.recent_ids import fingerprint_of
from models.rules import Rules
from tests.support.credit import CreditEvent, account, evidence_of, inflow, outflow, query, record, rules_of

RULES = rules_of()
T0 = 1_700_000_000_000
MEMORY = 180 * DAY_MS
HISTORY = 90 * DAY_MS


def found(*events: CreditEvent, own: Sequence[str] = (), rules: Rules = RULES) -> list[tuple[int, str]]:
    """Sightings at which an institution was new, as (time, institution)."""
    return [
        (new.first_ms, new.institution_id)
        for new in new_institutions(evidence_of(rules, *events), own, rules)
    ]


# ---- which queries count -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["loan_application", "card_application"])
def test_an_application_query_counts(purpose: QueryPurpose) -> None:
    """Applications for a loan and for a card count."""
    assert found(query(T0, "a", purpose)) == [(T0, "a")]


@pytest.mark.parametrize("purpose", ["guarantee", "post_loan_review", "self_query", "other"])
def test_any_other_query_does_not_count(purpose: QueryPurpose) -> None:
    """A guarantee, a review, a self-query and an unknown purpose never count."""
    assert found(query(T0, "a", purpose)) == []


def test_a_post_loan_review_makes_known() -> None:
    """Whoever reviews a loan of the borrower's is no new institution afterwards."""
    assert found(query(T0, "a", "post_loan_review"), query(T0 + 1, "a")) == []


def test_a_post_loan_review_after_the_first_sighting_changes_nothing() -> None:
    """The review of a loan that was counted when applied for does not take it back."""
    assert found(query(T0, "a"), query(T0 + 5, "a", "post_loan_review")) == [(T0, "a")]


@pytest.mark.parametrize("purpose", ["guarantee", "self_query", "other"])
def test_queries_that_say_nothing_make_nobody_known(purpose: QueryPurpose) -> None:
    """After a guarantee, a self-query or an unknown purpose an application is still the first sighting."""
    assert found(query(T0, "a", purpose), query(T0 + 1, "a")) == [(T0 + 1, "a")]


def test_a_new_account_counts() -> None:
    """A new bureau account is a new institution."""
    assert found(account(T0, "a")) == [(T0, "a")]


def test_one_institution_counts_once() -> None:
    """Query, account and disbursement of one institution are one, at its first sighting."""
    events: list[CreditEvent] = [
        outflow(T0 - HISTORY),
        query(T0, "a"),
        inflow(T0 + 1, "a"),
        account(T0 + 2, "a"),
    ]
    assert found(*events) == [(T0, "a")]


# ---- disbursements -----------------------------------------------------------------------------------------------


def test_a_disbursement_counts_once_90_days_of_flows_are_known() -> None:
    """To the millisecond: at 90 days it counts, one before it does not."""
    assert found(outflow(T0 - HISTORY), inflow(T0, "p")) == [(T0, "p")]
    assert found(outflow(T0 - HISTORY + 1), inflow(T0, "p")) == []


def test_an_earlier_flow_that_comes_late_makes_the_history_long_enough() -> None:
    """History counts from the first flow by event time, whenever it arrives, and its arrival is reported."""
    evidence = evidence_of(RULES, inflow(T0, "p"))
    assert new_institutions(evidence, (), RULES) == []
    assert record_flow(evidence, outflow(T0 - HISTORY), RULES)
    assert [new.institution_id for new in new_institutions(evidence, (), RULES)] == ["p"]


def test_a_disbursement_in_the_first_90_days_makes_its_platform_known() -> None:
    """A platform that was there before the history is no new one later."""
    assert found(outflow(T0), inflow(T0 + DAY_MS, "p"), inflow(T0 + 91 * DAY_MS, "p")) == []


def test_only_an_inflow_of_category_disbursement_with_a_counterparty_is_a_sighting() -> None:
    """Other inflows, outflows, and disbursements that name nobody tell only since when flows are known."""
    others = [
        inflow(T0, "p", "salary"),
        inflow(T0, "p", None),
        outflow(T0, "p", "loan_disbursement"),
        inflow(T0, None),
    ]
    for flow in others:
        evidence = evidence_of(RULES, outflow(T0 - HISTORY))
        assert not record_flow(evidence, flow, RULES)
        assert evidence.tracks == []


# ---- the memory --------------------------------------------------------------------------------------------------


def test_an_institution_is_new_again_after_the_memory() -> None:
    """Seen 180 days before it is new, a millisecond less and it is known."""
    assert found(query(T0, "a"), query(T0 + MEMORY, "a")) == [(T0, "a"), (T0 + MEMORY, "a")]
    assert found(query(T0, "a"), query(T0 + MEMORY - 1, "a")) == [(T0, "a")]


def test_the_memory_counts_from_the_last_sighting() -> None:
    """Whoever is seen again and again stays known."""
    steps = [query(T0 + number * (MEMORY - 1), "a") for number in range(3)]
    assert found(*steps) == [(T0, "a")]


def test_a_late_sighting_closes_the_gap() -> None:
    """Two tracks become one when a sighting between them arrives."""
    events: list[CreditEvent] = [query(T0, "a"), query(T0 + MEMORY + 10, "a")]
    assert len(found(*events)) == 2
    assert found(*events, query(T0 + 20, "a")) == [(T0, "a")]


# ---- applications and names --------------------------------------------------------------------------------------


def test_one_application_sent_to_several_funders_counts_once() -> None:
    """The first funder stands for the application; two applications are two."""
    routed = [query(T0 + n, name, application_id="x") for n, name in enumerate("abc")]
    assert found(*routed) == [(T0, "a")]
    apart = [query(T0 + n, name, application_id=name) for n, name in enumerate("abc")]
    assert len(found(*apart)) == 3


def test_the_first_funder_is_first_by_event_time() -> None:
    """A funder whose query comes late takes the application over."""
    assert found(query(T0 + 1, "b", application_id="x"), query(T0, "a", application_id="x")) == [(T0, "a")]


def test_an_application_counts_once_for_good() -> None:
    """When the first funder has left the window, the further ones do not take its place."""
    late = query(T0 + 40 * DAY_MS, "b", application_id="x")
    assert found(query(T0, "a", application_id="x"), late) == [(T0, "a")]


def test_an_application_id_that_comes_again_after_the_memory_is_another_application() -> None:
    """180 days after its last query an application id stands for something new, a millisecond less and it does not."""
    first = query(T0, "a", application_id="x")
    assert found(first, query(T0 + MEMORY, "b", application_id="x")) == [(T0, "a"), (T0 + MEMORY, "b")]
    assert found(first, query(T0 + MEMORY - 1, "b", application_id="x")) == [(T0, "a")]


def test_a_further_funder_counts_when_applied_to_on_its_own() -> None:
    """Another application, or one without an id, at a further funder is a new institution."""
    routed = [query(T0, "a", application_id="x"), query(T0, "b", application_id="x")]
    for own_way in (query(T0 + 5, "b", application_id="y"), query(T0 + 5, "b")):
        assert found(*routed, own_way) == [(T0, "a"), (T0 + 5, "b")]


def test_the_fruit_of_an_application_is_not_counted_again() -> None:
    """Account and disbursement at a further funder belong to the application within the memory, not after it."""
    routed: list[CreditEvent] = [
        outflow(T0 - HISTORY),
        query(T0, "a", application_id="x"),
        query(T0, "b", application_id="x"),
    ]
    for fruit in (inflow, account):
        assert found(*routed, fruit(T0, "b")) == [(T0, "a")]
        assert found(*routed, fruit(T0 + MEMORY - 1, "b")) == [(T0, "a")]
        assert found(*routed, fruit(T0 + MEMORY, "b")) == [(T0, "a"), (T0 + MEMORY, "b")]


def test_an_application_to_a_known_institution_does_not_count_by_its_further_funders() -> None:
    """The first funder stands for the application also where it is known."""
    events: list[CreditEvent] = [
        query(T0, "a"),
        query(T0 + 1, "a", application_id="x"),
        query(T0 + 2, "b", application_id="x"),
    ]
    assert found(*events) == [(T0, "a")]


def test_names_go_through_the_alias_table() -> None:
    """Two names of one institution count once, and each kind of sighting knows them."""
    rules = rules_of('institution_aliases = { a1 = "a", a2 = "a" }')
    events: list[CreditEvent] = [
        outflow(T0 - HISTORY),
        query(T0, "a1"),
        account(T0 + 1, "a2"),
        inflow(T0 + 2, "a"),
    ]
    assert found(*events, rules=rules) == [(T0, "a")]


def test_the_own_lender_never_counts() -> None:
    """Neither the policy's own institutions nor the platforms of own loans count, by whatever alias."""
    rules = rules_of('own_institutions = ["us"]\ninstitution_aliases = { us-cards = "us", shop-1 = "shop" }')
    events: list[CreditEvent] = [
        query(T0, "us"),
        query(T0, "us-cards"),
        account(T0, "shop-1"),
        query(T0, "a"),
    ]
    assert found(*events, rules=rules) == [(T0, "a"), (T0, "shop")]
    for platform in ("shop", "shop-1"):
        assert found(*events, own=[platform], rules=rules) == [(T0, "a")]


def test_the_window_is_half_open() -> None:
    """Counted from its own instant until, and without, the instant one window later."""
    new = new_institutions(evidence_of(RULES, query(T0, "a")), (), RULES)
    window = 30 * DAY_MS
    counts = [len(within_window(new, T0 + offset, 30)) for offset in (-1, 0, window - 1, window)]
    assert counts == [0, 1, 1, 0]


# ---- what is kept ------------------------------------------------------------------------------------------------


def test_what_is_kept_is_small() -> None:
    """An empty picture is five bytes; one platform a few dozen, and as many for each sighting that a void may name."""
    assert len(msgspec.msgpack.encode(InstitutionEvidence())) <= 5
    typical = evidence_of(
        RULES, outflow(T0 - HISTORY), *(inflow(T0 + n * DAY_MS, "platform-17") for n in range(99))
    )
    assert len(typical.recent) <= 4
    assert len(msgspec.msgpack.encode(typical)) <= 60 + 4 * 35


def test_old_tracks_are_forgotten() -> None:
    """What lies too far back to matter makes room when something new comes."""
    rules = RULES
    kept = (30 + 180 + LATE_DAYS) * DAY_MS
    evidence = evidence_of(rules, query(T0, "old"), query(T0 + kept, "new"))
    assert [track.institution_id for track in evidence.tracks] == ["new"]
    evidence = evidence_of(rules, query(T0, "old"), query(T0 + kept - 1, "new"))
    assert [track.institution_id for track in evidence.tracks] == ["old", "new"]
    assert evidence.forgotten == 0


def test_what_comes_too_late_to_matter_is_left_out() -> None:
    """A sighting from before everything that can matter changes nothing and says so."""
    kept = (30 + 180 + LATE_DAYS) * DAY_MS
    evidence = evidence_of(RULES, query(T0 + kept, "new"))
    assert not record(evidence, query(T0, "old"), RULES)
    assert len(evidence.tracks) == 1


def test_the_number_of_tracks_is_bounded_and_the_loss_counted() -> None:
    """Beyond the limit the institution seen longest ago goes, and the evidence says how many went."""
    evidence = evidence_of(RULES, *(query(T0 + number, f"i{number}") for number in range(TRACKS_MAX + 3)))
    assert len(evidence.tracks) == TRACKS_MAX
    assert evidence.tracks[0].institution_id == "i3"
    assert evidence.forgotten == 3


# ---- laws --------------------------------------------------------------------------------------------------------

DAYS = st.integers(0, 420)
TIMES = st.one_of(
    DAYS.map(lambda day: T0 + day * DAY_MS),
    st.tuples(DAYS, st.sampled_from([-1, 1, 1000])).map(lambda pair: T0 + pair[0] * DAY_MS + pair[1]),
)
NAMES = st.sampled_from("abcde")


def _query(time_ms: int, institution_id: str, purpose: QueryPurpose, application: str | None) -> CreditQuery:
    """Make a query of an application that lives within one quarter."""
    quarter = (time_ms - T0) // HISTORY
    return query(time_ms, institution_id, purpose, application and f"{application}{quarter}")


EVENTS: st.SearchStrategy[CreditEvent] = st.one_of(
    st.builds(
        _query,
        TIMES,
        NAMES,
        st.sampled_from(
            ["loan_application", "card_application", "post_loan_review", "guarantee", "self_query"]
        ),
        st.sampled_from([None, "x", "y", "z"]),
    ),
    st.builds(account, TIMES, NAMES),
    st.builds(inflow, TIMES, NAMES),
    st.builds(outflow, TIMES),
)
LOGS = st.lists(EVENTS, max_size=14)


class Plain(msgspec.Struct, frozen=True):
    """A sighting as the sentences of the contract have it, without any of the state's economies."""

    time_ms: int
    institution_id: str
    application_id: str
    kind: int


def _plain(events: Sequence[CreditEvent]) -> list[Plain]:
    sightings = []
    for event in events:
        match event:
            case CreditQuery(purpose="loan_application" | "card_application"):
                sightings.append(
                    Plain(event.event_time_ms, event.institution_id, event.application_id or "", QUERY)
                )
            case CreditQuery(purpose="post_loan_review"):
                sightings.append(Plain(event.event_time_ms, event.institution_id, "", REVIEW))
            case CreditAccountOpened():
                sightings.append(Plain(event.event_time_ms, event.institution_id, "", ACCOUNT))
            case FundFlow(category="loan_disbursement", counterparty_id=str() as platform):
                sightings.append(Plain(event.event_time_ms, platform, "", DISBURSEMENT))
    return sightings


def reference(log: Sequence[CreditEvent], at_ms: int) -> set[tuple[int, str]]:
    """Sightings in the window up to `at_ms` at which an institution was new, by the sentences themselves."""
    events = [event for event in log if event.event_time_ms <= at_ms]
    flows = [event.event_time_ms for event in events if isinstance(event, FundFlow)]
    sightings = _plain(events)
    first = {
        x: min((s.time_ms, s.institution_id) for s in sightings if s.application_id == x)
        for x in {s.application_id for s in sightings if s.application_id}
    }
    found = set()
    for s in sightings:
        if not at_ms - 30 * DAY_MS < s.time_ms <= at_ms:
            continue
        before = [
            other
            for other in sightings
            if other.institution_id == s.institution_id and s.time_ms - MEMORY < other.time_ms <= s.time_ms
        ]
        stands = {
            other: not other.application_id or first[other.application_id][1] == other.institution_id
            for other in before
        }
        counts = {
            QUERY: not s.application_id or first[s.application_id] == (s.time_ms, s.institution_id),
            ACCOUNT: True,
            DISBURSEMENT: s.kind == DISBURSEMENT and s.time_ms - min(flows) >= HISTORY,
            REVIEW: False,
        }[s.kind]
        known = any(stands[other] and other.time_ms < s.time_ms for other in before)
        fruit = s.kind != QUERY and not all(stands.values())
        if counts and not known and not fruit:
            found.add((s.time_ms, s.institution_id))
    return found


@given(LOGS, st.integers(0, LATE_DAYS - 1))
def test_the_state_counts_what_the_sentences_say(events: list[CreditEvent], days_ago: int) -> None:
    """For any events in any order, as of any instant in the last 90 days, the state equals the plain reading."""
    evidence = evidence_of(RULES, *events)
    newest_ms = max((event.event_time_ms for event in events), default=T0)
    for at_ms in (
        newest_ms - days_ago * DAY_MS,
        newest_ms - days_ago * DAY_MS - 1,
        newest_ms + days_ago * DAY_MS,
    ):
        if at_ms < exact_from_ms(evidence):
            continue
        counted = within_window(new_institutions(evidence, (), RULES), at_ms, 30)
        assert {(new.first_ms, new.institution_id) for new in counted} == reference(events, at_ms)


@given(LOGS, st.integers(0, LATE_DAYS - 1))
def test_later_events_do_not_change_what_was_known(events: list[CreditEvent], days_ago: int) -> None:
    """As of an instant, the whole log counts what the log cut there counts."""
    evidence = evidence_of(RULES, *events)
    at_ms = max(
        exact_from_ms(evidence), max((e.event_time_ms for e in events), default=T0) - days_ago * DAY_MS
    )
    cut = evidence_of(RULES, *(event for event in events if event.event_time_ms <= at_ms))
    whole = within_window(new_institutions(evidence, (), RULES), at_ms, 30)
    assert whole == within_window(new_institutions(cut, (), RULES), at_ms, 30)


@given(LOGS.flatmap(lambda log: st.tuples(st.just(log), st.permutations(log))))
def test_the_order_of_arrival_does_not_matter(logs: tuple[list[CreditEvent], list[CreditEvent]]) -> None:
    """Any order of the same events counts the same, wherever judgements are exact."""
    one, other = (evidence_of(RULES, *events) for events in logs)
    assert exact_from_ms(one) == exact_from_ms(other)
    from_ms = exact_from_ms(one) - 30 * DAY_MS
    counted = [
        [new for new in new_institutions(evidence, (), RULES) if new.first_ms > from_ms]
        for evidence in (one, other)
    ]
    assert counted[0] == counted[1]


@given(LOGS, LOGS)
def test_a_restored_picture_goes_on_as_before(before: list[CreditEvent], after: list[CreditEvent]) -> None:
    """Bytes taken in the middle and read back go on exactly as if nothing had happened."""
    gone_on = evidence_of(RULES, *before)
    restored = msgspec.msgpack.decode(msgspec.msgpack.encode(gone_on), type=InstitutionEvidence)
    for event in after:
        assert record(gone_on, event, RULES) == record(restored, event, RULES)
    assert msgspec.msgpack.encode(gone_on) == msgspec.msgpack.encode(restored)


@given(LOGS)
def test_a_sighting_again_changes_nothing(events: list[CreditEvent]) -> None:
    """Every event a second time leaves the bytes as they were, and says that nothing changed."""
    evidence = evidence_of(RULES, *events)
    once = msgspec.msgpack.encode(evidence)
    for event in events:
        assert not record(evidence, event, RULES)
    assert msgspec.msgpack.encode(evidence) == once


@given(LOGS, st.data())
def test_what_is_kept_of_the_answer_changes_none(events: list[CreditEvent], data: st.DataObject) -> None:
    """Asked after each event and each void, for other own platforms too, it is what evidence just read back says."""
    evidence = InstitutionEvidence()
    platforms = st.sampled_from([(), ("a",), ("b", "c"), ("p",)])
    for event in events:
        record(evidence, event, RULES)
        if data.draw(st.integers(0, 5)) == 0:
            voided = data.draw(st.sampled_from(events))
            void(evidence, fingerprint_of(voided.event_id))
        restored = msgspec.msgpack.decode(msgspec.msgpack.encode(evidence), type=InstitutionEvidence)
        for own in ((), data.draw(platforms)):
            assert new_institutions(evidence, own, RULES) == new_institutions(restored, own, RULES)


@given(LOGS, EVENTS)
def test_whatever_changes_a_judgement_is_reported(events: list[CreditEvent], event: CreditEvent) -> None:
    """When a record function says that nothing may have changed, nothing has."""
    evidence = evidence_of(RULES, *events)
    before = new_institutions(evidence, (), RULES)
    if not record(evidence, event, RULES):
        from_ms = exact_from_ms(evidence) - 30 * DAY_MS
        after = new_institutions(evidence, (), RULES)
        assert [new for new in after if new.first_ms > from_ms] == [
            new for new in before if new.first_ms > from_ms
        ]


@given(LOGS)
def test_tracks_stand_in_order_and_apart(events: list[CreditEvent]) -> None:
    """Tracks are sorted, and no two of one institution and application lie within the memory of each other."""
    tracks = evidence_of(RULES, *events).tracks
    assert tracks == sorted(
        tracks, key=lambda track: (track.start_ms, track.institution_id, track.application_id)
    )
    ends: dict[tuple[str, str], int] = {}
    for track in tracks:
        key = (track.institution_id, track.application_id)
        assert track.span_ms >= 0
        assert key not in ends or track.start_ms >= ends[key] + MEMORY
        ends[key] = track.start_ms + track.span_ms
