"""A borrower's own loans: how they are opened and billed, and when they are paid."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import Struct

from streams.simulator.hazards import slip_chance
from streams.simulator.persons import Person
from streams.simulator.shortage import LATE_DAYS_MOST, is_squeezed, squeeze_before
from streams.simulator.slips import draw_late_days
from streams.simulator.story import CURRENCY, Story

BAD_DAYS_PAST_DUE: Final = 90
"""Reaching it makes a borrower `bad`: the usual definition of default (Basel; see the packaged policy)."""
TOLERANCE_MINOR: Final = 100
"""An instalment short by no more is paid (packaged policy)."""
EARLY_DAYS_MOST: Final = 5
_CARD_DUE_AFTER_DAYS: Final = 20
_CARD_MINIMUM: Final = 0.10
"""Of the statement balance, as cards in China have it."""
_MISUSED_LOAN: Final = 1.5
"""How much larger the loan of a misusing borrower is than what others take. An assumption."""
_RELAPSE_DAYS: Final = 70
"""Who relapses is late with the two or three instalments of so many days."""


class Due(NamedTuple):
    """What must be paid by the end of a day: an instalment, or a card's minimum and its whole balance."""

    day: int
    minimum_minor: int
    balance_minor: int


class Payment(NamedTuple):
    """A payment made; `counted_minor` is the part that pays what is due."""

    at_ms: int
    amount_minor: int
    counted_minor: int


class LoanRecord(Struct, frozen=True):
    """What became of one own loan, for the processes that follow from it."""

    loan_id: str
    opened_day: int
    opened_ms: int
    principal_minor: int
    """0 for a card."""
    monthly_minor: int
    """The instalment; of a card the mean minimum."""
    dues: list[Due]
    paid: list[Payment]
    """What lies beyond the observed time has an instant after its end."""
    spells: list[tuple[int, int]]
    """First day and end instant of each time past due."""
    unpaid_from: int | None
    """The due day from which on nothing was paid any more."""
    rescues_ms: dict[int, int]
    """By due day: when others sent the money for an instalment at the last moment."""


class Borrowing(Struct, frozen=True):
    """All own loans of a borrower."""

    loans: list[LoanRecord]
    bad_ms: int | None
    """When the borrower went bad: the local midnight at which some loan reached 90 days past due. None if not."""


def borrow_and_repay(person: Person, platform_id: str, story: Story) -> Borrowing:
    """Put all own loans into the story, and what `missed_payment` should have told."""
    dice = story.dice
    roll = dice.roll()
    count = 0 if roll < 0.10 else 2 if roll < 0.22 else 1
    loans: list[_Loan] = []
    for number in range(count):
        first = 3 if number == 0 else 25
        loans.append(_Loan(person, f"{person.borrower_id}-l{number + 1}", platform_id, story))
        loans[-1].instalment_loan(story.horizon.start_day + dice.whole(first, first + 65), 1 / count)
    if count == 0 or dice.chance(0.06):
        loans.append(_Loan(person, f"{person.borrower_id}-card", platform_id, story))
        loans[-1].credit_card(story.horizon.start_day + dice.whole(2, 40))
    if person.cause == "misusing" and person.cause_day < story.horizon.end_day:
        loans.append(_Loan(person, f"{person.borrower_id}-l9", platform_id, story))
        loans[-1].instalment_loan(person.cause_day, _MISUSED_LOAN)
    bad_ms = [loan.bad_ms for loan in loans if loan.bad_ms is not None]
    return Borrowing([loan.record() for loan in loans], min(bad_ms, default=None))


class _Loan:
    def __init__(self, person: Person, loan_id: str, platform_id: str, story: Story) -> None:
        self._person = person
        self._loan_id = loan_id
        self._platform_id = platform_id
        self._story = story
        self._forgotten: set[int] = set()
        self._unpaid_from: int | None = None
        self._paid: list[Payment] = []
        self._dues: list[Due] = []
        self._spells: list[tuple[int, int]] = []
        self._rescues_ms: dict[int, int] = {}
        self._opened_day = self._opened_ms = self._principal_minor = 0
        self._trusted = 1.0 if person.traits is None else person.traits.trusted
        self.bad_ms: int | None = None
        """When it reached 90 days past due."""

    def record(self) -> LoanRecord:
        """What became of it."""
        monthly_minor = sum(due.minimum_minor for due in self._dues) // max(1, len(self._dues))
        return LoanRecord(
            loan_id=self._loan_id,
            opened_day=self._opened_day,
            opened_ms=self._opened_ms,
            principal_minor=self._principal_minor,
            monthly_minor=monthly_minor,
            dues=self._dues,
            paid=self._paid,
            spells=self._spells,
            unpaid_from=self._unpaid_from,
            rescues_ms=self._rescues_ms,
        )

    def instalment_loan(self, open_day: int, part: float) -> None:
        """Equal monthly instalments over 6 to 24 months; `part` of what the borrower can afford."""
        story, dice = self._story, self._story.dice
        number = dice.pick((6, 9, 12, 12, 12, 18, 24))
        rate = dice.pick((0.12, 0.15, 0.18, 0.24)) / 12
        affordable_minor = self._person.income_minor * dice.between(0.10, 0.28) * part * self._trusted
        principal_minor = (
            round(affordable_minor * (1 - (1 + rate) ** -number) / rate / 10_000) * 10_000 + 10_000
        )
        instalment_minor = round(principal_minor * rate / (1 - (1 + rate) ** -number))
        dues = [Due(day, instalment_minor, instalment_minor) for day in self._due_days(open_day, number)]
        opened_ms = self._open(open_day, principal_minor)
        story.repayments(
            opened_ms,
            "loan_opened",
            self._opening("cash_loan", principal_minor)
            | {"instalments": self._schedule(dues, principal_minor, rate), "purpose": "consumption"},
        )
        self._disburse(opened_ms, principal_minor)
        self._settle(dues)
        if sum(payment.counted_minor for payment in self._paid) >= number * instalment_minor:
            closed = {"loan_id": self._loan_id, "reason": "settled"}
            story.repayments(max(payment.at_ms for payment in self._paid) + 60_000, "loan_closed", closed)
        self._judge(dues)

    def credit_card(self, open_day: int) -> None:
        """A card, billed monthly, due twenty days later; most pay the whole balance, others the minimum and a bit."""
        story, dice, person = self._story, self._story.dice, self._person
        opened_ms = self._open(open_day, 0)
        limit_minor = round(person.income_minor * dice.between(1, 4) * self._trusted / 100_000) * 100_000
        opening = self._opening("card", 0) | {"instalments": (), "credit_limit_minor": limit_minor}
        story.repayments(opened_ms, "loan_opened", opening)
        revolves = dice.chance(0.4)
        fills = 1.0
        if person.traits is not None:
            revolves, fills = person.traits.revolves, person.traits.fills
        dues: list[Due] = []
        carried_minor = 0
        for number, day in enumerate(self._due_days(open_day, story.horizon.months_observed), start=1):
            spent_minor = int(person.income_minor * dice.between(0.1, 0.35) * fills)
            balance_minor = min(carried_minor + spent_minor, limit_minor)
            minimum_minor = max(1, int(balance_minor * _CARD_MINIMUM))
            bill = {
                "loan_id": self._loan_id,
                "number": number,
                "due_date": story.horizon.iso(day),
                "amount_minor": balance_minor,
                "minimum_due_minor": minimum_minor,
                "balance_minor": balance_minor,
            }
            billed_day = day - _CARD_DUE_AFTER_DAYS
            story.repayments(story.horizon.midnight_ms(billed_day) + 9 * 3_600_000, "instalment_billed", bill)
            stopped = person.stops_paying_day is not None and day >= person.stops_paying_day
            wanted_minor = int(minimum_minor * dice.between(1, 3)) if revolves else balance_minor
            dues.append(Due(day, minimum_minor, min(wanted_minor, balance_minor)))
            carried_minor = balance_minor - (0 if stopped else dues[-1].balance_minor)
        self._settle(dues)
        self._judge(dues)

    def _opening(self, product: str, principal_minor: int) -> dict[str, object]:
        return {
            "loan_id": self._loan_id,
            "platform_id": self._platform_id,
            "currency": CURRENCY,
            "principal_minor": principal_minor,
            "product": product,
            "borrower_kind": "person",
        }

    def _open(self, open_day: int, amount_minor: int) -> int:
        """The lender's own query comes first; it never counts as a new platform."""
        story = self._story
        at_ms = story.horizon.waking_ms(open_day, story.dice.roll())
        self._opened_day, self._opened_ms, self._principal_minor = open_day, at_ms, amount_minor
        query = {
            "institution_id": self._platform_id,
            "purpose": "loan_application",
            "amount_minor": amount_minor,
        }
        story.credit(at_ms - 1_800_000, "credit_query", query)
        return at_ms

    def _disburse(self, opened_ms: int, principal_minor: int) -> None:
        fields = {
            "category": "loan_disbursement",
            "counterparty_id": self._platform_id,
            "counterparty_kind": "lender",
            "loan_id": self._loan_id,
        }
        self._story.flow(opened_ms + 600_000, "in", principal_minor, fields)

    def _due_days(self, open_day: int, number: int) -> list[int]:
        """One due day a month, on the same day of the month or its last, the first at least 28 days away."""
        horizon, day_of_month = self._story.horizon, self._story.dice.whole(1, 31)
        days = (horizon.day_in_month(month, day_of_month) for month in range(len(horizon.months)))
        within = [day for day in days if day >= open_day + 28]
        return within[:number]

    def _schedule(self, dues: list[Due], principal_minor: int, rate: float) -> list[dict[str, object]]:
        left_minor = principal_minor
        schedule: list[dict[str, object]] = []
        for number, due in enumerate(dues, start=1):
            paid_off_minor = due.minimum_minor - min(round(left_minor * rate), due.minimum_minor)
            if number == len(dues):  # the last one takes what rounding left
                paid_off_minor = min(left_minor, due.minimum_minor)
            left_minor -= paid_off_minor
            schedule.append(
                {
                    "number": number,
                    "due_date": self._story.horizon.iso(due.day),
                    "amount_minor": due.minimum_minor,
                    "principal_minor": paid_off_minor,
                    "interest_minor": due.minimum_minor - paid_off_minor,
                }
            )
        return schedule

    def _settle(self, dues: list[Due]) -> None:
        """Pay what is due, each in its time, as habit and cause have it."""
        person = self._person
        stops = person.stops_paying_day
        resumes = person.resumes_paying_day
        self._forget_some(dues)
        unpaid_minor = 0
        for due in dues:
            if stops is None or due.day < stops:
                self._pay_in_parts(due, self._squeezed_plan(due) or self._plan(due.day))
            elif resumes is not None and due.day >= resumes:
                self._pay_in_parts(due, [(max(day, resumes + 1), part) for day, part in self._plan(due.day)])
            else:
                unpaid_minor += due.minimum_minor
                self._unpaid_from = self._unpaid_from or due.day
        if resumes is not None and unpaid_minor:
            self._pay(resumes, unpaid_minor, unpaid_minor)
            self._unpaid_from = None

    def _forget_some(self, dues: list[Due]) -> None:
        if self._person.cause == "forgetful":
            first = bisect_left(dues, self._person.cause_day, key=lambda due: due.day)
            forgotten = (
                dues[first : first + 3 : 2] if self._story.dice.chance(0.4) else dues[first : first + 1]
            )
            self._forgotten = {due.day for due in forgotten}

    def _squeezed_plan(self, due: Due) -> list[tuple[int, float]] | None:
        """How an instalment is paid whose money an expense has just taken; None where none has."""
        if not is_squeezed(self._person, due.day):
            return None
        squeeze = squeeze_before(due.day, due.minimum_minor, self._story)
        if squeeze is not None and squeeze.rescue_ms is not None:
            self._rescues_ms[due.day] = squeeze.rescue_ms
        return None if squeeze is None else [(day, 1 / len(squeeze.pay_days)) for day in squeeze.pay_days]

    def _plan(self, due_day: int) -> list[tuple[int, float]]:
        """On which days what part of an instalment is paid."""
        person, dice = self._person, self._story.dice
        if due_day in self._forgotten:
            return [(due_day + dice.whole(3, LATE_DAYS_MOST), 1)]
        if person.traits is not None and dice.chance(slip_chance(person, due_day)):
            return [(due_day + draw_late_days(dice), 1)]
        if person.cause_day <= due_day <= person.struggles_until_day and dice.chance(0.5):
            late_day = due_day + dice.whole(2, LATE_DAYS_MOST)
            if dice.chance(0.2):
                return [(due_day - dice.whole(0, 2), 0.5), (late_day, 0.5)]
            return [(late_day, 1)]
        if person.relapse_day is not None and 0 <= due_day - person.relapse_day < _RELAPSE_DAYS:
            return [(due_day + dice.whole(8, LATE_DAYS_MOST), 1)]
        match person.habit:
            case "late" if person.traits is None:
                return [(due_day + (dice.whole(1, 6) if dice.chance(0.5) else 0), 1)]
            case "early":
                return [(due_day - dice.whole(1, EARLY_DAYS_MOST), 1)]
            case _:
                return [(due_day - dice.whole(0, 1), 1)]

    def _pay_in_parts(self, due: Due, plan: list[tuple[int, float]]) -> None:
        if len(plan) == 1:
            day = plan[0][0]
            # Who is late pays the minimum alone: what is above it might pay the next statement, billed meanwhile.
            amount_minor = due.minimum_minor if day > due.day else due.balance_minor
            self._pay(day, amount_minor, due.minimum_minor)
            return
        half_minor = due.minimum_minor // 2
        (first_day, _), (last_day, _) = plan
        self._pay(first_day, half_minor, half_minor)
        self._pay(last_day, due.minimum_minor - half_minor, due.minimum_minor - half_minor)

    def _pay(self, day: int, amount_minor: int, counted_minor: int) -> None:
        story = self._story
        if day >= story.horizon.end_day:
            self._paid.append(Payment(story.horizon.end_ms + 1, amount_minor, counted_minor))
            return
        at_ms = story.horizon.waking_ms(day, story.dice.roll())
        self._paid.append(Payment(at_ms, amount_minor, counted_minor))
        story.repayments(at_ms, "repayment", {"loan_id": self._loan_id, "amount_minor": amount_minor})
        fields = {
            "category": "loan_repayment",
            "counterparty_id": self._platform_id,
            "counterparty_kind": "lender",
            "loan_id": self._loan_id,
        }
        # Optional: where this account does not hold it, it came from one that we do not see.
        story.flow(at_ms - 60_000, "out", amount_minor, fields, optional=True)

    def _judge(self, dues: list[Due]) -> None:
        """Note when the loan was past due, and the instant at which it went bad, if it did."""
        story, person = self._story, self._person
        self._dues = dues
        self._spells = past_due_spells(dues, self._paid, story)
        for from_day, until_ms in self._spells:
            from_ms = story.horizon.midnight_ms(from_day)
            caused = person.cause != "none" and from_day > person.cause_day
            story.should_tell("missed_payment", from_ms, until_ms, person.cause if caused else "habit")
        if self._unpaid_from is not None:
            bad_day = self._unpaid_from + BAD_DAYS_PAST_DUE
            if bad_day < story.horizon.end_day:
                self.bad_ms = story.horizon.midnight_ms(bad_day)


def past_due_spells(dues: Iterable[Due], paid: Iterable[Payment], story: Story) -> list[tuple[int, int]]:
    """First day and end instant of each time at which more had fallen due than was paid.

    The oldest due is paid first, and a due day ends at local midnight. An instalment short by no more than 1.00 is paid.
    """
    horizon = story.horizon
    changes = [(payment.at_ms, -payment.counted_minor, 0) for payment in paid]
    changes += [
        (horizon.midnight_ms(due.day + 1), due.minimum_minor, due.day + 1)
        for due in dues
        if due.day < horizon.end_day
    ]
    owed_minor = from_day = 0
    spells: list[tuple[int, int]] = []
    for at_ms, change_minor, day in sorted(changes):
        owed_minor += change_minor
        if owed_minor > TOLERANCE_MINOR:
            from_day = from_day or day
        elif from_day:
            spells.append((from_day, at_ms))
            from_day = 0
    return [*spells, (from_day, horizon.end_ms + 1)] if from_day else spells
