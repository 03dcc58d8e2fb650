"""The lives of the borrowers whose state is kept with every format version: together they hold all that a state can hold."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from models.events import (
    REPAYMENTS,
    SERVICING,
    AccountLinked,
    AccountUnlinked,
    BorrowerEvent,
    CreditSummary,
    EventVoided,
    FundFlow,
)
from models.links import LinkedState, LinkMessage, Watch
from tests.support.events import (
    at,
    billed,
    bounced,
    ended,
    flow,
    loan,
    paid,
    query,
    rescheduled,
    snapshot,
    voided,
)
from tests.support.servicing import contact, hold, linked, listed, promise, release, reviewed, snoozed


class Refused(Struct, frozen=True):
    """A record with a readable key that was refused before it came to the engine."""

    feed: int
    borrower_id: str
    event_id: str | None
    event_time_ms: int | None


class Heard(Struct, frozen=True):
    """What another borrower has said to one, past the order of events."""

    time_ms: int
    receiver: str
    message: LinkMessage


class Life(Struct, frozen=True):
    """One borrower's story."""

    holds: str
    events: Sequence[BorrowerEvent] = ()
    refused: Sequence[Refused] = ()
    voided: Sequence[tuple[EventVoided, BorrowerEvent]] = ()
    """Each with the event that it takes back."""
    heard: Sequence[Heard] = ()


def monthly(first: int = 2, last: int = 12, day: int = 1, amount: int = 100_000) -> list[tuple[str, int]]:
    """Instalments of 2025."""
    return [(f"2025-{month:02d}-{day:02d}", amount) for month in range(first, last + 1)]


def salaries(borrower: str, months: Sequence[int], amount: int = 800_000) -> list[BorrowerEvent]:
    """A pay on the tenth, and something spent every week."""
    pays: list[BorrowerEvent] = [flow(f"2025-{month:02d}-10", amount, borrower=borrower) for month in months]
    spent = [f"2025-{month:02d}-{day:02d}" for month in months for day in (3, 11, 18, 25)]
    return pays + [flow(day, 10_000, "living", "out", borrower=borrower) for day in spent]


def lives() -> dict[str, Life]:
    """Every borrower by id."""
    return {
        **_lives_of_payments(),
        **_lives_of_money(),
        **_lives_of_trouble(),
        **_lives_of_servicing(),
        **_lives_of_gaps(),
    }


def _lives_of_payments() -> dict[str, Life]:
    good, late, card, agreed = "pays-on-time", "pays-late", "holds-a-card", "restructured"
    undone, closed, proved_wrong = "payment-bounced", "closed-loans", "alert-retracted"
    first = paid("2025-04-01", 100_000, borrower=undone)
    return {
        good: Life(
            "a loan paid in time each month, payments behind the cut as well",
            [
                loan("2025-01-05", monthly(), good),
                *(paid(due, amount, borrower=good) for due, amount in monthly(last=10)),
            ],
        ),
        late: Life(
            "two loans; missed payments open and closed, a guarantor paid once, critical at last",
            [
                loan("2025-01-05", monthly(), late),
                loan("2025-02-05", monthly(3, 9, 15, 50_000), late, "l-2"),
                paid("2025-02-11", 100_000, borrower=late),
                paid("2025-03-20", 100_000, borrower=late, payer="guarantor"),
                paid("2025-03-15", 50_000, borrower=late, loan_id="l-2"),
                paid("2025-06-20", 120_000, borrower=late),
                paid("2025-09-20", 900_000, borrower=late),
            ],
        ),
        card: Life(
            "a card: bills with minimum and balance, a limit changed, a minimum missed",
            [
                loan("2025-01-05", [], card, principal_minor=0, credit_limit_minor=2_000_000, product="card"),
                *(
                    billed(
                        f"2025-{month:02d}-05",
                        f"2025-{month:02d}-25",
                        300_000,
                        month,
                        card,
                        minimum_due_minor=30_000,
                        balance_minor=300_000 + 1_000 * month,
                    )
                    for month in range(2, 10)
                ),
                *(paid(f"2025-{month:02d}-24", 40_000, borrower=card) for month in (2, 3, 4, 8, 9)),
            ],
        ),
        agreed: Life(
            "a loan missed, restructured twice, one of it a hardship",
            [
                loan("2025-01-05", monthly(), agreed),
                paid("2025-02-01", 100_000, borrower=agreed),
                rescheduled("2025-05-15", monthly(7, 12, 5, 120_000), 10, borrower=agreed),
                rescheduled(
                    "2025-06-25", monthly(8, 12, 20, 150_000), 20, borrower=agreed, reason="hardship"
                ),
            ],
        ),
        undone: Life(
            "a payment that bounced in two parts, the second behind the cut, and one learnt late",
            [
                loan("2025-03-05", monthly(4), undone),
                first,
                bounced("2025-04-20", first, 60_000),
                bounced("2025-07-20", first, 40_000),
                paid("2025-05-01", 160_000, borrower=undone, ingested_at_ms=at("2025-06-20")),
                paid("2025-06-01", 100_000, borrower=undone, instalment_number=3),
            ],
        ),
        proved_wrong: Life(
            "an alert retracted by a payment that was made in time and learnt three weeks late",
            [
                loan("2025-05-05", monthly(6), proved_wrong),
                paid("2025-05-31", 100_000, borrower=proved_wrong, ingested_at_ms=at("2025-06-21")),
            ],
        ),
        closed: Life(
            "three loans closed in three ways, one overdue and written off, and a fourth that lives",
            [
                *(loan("2025-01-05", monthly(2, 4), closed, f"l-{number}") for number in range(1, 5)),
                *(paid(due, amount, borrower=closed) for due, amount in monthly(2, 4)),
                ended("2025-04-02", "settled", borrower=closed),
                ended("2025-05-02", "written_off", borrower=closed, loan_id="l-2"),
                ended("2025-03-20", "refinanced", borrower=closed, loan_id="l-3"),
                paid("2025-08-02", 500_000, borrower=closed, loan_id="l-4"),
            ],
        ),
    }


def _lives_of_money() -> dict[str, Life]:
    lost, unseen, weekly, many = "lost-the-job", "account-unlinked", "paid-by-the-week", "borrows-everywhere"
    return {
        lost: Life(
            "income that stopped in April, and comes back in September",
            [*salaries(lost, range(1, 5)), *salaries(lost, range(9, 12))],
        ),
        unseen: Life(
            "an account linked, unlinked, and the pay on another one in another currency",
            [
                AccountLinked(
                    event_id="linked",
                    borrower_id=unseen,
                    event_time_ms=at("2025-01-01"),
                    account_id="acc-1",
                ),
                *salaries(unseen, range(1, 6)),
                AccountUnlinked(
                    event_id="unlinked",
                    borrower_id=unseen,
                    event_time_ms=at("2025-06-05"),
                    account_id="acc-1",
                ),
                *(
                    flow(f"2025-{month:02d}-20", 90_000, borrower=unseen, account_id="acc-2", currency="USD")
                    for month in range(1, 11)
                ),
            ],
        ),
        weekly: Life(
            "pay without a category from one hand every week, takings of a trade, and a bonus",
            [
                *(
                    flow(
                        day, 60_000, None, borrower=weekly, counterparty_id="shop", counterparty_kind="other"
                    )
                    for month in range(1, 11)
                    for day in (f"2025-{month:02d}-{week:02d}" for week in (6, 13, 20, 27))
                ),
                *(
                    flow(f"2025-{month:02d}-0{day}", 5_000, "business_income", borrower=weekly)
                    for month in range(1, 8)
                    for day in (2, 4, 5)
                ),
                flow("2025-06-30", 300_000, borrower=weekly),
            ],
        ),
        many: Life(
            "eight institutions in a month, one application sent to three, a disbursement, alerts open",
            [
                loan("2025-01-05", monthly(), many),
                *(query(f"2025-06-{day:02d}", f"lender-{day}", many) for day in range(12, 30, 3)),
                *(query("2025-06-28", f"funder-{one}", many, application_id="app-1") for one in range(3)),
                query("2025-05-01", "old-bank", many, purpose="post_loan_review"),
                flow("2025-01-20", 50_000, borrower=many),
                flow(
                    "2025-06-29",
                    700_000,
                    "loan_disbursement",
                    borrower=many,
                    counterparty_id="app-lender",
                    counterparty_kind="lender",
                ),
                *(query(f"2025-07-{day:02d}", f"late-{day}", many) for day in (3, 5)),
            ],
        ),
    }


def _lives_of_trouble() -> dict[str, Life]:
    """What shows before and beside a missed payment."""
    empty, flees, rolls, gambles, owes, again, likely = (
        "runs-dry",
        "sends-it-away",
        "borrows-to-repay",
        "buys-shares",
        "owes-elsewhere",
        "missed-again",
        "likely-to-miss",
    )
    return {
        empty: Life(
            "balances that go down before each instalment, one paid all the same",
            [
                loan("2025-01-05", monthly(3, 9, 5), empty),
                *(paid(f"2025-{month:02d}-05", 100_000, borrower=empty) for month in (3, 4, 5, 6)),
                *(
                    _seen(f"2025-{month:02d}-{day:02d}", left, empty)
                    for month in range(2, 8)
                    for day, left in ((10, 800_000), (18, 300_000), (26, 40_000))
                ),
            ],
        ),
        flees: Life(
            "past due, money sent to people never paid before, and what is left spent",
            [
                loan("2025-01-05", monthly(6, 12, 20), flees),
                *(_seen(f"2025-{month:02d}-02", 1_000_000, flees) for month in range(1, 7)),
                *(_seen(f"2025-06-{day:02d}", 1_000_000, flees) for day in (9, 16, 22)),
                *(
                    flow(
                        day,
                        amount,
                        None,
                        "out",
                        flees,
                        counterparty_id=to,
                        counterparty_kind="other",
                        balance_after_minor=left,
                    )
                    for day, amount, left, to in (
                        ("2025-06-24", 350_000, 650_000, "cousin"),
                        ("2025-06-27", 250_000, 400_000, "friend"),
                        ("2025-07-03", 300_000, 100_000, "friend"),
                    )
                ),
            ],
        ),
        rolls: Life(
            "loans elsewhere, each spent within days on repaying others, some behind the cut",
            [
                loan("2025-01-05", monthly(), rolls),
                *(
                    one
                    for day, month in ((4, 5), (18, 5), (2, 6), (20, 6), (6, 7))
                    for one in _rollover(f"2025-{month:02d}", day, rolls)
                ),
            ],
        ),
        gambles: Life(
            "a loan for the household, most of it paid to a broker",
            [
                loan("2025-06-01", monthly(7), gambles, principal_minor=1_000_000, purpose="consumption"),
                flow("2025-06-02", 1_000_000, "loan_disbursement", "in", gambles, loan_id="l-1"),
                flow("2025-06-03", 300_000, "securities", "out", gambles, counterparty_id="broker"),
                flow("2025-06-05", 300_000, "securities", "out", gambles, counterparty_id="broker"),
                flow("2025-07-04", 200_000, "gambling", "out", gambles, counterparty_id="casino"),
            ],
        ),
        owes: Life(
            "pay, two lenders elsewhere repaid by the month, and what a vendor sums up",
            [
                loan("2025-01-05", monthly(amount=300_000), owes),
                *(paid(due, amount, borrower=owes) for due, amount in monthly(last=10, amount=300_000)),
                *salaries(owes, range(1, 11)),
                *(
                    flow(
                        f"2025-{month:02d}-{day:02d}",
                        amount,
                        "loan_repayment",
                        "out",
                        owes,
                        counterparty_id=lender,
                        counterparty_kind="lender",
                    )
                    for month in range(1, 11)
                    for lender, day, amount in (("bank-x", 12, 150_000), ("bank-y", 20, 90_000))
                ),
                CreditSummary(
                    event_id="summary",
                    borrower_id=owes,
                    event_time_ms=at("2025-06-15"),
                    source="vendor-1",
                    window_days=90,
                    applications=3,
                    institutions=2,
                    monthly_due_minor=260_000,
                ),
            ],
        ),
        again: Life(
            "three weeks late in March, made good, and missed again in June",
            [
                loan("2025-01-05", monthly(), again),
                *(paid(due, amount, borrower=again) for due, amount in monthly(2, 2)),
                paid("2025-03-25", 100_000, borrower=again),
                *(paid(due, amount, borrower=again) for due, amount in monthly(4, 5)),
                paid("2025-08-04", 300_000, borrower=again),
            ],
        ),
        likely: Life(
            "nothing missed, eight applications in a day: the probability crosses a tier, and falls as they grow old",
            [
                loan("2025-01-05", monthly(7, 12, 10), likely),
                *(query("2025-06-24", f"lender-{number}", likely) for number in range(8)),
                *(paid(due, amount, borrower=likely) for due, amount in monthly(7, 9, 10)),
            ],
        ),
    }


def _seen(day: str, left: int, borrower: str) -> FundFlow:
    """Something spent, and what is on the account after it."""
    return flow(day, 5_000, "living", "out", borrower, balance_after_minor=left)


def _rollover(month: str, day: int, borrower: str) -> list[BorrowerEvent]:
    """A loan elsewhere, and as much repaid two days later to somebody else."""
    lender, other = f"app-{day}", f"bank-{day}"
    return [
        flow(
            f"{month}-{day:02d}",
            200_000,
            "loan_disbursement",
            "in",
            borrower,
            counterparty_id=lender,
            counterparty_kind="lender",
        ),
        flow(
            f"{month}-{day + 2:02d}",
            190_000,
            "loan_repayment",
            "out",
            borrower,
            counterparty_id=other,
            counterparty_kind="lender",
        ),
    ]


def _lives_of_servicing() -> dict[str, Life]:
    called, shielded, mistaken, taken_on = "never-answers", "disputes-it", "taken-back", "taken-on"
    guaranteed = "guaranteed"
    returned = flow("2025-06-28", 90_000, "salary", borrower=mistaken)
    unsent = paid("2025-06-30", 100_000, borrower=mistaken)
    return {
        called: Life(
            "past due, called in vain day after day, and promises that were broken",
            [
                loan("2025-01-05", monthly(5), called),
                *(contact(f"2025-06-{day:02d}", borrower=called) for day in (3, 6, 10, 13, 24, 27)),
                promise("2025-05-20", "2025-05-25", 100_000, borrower=called),
                promise("2025-06-17", "2025-06-20", 100_000, borrower=called),
                promise("2025-06-30", "2025-07-06", 50_000, borrower=called),
                contact("2025-07-05", "reached", borrower=called),
            ],
        ),
        shielded: Life(
            "a dispute that ended, hardship until August, on a court's list; an alert nobody knows asleep and reviewed",
            [
                loan("2025-01-05", monthly(5), shielded),
                hold("2025-05-10", borrower=shielded),
                release("2025-05-30", borrower=shielded),
                hold("2025-06-20", "hardship", at("2025-08-01"), borrower=shielded, hold_id="h-2"),
                listed("2025-06-25", borrower=shielded),
                snoozed("2025-06-26", "unheard-of", at("2025-07-20"), borrower=shielded),
                reviewed("2025-06-27", "unheard-of", borrower=shielded),
            ],
        ),
        mistaken: Life(
            "a transfer taken back, and a void whose payment comes behind the cut",
            [
                loan("2025-01-05", monthly(6), mistaken),
                returned,
                paid(
                    "2025-06-30",
                    100_000,
                    borrower=mistaken,
                    event_id=unsent.event_id,
                    ingested_at_ms=at("2025-07-04"),
                ),
            ],
            voided=[
                (voided("2025-06-29", returned), returned),
                (voided("2025-07-01", unsent), unsent),
            ],
        ),
        taken_on: Life(
            "a loan of which only the book told, and that was reconciled once",
            [
                snapshot("2025-04-30", 100_000, 20, 800_000, borrower=taken_on),
                paid("2025-05-10", 100_000, borrower=taken_on),
                snapshot("2025-06-15", 0, 0, 700_000, borrower=taken_on),
            ],
        ),
        guaranteed: Life(
            "a guarantor elsewhere in serious trouble that passes in August, and somebody who watches this one",
            [
                loan("2025-01-05", monthly(5), guaranteed),
                linked("2025-05-20", "guarantor-1", borrower=guaranteed),
            ],
            heard=[
                Heard(at("2025-05-21"), guaranteed, LinkedState("guarantor-1", 0, at("2025-05-21"))),
                Heard(at("2025-06-10"), guaranteed, LinkedState("guarantor-1", 3, at("2025-06-10"))),
                Heard(
                    at("2025-06-20"), guaranteed, Watch("watcher-1", "owner", on=True, watcher_partition=5)
                ),
                Heard(at("2025-08-15"), guaranteed, LinkedState("guarantor-1", 0, at("2025-08-15"))),
            ],
        ),
    }


def _lives_of_gaps() -> dict[str, Life]:
    waiting, pending, partly, hopeless = (
        "waits-for-a-loan",
        "paid-at-midnight",
        "record-missing",
        "many-missing",
    )
    unknown = paid("2025-06-30", 5_000, borrower=waiting)
    return {
        waiting: Life(
            "a payment and its reversal without the loan, which comes behind the cut",
            [
                paid("2025-06-20", 70_000, borrower=waiting, loan_id="l-9"),
                bounced("2025-06-30", unknown),
                loan(
                    "2025-06-01",
                    monthly(6, 9, 15),
                    waiting,
                    "l-9",
                    ingested_at_ms=at("2025-07-10"),
                ),
            ],
        ),
        pending: Life(
            "an instalment fell due yesterday, its payment came after midnight: the judgement waits for the deadline",
            [
                loan("2025-06-05", monthly(7), pending),
                paid("2025-07-02", 30_000, "00:30", borrower=pending),
                paid("2025-07-02", 70_000, "09:30", borrower=pending),
            ],
        ),
        partly: Life(
            "an alert on hold: one refused record of known name, which comes right behind the cut",
            [
                loan("2025-05-05", monthly(6), partly),
                paid("2025-07-05", 100_000, borrower=partly, event_id="refused-first"),
            ],
            [Refused(REPAYMENTS, partly, "refused-first", at("2025-06-15"))],
        ),
        hopeless: Life(
            "more refused records than are remembered by name, one of them without any",
            [loan("2025-05-05", monthly(6), hopeless)],
            [
                Refused(SERVICING, hopeless, None, None),
                *(
                    Refused(REPAYMENTS, hopeless, f"bad-{number}", at("2025-06-10") + number)
                    for number in range(20)
                ),
            ],
        ),
    }
