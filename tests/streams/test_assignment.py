"""Sharing out tasks: whole, even, and with little movement."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.assignment import Claim, assign_tasks
from streams.kafka.assignor import AssignmentError, TaskAssignor

TOPICS = ("a", "b", "c", "d")
Shares = dict[str, frozenset[int]]


def rejoin(shares: Shares, epoch: int, *joining: str) -> dict[str, Claim]:
    """What all say at the next rebalance."""
    return {
        **{worker: Claim(tasks, epoch) for worker, tasks in shares.items()},
        **{worker: Claim() for worker in joining},
    }


@given(st.integers(1, 40), st.integers(1, 9), st.randoms(use_true_random=False))
def test_every_task_has_one_worker_and_loads_are_even(tasks: int, workers: int, dice: Any) -> None:
    """Whatever workers claim, each task goes to exactly one, and loads differ by at most one."""
    claims = {
        f"w{number}": Claim(
            frozenset(dice.sample(range(tasks + 3), dice.randint(0, tasks))), dice.randint(0, 3)
        )
        for number in range(workers)
    }
    shares = assign_tasks(tasks, claims)

    assert sorted(task for own in shares.values() for task in own) == list(range(tasks))
    assert max(map(len, shares.values())) - min(map(len, shares.values())) <= 1


def test_eight_tasks_on_three_workers() -> None:
    """Eight tasks on three workers are 3, 3 and 2, none of them split."""
    shares = assign_tasks(8, {"w1": Claim(), "w2": Claim(), "w3": Claim()})

    assert sorted(map(len, shares.values())) == [2, 3, 3]


def test_a_join_moves_only_what_the_newcomer_needs() -> None:
    """With 8 tasks on 2 workers, a third takes 2 tasks and the others keep theirs."""
    before = assign_tasks(8, {"w1": Claim(), "w2": Claim()})
    after = assign_tasks(8, rejoin(before, 1, "w0"))

    assert len(after["w0"]) == 2
    assert after["w1"] < before["w1"]
    assert after["w2"] < before["w2"]


def test_a_leave_moves_only_what_was_left() -> None:
    """With 8 tasks on 3 workers, the two that stay keep all they had."""
    before = assign_tasks(8, {"w1": Claim(), "w2": Claim(), "w3": Claim()})
    staying = {worker: tasks for worker, tasks in before.items() if worker != "w2"}
    after = assign_tasks(8, rejoin(staying, 1))

    assert all(before[worker] <= after[worker] for worker in staying)


def test_the_same_workers_keep_the_same_tasks() -> None:
    """A rebalance for nothing moves nothing."""
    before = assign_tasks(8, {"w1": Claim(), "w2": Claim(), "w3": Claim()})

    assert assign_tasks(8, rejoin(before, 1)) == before


def test_of_two_claims_the_later_holds() -> None:
    """Who was away while its tasks were given on does not get them back for the asking."""
    claims = {"away": Claim(frozenset({0, 1}), 3), "present": Claim(frozenset({0, 1}), 4)}
    shares = assign_tasks(4, claims)

    assert shares["present"] == {0, 1}


def test_more_workers_than_tasks_leaves_some_without() -> None:
    """A worker without a task stands by."""
    shares = assign_tasks(2, {"w1": Claim(), "w2": Claim(), "w3": Claim()})

    assert sorted(map(len, shares.values())) == [0, 1, 1]


# ---- the group's assignor ------------------------------------------------------------------------------------------


class Group:
    """Members that join through the client's own bytes."""

    def __init__(self, partitions: dict[str, int]) -> None:
        self.cluster: Any = SimpleNamespace(
            partitions_for_topic=lambda topic: set(range(partitions.get(topic, 0)))
        )
        self.members: dict[str, TaskAssignor] = {}

    def rebalance(self, topics: tuple[str, ...] = TOPICS) -> dict[str, list[tuple[str, list[int]]]]:
        joined = {
            member_id: type(assignor.metadata(topics)).decode(assignor.metadata(topics).encode())
            for member_id, assignor in self.members.items()
        }
        leader = next(iter(self.members.values()))
        shares = {}
        for member_id, assignment in leader.assign(self.cluster, joined).items():
            received = type(assignment).decode(assignment.encode())
            self.members[member_id].on_assignment(received)
            shares[member_id] = [(topic, list(tasks)) for topic, tasks in received.assignment]
        return shares


def test_the_assignor_hands_out_the_same_partitions_of_every_topic() -> None:
    """8 partitions on 3 workers: each worker has the same numbers of all topics."""
    group = Group(dict.fromkeys(TOPICS, 8))
    group.members = {f"w{number}": TaskAssignor() for number in range(3)}
    shares = group.rebalance()

    assert all(len({tuple(tasks) for _, tasks in own}) == 1 for own in shares.values())
    assert all([topic for topic, _ in own] == list(TOPICS) for own in shares.values())


def test_the_assignor_is_sticky_through_its_own_bytes() -> None:
    """Join and leave: who stays keeps what it can."""
    group = Group(dict.fromkeys(TOPICS, 8))
    group.members = {"w1": TaskAssignor(), "w2": TaskAssignor()}
    two = group.rebalance()
    group.members["w3"] = TaskAssignor()
    three = group.rebalance()
    del group.members["w1"]
    left = group.rebalance()

    def tasks(shares: dict[str, list[tuple[str, list[int]]]], worker: str) -> set[int]:
        return set(shares[worker][0][1])

    assert tasks(three, "w1") < tasks(two, "w1")
    assert tasks(three, "w2") < tasks(two, "w2")
    assert tasks(three, "w2") <= tasks(left, "w2")
    assert tasks(three, "w3") <= tasks(left, "w3")


def test_unequal_topics_are_refused() -> None:
    """A task that would miss a topic is never handed out."""
    group = Group({**dict.fromkeys(TOPICS, 8), "d": 4})
    group.members = {"w1": TaskAssignor()}

    with pytest.raises(AssignmentError, match="topics apply"):
        group.rebalance()
