"""RiskEngine: one partition's borrowers. Events and watermarks in, alerts and changed state out; pure.

The way of an event: its feed's watermark moves and deadlines thereby passed are judged; a duplicate or stray is
turned away; the evidence is recorded; the signals that it touches are judged as of its time. Whatever is judged is
judged as of an instant, on evidence up to that instant, so that it does not matter how late the judging comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from models import combinations, erasure, evidence, links, portfolio
from models.alerts import Alert, ChainHead, link
from models.borrower import (
    CLOCKS,
    HIGHEST,
    INCOMPLETE_MORE,
    OBSERVING,
    Borrower,
    PendingJudgement,
    check_record,
    copy_of,
    decode_borrower,
    encode_borrower,
    nameless,
    new_borrower,
)
from models.deadlines import NEVER
from models.episodes import Episode, open_episode
from models.events import (
    LINKED_RISK,
    REPAYMENTS,
    SERVICING,
    TOPICS,
    BorrowerErased,
    BorrowerEvent,
    Event,
    EventVoided,
    FundFlow,
    Heartbeat,
    LoanClosed,
    LoanOpened,
    Origin,
)
from models.evidence import NOTHING, Noted
from models.levels import Announcer
from models.lifecycle import Lifecycle, Occasion
from models.limits import (
    INCOMPLETE_RECORDS_MAX,
    INT64_MAX,
    PENDING_JUDGEMENTS_MAX,
    PICTURES_MAX,
    REMEMBERED_IDS_PER_GENERATION,
    REVIEWED_AT_ONCE_MAX,
)
from models.links import LinkedState, LinkMessage, Outgoing, Watch
from models.observing import SURELY_NEXT_MS, Observer
from models.pictures import Pictures
from models.portfolio import Portfolio
from models.publication import BorrowerRisk, Publisher
from models.recent_ids import NEW, Acquaintance, fingerprint_of, recognise, remember
from models.rejects import StateReason
from models.reviews import Reviews
from models.risk.examples import Example
from models.risk.scorecard import Scorecard, tier_of
from models.rulebook import Adopted, Rulebook
from models.rules import Rules
from models.schedule import REVIEW, Schedule, moved_by
from models.signal_table import (
    CLOCKS_BY_SIGNAL,
    LINKED_DISTRESS,
    LOOKS_OFTEN,
    PAYMENT_AT_RISK,
    RISK_SCORE,
    SIGNALS,
    SIGNALS_BY_CLOCK,
)
from models.signals import linked_distress

_IDS_PER_GENERATION: Final = tuple(REMEMBERED_IDS_PER_GENERATION[topic] for topic in TOPICS)
_PASSED_WITH: Final = tuple(
    (feed, OBSERVING) if feed == REPAYMENTS else (feed,) for feed in range(len(TOPICS))
)
"""By feed: the clocks whose deadlines its watermark passes, unless it is the highest of all."""
_PASSED_WITH_HIGHEST: Final = tuple(
    (feed, HIGHEST, OBSERVING) if feed == REPAYMENTS else (feed, HIGHEST) for feed in range(len(TOPICS))
)
"""The same where it is."""
_FAIL_CLOSED_TOPICS: Final = frozenset({REPAYMENTS, SERVICING})
"""A rejected record of these topics may be the payment or the hold that forbids to act."""


class Passing(Struct, frozen=True, array_like=True, gc=False):
    """The deadlines that a watermark passes, while they are more than one step may take."""

    feed: int
    watermark_ms: int
    is_highest: bool
    """Whether the clock of all feeds follows it."""


class EngineProgress(Struct, frozen=True, array_like=True):
    """What the engine must know again after a restart, beside the borrowers."""

    watermarks_ms: tuple[int, ...]
    """By clock; -1 where nothing came yet."""
    offsets: tuple[int, ...]
    """The last record processed by topic; -1 where none."""
    chain: ChainHead
    passing: Passing | None = None
    """Amid deadlines: those that are left are passed before anything else, also after a restart."""


class EngineOutput(Struct, frozen=True):
    """What came of the events since the last take."""

    alerts: list[Alert]
    changed: dict[str, bytes | None]
    """Borrower id to state record; None where the borrower is forgotten."""
    risks: dict[str, BorrowerRisk | None]
    """Borrower id to the record for `borrower-risk`, for those whose alerts moved; None where the borrower is erased."""
    messages: list[Outgoing] = []
    """For linked borrowers, in order."""
    examples: list[Example] = []
    """What has matured, in order of the instants at which it did; of several engines by `models.risk.examples.order_of`."""


Unfinished = Literal["unfinished"]
UNFINISHED: Final = "unfinished"
"""What an event is told before which more deadlines lie than are passed in one step: it has changed nothing, and is to come again."""

Passed = tuple[int, int, str, str]
"""A deadline's place among those passed with it: when, on which clock, whose; for a review whose turn it was."""


class _Moment(Struct, frozen=True, gc=False):
    """As of when an event lets the signals of a clock be judged."""

    occasion: Occasion
    is_behind: bool
    """A deadline before it has not passed yet: the judgement waits for it."""


def _anyone(borrower_id: str) -> bool:
    return True


class RiskEngine:
    """The borrowers of one task, their deadlines, and the alerts that come of them."""

    def __init__(
        self,
        rules: Rules | Rulebook,
        card: Scorecard | None = None,
        *,
        partition: int = 0,
        belongs: Callable[[str], bool] = _anyone,
        pictures_max: int = PICTURES_MAX,
    ) -> None:
        """An engine without borrowers.

        Args:
            rules: of one policy, or what a task has adopted so far.
            card: weighs the risk of all time; None: as the rules have it.
            partition: the task's.
            belongs: whether a key falls on this partition.
            pictures_max: borrowers kept decoded.
        """
        self.counts: Counter[str] = Counter()
        """What was noticed and not acted on, by name; drained by the caller."""
        self._book = rules if isinstance(rules, Rulebook) else Rulebook(rules)
        if card is not None:
            self._book.use_card(card)
        self._reviews = Reviews(CLOCKS, SIGNALS[RISK_SCORE].clock)
        self._partition = partition
        self._belongs = belongs
        self._borrowers: dict[str, Borrower | bytes] = {}
        self._pictures = Pictures(self._borrowers, pictures_max)
        self._watermarks_ms = [-1] * CLOCKS
        self._offsets = [-1] * len(TOPICS)
        self._head = ChainHead()
        self._alerts: list[Alert] = []
        self._changed: set[str] = set()
        self._publisher = Publisher(self._book, self._alerts)
        self._messages: list[Outgoing] = []
        self._announcer = Announcer(self._book, self._messages)
        self._examples: list[Example] = []
        self._observer = Observer(self._book, self._examples, self.counts)
        self._lifecycle = Lifecycle(self._book, self._publisher, self._announcer, self._foresee)
        self._schedule = Schedule(
            self._book, self._lifecycle, self._reviews, self._borrowers, self._watermarks_ms
        )
        self._deadlines = self._schedule.queue
        self._deadlines_at_once = INT64_MAX
        self._passing: Passing | None = None
        """What `advance_within` has begun and not finished."""
        self._follow_rules()

    # ---- what comes in -------------------------------------------------------------------------------------------

    def process(self, event: Event, feed: int, offset: int) -> StateReason | Unfinished | None:
        """Take one event in merge order; return why it is refused, or None. A duplicate is not refused.

        `UNFINISHED` where more deadlines lie before it than `hold` allows to pass at once: it was not taken.

        Args:
            event: as decoded.
            feed: index into `TOPICS`.
            offset: of its record.
        """
        self._offsets[feed] = offset
        event_time_ms = event.event_time_ms
        if type(event) is Heartbeat:
            return None if self.advance_within(feed, event_time_ms) else UNFINISHED
        borrower_id = event.borrower_id
        known = self._borrowers.get(borrower_id)
        if known is None and not self._belongs(borrower_id):
            return "wrong-partition"
        watermark_ms = event_time_ms - self._lateness_ms[feed]
        watermarks_ms = self._watermarks_ms
        if watermark_ms > watermarks_ms[feed] or self._passing is not None:
            if watermark_ms < self._deadlines.earliest_ms and self._passing is None:
                watermarks_ms[feed] = watermark_ms
                if watermark_ms > watermarks_ms[HIGHEST]:
                    watermarks_ms[HIGHEST] = watermark_ms
            elif not self.advance_within(feed, watermark_ms):
                return UNFINISHED
            else:
                known = self._borrowers.get(borrower_id)  # another picture, if it was packed meanwhile
        if not isinstance(known, Borrower) or known.first_event_ms == NEVER or self._reviews.are_due:
            known = self._touch(borrower_id, event_time_ms)
        refused = self._accept(borrower_id, known, event, feed, offset)
        if self._pictures.must_pack:
            self._pictures.pack(self._changed, self._publisher.moved)
        return refused

    def note_reject(
        self, feed: int, borrower_id: str, event_id: str | None, event_time_ms: int | None, offset: int
    ) -> None:
        """A record with a readable key was refused before it came here: its borrower's picture is incomplete."""
        self.finish_passing()
        self._offsets[feed] = offset
        if feed not in _FAIL_CLOSED_TOPICS:
            return
        if borrower_id not in self._borrowers and not self._belongs(borrower_id):
            return
        time_ms = max(self._watermarks_ms[HIGHEST], 0) if event_time_ms is None else event_time_ms
        time_ms = min(time_ms, max(self._watermarks_ms[HIGHEST], 0) + self._lateness_ms[feed])
        borrower = self._touch(borrower_id, time_ms)
        self._mark_incomplete(borrower_id, borrower, event_id, time_ms, self._origin(feed, offset, event_id))

    def advance(self, feed: int, watermark_ms: int) -> None:
        """Move the watermark of one feed, never back; judge the deadlines it passes, in order of time."""
        self.finish_passing()
        self._begin_passing(feed, watermark_ms)
        self.finish_passing()

    def advance_within(self, feed: int, watermark_ms: int) -> bool:
        """The same, but no more deadlines than `hold` allows at once, before all those of what was begun; whether all are passed.

        Deadlines are judged in order of time, so how many steps it takes changes nothing.
        """
        left = self._deadlines_at_once
        if self._passing is not None and (left := self._pass(left)) == 0:
            return False
        self._begin_passing(feed, watermark_ms)
        return self._passing is None or self._pass(left) > 0

    @property
    def is_passing(self) -> bool:
        """Whether deadlines are left of a step."""
        return self._passing is not None

    def pass_on(self) -> bool:
        """Pass some of those that are left, as `advance_within`; whether all are passed."""
        return self._passing is None or self._pass(self._deadlines_at_once) > 0

    def finish_passing(self) -> None:
        """Pass all that are left, however many: whoever asks for more than what came of them finds none half passed."""
        if self._passing is not None:
            self._pass(INT64_MAX)

    def _begin_passing(self, feed: int, watermark_ms: int) -> None:
        if watermark_ms > self._watermarks_ms[feed]:
            is_highest = watermark_ms > self._watermarks_ms[HIGHEST]
            self._passing = Passing(feed, watermark_ms, is_highest)

    def _pass(self, deadlines_max: int) -> int:
        """Judge so many of the deadlines that were begun to be passed; return how many more there might have been, 0: they go on."""
        passing = self._passing
        assert passing is not None
        feed, watermark_ms, pictures = passing.feed, passing.watermark_ms, self._pictures
        clocks = _PASSED_WITH_HIGHEST[feed] if passing.is_highest else _PASSED_WITH[feed]
        deadlines, left = self._deadlines, deadlines_max
        while (earliest := deadlines.pop_until(clocks, watermark_ms)) is not None:
            due_ms, clock, borrower_id = earliest
            if borrower_id == REVIEW:
                for _ in self._review(clock, due_ms):
                    pass
            elif clock == OBSERVING:
                self._observe(due_ms, borrower_id)
            else:
                self._judge_deadline(clock, due_ms, borrower_id)
            if pictures.must_pack:
                pictures.pack(self._changed, self._publisher.moved)
            left -= 1
            if left == 0:
                return 0
        deadlines.settle()
        self._watermarks_ms[feed] = watermark_ms
        if passing.is_highest:
            self._watermarks_ms[HIGHEST] = watermark_ms
        self._passing = None
        return left

    def advance_together(self, watermarks_ms: dict[int, int]) -> None:
        """Move the watermarks of several feeds at once, their deadlines in one order of time."""
        for _ in self.passing(watermarks_ms):
            pass

    def passing(self, watermarks_ms: dict[int, int]) -> Iterator[Passed]:
        """As `advance_together`, a judged borrower at a time: the place of each among all deadlines that are passed.

        The watermarks are there when the iterator is at its end. Places tell what comes first where borrowers are in several
        engines; a deadline found in the past comes right after the one that left it.
        """
        self.finish_passing()
        targets = {
            feed: target_ms
            for feed, target_ms in watermarks_ms.items()
            if target_ms > self._watermarks_ms[feed]
        }
        if not targets:
            return
        highest_ms = max(targets.values())
        if highest_ms > self._watermarks_ms[HIGHEST]:
            targets[HIGHEST] = highest_ms
        if REPAYMENTS in targets:
            targets[OBSERVING] = targets[REPAYMENTS]
        deadlines = self._deadlines
        while (earliest := deadlines.pop_due(targets)) is not None:
            due_ms, clock, borrower_id = earliest
            if borrower_id == REVIEW:
                for reviewed_id in self._review(clock, due_ms):
                    yield due_ms, clock, REVIEW, reviewed_id
            elif clock == OBSERVING:
                self._observe(due_ms, borrower_id)
            else:
                self._judge_deadline(clock, due_ms, borrower_id)
                yield due_ms, clock, borrower_id, ""
        deadlines.settle()
        targets.pop(OBSERVING, None)
        for clock, target_ms in targets.items():
            self._watermarks_ms[clock] = target_ms

    def follow(self, watermarks_ms: Sequence[int], offsets: Sequence[int]) -> None:
        """Note how far all clocks and topics came by records of other borrowers, none of whose deadlines is passed here.

        Args:
            watermarks_ms: by feed, and last the highest of them.
            offsets: the last record by topic.
        """
        self._watermarks_ms[:] = watermarks_ms
        self._offsets[:] = offsets

    def hear(self, receiver: str, message: LinkMessage, offset: int) -> None:
        """Take a message of a linked borrower: it counts from now on, whatever the watermarks.

        Told twice, or late, it changes nothing; one to nobody is counted.

        Args:
            receiver: a borrower of this partition.
            message: as it was handed out, here or elsewhere.
            offset: of its record.
        """
        self.finish_passing()
        if receiver not in self._borrowers and (
            isinstance(message, LinkedState) or not self._belongs(receiver)
        ):
            self.counts["link.nobody"] += 1
        elif isinstance(message, Watch):
            self._hear_watch(receiver, message)
        else:
            self._hear_state(receiver, message, offset)

    # ---- what goes out -------------------------------------------------------------------------------------------

    def take_alerts(self, detected_at_ms: int) -> list[Alert]:
        """Hand over the alerts so far, stamped and chained, and forget them."""
        alerts: list[Alert] = []
        for draft in self.take_unchained(detected_at_ms):
            alert, self._head = link(draft, self._head)
            alerts.append(alert)
        return alerts

    def take_unchained(self, detected_at_ms: int) -> list[Alert]:
        """Hand over the alerts so far, stamped, for a chain that others hold, and forget them."""
        alerts = [msgspec.structs.replace(draft, detected_at_ms=detected_at_ms) for draft in self._alerts]
        self._alerts.clear()
        return alerts

    def take_output(self, detected_at_ms: int) -> EngineOutput:
        """Hand over the alerts and the state that changed, and forget both: amid deadlines, of those passed so far."""
        changed: dict[str, bytes | None] = {}
        for borrower_id in self._changed:
            known = self._borrowers.get(borrower_id)
            changed[borrower_id] = encode_borrower(known) if isinstance(known, Borrower) else known
        self._changed.clear()
        self._pictures.settle(changed)
        alerts, risks = self.take_alerts(detected_at_ms), self._publisher.take_risks()
        return EngineOutput(alerts, changed, risks, self.take_messages(), self.take_examples())

    def take_messages(self) -> list[Outgoing]:
        """Hand over the messages for linked borrowers, and forget them."""
        messages = self._messages.copy()
        self._messages.clear()
        return messages

    def take_examples(self) -> list[Example]:
        """Hand over what has matured, and forget it."""
        examples = self._examples.copy()
        self._examples.clear()
        return examples

    def progress(self) -> EngineProgress:
        """What `resume` needs; complete only right after `take_output`."""
        return EngineProgress(tuple(self._watermarks_ms), tuple(self._offsets), self._head, self._passing)

    @property
    def has_output(self) -> bool:
        """Whether there are alerts or messages to take."""
        return bool(self._alerts or self._messages)

    @property
    def changed_count(self) -> int:
        """Borrowers whose state `take_output` will hand over."""
        return len(self._changed)

    def hold(self, pictures_max: int, deadlines_at_once: int = INT64_MAX) -> None:
        """Bound memory and time.

        Args:
            pictures_max: borrowers kept decoded, from the next `take_output` on.
            deadlines_at_once: passed by one `process` or `advance_within`.
        """
        self._pictures.pictures_max = pictures_max
        self._deadlines_at_once = deadlines_at_once

    @property
    def pending_alerts(self) -> Sequence[Alert]:
        """The alerts not taken yet, neither stamped nor chained."""
        return self._alerts

    @property
    def earliest_deadline_ms(self) -> int:
        """No deadline of any clock is earlier."""
        return self._deadlines.earliest_ms

    @property
    def watermarks_ms(self) -> Sequence[int]:
        """By feed; -1 where nothing came yet."""
        return self._watermarks_ms[:HIGHEST]

    @property
    def borrower_count(self) -> int:
        """Borrowers known."""
        return len(self._borrowers)

    def borrower(self, borrower_id: str) -> Borrower | None:
        """One borrower's picture."""
        return self._known(borrower_id)

    def probability(self, borrower_id: str, at_ms: int) -> float:
        """The probability of trouble of one borrower as of an instant."""
        borrower = self._known(borrower_id)
        assert borrower is not None, borrower_id
        return self._publisher.probability(borrower, at_ms)

    def borrower_ids(self) -> list[str]:
        """All borrowers, those kept as bytes among them."""
        return list(self._borrowers)

    def survey(self, borrower_ids: Iterable[str], book: Portfolio) -> None:
        """Add how borrowers stand as of the watermark of `repayments`. Nothing changes, and who is kept as bytes stays so."""
        at_ms = self._watermarks_ms[REPAYMENTS]
        rules = self._book.at(at_ms)
        for borrower_id in borrower_ids:
            known = self._borrowers.get(borrower_id)
            if known is None:
                continue
            if isinstance(known, Borrower):
                borrower, record = known, encode_borrower(known)
            else:
                borrower, record = decode_borrower(borrower_id, known), known
            book.surveyed += 1
            book.state_bytes += len(record)
            portfolio.add_alerts(book, borrower)
            loans = portfolio.open_loans(borrower, at_ms)
            if loans:
                tier = tier_of(self._publisher.probability(borrower, at_ms), rules)
                portfolio.add_loans(book, borrower, loans, tier, at_ms, rules)

    # ---- restart -------------------------------------------------------------------------------------------------

    def restore(self, borrower_id: str, record: bytes) -> None:
        """Take a state record back; it stays bytes until its borrower is touched. A later record replaces it.

        Raises:
            CorruptStateError: the record cannot be trusted, and nothing was taken.
        """
        deadlines_ms = check_record(borrower_id, record)
        self._borrowers[borrower_id] = record
        for clock, due_ms in enumerate(deadlines_ms):
            if due_ms != NEVER:
                self._schedule.push(clock, due_ms, borrower_id)

    def forget(self, borrower_id: str) -> None:
        """Take a tombstone back."""
        self._borrowers.pop(borrower_id, None)

    def resume(self, progress: EngineProgress) -> None:
        """Go on from where `progress` was taken."""
        self._watermarks_ms[:] = progress.watermarks_ms
        self._offsets = list(progress.offsets)
        self._head = progress.chain
        self._passing = progress.passing
        for from_ms in [*self._book.starts_ms, *self._book.score_starts_ms]:
            self._plan_review(from_ms)
        self._follow_rules()

    # ---- policies and cards ------------------------------------------------------------------------------------------------

    @property
    def adopted(self) -> Adopted:
        """The policies taken up, to be remembered with `progress`; the engine of a restart is made with them."""
        return self._book.adopted

    @property
    def adopted_cards(self) -> Adopted:
        """The same of the cards."""
        return self._book.adopted_cards

    @property
    def policy_version(self) -> str:
        """Of the policy in force as of the task's highest watermark."""
        return self._book.at(self._watermarks_ms[HIGHEST]).policy_version

    @property
    def card_version(self) -> str:
        """The same of the card."""
        return self._book.at(self._watermarks_ms[HIGHEST]).card.version

    def rules_at(self, at_ms: int) -> Rules:
        """What judges as of an instant, whatever the segment."""
        return self._book.at(at_ms)

    def adopt(self, publication: int, rules: Rules, effective_from_ms: int) -> None:
        """Take up a policy: it judges everything as of `effective_from_ms` and later.

        What was judged already stays: where that instant may lie in it, the policy holds from the first one that no event
        has reached. Whatever stands by then is found within a day of event time, a borrower at a time. A policy that is in
        force anyway changes nothing.
        """
        self.finish_passing()
        book = self._book
        book.publication = publication
        self._take_up(book.adopt(rules, effective_from_ms, not_before_ms=self._unjudged_from_ms))

    def adopt_card(self, publication: int, card: Scorecard, effective_from_ms: int) -> None:
        """Take up a card by the same rules: it weighs what is judged as of `effective_from_ms` and later.

        Borrowers are judged once more by their score alone, unless a policy lets it confirm other signals.
        """
        self.finish_passing()
        book = self._book
        book.card_publication = publication
        self._take_up(book.adopt_card(card, effective_from_ms, not_before_ms=self._unjudged_from_ms))

    @property
    def _unjudged_from_ms(self) -> int:
        """The first instant that no event has reached."""
        highest_ms = self._watermarks_ms[HIGHEST]
        return -1 if highest_ms < 0 else highest_ms + self._book.lateness_ms_max + 1

    def _take_up(self, from_ms: int | None) -> None:
        """Follow a book in which something is new, from an instant on where it judges anything otherwise."""
        self._reviews.keep(self._book.starts_ms, self._book.score_starts_ms)
        if from_ms is not None:
            self._plan_review(from_ms)
        self._follow_rules()

    @property
    def is_reviewing(self) -> bool:
        """Whether borrowers are, or soon will be, judged once more: `prepare` bounds the work then."""
        return self._reviews.are_due

    def prepare(self, event: Event, feed: int, offset: int) -> bool:
        """Move the watermark towards where an event will, by one step of bounded work; whether it may be processed now.

        Deadlines are judged in order of time, so how many steps it takes changes nothing.
        """
        self._offsets[feed] = offset
        watermark_ms = event.event_time_ms
        if not isinstance(event, Heartbeat):
            if event.borrower_id not in self._borrowers and not self._belongs(event.borrower_id):
                return True
            watermark_ms -= self._lateness_ms[feed]
        return watermark_ms < self._deadlines.earliest_ms or self.advance_a_step(feed, watermark_ms)

    def advance_a_step(self, feed: int, watermark_ms: int) -> bool:
        """Move the watermark of a feed as far as reviews of bounded number allow; whether nothing is left to do before it."""
        reviewed = 0
        clocks = (feed, HIGHEST)
        reached_ms = min(self._reviews.next_ms(clock, self._watermarks_ms[clock]) for clock in clocks)
        while reached_ms <= watermark_ms:
            for clock in clocks:
                if self._watermarks_ms[clock] < reached_ms:
                    reviewed += self._reviews.how_many(clock, reached_ms)
            if reviewed >= REVIEWED_AT_ONCE_MAX:
                self.advance_within(feed, reached_ms)
                return False
            following_ms = (
                self._reviews.next_ms(clock, max(reached_ms, self._watermarks_ms[clock])) for clock in clocks
            )
            reached_ms = min(following_ms)
        return True

    def _follow_rules(self) -> None:
        """Take over what is asked for with every event."""
        self._lateness_ms = self._book.at(self._watermarks_ms[HIGHEST]).lateness_ms
        self._has_combinations = self._book.has_combinations
        self._has_segments = self._book.has_segments

    def _plan_review(self, from_ms: int) -> None:
        """Have every borrower judged once more within a day after a policy or card takes effect, each at its minute."""
        is_of_score = from_ms in self._book.score_starts_ms and from_ms not in self._book.starts_ms
        if self._reviews.plan(from_ms, self._borrowers, self._watermarks_ms, is_of_score=is_of_score):
            for clock in range(CLOCKS):
                self._schedule.push_review(clock)

    def _review(self, clock: int, due_ms: int) -> Iterator[str]:
        """Judge the borrowers whose minute it is. It comes before the other deadlines of the same instant."""
        if not self._reviews.begin(clock, due_ms):
            return
        self._watermarks_ms[clock] = max(self._watermarks_ms[clock], due_ms)
        for borrower_id, is_whole in self._reviews.whose_turn(clock, due_ms).items():
            borrower = self._known(borrower_id)
            if borrower is not None:
                signals = SIGNALS_BY_CLOCK[clock] if is_whole else (RISK_SCORE,)
                self._judge_due(clock, due_ms, signals, borrower_id, borrower)
                if clock == REPAYMENTS and is_whole:
                    self._await_observation(borrower_id, borrower)
                yield borrower_id
        if clock == HIGHEST:
            self._follow_rules()
        self._schedule.push_review(clock)
        self._reviews.end(self._watermarks_ms)

    # ---- one event -----------------------------------------------------------------------------------------------

    def _accept(
        self, borrower_id: str, borrower: Borrower, event: BorrowerEvent, feed: int, offset: int
    ) -> StateReason | None:
        ids, event_time_ms = borrower.seen[feed], event.event_time_ms
        fingerprint = fingerprint_of(event.event_id)
        # not `in`: asked for bytes, it first raises an error and drops it, for they are no number
        if (
            ids.current.find(fingerprint) >= 0
            or ids.previous.find(fingerprint) >= 0
            or event_time_ms <= ids.floor_ms
        ):
            acquaintance = recognise(ids, fingerprint, event_time_ms)
            if acquaintance is Acquaintance.DUPLICATE:
                self.counts["duplicates"] += 1
                return None
            if acquaintance is not NEW:
                self._changed.add(borrower_id)
                origin = self._origin(feed, offset, event.event_id)
                return self._refuse(borrower_id, borrower, event, feed, origin, "too-late")
        self._changed.add(borrower_id)
        rules = self._book.only or self._rules_of_event(borrower, event)
        if type(event) is FundFlow and not borrower.voids:
            noted = evidence.record_flow(borrower, event, rules)
            remember(ids, fingerprint, event_time_ms, _IDS_PER_GENERATION[feed])
            if noted is not NOTHING or borrower.incomplete:  # else, as with most events, all is done
                origin = self._origin(feed, offset, event.event_id)
                self._follow_up(borrower_id, borrower, event, feed, origin, noted)
            return None
        origin = self._origin(feed, offset, event.event_id)
        if type(event) is BorrowerErased:
            self._erase(borrower_id, borrower, event_time_ms, origin)
            return None
        noted = evidence.record(borrower, event, origin, rules)
        if noted.refused is not None:
            return self._refuse(borrower_id, borrower, event, feed, origin, noted.refused)
        remember(ids, fingerprint, event_time_ms, _IDS_PER_GENERATION[feed])
        if (
            feed == REPAYMENTS
            and borrower.observation_due_ms - event_time_ms > SURELY_NEXT_MS
            and rules.policy.model.observes
        ):
            self._await_observation(borrower_id, borrower)
        self._follow_up(borrower_id, borrower, event, feed, origin, noted)
        return None

    def _follow_up(
        self,
        borrower_id: str,
        borrower: Borrower,
        event: BorrowerEvent,
        feed: int,
        origin: Origin,
        noted: Noted,
    ) -> None:
        """What comes of an event that was recorded."""
        if noted is not NOTHING:
            self._act_on(borrower_id, borrower, event, origin, noted)
        if borrower.incomplete and borrower.incomplete.pop(_completed_by(event, feed), None) is not None:
            self._present_again(borrower_id, borrower, event.event_time_ms, origin)

    def _act_on(
        self, borrower_id: str, borrower: Borrower, event: BorrowerEvent, origin: Origin, noted: Noted
    ) -> None:
        """Count and judge what an event did to the picture."""
        if noted.noticed is not None:
            self.counts[noted.noticed] += 1
        if noted.touched:
            self._react(borrower_id, borrower, noted.touched, event.event_time_ms, origin, noted)
            if self._has_combinations and (
                borrower.episodes or min(borrower.deadlines_ms) <= event.event_time_ms
            ):
                self._react_to_confirmations(borrower_id, borrower, event.event_time_ms, origin, noted)
        if noted.lacks_money:
            self._look_again(borrower_id, borrower, event.event_time_ms, origin)
        if self._has_segments and isinstance(event, LoanOpened | LoanClosed | EventVoided):
            self._react_to_segment(borrower_id, borrower, event.event_time_ms, origin, noted)

    def _react_to_confirmations(
        self, borrower_id: str, borrower: Borrower, event_time_ms: int, origin: Origin, noted: Noted
    ) -> None:
        """What was touched may confirm other alerts that are open, or are about to be."""
        rules = self._book.at(event_time_ms)
        confirmed = {
            number for signal, _ in noted.touched for number in combinations.confirmed_by(signal, rules)
        }
        if not confirmed:
            return
        touched = [
            subject
            for subject in evidence.unsettled(borrower, event_time_ms)
            if subject[0] in confirmed and subject not in noted.touched
        ]
        self._react(borrower_id, borrower, touched, event_time_ms, origin)

    def _rules_of_event(self, borrower: Borrower, event: BorrowerEvent) -> Rules:
        """The rules by which an event is written down: those of its time, and of its loan."""
        loan_id: str | None = getattr(event, "loan_id", None)
        if loan_id is None or not self._has_segments:
            return self._book.at(event.event_time_ms)
        return self._book.of(borrower, loan_id, event.event_time_ms)

    def _react_to_segment(
        self, borrower_id: str, borrower: Borrower, event_time_ms: int, origin: Origin, noted: Noted
    ) -> None:
        """Which loans are open says which segment the borrower as a whole belongs to, and so what is to be found."""
        if not self._book.at(max(event_time_ms, self._watermarks_ms[HIGHEST])).segments:
            return  # segments of a policy to come
        touched: list[tuple[int, str | None]] = [
            (signal, None)
            for signal, kind in enumerate(SIGNALS)
            if (signal, None) not in noted.touched and None in kind.subjects(borrower)
        ]
        self._react(borrower_id, borrower, touched, event_time_ms, origin)

    def _refuse(
        self,
        borrower_id: str,
        borrower: Borrower,
        event: BorrowerEvent,
        feed: int,
        origin: Origin,
        reason: StateReason,
    ) -> StateReason:
        if feed in _FAIL_CLOSED_TOPICS:
            self._mark_incomplete(borrower_id, borrower, event.event_id, event.event_time_ms, origin)
        return reason

    def _erase(self, borrower_id: str, borrower: Borrower, event_time_ms: int, origin: Origin) -> None:
        """Close what is open and forget everything, as the law may demand; stale deadlines find nobody."""
        occasion = Occasion(event_time_ms, event_time_ms, origin)
        erasure.close_alerts(borrower_id, borrower, occasion, self._publisher)
        self._announcer.take_leave(borrower_id, borrower, self._partition, event_time_ms)
        self._borrowers.pop(borrower_id, None)
        self._reviews.leave_out(borrower_id)
        self._publisher.forget(borrower_id)
        self.counts["borrowers_erased"] += 1

    def _mark_incomplete(
        self, borrower_id: str, borrower: Borrower, event_id: str | None, event_time_ms: int, origin: Origin
    ) -> None:
        name = event_id or nameless(origin.topic, origin.offset)
        if len(borrower.incomplete) >= INCOMPLETE_RECORDS_MAX:
            name = INCOMPLETE_MORE
        borrower.incomplete.setdefault(name, event_time_ms)
        self._changed.add(borrower_id)
        self._present_again(borrower_id, borrower, event_time_ms, origin)

    def _present_again(
        self, borrower_id: str, borrower: Borrower, event_time_ms: int, origin: Origin
    ) -> None:
        """A hold began or ended: open alerts say so, and those that a deadline not passed yet will open."""
        self._react(borrower_id, borrower, evidence.unsettled(borrower, event_time_ms), event_time_ms, origin)

    # ---- judging -------------------------------------------------------------------------------------------------

    def _react(
        self,
        borrower_id: str,
        borrower: Borrower,
        touched: Sequence[tuple[int, str | None]],
        event_time_ms: int,
        origin: Origin,
        noted: Noted = NOTHING,
    ) -> None:
        """Judge the signals that an event touched; behind a deadline that has not passed yet, the judgement waits."""
        if len(touched) == 1 and self._react_in_order(
            borrower_id, borrower, touched, event_time_ms, origin, noted
        ):
            return
        moments: dict[int, _Moment] = {}
        for signal, subject in touched:
            if signal == LINKED_DISTRESS:
                is_correction = noted.rewrites_past
                self._judge_linked(borrower_id, borrower, event_time_ms, origin, is_correction=is_correction)
                continue
            clock = CLOCKS_BY_SIGNAL[signal]
            moment = moments.get(clock)
            if moment is None:
                moment = moments[clock] = self._moment(borrower, clock, event_time_ms, origin, noted)
            occasion = moment.occasion
            if noted.rewrites_past or event_time_ms < occasion.at_ms:
                since_ms = noted.rewrites_from_ms if noted.rewrites_past else event_time_ms
                self._lifecycle.retract_disproved(borrower_id, borrower, signal, subject, since_ms, occasion)
            if moment.is_behind:
                waits = PendingJudgement(signal, subject, occasion.at_ms, event_time_ms, origin)
                self._await(borrower, waits)
            else:
                self._lifecycle.judge(borrower_id, borrower, signal, subject, occasion)
        for clock, moment in moments.items():
            deadline_ms = NEVER
            if moment.is_behind:
                deadline_ms = borrower.deadlines_ms[clock]
            else:
                borrower.judged_ms[clock] = moment.occasion.at_ms
            if noted.is_report:
                moved: Collection[int] = {
                    signal for signal, _ in touched if CLOCKS_BY_SIGNAL[signal] == clock
                }
            else:
                moved = moved_by(borrower, clock, touched, self._book.only)
            self._schedule.renew(borrower_id, borrower, clock, moved, no_later_than_ms=deadline_ms)

    def _react_in_order(
        self,
        borrower_id: str,
        borrower: Borrower,
        touched: Sequence[tuple[int, str | None]],
        event_time_ms: int,
        origin: Origin,
        noted: Noted,
    ) -> bool:
        """The same for one signal as of the event's own time, where nothing stands before it: most events. Whether it is so."""
        signal, subject = touched[0]
        clock = CLOCKS_BY_SIGNAL[signal]
        judged_ms = borrower.judged_ms
        if (
            event_time_ms < judged_ms[clock]
            or event_time_ms < self._watermarks_ms[clock]
            or event_time_ms < noted.entered_up_to_ms
            or event_time_ms >= borrower.deadlines_ms[clock]
            or borrower.pending
            or noted.rewrites_past
            or noted.is_report
            or signal == LINKED_DISTRESS
        ):
            return False
        occasion = Occasion(event_time_ms, event_time_ms, origin)
        self._lifecycle.judge(borrower_id, borrower, signal, subject, occasion)
        judged_ms[clock] = event_time_ms
        moved = moved_by(borrower, clock, touched, self._book.only)
        self._schedule.renew(borrower_id, borrower, clock, moved)
        return True

    def _moment(
        self, borrower: Borrower, clock: int, event_time_ms: int, origin: Origin, noted: Noted
    ) -> _Moment:
        """As of when signals of a clock can be judged first."""
        at_ms = max(
            event_time_ms, noted.entered_up_to_ms, self._watermarks_ms[clock], borrower.judged_ms[clock]
        )
        is_behind = False
        if borrower.pending:
            for waiting in borrower.pending:
                if CLOCKS_BY_SIGNAL[waiting.signal] == clock:
                    at_ms, is_behind = max(at_ms, waiting.at_ms), True
        occasion = Occasion(at_ms, event_time_ms, origin)
        return _Moment(occasion, is_behind or borrower.deadlines_ms[clock] <= at_ms)

    def _await(self, borrower: Borrower, judgement: PendingJudgement) -> None:
        if len(borrower.pending) >= PENDING_JUDGEMENTS_MAX:
            self.counts["pending_judgements_merged"] += 1
            borrower.pending.pop()
        borrower.pending.append(judgement)

    def _look_again(self, borrower_id: str, borrower: Borrower, event_time_ms: int, origin: Origin) -> None:
        """Have `payment_at_risk` look where it had not to, now that money is lacking; at once where it would have looked already."""
        signal, clock = PAYMENT_AT_RISK, SIGNALS[PAYMENT_AT_RISK].clock
        passed_ms = max(self._watermarks_ms[clock], borrower.judged_ms[clock])
        if event_time_ms < passed_ms:
            rules = self._book.of(borrower, None, event_time_ms)
            if SIGNALS[signal].next_deadline_ms(borrower, None, event_time_ms, None, rules) <= passed_ms:
                self._react(borrower_id, borrower, ((signal, None),), event_time_ms, origin)
                return
        self._schedule.renew(borrower_id, borrower, clock, (signal,), borrower.deadlines_ms[clock])

    def _judge_deadline(self, clock: int, due_ms: int, borrower_id: str) -> None:
        """A deadline has passed: judge what is due as of it, then what waited for it."""
        if due_ms > self._watermarks_ms[clock]:
            self._watermarks_ms[clock] = due_ms
        borrower = self._known(borrower_id)
        if borrower is None:
            return
        if borrower.deadlines_ms[clock] != due_ms:  # it has moved away
            self._schedule.await_next(clock, due_ms, borrower_id, borrower)
            return
        deadlines_ms = borrower.signal_deadlines_ms
        due: Sequence[int] = SIGNALS_BY_CLOCK[clock]
        if len(deadlines_ms) == len(SIGNALS):
            due = [
                one
                for one in due
                if (own_ms := deadlines_ms[one]) <= due_ms or (own_ms != NEVER and one in LOOKS_OFTEN)
            ]
        self._judge_due(clock, due_ms, due, borrower_id, borrower)
        self._schedule.await_next(clock, due_ms, borrower_id, borrower)

    def _judge_due(
        self, clock: int, due_ms: int, signals: Sequence[int], borrower_id: str, borrower: Borrower
    ) -> None:
        """Judge signals of a clock as of a deadline."""
        self._changed.add(borrower_id)
        occasion: Occasion | None = None
        for signal in signals:
            if signal == LINKED_DISTRESS and borrower.links is not None and due_ms < borrower.links.judged_ms:
                continue
            feed = SIGNALS[signal].feed
            if occasion is None or occasion.origin.topic != TOPICS[feed]:
                origin = self._origin(feed, self._offsets[feed], None)
                occasion = Occasion(due_ms, due_ms, origin, deadline=True)
            for subject in SIGNALS[signal].subjects(borrower):
                self._lifecycle.judge(borrower_id, borrower, signal, subject, occasion)
        if borrower.links is not None:
            self._announcer.announce(borrower_id, borrower, due_ms, due_ms)
        borrower.judged_ms[clock] = max(borrower.judged_ms[clock], due_ms)
        self._schedule.renew(borrower_id, borrower, clock, signals)
        if borrower.pending:
            self._judge_pending(borrower_id, borrower, clock)

    def _judge_pending(self, borrower_id: str, borrower: Borrower, clock: int) -> None:
        """Judge what waited, up to the next deadline that has not passed; what waited for one instant together."""
        while waiting := [one for one in borrower.pending if CLOCKS_BY_SIGNAL[one.signal] == clock]:
            at_ms = waiting[0].at_ms
            if at_ms >= borrower.deadlines_ms[clock]:
                return
            touched = [(one.signal, one.loan_id) for one in waiting if one.at_ms == at_ms]
            for one in waiting:
                if one.at_ms != at_ms:
                    break
                borrower.pending.remove(one)
                occasion = Occasion(at_ms, one.event_time_ms, one.origin)
                self._lifecycle.judge(borrower_id, borrower, one.signal, one.loan_id, occasion)
            borrower.judged_ms[clock] = max(borrower.judged_ms[clock], at_ms)
            moved = moved_by(borrower, clock, touched, self._book.only)
            self._schedule.renew(borrower_id, borrower, clock, moved)

    # ---- observing -----------------------------------------------------------------------------------------------

    def _observe(self, due_ms: int, borrower_id: str) -> None:
        """The deadline of an observation has passed."""
        borrower = self._known(borrower_id)
        if borrower is None or borrower.observation_due_ms != due_ms:
            return
        self._changed.add(borrower_id)
        self._observer.look(borrower_id, borrower, due_ms)
        self._queue_observation(borrower_id, borrower)

    def _await_observation(self, borrower_id: str, borrower: Borrower) -> None:
        """Something has come that may have the borrower observed, or sooner than was known."""
        if self._observer.await_next(borrower_id, borrower, self._watermarks_ms[REPAYMENTS]):
            self._queue_observation(borrower_id, borrower)

    def _queue_observation(self, borrower_id: str, borrower: Borrower) -> None:
        if borrower.observation_due_ms != NEVER:
            self._schedule.push(OBSERVING, borrower.observation_due_ms, borrower_id)

    # ---- linked borrowers ----------------------------------------------------------------------------------------

    def _hear_watch(self, borrower_id: str, watch: Watch) -> None:
        """Note who watches, and answer. Who is watched and not known yet gets a picture that holds nothing else."""
        borrower = self._known(borrower_id) or self._touch(borrower_id, NEVER)
        if borrower.links is None:
            borrower.links = links.LinkEvidence()
        self._changed.add(borrower_id)
        if not links.take_watch(borrower.links, watch):
            self.counts["link.too-many-watchers"] += 1
        elif watch.on:
            at_ms = max(self._watermarks_ms[HIGHEST], 0)
            self._announcer.answer(borrower_id, borrower, watch, at_ms)
            self._schedule.renew(borrower_id, borrower, HIGHEST, (), borrower.deadlines_ms[HIGHEST])
        elif borrower.first_event_ms == NEVER and not borrower.links.watchers:
            self._borrowers.pop(borrower_id)
            self._reviews.leave_out(borrower_id)

    def _hear_state(self, borrower_id: str, state: LinkedState, offset: int) -> None:
        borrower = self._known(borrower_id)
        assert borrower is not None, borrower_id
        evidence = borrower.links or links.LinkEvidence()
        since_ms = links.since_ms(evidence, state.source)
        heard = links.hear(evidence, state)
        if heard != "news":
            self.counts[f"link.{heard}"] += 1
            return
        self._changed.add(borrower_id)
        event_time_ms = max(state.cause_time_ms, since_ms)
        origin = Origin(LINKED_RISK, self._partition, offset, None)
        self._judge_linked(borrower_id, borrower, event_time_ms, origin)

    def _judge_linked(
        self,
        borrower_id: str,
        borrower: Borrower,
        event_time_ms: int,
        origin: Origin,
        *,
        is_correction: bool = False,
    ) -> None:
        """Ask whom to ask, and judge `linked_distress` at once: it waits for no deadline, and its time is nobody else's."""
        evidence = borrower.links
        assert evidence is not None, borrower_id
        for watched, on in links.reconcile(evidence):
            watch = Watch(borrower_id, watched.relation, on=on, watcher_partition=self._partition)
            self._messages.append(Outgoing(watched.linked_id, watched.partition, watch))
        evidence.judged_ms = max(event_time_ms, self._watermarks_ms[HIGHEST], evidence.judged_ms)
        occasion = Occasion(evidence.judged_ms, event_time_ms, origin)
        episode = open_episode(borrower.episodes, LINKED_DISTRESS, None)
        rules = self._book.of(borrower, None, evidence.judged_ms)
        if is_correction and episode is not None and linked_distress.judge(evidence, rules) is None:
            self._lifecycle.retract(borrower_id, borrower, episode, occasion)
        else:
            self._lifecycle.judge(borrower_id, borrower, LINKED_DISTRESS, None, occasion)
        self._schedule.renew(
            borrower_id, borrower, HIGHEST, (LINKED_DISTRESS,), borrower.deadlines_ms[HIGHEST]
        )

    # ---- ahead ---------------------------------------------------------------------------------------------------

    def _foresee(self, borrower_id: str, borrower: Borrower, occasion: Occasion) -> Sequence[Episode]:
        """A borrower's alerts as they will be known when every feed is as far as an occasion.

        Deadlines are judged as of their instants, so where a feed lags a copy of the borrower may go ahead of it. For
        events in order that tells what will be.
        """
        ahead_ms = occasion.known_ms
        reviews_ms = (self._schedule.review_ms(borrower_id, clock) for clock in range(CLOCKS))
        if min(*borrower.deadlines_ms, *reviews_ms) > ahead_ms:
            return borrower.episodes
        ahead = RiskEngine(self._book)
        copied = copy_of(borrower)
        ahead._borrowers[borrower_id] = copied
        ahead._watermarks_ms[:] = self._watermarks_ms
        ahead._reviews.follow(self._reviews)
        for clock in range(CLOCKS):
            self._schedule.bring_forward(borrower_id, copied, clock)
            ahead._schedule.push(clock, copied.deadlines_ms[clock], borrower_id)
        ahead.advance_together(dict.fromkeys(range(CLOCKS), ahead_ms))
        return copied.episodes

    # ---- borrowers -----------------------------------------------------------------------------------------------

    def _known(self, borrower_id: str) -> Borrower | None:
        """A borrower's picture, decoded at first touch."""
        return self._pictures.known(borrower_id)

    def _touch(self, borrower_id: str, event_time_ms: int) -> Borrower:
        known = self._known(borrower_id)
        if known is None:
            known = self._borrowers[borrower_id] = new_borrower(event_time_ms)
            if self._reviews.are_due:
                self._reviews.take_in(borrower_id)
                for clock in range(CLOCKS):
                    self._schedule.push_review(clock)
        elif known.first_event_ms == NEVER:
            known.first_event_ms = event_time_ms
        if self._reviews.are_due:
            self._schedule.await_review(borrower_id, known)
        return known

    def _origin(self, feed: int, offset: int, event_id: str | None) -> Origin:
        return Origin(TOPICS[feed], self._partition, offset, event_id)


def _completed_by(event: BorrowerEvent, feed: int) -> str:
    """The name of the refused record that an accepted one makes up for: itself, or the one that it takes back."""
    if isinstance(event, EventVoided) and feed in _FAIL_CLOSED_TOPICS:
        return event.target_event_id
    return event.event_id
