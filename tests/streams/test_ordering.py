"""The merge: one order, however the records arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.ordering import MergeQueue

TOPICS = 3
Queue = MergeQueue[str, int]


def queue() -> Queue:
    """An empty one."""
    return MergeQueue((0,) * TOPICS)


def push(merge: Queue, topic: int, keys_ms: list[int], first_offset: int = 0, arrived_ms: int = 0) -> None:
    """Records named by topic and offset."""
    offsets = range(first_offset, first_offset + len(keys_ms))
    merge.push(topic, keys_ms, [f"{topic}@{offset}" for offset in offsets], list(offsets), arrived_ms)


def taken(merge: Queue) -> list[str]:
    """The names of all that was let go."""
    return [event for _, event, _ in merge.take(1_000)]


@st.composite
def logs(draw: st.DrawFn) -> list[list[int]]:
    """Keys of each topic, with ties and steps back."""
    return draw(st.lists(st.lists(st.integers(0, 20), max_size=12), min_size=TOPICS, max_size=TOPICS))


def reference(keys_by_topic: list[list[int]]) -> list[str]:
    """The whole order, from all records at once: (key made non-decreasing, topic, offset)."""
    entries = []
    for topic, keys in enumerate(keys_by_topic):
        floor = 0
        for offset, key in enumerate(keys):
            floor = max(floor, key)
            entries.append((floor, topic, offset))
    return [f"{topic}@{offset}" for _, topic, offset in sorted(entries)]


@given(logs(), st.data())
def test_any_cut_into_batches_gives_the_same_order(
    keys_by_topic: list[list[int]], data: st.DataObject
) -> None:
    """Whatever arrives when, in whatever pieces, taken at whatever pace: the order is that of the whole."""
    merge = queue()
    read = [0] * TOPICS
    order: list[str] = []
    while any(read[topic] < len(keys) for topic, keys in enumerate(keys_by_topic)):
        unread = [topic for topic, keys in enumerate(keys_by_topic) if read[topic] < len(keys)]
        topic = data.draw(st.sampled_from(unread))
        count = data.draw(st.integers(1, len(keys_by_topic[topic]) - read[topic]))
        push(merge, topic, keys_by_topic[topic][read[topic] : read[topic] + count], read[topic])
        read[topic] += count
        if data.draw(st.booleans()):
            merge.release()
        order += [event for _, event, _ in merge.take(data.draw(st.integers(0, 5)))]
    merge.release_all()
    order += taken(merge)

    assert order == reference(keys_by_topic)


@given(logs(), st.data())
def test_a_restart_anywhere_goes_on_in_the_same_order(
    keys_by_topic: list[list[int]], data: st.DataObject
) -> None:
    """From the positions and merge keys of what was taken, the rest comes as if nothing had happened."""
    first = queue()
    for topic, keys in enumerate(keys_by_topic):
        push(first, topic, keys)
    first.release_all()
    before = list(first.take(data.draw(st.integers(0, sum(map(len, keys_by_topic))))))
    floors = [0] * TOPICS
    offsets = [0] * TOPICS
    for order, _, offset in before:
        key_ms, topic = first.place(order)
        floors[topic], offsets[topic] = key_ms, offset + 1

    second: Queue = MergeQueue(floors)
    for topic, keys in enumerate(keys_by_topic):
        push(second, topic, keys[offsets[topic] :], offsets[topic])
    second.release_all()

    assert [event for _, event, _ in before] + taken(second) == reference(keys_by_topic)


def test_an_empty_topic_holds_all_others() -> None:
    """By event time nothing is let go until every topic has shown what it has next."""
    merge = queue()
    push(merge, 0, [1, 2, 3])
    push(merge, 1, [1, 2, 3])
    merge.release()

    assert taken(merge) == []


def test_what_nothing_can_precede_is_let_go() -> None:
    """Everything up to the least of the topics' last keys comes; ties by topic, and no further."""
    merge = queue()
    push(merge, 0, [1, 5])
    push(merge, 1, [2, 4])
    push(merge, 2, [4, 9])
    merge.release()

    assert taken(merge) == ["0@0", "1@0", "1@1"]


def test_a_tie_waits_for_the_earlier_topic() -> None:
    """At one key the earlier topic may still bring more, so the later one waits."""
    merge = queue()
    for topic in range(TOPICS):
        push(merge, topic, [7])
    merge.release()
    first = taken(merge)
    push(merge, 0, [7], first_offset=1)
    merge.release()
    second = taken(merge)
    push(merge, 0, [8], first_offset=2)
    merge.release()

    assert (first, second, taken(merge)) == (["0@0"], ["0@1"], ["1@0"])


def test_by_the_wall_clock_an_idle_topic_holds_the_others_only_so_long() -> None:
    """What arrived long enough ago goes, with everything before it; what is newer stays."""
    merge = queue()
    push(merge, 0, [10], arrived_ms=100)
    push(merge, 1, [5], arrived_ms=130)
    push(merge, 0, [20], first_offset=1, arrived_ms=140)
    idle = [True, True, True]
    merge.release(idle, waited_since_ms=99)
    early = taken(merge)
    merge.release(idle, waited_since_ms=100)

    assert (early, taken(merge)) == ([], ["1@0", "0@0"])


def test_by_the_wall_clock_a_topic_that_lags_still_holds_the_others() -> None:
    """A topic with more to read is waited for, however long."""
    merge = queue()
    push(merge, 0, [10], arrived_ms=0)
    merge.release([True, True, False], waited_since_ms=10**9)

    assert taken(merge) == []


def test_by_the_wall_clock_full_topics_do_not_wait() -> None:
    """Where every topic shows what it has, the order is strict and nobody waits."""
    merge = queue()
    for topic, keys in enumerate(([1, 9], [2, 9], [3, 9])):
        push(merge, topic, keys, arrived_ms=1_000)
    merge.release([True] * TOPICS, waited_since_ms=0)

    assert taken(merge) == ["0@0", "1@0", "2@0", "0@1"]


def test_what_waits_is_told_by_topic() -> None:
    """Buffered records and batches are those not yet let go."""
    merge = queue()
    push(merge, 0, [1, 2])
    push(merge, 0, [3], first_offset=2)
    push(merge, 1, [2])
    push(merge, 2, [2])
    waiting = (merge.waiting, merge.buffered(0), merge.batches(0))
    merge.release()

    assert waiting == (5, 3, 2)
    assert (merge.ready, merge.buffered(0), merge.batches(0), merge.batches(1)) == (3, 1, 1, 0)
