"""What `truth.jsonl` says of each signal is what the events say, read back as plain JSON by the tests' own means."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from models.calendars import DAY_MS, Calendar, day_of_date
from models.judging import Outcome, Truth
from streams.simulator import SimulationSettings, lives
from streams.simulator.account import Account, Sweep
from streams.simulator.horizon import Horizon
from streams.simulator.lives import causes
from tests.bench.signals import Episode, count, markdown, rows

SHANGHAI = Calendar("Asia/Shanghai")
TROUBLED = SimulationSettings(
    seed=5,
    borrowers=800,
    months=18,
    squeezed_share=0.06,
    rolling_share=0.05,
    overreaching_share=0.05,
    misusing_share=0.05,
    absconding_share=0.04,
    linked_share=0.3,
)
"""Many troubles in a book small enough for a test."""

Event = dict[str, Any]


class Book:
    """A simulated book, read back."""

    def __init__(self, settings: SimulationSettings) -> None:
        self.horizon = Horizon(settings)
        self.causes = causes(settings)
        self.truths: dict[str, list[Truth]] = defaultdict(list)
        self.events: dict[str, list[Event]] = {}
        for life in lives(settings):
            self.events[life.borrower_id] = [msgspec.json.decode(line.payload) for line in life.lines]
            for truth in life.truths:
                self.truths[truth.signal].append(truth)

    def of_type(self, borrower_id: str, type_: str) -> list[Event]:
        return [event for event in self.events[borrower_id] if event["type"] == type_]

    def flows(self, truth: Truth, **fields: str) -> list[Event]:
        """The borrower's flows with these fields."""
        return [
            event
            for event in self.of_type(truth.borrower_id, "fund_flow")
            if all(event.get(name) == value for name, value in fields.items())
        ]

    def past_due(self, borrower_id: str) -> list[tuple[int, int]]:
        """Over all loans; what overlaps is one time."""
        own = [(t.from_ms, t.until_ms) for t in self.truths["missed_payment"] if t.borrower_id == borrower_id]
        together: list[tuple[int, int]] = []
        for from_ms, until_ms in sorted(own):
            if together and from_ms <= together[-1][1]:
                together[-1] = together[-1][0], max(together[-1][1], until_ms)
            else:
                together.append((from_ms, until_ms))
        return together


@pytest.fixture(scope="module")
def book() -> Book:
    """A year and a half of 800 borrowers, a third of them in trouble."""
    return Book(TROUBLED)


def test_every_signal_with_a_truth_has_episodes(book: Book) -> None:
    """None is left out."""
    assert {signal: len(truths) >= 10 for signal, truths in book.truths.items()} == dict.fromkeys(
        (
            "missed_payment",
            "income_drop",
            "multi_platform_borrowing",
            "payment_at_risk",
            "borrowing_to_repay",
            "over_indebtedness",
            "fund_misuse",
            "asset_flight",
            "unreachable",
            "relapse",
            "linked_distress",
            "risk_score",
        ),
        True,
    )


def test_nothing_but_facts_is_told_of_stable_borrowers(book: Book) -> None:
    """Whom no cause befell may be late, relapse, break a promise, or stand in for somebody in trouble; nothing else."""
    facts = {"missed_payment", "multi_platform_borrowing", "relapse", "unreachable", "linked_distress"}
    told = {
        signal
        for signal, truths in book.truths.items()
        for t in truths
        if book.causes[t.borrower_id] == "none"
    }

    assert told <= facts


def test_most_borrowers_of_the_packaged_book_are_stable() -> None:
    """Seven in ten have nothing befall them."""
    befell = list(causes(SimulationSettings(borrowers=2_000)).values())

    assert 0.7 <= befell.count("none") / len(befell) <= 0.8


def test_the_money_for_an_instalment_at_risk_is_not_there(book: Book) -> None:
    """All the time the balance told last is less than an instalment that falls due within a week."""
    for truth in book.truths["payment_at_risk"]:
        dues = [
            line for loan in book.of_type(truth.borrower_id, "loan_opened") for line in loan["instalments"]
        ]
        dues += [
            line | {"amount_minor": line["minimum_due_minor"]}
            for line in book.of_type(truth.borrower_id, "instalment_billed")
        ]
        first_day = SHANGHAI.day_of(truth.from_ms)
        near = [d["amount_minor"] for d in dues if 0 <= _day(d["due_date"]) - first_day <= 7]
        flows = book.flows(truth)
        seen = [f["balance_after_minor"] for f in flows if f["event_time_ms"] <= truth.from_ms][-1:]
        seen += [
            f["balance_after_minor"] for f in flows if truth.from_ms < f["event_time_ms"] < truth.until_ms
        ]

        assert max(seen, default=0) < max(near), truth
        assert truth.until_ms - truth.from_ms <= 8 * DAY_MS


def test_rolled_debts_are_repaid_with_money_just_borrowed_elsewhere(book: Book) -> None:
    """Every repayment of the chain comes within three days of a disbursement from another platform."""
    for truth in book.truths["borrowing_to_repay"]:
        borrowed = book.flows(truth, direction="in", category="loan_disbursement")
        repaid = [
            flow
            for flow in book.flows(truth, direction="out", category="loan_repayment")
            if flow["counterparty_id"].startswith("platform-") and flow["event_time_ms"] >= truth.from_ms
        ]
        gaps = [
            min(
                flow["event_time_ms"] - loan["event_time_ms"]
                for loan in borrowed
                if loan["event_time_ms"] <= flow["event_time_ms"]
                and loan["counterparty_id"] != flow["counterparty_id"]
            )
            for flow in repaid
        ]

        assert repaid
        assert max(gaps) <= 3 * DAY_MS + 3_600_000
        assert book.causes[truth.borrower_id] == "rolling"


def test_misused_money_leaves_within_days_of_the_loan(book: Book) -> None:
    """Half of a loan and more goes to one of three forbidden uses within four days."""
    forbidden = {"securities", "gambling", "property"}
    for truth in book.truths["fund_misuse"]:
        loan = next(e for e in book.of_type(truth.borrower_id, "loan_opened") if e["loan_id"].endswith("-l9"))
        spent = sum(
            flow["amount_minor"]
            for flow in book.flows(truth, direction="out")
            if flow.get("category") in forbidden
            and 0 < flow["event_time_ms"] - loan["event_time_ms"] <= 4 * DAY_MS
        )

        assert spent >= 0.5 * loan["principal_minor"], truth


def test_who_flees_sends_money_to_strangers_while_past_due(book: Book) -> None:
    """The transfers go to counterparties never seen before, and begin while something is past due."""
    for truth in book.truths["asset_flight"]:
        transfers = [
            flow
            for flow in book.flows(truth, direction="out", category="other")
            if flow["counterparty_id"].startswith(truth.borrower_id)
        ]

        assert transfers[0]["event_time_ms"] == truth.from_ms
        assert any(a <= truth.from_ms < b for a, b in book.past_due(truth.borrower_id))


def test_who_evades_is_reached_no_more(book: Book) -> None:
    """No attempt at the borrower succeeds from the first failed one until nothing is past due."""
    evading = [truth for truth in book.truths["unreachable"] if truth.cause == "evading"]
    for truth in evading:
        within = [
            contact
            for contact in book.of_type(truth.borrower_id, "contact_attempted")
            if truth.from_ms <= contact["event_time_ms"] < truth.until_ms and contact["party"] == "borrower"
        ]
        loans = {t.from_ms for t in book.truths["missed_payment"] if t.borrower_id == truth.borrower_id}

        assert within[0]["event_time_ms"] == truth.from_ms
        assert len(loans) > 1 or {contact["outcome"] for contact in within} == {"unreached"}
    assert len(evading) > 10


def test_a_broken_promise_was_followed_by_no_payment(book: Book) -> None:
    """It tells from the midnight that ends the promised day, and two days later nothing has come."""
    broken = [truth for truth in book.truths["unreachable"] if truth.cause != "evading"]
    for truth in broken:
        promises = [
            contact
            for contact in book.of_type(truth.borrower_id, "contact_attempted")
            if "promise_date" in contact
            and SHANGHAI.midnight_ms(_day(contact["promise_date"]) + 1) == truth.from_ms
        ]
        first_ms = max(contact["event_time_ms"] for contact in promises)
        paid = [
            payment
            for payment in book.of_type(truth.borrower_id, "repayment")
            if first_ms <= payment["event_time_ms"] < truth.from_ms + 2 * DAY_MS
        ]

        assert paid == [], truth
    assert len(broken) > 10


def test_a_relapse_follows_a_week_past_due_within_a_year(book: Book) -> None:
    """Counted anew from the truth of `missed_payment`."""
    expected = []
    for borrower_id in book.events:
        spells = book.past_due(borrower_id)
        for place, (from_ms, until_ms) in enumerate(spells):
            earlier = [
                (a, b) for a, b in spells[:place] if b - a >= 6 * DAY_MS and from_ms - b <= 365 * DAY_MS
            ]
            if earlier:
                expected.append((borrower_id, from_ms, until_ms))

    assert sorted((t.borrower_id, t.from_ms, t.until_ms) for t in book.truths["relapse"]) == sorted(expected)


def test_linked_distress_lies_within_the_link_and_the_others_trouble(book: Book) -> None:
    """The other one has lost the job or is past due for a month at the time, for a reason."""
    for truth in book.truths["linked_distress"]:
        (link,) = book.of_type(truth.borrower_id, "borrower_linked")
        others = [
            t
            for signal in ("missed_payment", "income_drop")
            for t in book.truths[signal]
            if t.borrower_id == link["linked_borrower_id"] and t.cause not in ("habit", "forgetful")
        ]

        assert link["event_time_ms"] <= truth.from_ms
        assert any(t.from_ms <= truth.from_ms and truth.from_ms < t.until_ms for t in others), truth


def test_debts_grow_beyond_the_means_of_an_overreaching_borrower(book: Book) -> None:
    """What a vendor reports as due each month rises with every loan elsewhere, to more than a third of income at least."""
    seen = 0
    for truth in book.truths["over_indebtedness"]:
        if truth.cause != "overreaching":
            continue
        reports = [
            (event["event_time_ms"], event["monthly_due_minor"])
            for event in book.of_type(truth.borrower_id, "credit_summary")
        ]
        before = [due for at_ms, due in reports if at_ms < truth.from_ms - 200 * DAY_MS]
        within = [due for at_ms, due in reports if truth.from_ms <= at_ms < truth.until_ms]
        if before and within:
            seen += 1
            assert max(within) > before[0]
    assert seen > 5


def test_servicing_leaves_most_stable_borrowers_alone() -> None:
    """Holds are rare where nothing is past due; attempts are made only while something is."""
    calm = Book(SimulationSettings(borrowers=600))
    held = [b for b in calm.events if calm.of_type(b, "hold_placed")]

    assert 0 < len(held) / len(calm.events) < 0.06
    for borrower_id in calm.events:
        spells = calm.past_due(borrower_id)
        for contact in calm.of_type(borrower_id, "contact_attempted"):
            assert any(a <= contact["event_time_ms"] < b for a, b in spells)


def test_contact_attempts_keep_to_the_week_and_to_waking_hours(book: Book) -> None:
    """Of one loan never more than one a day, and none between 22:00 and 08:00."""
    for borrower_id in book.events:
        times = [c["event_time_ms"] for c in book.of_type(borrower_id, "contact_attempted")]
        hours = [(at_ms - SHANGHAI.midnight_ms(SHANGHAI.day_of(at_ms))) / 3_600_000 for at_ms in times]
        assert all(8 <= hour < 22 for hour in hours)
        assert all(later > earlier for earlier, later in pairwise(times))


def test_an_account_settles_in_order_and_is_never_overdrawn() -> None:
    """A claim that it cannot meet stays away, a sweep takes its part, and what it held can be asked later."""
    account = Account(1_000)
    sweep = Sweep(0.5, 200)
    rent = {"direction": "out", "amount_minor": 900}

    assert account.settle(10, rent, claim=True) == 100
    assert account.settle(20, rent, claim=True) is None
    assert account.settle(30, {"direction": "in", "amount_minor": 500}, claim=False) == 600
    assert account.settle(40, {"direction": "out"}, sweep) == 400
    assert sweep.amount_minor == 200
    assert account.settle(50, {"direction": "out"}, Sweep(1.0, 400)) is None
    assert account.settle(60, {"direction": "out"}, Sweep(1.0, 0, most_minor=150)) == 250
    assert [account.before_minor(at_ms) for at_ms in (10, 11, 30, 31, 60, 99)] == [
        1_000,
        100,
        100,
        600,
        400,
        250,
    ]
    assert account.below_since_ms(200, 30, 0) == 10
    assert account.below_since_ms(200, 30, 15) == 15
    assert account.below_since_ms(200, 99, 0) is None
    assert account.below_since_ms(5_000, 99, 0) == 0


def test_the_evaluation_counts_as_its_head_says() -> None:
    """One episode found late, one missed, one false alert of a stable borrower, one retracted."""
    day = DAY_MS
    outcomes = [
        Outcome(borrower_id="a", outcome="bad", time_ms=300 * day),
        Outcome(borrower_id="b", outcome="good", time_ms=360 * day),
    ]
    truths = [
        Truth(borrower_id="a", signal="income_drop", from_ms=100 * day, until_ms=200 * day, cause="job_loss"),
        Truth(borrower_id="a", signal="income_drop", from_ms=250 * day, until_ms=260 * day, cause="job_loss"),
    ]
    episodes = [
        Episode("a", "income_drop", 190 * day, 210 * day),
        Episode("b", "income_drop", 50 * day, 60 * day),
        Episode("b", "income_drop", 70 * day, 71 * day, retracted=True),
        Episode("b", "made_up", 70 * day),
    ]

    counted = count(outcomes, truths, episodes, {"a": "job_loss", "b": "none"}, 0)
    table = {row.signal: row for row in rows(counted)}
    row = table["income_drop"]

    assert (counted.stable, round(counted.stable_years, 4)) == (1, round(360 / 365.25, 4))
    assert (row.truths, row.recall, row.precision) == (2, 0.5, 0.5)
    assert (row.lead_days, row.delay_days) == (110, 90)
    assert row.alerts_per_1000_borrower_months == pytest.approx(3_000 / (660 / (365.25 / 12)), abs=1e-3)
    assert row.false_per_100_stable_years == pytest.approx(100 / (360 / 365.25), abs=1e-3)
    assert (row.recall_by_cause, row.false_by_cause) == ({"job_loss": "1/2"}, {"none": 1})
    assert "made_up" not in table
    assert markdown([row]).splitlines()[2].startswith("| `income_drop` | 2 | 50.0 % | 50.0 % | 110 | 90.0 |")


def _day(due_date: str) -> int:
    return day_of_date(date.fromisoformat(due_date))
