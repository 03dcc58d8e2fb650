"""The reference of the common job (`tests/bench/JOB.md`): what must come out of a log, and whether it did.

Written apart from the peers and in another way, so that a mistake in one shows in the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from models.calendars import DAY_MS

WINDOW_DAYS: Final = 30
DISTINCT: Final = 3
TOLD_EVERY: Final = {"repayment": 12, "fund_flow": 48}
KINDS: Final = {"repayment": "repayments", "fund_flow": "flows", "credit_query": "institutions"}

Guarantee = Literal["exactly-once", "at-least-once"]
Place = tuple[int, int]
"""Feed and partition."""


class Output(Struct, frozen=True):
    """A record that the job puts out."""

    kind: str
    borrower_id: str
    event_id: str
    count: int
    total_minor: int


class Due(NamedTuple):
    """Where in the log an output is due: its event's place and offset."""

    place: Place
    offset: int


class _Read(Struct):
    type: str
    event_id: str = ""
    borrower_id: str = ""
    event_time_ms: int = 0
    amount_minor: int = 0
    institution_id: str = ""


class Reference:
    """Does the job on a log as it is written, a partition in the order of its offsets."""

    def __init__(self) -> None:
        self.due: dict[Output, Due] = {}
        self.records: Counter[Place] = Counter()
        """So many records stand in each partition."""
        self.ends: dict[Place, int] = {}
        """The offset behind the last event of each partition: heartbeats that close the log may follow."""
        self._decode = msgspec.json.Decoder(_Read).decode
        self._counts: Counter[tuple[str, str]] = Counter()
        self._totals_minor: Counter[tuple[str, str]] = Counter()
        self._queries: dict[str, list[tuple[int, str]]] = {}
        self._kept: dict[str, frozenset[str]] = {}

    def add(self, place: Place, payload: bytes) -> None:
        """The next record of a partition."""
        due = Due(place, self.records[place])
        self.records[place] += 1
        event = self._decode(payload)
        if event.type != "heartbeat":
            self.ends[place] = self.records[place]
        match event.type:
            case "repayment" | "fund_flow":
                output = self._money(event)
            case "credit_query":
                output = self._query(event)
            case _:
                return
        if output is not None:
            assert output not in self.due, "an event puts out one record, and occurs once"
            self.due[output] = due

    def _money(self, event: _Read) -> Output | None:
        whose = (event.borrower_id, event.type)
        self._counts[whose] += 1
        self._totals_minor[whose] += event.amount_minor
        if self._counts[whose] % TOLD_EVERY[event.type]:
            return None
        return _output(event, self._counts[whose], self._totals_minor[whose])

    def _query(self, event: _Read) -> Output | None:
        queries = self._queries.setdefault(event.borrower_id, [])
        queries.append((event.event_time_ms, event.institution_id))
        oldest_ms = max(queries)[0] - WINDOW_DAYS * DAY_MS
        before = self._kept.get(event.borrower_id, frozenset())
        kept = frozenset(institution for at_ms, institution in queries if at_ms > oldest_ms)
        self._kept[event.borrower_id] = kept
        return _output(event, len(kept), 0) if len(before) < DISTINCT <= len(kept) else None


def _output(event: _Read, count: int, total_minor: int) -> Output:
    return Output(KINDS[event.type], event.borrower_id, event.event_id, count, total_minor)


def complaints(due: Mapping[Output, Due], told: Iterable[Output], guarantee: Guarantee) -> Sequence[str]:
    """What is wrong with the outputs of a system; nothing where they are right."""
    counts = Counter(iter(told))  # a mapping would be taken for counts
    missing = [output for output in due if not counts[output]]
    foreign = [output for output in counts if output not in due]
    repeated = [output for output, times in counts.items() if times > 1 and output in due]
    wrong = [("missing", missing), ("not of this log", foreign)]
    if guarantee == "exactly-once":
        wrong.append(("put out more than once", repeated))
    return [f"{len(outputs):,} outputs {what}, as {outputs[0]}" for what, outputs in wrong if outputs]
