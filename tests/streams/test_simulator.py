from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calendars import DAY_MS, Calendar, day_of_date
from models.events import TOPICS
from models.judging import Outcome, Truth
from streams.codec import Decoder, Reject
from streams.event_files import EventFolder
from streams.event_folder_writer import FolderInUseError
from streams.simulator import SimulationSettings, lives, simulate, write_folder
from streams.simulator.dice import Dice
from streams.simulator.horizon import Horizon
from streams.simulator.income import _around_the_calendar
from streams.simulator.lives import live
from streams.simulator.persons import Cause, draw_person

LATER_MS = 1_893_456_000_000
"""2030: everything simulated lies in its past."""
TOLERANCE_MINOR = 100
SHANGHAI = Calendar("Asia/Shanghai")

Event = dict[str, Any]


class Book:
    """A simulated book, read back as plain JSON."""

    def __init__(self, book: SimulationSettings) -> None:
        self.settings = book
        self.horizon = Horizon(book)
        self.outcomes: dict[str, Outcome] = {}
        self.truths: dict[tuple[str, str], list[Truth]] = defaultdict(list)
        self.events: dict[str, list[Event]] = defaultdict(list)
        for life in lives(book):
            self.outcomes[life.borrower_id] = life.outcome
            for truth in life.truths:
                self.truths[life.borrower_id, truth.signal].append(truth)
            self.events[life.borrower_id] = [msgspec.json.decode(line.payload) for line in life.lines]

    def of_type(self, borrower_id: str, type_: str) -> list[Event]:
        return [event for event in self.events[borrower_id] if event["type"] == type_]


@pytest.fixture(scope="module")
def book() -> Book:
    """A year of 1,500 borrowers."""
    return Book(SimulationSettings(borrowers=1_500, seed=7))


def _place_ms(event: Event) -> int:
    return int(event["ingested_at_ms"] if "ingested_at_ms" in event else event["event_time_ms"])


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    """Plain and packed, written twice; another seed gives another book."""
    small = SimulationSettings(borrowers=30, months=4)
    for name in ("a", "b"):
        write_folder(small, tmp_path / name)
        write_folder(small, tmp_path / f"{name}-packed", packed=True)
    write_folder(msgspec.structs.replace(small, seed=2), tmp_path / "other")

    assert _read(tmp_path / "a") == _read(tmp_path / "b")
    assert _read(tmp_path / "a-packed") == _read(tmp_path / "b-packed")
    assert _read(tmp_path / "a")["fund-flows.jsonl"] != _read(tmp_path / "other")["fund-flows.jsonl"]
    assert sorted(_read(tmp_path / "a")) == sorted(f"{stem}.jsonl" for stem in (*TOPICS, "outcomes", "truth"))


def test_a_borrower_does_not_depend_on_the_others() -> None:
    """The same borrower lives the same life in a small book and in a large one."""
    small, large = (SimulationSettings(borrowers=n, months=3) for n in (5, 20))

    assert list(lives(small)) == list(lives(large))[:5]


def test_the_codec_rejects_nothing_and_the_folder_is_delivered_as_simulated(tmp_path: Path) -> None:
    """Every line decodes, and the order of `simulate` is the order in which a replay delivers the folder."""
    crowd = SimulationSettings(borrowers=150, late_share=0.05)
    counts = write_folder(crowd, tmp_path)
    lines = list(EventFolder(tmp_path, LATER_MS))

    assert [line for line in lines if isinstance(line.content, Reject)] == []
    assert [(TOPICS[line.topic_index], line.raw) for line in lines] == [
        (d.topic, d.payload) for d in simulate(crowd)
    ]
    assert len(lines) == counts.events == sum(counts.events_by_topic.values())


def test_a_delivery_names_its_key_and_its_place() -> None:
    """What goes straight to Kafka has the borrower as key, and comes by the time at which it is learnt."""
    deliveries = list(simulate(SimulationSettings(borrowers=40, months=3, late_share=0.1)))
    events = [msgspec.json.decode(delivery.payload) for delivery in deliveries]
    decoders = {topic: Decoder(topic) for topic in TOPICS}

    assert all(a.place_ms <= b.place_ms for a, b in pairwise(deliveries))
    assert [d.place_ms for d in deliveries] == [_place_ms(event) for event in events]
    assert not any(
        isinstance(decoders[d.topic].decode(d.payload, d.borrower_id.encode(), LATER_MS), Reject)
        for d in deliveries
    )


def test_everything_lies_in_the_observed_time(book: Book) -> None:
    """Events, truths and outcomes lie between the first midnight and the last."""
    begin_ms, end_ms = (
        SHANGHAI.midnight_ms(day_of_date(date(2025, 1, 1))),
        SHANGHAI.midnight_ms(day_of_date(date(2026, 1, 1))),
    )
    places = [_place_ms(event) for own in book.events.values() for event in own]

    assert begin_ms <= min(places) <= max(places) < end_ms
    assert all(o.time_ms == end_ms for o in book.outcomes.values() if o.outcome == "good")
    assert all(
        begin_ms <= t.from_ms < t.until_ms <= end_ms + 1 for truths in book.truths.values() for t in truths
    )


def test_a_borrower_month_holds_a_handful_of_events(book: Book) -> None:
    """Eight to fifteen over all topics; event ids are unique."""
    events = [event for own in book.events.values() for event in own]
    assert 8 <= len(events) / len(book.events) / 12 <= 15

    assert len({event["event_id"] for event in events}) == len(events)


def test_events_come_late_at_the_rate_set() -> None:
    """None at 0; at 0.2 a fifth of repayments, flows and queries is learnt hours to days later."""
    none, fifth = (
        Book(SimulationSettings(borrowers=60, months=6, late_share=share, late_days_max=5))
        for share in (0, 0.2)
    )
    may_be_late = [
        event
        for own in fifth.events.values()
        for event in own
        if event["type"] in ("repayment", "fund_flow", "credit_query")
    ]
    late = [event for event in may_be_late if "ingested_at_ms" in event]
    delays_ms = [event["ingested_at_ms"] - event["event_time_ms"] for event in late]

    assert not any("ingested_at_ms" in event for own in none.events.values() for event in own)
    assert 0.17 <= len(late) / len(may_be_late) <= 0.23
    assert max(delays_ms) <= 5 * DAY_MS
    assert sum(delay_ms >= 2 * 3_600_000 for delay_ms in delays_ms) >= 0.95 * len(late), (
        "but for the very end"
    )


def _past_due(book: Book, borrower_id: str) -> tuple[list[tuple[int, int]], int]:
    """Times of being past due by loan, and the worst days past due, from the events alone: oldest due first."""
    spells: list[tuple[int, int]] = []
    worst = 0
    for opened in book.of_type(borrower_id, "loan_opened"):
        loan_id = opened["loan_id"]
        dues = [(i["due_date"], i["amount_minor"]) for i in opened["instalments"]]
        dues += [
            (bill["due_date"], bill["minimum_due_minor"])
            for bill in book.of_type(borrower_id, "instalment_billed")
            if bill["loan_id"] == loan_id
        ]
        days = [(day_of_date(date.fromisoformat(due)), amount) for due, amount in dues]
        payments = [e for e in book.of_type(borrower_id, "repayment") if e["loan_id"] == loan_id]
        own, own_worst = _run_ledger(days, payments, book.horizon.end_day, card=not opened["instalments"])
        spells += own
        worst = max(worst, own_worst)
    return sorted(spells), worst


def _run_ledger(
    days: list[tuple[int, int]], payments: list[Event], end_day: int, *, card: bool
) -> tuple[list[tuple[int, int]], int]:
    end_ms = SHANGHAI.midnight_ms(end_day)
    steps = [(p["event_time_ms"], 0, p["amount_minor"]) for p in payments]
    steps += [(SHANGHAI.midnight_ms(day + 1), 1, day) for day, _ in days if day < end_day]
    left = dict(sorted(days))
    spells, begin_ms = [], 0
    for at_ms, is_midnight, value in sorted(steps):
        if not is_midnight:
            paid = value
            for day, owed in left.items():
                if card and SHANGHAI.midnight_ms(day - 20) > at_ms:
                    break  # not billed yet: what is above the minimum never carries over
                part = min(owed, paid)
                left[day] -= part
                paid -= part
        unpaid = [
            day
            for day, owed in left.items()
            if owed > TOLERANCE_MINOR and SHANGHAI.midnight_ms(day + 1) <= at_ms
        ]
        if unpaid and not begin_ms:
            begin_ms = at_ms
        elif begin_ms and not unpaid:
            spells.append((begin_ms, at_ms))
            begin_ms = 0
    if begin_ms:
        spells.append((begin_ms, end_ms + 1))
    overdue = [day for day, owed in left.items() if owed > TOLERANCE_MINOR and day < end_day]
    return spells, end_day - 1 - min(overdue) if overdue else 0


def test_the_truth_of_missed_payment_is_what_the_events_say(book: Book) -> None:
    """From the local midnight that ends the due date until paid, loan by loan, by a ledger of the test's own."""
    for borrower_id in book.events:
        truths = [(t.from_ms, t.until_ms) for t in book.truths[borrower_id, "missed_payment"]]

        assert sorted(truths) == _past_due(book, borrower_id)[0], borrower_id


def test_bad_is_reaching_90_days_past_due(book: Book) -> None:
    """Bad borrowers have a loan that is never paid again and 90 days past due by the end; no good one has."""
    for borrower_id, outcome in book.outcomes.items():
        spells, worst = _past_due(book, borrower_id)
        longest = max((until_ms - from_ms for from_ms, until_ms in spells), default=0)

        assert (outcome.outcome == "bad") == (worst >= 90), borrower_id
        if outcome.outcome == "bad":
            begins = [from_ms for from_ms, until_ms in spells if until_ms > book.horizon.end_ms]
            assert outcome.time_ms == min(begins) + 89 * DAY_MS
        else:
            assert longest < 90 * DAY_MS


def test_the_truth_of_multi_platform_borrowing_is_what_the_events_say(book: Book) -> None:
    """Three distinct institutions within 30 days that were not seen in the 180 days before each, counted anew."""
    crowds = 0
    for borrower_id, events in book.events.items():
        expected = _crowds(events, book.settings.platform_id, book.horizon.begin_ms, book.horizon.end_ms)
        truths = [(t.from_ms, t.until_ms) for t in book.truths[borrower_id, "multi_platform_borrowing"]]
        crowds += len(truths)

        assert truths == expected, borrower_id
    assert crowds > 50


def _crowds(events: list[Event], own: str, begin_ms: int, end_ms: int) -> list[tuple[int, int]]:
    seen: dict[str, int] = {}
    new: list[int] = []
    applications: set[str] = set()
    for event in sorted(events, key=lambda e: e["event_time_ms"]):
        at_ms = event["event_time_ms"]
        institution, counts = _institution(event, own, applications, at_ms >= begin_ms + 90 * DAY_MS)
        if institution is None:
            continue
        if counts and at_ms - seen.get(institution, -(10**15)) > 180 * DAY_MS:
            new.append(at_ms)
        seen[institution] = at_ms
    changes = sorted([(at_ms, 1) for at_ms in new] + [(at_ms + 30 * DAY_MS, -1) for at_ms in new])
    crowds, count, from_ms = [], 0, 0
    for at_ms, change in changes:
        count += change
        if count == 3 and change == 1:
            from_ms = at_ms
        if count == 2 and change == -1:
            crowds.append((from_ms, min(at_ms, end_ms + 1)))
    return crowds


def _institution(
    event: Event, own: str, applications: set[str], flows_known: bool
) -> tuple[str | None, bool]:
    match event["type"]:
        case "credit_query" if event["purpose"] in ("loan_application", "card_application"):
            application = event.get("application_id")
            if event["institution_id"] == own or application in applications:
                return None, False
            if application is not None:
                applications.add(application)
            return event["institution_id"], True
        case "credit_account_opened":
            return event["institution_id"], True
        case "fund_flow" if event.get("category") == "loan_disbursement" and event["counterparty_id"] != own:
            return event["counterparty_id"], flows_known
        case _:
            return None, False


_INCOME = ("salary", "pension", "business_income")


def _is_wage(event: Event) -> bool:
    if event["type"] != "fund_flow" or event["direction"] != "in":
        return False
    return event.get("category") in _INCOME or event.get("counterparty_kind") == "employer"


def test_the_truth_of_income_drop_is_what_the_events_say(book: Book) -> None:
    """A lost job pays nothing until income returns, a cut one at most 0.65 of what it paid; nobody else loses income."""
    causes: Counter[str] = Counter()
    for (borrower_id, signal), truths in list(book.truths.items()):
        if signal != "income_drop":
            continue
        wages = [
            e
            for e in book.of_type(borrower_id, "fund_flow")
            if _is_wage(e) and not e.get("counterparty_id", "").endswith("-b")
        ]
        for truth in truths:
            causes[truth.cause] += 1
            within = [w for w in wages if truth.from_ms <= w["event_time_ms"] < truth.until_ms]
            # Around the Spring Festival pay is doubled by bonuses, or small: compare with the time after it.
            before = [
                w["amount_minor"]
                for w in wages
                if book.horizon.begin_ms + 60 * DAY_MS < w["event_time_ms"] < truth.from_ms
            ]
            if truth.cause == "job_loss":
                assert within == []
            else:
                assert within
                mean = sum(before) / len(before)
                assert sum(w["amount_minor"] for w in within) / len(within) < 0.7 * mean
    assert set(causes) == {"job_loss", "income_cut"}


def test_every_cause_befalls_somebody_and_explains_the_defaults(book: Book) -> None:
    """Two to six borrowers in a hundred go bad, nearly all of them after a cause with a truth of its own."""
    befell = {t.cause for truths in book.truths.values() for t in truths}
    bad = [borrower_id for borrower_id, outcome in book.outcomes.items() if outcome.outcome == "bad"]
    told = sum(
        any(
            book.truths[borrower_id, signal]
            for signal in ("income_drop", "multi_platform_borrowing", "borrowing_to_repay", "fund_misuse")
        )
        for borrower_id in bad
    )

    assert befell == (set(get_args(Cause)) - {"none"}) | {
        "habit",
        "rate_shopping",
        "evading",
        "broken_promise",
        "empty_promise",
    }
    assert 0.02 <= len(bad) / len(book.outcomes) <= 0.06
    assert 0.6 <= told / len(bad) < 1


def test_the_account_balance_follows_the_flows(book: Book) -> None:
    """`balance_after_minor` moves by each flow's amount and is never negative."""
    for borrower_id in list(book.events)[:200]:
        flows = sorted(book.of_type(borrower_id, "fund_flow"), key=lambda e: str(e["event_id"]))
        for before, after in pairwise(flows):
            sign = 1 if after["direction"] == "in" else -1
            assert (
                after["balance_after_minor"] == before["balance_after_minor"] + sign * after["amount_minor"]
            )
            assert after["balance_after_minor"] >= 0


def test_instalment_loans_have_equal_monthly_instalments(book: Book) -> None:
    """6 to 24 of them, principal and interest adding up to each, all principal adding up to the loan."""
    schedules = [
        (e["principal_minor"], e["instalments"])
        for own in book.events.values()
        for e in own
        if e["type"] == "loan_opened" and e["instalments"]
    ]

    assert {len(instalments) for _, instalments in schedules} == {6, 9, 12, 18, 24}
    for principal_minor, instalments in schedules:
        dates = [day_of_date(date.fromisoformat(i["due_date"])) for i in instalments]
        assert all(28 <= after - before <= 31 for before, after in pairwise(dates))
        assert len({i["amount_minor"] for i in instalments}) == 1
        assert all(i["principal_minor"] + i["interest_minor"] == i["amount_minor"] for i in instalments)
        assert sum(i["principal_minor"] for i in instalments) == pytest.approx(
            principal_minor, abs=len(instalments)
        )


def test_pay_near_the_spring_festival_comes_early_late_or_small() -> None:
    """A pay day within the holiday is moved out of it, or the pay is cut."""
    book = SimulationSettings()
    horizon = Horizon(book)
    festival = day_of_date(date(2025, 1, 29))
    dice = Dice(1, 1)
    person = draw_person(1, book, horizon, dice)
    seen = set()
    for day in range(festival - 4, festival + 11):
        for _ in range(50):
            paid_day, factor = _around_the_calendar(person, horizon, dice, day)
            if paid_day < festival:
                seen.add("early")
                assert festival - 5 <= paid_day <= festival - 2 or factor < 1
            if paid_day >= festival + 9 and factor >= 1:
                seen.add("late")
            if factor < 1:
                seen.add("small")
                assert paid_day == day

    assert seen == {"early", "late", "small"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"borrowers": 0}, "borrowers must lie between 1"),
        ({"months": 0}, "months must lie between 1"),
        ({"seed": -1}, "seed must lie between 0"),
        ({"linked_share": 0.6}, "linked_share must lie between 0 and 0.5"),
        ({"late_share": 1.5}, "late_share must lie between 0 and 1"),
        ({"job_loss_share": 0.7, "stacking_share": 0.7}, "the sum of the causes' shares"),
        ({"time_zone": "Mars/Olympus"}, "is no time zone"),
        ({"platform_id": ""}, "platform_id"),
        ({"start": date(1969, 1, 1)}, "start must lie between"),
    ],
)
def test_settings_that_cannot_be_simulated_are_refused(change: dict[str, Any], message: str) -> None:
    """The message names the setting and what is allowed."""
    with pytest.raises(ValueError, match=message):
        SimulationSettings(**change)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**63 - 1),
    st.integers(1, 10_000_000),
    st.integers(1, 14),
    st.dates(date(1971, 1, 1), date(2200, 12, 31)),
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"]),
)
def test_any_borrower_of_any_book_is_well_formed(
    seed: int, number: int, months: int, start: date, time_zone: str
) -> None:
    """Whatever the seed, the start and the zone: every event decodes and lies in the observed time."""
    book = SimulationSettings(
        seed=seed, months=months, start=start, time_zone=time_zone, borrowers=10_000_000
    )
    horizon = Horizon(book)
    life = live(number, book, horizon)
    decoders = [Decoder(topic, keyed=False) for topic in TOPICS]

    for line in life.lines:
        event = decoders[line.topic_index].decode(line.payload, None, 10**13)
        assert not isinstance(event, Reject)
        assert horizon.begin_ms <= event.event_time_ms <= line.place_ms < horizon.end_ms
    assert life == live(number, book, horizon)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """A simulation never mixes with event files that it would not replace."""
    stranger = tmp_path / "servicing.jsonl.gz"
    stranger.write_bytes(b"")

    with pytest.raises(FolderInUseError, match=r"servicing\.jsonl\.gz"):
        write_folder(SimulationSettings(borrowers=1, months=1), tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [stranger.name]


def test_a_broken_run_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C in the middle: no half file, and the files of the run before stay as they were."""
    small = SimulationSettings(borrowers=3, months=1)
    write_folder(small, tmp_path)
    before = _read(tmp_path)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(SimulationSettings(borrowers=3, months=2), tmp_path, interrupt)

    assert before == _read(tmp_path)


def test_progress_ends_with_all_borrowers(tmp_path: Path) -> None:
    """The bar reaches its end, also where the number is not a round one."""
    calls: list[tuple[int, int]] = []
    write_folder(SimulationSettings(borrowers=101, months=1), tmp_path, lambda *done: calls.append(done))

    assert calls == [(100, 101), (101, 101)]
