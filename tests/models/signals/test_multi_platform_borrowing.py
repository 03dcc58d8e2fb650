"""The signal on both sides of its thresholds and windows, and the laws its deadlines and judgements keep."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alerts import Finding, Severity
from models.calendars import DAY_MS
from models.institutions import InstitutionEvidence, exact_from_ms
from models.rules import Rules
from models.signals.multi_platform_borrowing import LISTED_MAX, is_in_reach, judge, next_deadline_ms
from tests.support.credit import CreditEvent, account, evidence_of, inflow, outflow, query, rules_of

RULES = rules_of()
T0 = 1_700_000_000_000
WINDOW = 30 * DAY_MS


def queries(count: int, apart_ms: int = 1000) -> list[CreditEvent]:
    """Applications at `count` institutions, one after the other."""
    return [query(T0 + number * apart_ms, f"i{number}") for number in range(count)]


def severity_of(
    evidence: InstitutionEvidence, at_ms: int, opened: Severity | None = None, rules: Rules = RULES
) -> Severity | None:
    """Return the severity found, without own loans."""
    finding = judge(evidence, at_ms, opened, (), rules)
    return None if finding is None else finding.severity


# ---- thresholds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "severity"),
    [
        (0, None),
        (2, None),
        (3, Severity.WATCH),
        (4, Severity.WATCH),
        (5, Severity.WARNING),
        (7, Severity.WARNING),
        (8, Severity.SERIOUS),
        (20, Severity.SERIOUS),
    ],
)
def test_the_count_sets_the_severity(count: int, severity: Severity | None) -> None:
    """Three institutions are watch, five warning, eight serious, and one fewer is not."""
    assert severity_of(evidence_of(RULES, *queries(count)), T0 + DAY_MS) == severity


def test_the_policy_sets_thresholds_and_window() -> None:
    """Other numbers in the policy judge by those."""
    rules = rules_of(
        "[signals.multi_platform_borrowing]\nwindow_days = 1\nseverity = { watch = 1, warning = 2, serious = 4 }"
    )
    evidence = evidence_of(rules, *queries(3))
    assert severity_of(evidence, T0, rules=rules) == Severity.WATCH
    assert severity_of(evidence, T0 + DAY_MS - 1, rules=rules) == Severity.WARNING
    assert severity_of(evidence, T0 + DAY_MS + 2000, rules=rules) is None


def test_the_window_empties_to_the_millisecond() -> None:
    """The third institution counts until 30 days after the first, and not at that instant."""
    evidence = evidence_of(RULES, *queries(3))
    assert severity_of(evidence, T0 + 1999) is None
    assert severity_of(evidence, T0 + 2000) == Severity.WATCH
    assert severity_of(evidence, T0 + WINDOW - 1) == Severity.WATCH
    assert severity_of(evidence, T0 + WINDOW) is None


def test_who_leaves_the_window_is_not_counted_one_by_one_any_more() -> None:
    """Most borrowers are told to be out of reach cheaply: from the very instant on at which the first of three leaves."""
    evidence = evidence_of(RULES, *queries(3))
    assert is_in_reach(evidence, T0 + WINDOW - 1, RULES)
    assert not is_in_reach(evidence, T0 + WINDOW, RULES)


def test_each_kind_of_sighting_counts() -> None:
    """An application, a disbursement and a new account are three new institutions."""
    events: list[CreditEvent] = [
        outflow(T0 - 90 * DAY_MS),
        query(T0, "a"),
        inflow(T0 + 1, "b"),
        account(T0 + 2, "c"),
    ]
    assert severity_of(evidence_of(RULES, *events), T0 + 2) == Severity.WATCH


def test_reviews_and_self_queries_never_open_an_alert() -> None:
    """However many institutions review the borrower's loans, nothing is found."""
    evidence = evidence_of(
        RULES,
        *(query(T0 + n, f"r{n}", "post_loan_review") for n in range(9)),
        *(query(T0 + n, f"s{n}", "self_query") for n in range(9)),
        *(query(T0 + n, f"g{n}", "guarantee") for n in range(9)),
    )
    assert severity_of(evidence, T0 + DAY_MS) is None


def test_own_loans_are_left_out() -> None:
    """With an own loan at one of three platforms, two are left."""
    evidence = evidence_of(RULES, *queries(3))
    assert judge(evidence, T0 + 5000, None, (), RULES) is not None
    assert judge(evidence, T0 + 5000, None, ["i1"], RULES) is None


# ---- easing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "opened", "severity"),
    [
        (7, Severity.SERIOUS, Severity.SERIOUS),
        (6, Severity.SERIOUS, Severity.WARNING),
        (4, Severity.SERIOUS, Severity.WARNING),
        (3, Severity.SERIOUS, Severity.WATCH),
        (4, Severity.WARNING, Severity.WARNING),
        (3, Severity.WARNING, Severity.WATCH),
        (2, Severity.WARNING, None),
        (2, Severity.WATCH, None),
        (4, Severity.WATCH, Severity.WATCH),
        (5, Severity.WATCH, Severity.WARNING),
        (8, Severity.WATCH, Severity.SERIOUS),
    ],
)
def test_an_open_alert_eases_one_institution_later(
    count: int, opened: Severity, severity: Severity | None
) -> None:
    """A severity holds at one below its threshold, never below watch; rising and resolving know no delay."""
    assert severity_of(evidence_of(RULES, *queries(count)), T0 + DAY_MS, opened) == severity


def test_neighbouring_thresholds_resolve_at_watch() -> None:
    """Where warning begins right above watch, the window below watch still resolves."""
    rules = rules_of("[signals.multi_platform_borrowing]\nseverity = { watch = 3, warning = 4, serious = 5 }")
    three, two = evidence_of(rules, *queries(3)), evidence_of(rules, *queries(2))
    assert severity_of(three, T0 + DAY_MS, Severity.SERIOUS, rules) == Severity.WARNING
    assert severity_of(two, T0 + DAY_MS, Severity.SERIOUS, rules) is None


@given(st.lists(st.sampled_from([3, 4]), min_size=2, max_size=20))
def test_one_more_or_one_less_does_not_flap(counts: list[int]) -> None:
    """Around a threshold, gaining one and losing one moves the severity once at most."""
    severity: Severity | None = None
    seen = []
    for count in counts:
        severity = severity_of(evidence_of(RULES, *queries(count + 1)), T0 + DAY_MS, severity)
        seen.append(severity)
    assert sum(one != other for one, other in pairwise(seen)) <= 1


# ---- reasons -----------------------------------------------------------------------------------------------------


def test_the_reason_can_be_checked_line_by_line() -> None:
    """The evidence holds the very numbers compared, local dates and names; both texts say the same."""
    day = 1_767_283_200_000  # 2026-01-02 00:00 in Shanghai
    evidence = evidence_of(
        RULES,
        outflow(day - 200 * DAY_MS),
        query(day - 1, "bank-1"),
        query(day, "bank-2", "card_application"),
        inflow(day + DAY_MS, "p2p-3"),
        account(day + 2 * DAY_MS, "bank-4"),
        query(day + 3 * DAY_MS, "bank-5"),
    )
    finding = judge(evidence, day + 3 * DAY_MS, None, (), RULES)
    assert finding is not None
    assert finding.actionable
    (reason,) = finding.reasons
    assert reason.code == "MPB-COUNT"
    assert reason.evidence == {
        "institutions": 5,
        "threshold": 5,
        "window_days": 30,
        "first_date": "2026-01-01",
        "last_date": "2026-01-05",
        "by_queries": 3,
        "by_disbursements": 1,
        "by_accounts": 1,
        "institution_ids": "bank-1, bank-2, p2p-3, bank-4, bank-5",
    }
    assert reason.text.en == (
        "5 new institutions within 30 days (2026-01-01 to 2026-01-05): 3 by application query, "
        "1 by disbursement, 1 by new account; this severity holds from 5."
    )
    assert reason.text.zh == (
        "30 天内新增 5 家机构（2026-01-01 至 2026-01-05）：申请查询 3 家，放款 1 家，新开账户 1 家；达到 5 家即为此级别。"
    )


def test_a_held_severity_names_the_count_from_which_it_holds() -> None:
    """The threshold in the evidence is always one that the count has reached."""
    finding = judge(evidence_of(RULES, *queries(4)), T0 + DAY_MS, Severity.WARNING, (), RULES)
    assert finding is not None
    assert finding.reasons[0].evidence["threshold"] == 4


def test_the_list_of_institutions_is_bounded() -> None:
    """Ten are named, and that there are more is shown."""
    for count, shown in ((LISTED_MAX, LISTED_MAX), (LISTED_MAX + 1, LISTED_MAX + 1)):
        finding = judge(evidence_of(RULES, *queries(count)), T0 + DAY_MS, None, (), RULES)
        assert finding is not None
        listed = str(finding.reasons[0].evidence["institution_ids"]).split(", ")
        assert len(listed) == shown
        assert (listed[-1] == "…") == (count > LISTED_MAX)


# ---- deadlines ---------------------------------------------------------------------------------------------------


def test_the_deadline_is_the_exit_of_the_first_counted() -> None:
    """Exactly one window after the earliest sighting still counted; after it the next one's."""
    evidence = evidence_of(RULES, *queries(4))
    opened = Severity.WATCH
    assert next_deadline_ms(evidence, T0 + 3000, opened, (), RULES) == T0 + WINDOW
    assert next_deadline_ms(evidence, T0 + WINDOW - 1, opened, (), RULES) == T0 + WINDOW
    assert next_deadline_ms(evidence, T0 + WINDOW, opened, (), RULES) == T0 + 1000 + WINDOW
    assert next_deadline_ms(evidence, T0 + 1000 + WINDOW, None, (), RULES) is None


def test_without_a_finding_there_is_no_deadline() -> None:
    """Below watch time alone changes nothing, so no timer is set."""
    for count in (0, 1, 2):
        assert next_deadline_ms(evidence_of(RULES, *queries(count)), T0 + 5000, None, (), RULES) is None


def test_own_loans_move_the_deadline() -> None:
    """An own platform does not count, so its exit is no deadline."""
    evidence = evidence_of(RULES, *queries(4))
    assert next_deadline_ms(evidence, T0 + 3000, Severity.WATCH, ["i0"], RULES) == T0 + 1000 + WINDOW


def test_what_is_recorded_for_later_is_a_deadline_too() -> None:
    """When a late event makes the window fuller, the sighting that completes it is judged again at its own time."""
    evidence = evidence_of(RULES, *queries(3))
    assert next_deadline_ms(evidence, T0, None, (), RULES) == T0 + 2000


# ---- laws --------------------------------------------------------------------------------------------------------

TIMES = st.tuples(st.integers(0, 300), st.sampled_from([0, 0, 0, 1, DAY_MS - 1])).map(
    lambda pair: T0 + pair[0] * DAY_MS + pair[1]
)
NAMES = st.sampled_from([f"i{number}" for number in range(9)])
EVENTS: st.SearchStrategy[CreditEvent] = st.one_of(
    st.builds(query, TIMES, NAMES, st.just("loan_application"), st.sampled_from([None, None, "x"])),
    st.builds(query, TIMES, NAMES, st.just("post_loan_review")),
    st.builds(account, TIMES, NAMES),
    st.builds(inflow, TIMES, NAMES),
)
LOGS = st.lists(EVENTS, max_size=20)
DENSE_LOGS = LOGS.map(lambda log: [_hasten(event) for event in log])
OPENED = st.sampled_from([None, Severity.WATCH, Severity.WARNING, Severity.SERIOUS])
OWN = st.lists(NAMES, max_size=2)
EAGER = rules_of("[signals.multi_platform_borrowing]\nflow_history_days_min = 0")


def _hasten(event: CreditEvent) -> CreditEvent:
    """Crowd an event's time into two months, so that windows fill."""
    return msgspec.structs.replace(event, event_time_ms=T0 + (event.event_time_ms - T0) // 5)


@given(DENSE_LOGS, st.integers(-1, 90 * DAY_MS), OPENED, OWN)
def test_deadlines_are_complete_and_exact(
    events: list[CreditEvent], after: int, opened: Severity | None, own: list[str]
) -> None:
    """Between an instant and its deadline the finding stays as it is, and at the deadline it is another."""
    evidence = evidence_of(EAGER, *events)
    after_ms = T0 + after

    def at(instant_ms: int) -> Finding | None:
        return judge(evidence, instant_ms, opened, own, EAGER)

    deadline_ms = next_deadline_ms(evidence, after_ms, opened, own, EAGER)
    instants = {
        event.event_time_ms + offset + step
        for event in events
        for offset in (0, WINDOW)
        for step in (-1, 0, 1)
    }
    until_ms = deadline_ms if deadline_ms is not None else T0 + 1000 * DAY_MS
    for instant_ms in (*instants, until_ms - 1):
        if after_ms < instant_ms < until_ms:
            assert at(instant_ms) == at(after_ms)
    if deadline_ms is not None:
        assert deadline_ms > after_ms
        assert at(deadline_ms) != at(after_ms)


@given(DENSE_LOGS, st.integers(-1, 90 * DAY_MS), OPENED, OWN)
def test_a_judgement_uses_only_what_was_known(
    events: list[CreditEvent], at: int, opened: Severity | None, own: list[str]
) -> None:
    """As of an instant, the whole log judges as the log cut there."""
    evidence = evidence_of(EAGER, *events)
    at_ms = max(T0 + at, exact_from_ms(evidence))
    cut = evidence_of(EAGER, *(event for event in events if event.event_time_ms <= at_ms))
    assert judge(evidence, at_ms, opened, own, EAGER) == judge(cut, at_ms, opened, own, EAGER)


@given(DENSE_LOGS.flatmap(lambda log: st.tuples(st.just(log), st.permutations(log))), OPENED, OWN)
def test_the_order_of_arrival_does_not_matter(
    logs: tuple[list[CreditEvent], list[CreditEvent]], opened: Severity | None, own: list[str]
) -> None:
    """Any order of arrival judges alike, at every day, and sets the same deadline."""
    one, other = (evidence_of(EAGER, *events) for events in logs)
    for day in range(0, 100, 3):
        at_ms = T0 + day * DAY_MS
        assert judge(one, at_ms, opened, own, EAGER) == judge(other, at_ms, opened, own, EAGER)
        assert next_deadline_ms(one, at_ms, opened, own, EAGER) == next_deadline_ms(
            other, at_ms, opened, own, EAGER
        )


@given(DENSE_LOGS, st.integers(-1, 90 * DAY_MS), OPENED, OWN)
def test_what_is_out_of_reach_is_what_nobody_would_find(
    events: list[CreditEvent], at: int, opened: Severity | None, own: list[str]
) -> None:
    """Too few institutions in the window are found by counting tracks as by counting those that are new."""
    evidence, at_ms = evidence_of(EAGER, *events), T0 + at
    answers = (
        judge(evidence, at_ms, opened, own, EAGER),
        next_deadline_ms(evidence, at_ms, opened, own, EAGER),
    )
    with pytest.MonkeyPatch.context() as counting:
        counting.setattr("models.signals.multi_platform_borrowing.is_in_reach", lambda *_: True)
        assert answers == (
            judge(evidence, at_ms, opened, own, EAGER),
            next_deadline_ms(evidence, at_ms, opened, own, EAGER),
        )


@given(DENSE_LOGS, OPENED, OWN)
def test_judging_leaves_the_evidence_as_it_was(
    events: list[CreditEvent], opened: Severity | None, own: list[str]
) -> None:
    """Asking changes nothing."""
    evidence = evidence_of(EAGER, *events)
    before = msgspec.msgpack.encode(evidence)
    judge(evidence, T0 + 40 * DAY_MS, opened, own, EAGER)
    next_deadline_ms(evidence, T0, opened, own, EAGER)
    assert msgspec.msgpack.encode(evidence) == before


@given(DENSE_LOGS, st.integers(0, 90), OPENED)
def test_the_evidence_of_a_finding_adds_up(
    events: list[CreditEvent], day: int, opened: Severity | None
) -> None:
    """The kinds sum to the institutions, which reach the threshold; the severity is one of the three."""
    finding = judge(evidence_of(EAGER, *events), T0 + day * DAY_MS, opened, (), EAGER)
    if finding is None:
        return
    facts = finding.reasons[0].evidence
    numbers = [
        facts[name] for name in ("by_queries", "by_disbursements", "by_accounts", "institutions", "threshold")
    ]
    queried, disbursed, opened_accounts, institutions, threshold = (n for n in numbers if isinstance(n, int))
    assert queried + disbursed + opened_accounts == institutions >= threshold >= 3
    assert Severity.WATCH <= finding.severity <= Severity.SERIOUS
