"""Signals that confirm each other: what one finds weighs a step more while the evidence shows the other as well.

The confirming signal is judged by the evidence alone, as if no alert of it were open: so its own hysteresis, its cooldown and
how far its feed is do not matter, and the answer depends on nothing but the instant (decisions/0001-judged-as-of.md). It is
asked on the clock of the signal that it confirms: its deadlines are deadlines of that alert too, for as long as it is open.

What was raised stays raised while the other signal is found at all, at whatever severity: no flapping at its threshold.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from models.alerts import Finding, Reason, Severity, SeverityName, SignalName, Text
from models.borrower import Borrower
from models.deadlines import NEVER
from models.episodes import Episode
from models.policy import CombinationPolicy
from models.rules import Rules
from models.signal_table import SIGNALS

_CODE: Final = "COMBINED"
_CACHED_ANSWERS_MAX: Final = 256
"""Signals times policies (and their segments) of which it is remembered what they confirm: it is asked with every event."""
_SEVERITIES: Final[dict[SeverityName, Severity]] = {severity.word: severity for severity in Severity}
_SEVERITIES_ZH: Final[dict[SeverityName, str]] = {
    "watch": "关注",
    "warning": "预警",
    "serious": "严重",
    "critical": "危急",
}
_NUMBERS: Final[dict[SignalName, int]] = {signal.name: number for number, signal in enumerate(SIGNALS)}


def confirmed(
    borrower: Borrower,
    signal: int,
    finding: Finding,
    episode: Episode | None,
    at_ms: int,
    rules: Rules,
    *,
    deadline: bool,
) -> Finding:
    """The finding, one severity worse where a rule of the policy applies: the first that does, and never more than one."""
    for rule in _rules_of(signal, rules):
        if finding.severity > _SEVERITIES[rule.severity_max]:
            continue
        least = _SEVERITIES[rule.confirmed_severity_min]
        if episode is not None and episode.is_raised:
            least = Severity.WATCH
        other = _severity_of(borrower, rule.confirmed_by, at_ms, rules, deadline=deadline)
        if other is not None and other >= least:
            return _raised(finding, rule, other)
    return finding


def is_raised(finding: Finding) -> bool:
    """Whether a combination made this finding worse."""
    return finding.reasons[-1].code == _CODE


def next_confirmation_ms(borrower: Borrower, episode: Episode, after_ms: int, rules: Rules) -> int:
    """The first instant after `after_ms` at which time alone may change what confirms an open alert, or `NEVER`.

    Evidence that is known already for later than `after_ms` is a deadline to some signals. Where a judgement of this
    alert waits for that very instant, an event brought it: the event is the cause, and no deadline.
    """
    due_ms = NEVER
    combined = _rules_of(episode.signal, rules)
    if not combined:
        return due_ms
    waiting_ms = {
        waiting.at_ms
        for waiting in borrower.pending
        if (waiting.signal, waiting.loan_id) == (episode.signal, episode.loan_id)
    }
    for rule in combined:
        number = _NUMBERS.get(rule.confirmed_by)
        if number is None:
            continue
        kind = SIGNALS[number]
        for subject in kind.subjects(borrower):
            change_ms = kind.next_deadline_ms(borrower, subject, after_ms, None, rules)
            if change_ms not in waiting_ms:
                due_ms = min(due_ms, change_ms)
    return due_ms


@lru_cache(maxsize=_CACHED_ANSWERS_MAX)
def confirmed_by(signal: int, rules: Rules) -> frozenset[int]:
    """The numbers of the signals that `signal` may confirm."""
    name = SIGNALS[signal].name
    return frozenset(
        number
        for rule in rules.policy.combinations
        if rule.confirmed_by == name and (number := _NUMBERS.get(rule.signal)) is not None
    )


def is_alone(signal: int, rules: Rules) -> bool:
    """Whether no other signal can confirm this one."""
    return not _rules_of(signal, rules)


@lru_cache(maxsize=_CACHED_ANSWERS_MAX)
def _rules_of(signal: int, rules: Rules) -> tuple[CombinationPolicy, ...]:
    name = SIGNALS[signal].name
    return tuple(rule for rule in rules.policy.combinations if rule.signal == name)


def _severity_of(
    borrower: Borrower, name: SignalName, at_ms: int, rules: Rules, *, deadline: bool
) -> Severity | None:
    """The worst that a signal finds of any subject, by the evidence alone."""
    number = _NUMBERS.get(name)
    if number is None:
        return None
    kind = SIGNALS[number]
    findings = [
        kind.judge(borrower, subject, at_ms, None, rules, deadline=deadline)
        for subject in kind.subjects(borrower)
    ]
    return max((finding.severity for finding in findings if finding is not None), default=None)


def _raised(finding: Finding, rule: CombinationPolicy, other: Severity) -> Finding:
    before = finding.severity
    severity = Severity(min(before + 1, Severity.CRITICAL))
    english = (
        f"One severity worse, {severity.word} instead of {before.word}: {rule.confirmed_by} is found as well, "
        f"{other.word} (the policy asks for {rule.confirmed_severity_min})."
    )
    chinese = (
        f"上调一级，由{_SEVERITIES_ZH[before.word]}升为{_SEVERITIES_ZH[severity.word]}：同时存在 {rule.confirmed_by}，"
        f"级别为{_SEVERITIES_ZH[other.word]}（策略要求至少{_SEVERITIES_ZH[rule.confirmed_severity_min]}）。"
    )
    reason = Reason(
        code=_CODE,
        text=Text(en=english, zh=chinese),
        evidence={
            "signal": rule.confirmed_by,
            "severity": other.word,
            "threshold": rule.confirmed_severity_min,
            "severity_alone": before.word,
        },
    )
    return msgspec.structs.replace(finding, severity=severity, reasons=(*finding.reasons, reason))
