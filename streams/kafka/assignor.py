"""The group's assignor: hands out whole tasks, sticky. The stock ones split a task's topics over workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from msgspec import Struct

from streams.assignment import Claim, assign_tasks

_PROTOCOL_VERSION: Final = 0


class AssignmentError(Exception):
    """An assignment that must not be: topics unequal, or workers that do not read the same."""


class _Claimed(Struct, frozen=True, array_like=True):
    """User data of a join: what the member held, as of which assignment."""

    tasks: tuple[int, ...]
    epoch: int


class TaskAssignor(AbstractPartitionAssignor):  # type: ignore[misc] # the library has no type information
    """One for each consumer: it remembers what its member holds.

    The library asks for class methods but only ever calls them on what it was given, so an instance serves.
    """

    name: Final = "forewarn-tasks"

    def __init__(self) -> None:
        """A member that holds nothing yet."""
        self._claim = _Claimed((), 0)

    def metadata(self, topics: Iterable[str]) -> Any:
        """What this member says when it joins."""
        return ConsumerProtocolMemberMetadata(
            _PROTOCOL_VERSION, sorted(topics), msgspec.msgpack.encode(self._claim)
        )

    def assign(self, cluster: ClusterMetadata, members: Mapping[str, Any]) -> dict[str, Any]:
        """Share out the tasks; called on the group's leader only.

        Raises:
            AssignmentError: the members or the topics do not fit together.
        """
        subscriptions = {tuple(sorted(member.subscription)) for member in members.values()}
        if len(subscriptions) != 1:
            raise AssignmentError(f"workers of one group read different topics: {sorted(subscriptions)}")
        (topics,) = subscriptions
        claimed = {member_id: _read_claim(member.user_data) for member_id, member in members.items()}
        epoch = 1 + max(claim.epoch for claim in claimed.values())
        shares = assign_tasks(
            _partition_count(cluster.partitions_for_topic, topics),
            {member_id: Claim(frozenset(claim.tasks), claim.epoch) for member_id, claim in claimed.items()},
        )
        return {
            member_id: ConsumerProtocolMemberAssignment(
                _PROTOCOL_VERSION,
                [(topic, sorted(tasks)) for topic in topics] if tasks else [],
                msgspec.msgpack.encode(_Claimed(tuple(sorted(tasks)), epoch)),
            )
            for member_id, tasks in shares.items()
        }

    def on_assignment(self, assignment: Any) -> None:
        """Remember what this member was given."""
        self._claim = _read_claim(assignment.user_data)


def _read_claim(user_data: bytes | None) -> _Claimed:
    return msgspec.msgpack.decode(user_data, type=_Claimed) if user_data else _Claimed((), 0)


def _partition_count(partitions_of: Callable[[str], Any], topics: Iterable[str]) -> int:
    counts = {topic: len(partitions_of(topic) or ()) for topic in topics}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise AssignmentError(
            f"input topics missing, hidden from this user, or unequal in partitions: {counts}; run `forewarn topics apply`, or see "
            f"`forewarn topics acls`"
        )
    return next(iter(counts.values()))
