"""A tiny engine for tests of the pipeline: it counts a borrower's events, in order, and alerts on every n-th.

Its state is a chain over the ids of a borrower's events, so that one lost, doubled or out of order shows in every later state.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from models.alerts import (
    Alert,
    Cause,
    Chain,
    ChainHead,
    Exposure,
    Recommendation,
    Risk,
    alert_id,
    case_id,
    link,
)
from models.engine import EngineOutput, EngineProgress
from models.events import TOPICS, Event, Heartbeat
from models.limits import INT64_MAX
from models.links import LinkMessage
from models.portfolio import Portfolio
from models.rejects import StateReason
from models.risk.examples import Example
from models.risk.scorecard import Scorecard
from models.rulebook import SINCE_EVER_MS, Adopted, Span
from models.rules import Rules
from streams.ports import Engine, Logs


class FakeEngine:
    """See `streams.ports.Engine`."""

    def __init__(self, partition: int, belongs: Callable[[str], bool], *, alert_every: int = 5) -> None:
        self.counts: Counter[str] = Counter()
        self.states: dict[str, bytes] = {}
        self.watermarks_ms = [-1] * (len(TOPICS) + 1)
        self.advanced: list[tuple[int, int]] = []
        self.pictures_max = INT64_MAX
        self._partition = partition
        self._belongs = belongs
        self._alert_every = alert_every
        self._alerts: list[Alert] = []
        self._examples: list[Example] = []
        self._changed: set[str] = set()
        self._offsets = [-1] * len(TOPICS)
        self._head = ChainHead()

    def process(self, event: Event, feed: int, offset: int) -> StateReason | None:
        self._offsets[feed] = offset
        if isinstance(event, Heartbeat):
            self.watermarks_ms[feed] = max(self.watermarks_ms[feed], event.event_time_ms)
            return None
        borrower_id = event.borrower_id
        if borrower_id not in self.states and not self._belongs(borrower_id):
            return "wrong-partition"
        count = self._append(borrower_id, f"{feed}:{event.event_id}")
        if count % self._alert_every == 0:
            cause = Cause(TOPICS[feed], self._partition, offset, event.event_id)
            self._alert(borrower_id, count, event.event_time_ms, cause)
            self._examples.append(numbered_example(borrower_id, count))
        return None

    def note_reject(
        self, feed: int, borrower_id: str, event_id: str | None, event_time_ms: int | None, offset: int
    ) -> None:
        self._offsets[feed] = offset
        if self._belongs(borrower_id):
            self._append(borrower_id, f"{feed}:reject:{event_id}")

    def hear(self, receiver: str, message: LinkMessage, offset: int) -> None:
        self._append(receiver, f"told:{msgspec.json.encode(message).decode()}")

    def advance(self, feed: int, watermark_ms: int) -> None:
        self.advanced.append((feed, watermark_ms))
        self.watermarks_ms[feed] = max(self.watermarks_ms[feed], watermark_ms)

    def take_output(self, detected_at_ms: int) -> EngineOutput:
        alerts = []
        for draft in self._alerts:
            alert, self._head = link(
                msgspec.structs.replace(draft, detected_at_ms=detected_at_ms), self._head
            )
            alerts.append(alert)
        self._alerts.clear()
        changed: dict[str, bytes | None] = {
            borrower_id: self.states[borrower_id] for borrower_id in sorted(self._changed)
        }
        self._changed.clear()
        examples, self._examples = self._examples, []
        return EngineOutput(alerts=alerts, changed=changed, risks={}, examples=examples)

    def progress(self) -> EngineProgress:
        return EngineProgress(tuple(self.watermarks_ms), tuple(self._offsets), self._head)

    @property
    def borrower_count(self) -> int:
        return len(self.states)

    @property
    def changed_count(self) -> int:
        return len(self._changed)

    def hold(self, pictures_max: int, deadlines_at_once: int) -> None:
        self.pictures_max = pictures_max

    is_passing = False

    def pass_on(self) -> bool:
        return True

    def advance_within(self, feed: int, watermark_ms: int) -> bool:
        self.advance(feed, watermark_ms)
        return True

    @property
    def pending_alerts(self) -> list[Alert]:
        return self._alerts

    def borrower_ids(self) -> list[str]:
        return list(self.states)

    def survey(self, borrower_ids: Iterable[str], book: Portfolio) -> None:
        for borrower_id in borrower_ids:
            book.surveyed += 1
            book.state_bytes += len(self.states[borrower_id])
            book.borrowers["low", "current"] += 1

    def restore(self, borrower_id: str, record: bytes) -> None:
        self.states[borrower_id] = record

    def resume(self, progress: EngineProgress) -> None:
        self.watermarks_ms = list(progress.watermarks_ms)
        self._offsets = list(progress.offsets)
        self._head = progress.chain

    adopted = Adopted(0, (Span(SINCE_EVER_MS, "fake-policy"),))
    policy_version = "fake-policy"
    adopted_cards = Adopted(0, (Span(SINCE_EVER_MS, "fake-card"),))
    card_version = "fake-card"
    is_reviewing = False

    def prepare(self, event: Event, feed: int, offset: int) -> bool:
        return True

    def advance_a_step(self, feed: int, watermark_ms: int) -> bool:
        return True

    def adopt(self, publication: int, rules: Rules, effective_from_ms: int) -> None:
        self.adopted = Adopted(publication, (Span(effective_from_ms, rules.policy_version),))

    def adopt_card(self, publication: int, card: Scorecard, effective_from_ms: int) -> None:
        self.adopted_cards = Adopted(publication, (Span(effective_from_ms, card.version),))

    def _append(self, borrower_id: str, what: str) -> int:
        state = self.states.get(borrower_id, bytes(8))
        count = int.from_bytes(state[:4], "big") + 1
        self.states[borrower_id] = count.to_bytes(4, "big") + zlib.crc32(
            what.encode(), zlib.crc32(state)
        ).to_bytes(4, "big")
        self._changed.add(borrower_id)
        return count

    def _alert(self, borrower_id: str, count: int, at_ms: int, cause: Cause) -> None:
        self._alerts.append(
            Alert(
                alert_id=alert_id(borrower_id, "income_drop", None, at_ms, count),
                revision=1,
                case_id=case_id(borrower_id, at_ms),
                status="opened",
                resolution=None,
                signal="income_drop",
                severity="watch",
                borrower_id=borrower_id,
                loan_id=None,
                event_time_ms=at_ms,
                detected_at_ms=0,
                opened_at_ms=at_ms,
                risk=Risk(0.5, "low", "fake", "none", 60),
                exposure=Exposure(None, 0, 0, 0, None, None, 0, ()),
                priority=count,
                reasons=(),
                recommendation=Recommendation(
                    stage="none",
                    actionable=False,
                    not_before_ms=0,
                    not_after_ms=0,
                    attempts_left=0,
                    hold=self.states[borrower_id].hex(),
                    human_review_required=False,
                ),
                policy_version="fake",
                caused_by=cause,
                chain=Chain(0, "", ""),
            )
        )


def numbered_example(borrower_id: str, count: int) -> Example:
    """One that is told apart by its borrower and a number."""
    return Example(
        borrower=borrower_id,
        observed_ms=0,
        matured_ms=count,
        features={},
        outcome="good",
        reason="paid_as_agreed",
        decided_ms=count,
        contacts=0,
        segment=None,
        probability=0.5,
        card_version="fake",
    )


class FakeEngineMaker:
    """Makes fake engines, and keeps the last of each task for the test to look at."""

    lateness_ms: Sequence[int] = (0,) * len(TOPICS)
    kind: type[FakeEngine] = FakeEngine
    """Which engines are made."""

    def __init__(self, *, alert_every: int = 5) -> None:
        self.engines: dict[int, FakeEngine] = {}
        self._alert_every = alert_every

    def __call__(
        self,
        task: int,
        belongs: Callable[[str], bool],
        adopted: Adopted | None = None,
        cards: Adopted | None = None,
    ) -> FakeEngine:
        engine = self.kind(task, belongs, alert_every=self._alert_every)
        self.engines[task] = engine
        return engine

    async def refresh(self, logs: Logs) -> bool:
        return False

    async def refresh_cards(self, logs: Logs) -> bool:
        return False

    def bring_up_to_date(self, engine: Engine) -> None:
        """Nothing is ever published."""
