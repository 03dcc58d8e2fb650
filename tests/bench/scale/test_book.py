"""Copies of lives: everybody is there once, and what happens to a copy has the alerts of its model."""

from __future__ import annotations

from collections import Counter

import pytest

from models.borrower import check_record
from models.engine import RiskEngine
from models.events import TOPICS
from models.policy import default_policy
from models.risk.scorecard import expert_prior
from models.rules import Rules
from streams.codec import Decoder, NotAnEvent
from streams.partitioner import partition_of
from streams.progress import decode_progress, is_progress_key
from tests.bench.scale.book import Book, BookEndedError
from tests.bench.scale.changelog import bytes_told
from tests.bench.scale.lives import Lives, simulated

LATER_MS = 10**13


@pytest.fixture(scope="module")
def lives() -> Lives:
    """Few lives, simulated once."""
    return simulated(6, 4, seed=3)


def test_the_changelog_holds_each_borrower_in_its_partition_and_every_task_last(lives: Lives) -> None:
    """A worker trusts every record, and takes each task up where the history ended."""
    records = list(Book(lives, 20, 4).states())
    borrowers, tasks = records[:20], records[20:]
    assert len({record.key for _, record in borrowers}) == 20
    for partition, record in borrowers:
        assert record.key is not None
        assert record.value is not None
        assert partition == partition_of(record.key, 4)
        check_record(record.key.decode(), record.value)
    assert [task for task, _ in tasks] == [0, 1, 2, 3]
    for task, record in tasks:
        assert record.key is not None
        assert record.value is not None
        assert is_progress_key(record.key)
        progress = decode_progress(record.value)
        assert (progress.task, progress.partition_count) == (task, 4)
        assert progress.engine == lives.progress.engine


def test_what_happens_touches_all_who_live_a_life_alike(lives: Lives) -> None:
    """Three copies of each life have as many events, in places that never go back."""
    count = 3 * sum(delivery.borrower_id in lives.states for delivery in lives.later)
    records = [record for record in Book(lives, 18, 2).records(count) if record.key is not None]
    assert len(records) == count
    by_borrower = Counter(record.key for record in records)
    for number in range(6):
        assert len({by_borrower[b"k%08d" % (number + 6 * copy)] for copy in range(3)}) == 1
    places = [record.place_ms for record in records]
    assert places == sorted(places)
    for record in records:
        assert record.key is not None
        assert record.partition == partition_of(record.key, 2)


def test_a_book_ends_with_its_lives(lives: Lives) -> None:
    """Whoever asks for more is told, and is not given fewer."""
    with pytest.raises(BookEndedError, match="no more events"):
        list(Book(lives, 6, 1).records(10**6))


def test_copies_have_the_alerts_of_each_other(lives: Lives) -> None:
    """An engine that takes the states up goes on with them: nothing is refused, and copies differ in their ids alone."""
    book = Book(lives, 12, 1)
    engine = RiskEngine(Rules(default_policy()), expert_prior())
    for _, kept in book.states():
        assert kept.key is not None
        assert kept.value is not None
        if is_progress_key(kept.key):
            engine.resume(decode_progress(kept.value).engine)
        else:
            engine.restore(kept.key.decode(), kept.value)
    decoders = [Decoder(topic, keyed=False) for topic in TOPICS]
    count = 2 * sum(delivery.borrower_id in lives.states for delivery in lives.later)
    for offset, record in enumerate(book.records(count)):
        event = decoders[record.topic_index].decode(record.value, None, LATER_MS)
        assert not isinstance(event, NotAnEvent)
        assert engine.process(event, record.topic_index, offset) is None
    said: dict[str, list[tuple[str, str, int]]] = {}
    for alert in engine.take_alerts(0):
        told = (alert.signal, alert.status, alert.event_time_ms)
        said.setdefault(alert.borrower_id, []).append(told)
    assert said, "lives without any alert show nothing"
    for number in range(6):
        assert said.get(f"k{number:08d}") == said.get(f"k{number + 6:08d}")


def test_bytes_on_disk_are_summed_over_brokers_folders_and_partitions() -> None:
    """As Kafka's DescribeLogDirs tells them."""
    partitions = [{"partition_index": 0, "partition_size": 5}, {"partition_index": 1, "partition_size": 7}]
    broker = {"log_dirs": [{"topics": [{"name": "t", "partitions": partitions}]}]}
    assert bytes_told([broker, broker]) == 24
