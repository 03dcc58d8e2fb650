"""What is kept of income between pays is what a look at the bare evidence tells, by whichever card risk is weighed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec
import pytest

from models.calendars import DAY_MS
from models.income import IncomeEvidence, record_flow
from models.income_level import income_from
from models.income_outlook import is_plain, lost_fraction, outlook_of
from models.income_picture import picture_of, scene_of
from models.risk.scorecard import broad_prior
from tests.support import incomes
from tests.support.events import rules
from tests.support.incomes import Borrower, cut, flows_of

RULES = rules()
OTHER_CARD = RULES.with_card(broad_prior())
LIVES: tuple[Callable[[Random], Borrower], ...] = (
    incomes.stable_monthly,
    incomes.stable_bonus,
    incomes.stable_weekly,
    incomes.stable_biweekly,
    incomes.stable_gig,
    incomes.stable_two_employers,
    incomes.stable_change,
    incomes.stable_festival,
    incomes.lose_job,
    lambda dice: cut(dice, 0.8),
)


def lost_by_picture(evidence: IncomeEvidence, at_ms: int) -> float | None:
    """Told from the picture, by somebody who was never asked before."""
    policy = RULES.policy.signals.income_drop
    fresh = msgspec.msgpack.decode(msgspec.msgpack.encode(evidence), type=IncomeEvidence)
    picture = picture_of(scene_of(fresh, at_ms, None, RULES), policy)
    if picture is None or picture.history_days < policy.history_days_min:
        return None
    return min(1.0, max(0.0, picture.lost_in_sight))


@pytest.mark.parametrize("life", LIVES)
def test_what_is_lost_is_what_a_picture_shows(life: Callable[[Random], Borrower]) -> None:
    """After each flow, at the next midnight and later, whether an outlook was told before or not."""
    dice = Random(7)
    evidence = IncomeEvidence()
    told: set[float | None] = set()
    for number, flow in enumerate(flows_of(life(dice), dice, RULES)):
        if not record_flow(evidence, flow, RULES):
            continue
        if number % 2:
            outlook_of(evidence, flow.event_time_ms, RULES)
        day = RULES.calendar.day_of(flow.event_time_ms) + 1
        for later_days in (0, 1, 9, 36):
            at_ms = RULES.calendar.midnight_ms(day + later_days)
            lost = lost_fraction(evidence, at_ms, RULES)
            assert lost == lost_by_picture(evidence, at_ms)
            told.add(lost)
    assert len(told) > 1


def test_another_card_asks_for_nothing_anew() -> None:
    """A card has no part in income: what the rules of one told, those of the next find; another policy tells it itself."""
    dice = Random(3)
    evidence = IncomeEvidence()
    for flow in flows_of(incomes.stable_monthly(dice), dice, RULES):
        record_flow(evidence, flow, RULES)
    at_ms = evidence.recent[-1].time_ms + DAY_MS
    day = RULES.calendar.day_of(at_ms) + 1
    assert is_plain(evidence, at_ms, RULES)
    kept = outlook_of(evidence, at_ms, RULES), income_from(evidence, "CNY", day, RULES)[0]
    assert kept[1] is not None

    found = outlook_of(evidence, at_ms, OTHER_CARD), income_from(evidence, "CNY", day, OTHER_CARD)[0]
    assert [one is other for one, other in zip(kept, found, strict=True)] == [True, True]
    later = rules("[signals.income_drop]\njob_change_days = 60")
    assert outlook_of(evidence, at_ms, later).until_ms > kept[0].until_ms
