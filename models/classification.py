"""Regulatory classes of a loan by days past due, as selectable packs: shown beside an alert, never a cause of one.

`cn-2023`: the five tiers of the Measures for the Risk Classification of Financial Assets of Commercial Banks (CBIRC and PBOC,
Order 2023 No. 1, in force since 2023-07-01). Overdue in principal, interest or return is special mention at least (short
technical delays excepted, which a ledger cannot tell apart); more than 90 days, substandard at least; more than 270 days,
doubtful at least; more than 360 days, loss. Restructured assets (chapter III) are
watched for a year at least and are special mention at best meanwhile; one that was non-performing before it was
restructured stays substandard here for that year (the Measures let it rise to special mention by a review, which is a
person's to make).

`ifrs9`: stages by the rebuttable presumptions of IFRS 9: more than 30 days past due is a significant increase in credit risk
(5.5.11), stage 2; a default no later than at 90 days (B5.5.37), read here as more than 90, as the Basel Committee has it, stage 3. A restructured loan is no fresh one (5.5.12): stage 2 at best
while it is watched.

Only what days past due and the journal show is judged. Impairment, bankruptcy, evasion of debts, the debts of one borrower at
other banks and a bank's own review may ask for a lower class, never for a higher one.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from models.ledger import Standing

Pack = Literal["cn-2023", "ifrs9", "none"]
Class = Literal[
    "normal", "special_mention", "substandard", "doubtful", "loss", "stage_1", "stage_2", "stage_3"
]

_CN_TIERS: Final[tuple[Class, ...]] = ("normal", "special_mention", "substandard", "doubtful", "loss")
_CN_MORE_THAN_DAYS: Final = (0, 90, 270, 360)
"""Days past due beyond which each tier after `normal` begins."""
_CN_SPECIAL_MENTION, _CN_SUBSTANDARD, _CN_LOSS = 1, 2, 4
_IFRS_STAGES: Final[tuple[Class, ...]] = ("stage_1", "stage_2", "stage_3")
_IFRS_MORE_THAN_DAYS: Final = (30, 90)
_IFRS_STAGE_2, _IFRS_STAGE_3 = 1, 2


class Classification(Struct, frozen=True, gc=False):
    """A class, of which pack, and the rule that set it."""

    pack: Pack
    name: Class
    rule: str


def classify(now: Standing, pack: Pack) -> Classification | None:
    """The class of a loan as it stands; None where the policy selects no pack, or the loan has ended otherwise than by a loss."""
    if pack == "none" or (now.closed is not None and now.closed != "written_off"):
        return None
    return _five_tiers(now) if pack == "cn-2023" else _stages(now)


def _five_tiers(now: Standing) -> Classification:
    if now.closed == "written_off":
        return Classification("cn-2023", _CN_TIERS[_CN_LOSS], "written_off")
    tier = sum(now.days_past_due > days for days in _CN_MORE_THAN_DAYS)
    floor = 0
    if now.restructured:
        was_non_performing = now.worst_days_past_due > _CN_MORE_THAN_DAYS[_CN_SPECIAL_MENTION]
        floor = _CN_SUBSTANDARD if was_non_performing else _CN_SPECIAL_MENTION
    return Classification("cn-2023", _CN_TIERS[max(tier, floor)], _rule(tier, floor))


def _stages(now: Standing) -> Classification:
    if now.closed == "written_off":
        return Classification("ifrs9", _IFRS_STAGES[_IFRS_STAGE_3], "written_off")
    stage = sum(now.days_past_due > days for days in _IFRS_MORE_THAN_DAYS)
    floor = _IFRS_STAGE_2 if now.restructured else 0
    return Classification("ifrs9", _IFRS_STAGES[max(stage, floor)], _rule(stage, floor))


def _rule(by_days: int, floor: int) -> str:
    return "restructured" if floor > by_days else "days_past_due"
