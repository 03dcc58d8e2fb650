"""Examples as the stream itself makes them: observed at their midnights, matured at theirs, nothing known too early."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from heapq import heappop, heappush
from pathlib import Path

from models.borrower import Borrower, new_borrower
from models.evidence import record
from models.risk.examples import Example, make_observation, mature
from models.risk.labels import next_observation_ms
from models.risk.pending import Observation
from models.risk.scorecard import Scorecard
from models.rules import Rules
from tests.bench.quality.pictures import told_in


class Stream:
    """The borrowers of a folder of events, and the examples that come of them, in order of maturity."""

    def __init__(self, rules: Rules, card: Scorecard) -> None:
        """`card` gives the probabilities at the observations."""
        self.pictures: dict[str, Borrower] = {}
        self._rules, self._card = rules, card
        self._due: list[tuple[int, str, bool, Observation | None]] = []
        """By instant and borrower: which observation matures, then whether to observe anew."""

    def examples(self, folder: Path, until_ms: int) -> Iterator[Example]:
        """Go through the events up to `until_ms`; yield each example when it matures."""
        gc.disable()  # pictures hold no cycles, and there are many
        try:
            for event, origin in told_in(folder):
                if event.event_time_ms >= until_ms:
                    break
                yield from self._pass(event.event_time_ms)
                borrower = self.pictures.get(event.borrower_id)
                if borrower is None:
                    borrower = self.pictures[event.borrower_id] = new_borrower(event.event_time_ms)
                    self._await_observation(event.borrower_id, event.event_time_ms)
                record(borrower, event, origin, self._rules)
            yield from self._pass(until_ms)
        finally:
            gc.enable()

    def _pass(self, now_ms: int) -> Iterator[Example]:
        """What is due by an instant."""
        while self._due and self._due[0][0] <= now_ms:
            at_ms, borrower_id, _, observation = heappop(self._due)
            borrower = self.pictures[borrower_id]
            if observation is not None:
                yield mature(borrower_id, borrower, observation, self._rules)
                continue
            self._await_observation(borrower_id, at_ms)
            made = make_observation(borrower, at_ms, self._rules, self._card)
            if made is not None:
                heappush(self._due, (made.matures_ms, borrower_id, False, made))

    def _await_observation(self, borrower_id: str, after_ms: int) -> None:
        at_ms = next_observation_ms(borrower_id, after_ms, self._rules)
        heappush(self._due, (at_ms, borrower_id, True, None))
