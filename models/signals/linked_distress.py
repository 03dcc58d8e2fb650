"""`linked_distress`: somebody who stands in for the borrower, or on whom it lives, is in trouble.

A guarantor who has stopped paying will not pay for another one. The linked borrower's partition tells its level (`models.levels`),
and nothing else of it; the alert says which relation, how bad, and never who: the borrower's file is read by people who have no
business with the other one's.

Opens when the level of somebody linked reaches the policy's threshold for the relation; its severity is that level, some steps
milder, for the trouble is another's. Resolved when no level reaches its threshold any more (`passed`), or when the link has ended.

What does not count, and why:

- spouse and employer, by default: to follow a family or a workforce harasses people who owe nothing;
- alerts of one sort or another that show habits and no trouble (`counted` in the policy), or that are contested;
- `linked_distress` of the other: one hop, no loops.

No cooldown and no hysteresis here: the level has both, in the past of the one it is about. A memory of what was heard in between
would make the alert depend on which messages came first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from models.alerts import Finding, Reason, Resolution, Severity, Text
from models.borrower import HIGHEST, Borrower
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import SERVICING, Relation
from models.links import LinkEvidence
from models.policy import LinkedThresholds
from models.rules import Rules
from models.signals.binding import BORROWER_LEVEL

_SEVERITIES: Final[dict[str, Severity]] = {severity.word: severity for severity in Severity}
"""By word; "off" is none of them."""
_RELATIONS: Final[dict[Relation, Text]] = {
    "guarantor": Text("guarantor", "担保人"),
    "owner": Text("owner", "企业主"),
    "co_borrower": Text("co-borrower", "共同借款人"),
    "spouse": Text("spouse", "配偶"),
    "employer": Text("employer", "雇主"),
    "other": Text("other linked party", "其他关联方"),
}
_LEVELS_ZH: Final[dict[Severity, str]] = {
    Severity.WATCH: "关注",
    Severity.WARNING: "预警",
    Severity.SERIOUS: "严重",
    Severity.CRITICAL: "危急",
}


class _Distress(NamedTuple):
    """What one relation tells: its worst level, the threshold, how many reach it, of how many."""

    level: Severity
    threshold: Severity
    relation: Relation
    reaching: int
    linked: int


def judge(evidence: LinkEvidence | None, rules: Rules) -> Finding | None:
    """What is known of those linked: one reason a relation, the worst first."""
    if evidence is None or not evidence.heard:
        return None
    policy = rules.policy.signals.linked_distress
    found = [
        distress
        for relation in _RELATIONS
        if (distress := _of_relation(evidence, relation, policy.threshold)) is not None
    ]
    if not found:
        return None
    found.sort(key=lambda distress: -distress.level)
    severity = Severity(max(Severity.WATCH, found[0].level - policy.steps_milder))
    return Finding(severity, tuple(map(_reason, found)))


def _of_relation(
    evidence: LinkEvidence, relation: Relation, thresholds: LinkedThresholds
) -> _Distress | None:
    threshold = _SEVERITIES.get(getattr(thresholds, relation))
    if threshold is None:
        return None
    linked = [watched.linked_id for watched in evidence.watched if watched.relation == relation]
    levels = [evidence.heard[linked_id].level for linked_id in linked if linked_id in evidence.heard]
    reaching = [level for level in levels if level >= threshold]
    if not reaching:
        return None
    return _Distress(Severity(max(reaching)), threshold, relation, len(reaching), len(linked))


def _reason(distress: _Distress) -> Reason:
    level, threshold, relation, reaching, linked = distress
    name = _RELATIONS[relation]
    return Reason(
        code="LD-LEVEL",
        text=Text(
            en=f"{reaching} of {linked} linked as {name.en} in trouble: the own alerts reach {level.word} (level {level:d}); "
            f"this relation counts from {threshold.word} (level {threshold:d}).",
            zh=f"{linked} 名{name.zh}中有 {reaching} 名陷入困境：其自身预警最高为{_LEVELS_ZH[level]}（{level:d} 级）；"
            f"该关系自{_LEVELS_ZH[threshold]}（{threshold:d} 级）起计。",
        ),
        evidence={
            "relation": relation,
            "level": int(level),
            "threshold": int(threshold),
            "reaching": reaching,
            "linked": linked,
        },
    )


class LinkedDistress:
    """`linked_distress`, of the borrower as a whole; judged when something is heard. Its clock tells only when holds end."""

    name: Final = "linked_distress"
    clock: Final = HIGHEST
    feed: Final = SERVICING
    looks_often: Final = False

    def cooldown_days(self, rules: Rules) -> int:
        """The level settles before it falls."""
        return 0

    def subjects(self, borrower: Borrower) -> Iterable[str | None]:
        """The borrower, where anybody is linked to it or it to anybody."""
        return () if borrower.links is None else BORROWER_LEVEL

    def judge(
        self,
        borrower: Borrower,
        subject: str | None,
        at_ms: int,
        episode: Episode | None,
        rules: Rules,
        *,
        deadline: bool,
    ) -> Finding | None:
        """What was heard by now, whatever the instant."""
        return judge(borrower.links, rules)

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """Time alone changes nothing here."""
        return NEVER

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """The trouble has passed; where nobody is linked any more, nothing is said of it."""
        return "passed" if borrower.links is not None and borrower.links.watched else None
