"""Which dead letters are put back, and which are not and why. Decisions alone: the caller reads and writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from streams.dead_letters import Letter, Receipt, Settled, returned_record
from streams.ports import OutputRecord

TRIES_MAX: Final = 3
"""A record refused so often is refused for good, until somebody says otherwise."""

Passed = Literal["settled", "tries-used-up", "wrong-partition", "not-ours"]
"""Why a letter is not retried."""

WHY: Final[dict[Passed, str]] = {
    "settled": "retried or released before",
    "tries-used-up": "retried as often as --tries-max allows; give a higher one after the cause is mended",
    "wrong-partition": "would be refused again where they were; --repartition puts them where their key belongs",
    "not-ours": "do not say which input topic of this installation they come from",
}


class Place(NamedTuple):
    """One record: of the dead letters' topic where `topic` is None, else the refused one of an input topic."""

    topic: str | None
    partition: int
    offset: int

    def __str__(self) -> str:
        """As it is typed."""
        return f"{'' if self.topic is None else self.topic + ':'}{self.partition}/{self.offset}"


def place_of(text: str) -> Place | None:
    """Read `PARTITION/OFFSET` or `TOPIC:PARTITION/OFFSET`; None where it is neither."""
    topic, colon, rest = text.rpartition(":")
    partition, _, offset = rest.partition("/")
    if not (partition.isascii() and partition.isdecimal() and offset.isascii() and offset.isdecimal()):
        return None
    if colon and not topic:
        return None
    return Place(topic or None, int(partition), int(offset))


class Selection(Struct, frozen=True):
    """Which letters are meant; empty means no limit of that kind."""

    places: frozenset[Place] = frozenset()
    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()

    def places_of(self, letter: Letter) -> frozenset[Place]:
        """Those of the places that name this letter."""
        own = {Place(None, letter.partition, letter.offset)}
        if letter.origin_partition is not None and letter.origin_offset is not None:
            own.add(Place(letter.topic, letter.origin_partition, letter.origin_offset))
        return self.places & own

    def has(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.places or bool(self.places_of(letter)))
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.topic in self.topics)
        )


class Return(NamedTuple):
    """A record to be put back, and the letter it was."""

    letter: Letter
    topic: str
    partition: int
    record: OutputRecord


class Retry:
    """One run over the letters: decides letter by letter, and counts."""

    def __init__(
        self,
        selection: Selection,
        settled: dict[tuple[int, int], Settled],
        inputs: Iterable[str],
        *,
        tries_max: int = TRIES_MAX,
        partition_of: Callable[[bytes], int] | None = None,
    ) -> None:
        """`settled`: by partition and offset. `partition_of`: where keys belong, for letters of wrong partitions."""
        self.returned: Counter[tuple[str, str]] = Counter()
        """(topic, reason) to how many are put back."""
        self.passed: Counter[tuple[str, str, Passed]] = Counter()
        """(topic, reason, why) to how many are not."""
        self.missing = set(selection.places)
        """Places named that no letter put back or seen had."""
        self.unretried: set[Place] = set()
        """Places named whose letter is not put back."""
        self._selection = selection
        self._settled = settled
        self._inputs = frozenset(inputs)
        self._tries_max = tries_max
        self._partition_of = partition_of

    def choose(self, letters: Iterable[Letter]) -> Iterator[Return]:
        """The records to put back, in the order of the letters."""
        for letter in letters:
            if not self._selection.has(letter):
                continue
            named = self._selection.places_of(letter)
            self.missing -= named
            chosen = self._decide(letter)
            about = (letter.topic or "?", letter.reason or "?")
            if isinstance(chosen, Return):
                self.returned[about] += 1
                yield chosen
            else:
                self.passed[*about, chosen] += 1
                self.unretried |= named

    def _decide(self, letter: Letter) -> Return | Passed:
        topic, partition = letter.topic, letter.origin_partition
        if topic not in self._inputs or partition is None or letter.origin_offset is None:
            return "not-ours"
        if (letter.partition, letter.offset) in self._settled:
            return "settled"
        if letter.tries >= self._tries_max:
            return "tries-used-up"
        if letter.reason == "wrong-partition":
            if self._partition_of is None or letter.key is None:
                return "wrong-partition"
            partition = self._partition_of(letter.key)
        return Return(letter, topic, partition, returned_record(letter))


def settled_letters(records: Iterable[Letter | Receipt]) -> dict[tuple[int, int], Settled]:
    """What became of letters, by partition and offset."""
    return {
        (record.partition, record.letter_offset): record.settled
        for record in records
        if isinstance(record, Receipt)
    }
