"""How good the alerts were: judged by what became of the borrowers, and by what each signal should have told.

Pure: alerts in, one `Report` out. The alerts are gone through once; what is kept is bounded by their episodes.

Borrowers are counted, not alerts. An **early** alert is one that opened while nothing was past due (days past due 0) and
before the borrower went bad. A **hit** is an early alert that opened 1 to 180 days before `bad`: a missed payment always
precedes a default, so an alert that opens while past due is no foresight, and is reported apart.

A retracted alert stands for nothing: it is neither a hit nor found nor false, because the engine itself took it back when it
learnt better. It still cost somebody a look, so it counts in the volume, and retracted alerts have a count of their own.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import median
from typing import Final, Literal, NamedTuple, get_args

from msgspec import Struct
from msgspec.structs import replace

from models.alerts import SeverityName
from models.calendars import DAY_MS
from models.report import Capacity, MonthVolume, PastDueAlerts, Report, SignalReport, WorstPayers

OutcomeWord = Literal["bad", "good"]
SEVERITIES: Final[tuple[SeverityName, ...]] = get_args(SeverityName)
"""From the least severe on."""

HIT_DAYS_MIN: Final = 1
"""An alert on the very day of the default leaves no time to act (blueprint, section 6)."""
HIT_DAYS_MAX: Final = 180
"""What opened longer before had another reason (blueprint, section 6)."""
LEAD_BUCKET_DAYS: Final = 15
_LEAD_BUCKETS: Final = HIT_DAYS_MAX // LEAD_BUCKET_DAYS
MONTH_DAYS: Final = 365.25 / 12
"""A mean month, for rates a month."""
SNAPSHOT_DAYS: Final = 30
"""Days between the instants at which warned borrowers are compared with the worst payers."""
MISSED_PAYMENT: Final = "missed_payment"
"""The signal whose episodes tell how far past due a borrower was."""
_DECIMALS: Final = 4
"""Of every rate and day count in the report."""
CAPACITY_PER_DAY: Final = 20
"""Borrowers that a small team can call a day; the caller's own number is better."""


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of `outcomes.jsonl`: how it ended with a borrower, and when (`good`: observed until then)."""

    borrower_id: str
    loan_id: str | None = None
    outcome: OutcomeWord
    time_ms: int


class Truth(Struct, frozen=True, kw_only=True):
    """A line of `truth.jsonl`: what a signal should have told, from when until when, and what was behind it."""

    borrower_id: str
    signal: str
    from_ms: int
    until_ms: int
    cause: str


class JudgedAlert(Struct, frozen=True, kw_only=True):
    """What judging needs to know of one revision of an alert; each field as in the alert contract."""

    alert_id: str
    revision: int
    status: str
    signal: str
    severity: SeverityName
    borrower_id: str
    loan_id: str | None = None
    event_time_ms: int
    opened_at_ms: int
    days_past_due: int
    """Of the borrower's exposure, at this revision."""
    priority: int


class Episode(Struct):
    """One alert, opened and maybe closed."""

    alert_id: str
    borrower_id: str
    signal: str
    loan_id: str | None
    severity: SeverityName
    """The highest of all revisions."""
    opened_ms: int
    days_past_due: int
    priority: int
    revision: int
    closed_ms: int | None = None
    retracted: bool = False

    def is_open_at(self, instant_ms: int) -> bool:
        """Whether it was open at an instant."""
        return self.opened_ms <= instant_ms and (self.closed_ms is None or instant_ms < self.closed_ms)

    @property
    def ended_ms(self) -> int | None:
        """When it was open no longer; open if only for an instant. None where it still is."""
        return None if self.closed_ms is None else max(self.closed_ms, self.opened_ms + 1)

    def overlaps(self, truth: Truth) -> bool:
        """Whether the alert was open at some time between `from_ms` and `until_ms`, if only for an instant."""
        ended_ms = self.ended_ms
        return self.opened_ms < truth.until_ms and (ended_ms is None or ended_ms > truth.from_ms)

    def worst_days_past_due(self, instant_ms: int) -> int:
        """How far past due a missed payment had come until `instant_ms`."""
        until_ms = instant_ms if self.closed_ms is None else min(instant_ms, self.closed_ms)
        return self.days_past_due + max(0, until_ms - self.opened_ms) // DAY_MS


class Fate(Struct, frozen=True):
    """What became of one borrower."""

    bad_ms: int | None
    observed_until_ms: int

    def goes_bad_in_time(self, instant_ms: int) -> bool:
        """Whether the borrower goes bad 1 to 180 days after `instant_ms`."""
        return (
            self.bad_ms is not None
            and HIT_DAYS_MIN * DAY_MS <= self.bad_ms - instant_ms <= HIT_DAYS_MAX * DAY_MS
        )

    def is_warning(self, episode: Episode) -> bool:
        """Whether the alert stood and opened before the borrower went bad."""
        return not episode.retracted and (self.bad_ms is None or episode.opened_ms < self.bad_ms)

    def is_early(self, episode: Episode) -> bool:
        """Whether it is a warning that opened with nothing past due."""
        return self.is_warning(episode) and episode.days_past_due == 0


class Warned(NamedTuple):
    """Borrowers with an early alert that stood, and those of them who went bad 1 to 180 days later."""

    borrowers: frozenset[str]
    hit: frozenset[str]


_ByBorrower = dict[str, list[Episode]]


class Judge:
    """Takes alerts in the order they were published, then judges them all."""

    def __init__(
        self,
        outcomes: Iterable[Outcome],
        truths: Iterable[Truth] | None,
        *,
        observed_from_ms: int | None,
        capacity_per_day: int = CAPACITY_PER_DAY,
    ) -> None:
        """Learn what the alerts are judged by.

        Args:
            outcomes: what became of each borrower. A borrower with several (one a loan) is bad from the first bad one.
            truths: what each signal should have told; None where nobody knows.
            observed_from_ms: when the observation of the book began; None where unknown.
            capacity_per_day: borrowers that a team calls a day.
        """
        if capacity_per_day < 1:
            raise ValueError("capacity_per_day must be at least 1")
        self._fates = fates_of(outcomes)
        self._truths = None if truths is None else list(truths)
        self._observed_from_ms = observed_from_ms
        self._capacity_per_day = capacity_per_day
        self._episodes: dict[str, Episode] = {}

    def add(self, alert: JudgedAlert) -> None:
        """Take one revision; a repeated or older one changes nothing."""
        episode = self._episodes.get(alert.alert_id)
        if episode is None:
            episode = self._episodes[alert.alert_id] = Episode(
                alert_id=alert.alert_id,
                borrower_id=alert.borrower_id,
                signal=alert.signal,
                loan_id=alert.loan_id,
                severity=alert.severity,
                opened_ms=alert.opened_at_ms,
                days_past_due=alert.days_past_due,
                priority=alert.priority,
                revision=alert.revision,
            )
        elif alert.revision <= episode.revision:
            return
        episode.revision = alert.revision
        if SEVERITIES.index(alert.severity) > SEVERITIES.index(episode.severity):
            episode.severity = alert.severity
        if alert.status in ("resolved", "retracted"):
            episode.closed_ms = alert.event_time_ms
            episode.retracted = alert.status == "retracted"

    @property
    def episodes(self) -> list[Episode]:
        """All alerts, of borrowers without an outcome as well, in the order in which they were first published."""
        return list(self._episodes.values())

    def warned(self, signal: str | None = None) -> Warned:
        """Whom early alerts warned of: those of a signal, or of any."""
        judged = _by_borrower(
            episode
            for episode in self._episodes.values()
            if episode.borrower_id in self._fates and signal in (None, episode.signal)
        )
        warnings = _Warnings(self._fates, judged)
        return Warned(frozenset(warnings.borrowers_warned), frozenset(warnings.borrowers_hit))

    def report(self) -> Report:
        """Judge everything taken so far."""
        judged = _by_borrower(e for e in self._episodes.values() if e.borrower_id in self._fates)
        alerts = sum(map(len, judged.values()))
        bad = sum(fate.bad_ms is not None for fate in self._fates.values())
        months = self._borrower_months()
        warnings = _Warnings(self._fates, judged)
        unhit = _ways_to_miss(self._fates, judged, warnings)
        worst_payers = self._compare_with_worst_payers(judged)
        report = Report(
            borrowers=len(self._fates),
            borrowers_bad=bad,
            borrower_months=months,
            alerts=alerts,
            alerts_retracted=sum(episode.retracted for own in judged.values() for episode in own),
            alerts_without_outcome=len(self._episodes) - alerts,
            alerts_per_1000_borrower_months=_ratio(1000 * alerts, months),
            borrowers_warned=warnings.warned,
            borrowers_hit=warnings.hit,
            borrowers_warned_unmatured=warnings.unmatured,
            precision=_ratio(warnings.hit, warnings.warned),
            precision_matured=_ratio(warnings.hit, warnings.warned - warnings.unmatured),
            recall=_ratio(warnings.hit, bad),
            lead_days_median=_median(warnings.lead_days),
            lead_days_histogram=_lead_days_histogram(warnings.lead_days),
            past_due=_past_due_alerts(self._fates, judged, bad),
            bad_warned_too_early=unhit["too early"],
            bad_warned_late=unhit["late"],
            bad_silent=unhit["silent"],
            lift_over_worst_payers=None
            if worst_payers is None
            else _ratio(worst_payers.bad_among_warned, worst_payers.bad_among_worst_payers),
            worst_payers=worst_payers,
            capacity=self._judge_capacity(judged),
            signals=self._judge_signals(judged, bad, months),
            volume=self._volume(judged),
            not_computed={},
        )
        return replace(report, not_computed=_reasons(report, truth_known=self._truths is not None))

    def _borrower_months(self) -> float | None:
        begin_ms = self._observed_from_ms
        if begin_ms is None or not self._fates:
            return None
        observed_ms = sum(max(0, fate.observed_until_ms - begin_ms) for fate in self._fates.values())
        return round(observed_ms / DAY_MS / MONTH_DAYS, _DECIMALS)

    def _volume(self, judged: _ByBorrower) -> tuple[MonthVolume, ...]:
        begin_ms = self._observed_from_ms
        if begin_ms is None or not self._fates:
            return ()
        step_ms = SNAPSHOT_DAYS * DAY_MS
        opened: dict[int, Counter[str]] = defaultdict(Counter)
        for episodes in judged.values():
            for episode in episodes:
                opened[(episode.opened_ms - begin_ms) // step_ms][episode.signal] += 1
        ends = sorted(fate.observed_until_ms for fate in self._fates.values())
        months = range(max(0, -(-(ends[-1] - begin_ms) // step_ms)))
        return tuple(
            MonthVolume(
                from_ms=begin_ms + month * step_ms,
                borrowers=len(ends) - bisect_right(ends, begin_ms + month * step_ms),
                alerts=dict(sorted(opened[month].items())),
            )
            for month in months
        )

    def _compare_with_worst_payers(self, judged: _ByBorrower) -> WorstPayers | None:
        begin_ms = self._observed_from_ms
        if begin_ms is None:
            return None
        end_ms = max((fate.observed_until_ms for fate in self._fates.values()), default=begin_ms)
        step_ms = SNAPSHOT_DAYS * DAY_MS
        snapshots = [
            _Snapshot(self._fates, judged, instant_ms)
            for instant_ms in range(begin_ms + step_ms, end_ms, step_ms)
        ]
        telling = [snapshot for snapshot in snapshots if snapshot.warned]
        if not telling:
            return None
        return WorstPayers(
            snapshots=len(telling),
            chosen=sum(snapshot.warned for snapshot in telling),
            bad_among_warned=sum(snapshot.warned_bad for snapshot in telling),
            bad_among_worst_payers=round(sum(snapshot.expected_bad() for snapshot in telling), _DECIMALS),
        )

    def _judge_capacity(self, judged: _ByBorrower) -> Capacity:
        called = _call(self._fates, judged, self._capacity_per_day)
        bad = sum(self._fates[episode.borrower_id].goes_bad_in_time(episode.opened_ms) for episode in called)
        return Capacity(
            per_day=self._capacity_per_day, called=len(called), bad=bad, precision=_ratio(bad, len(called))
        )

    def _judge_signals(self, judged: _ByBorrower, bad: int, months: float | None) -> dict[str, SignalReport]:
        truths: dict[str, list[Truth]] = defaultdict(list)
        for truth in self._truths or ():
            truths[truth.signal].append(truth)
        alerting = {episode.signal for own in judged.values() for episode in own}
        reports = {}
        for signal in sorted(alerting | set(truths)):
            own_signal = _by_borrower(
                episode for own in judged.values() for episode in own if episode.signal == signal
            )
            told = _Telling(truths[signal], own_signal) if truths.get(signal) else None
            reports[signal] = _signal_report(self._fates, own_signal, bad, months, told)
        return reports


class _Warnings:
    """Which borrowers were warned of (early, or when past due already), which went bad in time, how long after."""

    def __init__(self, fates: dict[str, Fate], judged: _ByBorrower, *, early: bool = True) -> None:
        self.unmatured = 0
        self.lead_days: list[float] = []
        self.borrowers_warned: set[str] = set()
        self.borrowers_hit: set[str] = set()
        for borrower_id, episodes in judged.items():
            fate = fates[borrower_id]
            opened_ms = [e.opened_ms for e in episodes if fate.is_warning(e) and fate.is_early(e) == early]
            if not opened_ms:
                continue
            self.borrowers_warned.add(borrower_id)
            hits_ms = [instant_ms for instant_ms in opened_ms if fate.goes_bad_in_time(instant_ms)]
            if fate.bad_ms is None:
                self.unmatured += fate.observed_until_ms - max(opened_ms) < HIT_DAYS_MAX * DAY_MS
            elif hits_ms:
                self.borrowers_hit.add(borrower_id)
                self.lead_days.append((fate.bad_ms - min(hits_ms)) / DAY_MS)

    @property
    def warned(self) -> int:
        return len(self.borrowers_warned)

    @property
    def hit(self) -> int:
        return len(self.borrowers_hit)


def _lead_days_histogram(lead_days: list[float]) -> tuple[int, ...]:
    counts = Counter(min(int(days // LEAD_BUCKET_DAYS), _LEAD_BUCKETS - 1) for days in lead_days)
    return tuple(counts[bucket] for bucket in range(_LEAD_BUCKETS))


def _ways_to_miss(fates: dict[str, Fate], judged: _ByBorrower, warnings: _Warnings) -> Counter[str]:
    """Bad borrowers without a hit, by why there is none: "too early", "late", "silent"."""
    ways: Counter[str] = Counter()
    for borrower_id, fate in fates.items():
        bad_ms = fate.bad_ms
        if bad_ms is None or borrower_id in warnings.borrowers_hit:
            continue
        before = [
            episode
            for episode in judged.get(borrower_id, ())
            if not episode.retracted and episode.opened_ms < bad_ms
        ]
        if not before:
            ways["silent"] += 1
        elif any(fate.is_early(e) and bad_ms - e.opened_ms > HIT_DAYS_MAX * DAY_MS for e in before):
            ways["too early"] += 1
        else:
            ways["late"] += 1
    return ways


class _Snapshot:
    """The borrowers at one instant who are observed, not bad and not past due: the warned among them, the worst payers."""

    def __init__(self, fates: dict[str, Fate], judged: _ByBorrower, instant_ms: int) -> None:
        self.warned = self.warned_bad = 0
        self._by_worst: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        """Worst days past due so far: borrowers with it, and the bad among them."""
        for borrower_id, fate in fates.items():
            if fate.observed_until_ms <= instant_ms:
                continue
            known = [e for e in judged.get(borrower_id, ()) if not e.retracted and e.opened_ms <= instant_ms]
            missed = [e for e in known if e.signal == MISSED_PAYMENT]
            if any(episode.is_open_at(instant_ms) for episode in missed):
                continue
            bad = fate.goes_bad_in_time(instant_ms)
            worst = self._by_worst[max((e.worst_days_past_due(instant_ms) for e in missed), default=0)]
            worst[0] += 1
            worst[1] += bad
            if any(fate.is_early(episode) and episode.is_open_at(instant_ms) for episode in known):
                self.warned += 1
                self.warned_bad += bad

    def expected_bad(self) -> float:
        """Of as many borrowers as are warned, those who go bad when the worst payers are chosen instead."""
        expected, left = 0.0, self.warned
        for _, (borrowers, bad) in sorted(self._by_worst.items(), reverse=True):
            chosen = min(borrowers, left)
            expected += bad * chosen / borrowers
            left -= chosen
        return expected


def _call(fates: dict[str, Fate], judged: _ByBorrower, per_day: int) -> list[Episode]:
    """The alerts for which a team of that capacity calls, day by day (UTC), each borrower once."""
    early = [e for own in judged.values() for e in own if fates[e.borrower_id].is_early(e)]
    early.sort(key=lambda episode: (episode.opened_ms, episode.alert_id), reverse=True)
    waiting: list[tuple[int, int, str, Episode]] = []
    called: dict[str, Episode] = {}
    day = 0
    while early or waiting:
        day = day + 1 if waiting else early[-1].opened_ms // DAY_MS
        day_ends_ms = (day + 1) * DAY_MS
        while early and early[-1].opened_ms < day_ends_ms:
            episode = early.pop()
            heapq.heappush(waiting, (-episode.priority, episode.opened_ms, episode.alert_id, episode))
        left = per_day
        while waiting and left:
            episode = heapq.heappop(waiting)[-1]
            fate = fates[episode.borrower_id]
            over = fate.bad_ms is not None and fate.bad_ms < day_ends_ms
            if episode.borrower_id not in called and not over and episode.is_open_at(day_ends_ms - 1):
                called[episode.borrower_id] = episode
                left -= 1
    return list(called.values())


class _Telling:
    """One signal's alerts against the episodes that it should have told of."""

    def __init__(self, truths: list[Truth], alerts: _ByBorrower) -> None:
        standing = {
            borrower_id: [episode for episode in episodes if not episode.retracted]
            for borrower_id, episodes in alerts.items()
        }
        by_borrower: dict[str, list[Truth]] = defaultdict(list)
        self.delay_days: list[float] = []
        self.borrowers_found: set[str] = set()
        self.borrowers_missed: set[str] = set()
        self.missed = 0
        for truth in truths:
            by_borrower[truth.borrower_id].append(truth)
            opened_ms = [e.opened_ms for e in standing.get(truth.borrower_id, ()) if e.overlaps(truth)]
            if opened_ms:
                self.delay_days.append(max(0, min(opened_ms) - truth.from_ms) / DAY_MS)
                self.borrowers_found.add(truth.borrower_id)
            else:
                self.missed += 1
                self.borrowers_missed.add(truth.borrower_id)
        false = [
            episode
            for borrower_id, episodes in standing.items()
            for episode in episodes
            if not any(episode.overlaps(truth) for truth in by_borrower.get(borrower_id, ()))
        ]
        self.false = len(false)
        self.borrowers_false = {episode.borrower_id for episode in false}


def _past_due_alerts(fates: dict[str, Fate], judged: _ByBorrower, bad: int) -> PastDueAlerts:
    late = _Warnings(fates, judged, early=False)
    return PastDueAlerts(
        borrowers_alerted=late.warned,
        borrowers_bad=late.hit,
        precision=_ratio(late.hit, late.warned),
        recall=_ratio(late.hit, bad),
        lead_days_median=_median(late.lead_days),
    )


def _signal_report(
    fates: dict[str, Fate],
    episodes: _ByBorrower,
    bad: int,
    months: float | None,
    told: _Telling | None,
) -> SignalReport:
    warnings = _Warnings(fates, episodes)
    alerts = sum(map(len, episodes.values()))
    return SignalReport(
        alerts=alerts,
        alerts_retracted=sum(episode.retracted for own in episodes.values() for episode in own),
        alerts_per_1000_borrower_months=_ratio(1000 * alerts, months),
        borrowers_warned=warnings.warned,
        borrowers_hit=warnings.hit,
        precision=_ratio(warnings.hit, warnings.warned),
        recall=_ratio(warnings.hit, bad),
        lead_days_median=_median(warnings.lead_days),
        past_due=_past_due_alerts(fates, episodes, bad),
        truth_episodes=None if told is None else len(told.delay_days) + told.missed,
        found=None if told is None else len(told.delay_days),
        missed=None if told is None else told.missed,
        false=None if told is None else told.false,
        borrowers_found=None if told is None else len(told.borrowers_found),
        borrowers_missed=None if told is None else len(told.borrowers_missed),
        borrowers_false=None if told is None else len(told.borrowers_false),
        delay_days_median=None if told is None else _median(told.delay_days),
    )


def fates_of(outcomes: Iterable[Outcome]) -> dict[str, Fate]:
    """What became of each borrower: bad from the first bad outcome on, whatever the others say."""
    bad_ms: dict[str, int] = {}
    good_ms: dict[str, int] = {}
    for outcome in outcomes:
        if outcome.outcome == "bad":
            bad_ms[outcome.borrower_id] = min(
                outcome.time_ms, bad_ms.get(outcome.borrower_id, outcome.time_ms)
            )
        else:
            good_ms[outcome.borrower_id] = max(outcome.time_ms, good_ms.get(outcome.borrower_id, 0))
    fates = {borrower_id: Fate(None, until_ms) for borrower_id, until_ms in good_ms.items()}
    return fates | {borrower_id: Fate(time_ms, time_ms) for borrower_id, time_ms in bad_ms.items()}


def _by_borrower(episodes: Iterable[Episode]) -> _ByBorrower:
    grouped: _ByBorrower = defaultdict(list)
    for episode in episodes:
        grouped[episode.borrower_id].append(episode)
    return grouped


def _ratio(part: float, whole: float | None) -> float | None:
    return round(part / whole, _DECIMALS) if whole else None


def _median(values: list[float]) -> float | None:
    return round(median(values), _DECIMALS) if values else None


def _reasons(report: Report, *, truth_known: bool) -> dict[str, str]:
    """Why the numbers that are null could not be computed."""
    unobserved = "it is not known when the observation began"
    nobody_warned = "no borrower was warned while nothing was past due"
    lift = nobody_warned if report.borrower_months is not None else unobserved
    if report.worst_payers is not None:
        lift = "nobody among the worst payers was expected to go bad"
    reasons = {
        "borrower_months": unobserved if report.borrowers else "no borrower has an outcome",
        "alerts_per_1000_borrower_months": "there are no borrower-months",
        "precision": nobody_warned,
        "precision_matured": "no early alert is 180 days old",
        "recall": "no borrower went bad",
        "lead_days_median": "there was no hit",
        "lift_over_worst_payers": lift,
        "worst_payers": lift,
    }
    unknown = {field: reason for field, reason in reasons.items() if getattr(report, field) is None}
    if report.past_due.precision is None:
        unknown["past_due.precision"] = "no alert opened while something was past due"
    if report.capacity.precision is None:
        unknown["capacity.precision"] = nobody_warned
    if not truth_known:
        unknown["signals.*.found"] = "there is no truth to compare with"
    return unknown
