"""The laws of `income_drop`, for any log the strategies can think of."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Finding, Severity
from models.calendars import DAY_MS, HOUR_MS
from models.events import FlowCategory, FundFlow
from models.income import (
    AS_OF_DAYS,
    IncomeEvidence,
    is_life,
    kind_of,
    record_flow,
    record_link,
    record_unlink,
)
from models.income_outlook import awaits_pay, is_plain, lost_fraction, steady_income
from models.policy import default_policy
from models.rules import Rules
from models.signals.income_drop import judge, next_deadline_ms
from tests.support.incomes import START, flow

RULES = Rules(default_policy())
CALENDAR = RULES.calendar
Link = tuple[int, str, bool]
Entry = FundFlow | Link
"""A flow, or (instant, account, linked?)."""


def time_of(entry: Entry) -> int:
    """When it happened."""
    return entry.event_time_ms if isinstance(entry, FundFlow) else entry[0]


def record(evidence: IncomeEvidence, entry: Entry) -> bool:
    """Record a flow or a link."""
    if isinstance(entry, FundFlow):
        return record_flow(evidence, entry, RULES)
    at_ms, account, linked = entry
    return (record_link if linked else record_unlink)(evidence, account, at_ms)


def evidence_of(log: list[Entry]) -> IncomeEvidence:
    """Record a log."""
    evidence = IncomeEvidence()
    for entry in log:
        record(evidence, entry)
    return evidence


@st.composite
def payers(draw: st.DrawFn) -> list[FundFlow]:
    """One payer with some rhythm, some jitter, some end."""
    dice = Random(draw(st.integers(0, 2**32)))
    period = draw(st.sampled_from([1, 3, 7, 14, 15, 30, 30, 30, 31, 61, 91]))
    jitter = draw(st.sampled_from([0, 1, 3, 9]))
    spread = draw(st.sampled_from([0.0, 0.05, 0.4]))
    first = draw(st.integers(0, 200))
    last = first + draw(st.integers(0, 500))
    level = draw(st.integers(1, 10**6))
    cut_from = draw(st.integers(first, last))
    factor = draw(st.sampled_from([1.0, 1.0, 0.8, 0.6, 0.3]))
    categories: list[FlowCategory | None] = ["salary", "salary", "pension", "business_income", None, None]
    category = draw(st.sampled_from(categories))
    payer = draw(st.sampled_from(["e-1", "e-2", "e-3", None]))
    account = draw(st.sampled_from(["a-1", "a-1", "a-2"]))
    currency = draw(st.sampled_from(["CNY", "CNY", "CNY", "USD"]))
    flows = []
    for day in range(first, last + 1, period):
        amount = round(
            level * period * dice.uniform(1 - spread, 1 + spread) * (factor if day >= cut_from else 1)
        )
        at_ms = CALENDAR.midnight_ms(START + day + dice.randint(0, jitter)) + dice.randint(0, 23) * HOUR_MS
        flows.append(
            flow(at_ms, amount, category=category, payer=payer, kind=None, account=account, currency=currency)
        )
    return flows


@st.composite
def logs(draw: st.DrawFn) -> list[Entry]:
    """What came in from up to three payers, what went out, and links, in order of time."""
    log: list[Entry] = [one for flows in draw(st.lists(payers(), min_size=1, max_size=3)) for one in flows]
    for account in ("a-1", "a-2"):
        dice = Random(draw(st.integers(0, 2**32)))
        last = draw(st.sampled_from([0, 300, 700]))
        day, most = START, draw(st.sampled_from([3, 10, 40]))
        while (day := day + dice.randint(1, most)) < START + last:
            at_ms = CALENDAR.midnight_ms(day) + dice.randint(0, DAY_MS - 1)
            log.append(flow(at_ms, 5, category="living", payer="m", account=account, direction="out"))
    for day in draw(st.lists(st.integers(0, 700), max_size=3)):
        at_ms = CALENDAR.midnight_ms(START + day) + draw(st.integers(0, DAY_MS - 1))
        log.append((at_ms, draw(st.sampled_from(["a-1", "a-2"])), draw(st.booleans())))
    return sorted(log, key=lambda entry: (time_of(entry), repr(entry)))


def newest_income_ms(log: list[Entry]) -> int:
    """The last inflow."""
    return max(time_of(entry) for entry in log if isinstance(entry, FundFlow) and entry.direction == "in")


open_states = st.one_of(
    st.just((None, None)), st.tuples(st.sampled_from(list(Severity)[:3]), st.integers(0, 250))
)


@settings(max_examples=150)
@given(logs(), st.data(), open_states)
def test_later_events_do_not_change_a_judgement(
    log: list[Entry], data: st.DataObject, opened: tuple[Severity | None, int | None]
) -> None:
    """As of an instant, the whole log says what the log up to that instant says."""
    newest_ms = newest_income_ms(log)
    earliest_ms = newest_ms - AS_OF_DAYS * DAY_MS
    near = sorted({time_of(entry) for entry in log if earliest_ms < time_of(entry) <= newest_ms})
    at_ms = data.draw(st.one_of(st.sampled_from(near), st.integers(earliest_ms, newest_ms + 400 * DAY_MS)))
    at_ms += data.draw(st.integers(-1, 1))
    severity, days_before = opened
    opened_ms = None if days_before is None else at_ms - days_before * DAY_MS
    whole, cut = evidence_of(log), evidence_of([entry for entry in log if time_of(entry) <= at_ms])

    assert judge(cut, at_ms, severity, opened_ms, RULES) == judge(whole, at_ms, severity, opened_ms, RULES)
    expected = next_deadline_ms(cut, at_ms, severity, opened_ms, RULES)
    announced = next_deadline_ms(whole, at_ms, severity, opened_ms, RULES)
    if expected is not None:
        assert announced is not None
        assert announced <= expected


@settings(max_examples=100)
@given(logs(), st.randoms(use_true_random=False), st.integers(0, 400))
def test_the_order_of_arrival_changes_no_judgement(log: list[Entry], dice: Random, days_after: int) -> None:
    """The same events in another order give the same judgement and the same next deadline."""
    shuffled = list(log)
    dice.shuffle(shuffled)
    at_ms = newest_income_ms(log) + (days_after - 60) * DAY_MS
    straight, mixed = evidence_of(log), evidence_of(shuffled)

    assert judge(straight, at_ms, None, None, RULES) == judge(mixed, at_ms, None, None, RULES)
    assert next_deadline_ms(straight, at_ms, None, None, RULES) == next_deadline_ms(
        mixed, at_ms, None, None, RULES
    )


@settings(max_examples=60)
@given(logs(), st.integers(0, 1000))
def test_state_survives_its_bytes(log: list[Entry], cut: int) -> None:
    """Encoding and decoding in the middle of a log changes nothing."""
    cut %= len(log) + 1
    restored = msgspec.msgpack.decode(msgspec.msgpack.encode(evidence_of(log[:cut])), type=IncomeEvidence)
    for entry in log[cut:]:
        record(restored, entry)

    assert evidence_of(log) == restored


def matters(evidence: IncomeEvidence, entry: Entry, state: tuple[Severity | None, int | None]) -> bool:
    """Record an entry in order of time; return whether the engine judges for it: not for life while no pay is awaited."""
    if not record(evidence, entry):
        return False
    if not isinstance(entry, FundFlow) or not is_life(entry, kind_of(entry)) or state != (None, None):
        return True
    return awaits_pay(evidence, entry.account_id, entry.event_time_ms, RULES)


@settings(max_examples=150)
@given(logs(), st.booleans())
def test_time_alone_changes_no_judgement_between_deadlines(log: list[Entry], opens: bool) -> None:
    """The judgement changes at events that were said to matter and at announced local midnights, never in between."""
    evidence = IncomeEvidence()
    state: tuple[Severity | None, int | None] = (None, None)
    found: Finding | None = None
    due_ms: int | None = None
    log = [*log, (time_of(log[-1]) + 500 * DAY_MS, "nobody", True)]
    for entry, after in pairwise(log):
        now_ms = time_of(entry)
        if matters(evidence, entry, state) or due_ms == now_ms:
            found, state = settle(evidence, now_ms, state, opens=opens)
            due_ms = next_deadline_ms(evidence, now_ms, *state, RULES)
        while now_ms < time_of(after):
            end_ms = time_of(after) if due_ms is None else min(due_ms, time_of(after))
            for between_ms in instants(now_ms, end_ms):
                assert judge(evidence, between_ms, *state, RULES) == found
            if due_ms is None or due_ms >= time_of(after):
                break
            assert due_ms > now_ms
            assert CALENDAR.midnight_ms(CALENDAR.day_of(due_ms)) == due_ms
            now_ms = due_ms
            found, state = settle(evidence, now_ms, state, opens=opens)
            due_ms = next_deadline_ms(evidence, now_ms, *state, RULES)


@settings(max_examples=100)
@given(logs(), st.randoms(use_true_random=False))
def test_what_is_remembered_between_judgements_changes_no_answer(log: list[Entry], dice: Random) -> None:
    """Judged along the way as the engine does, at any instant the answers are those of evidence just decoded."""
    evidence = IncomeEvidence()
    for entry in log:
        now_ms = time_of(entry)
        if record(evidence, entry):
            judge(evidence, now_ms, None, None, RULES)
            next_deadline_ms(evidence, now_ms, None, None, RULES)
        if dice.random() < 0.9:
            continue
        for at_ms in sorted(now_ms + dice.randint(-30, 60) * DAY_MS // 2 for _ in range(6)):
            restored = msgspec.msgpack.decode(msgspec.msgpack.encode(evidence), type=IncomeEvidence)
            if dice.random() < 0.5:  # what is lost is kept for a week
                lost_fraction(evidence, at_ms - dice.randint(0, 8 * 24) * HOUR_MS, RULES)
            kept = lost_fraction(evidence, at_ms, RULES), next_deadline_ms(evidence, at_ms, None, None, RULES)
            told = lost_fraction(restored, at_ms, RULES), next_deadline_ms(restored, at_ms, None, None, RULES)
            assert kept == told
            assert judge(evidence, at_ms, None, None, RULES) == judge(restored, at_ms, None, None, RULES)


@settings(max_examples=60)
@given(payers(), st.randoms(use_true_random=False))
def test_a_pay_that_is_enough_by_itself_finds_what_a_whole_look_finds(
    flows: list[FundFlow], dice: Random
) -> None:
    """One payer, judged at each pay: until the next deadline, how all pay stands tells the same, and the same is lost."""
    evidence = IncomeEvidence()
    for one in sorted(flows, key=time_of):
        now_ms = time_of(one)
        record(evidence, one)
        if dice.random() < 0.8 or not is_plain(evidence, now_ms, RULES):
            continue
        due_ms = next_deadline_ms(evidence, now_ms, None, None, RULES) or now_ms + 400 * DAY_MS
        steady = steady_income(evidence, CALENDAR.day_of(now_ms) + 1, RULES)
        assert steady is not None
        falls_ms = [CALENDAR.midnight_ms(until_day) for _, until_day in steady.spans]
        asked_ms = [now_ms, due_ms - 1, *falls_ms, *(dice.randint(now_ms, due_ms - 1) for _ in range(3))]
        for at_ms in sorted(one_ms for one_ms in asked_ms if one_ms < due_ms):
            assert judge(evidence, at_ms, None, None, RULES) is None
            lost = lost_fraction(evidence, at_ms, RULES)
            restored = msgspec.msgpack.decode(msgspec.msgpack.encode(evidence), type=IncomeEvidence)
            with pytest.MonkeyPatch.context() as whole:
                whole.setattr("models.income_outlook._plain_outlook", lambda *_: None)
                assert judge(restored, at_ms, None, None, RULES) is None
                assert lost_fraction(restored, at_ms, RULES) == lost


def settle(
    evidence: IncomeEvidence, at_ms: int, state: tuple[Severity | None, int | None], *, opens: bool
) -> tuple[Finding | None, tuple[Severity | None, int | None]]:
    """Judge as the engine does; return what an immediate second judgement finds, with the state it leaves."""
    found = judge(evidence, at_ms, *state, RULES)
    if not opens:
        return found, state
    opened_ms = None if found is None else state[1] or at_ms
    state = (None if found is None else found.severity, opened_ms)
    return judge(evidence, at_ms, *state, RULES), state


def instants(after_ms: int, before_ms: int) -> list[int]:
    """A few instants strictly between two, among them midnights."""
    first, last = CALENDAR.day_of(after_ms) + 1, CALENDAR.day_of(before_ms - 1)
    days = (
        range(first, last + 1)
        if last - first < 12
        else [*range(first, first + 8), *range(first + 8, last, 5)]
    )
    midnights = [CALENDAR.midnight_ms(day) for day in days]
    return [at for at in [after_ms + 1, *midnights, before_ms - 1] if after_ms < at < before_ms]
