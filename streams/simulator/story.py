"""Collects what happens to one borrower, and turns it into lines in the order in which the lender learns of them."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from models.calendars import DAY_MS
from models.events import CREDIT_QUERIES, FUND_FLOWS, REPAYMENTS, SERVICING, TOPICS, TYPES_BY_TOPIC
from models.judging import Outcome, Truth
from streams.codec import tag_of
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

    def __init__(self, borrower_id: str, horizon: Horizon, dice: Dice) -> None:
        """Begin an empty story."""
        self.borrower_id = borrower_id
        self.horizon = horizon
        self.dice = dice
        self.truths: list[Truth] = []
        self._events: list[tuple[int, int, str, Fields, bool]] = []

    def repayments(self, at_ms: int, type_: str, fields: Fields) -> None:
        """Something about an own loan."""
        self._events.append((at_ms, REPAYMENTS, type_, fields, False))

    def flow(
        self, at_ms: int, direction: str, amount_minor: int, fields: Fields, *, optional: bool = False
    ) -> None:
        """Money in or out; an `optional` outflow stays away when the account does not hold that much."""
        body = {"direction": direction, "amount_minor": amount_minor, "currency": CURRENCY, **fields}
        self._events.append((at_ms, FUND_FLOWS, "fund_flow", body, optional))

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

    def lines(self, balance_minor: int, late_share: float, late_days_max: int) -> Iterator[Line]:
        """The events in order of event time, numbered, with the account's balance, some learnt late.

        Args:
            balance_minor: what the account holds at the beginning.
            late_share: part of the events that are learnt late.
            late_days_max: the longest delay.
        """
        begin_ms, end_ms, dice, name = self.horizon.begin_ms, self.horizon.end_ms, self.dice, self.borrower_id
        account = {"account_id": f"{name}-acc"}
        self._events.sort(key=itemgetter(0))
        number = 0
        for at_ms, topic_index, type_, body, optional in self._events:
            if not begin_ms <= at_ms < end_ms:
                continue
            fields = body
            if type_ == "fund_flow":
                change = body["amount_minor"] if body["direction"] == "in" else -body["amount_minor"]
                if optional and balance_minor + change < 0:
                    continue
                balance_minor += change
                fields = account | body | {"balance_after_minor": balance_minor}
            elif topic_index == FUND_FLOWS:
                fields = account
            number += 1
            event_id = f"{name}-{number:05d}"
            event: Fields = {
                "type": type_,
                "event_id": event_id,
                "borrower_id": name,
                "event_time_ms": at_ms,
                **fields,
            }
            place_ms = at_ms
            if type_ in _COMES_LATE and dice.roll() < late_share:
                place_ms = min(at_ms + _delay_ms(dice, late_days_max), end_ms - 1)
                event["ingested_at_ms"] = place_ms
            rank = _RANKS[topic_index, type_]
            key = b"%013d%d%013d%02d%b" % (place_ms, topic_index, at_ms, rank, event_id.encode())
            yield Line(key, topic_index, place_ms, name, _encode(event))


def _delay_ms(dice: Dice, days_max: int) -> int:
    """Hours are likelier than days: evenly spread on a logarithmic scale."""
    return int(_LATE_MS_MIN * (days_max * DAY_MS / _LATE_MS_MIN) ** dice.roll())


_encode = msgspec.json.Encoder().encode
