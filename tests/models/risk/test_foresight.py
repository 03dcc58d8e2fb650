"""No feature knows the future: what happens later changes nothing that was observed, however it arrives."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.calendars import DAY_MS
from models.events import BorrowerEvent
from models.risk.features import Features
from models.risk.observation import observe
from tests.support.events import at, billed, engine, feed_of, loan, paid, rules
from tests.support.lives import lives, moments

RULES = rules()
LATER_DAYS = 20
"""How far beyond the observation evidence may reach for the observation to stay exact: the least that any kind of evidence
keeps behind its newest entry (`models.balances.LATE_DAYS`). A live observation is made within the feed's lateness."""


def observed(events: Sequence[BorrowerEvent], at_ms: int, *, deadline: bool) -> Features | None:
    """What is observed as of an instant, once all these events have come in this order."""
    risk_engine = engine()
    for offset, event in enumerate(events):
        risk_engine.process(event, feed_of(event), offset)
    borrower = risk_engine.borrower("b-0")
    return None if borrower is None else observe(borrower, at_ms, RULES, deadline=deadline)


_CARD = loan("2025-01-01", [], borrower="b-0", loan_id="card", principal_minor=0, credit_limit_minor=500_000)
_LATE_BILL = [
    _CARD,
    billed("2025-02-01", "2025-02-20", 9_000, 1, borrower="b-0", loan_id="card", balance_minor=90_000),
    paid("2025-02-10", 40_000, borrower="b-0", loan_id="card"),
    billed("2025-03-01", "2025-03-20", 9_000, 2, borrower="b-0", loan_id="card", balance_minor=80_000),
]


@example(events=_LATE_BILL, at_ms=at("2025-02-15", "00:00"), deadline=True, shuffle=1)
@example(events=_LATE_BILL, at_ms=at("2025-02-10", "12:00"), deadline=False, shuffle=0)
@given(events=lives(), at_ms=moments(), deadline=st.booleans(), shuffle=st.integers(0, 2**32))
@settings(deadline=None, max_examples=150)
def test_what_happens_later_changes_no_feature(
    events: list[BorrowerEvent], at_ms: int, deadline: bool, shuffle: int
) -> None:
    """Features as of an instant are the same before and after all that happens later has come, in any order."""
    known_ms = at_ms - 1 if deadline else at_ms
    before = [event for event in events if event.event_time_ms <= known_ms]
    later = [event for event in events if known_ms < event.event_time_ms <= known_ms + LATER_DAYS * DAY_MS]
    later.sort(key=lambda event: crc32(f"{event.event_id} {shuffle}".encode()))

    expected = observed(before, at_ms, deadline=deadline)
    if expected is not None:
        assert observed([*before, *later], at_ms, deadline=deadline) == expected
