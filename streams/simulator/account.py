"""The account that the lender sees: which flows it lets happen, and what it held at any instant."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from msgspec import Struct


class Sweep(Struct):
    """An outflow whose amount depends on what the account holds: `part` of what is above `leave_minor`."""

    part: float
    leave_minor: int
    most_minor: int | None = None
    """No more than this."""
    amount_minor: int = 0
    """Known once the account is settled; 0 where there was nothing to take."""


class Account:
    """Settles flows in order of time. The balance is never negative: what it cannot pay, unseen accounts pay."""

    def __init__(self, balance_minor: int) -> None:
        """Begin with what the account holds at the first midnight."""
        self._balance_minor = balance_minor
        self._times_ms: list[int] = []
        self._balances = [balance_minor]

    def settle(self, at_ms: int, flow: dict[str, Any], claim: bool | Sweep) -> int | None:
        """Let a flow happen and say what is left, or None where it stays away.

        Args:
            at_ms: not before the last one.
            flow: with `direction` and `amount_minor`, which a sweep sets.
            claim: whether it stays away when the account does not hold as much; or a sweep.
        """
        if isinstance(claim, Sweep):
            there_minor = int(max(0, self._balance_minor - claim.leave_minor) * claim.part)
            claim.amount_minor = (
                there_minor if claim.most_minor is None else min(there_minor, claim.most_minor)
            )
            if not claim.amount_minor:
                return None
            flow["amount_minor"] = claim.amount_minor
        amount_minor: int = flow["amount_minor"]
        left_minor = self._balance_minor + (amount_minor if flow["direction"] == "in" else -amount_minor)
        if claim and left_minor < 0:
            return None
        self._balance_minor = left_minor
        self._times_ms.append(at_ms)
        self._balances.append(left_minor)
        return left_minor

    def before_minor(self, at_ms: int) -> int:
        """What it held just before an instant."""
        return self._balances[bisect_left(self._times_ms, at_ms)]

    def below_since_ms(self, amount_minor: int, at_ms: int, earliest_ms: int) -> int | None:
        """Since when, up to just before `at_ms`, it held less than an amount, `earliest_ms` at the earliest; None if it did not."""
        place = bisect_left(self._times_ms, at_ms)
        since_ms = None
        while self._balances[place] < amount_minor:
            since_ms = earliest_ms if place == 0 else max(earliest_ms, self._times_ms[place - 1])
            if since_ms == earliest_ms:
                break
            place -= 1
        return since_ms
