"""Collects what happens to one borrower, and turns it into lines in the order in which the lender learns of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from models.calendars import DAY_MS
from models.events import CREDIT_QUERIES, FUND_FLOWS, REPAYMENTS, SERVICING, TOPICS, TYPES_BY_TOPIC
from models.judging import Outcome, Truth
from streams.codec import tag_of
from streams.simulator.account import Account, Sweep
from streams.simulator.dice import Dice
from streams.simulator.horizon import Horizon

Fields = dict[str, Any]

CURRENCY: Final = "CNY"
_LATE_MS_MIN: Final = 2 * 3_600_000
"""Beyond the hour of lateness that the packaged policy forgives."""
_COMES_LATE: Final = frozenset({"repayment", "fund_flow", "credit_query"})
_RANKS: Final = {
    (index, tag_of(kind)): rank
    for index, topic in enumerate(TOPICS)
    for rank, kind in enumerate(TYPES_BY_TOPIC[topic])
}
"""Of events of one topic and time the lower rank is delivered first, as in `streams.event_files`."""


class Line(NamedTuple):
    """One event: `key` sorts as the event is delivered, `payload` is its JSON without a line end."""

    key: bytes
    topic_index: int
    place_ms: int
    borrower_id: str
    payload: bytes


class Life(Struct, frozen=True):
    """One borrower's whole story."""

    borrower_id: str
    lines: list[Line]
    outcome: Outcome
    truths: list[Truth]


class Story:
    """One borrower's events while they are made up; what lies outside the observed time is left out."""

    def __init__(
        self, borrower_id: str, horizon: Horizon, dice: Dice, dice_for: Callable[[str], Dice]
    ) -> None:
        """Begin an empty story.

        Args:
            borrower_id: whose.
            horizon: the observed time.
            dice: of the processes that everybody goes through.
            dice_for: makes the dice of a process of its own, by its name; called again, they roll on.
        """
        self.borrower_id = borrower_id
        self.horizon = horizon
        self.dice = dice
        self._dice_for = dice_for
        self._named_dice: dict[str, Dice] = {}
        self.truths: list[Truth] = []
        self.pay_days: list[int] = []
        """Days on which income came, of each source in order."""
        self.benefit_days: range | None = None
        """While unemployment benefit is drawn."""
        self._events: list[tuple[int, int, str, Fields, bool | Sweep]] = []
        self._settled: list[tuple[int, int, str, Fields, int | None]] = []

    def dice_for(self, purpose: str) -> Dice:
        """The dice of one process: what it rolls changes nothing elsewhere."""
        dice = self._named_dice.get(purpose)
        if dice is None:
            dice = self._named_dice[purpose] = self._dice_for(purpose)
        return dice

    def repayments(self, at_ms: int, type_: str, fields: Fields) -> None:
        """Something about an own loan."""
        self._events.append((at_ms, REPAYMENTS, type_, fields, False))

    def flow(
        self, at_ms: int, direction: str, amount_minor: int, fields: Fields, *, optional: bool = False
    ) -> None:
        """Money in or out; an `optional` outflow stays away when the account does not hold that much."""
        body = {"direction": direction, "amount_minor": amount_minor, "currency": CURRENCY, **fields}
        self._events.append((at_ms, FUND_FLOWS, "fund_flow", body, optional))

    def sweep(
        self, at_ms: int, part: float, leave_minor: int, fields: Fields, most_minor: int | None = None
    ) -> Sweep:
        """Money out: `part` of what the account then holds above `leave_minor`; how much is known once settled."""
        sweep = Sweep(part, leave_minor, most_minor)
        body = {"direction": "out", "amount_minor": 0, "currency": CURRENCY, **fields}
        self._events.append((at_ms, FUND_FLOWS, "fund_flow", body, sweep))
        return sweep

    def account_linked(self, at_ms: int) -> None:
        """The lender begins to see the borrower's account."""
        self._events.append((at_ms, FUND_FLOWS, "account_linked", {}, False))

    def credit(self, at_ms: int, type_: str, fields: Fields) -> None:
        """Something the credit bureau knows."""
        self._events.append((at_ms, CREDIT_QUERIES, type_, fields, False))

    def servicing(self, at_ms: int, type_: str, fields: Fields) -> None:
        """Something servicing staff report."""
        self._events.append((at_ms, SERVICING, type_, fields, False))

    def should_tell(self, signal: str, from_ms: int, until_ms: int, cause: str) -> None:
        """Note the truth, as far as it lies in the observed time: what lasts until the end holds at its midnight, too."""
        until_ms = min(until_ms, self.horizon.end_ms + 1)
        if from_ms < until_ms:
            self.truths.append(
                Truth(
                    borrower_id=self.borrower_id,
                    signal=signal,
                    from_ms=from_ms,
                    until_ms=until_ms,
                    cause=cause,
                )
            )

    def settle(self, balance_minor: int) -> Account:
        """Decide which flows happen: everything is told, the account says what it could pay.

        Args:
            balance_minor: what the account holds at the beginning.
        """
        begin_ms, end_ms = self.horizon.begin_ms, self.horizon.end_ms
        account = Account(balance_minor)
        settle, keep = account.settle, self._settled.append
        self._events.sort(key=itemgetter(0))
        for at_ms, topic_index, type_, body, claim in self._events:
            if not begin_ms <= at_ms < end_ms:
                continue
            left_minor = settle(at_ms, body, claim) if type_ == "fund_flow" else None
            if left_minor is not None or type_ != "fund_flow":
                keep((at_ms, topic_index, type_, body, left_minor))
        return account

    def lines(
        self, late_share: float, late_days_max: int, duplicate_share: float = 0.0, outage: range | None = None
    ) -> Iterator[Line]:
        """What was settled in order of event time, numbered, some learnt late, some twice, some never.

        Args:
            late_share: part of the events that are learnt late.
            late_days_max: the longest delay.
            duplicate_share: part of the events that come twice.
            outage: days whose flows the bank never told.
        """
        twice = self.dice_for("duplicates")
        silent_ms = (0, 0) if outage is None else self._between_ms(outage)
        end_ms, dice, name = self.horizon.end_ms, self.dice, self.borrower_id
        account_id = f"{name}-acc"
        for number, (at_ms, topic_index, type_, body, left_minor) in enumerate(self._settled, start=1):
            event_id = f"{name}-{number:05d}"
            event: Fields = {
                "type": type_,
                "event_id": event_id,
                "borrower_id": name,
                "event_time_ms": at_ms,
            }
            if topic_index == FUND_FLOWS:
                event["account_id"] = account_id
            event.update(body)
            if left_minor is not None:
                event["balance_after_minor"] = left_minor
            if topic_index == FUND_FLOWS and silent_ms[0] <= at_ms < silent_ms[1]:
                continue
            place_ms = at_ms
            if type_ in _COMES_LATE and dice.roll() < late_share:
                place_ms = min(at_ms + _delay_ms(dice, late_days_max), end_ms - 1)
                event["ingested_at_ms"] = place_ms
            rank = _RANKS[topic_index, type_]
            key = b"%013d%d%013d%02d%b" % (place_ms, topic_index, at_ms, rank, event_id.encode())
            line = Line(key, topic_index, place_ms, name, _encode(event))
            yield line
            if duplicate_share and twice.roll() < duplicate_share:
                yield line

    def _between_ms(self, days: range) -> tuple[int, int]:
        """The midnights at which they begin and end, as far as they are observed."""
        last_day = self.horizon.end_day
        return (
            self.horizon.midnight_ms(min(days.start, last_day)),
            self.horizon.midnight_ms(min(days.stop, last_day)),
        )


def _delay_ms(dice: Dice, days_max: int) -> int:
    """Hours are likelier than days: evenly spread on a logarithmic scale."""
    return int(_LATE_MS_MIN * (days_max * DAY_MS / _LATE_MS_MIN) ** dice.roll())


_encode = msgspec.json.Encoder().encode
