"""A part of the borrowers with its own engine, going through all rows: its own are taken, of others' it follows the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct

from models.alerts import Alert, unchained
from models.calendars import DAY_MS
from models.engine import UNFINISHED, Passed, RiskEngine
from models.events import TOPICS, Event, Heartbeat
from models.exposure import exposure_of
from models.judging import Fate, JudgedAlert, fates_of
from models.risk.scorecard import expert_prior, tier_of
from models.rules import Rules
from models.score_judging import OBSERVED_EVERY_DAYS, ScoreCounter, observed_slot
from streams.backtest.messages import (
    HEARING,
    PASSING,
    TAKING,
    Advance,
    Ahead,
    Emitted,
    Hear,
    Look,
    Output,
    Place,
    Setting,
    Step,
    TakeUp,
    Told,
    Totals,
)
from streams.backtest.watermarks import Stretch, Watermarks
from streams.codec import Reject
from streams.event_files import EventFolder, Line, read_outcomes
from streams.partitioner import partition_of

_encode: Final = msgspec.json.Encoder().encode


class _Score(Struct, frozen=True, gc=False):
    event_id: str
    borrower_id: str
    event_time_ms: int
    probability: float
    tier: str
    model_version: str


class _Rejected(Struct, frozen=True, gc=False, omit_defaults=True):
    file: str
    line: int
    reason: str
    raw: str
    raw_base64: bytes | None = None
    """The exact bytes, where they are no UTF-8 and `raw` shows escapes instead."""


class Shard:
    """One engine; it does what the leader of the run asks for, and hands over what came of it."""

    def __init__(self, setting: Setting, folder: EventFolder | None = None) -> None:
        """`folder`: as indexed in this very process; else it is read where another one shared it."""
        if folder is None:
            folder = EventFolder.open_shared(Path(setting.folder), setting.now_ms, Path(setting.shelf))
        self._folder = folder
        self._setting = setting
        self._engine = RiskEngine(Rules(setting.policies[0][1]), expert_prior())
        for number, (effective_from_ms, policy) in enumerate(setting.policies[1:], start=1):
            self._engine.adopt(number, Rules(policy), effective_from_ms)
        self._watermarks = Watermarks(
            folder.columns,
            lambda highest_ms: self._engine.rules_at(highest_ms).lateness_ms,
            [span.from_ms for span in self._engine.adopted.spans],
        )
        self._looked_at = 0
        """Rows before it are taken or decoded."""
        self._taken = 0
        self._own: list[int] = []
        self._lines: list[Line] = []
        """The rows decoded ahead, and what they hold."""
        self._events = 0
        self._first_event: tuple[int, int] | None = None
        self._observed = _Observed(folder.folder, setting)
        self._day = int(folder.columns.places[0] // DAY_MS) if len(folder) else 0
        self._output = _nothing_yet()

    # ---- what is asked for ---------------------------------------------------------------------------------------

    def answer(self, request: Look | Step | Hear | TakeUp | Advance) -> Output:
        """Do what is asked for."""
        match request:
            case Look(end):
                self._look(end)
            case Step(ahead, next_end):
                self._step(ahead)
                self._look(next_end)
            case Hear(row, messages):
                for number, receiver, message in messages:
                    self._engine.hear(receiver, message, number)
                    self._collect((row, HEARING, number, 0, "", ""))
            case TakeUp(number, card, effective_from_ms):
                self._engine.adopt_card(number, card, effective_from_ms)
                self._output = msgspec.structs.replace(
                    self._output, card_from_ms=self._engine.adopted_cards.spans[-1].from_ms
                )
            case Advance(watermark_ms):
                self._pass(self._taken, dict.fromkeys(range(len(TOPICS)), watermark_ms))
        examples = self._engine.take_examples()
        if self._setting.learns:
            self._output.examples.extend(examples)
        output, self._output = self._output, _nothing_yet()
        return output

    def totals(self) -> Totals:
        """What was counted in all."""
        noticed = Counter(self._engine.counts)
        duplicates = noticed.pop("duplicates", 0)
        noticed.update({f"unknown_word.{field}": n for field, n in self._folder.unknown_words.items()})
        return Totals(
            events=self._events,
            duplicates=duplicates,
            borrowers=self._engine.borrower_count,
            noticed=dict(noticed),
            first_event=self._first_event,
            model_version=self._engine.card_version,
            horizon_days=self._setting.policies[0][1].risk.horizon_days,
            score_counts=dict(self._observed.counter.counts),
        )

    # ---- rows ----------------------------------------------------------------------------------------------------

    def _look(self, end: int) -> None:
        """Decode own rows ahead of their turn: the others must know which of them are no events."""
        begin, self._looked_at = self._looked_at, end
        own = np.flatnonzero(self._folder.columns.shards[begin:end] == self._setting.shard) + begin
        self._own = own.tolist()
        self._lines = list(self._folder.lines(own))
        for row, line in zip(self._own, self._lines, strict=True):
            if isinstance(line.content, Reject):
                self._output.ahead.rejected.append(row)
                if line.content.borrower_id is None:
                    self._output.ahead.nameless.append(row)

    def _step(self, ahead: Ahead) -> None:
        begin, self._taken = self._taken, self._looked_at
        if begin < self._taken:
            self._observe_until(int(self._folder.columns.places[begin] // DAY_MS))
        stretch = self._watermarks.over(begin, self._taken, ahead.rejected, ahead.nameless)
        others = _highest_of_others(stretch, self._own)
        offsets = self._folder.columns.offsets[self._own].tolist()
        moved_to = stretch.moved_to.tolist()
        following = begin
        for highest_ms, row, line, offset in zip(others, self._own, self._lines, offsets, strict=False):
            if following < row:
                self._follow(stretch, following, row, highest_ms)
            if moved_to[row - begin] >= self._engine.earliest_deadline_ms and not isinstance(
                line.content, Reject
            ):
                self._pass_by_row(stretch, row - begin)
            self._take(row, line, offset)
            following = row + 1
        if following < self._taken:
            self._follow(stretch, following, self._taken, others[-1])

    def _observe_until(self, day: int) -> None:
        """Note what the score says of whose day it is, at each beginning of a day, on what was delivered before."""
        for passed in range(max(self._day, day - OBSERVED_EVERY_DAYS) + 1, day + 1):
            self._observed.observe(self._engine, passed)
        self._day = day

    def _follow(self, stretch: Stretch, begin: int, end: int, highest_ms: int) -> None:
        """Let others' rows move the time."""
        if highest_ms >= self._engine.earliest_deadline_ms:
            first, last = begin - stretch.begin, end - stretch.begin
            moved_to = stretch.moved_to[:last]
            while True:
                passing = np.flatnonzero(moved_to[first:] >= self._engine.earliest_deadline_ms)
                if not len(passing):
                    break
                first += int(passing[0])
                self._pass_by_row(stretch, first)
                first += 1
        self._stand_before(stretch, end - stretch.begin)

    def _stand_before(self, stretch: Stretch, index: int) -> None:
        self._engine.follow(stretch.watermarks[index].tolist(), stretch.offsets[index].tolist())

    def _pass_by_row(self, stretch: Stretch, index: int) -> None:
        """Pass the deadlines that a row moves the time over; the row counts as read by then."""
        self._engine.follow(stretch.watermarks[index].tolist(), stretch.offsets[index + 1].tolist())
        row = stretch.begin + index
        self._pass(row, {int(self._folder.columns.topics[row]): int(stretch.moved_to[index])})

    def _pass(self, row: int, watermarks_ms: dict[int, int]) -> None:
        latest: Passed | None = None
        for passed in self._engine.passing(watermarks_ms):
            latest = passed if latest is None or passed > latest else latest
            if self._engine.has_output:
                self._collect((row, PASSING, *latest))

    def _take(self, row: int, line: Line, offset: int) -> None:
        """Feed one own line to the engine, which has passed the deadlines before it."""
        engine, content, feed = self._engine, line.content, line.topic_index
        if isinstance(content, Reject):
            self._reject(row, line, content.reason)
            if content.borrower_id is not None:
                engine.note_reject(feed, content.borrower_id, content.event_id, content.event_time_ms, offset)
        else:
            duplicates_before = engine.counts["duplicates"]
            refused = engine.process(content, feed, offset)
            assert refused != UNFINISHED, "nothing bounds what this engine does at once"
            if refused is not None:
                self._reject(row, line, refused)
            elif engine.counts["duplicates"] == duplicates_before:
                self._accept(row, content)
        if engine.has_output:
            self._collect((row, TAKING, 0, 0, "", ""))

    # ---- what came of it -----------------------------------------------------------------------------------------

    def _collect(self, place: Place) -> None:
        for alert in self._engine.take_unchained(self._setting.now_ms):
            self._output.alerts.append(Emitted(place, unchained(alert), judged_alert(alert)))
        for told in self._engine.take_messages():
            self._output.told.append(Told(place, told.receiver, told.message))

    def _accept(self, row: int, event: Event) -> None:
        self._events += 1
        if self._first_event is None:
            self._first_event = row, event.event_time_ms
        if self._setting.scores and not isinstance(event, Heartbeat):
            self._score(row, event.event_id, event.borrower_id, event.event_time_ms)

    def _reject(self, row: int, line: Line, reason: str) -> None:
        try:
            rejected = _Rejected(line.file, line.number, reason, line.raw.decode())
        except UnicodeDecodeError:
            shown = line.raw.decode(errors="backslashreplace")
            rejected = _Rejected(line.file, line.number, reason, shown, line.raw)
        self._output.rejected.append((row, reason, _encode(rejected)))

    def _score(self, row: int, event_id: str, borrower_id: str, event_time_ms: int) -> None:
        if self._engine.borrower(borrower_id) is None:
            return  # erased by this very event: there is nobody left to score
        probability = self._engine.probability(borrower_id, event_time_ms)
        rules = self._engine.rules_at(event_time_ms)
        score = _Score(
            event_id,
            borrower_id,
            event_time_ms,
            probability,
            tier_of(probability, rules),
            rules.card.version,
        )
        self._output.scores.append((row, _encode(score)))


class _Observed:
    """The borrowers of a shard whose fate is known, and what the score said of them."""

    def __init__(self, folder: Path, setting: Setting) -> None:
        """Read the outcomes; nothing is ever observed where there are none."""
        fates = fates_of(read_outcomes(folder) or ())
        observed_until_ms = max((fate.observed_until_ms for fate in fates.values()), default=0)
        self.counter = ScoreCounter(setting.policies[0][1].risk.horizon_days, observed_until_ms)
        self._by_slot: list[list[tuple[str, Fate]]] = [[] for _ in range(OBSERVED_EVERY_DAYS)]
        for borrower_id, fate in fates.items():
            if setting.shards == 1 or partition_of(borrower_id.encode(), setting.shards) == setting.shard:
                self._by_slot[observed_slot(borrower_id)].append((borrower_id, fate))

    def observe(self, engine: RiskEngine, day: int) -> None:
        """Look at those whose day it is, as of its beginning (UTC); who is at the model's target already is left out."""
        at_ms = day * DAY_MS
        rules = engine.rules_at(at_ms)
        for borrower_id, fate in self._by_slot[day % OBSERVED_EVERY_DAYS]:
            if fate.observed_until_ms <= at_ms:
                continue
            borrower = engine.borrower(borrower_id)
            if borrower is None or borrower.first_event_ms > at_ms:
                continue
            days_past_due = exposure_of(borrower, None, at_ms, rules).days_past_due
            if days_past_due < rules.policy.risk.target_days_late:
                probability = engine.probability(borrower_id, at_ms)
                self.counter.add(fate, at_ms, probability, is_past_due=days_past_due > 0)


def _nothing_yet() -> Output:
    return Output([], [], [], [], Ahead([], []), [])


def _highest_of_others(stretch: Stretch, own: Sequence[int]) -> list[int]:
    """The highest watermark that others' rows move to: before each own row, and behind the last."""
    moved_to = np.append(stretch.moved_to, -1)
    edges = np.zeros(2 * len(own) + 1, np.intp)
    edges[1::2] = np.asarray(own, np.intp) - stretch.begin
    edges[2::2] = edges[1::2] + 1
    highest: list[int] = np.maximum.reduceat(moved_to, edges)[::2].tolist()
    return highest


def judged_alert(alert: Alert) -> JudgedAlert:
    """What judging needs to know of an alert."""
    return JudgedAlert(
        alert_id=alert.alert_id,
        revision=alert.revision,
        status=alert.status,
        signal=alert.signal,
        severity=alert.severity,
        borrower_id=alert.borrower_id,
        loan_id=alert.loan_id,
        event_time_ms=alert.event_time_ms,
        opened_at_ms=alert.opened_at_ms,
        days_past_due=alert.exposure.days_past_due,
        priority=alert.priority,
    )
