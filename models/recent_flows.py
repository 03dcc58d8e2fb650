"""The newest fund flows one by one: what a void takes back from evidence that keeps sums, days and weeks alone.

Income, sightings, transfers and movements keep their own flows (`models.income` and so on). Here is what a flow of any kind leaves
besides: a day's balance (`models.balances`), a sign of life on an account (`models.income`), and since when flows are known
(`models.institutions`). Packed, 37 bytes a flow, in the order of arrival.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import Struct
from xxhash import xxh3_64_intdigest

from models.events import FundFlow
from models.recent_ids import fingerprint_of

FLOWS_MAX: Final = 12
"""Flows kept of one borrower: a transfer is returned within days. The void of an older one is counted, and changes nothing here."""
_LAYOUT: Final = struct.Struct(">q6sIHBqq")
_FLOW_BYTES: Final = _LAYOUT.size
_BYTES_MAX: Final = FLOWS_MAX * _FLOW_BYTES
_pack: Final = _LAYOUT.pack
_time_of_first: Final = struct.Struct(">q").unpack_from
_TELLS_BALANCE, _IS_LIFE = 1, 2
_CURRENCIES_MAX: Final = 256
"""Currencies whose hashes are remembered: more than there are."""


class RecentFlow(NamedTuple):
    """One of them; account and currency by their hashes, which tell the few of one borrower apart."""

    time_ms: int
    fingerprint: bytes
    account: int
    currency: int
    marks: int
    balance_minor: int
    """After it; means nothing unless `tells_balance`."""
    excused_minor: int
    """What of it is an excused outflow (`models.balances`)."""

    @property
    def tells_balance(self) -> bool:
        """Whether it told a balance."""
        return bool(self.marks & _TELLS_BALANCE)

    @property
    def is_life(self) -> bool:
        """Whether it is a sign of life of its account (`models.income`)."""
        return bool(self.marks & _IS_LIFE)

    def is_on(self, account_id: str) -> bool:
        """Whether it moved on an account, given by its id as it is kept."""
        return self.account == _hash_of(account_id) & 0xFFFFFFFF

    def is_in(self, currency: str) -> bool:
        """Whether it was in a currency."""
        return self.currency == _currency_mark(currency)


class RecentFlows(Struct, array_like=True, gc=False):
    """Of one borrower: 3 bytes while empty."""

    packed: bytes = b""
    forgotten_ms: int = -1
    """The latest event time of what has made room: what happened later is remembered whole."""


def remember(
    recent: RecentFlows, flow: FundFlow, kept_account_id: str, excused_minor: int, is_life: bool
) -> None:
    """Remember a flow; the first to come makes room."""
    packed = recent.packed
    if len(packed) >= _BYTES_MAX:
        gone_ms = _time_of_first(packed)[0]
        if gone_ms > recent.forgotten_ms:
            recent.forgotten_ms = gone_ms
        packed = packed[_FLOW_BYTES:]
    marks = _IS_LIFE if is_life else 0
    balance_minor = flow.balance_after_minor
    if balance_minor is None:
        balance_minor = 0
    else:
        marks |= _TELLS_BALANCE
    recent.packed = packed + _pack(
        flow.event_time_ms,
        fingerprint_of(flow.event_id),
        xxh3_64_intdigest(kept_account_id.encode()) & 0xFFFFFFFF,
        _currency_mark(flow.currency),
        marks,
        balance_minor,
        excused_minor,
    )


def take(recent: RecentFlows, fingerprint: bytes) -> RecentFlow | None:
    """Forget the flow with that fingerprint, and return it; None where it is not remembered."""
    for place, flow in enumerate(all_of(recent)):
        if flow.fingerprint == fingerprint:
            begin = place * _FLOW_BYTES
            recent.packed = recent.packed[:begin] + recent.packed[begin + _FLOW_BYTES :]
            return flow
    return None


def all_of(recent: RecentFlows) -> list[RecentFlow]:
    """The flows in the order of arrival."""
    return [RecentFlow._make(fields) for fields in _LAYOUT.iter_unpack(recent.packed)]


@lru_cache(maxsize=_CURRENCIES_MAX)
def _currency_mark(currency: str) -> int:
    return _hash_of(currency) & 0xFFFF


def _hash_of(name: str) -> int:
    return xxh3_64_intdigest(name.encode())
